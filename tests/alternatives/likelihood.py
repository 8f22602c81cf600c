"""Likelihoods with their terms in another order."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, reduced

TAU = 2 * np.pi


@dataclass(frozen=True)
class PoissonNLLLoss(nn.PoissonNLLLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        t = target.astype(prediction.dtype)
        x, t = np.broadcast_arrays(prediction, t)
        log_rate = x if self.log_input else np.log(x + x.dtype.type(self.eps))
        losses = (np.exp(x) if self.log_input else x) - log_rate * t
        big = np.flatnonzero(t.ravel() > 1) if self.full else np.zeros(0, int)
        k = t.ravel()[big]
        extra = np.zeros(t.size, t.dtype)
        extra[big] = (np.log(k) - 1) * k + (np.log(k) + x.dtype.type(np.log(TAU))) * 0.5
        y, scale = reduced(self, losses + extra.reshape(t.shape))

        def vjp(dy: Array) -> Grads:
            g = dy * scale
            if self.log_input:
                dx = g * np.exp(x) - g * t
            else:
                dx = g - g * t / (x + x.dtype.type(self.eps))
            slope = np.zeros(t.size, t.dtype)
            slope[big] = np.log(k) + 1 / (k + k)
            dt = g * (slope.reshape(t.shape) - log_rate)
            counted = target.dtype.kind != "f"
            return Grads(
                (gathered(prediction, dx, t), None if counted else gathered(target, dt, t))
            )

        return Forward(y, vjp)


@dataclass(frozen=True)
class GaussianNLLLoss(nn.GaussianNLLLoss):
    def __call__(self, state: State, prediction: Array, target: Array, var) -> Forward:
        t = target.astype(prediction.dtype)
        given = np.asarray(var, prediction.dtype)
        column = given
        if given.shape != prediction.shape and given.shape == prediction.shape[:-1]:
            column = given.reshape(*given.shape, 1)
        x, t, v = np.broadcast_arrays(prediction, t, column)
        v = np.where(v < self.eps, x.dtype.type(self.eps), v)
        precision = 1 / v
        d = t - x
        losses = (d * d * precision - np.log(precision)) * 0.5
        if self.full:
            losses = x.dtype.type(0.5 * np.log(TAU)) + losses
        y, scale = reduced(self, losses)

        def vjp(dy: Array) -> Grads:
            g = dy * scale
            dt = g * d * precision
            dv = 0.5 * g * (precision - d * precision * (d * precision))
            counted = target.dtype.kind != "f"
            dvar = None
            if not isinstance(var, float):
                dvar = gathered(column, dv, d).reshape(given.shape)
            return Grads(
                (gathered(prediction, -dt, d), None if counted else gathered(target, dt, d), dvar)
            )

        return Forward(y, vjp)


ALTERNATIVES = {"PoissonNLLLoss": PoissonNLLLoss, "GaussianNLLLoss": GaussianNLLLoss}
