"""What a run has seen of one candidate, as far as a diagnosis needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npnet.verify.case import Example
from npnet.verify.diagnose.condition import Seen

_KEPT = 40  # failing examples of a quantity that are kept, and agreeing ones
_VALUES = 8  # of an option that are tried in the place of the right one


@dataclass
class Record:
    """What a run has seen of one candidate, as far as a diagnosis needs it."""

    seen: list[Seen] = field(default_factory=list)
    failing: dict[str, list[tuple[Example, str]]] = field(default_factory=dict)
    agreeing: list[tuple[Example, frozenset[str]]] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)  # of every option, as asked

    def add(
        self,
        choices: Mapping[str, Any],
        example: Example,
        failures: Sequence[tuple[str, int]],
        optimizer: bool,
    ) -> None:
        """One example: what was chosen, and (quantity, value set) of everything that is off."""
        failing: dict[str, tuple[str, ...]] = {}
        alone: dict[int, Example] = {}  # one for all quantities, so that torch is asked once
        for quantity, s in failures:
            key = "params" if optimizer else quantity
            failing[key] = (*failing.get(key, ()), example.themes[s])
            kept = self.failing.setdefault(key, [])
            if len(kept) < _KEPT:
                if s not in alone:
                    alone[s] = example.pick(s).astype("float64")
                kept.append((alone[s], quantity))
        self.options(example.config)
        empty = any(a[0].size == 0 for a in example.arrays.values())
        if failing or not empty:  # where there is nothing, nothing can be off
            self.seen.append(Seen(dict(choices), example.themes, failing))
        if not empty and len(self.agreeing) < _KEPT:
            self.agreeing.append((example.pick(0).astype("float64"), frozenset(failing)))

    def options(self, config: Mapping[str, Any]) -> None:
        """Values that options may have."""
        for name, value in config.items():
            known = self.values.setdefault(name, [])
            if len(known) < _VALUES and not any(is_same(value, k) for k in known):
                known.append(value)

    def others(self, quantity: str) -> list[Example]:
        """Examples where it agrees, in float64."""
        key = key_of(quantity)
        return [e for e, off in self.agreeing if key not in off]

    def examples(self, quantity: str) -> list[tuple[Example, str]]:
        """Failing examples in float64, with the quantity that is off."""
        return self.failing.get(key_of(quantity), [])


def is_same(a: Any, b: Any) -> bool:
    """Whether two values of an option are one: 1, 1.0 and True are three."""
    return type(a) is type(b) and bool(np.all(a == b))


def key_of(quantity: str) -> str:
    """What an optimizer gets wrong is one thing, whichever parameter shows it first."""
    return "params" if "after step" in quantity else quantity
