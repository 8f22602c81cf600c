"""Average pooling: the mean of each window of a plane."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._windows import Pair, Pooling, along, plane, resized


@dataclass(frozen=True)
class AvgPool1d:
    """y[p] = Σ over k of x[stride·p + k - padding] / (number of k), in each plane by itself.

    x: (N, C, L) or (C, L)    y: (N, C, L') or (C, L')
    L' = ⌊(L + 2·padding - kernel_size) / stride⌋ + 1

    dx[j] = Σ dy[p] / (number of k), over the windows p that hold j

    stride=None: kernel_size. Padding adds 0 to the sum, and counts in the divisor if
    count_include_pad. ceil_mode: ⌈…⌉ for ⌊…⌋, less a last window that would begin behind the input;
    what a window covers behind the right padding never counts.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AvgPool1d.
    """

    kernel_size: int | tuple[int]
    stride: int | tuple[int] | None = None
    padding: int | tuple[int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        Pooling.of(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=1)


@dataclass(frozen=True)
class AvgPool2d:
    """y[p] = Σ over k of x[stride·p + k - padding] / (number of k), in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')

    p and k have one component per axis, and so may every argument. divisor_override replaces the
    divisor. All else is as in AvgPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AvgPool2d.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        Pooling.of(self, 2)
        _check_divisor(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=2, divisor=self.divisor_override)


@dataclass(frozen=True)
class AvgPool3d:
    """y[p] = Σ over k of x[stride·p + k - padding] / (number of k), in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')

    p and k have one component per axis, and so may every argument. divisor_override replaces the
    divisor. All else is as in AvgPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AvgPool3d.
    """

    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] | None = None
    padding: int | tuple[int, int, int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        Pooling.of(self, 3)
        _check_divisor(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=3, divisor=self.divisor_override)


_AvgPool: TypeAlias = AvgPool1d | AvgPool2d | AvgPool3d


def _avg_pool(layer: _AvgPool, x: Array, axes: int, divisor: int | None = None) -> Forward:
    """The forward pass in any number of axes."""
    size = plane(layer, x, axes)
    pooling = Pooling.of(layer, axes)
    out = pooling.outputs(layer, size)
    pairs = pooling.taps(size, out)
    n = counts(pooling, size, out, layer.count_include_pad) if divisor is None else divisor
    divisors = np.asarray(n, x.dtype)

    def vjp(dy: Array) -> Grads:
        return Grads((shared(dy / divisors, size, pairs),))

    return Forward(summed(x, out, pairs) / divisors, vjp)


def _check_divisor(layer: AvgPool2d | AvgPool3d) -> None:
    if layer.divisor_override == 0:
        raise ConfigError(f"{type(layer).__name__} needs a divisor_override other than 0.")


# ---- sums over windows, one axis after the other -------------------------------------------------


def summed(x: Array, out: Sequence[int], pairs: Sequence[Sequence[Pair]]) -> Array:
    """The sum of every window."""
    for axis, (n, taps) in enumerate(zip(out, pairs, strict=True), start=-len(out)):
        y = np.zeros(resized(x, axis, n), x.dtype)
        for outputs, inputs in taps:
            y[along(axis, outputs)] += x[along(axis, inputs)]
        x = y
    return x


def shared(dy: Array, size: Sequence[int], pairs: Sequence[Sequence[Pair]]) -> Array:
    """The gradient of the sums: every element gets the dy of each window that it is in."""
    for axis, (n, taps) in enumerate(zip(size, pairs, strict=True), start=-len(size)):
        dx = np.zeros(resized(dy, axis, n), dy.dtype)
        for outputs, inputs in taps:
            dx[along(axis, inputs)] += dy[along(axis, outputs)]
        dy = dx
    return dy


def counts(
    pooling: Pooling, size: Sequence[int], out: Sequence[int], include_padding: bool
) -> Array:
    """How many elements of each window count."""
    lengths = []
    for n, o, k, s, p, _ in zip(size, out, *pooling, strict=True):
        first = np.arange(o) * s - p
        last = np.minimum(first + k, n + p)
        if not include_padding:
            first, last = np.maximum(first, 0), np.minimum(last, n)
        lengths.append(last - first)
    return reduce(np.multiply.outer, lengths)
