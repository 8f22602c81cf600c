"""The answer as a whole beside torch's: zero, passed through, scaled, reordered, exchanged."""

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.numbers import names
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading

_ORDER = 2.0


def zero(v: View) -> Iterator[Reading]:
    """No gradient at all."""
    if not v.got.any() and v.want.any():
        yield Reading(("zero",), "zero", "it is 0 everywhere", np.zeros_like(v.want), 0.5)


def passed(v: View) -> Iterator[Reading]:
    """Something given, as it is."""
    for name, a in v.probe.arrays.items():
        if a.shape != v.want.shape or np.array_equal(a, v.want):
            continue
        if name == v.quantity.removeprefix("next "):
            yield Reading(("passed", name), "passed", f"{name} is left as it was", a, 0.9)
            continue
        if a.dtype.kind != "f":
            continue
        text = "the upstream gradient dy" if name == "dy" else name
        yield Reading(("passed", name), "passed", f"it is {text}, passed through as it is", a, 1.0)
        yield Reading(("passed", "-", name), "passed", f"it is -({text})", -a, 1.5)


def factor(v: View) -> Iterator[Reading]:
    """A constant times torch's answer, and which constant that is."""
    c = fitted(v.got, v.want)
    if c is None or abs(c - 1) < 1e-9:
        return
    lone = 1.0 if v.want.size > 1 else 2.5  # one number is always a multiple of another
    scaled = c * v.want
    for name in names(c, v.probe):
        text = f"it is {_times(name)} torch's"
        yield Reading(("factor", name), "factor", text, scaled, lone + 0.01 * len(name))
    if v.want.size > 1:
        yield Reading(("factor", f"{c:.6g}"), "factor", f"it is {c:.6g} times torch's", scaled, 3.0)
        text = "it is torch's times a number that changes with the question"
        yield Reading(("factor", "another"), "factor", text, scaled, 3.6)


def _times(name: str) -> str:
    if name == "-1":
        return "minus"
    return f"{name} times"


def fitted(got: Array, want: Array) -> float | None:
    """The c for which c·want comes nearest to got; by the largest element, which is not rounded."""
    with np.errstate(all="ignore"):
        if not want.size or not np.isfinite(got).all() or not np.isfinite(want).all():
            return None
        at = np.unravel_index(np.argmax(np.abs(want)), want.shape)
        return float(got[at] / want[at]) if want[at] else None


def axis_factor(v: View) -> Iterator[Reading]:
    """A factor for each element or each index of one axis, which is an array that has a name."""
    if v.want.ndim == 0 or not v.want.any():
        return
    with np.errstate(all="ignore"):
        ratio = v.got / v.want
    if not np.isfinite(ratio[v.want != 0]).all():
        return
    for name, a in _named(v):
        for text, value, cost in _powers(name, a):
            for spread in _spread(value, v.want.shape):
                key = ("axis factor", text)
                yield Reading(key, "axis factor", text, v.want * spread, 1.8 + cost)
    for axis, n in enumerate(v.want.shape):
        others = tuple(i for i in range(v.want.ndim) if i != axis)
        if not others or n < 2 or v.want.size < 3 * n:
            continue
        with np.errstate(all="ignore"):
            f = (v.got * v.want).sum(others, keepdims=True) / (v.want**2).sum(others, keepdims=True)
        if np.isfinite(f).all():
            text = f"each index of axis {axis} has a factor of its own"
            yield Reading(("axis factor", str(axis)), "axis factor", text, f * v.want, 3.7, False)


def summed(v: View) -> Iterator[Reading]:
    """Summed or averaged over an axis that should have been kept."""
    for axis, n in enumerate(v.want.shape):
        if n < 2:
            continue
        for how, value in (
            ("summed", v.want.sum(axis, keepdims=True)),
            ("averaged", v.want.mean(axis, keepdims=True)),
        ):
            spread = np.broadcast_to(value, v.want.shape)
            text = f"it is {how} over axis {axis} too, which should be kept"
            yield Reading(("summed", how, str(axis)), "reduction", text, spread, 2.0)


def _named(v: View) -> Iterator[tuple[str, Array]]:
    alone = "input 1" not in v.probe.arrays
    for name, a in v.probe.arrays.items():
        if a.dtype.kind == "f" and a.ndim and a.size > 1 and not name.startswith("grad "):
            yield ("x" if alone and name == "input 0" else name), a
    y = v.y
    if y is not None and y.ndim and v.quantity != "y":
        yield "y", y
    x = v.x
    if x is not None and x.ndim > 1:
        for where, axes in (("last axis", (x.ndim - 1,)), ("channel", _but(x.ndim, 1))):
            with np.errstate(all="ignore"):
                yield f"the variance of each {where}", x.var(axes, keepdims=True)


def _but(ndim: int, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if i != axis)


def _powers(name: str, a: Array) -> Iterator[tuple[str, Array, float]]:
    """Factors that are too much, or missing."""
    inner = [(name, a), (f"{name}²", a * a)]
    if (a > 0).all():
        inner.append((f"√({name})", np.sqrt(a)))
    if a.ndim:
        inner += [(f"(1 - {name})", 1 - a), (f"(1 + {name})", 1 + a), (f"(1 - {name}²)", 1 - a * a)]
    for i, (text, value) in enumerate(inner):
        cost = 0.02 * i if text[0] != "(" else 0.3
        yield f"there is a factor {text} too much", value, cost
        yield f"the factor {text} is missing", 1 / value, cost


