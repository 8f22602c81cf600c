"""Losses of regression branch by branch, with means as products with a constant."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, reduced


def _of(loss, prediction, target, f, slope):
    a, b = np.broadcast_arrays(prediction, target.astype(prediction.dtype))
    d = b - a  # the other way round
    y, scale = reduced(loss, f(d))

    def vjp(dy: Array) -> Grads:
        g = dy * scale * slope(d)
        counted = target.dtype.kind != "f"
        return Grads((gathered(prediction, -g, d), None if counted else gathered(target, g, d)))

    return Forward(y, vjp)


@dataclass(frozen=True)
class L1Loss(nn.L1Loss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        return _of(
            self,
            prediction,
            target,
            lambda d: np.maximum(d, -d),
            lambda d: (d > 0).astype(d.dtype) - (d < 0),
        )


@dataclass(frozen=True)
class MSELoss(nn.MSELoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        return _of(self, prediction, target, np.square, lambda d: d + d)


@dataclass(frozen=True)
class SmoothL1Loss(nn.SmoothL1Loss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        beta = self.beta
        if not beta:
            return _of(self, prediction, target, np.abs, np.sign)

        def f(d: Array) -> Array:
            return np.where(np.abs(d) < beta, 0.5 * d * d / beta, np.abs(d) - 0.5 * beta)

        return _of(
            self, prediction, target, f, lambda d: np.where(np.abs(d) < beta, d / beta, np.sign(d))
        )


@dataclass(frozen=True)
class HuberLoss(nn.HuberLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        delta = self.delta

        def f(d: Array) -> Array:
            return np.where(
                np.abs(d) <= delta, d * d / 2, delta * np.abs(d) - delta * delta / 2
            ).astype(d.dtype)

        def slope(d: Array) -> Array:
            return np.where(np.abs(d) <= delta, d, delta * np.sign(d))

        return _of(self, prediction, target, f, slope)


ALTERNATIVES = {
    "L1Loss": L1Loss,
    "MSELoss": MSELoss,
    "SmoothL1Loss": SmoothL1Loss,
    "HuberLoss": HuberLoss,
}
