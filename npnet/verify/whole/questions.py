"""The questions that a training run puts to a layer by itself, and the smallest of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from npnet.contract import Array, State
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example, Slot, map_leaves
from npnet.verify.examine import Examiner
from npnet.verify.finding import Verdict
from npnet.verify.judge import Failure
from npnet.verify.precision import Precision
from npnet.verify.shrink import shrink
from npnet.verify.spec import Spec
from npnet.verify.whole.trace import Call

_SHRINK_SECONDS = 1.0
_LARGE = 4096  # numbers of a case, beyond which it is not made simpler number by number


def example_of(
    call: Call, spec: Spec, config: Mapping[str, Any], dtype: str, seed: int, *, known: bool
) -> Example:
    """A call of a layer as an example of its twin.

    known: whether the twin is a layer of torch.nn, so that its spec knows what it draws
    """
    arrays: dict[str, Array] = {}

    def slot(name: str, x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        arrays[name] = cast(x, dtype)[np.newaxis]
        return Slot(name)

    inputs = tuple(map_leaves(x, f"input {i}", slot) for i, x in enumerate(call.inputs))
    kwargs = {n: map_leaves(x, f"kwarg {n}", slot) for n, x in call.kwargs.items()}
    for name, a in call.state.items():
        slot(f"state {name}", a)
    told = {
        n: Slot(f"state {n}") if isinstance(v, np.ndarray) and n in call.state else v
        for n, v in config.items()
    }
    outputs = []
    for i, dy in enumerate(call.dys):
        name = "dy" if len(call.dys) == 1 else f"dy {i}"
        outputs.append(None if dy is None else name)
        if dy is not None:
            slot(name, dy)
    draws = spec.draws(config) if known else False
    return Example(
        spec.name,
        told,
        arrays,
        1,
        ("normal",),
        seed,
        inputs,
        kwargs,
        {},
        draws,
        None,
        tuple(outputs),
    )


def smaller(
    c: Candidate, spec: Spec, precision: Precision, example: Example, failure: Failure
) -> tuple[Example, Example, Failure]:
    """The same divergence on a few rows of the batch, and then with simpler numbers."""
    examiner = Examiner(c, spec, precision)
    best = (example, failure)

    def fails(one: Example) -> bool:
        nonlocal best
        try:
            found = examiner(one, protocols=("plain",))
        except Exception:  # torch itself takes no batch of that size
            return False
        same = [f for f in found if f.quantity == failure.quantity and f.worst is not None]
        if not same or same[0].verdict is not Verdict.WRONG:
            return False
        best = (one, replace(same[0], verdict=failure.verdict))
        return True

    if failure.verdict is not Verdict.WRONG:
        return example, *best
    for rows in _fewer(example):
        if fails(rows):
            break
    here = best[0]
    if sum(a.size for a in here.arrays.values()) <= _LARGE:
        shrink(here.one(0), lambda arrays: fails(here.replaced(arrays)), _SHRINK_SECONDS)
    return here, *best


def _fewer(example: Example) -> Iterator[Example]:
    """Less of it: one parameter of an optimizer; the first rows of a batch.

    They are the first axis of all inputs and cotangents, or nothing is known of them.
    """
    names = {n.rpartition(" ")[2] for n in example.arrays if n.startswith("param ")}
    for name in names:
        mine = {k: a for k, a in example.arrays.items() if k.rpartition(" ")[2] == name}
        yield replace(example, arrays=mine, kwargs={**example.kwargs, "groups": ()})
    given = {n: a for n, a in example.arrays.items() if n.startswith(("input ", "dy"))}
    rows = [n for n, a in given.items() if a.ndim > 1]
    sizes = {example.arrays[n].shape[1] for n in rows}
    if len(sizes) != 1:
        return
    (size,) = sizes
    n = 1
    while n < size:
        arrays = {k: a[:, :n].copy() if k in rows else a for k, a in example.arrays.items()}
        yield replace(example, arrays=arrays)
        n *= 2


def cast(x: Any, dtype: str) -> Any:
    """An array in another format; integers, and what is no array, as they are."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def in_format(state: State, dtype: str) -> dict[str, Array]:
    """A state in another format."""
    return {name: cast(a, dtype) for name, a in state.items()}
