"""How much of a twin's configuration space has been asked: values of options, and pairs of them."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from npnet.verify.draw import Pick


@dataclass
class Coverage:
    """Which values of the options, and which pairs of values, have been asked."""

    universe: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    pairs: set[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=set)
    refused: set[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def add(self, pick: Pick) -> None:
        """Count one drawn structure."""
        self.universe.update(pick.universe)
        self.names |= pick.choices.keys()
        drawn = [(name, str(pick.choices[name])) for name in sorted(pick.universe)]
        self.seen.update(drawn)
        self.pairs.update(combinations(drawn, 2))
        for a, b in pick.refused:
            self.refused.add((a, b) if a[0] < b[0] else (b, a))

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
