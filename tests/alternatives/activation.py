"""The activations by other formulas of their functions and of their slopes."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class ReLU(nn.ReLU):
    def __call__(self, state: State, x: Array) -> Forward:
        return Forward(
            (x + np.abs(x)) / 2, lambda dy: Grads((np.where(x > 0, dy, dy.dtype.type(0)),))
        )


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


ALTERNATIVES = {"ReLU": ReLU, "Sigmoid": Sigmoid, "Tanh": Tanh, "GELU": GELU}
