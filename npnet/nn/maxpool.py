"""Max pooling: the largest element of each window of a plane."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from npnet.contract import Array, Forward, Grads, State
from npnet.nn._windows import Pooling, along, plane, resized


@dataclass(frozen=True)
class MaxPool1d:
    """y[p] = max over k of x[stride·p + dilation·k - padding], in each plane by itself.

    x: (N, C, L) or (C, L)    y: (N, C, L') or (C, L')
    L' = ⌊(L + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1

    dx[j] = Σ dy[p], over the windows p whose maximum is x[j]

    stride=None: kernel_size. Padding never wins. ceil_mode: ⌈…⌉ for ⌊…⌋, less a last window that
    would begin behind the input. return_indices: y is (y, indices), the positions of the maxima in
    their plane, whose axes are flattened.

    Of equal elements of a window the first wins, and alone has its gradient. NaN is larger than
    every number, and of several NaNs the last one wins.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MaxPool1d.
    """

    kernel_size: int | tuple[int]
    stride: int | tuple[int] | None = None
    padding: int | tuple[int] = 0
    dilation: int | tuple[int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        Pooling.of(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=1)


@dataclass(frozen=True)
class MaxPool2d:
    """y[p] = max over k of x[stride·p + dilation·k - padding], in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')

    p and k have one component per axis, and so may every argument; the sizes of y, indices, the
    gradient, and who wins are as in MaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MaxPool2d.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        Pooling.of(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=2)


