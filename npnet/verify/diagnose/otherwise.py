"""What torch would answer if the question were another: an option, a parameter, dy in another way.

If the candidate's answer is that one, then that is how the candidate reads the question. The twin
is the only model of itself that is needed, so every option of every layer is covered.
"""

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.case import Example, Slot
from npnet.verify.diagnose.probe import Asker, Probe, View
from npnet.verify.diagnose.reading import Reading
from npnet.verify.diagnose.record import is_same
from npnet.verify.spec import Spec

Universe = Mapping[str, Sequence[Any]]
"""The values of every option that the run has asked."""


@dataclass(frozen=True)
class Question:
    """Another question, and what it means if the candidate answers that one."""

    key: tuple[str, ...]
    kind: str
    text: str
    example: Example
    cost: float
    moved: Mapping[str, Any] | None = None  # quantity -> how torch's answer is to be read


def readings(v: View, asker: Asker, known: "Answers", stop: float) -> Iterator[Reading]:
    """The answers to other questions that torch takes."""
    for q, answers in known.of(v.probe, asker, stop):
        value = answers.get(v.quantity)
        if value is None:
            continue
        if q.moved and v.quantity in q.moved:
            value = q.moved[v.quantity](value)
        if value.shape == v.want.shape:
            value = value - v.base
            if not np.array_equal(value, v.want):
                extra = 0.0 if q.moved or v.residual(value) > 1 else partly(v, answers)
                yield Reading(q.key, q.kind, q.text, value, q.cost + extra)


def partly(v: View, answers: Mapping[str, Array]) -> float:
    """What a reading costs more that does not explain all that is off.

    Gradients may be off for two reasons; the steps of an optimizer, of which one follows from the
    other, are not.
    """
    if v.probe.explained(answers):
        return 0.0
    return np.inf if "after step" in v.quantity else PARTLY


def fitted_eps(v: View, asker: Asker, stop: float) -> Iterator[Reading]:
    """The eps with which torch has the candidate's answer, if there is one."""
    eps = v.probe.config.get("eps")
    if not isinstance(eps, float):
        return

    def off(exponent: float) -> tuple[float, Array | None]:
        changed = replace(v.probe.example, config={**v.probe.example.config, "eps": 10.0**exponent})
        if time.process_time() > stop:
            return np.inf, None
        value = (asker.twin(changed) or {}).get(v.quantity)
        if value is None or value.shape != v.want.shape:
            return np.inf, None
        return v.residual(value - v.base), value - v.base

    grid = np.linspace(-12.0, 1.0, 27)
    low = float(grid[np.argmin([off(x)[0] for x in grid])])
    a, b = low - 0.5, low + 0.5
    for _ in range(_BISECTIONS):  # golden section: the residual has one valley there
        c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        a, b = (a, d) if off(c)[0] < off(d)[0] else (c, b)
    exponent = (a + b) / 2
    residual, value = off(exponent)
    if value is not None and residual <= 1:
        text = f"it answers as if eps were {10.0**exponent:.3g}"
        yield Reading(("eps", f"{exponent:.2f}"), "option", text, value, 1.9)


def relatives(v: View, asker: Asker, others: Iterable[Spec], stop: float) -> Iterator[Reading]:
    """The answers of other twins to the same question: another activation, another loss."""
    example = v.probe.example
    if any(name.startswith("state ") for name in example.arrays):
        return
    for spec in others:
        if time.process_time() > stop:
            return
        if spec.optimizer or spec.schedule or spec.fragile or spec.name == example.spec:
            continue
        asked = replace(example, spec=spec.name, config={})
        value = (Asker(asker.function, spec).twin(asked) or {}).get(v.quantity)
        if value is not None and value.shape == v.want.shape:
            yield Reading(("relative", spec.name), "constant", f"it is {spec.name}", value, 2.5)


