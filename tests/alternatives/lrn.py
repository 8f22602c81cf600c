"""Local response normalisation by products with a band of ones across the channels."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _band(C: int, below: int, above: int, dtype: np.dtype) -> Array:
    """1 where channel j is in the window of channel c."""
    c, j = np.arange(C)[:, np.newaxis], np.arange(C)
    return ((j >= c - below) & (j <= c + above)).astype(dtype)


def _across(band: Array, v: Array) -> Array:
    return np.einsum("cj,nj...->nc...", band, v)


def _normalise(layer: nn.LocalResponseNorm | nn.CrossMapLRN2d, x: Array, there: Array, back: Array):
    s = layer.k + _across(there, np.square(x)) * layer.alpha / layer.size
    y = x * np.power(s, -layer.beta)

    def vjp(dy: Array) -> Grads:
        across = _across(back, dy * y / s)
        dx = dy * np.power(s, -layer.beta)
        return Grads((dx - 2 * layer.alpha * layer.beta / layer.size * x * across,))

    return Forward(y, vjp)


@dataclass(frozen=True)
class LocalResponseNorm(nn.LocalResponseNorm):
    def __call__(self, state: State, x: Array) -> Forward:
        band = _band(x.shape[1], self.size // 2, (self.size - 1) // 2, x.dtype)
        return _normalise(self, x, band, band.T)


@dataclass(frozen=True)
class CrossMapLRN2d(nn.CrossMapLRN2d):
    def __call__(self, state: State, x: Array) -> Forward:
        C, r = x.shape[1], (self.size - 1) // 2
        there = _band(C, r, r, x.dtype)
        there[:, 0] = 1
        back = _band(C, (self.size + 1) // 2, self.size // 2 - 1, x.dtype)
        return _normalise(self, x, there, back)


ALTERNATIVES = {"LocalResponseNorm": LocalResponseNorm, "CrossMapLRN2d": CrossMapLRN2d}
