"""Correlation and its adjoints, which every convolution, transposed or not, is made of.

A large image and a small one, with o, c their channels and p, k with one component per axis:

    down     small[o, p] = Σ_{c, k} W[o, c, k] · large[c, stride·p + dilation·k - before]
    up       large[c, j] = Σ_{o, p, k} W[o, c, k] · small[o, p],  j = stride·p + dilation·k - before
    weight   W[o, c, k]  = Σ_p small[o, p] · large[c, stride·p + dilation·k - before]

where what lies outside of the large image is 0. Both images are laid out with their spatial axes
and the batch in one row per channel. The rows of the large one are split into phases, of every
stride-th pixel, and all rows have one pitch. Then the pixels that a tap k of the kernel meets, for
all p and images together, are one contiguous run of the large row: it begins `starts[k]` further.
Some of what is computed belongs to no p, and is dropped, or multiplied by 0: at the end of every
image, which is much of a small one. Many small ones are laid out pixel by pixel, the batch within:
then it is the end of the whole row, and that of every line.
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
_SMALL, _MANY = 2**8, 4  # pixels of an image, images: from here on the batch is within


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

    def _within(self, N: int) -> bool:
        """Whether the batch is the last axis of a row, and not the first."""
        return N >= _MANY and math.prod(self.small) <= _SMALL

    def _unit(self, N: int) -> int:
        """How far apart neighbouring pixels are."""
        return N if self._within(N) else 1

    def _margin(self, N: int) -> int:
        """The shift of the last tap, the largest one."""
        return self._taps[-1][1] * self._unit(N)

    def _some(self, N: int) -> list[slice]:
        """The images that are laid out at a time: few, where the pixels of all would lie as far
        apart as those that push each other out of the cache.
        """
        return [slice(i, i + 16) for i in range(0, N, 16)] if self._within(N) else [slice(N)]

    def _images(self, rows: Array, N: int, *before: int) -> Array:
        """Rows of pixels, with the axes before, the batch and the spatial ones apart; a view."""
        if not self._within(N):
            return rows.reshape(*before, N, *self.pitch)
        return np.moveaxis(rows.reshape(*before, *self.pitch, N), -1, len(before))

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
        rows = np.zeros((C, math.prod(self.stride) * N * math.prod(self.pitch)), x.dtype)
        images = self._images(rows, N, C, *self.stride)
        for phase, held, pixels in self._phases():
            for some in self._some(N):
                images[:, *phase, some, *held] = x[some, :, *pixels].swapaxes(0, 1)
        return rows.reshape(self.groups, C // self.groups, rows.shape[1])

    def lay_out_small(self, y: Array) -> Array:
        """Images (N, O, *small) as rows (G, O / G, margin + N · pitch), behind a margin of 0."""
        N, O = y.shape[:2]
        margin = self._margin(N)
        rows = np.zeros((O, margin + N * math.prod(self.pitch)), y.dtype)
        images = self._images(rows[:, margin:], N, O)
        for some in self._some(N):
            images[:, some, *self._kept] = y[some].swapaxes(0, 1)
        return rows.reshape(self.groups, O // self.groups, rows.shape[1])

    def down(self, large: Array, W: Array) -> Array:
        """The small images (N, O, *small), of large rows and a weight (O, C / G, *kernel)."""
        G, O, pitch = self.groups, len(W), math.prod(self.pitch)
        phase = large.shape[2] // math.prod(self.stride)  # the length of one
        N = phase // pitch
        W = W.reshape(G, O // G, W.shape[1], math.prod(self.kernel)).swapaxes(2, 3)
        starts = [p * phase + shift * self._unit(N) for p, shift in self._taps]
        rows = _correlate(large, W, starts, max(0, phase - self._margin(N)), phase)
        images = self._images(rows, N, O)[:, :, *self._kept]
        return np.ascontiguousarray(images.swapaxes(0, 1))

    def up(self, small: Array, W: Array) -> Array:
        """The large images (N, C, *large), of small rows and a weight (O, C / G, *kernel)."""
        G, O, C = self.groups, len(W), W.shape[1]
        N = self._batch(small)
        x = np.zeros((N, G * C, *self.large), small.dtype)
        if O // G * C > 4 and C < O // G:
            found = self._images(self._moved_products(small, W, N), N, G * C, *self.stride)
            for phase, held, pixels in self._phases():
                x[:, :, *pixels] = found[:, *phase, :, *held].swapaxes(0, 1)
            return x
        margin, length = self._margin(N), N * math.prod(self.pitch)
        W = W.reshape(G, O // G, C, math.prod(self.kernel)).transpose(0, 2, 3, 1)
        for phase, held, pixels in self._phases():
            met = [k for k, tap in enumerate(self._taps) if tap[0] == _flat(phase, self.stride)]
            if met:
                starts = [margin - self._taps[k][1] * self._unit(N) for k in met]
                rows = _correlate(small, W[:, :, met], starts, length, length)
                images = self._images(rows, N, G * C)[:, :, *held]
                x[:, :, *pixels] = images.swapaxes(0, 1)
        return x

    def _moved_products(self, small: Array, W: Array, N: int) -> Array:
        """The rows of `up`, where there are fewer large channels than small ones: the products come
        first, and they are moved and added up, instead of the small rows.
        """
        G, O, C, K = self.groups, len(W), W.shape[1], len(self._taps)
        margin, pitch = self._margin(N), N * math.prod(self.pitch)
        W = W.reshape(G, O // G, C, K).transpose(0, 3, 2, 1).reshape(G, K * C, O // G)
        rows = np.zeros((G, C, math.prod(self.stride) * pitch), small.dtype)
        for groups, part in _blocks(G, K * C, max(0, pitch - margin)):
            products = W[groups] @ small[groups, :, margin:][:, :, part]
            for k, (p, shift) in enumerate(self._taps):
                run = rows[groups, :, p * pitch + shift * self._unit(N) :][:, :, part]
                run += products[:, k * C : (k + 1) * C]
            del products  # before the next ones are made
        return rows

    def weight(self, large: Array, small: Array) -> Array:
        """The gradient of the weight, (O, C / G, *kernel), of large and of small rows."""
        (G, O, _), C = small.shape, large.shape[1]
        N = self._batch(small)
        margin = self._margin(N)
        small = small[:, :, margin:]
        phase = small.shape[2]
        length = max(0, phase - margin)
        dW = np.empty((G, O, C, len(self._taps)), small.dtype)
        for k, (p, shift) in enumerate(self._taps):
            run = large[:, :, p * phase + shift * self._unit(N) :][:, :, :length]
            dW[..., k] = small[:, :, :length] @ run.swapaxes(1, 2)
        return dW.reshape(G * O, C, *self.kernel)

    def _batch(self, small: Array) -> int:
        """How many images small rows hold, behind their margin."""
        length, pixels, shift = small.shape[2], math.prod(self.pitch), self._taps[-1][1]
        N: int = length // (pixels + shift)
        return N if self._within(N) else (length - shift) // pixels


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