def overlapping(v: View, asker: Asker, stop: float) -> Iterator[Reading]:
    """Windows that overwrite each other where they overlap, in place of adding their gradients."""
    dims = re.search(r"(\d)d$", v.probe.example.spec)
    dy = v.probe.example.arrays.get("dy")
    if dims is None or "kernel_size" not in v.probe.config or dy is None:
        return
    n = int(dims[1])
    if v.quantity != "gradient of input 0" or not 1 < math.prod(dy.shape[-n:]) <= _WINDOWS:
        return
    last, first = np.zeros(v.want.shape), np.zeros(v.want.shape)
    for at in np.ndindex(dy.shape[-n:]):
        alone = np.zeros_like(dy)
        alone[..., *at] = dy[..., *at]
        arrays = {**v.probe.example.arrays, "dy": alone}
        share = (asker.twin(replace(v.probe.example, arrays=arrays)) or {}).get(v.quantity)
        if share is None or time.process_time() > stop:
            return
        first = np.where((first == 0) & (share != 0), share, first)
        last = np.where(share != 0, share, last)
    for which, value in (("last", last), ("first", first)):
        text = f"where windows overlap only the {which} one counts, where their gradients add up"
        yield Reading(("overlap", which), "reduction", text, value, 1.6)


PARTLY = 0.7
_GOLDEN = (5**0.5 - 1) / 2
_WINDOWS = 64
_BISECTIONS = 30


class Answers:
    """torch's answers to the other questions about a probe, asked once for all its quantities."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._known: dict[int, list[tuple[Question, dict[str, Array]]]] = {}

    def of(
        self, probe: Probe, asker: Asker, stop: float
    ) -> list[tuple[Question, dict[str, Array]]]:
        """Every other question that torch answers in time, with the answer."""
        if id(probe) not in self._known:
            found = []
            for q in questions(probe.example, self._universe):
                if time.process_time() > stop:
                    break
                answers = asker.twin(q.example)
                if answers is not None:
                    found.append((q, answers))
            self._known[id(probe)] = found
        return self._known[id(probe)]


def questions(example: Example, universe: Universe) -> Iterator[Question]:
    """Everything that may be read in another way, one thing at a time."""
    yield from _gates(example)
    yield from options(example, universe)
    yield from _given(example)
    yield from _upstream(example)


# ---- options -------------------------------------------------------------------------------------


def options(example: Example, universe: Universe) -> Iterator[Question]:
    """Every option with another value."""
    for name, value in example.config.items():
        if isinstance(value, Slot) or _SHAPES.search(name):
            continue
        seen: list[Any] = []
        for text, other in _others(name, value, universe.get(name, ())):
            if any(is_same(other, s) for s in (value, *seen)):
                continue
            seen.append(other)
            if name == "lr" and "lr" in example.kwargs:
                continue
            changed = _with_option(example, name, other)
            cost = 0.9 if isinstance(value, bool) else _cost(text)
            yield Question(("option", name, text), _kind(name), text, changed, cost)
    for name, value in example.kwargs.items():
        if isinstance(value, bool):
            changed = replace(example, kwargs={**example.kwargs, name: not value})
            text = f"it answers as if {name} were {not value}"
            yield Question(("option", name, text), "option", text, changed, 1.3)
        elif isinstance(value, Slot):
            changed = replace(example, kwargs={**example.kwargs, name: None})
            text = f"it answers as if there were no {name}"
            yield Question(("ignored", name), "ignored", text, changed, 1.2)


_SHAPES = re.compile(
    r"^num_(embeddings|features|layers)|_(features|channels|dim|classes)$|^d_model$"
)
"""Options that say how large parameters are: with others there is no such layer."""


def _with_option(example: Example, name: str, value: Any) -> Example:
    """The same question with another option, in every group of parameters too."""
    config, kwargs = {**example.config, name: value}, dict(example.kwargs)
    if kwargs.get("groups"):
        groups = kwargs["groups"]
        kwargs["groups"] = tuple({**g, name: value} if name in g else g for g in groups)
    return replace(example, config=config, kwargs=kwargs)


def _kind(name: str) -> str:
    return "statistics" if name == "training" else "option"


def _cost(text: str) -> float:
    if "were" in text and "ignored" not in text:
        return 2.2  # one of many numbers
    return 1.2 if "ignored" in text or "default" in text else 1.5


def _others(name: str, value: Any, universe: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Other values of an option, by how they come of the right one."""
    if name == "training":
        modes = {True: "training", False: "evaluation"}
        yield f"it answers in {modes[bool(value)]} as in {modes[not value]}", not value
        return
    if isinstance(value, bool):
        yield f"{name} is ignored: it answers as if it were {not value}", not value
        return
    if isinstance(value, int | float):
        for text, other in _numbers(name, value):
            yield text, other
    if isinstance(value, tuple) and value and all(isinstance(n, int) for n in value):
        for text, tuple_ in (
            (f"{name} is ignored: it answers as if it were 1", (1,) * len(value)),
            (f"{name} is read in reversed order", value[::-1]),
            (f"the first number of {name} is taken for all", value[:1] * len(value)),
            (f"the last number of {name} is taken for all", value[-1:] * len(value)),
        ):
            yield text, tuple_
    if value is None and any(isinstance(u, float) for u in universe):
        for other in (0.1, 0.9, 0.0, 1.0):
            yield f"it answers as if {name} were {other}", other
    for other in universe:
        if not isinstance(other, Slot):
            yield f"it answers as if {name} were {other!r}", other


