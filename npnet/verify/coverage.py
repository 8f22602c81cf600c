"""How much of a twin's configuration space has been asked: values of options, and pairs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from npnet.verify.spec import Picked

_TOLD = 3  # options that were not drawn, by name


def uncovered(layer: str, missing: Sequence[str]) -> list[str]:
    """The first options of a layer that were not drawn, as lines of what is not verified."""
    lines = [f"{layer} {m}" for m in missing[:_TOLD]]
    more = len(missing) - _TOLD
    return [*lines, f"{layer} {more} more pairs of options"] if more > 0 else lines


@dataclass
class Coverage:
    """Which values of the options, and which pairs of values, have been asked."""

    universe: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    pairs: set[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=set)
    refused: set[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def add(self, pick: Picked) -> None:
        """Count one drawn structure."""
        self.universe.update(pick.universe)
        self.names |= pick.choices.keys()
        drawn = [(name, str(pick.choices[name])) for name in sorted(pick.universe)]
        self.seen.update(drawn)
        self.pairs.update(combinations(drawn, 2))
        for a, b in pick.refused:
            self.refused.add((a, b) if a[0] < b[0] else (b, a))

    def plain(self) -> dict[str, Any]:
        """All of it as lists and texts, for `add_plain`."""
        return {
            "universe": {name: list(map(str, values)) for name, values in self.universe.items()},
            "seen": [list(option) for option in sorted(self.seen)],
            "pairs": [[*a, *b] for a, b in sorted(self.pairs)],
            "refused": [[*a, *b] for a, b in sorted(self.refused)],
        }

    def add_plain(self, other: Mapping[str, Any]) -> None:
        """Count what another has asked. Raises ValueError where it is none."""
        self.universe.update({name: tuple(vs) for name, vs in other["universe"].items()})
        self.seen.update((name, value) for name, value in other["seen"])
        self.pairs.update(((a, v), (b, w)) for a, v, b, w in other["pairs"])
        self.refused.update(((a, v), (b, w)) for a, v, b, w in other["refused"])

    def count(self) -> tuple[int, int, list[str]]:
        """Values and pairs covered, of how many, and what was not, in words."""
        options = {
            name: list(dict.fromkeys(map(str, values))) for name, values in self.universe.items()
        }
        values = [(name, v) for name in sorted(options) for v in options[name]]
        pairs = [(a, b) for a, b in combinations(values, 2) if a[0] != b[0]]
        pairs = [pair for pair in pairs if pair not in self.refused]
        missing = [f"{n}={v}" for n, v in values if (n, v) not in self.seen]
        missing += [
            f"{a[0]}={a[1]} with {b[0]}={b[1]}"
            for a, b in pairs
            if (a, b) not in self.pairs and a in self.seen and b in self.seen
        ]
        total = len(values) + len(pairs)
        covered = len(set(values) & self.seen) + len(set(pairs) & self.pairs)
        return covered, total, missing
