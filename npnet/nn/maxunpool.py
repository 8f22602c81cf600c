"""Max unpooling: maxima back to where they came from, zeros around them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import (
    Array,
    ConfigError,
    DtypeError,
    Forward,
    Grads,
    IndexRangeError,
    ShapeError,
    State,
)
from npnet.nn._windows import per_axis, plane


@dataclass(frozen=True)
class MaxUnpool1d:
    """y[indices[p]] = x[p], and 0 elsewhere, in each plane by itself.

    x, indices: (N, C, L) or (C, L)    y: (N, C, L') or (C, L')
    L' = (L - 1)·stride + kernel_size - 2·padding, or output_size, an argument of the call, which
    may differ from it by less than stride. It has one entry per axis of a plane, or those of N and
    C, which are not read, before these.

    dx[p] = dy[indices[p]]

    indices are positions in a plane of y, whose axes are flattened, as MaxPool1d returns them. Of
    x at the same position one is kept; torch does not say which. stride=None: kernel_size.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for an index outside of the plane.
    Twin: torch.nn.MaxUnpool1d.
    """

    kernel_size: int | tuple[int]
    stride: int | tuple[int] | None = None
    padding: int | tuple[int] = 0

    def __post_init__(self) -> None:
        _geometry(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, indices: Array, output_size: Sequence[int] | None = None
    ) -> Forward:
        """y, and the gradient of x."""
        return _max_unpool(self, x, indices, output_size, axes=1)


@dataclass(frozen=True)
class MaxUnpool2d:
    """y[indices[p]] = x[p], and 0 elsewhere, in each plane by itself.

    x, indices: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')

    dx[p] = dy[indices[p]]

    The sizes of y, output_size, and what indices mean are as in MaxUnpool1d.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for an index outside of the plane.
    Twin: torch.nn.MaxUnpool2d.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0

    def __post_init__(self) -> None:
        _geometry(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, indices: Array, output_size: Sequence[int] | None = None
    ) -> Forward:
        """y, and the gradient of x."""
        return _max_unpool(self, x, indices, output_size, axes=2)


@dataclass(frozen=True)
class MaxUnpool3d:
    """y[indices[p]] = x[p], and 0 elsewhere, in each volume by itself.

    x, indices: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')

    dx[p] = dy[indices[p]]

    The sizes of y, output_size, and what indices mean are as in MaxUnpool1d.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for an index outside of the volume.
    Twin: torch.nn.MaxUnpool3d.
    """

    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] | None = None
    padding: int | tuple[int, int, int] = 0

    def __post_init__(self) -> None:
        _geometry(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, indices: Array, output_size: Sequence[int] | None = None
    ) -> Forward:
        """y, and the gradient of x."""
        return _max_unpool(self, x, indices, output_size, axes=3)


_MaxUnpool: TypeAlias = MaxUnpool1d | MaxUnpool2d | MaxUnpool3d


def _max_unpool(
    layer: _MaxUnpool, x: Array, indices: Array, output_size: Sequence[int] | None, axes: int
) -> Forward:
    """The forward pass in any number of axes."""
    size = _output_size(layer, plane(layer, x, axes), output_size)
    _check_indices(layer, x, indices, size)

    planes, area = math.prod(x.shape[:-axes]), math.prod(size)
    where = indices.reshape(planes, math.prod(x.shape[-axes:]))
    y = np.zeros((planes, area), x.dtype)
    np.put_along_axis(y, where, x.reshape(where.shape), -1)

    def vjp(dy: Array) -> Grads:
        dx = np.take_along_axis(dy.reshape(planes, area), where, -1)
        return Grads((dx.reshape(x.shape), None))

    return Forward(y.reshape(*x.shape[:-axes], *size), vjp)


def _geometry(layer: _MaxUnpool, axes: int) -> list[tuple[int, int, int]]:
    """(kernel_size, stride, padding) of each axis."""
    kernel = per_axis(layer, "kernel_size", axes, least=1)
    stride = kernel if layer.stride is None else per_axis(layer, "stride", axes, least=1)
    padding = per_axis(layer, "padding", axes, least=0)
    return [*zip(kernel, stride, padding, strict=True)]


def _output_size(
    layer: _MaxUnpool, size: Sequence[int], wanted: Sequence[int] | None
) -> tuple[int, ...]:
    """The size of a plane of y."""
    geometry = _geometry(layer, len(size))
    usual = [(n - 1) * s + k - 2 * p for n, (k, s, p) in zip(size, geometry, strict=True)]
    out = usual
    if wanted is not None:
        out = [*wanted][2:] if len(wanted) == len(size) + 2 else [*wanted]
        if len(out) != len(size) or any(
            abs(o - u) >= s for o, u, (_, s, _) in zip(out, usual, geometry, strict=True)
        ):
            raise ShapeError(
                f"{layer} needs an output_size of {len(size)} or {len(size) + 2} entries, of which "
                f"the last differ from {tuple(usual)} by less than stride, but got {wanted}."
            )
    if min(out) < 1:
        raise ConfigError(f"{layer} leaves nothing of a plane of {tuple(size)}: {tuple(out)}.")
    return tuple(out)


def _check_indices(layer: _MaxUnpool, x: Array, indices: Array, size: Sequence[int]) -> None:
    if not np.issubdtype(indices.dtype, np.integer):
        raise DtypeError(
            f"{layer} needs indices of an integer dtype, but got {indices.dtype}. "
            "You might need indices.astype(np.int64)."
        )
    if indices.shape != x.shape:
        raise ShapeError(
            f"{layer} needs indices in the shape of x, but got {indices.shape} and {x.shape}."
        )
    if indices.size and not 0 <= indices.min() <= indices.max() < math.prod(size):
        raise IndexRangeError(
            f"{layer} needs indices from 0 to {math.prod(size) - 1}, as a plane of y has the size "
            f"{tuple(size)}, but got {indices.min()} to {indices.max()}. "
            "You might need another output_size."
        )
