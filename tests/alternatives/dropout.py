"""Dropout by selection in place of multiplication, alpha dropout in the paper's two steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _kept(layer: Any, x: Array, axes: int, rng: Any) -> Array:
    """The mask of a layer, which differs along so many axes, in the shape of x."""
    if layer.p == 1:
        return np.zeros(x.shape, bool)
    shape = x.shape[:axes] + (1,) * (x.ndim - axes)
    return np.broadcast_to(rng.random(shape) >= layer.p, x.shape)


def _selected(layer: Any, x: Array, axes: int, rng: Any) -> Forward:
    if not layer.training or layer.p == 0:
        return Forward(x.copy(), lambda dy: Grads((dy.copy(),)))
    kept = _kept(layer, x, axes, rng)

    def select(v: Array) -> Array:
        return np.where(kept, v / (1 - layer.p), np.zeros_like(v)) if layer.p < 1 else 0 * v

    return Forward(select(x), lambda dy: Grads((select(dy),)))


def _saturated(layer: Any, x: Array, axes: int, rng: Any) -> Forward:
    p = layer.p
    if not layer.training or p == 0:
        return Forward(x.copy(), lambda dy: Grads((dy.copy(),)))
    kept = _kept(layer, x, axes, rng)
    if p == 1:
        return Forward(np.zeros_like(x), lambda dy: Grads((np.zeros_like(dy),)))
    low = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - p) + p * (1 - p) * low**2) ** -0.5
    y = np.where(kept, x, x.dtype.type(low)) * x.dtype.type(a) - x.dtype.type(a * p * low)
    return Forward(y, lambda dy: Grads((np.where(kept, dy * dy.dtype.type(a), 0),)))


@dataclass(frozen=True)
class Dropout(nn.Dropout):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _selected(self, x, x.ndim, rng)


@dataclass(frozen=True)
class Dropout1d(nn.Dropout1d):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _selected(self, x, x.ndim - 1, rng)


@dataclass(frozen=True)
class Dropout2d(nn.Dropout2d):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _selected(self, x, 2, rng)


@dataclass(frozen=True)
class Dropout3d(nn.Dropout3d):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _selected(self, x, 2 if x.ndim == 5 else 1, rng)


@dataclass(frozen=True)
class AlphaDropout(nn.AlphaDropout):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _saturated(self, x, x.ndim, rng)


@dataclass(frozen=True)
class FeatureAlphaDropout(nn.FeatureAlphaDropout):
    def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
        return _saturated(self, x, 2, rng)


ALTERNATIVES = {
    layer.__name__: layer
    for layer in (Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout, FeatureAlphaDropout)
}
