"""Fold and Unfold window by window."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _both(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _windows(layer: Any, size: tuple[int, int]) -> tuple[tuple[int, int], list[Any]]:
    """The size of the padded image, and every window in it, row by row."""
    k, d, p, s = (
        _both(getattr(layer, name)) for name in ("kernel_size", "dilation", "padding", "stride")
    )
    padded = (size[0] + 2 * p[0], size[1] + 2 * p[1])
    rows, columns = (
        [slice(i, i + d[a] * (k[a] - 1) + 1, d[a]) for i in range(0, n - d[a] * (k[a] - 1), s[a])]
        for a, n in enumerate(padded)
    )
    return padded, [(..., r, c) for r in rows for c in columns]


def _gather(layer: Any, image: Array, size: tuple[int, int]) -> Array:
    padded, windows = _windows(layer, size)
    p = _both(layer.padding)
    large = np.zeros((*image.shape[:-2], *padded), image.dtype)
    large[..., p[0] : p[0] + size[0], p[1] : p[1] + size[1]] = image
    *batch, C = image.shape[:-2]
    K = int(np.prod(_both(layer.kernel_size)))
    return np.stack([large[w].reshape(*batch, C * K) for w in windows], axis=-1)


def _scatter(layer: Any, columns: Array, size: tuple[int, int]) -> Array:
    padded, windows = _windows(layer, size)
    p, k = _both(layer.padding), _both(layer.kernel_size)
    *batch, rows, _ = columns.shape
    C = rows // (k[0] * k[1])
    large = np.zeros((*batch, C, *padded), columns.dtype)
    for i, w in enumerate(windows):
        large[w] += columns[..., i].reshape(*batch, C, *k)
    return large[..., p[0] : p[0] + size[0], p[1] : p[1] + size[1]].copy()


@dataclass(frozen=True)
class Unfold(nn.Unfold):
    def __call__(self, state: State, x: Array) -> Forward:
        size = (x.shape[-2], x.shape[-1])
        return Forward(_gather(self, x, size), lambda dy: Grads((_scatter(self, dy, size),)))


@dataclass(frozen=True)
class Fold(nn.Fold):
    def __call__(self, state: State, x: Array) -> Forward:
        size = _both(self.output_size)
        return Forward(_scatter(self, x, size), lambda dy: Grads((_gather(self, dy, size),)))


ALTERNATIVES = {"Fold": Fold, "Unfold": Unfold}