def _numbers(name: str, value: float) -> Iterator[tuple[str, float]]:
    if isinstance(value, int):
        yield f"{name} is ignored: it answers as if it were 1", 1
        for text, other in (
            ("1 more", value + 1),
            ("1 less", value - 1),
            ("twice that", 2 * value),
            ("half of that", value // 2),
        ):
            if other > 0:  # torch does not always look before it divides by one
                yield f"it answers as if {name} were {text}", other
        return
    for n in (0.0, 1.0):
        yield f"{name} is ignored: it answers as if it were {n:g}", n
    yield f"{name} and 1 - {name} are exchanged", 1 - value
    yield f"it takes {name} squared for {name}", value * value
    if value > 0:
        yield f"it takes √{name} for {name}", value**0.5
        yield f"it takes 1/{name} for {name}", 1 / value
    for text, x in (("twice", 2 * value), ("half", value / 2), ("minus", -value)):
        yield f"it takes {text} {name} for {name}", x
    if name == "eps":
        for x in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12):
            yield f"it answers as if {name} were {x:g}, whatever it is", x


# ---- what is given -------------------------------------------------------------------------------


def _given(example: Example) -> Iterator[Question]:
    for name, a in example.arrays.items():
        if a.dtype.kind != "f" or name.startswith(("dy", "grad", "param")):
            continue
        told = name.removeprefix("state ")
        first = name == "input 0"

        def ask(text: str, value: Array, kind: str, cost: float, name: str = name) -> Question:
            value = np.ascontiguousarray(value)  # torch takes no negative strides
            changed = replace(example, arrays={**example.arrays, name: value})
            return Question((kind, text), kind, text, changed, cost)

        if first:
            for where, without in _without_ends(a):
                yield ask(f"it does not see {told} in {where}", without, "where", 2.1)
        for f, value in _functions(a) if first else ():
            yield ask(f"it takes {f} of {told} first", value, "constant", 1.9)
        if not first:
            text = f"{told} is ignored: it answers as if that were 0"
            yield ask(text, np.zeros_like(a), "ignored", 1.3)
        text = f"{told} is ignored: it answers as if that were 1"
        yield ask(text, np.ones_like(a), "ignored", 1.4 if not first else 2.5)
        yield ask(f"it takes -{told} for {told}", -a, "constant", 2.0)
        yield ask(f"it takes 2·{told} for {told}", 2 * a, "term", 2.2)
        yield ask(f"it takes |{told}| for {told}", np.abs(a), "constant", 2.3)
        with np.errstate(all="ignore"):
            yield ask(f"it takes {told}² for {told}", a * a, "constant", 2.4)
            if (a >= 0).all():
                yield ask(f"it takes √{told} for {told}", np.sqrt(a), "constant", 2.2)
        if a.ndim == 2 and a.shape[1] > 1 and not first:
            moved = {f"gradient of {told}": lambda g: np.flip(g, 0)}
            question = ask(f"{told} is in reversed order", np.flip(a, 1), "order", 1.9)
            yield replace(question, moved=moved)
        if a.ndim > 3 and not first:
            spatial = tuple(range(3, a.ndim))
            moved = {f"gradient of {told}": lambda g: np.flip(g, tuple(range(2, g.ndim)))}
            question = ask(f"{told} is flipped in its positions", np.flip(a, spatial), "order", 1.7)
            yield replace(question, moved=moved)
        if a.ndim > 3 and a.shape[1] == a.shape[2] and not first:
            moved = {f"gradient of {told}": lambda g: np.swapaxes(g, 0, 1)}
            question = ask(
                f"the first two axes of {told} are exchanged", np.swapaxes(a, 1, 2), "order", 1.7
            )
            yield replace(question, moved=moved)
        if a.ndim > 3 and a.shape[-1] == a.shape[-2] and not first:
            moved = {f"gradient of {told}": lambda g: np.swapaxes(g, -1, -2)}
            question = ask(
                f"the last two axes of {told} are exchanged", np.swapaxes(a, -1, -2), "order", 1.7
            )
            yield replace(question, moved=moved)
        if a.ndim == 3 and a.shape[1] == a.shape[2] and not first:
            moved = {f"gradient of {told}": lambda g: np.swapaxes(g, -1, -2)}
            question = ask(f"{told} is transposed", np.swapaxes(a, 1, 2), "order", 1.7)
            yield replace(question, moved=moved)
    yield from _exchanged(example)


