"""What a diagnosis looks at: one question in full, and further questions to both sides."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.ask import ask
from npnet.verify.case import Example
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Spec, Unrecorded

_SECONDS = 2.0  # for one answer of the candidate
_RELATIVE = {"float64": 1e-7, "float32": 3e-5, "float16": 2e-2}


@dataclass(frozen=True)
class Probe:
    """One question, one value set: the candidate's answers, torch's, and what is allowed."""

    example: Example
    got: Mapping[str, Array]
    want: Mapping[str, Array]
    allowed: Mapping[str, Array]
    precision: Precision

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """Everything given, by the names that quantities have: "input 0", "weight", "dy"."""
        found = {n.removeprefix("state "): a for n, a in self.example.one(0).items()}
        return {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in found.items()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, and what the call says in plain numbers."""
        call = {n: v for n, v in self.example.kwargs.items() if isinstance(v, bool | int | float)}
        return {**self.example.config, **call}

    def view(self, quantity: str) -> "View | None":
        """One quantity of it, where both sides have one of the same shape.

        Of an optimizer's parameters it is the step that is looked at.
        """
        got, want = self.got.get(quantity), self.want.get(quantity)
        if got is None or want is None or got.shape != want.shape or want.dtype.kind not in "fiu":
            return None
        got, want = got.astype(np.float64), want.astype(np.float64)
        base = self._before(quantity)
        return View(self, quantity, got - base, want - base, self.allowed[quantity], base)

    @cached_property
    def off(self) -> "tuple[View, ...]":
        """Every quantity that is off."""
        views = (self.view(name) for name in self.want)
        return tuple(v for v in views if v is not None and v.bad.any())

    def explained(self, answers: Mapping[str, Array]) -> bool:
        """Whether these answers are the candidate's in everything that is off."""
        for v in self.off:
            value = answers.get(v.quantity)
            if value is None or value.shape != v.want.shape or v.residual(value - v.base) > 1:
                return False
        return True

    def _before(self, quantity: str) -> Array | float:
        """The parameter before the step of which the quantity is the result; else 0."""
        step = re.fullmatch(r"params after step (\d+): (.*)", quantity)
        if step is None:
            return 0.0
        k, name = int(step[1]), step[2]
        return (
            self.want[f"params after step {k - 1}: {name}"]
            if k > 1
            else self.arrays[f"param {name}"]
        )


@dataclass(frozen=True)
class View:
    """One quantity of a probe."""

    probe: Probe
    quantity: str
    got: Array
    want: Array
    allowed: Array
    base: Array | float = 0.0  # what was taken off both sides

    @cached_property
    def scale(self) -> float:
        """The largest number that occurs on either side."""
        both = np.abs(np.concatenate([self.got.reshape(-1), self.want.reshape(-1)]))
        return float(both.max(where=np.isfinite(both), initial=0.0))

    def tolerance(self, reading: Array) -> Array:
        """How far a reading of the answer may be off it and explain it all the same."""
        relative = _RELATIVE[self.probe.precision.name]
        with np.errstate(all="ignore"):
            off: Array = 16 * self.allowed + relative * (np.abs(reading) + 0.01 * self.scale)
        return off

    def residual(self, reading: Array) -> float:
        """The largest |got - reading| in units of the tolerance; 1 is the most that explains."""
        if reading.shape != self.got.shape:
            return np.inf
        with np.errstate(all="ignore"):
            off = np.abs(self.got - reading) / self.tolerance(reading)
        same = (self.got == reading) | (np.isnan(self.got) & np.isnan(reading))
        off = np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))
        return float(off.max(initial=0.0))

    @cached_property
    def bad(self) -> Array:
        """Where the answer is off by more than is allowed."""
        with np.errstate(all="ignore"):
            off = ~(np.abs(self.got - self.want) <= self.allowed)
        same = (self.got == self.want) | (np.isnan(self.got) & np.isnan(self.want))
        return np.asarray(off & ~same)

    @cached_property
    def clear(self) -> bool:
        """Whether the divergence is no matter of a few digits."""
        return self.residual(self.want) > 10

    def array(self, name: str) -> Array | None:
        """Something given, if it is an array of floating-point numbers."""
        a = self.probe.arrays.get(name)
        return a if a is not None and a.dtype.kind == "f" else None

    @property
    def eps(self) -> float:
        """The option of that name; 0 where there is none."""
        eps = self.probe.config.get("eps")
        return float(eps) if isinstance(eps, int | float) else 0.0

    @property
    def x(self) -> Array | None:
        """The first input."""
        return self.array("input 0")

    @cached_property
    def dy(self) -> Array | None:
        """The upstream gradient, where there is only one."""
        return self.array("dy")

    @property
    def y(self) -> Array | None:
        """torch's output, where there is only one."""
        return self.probe.want.get("y")


