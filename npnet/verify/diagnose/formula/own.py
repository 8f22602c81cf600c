"""npnet's own formula of a twin, asked with one slip after the other."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from npnet.contract import Array
from npnet.verify.case import Example
from npnet.verify.diagnose.formula.source import Change, changes, marked, marking, traced
from npnet.verify.diagnose.otherwise import partly
from npnet.verify.diagnose.probe import Asker, View
from npnet.verify.diagnose.reading import Reading, Readings

_SECONDS = 0.3  # for one answer: with a slip a loop may never come to an end
_MARKING = 0.4  # seconds for the question which statements matter
_COST = 2.0
_AS_LIKELY = 0.06
_TELLING = 3  # numbers that no slip gives by accident
_UNHEARD, _ELSEWHERE, _UNKNOWN = 0.5, 0.3, 0.1


class Formula:
    """The right formula as npnet writes it, and the answers that slips in it give."""

    def __init__(self, own: Asker | None) -> None:
        """own: asks npnet's own layer or optimizer; None where npnet has none."""
        self._own = own
        self._changes: dict[tuple[int, bool], list[tuple[float, Change]]] = {}
        self._answers: dict[tuple[int, Change], dict[str, Array]] = {}
        self._kept: list[tuple[float, Change]] = []  # what has explained something

    def readings(self, views: Sequence[View], agreeing: Iterator[View], stop: float) -> Readings:
        """The likeliest slips that explain every view."""
        found = Readings()
        if not views or self._own is None:
            return found
        views = sorted(views, key=self._effort)
        kept: list[Change] = []
        per_view: list[list[tuple[Reading, float]]] = [[] for _ in views]
        limit = np.inf
        for likely, change in (*self._kept, *self._of(views[0])):
            if time.process_time() > stop or likely > limit:
                break
            told = list(self._explaining(change, views))
            for one, explained in zip(per_view, told, strict=False):
                one.append(explained)
            if len(told) == len(views):
                kept.append(change)
                self._kept += [] if (likely, change) in self._kept else [(likely, change)]
                limit = min(limit, likely + _AS_LIKELY)
        for one in per_view:
            found.add(one)
        for v in agreeing:
            found.contradict([self._reading(change, v) for change in kept])
        return found

    @property
    def found(self) -> bool:
        """Whether a slip has explained something."""
        return bool(self._kept)

    def _explaining(self, change: Change, views: Sequence[View]) -> Iterator[tuple[Reading, float]]:
        """What a slip says of one view after the other, as long as it explains them."""
        for v in views:
            reading, residual = self._reading(change, v)
            if residual > 1:
                return
            yield reading, residual

    def _reading(self, change: Change, v: View) -> tuple[Reading, float]:
        value = self._answer(change, v)
        explains = v.want if value is None else value.astype(np.float64) - v.base
        residual = np.inf if value is None or value.shape != v.want.shape else v.residual(explains)
        text = change.text if residual <= 1 else ""
        s = change.slip
        cost = _COST + change.cost
        if residual <= 1:
            cost += partly(v, self._answers[id(v.probe), change])
        return Reading(("slip", str(id(change))), s.kind, text, explains, cost), residual

    def _effort(self, v: View) -> tuple[bool, bool, int]:
        """What is known already comes first, and then what is small, but not a single number."""
        known = any(key == id(v.probe) for key, _ in self._changes)
        size = sum(a.size for a in v.probe.want.values())
        return not known, v.want.size < _TELLING, size

    def _of(self, v: View) -> list[tuple[float, Change]]:
        """The slips in whatever runs for a probe, in the pass that is off; the likeliest first."""
        off = {n for n in v.probe.want if (w := v.probe.view(n)) is None or w.bad.any()}
        forward = any(name.split(" ")[0] == "y" for name in off)
        key = id(v.probe), forward
        if key not in self._changes:
            example = v.probe.example
            ran = traced(lambda: self._asked(example))
            lines = ran.forward if forward else ran.both
            doubts = self._doubts(example, list(marked(lines, ran)), off)
            found = list(changes(lines, ran, frozenset(v.probe.config)))
            told = [(c.cost + doubts.get(_at(c), _UNKNOWN), c) for c in found]
            self._changes[key] = sorted(told, key=lambda one: one[0])
        return self._changes[key]

    def _doubts(
        self, example: Example, values: Sequence[Change], off: set[str]
    ) -> dict[tuple[object, int], float]:
        """How unlikely a statement is to be wrong, by what changes where its value does.

        It does not explain what is off where it has no influence, nor what is right where it has.
        """
        right = self._asked(example)
        stop = time.process_time() + _MARKING
        found = {}
        for change in values:
            if time.process_time() > stop:
                break
            with marking() as hit, change.made() as can:
                wrong = self._asked(example) if can else {}
            moved = {n for n, a in right.items() if n in wrong and _differs(a, wrong[n])}
            doubt = 0.0 if moved & off else _UNHEARD
            doubt += _ELSEWHERE if moved - off else 0.0
            found[_at(change)] = doubt if hit and wrong else _UNKNOWN
        return found

    def _answer(self, change: Change, v: View) -> Array | None:
        key = id(v.probe), change
        if key not in self._answers:
            with change.made() as can:
                self._answers[key] = self._asked(v.probe.example) if can else {}
        kept = v.probe.arrays.get(v.quantity.removeprefix("next "))
        value = self._answers[key].get(v.quantity, kept if "next " in v.quantity else None)
        return value if value is not None and value.dtype.kind in "fiub" else None

    def _asked(self, example: Example) -> dict[str, Array]:
        assert self._own is not None
        return self._own.candidate(example, _SECONDS) or {}


def _at(change: Change) -> tuple[object, int]:
    return change.function, change.slip.line


def _differs(a: Array, b: Array) -> bool:
    return a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
