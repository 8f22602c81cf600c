"""The rectifiers case by case, by np.where, and by the formulas of their papers."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _either(condition: Array, a: Array, b: Array | float) -> Array:
    """np.where in the dtype of a."""
    return np.where(condition, a, np.asarray(b, a.dtype))


def _leaky(x: Array, slope: Array | float) -> Forward:
    negative = x <= 0
    return Forward(
        _either(negative, x * slope, x), lambda dy: Grads((_either(negative, dy * slope, dy),))
    )


@dataclass(frozen=True)
class ReLU(nn.ReLU):
    def __call__(self, state: State, x: Array) -> Forward:
        return Forward(
            (x + np.abs(x)) / 2, lambda dy: Grads((np.where(x > 0, dy, dy.dtype.type(0)),))
        )


@dataclass(frozen=True)
class LeakyReLU(nn.LeakyReLU):
    def __call__(self, state: State, x: Array) -> Forward:
        return _leaky(x, self.negative_slope)


@dataclass(frozen=True)
class RReLU(nn.RReLU):
    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        if not self.training:
            return _leaky(x, (self.lower + self.upper) / 2)
        assert rng is not None
        u = rng.random(x.shape)
        return _leaky(x, np.asarray((1 - u) * self.lower + u * self.upper, x.dtype))


@dataclass(frozen=True)
class PReLU(nn.PReLU):
    """max(x, 0) + w min(x, 0), channels last."""

    def _channels_last(self, x: Array) -> Array:
        return x[..., None] if self.num_parameters == 1 else np.moveaxis(x[..., None], 1, -1)

    def __call__(self, state: State, x: Array) -> Forward:
        w = state["weight"]
        channels_last = self._channels_last(x)
        low = np.minimum(channels_last, 0)

        def back(v: Array) -> Array:
            return v.reshape(x.shape) if w.size == 1 else np.moveaxis(v, -1, 1)[..., 0]

        def vjp(dy: Array) -> Grads:
            g = self._channels_last(dy)
            dx = np.where(channels_last > 0, g, g * w)
            rows = (g * low).reshape(-1, w.size)
            return Grads((back(dx),), {"weight": np.ones(len(rows), x.dtype) @ rows})

        return Forward(back(np.maximum(channels_last, 0) + w * low), vjp)


def _exponential(x: Array, alpha: float, length: float, scale: float) -> Forward:
    """With eˣ - 1 for expm1, and the slope by the value."""
    low = scale * alpha * (np.exp(np.minimum(x, 0) * (1 / length)) - 1)
    slope = (low + scale * alpha) / length
    return Forward(
        _either(x > 0, scale * x, low),
        lambda dy: Grads((_either(x > 0, scale * dy, slope * dy),)),
    )


@dataclass(frozen=True)
class ELU(nn.ELU):
    def __call__(self, state: State, x: Array) -> Forward:
        return _exponential(x, self.alpha, 1, 1)


@dataclass(frozen=True)
class SELU(nn.SELU):
    def __call__(self, state: State, x: Array) -> Forward:
        return _exponential(x, 1.6732632423543772, 1, 1.0507009873554805)


@dataclass(frozen=True)
class CELU(nn.CELU):
    def __call__(self, state: State, x: Array) -> Forward:
        return _exponential(x, self.alpha, self.alpha, 1)


@dataclass(frozen=True)
class Threshold(nn.Threshold):
    def __call__(self, state: State, x: Array) -> Forward:
        y = np.array(x)
        y[x <= self.threshold] = self.value

        def vjp(dy: Array) -> Grads:
            dx = np.array(dy)
            dx[x <= self.threshold] = 0
            return Grads((dx,))

        return Forward(y, vjp)


ALTERNATIVES = {
    "ReLU": ReLU,
    "LeakyReLU": LeakyReLU,
    "RReLU": RReLU,
    "PReLU": PReLU,
    "ELU": ELU,
    "SELU": SELU,
    "CELU": CELU,
    "Threshold": Threshold,
}
