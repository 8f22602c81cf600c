"""Adaptive pooling: as many windows as outputs are asked for, of nearly equal size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._windows import along, plane, resized
from npnet.nn.maxpool import Windows, maxima, positions, scattered, winners


@dataclass(frozen=True)
class AdaptiveAvgPool1d:
    """y[p] = the mean of x[⌊p·L/L'⌋ … ⌈(p + 1)·L/L'⌉ - 1], in each plane by itself.

    x: (N, C, L) or (C, L)    y: (N, C, L') or (C, L'), where L' = output_size

    dx[j] = Σ dy[p] / (size of window p), over the windows p that hold j

    Windows may share an element, and there may be more outputs than inputs.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveAvgPool1d.
    """

    output_size: int | tuple[int]

    def __post_init__(self) -> None:
        _check(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=1)


@dataclass(frozen=True)
class AdaptiveAvgPool2d:
    """y[p] = the mean of x[⌊p·n/n'⌋ … ⌈(p + 1)·n/n'⌉ - 1] on each axis, in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W'), where (H', W') = output_size

    n is H or W, and n' is H' or W': an int stands for both, None for as many as x has. All else is
    as in AdaptiveAvgPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveAvgPool2d.
    """

    output_size: int | tuple[int | None, int | None]

    def __post_init__(self) -> None:
        _check(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=2)


@dataclass(frozen=True)
class AdaptiveAvgPool3d:
    """y[p] = the mean of x[⌊p·n/n'⌋ … ⌈(p + 1)·n/n'⌉ - 1] on each axis, in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W'), where
    (D', H', W') = output_size

    n is D, H or W, and n' is D', H' or W': an int stands for all three, None for as many as x has.
    All else is as in AdaptiveAvgPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveAvgPool3d.
    """

    output_size: int | tuple[int | None, int | None, int | None]

    def __post_init__(self) -> None:
        _check(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _avg_pool(self, x, axes=3)


@dataclass(frozen=True)
class AdaptiveMaxPool1d:
    """y[p] = max of x[⌊p·L/L'⌋ … ⌈(p + 1)·L/L'⌉ - 1], in each plane by itself.

    x: (N, C, L) or (C, L)    y: (N, C, L') or (C, L'), where L' = output_size

    dx[j] = Σ dy[p], over the windows p whose maximum is x[j]

    Windows may share an element, and there may be more outputs than inputs. return_indices, and who
    wins, are as in MaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveMaxPool1d.
    """

    output_size: int | tuple[int]
    return_indices: bool = False

    def __post_init__(self) -> None:
        _check(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=1)


@dataclass(frozen=True)
class AdaptiveMaxPool2d:
    """y[p] = max of x[⌊p·n/n'⌋ … ⌈(p + 1)·n/n'⌉ - 1] on each axis, in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W'), where (H', W') = output_size

    n is H or W, and n' is H' or W': an int stands for both, None for as many as x has. All else is
    as in AdaptiveMaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveMaxPool2d.
    """

    output_size: int | tuple[int | None, int | None]
    return_indices: bool = False

    def __post_init__(self) -> None:
        _check(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=2)


@dataclass(frozen=True)
class AdaptiveMaxPool3d:
    """y[p] = max of x[⌊p·n/n'⌋ … ⌈(p + 1)·n/n'⌉ - 1] on each axis, in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W'), where
    (D', H', W') = output_size

    n is D, H or W, and n' is D', H' or W': an int stands for all three, None for as many as x has.
    All else is as in AdaptiveMaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AdaptiveMaxPool3d.
    """

    output_size: int | tuple[int | None, int | None, int | None]
    return_indices: bool = False

    def __post_init__(self) -> None:
        _check(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _max_pool(self, x, axes=3)


_AvgPool: TypeAlias = AdaptiveAvgPool1d | AdaptiveAvgPool2d | AdaptiveAvgPool3d
_MaxPool: TypeAlias = AdaptiveMaxPool1d | AdaptiveMaxPool2d | AdaptiveMaxPool3d


def _avg_pool(layer: _AvgPool, x: Array, axes: int) -> Forward:
    """The forward pass of a mean in any number of axes."""
    size = plane(layer, x, axes)
    out = _outputs(layer, size)
    lengths = [np.subtract(*_bounds(n, o)[::-1]) for n, o in zip(size, out, strict=True)]
    counts = reduce(np.multiply.outer, lengths).astype(x.dtype)

    def vjp(dy: Array) -> Grads:
        # the outputs that read an input are the window of the input, if the two change places
        return Grads((_summed(dy / counts, size),))

    return Forward(_summed(x, out) / counts, vjp)


def _max_pool(layer: _MaxPool, x: Array, axes: int) -> Forward:
    """The forward pass of a maximum in any number of axes."""
    size = plane(layer, x, axes)
    windows = []
    for axis, (n, o) in enumerate(zip(size, _outputs(layer, size), strict=True), start=-axes):
        first, end = _bounds(n, o)
        longest = int((end - first).max(initial=0))  # a shorter one reads its last element again
        taps = [(slice(None), np.minimum(first + k, end - 1)) for k in range(longest)]
        windows.append(Windows(axis, o, taps, apart=False))
    levels = maxima(x, windows)

    def indices() -> Array:
        return positions(winners(levels, windows), levels, windows)

    def vjp(dy: Array | tuple[Array, None]) -> Grads:
        dy = dy[0] if isinstance(dy, tuple) else dy
        return Grads((scattered(dy, indices(), x, axes),))

    y = levels[-1].copy()  # the caller's own; vjp reads the other
    return Forward((y, indices()) if layer.return_indices else y, vjp)


def _bounds(n: int, out: int) -> tuple[Array, Array]:
    """Where each of `out` windows on n elements begins, and where it has ended."""
    p = np.arange(out)
    return p * n // max(out, 1), -(-(p + 1) * n // max(out, 1))


def _summed(x: Array, out: Sequence[int]) -> Array:
    """The sums over the windows, one axis after the other."""
    for axis, o in enumerate(out, start=-len(out)):
        n = x.shape[axis]
        if o and n % o == 0:  # windows side by side
            x = x.reshape(*x.shape[:axis], o, n // o, *x.shape[x.ndim + axis + 1 :]).sum(axis)
            continue
        first, end = _bounds(n, o)
        y = np.zeros(resized(x, axis, o), x.dtype)
        for k in range(int((end - first).max(initial=0))):
            longer = np.flatnonzero(end - first > k)
            outputs = slice(None) if len(longer) == o else longer
            y[along(axis, outputs)] += x.take(first[outputs] + k, axis)
        x = y
    return x


def _outputs(layer: Any, size: Sequence[int]) -> tuple[int, ...]:
    """The size of a plane of y."""
    wanted = layer.output_size
    wanted = wanted if isinstance(wanted, tuple | list) else (wanted,) * len(size)
    return tuple(n if o is None else o for n, o in zip(size, wanted, strict=True))


def _check(layer: Any, axes: int) -> None:
    wanted = layer.output_size
    numbers = wanted if isinstance(wanted, tuple | list) else (wanted,) * axes
    some = isinstance(wanted, tuple | list) and axes > 1  # None may stand in a tuple
    if len(numbers) != axes or not all(
        (o is None and some) or (isinstance(o, Integral) and int(o) >= 0) for o in numbers
    ):
        raise ConfigError(
            f"{type(layer).__name__} needs output_size to be an int, or {axes} of them"
            f"{', where None stands for the size of x' if axes > 1 else ''}, of at least 0, but "
            f"got {wanted!r}."
        )
