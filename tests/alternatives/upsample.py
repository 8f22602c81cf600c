"""Interpolation by one dense matrix per axis, with the arithmetic in the input's own precision."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _matrix(mode: str, align: bool, n: int, m: int, scale: float | None, dtype: Any) -> Array:
    """The weights (m, n)."""
    wide = np.result_type(dtype, np.float32).type
    w = np.zeros((m, n), dtype)
    s = wide(1 / scale) if scale else wide(n / m)
    for o in range(m):
        if mode == "area":
            first, last = o * n // m, -(-(o + 1) * n // m)
            w[o, first:last] = dtype.type(1) / dtype.type(last - first)
        elif mode in ("nearest", "nearest-exact"):
            t = wide(o + 0.5 * (mode == "nearest-exact")) * s
            w[o, min(int(np.float32(t)), n - 1)] = 1
        elif align:
            t = wide(o) * (wide(n - 1) / wide(m - 1)) if m > 1 else wide(0)
            _spread(w[o], mode, t)
        elif m == n and mode != "bicubic":
            w[o, o] = 1
        else:
            _spread(w[o], mode, s * (wide(o) + wide(0.5)) - wide(0.5))
    return w


def _spread(row: Array, mode: str, t: Any) -> None:
    n = len(row)
    one = type(t)(1)
    if mode != "bicubic":
        t = max(t, 0 * t)
        i = min(int(t), n - 1)
        row[i] += one - (t - i)
        row[min(i + 1, n - 1)] += t - i
        return
    i, a = int(np.floor(t)), type(t)(-0.75)
    d = t - type(t)(i)
    far = [lambda v: ((a * v - 5 * a) * v + 8 * a) * v - 4 * a]
    near = [lambda v: ((a + 2) * v - (a + 3)) * v * v + one]
    weights = [far[0](d + one), near[0](d), near[0](one - d), far[0](2 * one - d)]
    for k, weight in zip(range(i - 1, i + 3), weights, strict=True):
        row[min(max(k, 0), n - 1)] += weight


def _apply(x: Array, matrices: list[Array]) -> Array:
    for axis, w in enumerate(matrices, start=2):
        x = np.moveaxis(np.tensordot(x, w, (axis, 1)), -1, axis)
    return x


def _interpolate(layer: Any, x: Array, mode: str, align: bool, recompute: bool) -> Forward:
    axes = x.ndim - 2
    given = layer.size if layer.size is not None else layer.scale_factor
    each = given if isinstance(given, tuple) else (given,) * axes
    old = x.shape[2:]
    new = each if layer.size is not None else [int(n * s) for n, s in zip(old, each, strict=True)]
    scales = (None,) * axes if layer.size is not None or recompute else each
    matrices = [
        _matrix(mode, align, n, m, s, x.dtype) for n, m, s in zip(old, new, scales, strict=True)
    ]
    back = [w.T for w in matrices]
    return Forward(_apply(x, matrices), lambda dy: Grads((_apply(dy, back),)))


@dataclass(frozen=True)
class Upsample(nn.Upsample):
    def __call__(self, state: State, x: Array) -> Forward:
        recompute = bool(self.recompute_scale_factor)
        return _interpolate(self, x, self.mode, bool(self.align_corners), recompute)


@dataclass(frozen=True)
class UpsamplingNearest2d(nn.UpsamplingNearest2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _interpolate(self, x, "nearest", False, False)


@dataclass(frozen=True)
class UpsamplingBilinear2d(nn.UpsamplingBilinear2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _interpolate(self, x, "bilinear", True, False)


ALTERNATIVES = {
    "Upsample": Upsample,
    "UpsamplingNearest2d": UpsamplingNearest2d,
    "UpsamplingBilinear2d": UpsamplingBilinear2d,
}
