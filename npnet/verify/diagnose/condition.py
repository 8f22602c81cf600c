"""Under which options, shapes and numbers a quantity diverges, and under which it agrees."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FEW = 5  # agreeing examples on the other side that make a condition worth telling


@dataclass(frozen=True)
class Seen:
    """One example of the run: what was chosen, the families of its data, and what diverged there.

    failing: of every broken quantity the families of the value sets in which it was off
    """

    choices: Mapping[str, Any]
    themes: tuple[str, ...]
    failing: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Condition:
    """A condition that all failing examples meet, and how many agree outside of it."""

    text: str
    failing: int
    inside: int  # examples that meet it
    outside: int  # examples that do not, all of which agree
    numbers: bool = False  # whether it is about the numbers given, not about options or shapes


def only_when(seen: Sequence[Seen], quantity: str) -> Condition | None:
    """The condition that separates best; None where none does."""
    failing = [s for s in seen if quantity in s.failing]
    agreeing = [s for s in seen if quantity not in s.failing]
    if not failing or len(agreeing) < _FEW:
        return None
    best: tuple[float, Condition] | None = None
    for text, met in _conditions(seen, failing):
        if not all(met(s) for s in failing):
            continue
        outside = sum(not met(s) for s in agreeing)
        inside = len(seen) - outside
        share = outside / len(agreeing)
        if outside < _FEW or share < 0.25:
            continue
        score = share - 0.004 * len(text)
        if best is None or score > best[0]:
            best = score, Condition(text, len(failing), inside, outside)
    return best[1] if best else _data(seen, quantity)


def _conditions(seen: Sequence[Seen], failing: Sequence[Seen]) -> Iterator[tuple[str, Any]]:
    names = dict.fromkeys(n for s in seen for n in s.choices)
    for name in names:
        values = [s.choices.get(name) for s in failing]
        others = [s.choices.get(name) for s in seen if name in s.choices]
        kinds = Counter(map(repr, values))
        if len(kinds) == 1:
            value = next(iter(kinds))
            yield f"{name} = {value}", lambda s, n=name, v=value: repr(s.choices.get(n)) == v
        present = set(map(repr, others))
        if len(kinds) == len(present) - 1 and len(present) > 2:
            gone = next(iter(present - set(kinds)))
            yield f"{name} is not {gone}", lambda s, n=name, v=gone: repr(s.choices.get(n)) != v
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(values) and len(kinds) > 1:
            low, high = min(numbers), max(numbers)
            yield (
                f"{name} >= {low:g}",
                lambda s, n=name, t=low: _number(s.choices.get(n)) and s.choices[n] >= t,
            )
            yield (
                f"{name} <= {high:g}",
                lambda s, n=name, t=high: _number(s.choices.get(n)) and s.choices[n] <= t,
            )
        if others and all(isinstance(v, tuple) for v in (*others, *values)):
            for text, f in _SHAPES.items():
                if all(f(v) for v in values):
                    yield (
                        text.format(name=name),
                        lambda s, n=name, f=f: n in s.choices and f(s.choices[n]),
                    )


def _number(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool)


_SHAPES: dict[str, Any] = {
    "{name} is empty ()": lambda v: len(v) == 0,
    "{name} has two or more axes": lambda v: len(v) >= 2,
    "{name} has an axis of length 1": lambda v: 1 in v,
    "{name} has an axis of length 0": lambda v: 0 in v,
}


def _data(seen: Sequence[Seen], quantity: str) -> Condition | None:
    """The families of data in which alone it is off."""
    off = Counter(t for s in seen for t in s.failing.get(quantity, ()))
    asked = Counter(t for s in seen for t in s.themes)
    fine = [t for t in asked if not off[t] and asked[t] >= _FEW]
    if not off or len(fine) < 2 or "normal" in off:
        return None
    told = {
        "integers": "small integers",
        "powers": "powers of two",
        "ties": "ties and kinks",
        "rows": "constant rows",
        "tiny": "tiny variance",
        "offset": "a large offset",
        "huge": "huge numbers",
        "small": "denormal numbers",
        "magnitudes": "very different magnitudes",
    }
    text = "the data have " + " or ".join(told[t] for t in off)
    count = sum(quantity in s.failing for s in seen)
    hard = set(off) <= {"tiny", "offset", "huge", "small", "magnitudes", "powers"}
    return Condition(text, count, count, sum(asked[t] for t in fine), hard)
