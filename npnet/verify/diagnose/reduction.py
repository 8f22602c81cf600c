"""Sums over other axes or terms, or over one only: softmaxes, parameters, repeated rows."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading

_SOFTMAXES = ("Softmax", "Softmin", "LogSoftmax", "Softmax2d")


def softmaxes(v: View) -> Iterator[Reading]:
    """A softmax, or its gradient, that sums over other axes, or not at all."""
    x, y, dy = v.x, v.y, v.dy
    if v.probe.example.spec not in _SOFTMAXES or x is None or y is None or x.shape != v.want.shape:
        return
    if not x.ndim:
        return
    every = tuple(range(x.ndim))
    for axes in (*((i,) for i in every), every):
        told = "over everything" if axes == every else f"over axis {axes[0]}"
        if v.quantity == "y":
            for sign in (1.0, -1.0):
                e = np.exp(sign * (x - x.max()))
                share = e / e.sum(axes, keepdims=True)
                for value in (share, np.log(share)):
                    yield Reading(("soft", told), "reduction", f"it sums {told}", value, 1.6)
        elif dy is not None:
            for summand, value in (
                ("dy·y", y * (dy - (dy * y).sum(axes, keepdims=True))),
                ("dy·y", -y * (dy - (dy * y).sum(axes, keepdims=True))),
                ("dy", dy - np.exp(y) * dy.sum(axes, keepdims=True)),
            ):
                text = f"the sum of {summand} in it runs {told}"
                yield Reading(("soft", told), "reduction", text, value, 1.6)
    if dy is not None and v.quantity != "y":
        text = "only the diagonal of the Jacobian counts"
        for value in (y * dy, y * (1 - y) * dy, (1 - np.exp(y)) * dy):
            yield Reading(("soft", "diagonal"), "term", text, value, 1.5)


def reductions(v: View) -> Iterator[Reading]:
    """A gradient of a parameter, or an output, summed in another way than torch does."""
    if v.dy is None or not v.want.ndim:
        return
    for name, summand in _summands(v):
        for axes in _leading(summand.shape, v.want.shape):
            for how, value in _reduced(summand, axes):
                if value.shape == v.want.shape:
                    text = f"it is {how} of {name}"
                    yield Reading((how, name), "reduction", text, value, 2.4)
    yield from _scattered(v)


def _summands(v: View) -> Iterator[tuple[str, Array]]:
    assert v.dy is not None
    yield "dy", v.dy
    for name, a in (("x", v.x), ("y", v.y)):
        if a is not None and a.shape == v.dy.shape:
            yield f"dy·{name}", v.dy * a


def _leading(shape: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The axes over which a sum has the shape wanted."""
    gone = len(shape) - len(wanted)
    if gone <= 0:
        return
    for axes in combinations(range(len(shape)), gone):
        if tuple(n for i, n in enumerate(shape) if i not in axes) == wanted:
            yield axes


def _reduced(a: Array, axes: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    yield "the sum", a.sum(axes)
    if not all(a.shape[i] for i in axes):
        return
    yield "the mean", a.mean(axes)
    for which, at in (("the first", 0), ("the last", -1)):
        for n in range(1, len(axes) + 1):
            for some in combinations(axes, n):
                index = tuple(
                    slice(at, None)
                    if i in some and at < 0
                    else slice(0, 1)
                    if i in some
                    else slice(None)
                    for i in range(a.ndim)
                )
                rest = "" if n == len(axes) else " along one axis, summed over the others,"
                yield f"{which}{rest}", a[index].sum(axes)


def _scattered(v: View) -> Iterator[Reading]:
    """Rows added by index: only the last one of equal indices kept, or their mean."""
    assert v.dy is not None
    for name, index in v.probe.arrays.items():
        if index.dtype.kind not in "iu" or not index.size or v.want.ndim < 1:
            continue
        rows = v.dy.reshape(index.size, -1) if v.dy.size % index.size == 0 else None
        if rows is None or rows.shape[1:] != (v.want[0].size if v.want.shape[0] else 0,):
            continue
        flat = index.reshape(-1)
        if flat.min() < 0 or flat.max() >= v.want.shape[0]:
            continue
        last, count = np.zeros((v.want.shape[0], rows.shape[1])), np.zeros(v.want.shape[0])
        first = np.zeros_like(last)
        for i, row in zip(flat, rows, strict=True):
            first[i] = row if not count[i] else first[i]
            last[i] = row
            count[i] += 1
        repeated = "of repeated indices only the"
        for which, value in (("last", last), ("first", first)):
            known = np.where((v.want != 0) | (v.got != 0), value.reshape(v.want.shape), 0.0)
            text = f"{repeated} {which} one counts, where their gradients add up ({name})"
            yield Reading(("scattered", which), "reduction", text, known, 1.4)
        mean = v.want / np.maximum(count, 1).reshape(-1, *[1] * (v.want.ndim - 1))
        text = f"the gradients of repeated indices are averaged, not added ({name})"
        yield Reading(("scattered", "mean"), "reduction", text, mean, 1.4)