def _functions(a: Array) -> Iterator[tuple[str, Array]]:
    """What people apply to a score or a probability before it is asked for."""
    with np.errstate(all="ignore"):
        yield "the sigmoid", 1 / (1 + np.exp(-a))
        yield "the tangent", np.tanh(a)
        yield "the exponential", np.exp(a)
        if (a > 0).all():
            yield "the logarithm", np.log(a)
        for axis in {1, a.ndim - 1} - {0} if a.ndim > 1 else ():
            if a.shape[axis] > 1:
                e = np.exp(a - a.max(axis, keepdims=True))
                softmax = e / e.sum(axis, keepdims=True)
                yield f"a softmax over {_counted_back(axis - a.ndim)}", softmax
                yield f"a log-softmax over {_counted_back(axis - a.ndim)}", np.log(softmax)


def _without_ends(a: Array) -> Iterator[tuple[str, Array]]:
    """The array (value sets first) with zeros in its first or last entries along an axis."""
    for axis in range(1, a.ndim):
        n = a.shape[axis]
        for which, at in (("last", (n - 1,)), ("first", (0,)), ("first and last", (0, n - 1))):
            if n > len(at):
                without = a.copy()
                np.moveaxis(without, axis, 0)[list(at)] = 0
                yield f"the {which} entries along {_counted_back(axis - a.ndim)}", without


def _counted_back(axis: int) -> str:
    """Axes by their distance from the last: with and without a batch the same."""
    return {-1: "the last axis", -2: "the last axis but one"}.get(axis, f"axis {axis}")


def _exchanged(example: Example) -> Iterator[Question]:
    """Two arrays of one shape in each other's place."""
    names = [n for n, a in example.arrays.items() if a.dtype.kind == "f"]
    names = [n for n in names if n.startswith(("state ", "input "))][:10]
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if example.arrays[a].shape != example.arrays[b].shape:
                continue
            arrays = {**example.arrays, a: example.arrays[b], b: example.arrays[a]}
            one, two = (n.removeprefix("state ") for n in (a, b))
            text = f"{one} and {two} are exchanged"
            yield Question(("swapped", text), "swapped", text, replace(example, arrays=arrays), 1.7)


