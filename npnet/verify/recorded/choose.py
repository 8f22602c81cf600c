"""Which questions are recorded: the fewest bytes that still cover the options and show mistakes.

Examples are drawn as for any run, one value set is kept of each, and asked of the twin by itself.
Of these, that question is taken next which adds most for its size: values of options and pairs of
them that have not been asked, protocols, families of data, and quantities of which too few value
sets are informative. Where torch contradicts itself or a number comes near the largest of the
format, nothing is recorded.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from npnet.verify.ask import PROTOCOLS
from npnet.verify.case import Example
from npnet.verify.draw import Pick
from npnet.verify.drawn import on_each
from npnet.verify.examine import ENOUGH, SELDOM, protocol_of
from npnet.verify.judge import allowance, informative, overflows
from npnet.verify.precision import PRECISIONS
from npnet.verify.recorded.question import DTYPES, Record, Recorded
from npnet.verify.spec import Answer, Spec, examples

_DRAWN = 120  # examples per dtype, of which the questions are taken
_MOST = 20  # questions per dtype
_BYTES = 27_000  # of questions per dtype; the least number of them may take more
_LEAST = SELDOM + 4  # questions per dtype
_LARGE = 6_000  # bytes of a question, from which on it is left to runs beside torch
_TENSOR, _QUESTION = 90, 500  # bytes that stand around an array, and around a question
_TRAITS = 3  # questions with each trait that are worth having
_BOUNDARY = ("ties", "rows", "integers")


def record(spec: Spec, device: str, facts: Mapping[str, str], seed: int = 0) -> Record:
    """Ask a twin, and keep the questions that are worth their bytes, boundary cases first."""
    universe: dict[str, tuple[str, ...]] = {}
    questions: list[Recorded] = []
    for dtype in DTYPES:
        drawn = _drawn(spec, dtype, seed, universe)
        chosen = sorted(_Choice(drawn).taken(), key=lambda d: (not d.boundary, d.size))
        questions += [replace(d.question, name=f"{dtype}-{i}") for i, d in enumerate(chosen)]
    return Record(
        spec.name,
        device,
        facts,
        seed,
        spec.optimizer,
        spec.schedule,
        spec.exact,
        universe,
        tuple(questions),
        _masks(spec, questions),
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One question that may be recorded, and what it would add."""

    question: Recorded
    size: int
    adds: frozenset[Any]
    traits: frozenset[str]
    judges: frozenset[str]
    informs: frozenset[str]

    @property
    def boundary(self) -> bool:
        """Whether it asks for a tie, an edge, or a size of 0 or 1."""
        example = self.question.example
        sizes = [n for a in example.arrays.values() for n in a.shape[1:]]
        return example.themes[0] in _BOUNDARY or any(n < 2 for n in sizes)


def _drawn(spec: Spec, dtype: str, seed: int, universe: dict[str, tuple[str, ...]]) -> list[_Drawn]:
    """Questions of which some will be recorded; what options there are is noted in `universe`."""
    found: list[_Drawn] = []

    def keep(drawn: tuple[Example, Pick]) -> None:
        example, pick = drawn
        for name, values in pick.universe.items():
            texts = (*universe.get(name, ()), *map(str, values))
            universe[name] = tuple(dict.fromkeys(texts))
        asked = _asked(spec, example, pick, dtype, len(found) % len(PROTOCOLS))
        if asked is not None:
            found.append(asked)

    on_each(examples(spec, {}, dtype, len(PROTOCOLS)), keep, _DRAWN, seed)
    return found