@dataclass
class Asker:
    """Puts further questions to the candidate and to its twin, each about one value set."""

    function: Callable[[Any], Any]
    spec: Spec
    precision: Precision = PRECISIONS["float64"]
    _probes: dict[int, Probe | None] = field(default_factory=dict)

    def candidate(self, example: Example, seconds: float = _SECONDS) -> dict[str, Array] | None:
        """The candidate's quantities, in float64; None where it breaks down, or has no answer."""
        try:
            reply = ask(self.function, example, 0, "plain", self.spec.optimizer, seconds)
        except Unrecorded:
            return None
        found: dict[str, Array] = {}
        for name, value in reply.quantities.items():
            if isinstance(value, np.ndarray | np.generic):
                a = np.asarray(value)
                found[name] = a.astype(np.float64) if a.dtype.kind == "f" else a
        return found or None

    def twin(self, example: Example) -> dict[str, Array] | None:
        """torch's quantities in float64, without bounds; None where torch refuses."""
        if self.spec.fragile:
            return None
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return {name: a[0, ...] for name, a in self.spec.plain(example).items()}
        except Exception:  # what torch raises for a question that it does not take
            return None

    def probe(self, example: Example) -> Probe | None:
        """Both sides' answers, with bounds."""
        if id(example) not in self._probes:
            self._probes[id(example)] = self._probe(example)
        return self._probes[id(example)]

    def _probe(self, example: Example) -> Probe | None:
        answer = self.spec.answer(example, self.precision, single=True)
        got = self.candidate(example)
        if answer.disagreement is not None or got is None:
            return None
        k = self.precision.k
        want, allowed = {}, {}
        for name, e in answer.expected.items():
            want[name] = e.value[0, ...]
            error = np.zeros(want[name].shape) if e.error is None else e.error[0, ...]
            allowed[name] = np.broadcast_to(k * error, want[name].shape)
            if name.startswith("next ") and name not in got:
                got[name] = example.arrays[f"state {name[5:]}"][0, ...]
        return Probe(example, got, want, allowed, self.precision)


_STEPS = 3  # of an optimizer, before which much is alike
_ORDINARY = {"normal": 0.0, "integers": 2.0, "powers": 2.0}


def chosen(examples: Sequence[Example], most: int = 4) -> list[Example]:
    """The failing examples that say most: ordinary numbers, several of everything, not alike."""

    def score(example: Example) -> float:
        sizes = [n for a in example.arrays.values() for n in a.shape[1:]]
        total = sum(a[0].size for a in example.arrays.values())
        ordinary: float = {"normal": 0.0, "integers": 2.0, "powers": 2.0}.get(
            example.themes[0], 6.0
        )
        lonely = sum(n == 1 for n in sizes) / max(len(sizes), 1)
        fuller = 0.0 if 8 <= total <= 4000 else 4.0
        steps = example.kwargs.get("lr")
        short = 2.0 if isinstance(steps, tuple) and len(steps) < _STEPS else 0.0
        return float(ordinary + 3.0 * lonely + fuller + short)

    def traits(example: Example) -> set[tuple[str, int]]:
        found = {("axes", sum(a.ndim for a in example.arrays.values()))}
        first = example.arrays.get("input 0")
        if first is not None and first.ndim > 1:
            found |= {(f"axis {i}", n) for i, n in enumerate(first.shape[1:])}
        return found

    def alike(example: Example) -> str:
        shapes = [a.shape for a in example.arrays.values()]
        return repr((sorted(example.config.items(), key=lambda kv: kv[0]), shapes))

    different = {alike(e): e for e in sorted(examples, key=score, reverse=True)}
    kept: list[Example] = []
    rest = sorted(different.values(), key=score)
    while rest and len(kept) < most:  # what is unlike the others, and good enough
        known = set().union(*(traits(e) for e in kept))
        limit = score(rest[0]) + 4.0
        new = max(rest, key=lambda e: len(traits(e) - known) if score(e) < limit else -1)
        new = rest[0] if not kept else new
        kept.append(new)
        rest = [e for e in rest if e is not new]
    return kept
