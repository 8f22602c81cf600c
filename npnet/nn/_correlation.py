"""Correlation and its adjoints, which every convolution, transposed or not, is made of.

A large image and a small one, with o, c their channels and p, k with one component per axis:

    down     small[o, p] = Σ_{c, k} W[o, c, k] · large[c, stride·p + dilation·k - before]
    up       large[c, j] = Σ_{o, p, k} W[o, c, k] · small[o, p],  j = stride·p + dilation·k - before
    weight   W[o, c, k]  = Σ_p small[o, p] · large[c, stride·p + dilation·k - before]

where what lies outside of the large image is 0. Both images are laid out with their spatial axes
and the batch in one row per channel. The rows of the large one are split into phases, of every
stride-th pixel, and all rows have one pitch. Then the pixels that a tap k of the kernel meets, for
all p and images together, are one contiguous run of the large row: it begins `starts[k]` further.
Some of what is computed belongs to no p, and is dropped, or multiplied by 0.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.nn._windows import taps

Index = tuple[Any, ...]

_BLOCK = 2**17  # numbers worked on at a time: they stay in the cache


@dataclass(frozen=True)
class Correlation:
    """The geometry of one correlation, of images in the layout (N, C, *size)."""

    groups: int
    large: tuple[int, ...]  # sizes of the images
    small: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]

    @cached_property
    def pitch(self) -> tuple[int, ...]:
        """How many pixels of each axis a row holds: those of the small image, and the reach."""
        reach = (
            d * (k - 1) // s
            for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True)
        )
        return tuple(o + r for o, r in zip(self.small, reach, strict=True))

    @cached_property
    def _taps(self) -> list[tuple[int, int]]:
        """For each tap: the phase that it reads, and how far behind p."""
        per_axis = [
            [divmod(d * k, s)[::-1] for k in range(K)]
            for K, s, d in zip(self.kernel, self.stride, self.dilation, strict=True)
        ]
        found = []
        for tap in itertools.product(*per_axis):
            phase, shift = zip(*tap, strict=True)
            found.append((_flat(phase, self.stride), _flat(shift, self.pitch)))
        return found

    @cached_property
    def _margin(self) -> int:
        return self._taps[-1][1]  # of the last tap, the largest shift

    @cached_property
    def _kept(self) -> Index:
        """Which part of the pitch the small image fills."""
        return tuple(slice(n) for n in self.small)

    def _phases(self) -> Iterator[tuple[Index, Index, Index]]:
        """For each phase: its index, where it holds pixels, which pixels of the image these are."""
        axes = [
            enumerate(taps(n, q, s, s, b, 1))
            for n, q, s, b in zip(self.large, self.pitch, self.stride, self.before, strict=True)
        ]
        for pieces in itertools.product(*axes):
            held, pixels = zip(*(pair for _, pair in pieces), strict=True)
            yield tuple(f for f, _ in pieces), held, pixels

    def lay_out_large(self, x: Array) -> Array:
        """Images (N, C, *large) as rows (G, C / G, phases · N · pitch)."""
        N, C = x.shape[:2]
        rows = np.zeros((C, *self.stride, N, *self.pitch), x.dtype)
        for phase, held, pixels in self._phases():
            rows[:, *phase, :, *held] = x[:, :, *pixels].swapaxes(0, 1)
        return rows.reshape(self.groups, C // self.groups, math.prod(rows.shape[1:]))

    def lay_out_small(self, y: Array) -> Array:
        """Images (N, O, *small) as rows (G, O / G, margin + N · pitch), behind a margin of 0."""
        N, O = y.shape[:2]
        rows = np.zeros((O, self._margin + N * math.prod(self.pitch)), y.dtype)
        images = rows[:, self._margin :].reshape(O, N, *self.pitch)
        images[:, :, *self._kept] = y.swapaxes(0, 1)
        return rows.reshape(self.groups, O // self.groups, rows.shape[1])

    def down(self, large: Array, W: Array) -> Array:
        """The small images (N, O, *small), of large rows and a weight (O, C / G, *kernel)."""
        G, O, pitch = self.groups, len(W), math.prod(self.pitch)
        phase = large.shape[2] // math.prod(self.stride)  # the length of one
        W = W.reshape(G, O // G, W.shape[1], math.prod(self.kernel)).swapaxes(2, 3)
        starts = [p * phase + shift for p, shift in self._taps]
        rows = _correlate(large, W, starts, max(0, phase - self._margin), phase)
        images = rows.reshape(O, phase // pitch, *self.pitch)[:, :, *self._kept]
        return np.ascontiguousarray(images.swapaxes(0, 1))

    def up(self, small: Array, W: Array) -> Array:
        """The large images (N, C, *large), of small rows and a weight (O, C / G, *kernel)."""
        G, O, C = self.groups, len(W), W.shape[1]
        length = small.shape[2] - self._margin
        N = length // math.prod(self.pitch)
        W = W.reshape(G, O // G, C, math.prod(self.kernel)).transpose(0, 2, 3, 1)
        x = np.zeros((N, G * C, *self.large), small.dtype)
        for phase, held, pixels in self._phases():
            met = [k for k, tap in enumerate(self._taps) if tap[0] == _flat(phase, self.stride)]
            if met:
                starts = [self._margin - self._taps[k][1] for k in met]
                rows = _correlate(small, W[:, :, met], starts, length, length)
                images = rows.reshape(G * C, N, *self.pitch)[:, :, *held]
                x[:, :, *pixels] = images.swapaxes(0, 1)
        return x

    def weight(self, large: Array, small: Array) -> Array:
        """The gradient of the weight, (O, C / G, *kernel), of large and of small rows."""
        (G, O, _), C = small.shape, large.shape[1]
        small = small[:, :, self._margin :]
        phase = small.shape[2]
        length = max(0, phase - self._margin)
        dW = np.empty((G, O, C, len(self._taps)), small.dtype)
        for k, (p, shift) in enumerate(self._taps):
            run = large[:, :, p * phase + shift :][:, :, :length]
            dW[..., k] = small[:, :, :length] @ run.swapaxes(1, 2)
        return dW.reshape(G * O, C, *self.kernel)


def _flat(index: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    """Where an element is, all axes flattened."""
    flat = 0
    for i, n in zip(index, sizes, strict=True):
        flat = flat * n + i
    return flat


def _correlate(rows: Array, W: Array, starts: list[int], length: int, pitch: int) -> Array:
    """y[g, o, q] = Σ_{k, c} W[g, o, k, c] · rows[g, c, starts[k] + q] for q < length <= pitch."""
    G, O, K, C = W.shape
    y = np.empty((G, O, pitch), rows.dtype)
    if O * C <= 4:  # too small for products of matrices: one multiple of a run after another
        for groups, part in _blocks(G, O, length):
            sums = y[groups, :, part]
            sums[...] = 0
            for k, c in np.ndindex(K, C):
                run = rows[groups, c, None, starts[k] :][:, :, part]
                sums += W[groups, :, k, c, None] * run
        return y
    W = np.ascontiguousarray(W).reshape(G, O, K * C)
    for groups, part in _blocks(G, K * C, length):
        runs = [rows[groups, :, start:][:, :, part] for start in starts]
        np.matmul(W[groups], np.concatenate(runs, axis=1), out=y[groups, :, part])
    return y


def _blocks(groups: int, rows: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Parts of (groups, rows, length) of about _BLOCK numbers: some groups, and a run of each."""
    run = max(1, min(length, max(256, _BLOCK // rows)))
    some = max(1, _BLOCK // (rows * run))
    for g, start in itertools.product(range(0, groups, some), range(0, length, run)):
        yield slice(g, g + some), slice(start, min(start + run, length))
