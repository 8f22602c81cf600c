"""Operations of a tensor made of others, so that a whole record is walked back."""

import math

import numpy as np

from npnet.autograd import Tensor


def add(a, b):
    return -(-a - b)


def sub(a, b):
    return a + (-b if isinstance(b, Tensor) else -1 * b)


def neg(x):
    return 0 - x


def matmul(a, b):
    """Σ over products of all pairs, broadcast."""
    rows = a[None] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    y = (rows[..., None] * columns[..., None, :, :]).sum(-2)
    y = y[..., 0] if b.ndim == 1 else y
    return y[..., 0, :] if a.ndim == 1 < b.ndim else y[..., 0] if a.ndim == 1 else y


def sigmoid(x):
    return ((x / 2).tanh() + 1) / 2


def relu(x):
    return x * Tensor((x.data > 0).astype(x.dtype))


def sum_(x, axis=None, keepdims=False):
    """Slice by slice, the last axis first."""
    several = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for i in sorted((i % x.ndim for i in several), reverse=True):
        front = x.transpose(i, *(j for j in range(x.ndim) if j != i))
        total = front[0] if len(front) else front.sum(0)
        for k in range(1, len(front)):
            total = total + front[k]
        x = total.reshape(*x.shape[:i], *(1,) * keepdims, *x.shape[i + 1 :])
    return x


def mean(x, axis=None, keepdims=False):
    several = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return x.sum(axis, keepdims) / math.prod(x.shape[i] for i in several)


def expand(x, *shape):
    ahead = len(shape) - x.ndim
    wanted = [x.shape[i - ahead] if n == -1 else n for i, n in enumerate(shape)]
    return x + Tensor(np.zeros(wanted, x.dtype))


def transpose(x, *axes):
    """Through the places of the elements in one row."""
    places = np.arange(x.data.size).reshape(x.shape).transpose(axes or None)
    return x.reshape(-1)[places]


def index(x, at):
    places = np.arange(x.data.size).reshape(x.shape)[at]
    return x.reshape(-1).index_select(0, places.ravel()).reshape(places.shape)


def index_select(x, axis, indices):
    """A product with rows of the unit matrix."""
    axis %= x.ndim
    front = x.transpose(axis, *(i for i in range(x.ndim) if i != axis))
    chosen = Tensor(np.eye(len(front), dtype=x.dtype)[indices])
    y = (chosen @ front.reshape(len(front), -1)).reshape(len(indices), *front.shape[1:])
    return y.transpose(*range(1, axis + 1), 0, *range(axis + 1, x.ndim))


def softmax(x, axis=-1):
    if not x.ndim:
        return x * 0 + 1
    e = (x - x.detach().max(axis, True)).exp() if x.data.size else x.exp()
    return e / e.sum(axis, True)


ALTERNATIVES = {
    f"autograd.{f.__name__.rstrip('_')}": f
    for f in (
        add, sub, neg, matmul, sigmoid, relu, sum_, mean, expand, transpose, index,
        index_select, softmax,
    )
}  # fmt: skip