def _spread(a: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """An array along the axes where it fits: as it is, or along one axis alone."""
    try:
        np.broadcast_shapes(a.shape, shape)
        if len(a.shape) <= len(shape) and np.broadcast_shapes(a.shape, shape) == shape:
            yield a
    except ValueError:
        pass
    if a.ndim == 1:
        for axis, n in enumerate(shape[:-1]):
            if n == a.size:
                yield a.reshape([n if i == axis else 1 for i in range(len(shape))])


def order(v: View) -> Iterator[Reading]:
    """The same numbers in other places."""
    w = v.want
    if w.ndim == 0 or w.size < 2:
        return
    for perm in permutations(range(w.ndim)):
        if perm != tuple(range(w.ndim)) and tuple(w.shape[i] for i in perm) == w.shape:
            text = "its axes are transposed" if w.ndim == 2 else f"its axes are in the order {perm}"
            yield Reading(("order", str(perm)), "order", text, w.transpose(perm), _ORDER)
    for axis, n in enumerate(w.shape):
        if n < 2:
            continue
        yield Reading(
            ("order", "flip", str(axis)),
            "order",
            f"axis {axis} is in reversed order",
            np.flip(w, axis),
            _ORDER,
        )
        for by in (1, -1):
            text = f"it is shifted by {by} along axis {axis}"
            yield Reading(("order", "roll", text), "order", text, np.roll(w, by, axis), _ORDER)
        yield from _blocks(v, axis)
    if w.ndim > 2:
        flipped = np.flip(w, (-2, -1))
        text = "the last two axes are in reversed order"
        yield Reading(("order", "flip2"), "order", text, flipped, _ORDER)
    yield from _laid_out(v)


def _blocks(v: View, axis: int) -> Iterator[Reading]:
    """Blocks along an axis exchanged: gates, heads, groups, or single channels."""
    w, n = v.want, v.want.shape[axis]
    for count in range(2, min(n, 8) + 1):
        if n % count:
            continue
        parts = np.split(w, count, axis)
        orders = permutations(range(count)) if count < 5 else (tuple(range(count))[::-1],)
        for perm in orders:
            if perm == tuple(range(count)):
                continue
            joined = np.concatenate([parts[i] for i in perm], axis)
            text = f"the {count} blocks of axis {axis} are in the order {_numbers(perm)}"
            yield Reading(("order", text), "order", text, joined, _ORDER + 0.05 * count)
            if perm == tuple(range(count))[::-1]:
                text = f"the blocks of axis {axis} are in reversed order"
                yield Reading(("order", text), "order", text, joined, _ORDER + 0.2)
    found = _matching(v.got, w, axis)
    if found is not None and found != list(range(n)):
        text = f"the entries along axis {axis} are permuted"
        yield Reading(("order", text), "order", text, np.take(w, found, axis), _ORDER + 0.5)


def _matching(got: Array, want: Array, axis: int) -> list[int] | None:
    """Which slice of `want` every slice of `got` is; None unless that is a permutation."""
    n = want.shape[axis]
    if n > 64:
        return None
    g, w = (np.moveaxis(a, axis, 0).reshape(n, -1) for a in (got, want))
    with np.errstate(all="ignore"):
        apart = np.abs(g[:, np.newaxis] - w).max(-1)
    best = apart.argmin(1).tolist()
    return best if len(set(best)) == n else None


def scattered(v: View) -> Iterator[Reading]:
    """The same numbers, every one of them, in other places."""
    if v.want.size < 3 or not np.isfinite(v.got).all():
        return
    g, w = v.got.reshape(-1), v.want.reshape(-1)
    by_got, by_want = np.argsort(g, kind="stable"), np.argsort(w, kind="stable")
    moved = np.empty_like(w)
    moved[by_got] = w[by_want]
    text = "it holds the right numbers in other places"
    if len(np.unique(w)) > 2:
        yield Reading(("order", "scattered"), "order", text, moved.reshape(v.want.shape), 3.2)


def _laid_out(v: View) -> Iterator[Reading]:
    """The numbers in the same memory, read with other axes."""
    w = v.want
    for perm in permutations(range(w.ndim)) if w.ndim in (2, 3, 4) else ():
        if perm == tuple(range(w.ndim)):
            continue
        moved = np.ascontiguousarray(w.transpose(perm)).reshape(w.shape)
        text = f"it is reshaped where the axes should be exchanged {_numbers(perm)}"
        yield Reading(("order", "reshape", str(perm)), "order", text, moved, _ORDER + 0.6)


def _numbers(perm: Sequence[int]) -> str:
    return ", ".join(str(i) for i in perm)


def swapped(v: View) -> Iterator[Reading]:
    """torch's answer for something else."""
    for name, w in v.probe.want.items():
        if name == v.quantity or w.shape != v.want.shape or w.dtype.kind != "f":
            continue
        if "after step" in name or not w.any():
            continue
        yield Reading(("swapped", name), "swapped", f"it is torch's {name}", w, 1.6)
        yield Reading(("swapped", "-", name), "swapped", f"it is minus torch's {name}", -w, 2.2)
        both = w + v.want
        text = f"it is torch's plus torch's {name}"
        yield Reading(("swapped", "+", name), "term", text, both, 2.6)