def _asked(spec: Spec, example: Example, pick: Pick, dtype: str, s: int) -> _Drawn | None:
    """Value set `s` of a drawn example, with its answer; None where nothing can be said of it."""
    precision = PRECISIONS[dtype]
    alone = example.pick(s)
    given = sum(a.nbytes for a in alone.arrays.values())
    if given > _LARGE or spec.known_bad(example.config) is not None:
        return None
    alone.choices = {}
    answer = spec.answer(alone, precision, single=True)
    if answer.disagreement is not None or overflows(answer.largest, precision):
        return None
    if spec.optimizer:  # what is wrong with its state shows in the next step's parameters
        kept = {name: e for name, e in answer.expected.items() if e.required}
        answer = replace(answer, expected=kept)
    protocol = protocol_of(spec, alone, s)
    choices = {name: str(pick.choices[name]) for name in sorted(pick.universe)}
    adds: set[Any] = {("protocol", protocol)}
    empty = not any(e.value.size for e in answer.expected.values() if e.required)
    if empty:  # where there is nothing, nothing can be off
        adds = {("empty", protocol)}
    else:
        adds |= {*choices.items(), *combinations(choices.items(), 2)}
        numbers = sum(a.size for a in alone.arrays.values())
        adds |= {("numbers", numbers.bit_length())}  # a diagnosis sees little in one or two
        if alone.themes[0] in _BOUNDARY:  # and one or two seldom hold a tie
            adds |= {(alone.themes[0], numbers.bit_length())}
    exact = spec.exact and alone.themes[0] == "integers"
    informs = {
        quantity
        for quantity, e in answer.expected.items()
        if e.required
        and 0 not in e.absent
        and informative(e, 0, allowance(e, 0, precision, exact=exact, norm=False), precision)
    }
    question = Recorded("", dtype, protocol, alone, answer, {**pick.choices}, tuple(pick.refused))
    judges = {name for name, e in answer.expected.items() if e.required and e.value.size}
    traits = frozenset() if empty else frozenset(_traits(alone))
    size = _size(alone, answer)
    return _Drawn(question, size, frozenset(adds), traits, frozenset(judges), frozenset(informs))


def _traits(example: Example) -> Iterator[str]:
    """What a question has that mistakes are sensitive to: its family, zeros, equal numbers."""
    yield example.themes[0]
    for name, a in example.one(0).items():
        if name.startswith(("input", "kwarg")) and a.dtype.kind == "f":
            if (a == 0).any():
                yield f"zeros in {name}"
            if np.unique(a).size < a.size:
                yield f"equal numbers in {name}"


def _size(example: Example, answer: Answer) -> int:
    """Bytes of a question, about."""
    arrays = [*example.arrays.values()]
    for e in answer.expected.values():
        arrays += [e.value] if e.error is None else [e.value, e.error]
    return sum(a.nbytes + _TENSOR for a in arrays) + _QUESTION


@dataclass
class _Choice:
    """Takes one question after the other, that which adds most for its bytes."""

    drawn: list[_Drawn]
    known: set[Any] = field(default_factory=set)
    traits: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    informed: Counter[str] = field(default_factory=Counter)

    def taken(self) -> list[_Drawn]:
        left, size = list(self.drawn), 0
        found: list[_Drawn] = []
        common = Counter(name for d in self.drawn for name in d.judges)
        while left and len(found) < _MOST:
            best = max(left, key=lambda d: self._gain(d) / d.size)
            limit = _BYTES * (1.5 if self._seldom(common) else 1.0)
            if size + best.size > limit and len(found) >= _LEAST and not self._thin():
                break
            left.remove(best)
            found.append(best)
            size += best.size
            self.known |= best.adds
            self.traits.update(best.traits)
            self.judged.update(best.judges)
            self.informed.update(best.informs)
        return found

    def _seldom(self, common: Counter[str]) -> bool:
        """Whether something that is often drawn has not been taken often enough to be judged."""
        return any(self.judged[name] < SELDOM for name, n in common.items() if n >= 2 * SELDOM)

    def _thin(self) -> bool:
        """Whether too little would be seen of something that is seen often enough to be judged."""
        return any(
            self.informed[name] < min(ENOUGH, seen // 4)
            for name, seen in self.judged.items()
            if seen >= SELDOM
        )

    def _gain(self, d: _Drawn) -> float:
        new = d.adds - self.known
        options = sum(4.0 if isinstance(what[0], str) else 1.0 for what in new)
        seldom = sum(self.judged[quantity] < SELDOM for quantity in d.judges)
        thin = sum(self.informed[quantity] < ENOUGH for quantity in d.informs)
        rare = sum(self.traits[trait] < _TRAITS for trait in d.traits)
        return 0.25 + options + 8.0 * seldom + 4.0 * thin + 4.0 * rare


def _masks(spec: Spec, questions: list[Recorded]) -> dict[tuple[int, ...], tuple[int, ...]] | None:
    if not spec.reads_mask:
        return None
    shapes = {q.example.arrays["input 0"].shape[1:] for q in questions}
    if callable(spec.reads_mask):
        return {shape: spec.reads_mask(shape) for shape in sorted(shapes)}
    return {shape: shape for shape in sorted(shapes)}


def rounded_up(error: Any, dtype: str) -> Any:
    """A bound in the format of its question, never below what it was."""
    if dtype == "float64":
        return error
    with np.errstate(over="ignore"):
        near = error.astype(dtype)
    return np.where(near < error, np.nextafter(near, np.asarray(np.inf, dtype)), near)