@dataclass(frozen=True)
class MaxPool3d:
    """y[p] = max over k of x[stride·p + dilation·k - padding], in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')

    p and k have one component per axis, and so may every argument; the sizes of y, indices, the
    gradient, and who wins are as in MaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MaxPool3d.
    """

    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] | None = None
    padding: int | tuple[int, int, int] = 0
    dilation: int | tuple[int, int, int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        Pooling.of(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=3)


_MaxPool: TypeAlias = MaxPool1d | MaxPool2d | MaxPool3d


def _max_pool(layer: _MaxPool, x: Array, axes: int) -> Forward:
    """The forward pass in any number of axes."""
    size = plane(layer, x, axes)
    pooling = Pooling.of(layer, axes)
    windows = sliding(pooling, size, pooling.outputs(layer, size))
    levels = maxima(x, windows)
    won = winners(levels, windows)  # a byte an element: less to keep for the way back than levels
    sizes = [z.shape for z in levels]

    def vjp(dy: Array | tuple[Array, None]) -> Grads:
        dy = dy[0] if isinstance(dy, tuple) else dy
        return Grads((spread(dy, won, sizes, windows),))

    y = levels[-1]
    if not layer.return_indices:
        return Forward(y, vjp)
    return Forward((y, positions(won, levels, windows)), vjp)


# ---- the largest elements of windows, one axis after the other -----------------------------------


class Windows(NamedTuple):
    """The windows on one axis: by each tap, some outputs read one input each."""

    axis: int  # counted from the last one, a negative number
    out: int  # how many there are
    taps: Sequence[tuple[slice, slice | Array]]  # outputs, the inputs that these read
    apart: bool  # whether no input is read by two outputs

    def read(self, x: Array, inputs: slice | Array) -> Array:
        """These inputs on the axis; of an array of several axes, each plane has its own."""
        if isinstance(inputs, slice):
            return x[along(self.axis, inputs)]
        if inputs.ndim == 1:
            return x.take(inputs, self.axis)
        return np.take_along_axis(x, inputs, self.axis)


def sliding(pooling: Pooling, size: Sequence[int], out: Sequence[int]) -> list[Windows]:
    """The windows of a pooling layer on every axis."""
    pairs = pooling.taps(tuple(size), out)
    return [
        Windows(axis - len(size), out[axis], pairs[axis], apart=s > d * (k - 1))
        for axis, (k, s, d) in enumerate(
            zip(pooling.kernel, pooling.stride, pooling.dilation, strict=True)
        )
    ]


def maxima(x: Array, windows: Sequence[Windows]) -> list[Array]:
    """x, then what is left of it after each axis; the last one holds the largest elements."""
    levels = [x]
    for w in windows:
        y = np.full(resized(levels[-1], w.axis, w.out), -np.inf, x.dtype)
        for outputs, inputs in w.taps:
            best = y[along(w.axis, outputs)]
            np.maximum(best, w.read(levels[-1], inputs), out=best)
        levels.append(y)
    return levels


def winners(levels: Sequence[Array], windows: Sequence[Windows]) -> list[list[Array]]:
    """For each axis and tap: where, among the outputs of the tap, it leads to the winner.

    A rank says which of equal elements wins: with k taps, the place of the tap, k for the first and
    1 for the last, less important than the rank on the axes before. Between NaNs it is 1 for the
    first and k for the last.
    """
    nan = bool(np.isnan(levels[-1]).any())
    top = 0
    for w in windows:
        top = (top + 1) * len(w.taps)
    integer = np.min_scalar_type(top).type  # small ones are many times faster
    rank: Array | None = None
    won = []
    for w, z, y in zip(windows, levels, levels[1:], strict=False):
        k, ranks = len(w.taps), []
        best = np.zeros(y.shape, integer)
        for t, (outputs, inputs) in enumerate(w.taps):
            candidate = w.read(z, inputs)
            largest = candidate == y[along(w.axis, outputs)]
            place: Array | np.integer = integer(k - t)
            if nan:
                missing = np.isnan(candidate)
                largest |= missing
                place = np.where(missing, integer(t + 1), place)
            if rank is not None:
                place = w.read(rank, inputs) * integer(k) + place
            ranks.append(largest * place)
            highest = best[along(w.axis, outputs)]
            np.maximum(highest, ranks[-1], out=highest)
        won.append(
            [
                r == best[along(w.axis, outputs)]
                for r, (outputs, _) in zip(ranks, w.taps, strict=True)
            ]
        )
        rank = best
    return won


def positions(
    won: Sequence[Sequence[Array]], levels: Sequence[Array], windows: Sequence[Windows]
) -> Array:
    """Where in its plane each winner is, the axes of the plane flattened."""
    x = levels[0]
    size = x.shape[windows[0].axis :]
    where = np.arange(math.prod(size)).reshape((1,) * (x.ndim - len(size)) + size)
    for w, y, masks in zip(windows, levels[1:], won, strict=True):
        before, where = where, np.zeros(y.shape, np.int64)
        for (outputs, inputs), mask in zip(w.taps, masks, strict=True):
            where[along(w.axis, outputs)] += w.read(before, inputs) * mask
    return where


def spread(
    dy: Array,
    won: Sequence[Sequence[Array]],
    sizes: Sequence[Sequence[int]],
    windows: Sequence[Windows],
) -> Array:
    """dx: every dy to its winner, added up where windows share one. Taps must be slices.

    sizes: the shape of x, and what is left of it after each axis
    """
    for w, size, masks in reversed([*zip(windows, sizes[:-1], won, strict=True)]):
        dz = np.zeros(size, dy.dtype)
        for (outputs, inputs), mask in zip(w.taps, masks, strict=True):
            share, winner = dy[along(w.axis, outputs)], dz[along(w.axis, inputs)]
            if w.apart:
                np.multiply(share, mask, out=winner)
            else:
                winner += share * mask
        dy = dz
    return dy


def scattered(dy: Array, where: Array, x: Array, axes: int) -> Array:
    """dx: every dy to its position in its plane, added up where several have the same one."""
    lead, size = x.shape[:-axes], math.prod(x.shape[-axes:])
    first = size * np.arange(math.prod(lead)).reshape(lead + (1,) * axes)
    dx = np.bincount((first + where).ravel(), dy.ravel(), minlength=x.size)
    return dx.reshape(x.shape).astype(x.dtype)
