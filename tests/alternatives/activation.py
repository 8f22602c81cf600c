"""The smooth activations by other formulas of their functions and of their slopes."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class Sigmoid(nn.Sigmoid):
    def __call__(self, state: State, x: Array) -> Forward:
        t = np.tanh(x / 2)

        def vjp(dy: Array) -> Grads:
            return Grads((dy * ((1 + t) / 2) * ((1 - t) / 2),))

        return Forward((1 + t) / 2, vjp)


@dataclass(frozen=True)
class Tanh(nn.Tanh):
    def __call__(self, state: State, x: Array) -> Forward:
        e = np.expm1(-2 * np.abs(x))

        def vjp(dy: Array) -> Grads:
            return Grads((dy * (4 * (1 + e) / ((2 + e) * (2 + e))),))  # 1 / cosh²

        return Forward(np.sign(x) * (-e / (2 + e)), vjp)


@dataclass(frozen=True)
class GELU(nn.GELU):
    def __call__(self, state: State, x: Array) -> Forward:
        z = np.clip(x, -30, 30)
        if self.approximate == "tanh":
            u = math.sqrt(8 / math.pi) * (z + 0.044715 * z * z * z)  # (1 + tanh(u / 2)) / 2 = σ(u)
            e = np.exp(-np.abs(u))
            cdf = np.where(u < 0, e, u.dtype.type(1)) / (1 + e)
            pdf = e / (1 + e) / (1 + e) * math.sqrt(8 / math.pi) * (1 + 0.134145 * z * z)
        else:
            cdf = (special.erfc(-z.astype(float) / math.sqrt(2)) / 2).astype(x.dtype)
            pdf = np.exp(-((z / math.sqrt(2)) * (z / math.sqrt(2)))) / math.sqrt(2 * math.pi)
        return Forward(cdf * x, lambda dy: Grads((dy * cdf + dy * (z * pdf),)))


@dataclass(frozen=True)
class SiLU(nn.SiLU):
    """By the hyperbolic tangent; the slope by y."""

    def __call__(self, state: State, x: Array) -> Forward:
        s = (1 + np.tanh(x / 2)) / 2
        y = x * s
        return Forward(y, lambda dy: Grads((dy * (s + y * (1 - s)),)))


@dataclass(frozen=True)
class Mish(nn.Mish):
    """As it is defined."""

    def __call__(self, state: State, x: Array) -> Forward:
        t = np.tanh(_softplus(x))
        s = (1 + np.tanh(x / 2)) / 2
        return Forward(x * t, lambda dy: Grads((dy * t + dy * (x * s * (1 - t * t)),)))


def _softplus(x: Array) -> Array:
    """log(1 + eˣ), without log1p."""
    return np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x)))


@dataclass(frozen=True)
class LogSigmoid(nn.LogSigmoid):
    def __call__(self, state: State, x: Array) -> Forward:
        y = -np.logaddexp(x.dtype.type(0), -x)
        e = np.exp(-np.abs(x))
        slope = np.where(x > 0, e, x.dtype.type(1)) / (1 + e)
        return Forward(y, lambda dy: Grads((slope * dy,)))


@dataclass(frozen=True)
class Softplus(nn.Softplus):
    def __call__(self, state: State, x: Array) -> Forward:
        z = x * self.beta
        y = np.logaddexp(x.dtype.type(0), z) * (1 / self.beta)
        straight = z > self.threshold
        y = np.where(straight, x, y)

        slope = np.where(straight, x.dtype.type(1), (1 + np.tanh(z / 2)) / 2)
        return Forward(y, lambda dy: Grads((dy * slope,)))


@dataclass(frozen=True)
class Softsign(nn.Softsign):
    """The quotient rule as it stands."""

    def __call__(self, state: State, x: Array) -> Forward:
        d = np.abs(x) + 1
        y = x / d
        return Forward(y, lambda dy: Grads((dy / d - dy * y / d * np.sign(x),)))


@dataclass(frozen=True)
class Tanhshrink(nn.Tanhshrink):
    def __call__(self, state: State, x: Array) -> Forward:
        t = np.tanh(x)
        return Forward(-t + x, lambda dy: Grads((dy - dy * (1 - t * t),)))


ALTERNATIVES = {
    "Sigmoid": Sigmoid,
    "Tanh": Tanh,
    "GELU": GELU,
    "SiLU": SiLU,
    "Mish": Mish,
    "LogSigmoid": LogSigmoid,
    "Softplus": Softplus,
    "Softsign": Softsign,
    "Tanhshrink": Tanhshrink,
}