def _gates(example: Example) -> Iterator[Question]:
    """The blocks of stacked weights in another order: the gates of a recurrent layer."""
    stacked = {
        n: a for n, a in example.arrays.items()
        if n.startswith("state ") and ("_ih" in n or "_hh" in n)
    }  # fmt: skip
    if not stacked:
        return
    for count, gates in ((4, "ifgo"), (3, "rzn")):
        hidden = next((a.shape[-1] for n, a in stacked.items() if "weight_hh" in n), 0)
        if not hidden or any(a.shape[1] != count * hidden for a in stacked.values()):
            continue
        for perm in permutations(range(count)):
            if perm == tuple(range(count)):
                continue
            arrays = dict(example.arrays)
            back = np.argsort(perm)
            moved: dict[str, Any] = {}
            for n, a in stacked.items():
                arrays[n] = _permuted(a, perm, 1)
                moved[f"gradient of {n[6:]}"] = lambda g, back=back: _permuted(g, back, 0)
            order = "".join(gates[int(i)] for i in back)
            text = f"the gates are in the order {order}, where torch has {gates}"
            changed = replace(example, arrays=arrays)
            yield Question(("gates", order), "order", text, changed, 1.2, moved)


def _permuted(a: Array, perm: Any, axis: int) -> Array:
    parts = np.split(a, len(perm), axis)
    return np.concatenate([parts[int(i)] for i in perm], axis)


# ---- the upstream gradient -----------------------------------------------------------------------


def _upstream(example: Example) -> Iterator[Question]:
    names = [n for n in example.outputs if n is not None]
    for name in names:
        a = example.arrays[name]
        several = len(names) > 1
        told = f"the upstream gradient {name}" if several else "the upstream gradient"

        def ask(text: str, value: Array, cost: float, name: str = name) -> Question:
            changed = replace(example, arrays={**example.arrays, name: value})
            return Question(("upstream", text), "upstream", text, changed, cost)

        if a[0].size:
            yield ask(f"{told} is ignored: it answers as if dy were 1", np.ones_like(a), 1.0)
        if several:
            yield ask(f"{told} is ignored", np.zeros_like(a), 1.0)
        yield ask(f"{told} is used in absolute value", np.abs(a), 2.0)
        yield ask(f"only what is positive of {told} is used", np.maximum(a, 0), 2.0)
        yield ask(f"only the sign of {told} is used", np.sign(a), 2.0)
        for axis, what in ((1, "sample (axis 0)"), (a.ndim - 1, "entry along the last axis")):
            if a.ndim > axis >= 1 and a.shape[axis] > 1:
                for which, at in (("first", 0), ("last", a.shape[axis] - 1)):
                    alone = np.zeros_like(a)
                    index = (*[slice(None)] * axis, at)
                    alone[index] = a[index]
                    text = f"only the {which} {what} counts"
                    changed = replace(example, arrays={**example.arrays, name: alone})
                    yield Question(("counts", text), "reduction", text, changed, 1.8)
        for where, without in _without_ends(a):
            text = f"{told} never arrives from {where}"
            changed = replace(example, arrays={**example.arrays, name: without})
            yield Question(("upstream", text), "where", text, changed, 1.9)
        if a.ndim > 1 and a[0].size > 1:
            mean = np.broadcast_to(a.mean(tuple(range(1, a.ndim)), keepdims=True), a.shape)
            yield ask(f"{told} is averaged first", mean.copy(), 2.0)
            first = np.broadcast_to(a.reshape(len(a), -1)[:, :1].reshape(-1, *[1] * (a.ndim - 1)),
                                    a.shape)  # fmt: skip
            yield ask(f"only the first number of {told} is used", first.copy(), 2.0)
