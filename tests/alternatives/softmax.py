"""All through the logarithm of the sum, smallest terms first; backwards term by term."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _axis(dim: int | None, axes: int) -> int:
    if dim is not None:
        return dim
    return 1 if axes not in (0, 1, 3) else 0


def _log_softmax(rows: Array) -> Array:
    """Along the last axis; the largest element is made 0, so that nothing cancels."""
    z = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    sums = np.add.accumulate(np.sort(np.exp(z), -1), -1)
    return z - np.log(sums[..., -1:])


def _softmax(x: Array, axis: int) -> Forward:
    y = np.exp(_log_softmax(np.moveaxis(np.atleast_1d(x), axis, -1)))

    def vjp(dy: Array) -> Grads:
        g = np.moveaxis(np.atleast_1d(dy), axis, -1)
        dx = y * g - y * (y[..., None, :] @ g[..., None])[..., 0]
        return Grads((np.moveaxis(dx, -1, axis).reshape(x.shape),))

    return Forward(np.moveaxis(y, -1, axis).reshape(x.shape).copy(), vjp)


@dataclass(frozen=True)
class Softmax(nn.Softmax):
    def __call__(self, state: State, x: Array) -> Forward:
        return _softmax(x, _axis(self.dim, x.ndim))


@dataclass(frozen=True)
class Softmin(nn.Softmin):
    def __call__(self, state: State, x: Array) -> Forward:
        y, vjp, _ = _softmax(np.negative(x), _axis(self.dim, x.ndim))
        return Forward(y, lambda dy: vjp(-dy))


@dataclass(frozen=True)
class Softmax2d(nn.Softmax2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _softmax(x, x.ndim - 3)


@dataclass(frozen=True)
class LogSoftmax(nn.LogSoftmax):
    def __call__(self, state: State, x: Array) -> Forward:
        axis = _axis(self.dim, x.ndim)
        y = _log_softmax(np.moveaxis(np.atleast_1d(x), axis, -1))

        def vjp(dy: Array) -> Grads:
            g = np.moveaxis(np.atleast_1d(dy), axis, -1)
            p = np.exp(y) / np.exp(y).sum(-1, keepdims=True)  # whose sum is 1 but for rounding
            dx = g - p * (g @ np.ones((g.shape[-1], 1), g.dtype))
            return Grads((np.moveaxis(dx, -1, axis).reshape(x.shape),))

        return Forward(np.moveaxis(y, -1, axis).reshape(x.shape).copy(), vjp)


ALTERNATIVES = {
    "Softmax": Softmax,
    "Softmin": Softmin,
    "Softmax2d": Softmax2d,
    "LogSoftmax": LogSoftmax,
}
