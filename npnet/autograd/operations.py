"""The operations of a tensor: each a function of arrays that returns y and its vjp.

    y, vjp = multiply(a, b)        da, db = vjp(dy)

vjp(dy) has one gradient for every array, None for one that has none, each in its array's shape:
what was broadcast is summed. It may be called any number of times, and writes into nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npnet.contract import Array

Axes = int | tuple[int, ...] | None
Vjp = Callable[[Array], Sequence[Array | None]]
Made = tuple[Array, Vjp]


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """The sum of g over everything along which an array of this shape was broadcast."""
    if g.shape == shape:
        return g
    ahead = g.ndim - len(shape)
    stretched = tuple(ahead + i for i, n in enumerate(shape) if n == 1 and g.shape[ahead + i] != 1)
    summed: Array = g.sum((*range(ahead), *stretched), keepdims=True)
    return summed.reshape(shape)


def _poles() -> np.errstate:
    """What is divided by 0 becomes infinite or nan without a warning, as in torch."""
    return np.errstate(divide="ignore", invalid="ignore")


# ---- arithmetic: y = f(a, b), broadcast as NumPy broadcasts --------------------------------------


def add(a: Array, b: Array) -> Made:
    """y = a + b    da = dy, db = dy."""
    shapes = a.shape, b.shape
    return a + b, lambda dy: (unbroadcast(dy, shapes[0]), unbroadcast(dy, shapes[1]))


def subtract(a: Array, b: Array) -> Made:
    """y = a - b    da = dy, db = -dy."""
    shapes = a.shape, b.shape
    return a - b, lambda dy: (unbroadcast(dy, shapes[0]), unbroadcast(-dy, shapes[1]))


def multiply(a: Array, b: Array) -> Made:
    """y = a b    da = dy b, db = dy a."""
    return a * b, lambda dy: (unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape))


def divide(a: Array, b: Array) -> Made:
    """y = a / b    da = dy / b, db = -dy a / b², taken as -(dy / b) (a / b)."""
    with _poles():
        y = a / b

    def vjp(dy: Array) -> tuple[Array, Array]:
        with _poles():
            da = dy / b
            return unbroadcast(da, a.shape), unbroadcast(-da * y, b.shape)

    return y, vjp


def power(a: Array, b: Array) -> Made:
    """y = aᵇ    da = dy b aᵇ⁻¹, db = dy y ln a.

    As torch has it: da is 0 where b is 0, and db is 0 where a is 0 and b at least 0.
    """
    with _poles():
        y = a**b

    def vjp(dy: Array) -> tuple[Array, Array]:
        one = b.dtype.type(1)
        with _poles():
            da = np.where(b == 0, b.dtype.type(0), dy * (b * a ** (b - one)))
            db = np.where((a == 0) & (b >= 0), a.dtype.type(0), dy * (y * np.log(a)))
        return unbroadcast(da, a.shape), unbroadcast(db, b.shape)

    return y, vjp


def negative(a: Array) -> Made:
    """y = -a    da = -dy."""
    return -a, lambda dy: (-dy,)


def matmul(a: Array, b: Array) -> Made:
    """y = a b, products of the last two axes, the others broadcast; vectors as NumPy takes them.

    da = dy bᵀ, db = aᵀ dy.
    """
    y = np.asarray(a @ b)
    # a vector is a matrix of one row on the left, of one column on the right
    rows = a[np.newaxis] if a.ndim == 1 else a
    columns = b[:, np.newaxis] if b.ndim == 1 else b

    def vjp(dy: Array) -> tuple[Array, Array]:
        if b.ndim == 1:
            dy = dy[..., np.newaxis]
        if a.ndim == 1:
            dy = dy[..., np.newaxis, :]
        da = dy @ np.swapaxes(columns, -1, -2)
        db = np.swapaxes(rows, -1, -2) @ dy
        return (
            unbroadcast(da, rows.shape).reshape(a.shape),
            unbroadcast(db, columns.shape).reshape(b.shape),
        )

    return y, vjp


def exp(a: Array) -> Made:
    """y = eᵃ    da = dy y."""
    y = np.exp(a)
    return y, lambda dy: (dy * y,)


def log(a: Array) -> Made:
    """y = ln a    da = dy / a."""
    with _poles():
        y = np.log(a)

    def vjp(dy: Array) -> tuple[Array]:
        with _poles():
            return (dy / a,)

    return y, vjp


def sigmoid(a: Array) -> Made:
    """y = 1 / (1 + e⁻ᵃ)    da = dy y (1 - y)."""
    with np.errstate(over="ignore"):
        y = 1 / (1 + np.exp(-a))
    return y, lambda dy: (dy * (y * (1 - y)),)


def tanh(a: Array) -> Made:
    """y = tanh a    da = dy (1 - y²)."""
    y = np.tanh(a)
    return y, lambda dy: (dy * (1 - y * y),)


def relu(a: Array) -> Made:
    """y = max(a, 0)    da = dy where a > 0, 0 at 0. A nan stays nan, and lets dy pass."""
    blocked = a <= 0  # false for nan
    y = np.clip(a, 0, np.inf)  # which keeps -0.0, unlike np.maximum
    return y, lambda dy: (dy * ~blocked,)


# ---- reductions ----------------------------------------------------------------------------------


def sum_(a: Array, axis: Axes = None, keepdims: bool = False) -> Made:
    """y = Σ a    da = dy, spread over the axes."""
    y = np.asarray(a.sum(axis, keepdims=keepdims))
    return y, lambda dy: (np.broadcast_to(_kept(dy, a, axis, keepdims), a.shape).copy(),)


def mean(a: Array, axis: Axes = None, keepdims: bool = False) -> Made:
    """y = Σ a / n, nan where n is 0    da = dy / n, spread over the axes."""
    if a.size:
        y = np.asarray(a.mean(axis, keepdims=keepdims))
    else:
        y = np.full_like(a.sum(axis, keepdims=keepdims), np.nan)

    def vjp(dy: Array) -> tuple[Array]:
        n = a.dtype.type(a.size // max(y.size, 1) or 1)
        return (np.broadcast_to(_kept(dy / n, a, axis, keepdims), a.shape).copy(),)

    return y, vjp


def max_(a: Array, axis: Axes = None, keepdims: bool = False) -> Made:
    """y = max a    da = dy, in equal parts to all that are the largest, as torch.amax has it."""
    y = np.asarray(a.max(axis, keepdims=True))
    result = y if keepdims else y.reshape(a.max(axis).shape)

    def vjp(dy: Array) -> tuple[Array]:
        largest = a == y
        share = _kept(dy, a, axis, keepdims) / largest.sum(axis, keepdims=True, dtype=a.dtype)
        return (largest * share,)

    return result, vjp


def _kept(dy: Array, a: Array, axis: Axes, keepdims: bool) -> Array:
    """dy with the axes that were summed, of length 1."""
    if keepdims:
        return dy
    axes = range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {i % a.ndim for i in axes} if a.ndim else set()
    return dy.reshape([1 if i in gone else n for i, n in enumerate(a.shape)])


# ---- the same numbers in another shape -----------------------------------------------------------


def expand(a: Array, shape: Sequence[int]) -> Made:
    """y = a, broadcast to a shape; -1 leaves an axis as it is    da = Σ dy over the copies."""
    ahead = len(shape) - a.ndim
    wanted = [a.shape[i - ahead] if n == -1 and i >= ahead else n for i, n in enumerate(shape)]
    return np.broadcast_to(a, wanted).copy(), lambda dy: (unbroadcast(dy, a.shape),)


def reshape(a: Array, shape: Sequence[int]) -> Made:
    """y = a in another shape of as many elements    da = dy in a's."""
    before = a.shape
    return a.reshape(shape), lambda dy: (dy.reshape(before),)


def transpose(a: Array, axes: Sequence[int] | None = None) -> Made:
    """y = a with its axes in this order, reversed without one    da = dy in the order before."""
    order = tuple(axes) if axes else tuple(reversed(range(a.ndim)))
    back = np.argsort([i % a.ndim for i in order]) if a.ndim else ()
    return a.transpose(order), lambda dy: (dy.transpose(*back),)


def index(a: Array, at: Any) -> Made:
    """y = a[at]    da = dy at its places, summed where a place is taken more than once."""
    y = np.array(a[at])
    parts = at if isinstance(at, tuple) else (at,)
    once = all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)

    def vjp(dy: Array) -> tuple[Array]:
        da = np.zeros_like(a)
        if once:
            da[at] = dy
        else:
            np.add.at(da, at, dy)
        return (da,)

    return y, vjp


def index_select(a: Array, axis: int, indices: Array) -> Made:
    """y = the slices of a at these indices along an axis    da = dy, summed by index."""
    before = (slice(None),) * (axis % a.ndim)
    return index(a, (*before, indices))
