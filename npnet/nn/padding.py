"""Padding: pixels added around an image, or, where the numbers are negative, cut off it.

One implementation for every kind and every number of axes: padding is a map of positions. A kind
says which pixel of x an added pixel is a copy of, and the gradient of a copy is added to that of
its original.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._windows import along, per_axis

Adjoint: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class ReflectionPad1d:
    """y[…, i] = x[…, r(i - left)].

    x: (N, C, W) or (C, W)    y: (N, C, W') or (C, W')
    padding: an int, or (left, right)    W' = left + W + right

    dx[…, k] = Σ dy[…, i], over the i that read x[…, k]: all copies of a pixel

    r mirrors at the first and at the last pixel, which are not repeated: r(-1) = 1, r(W) = W - 2.
    A negative padding cuts pixels off, after the mirroring.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is not smaller than the image.
    Twin: torch.nn.ReflectionPad1d.
    """

    padding: int | tuple[int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "reflect", axes=1)


@dataclass(frozen=True)
class ReflectionPad2d:
    """y[…, i, j] = x[…, r(i - top), r(j - left)].

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    padding: an int, or (left, right, top, bottom)

    dx[…, k, l] = Σ dy[…, i, j], over the i, j that read x[…, k, l]: all copies of a pixel

    Each axis by itself, as in ReflectionPad1d; the numbers begin with the last axis.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is not smaller than the image.
    Twin: torch.nn.ReflectionPad2d.
    """

    padding: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "reflect", axes=2)


@dataclass(frozen=True)
class ReflectionPad3d:
    """y[…, i, j, k] = x[…, r(i - front), r(j - top), r(k - left)].

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')
    padding: an int, or (left, right, top, bottom, front, back)

    dx[…, l, m, n] = Σ dy[…, i, j, k], over the i, j, k that read x[…, l, m, n]: all copies of a
    pixel

    Each axis by itself, as in ReflectionPad1d; the numbers begin with the last axis.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is not smaller than the image.
    Twin: torch.nn.ReflectionPad3d.
    """

    padding: int | tuple[int, int, int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "reflect", axes=3)


@dataclass(frozen=True)
class ReplicationPad1d:
    """y[…, i] = x[…, r(i - left)].

    x: (N, C, W) or (C, W)    y: (N, C, W') or (C, W')
    padding: an int, or (left, right)    W' = left + W + right

    dx[…, k] = Σ dy[…, i], over the i that read x[…, k]: all copies of a pixel

    r repeats the first and the last pixel: r(-1) = 0, r(W) = W - 1. A negative padding cuts pixels
    off, after the repeating.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ReplicationPad1d.
    """

    padding: int | tuple[int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "replicate", axes=1)


@dataclass(frozen=True)
class ReplicationPad2d:
    """y[…, i, j] = x[…, r(i - top), r(j - left)].

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    padding: an int, or (left, right, top, bottom)

    dx[…, k, l] = Σ dy[…, i, j], over the i, j that read x[…, k, l]: all copies of a pixel

    Each axis by itself, as in ReplicationPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ReplicationPad2d.
    """

    padding: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "replicate", axes=2)


@dataclass(frozen=True)
class ReplicationPad3d:
    """y[…, i, j, k] = x[…, r(i - front), r(j - top), r(k - left)].

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')
    padding: an int, or (left, right, top, bottom, front, back)

    dx[…, l, m, n] = Σ dy[…, i, j, k], over the i, j, k that read x[…, l, m, n]: all copies of a
    pixel

    Each axis by itself, as in ReplicationPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ReplicationPad3d.
    """

    padding: int | tuple[int, int, int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "replicate", axes=3)


@dataclass(frozen=True)
class CircularPad1d:
    """y[…, i] = x[…, r(i - left)].

    x: (N, C, W) or (C, W)    y: (N, C, W') or (C, W')
    padding: an int, or (left, right)    W' = left + W + right

    dx[…, k] = Σ dy[…, i], over the i that read x[…, k]: all copies of a pixel

    r starts anew: r(-1) = W - 1, r(W) = 0. A negative padding cuts pixels off, and what is left is
    then repeated: here W is its size.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is larger than the image.
    Twin: torch.nn.CircularPad1d.
    """

    padding: int | tuple[int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "circular", axes=1)


@dataclass(frozen=True)
class CircularPad2d:
    """y[…, i, j] = x[…, r(i - top), r(j - left)].

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    padding: an int, or (left, right, top, bottom)

    dx[…, k, l] = Σ dy[…, i, j], over the i, j that read x[…, k, l]: all copies of a pixel

    Each axis by itself, as in CircularPad1d; the numbers begin with the last axis.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is larger than the image.
    Twin: torch.nn.CircularPad2d.
    """

    padding: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "circular", axes=2)


@dataclass(frozen=True)
class CircularPad3d:
    """y[…, i, j, k] = x[…, r(i - front), r(j - top), r(k - left)].

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')
    padding: an int, or (left, right, top, bottom, front, back)

    dx[…, l, m, n] = Σ dy[…, i, j, k], over the i, j, k that read x[…, l, m, n]: all copies of a
    pixel

    Each axis by itself, as in CircularPad1d; the numbers begin with the last axis.

    Raises ConfigError, DtypeError; ShapeError, also where a padding is larger than the image.
    Twin: torch.nn.CircularPad3d.
    """

    padding: int | tuple[int, int, int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "circular", axes=3)


@dataclass(frozen=True)
class ZeroPad1d:
    """y = x, with `padding` pixels of 0 around it.

    x: (*batch, W)    y: (*batch, W')    padding: an int, or (left, right)    W' = left + W + right

    dx[…, i] = dy[…, i + left], and 0 where x was cut off

    A negative padding cuts pixels off.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ZeroPad1d.
    """

    padding: int | tuple[int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "zeros", axes=1)


@dataclass(frozen=True)
class ZeroPad2d:
    """y = x, with `padding` pixels of 0 around it.

    x: (*batch, H, W)    y: (*batch, H', W')    padding: an int, or (left, right, top, bottom)

    dx[…, i, j] = dy[…, i + top, j + left], and 0 where x was cut off

    Each axis by itself, as in ZeroPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ZeroPad2d.
    """

    padding: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "zeros", axes=2)


@dataclass(frozen=True)
class ZeroPad3d:
    """y = x, with `padding` pixels of 0 around it.

    x: (*batch, D, H, W)    y: (*batch, D', H', W')
    padding: an int, or (left, right, top, bottom, front, back)

    dx[…, i, j, k] = dy[…, i + front, j + top, k + left], and 0 where x was cut off

    Each axis by itself, as in ZeroPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ZeroPad3d.
    """

    padding: int | tuple[int, int, int, int, int, int]

    def __post_init__(self) -> None:
        _pads(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "zeros", axes=3)


@dataclass(frozen=True)
class ConstantPad1d:
    """y = x, with `padding` pixels of value around it.

    x: (*batch, W)    y: (*batch, W')    padding: an int, or (left, right)    W' = left + W + right

    dx[…, i] = dy[…, i + left], and 0 where x was cut off

    A negative padding cuts pixels off.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConstantPad1d.
    """

    padding: int | tuple[int, int]
    value: float

    def __post_init__(self) -> None:
        _pads(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "constant", axes=1, value=self.value)


@dataclass(frozen=True)
class ConstantPad2d:
    """y = x, with `padding` pixels of value around it.

    x: (*batch, H, W)    y: (*batch, H', W')    padding: an int, or (left, right, top, bottom)

    dx[…, i, j] = dy[…, i + top, j + left], and 0 where x was cut off

    Each axis by itself, as in ConstantPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConstantPad2d.
    """

    padding: int | tuple[int, int, int, int]
    value: float

    def __post_init__(self) -> None:
        _pads(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "constant", axes=2, value=self.value)


@dataclass(frozen=True)
class ConstantPad3d:
    """y = x, with `padding` pixels of value around it.

    x: (*batch, D, H, W)    y: (*batch, D', H', W')
    padding: an int, or (left, right, top, bottom, front, back)

    dx[…, i, j, k] = dy[…, i + front, j + top, k + left], and 0 where x was cut off

    Each axis by itself, as in ConstantPad1d; the numbers begin with the last axis.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConstantPad3d.
    """

    padding: int | tuple[int, int, int, int, int, int]
    value: float

    def __post_init__(self) -> None:
        _pads(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _pad(self, x, "constant", axes=3, value=self.value)


def _pads(layer: object, axes: int) -> list[tuple[int, int]]:
    """How many pixels come before and after, for each axis, the first one first."""
    numbers = per_axis(layer, "padding", 2 * axes)
    return [*zip(numbers[-2::-2], numbers[::-2], strict=True)]


def _pad(layer: object, x: Array, mode: str, axes: int, value: float = 0.0) -> Forward:
    require_floats(layer, x, {})
    batches = range(x.ndim) if mode in ("zeros", "constant") else (1, 2)
    if x.ndim - axes not in batches:
        raise ShapeError(
            f"{layer} needs x of shape {'(*batch' if len(batches) != 2 else '(N, C'}, *image) with "
            f"{axes} axes of the image, but got {x.shape}."
        )
    y, adjoint = padded(layer, x, _pads(layer, axes), mode, value)

    def vjp(dy: Array) -> Grads:
        return Grads((adjoint(dy),))

    return Forward(y, vjp)


def padded(
    layer: object, x: Array, pads: Sequence[tuple[int, int]], mode: str, value: float = 0.0
) -> tuple[Array, Adjoint]:
    """x with its last axes padded, and the adjoint, which maps dy to dx.

    mode: "zeros", "constant", "reflect", "replicate" or "circular". `layer` is named in errors.
    """
    adjoints = []
    y = x
    for axis, (before, after) in enumerate(pads, start=-len(pads)):
        if (before, after) != (0, 0):
            n = y.shape[axis]
            _check_size(layer, x.shape[-len(pads) :], n, before, after, mode)
            y, adjoint = _padded_axis(y, axis, before, after, mode, value)
            adjoints.append(adjoint)

    def backwards(dy: Array) -> Array:
        for adjoint in reversed(adjoints):
            dy = adjoint(dy)
        return dy if adjoints else dy.copy()

    return y if adjoints else x.copy(), backwards


def _padded_axis(
    x: Array, axis: int, before: int, after: int, mode: str, value: float
) -> tuple[Array, Adjoint]:
    n = x.shape[axis]
    kept = slice(max(0, -before), max(0, -before, n + min(0, after)))
    inside = slice(max(0, before), max(0, before) + kept.stop - kept.start)  # where y holds them
    shape = list(x.shape)
    shape[axis] = n + before + after

    copies = []  # which pixels of y are copies, and of which pixels of x
    if mode not in ("zeros", "constant"):
        added = [*range(min(inside.start, shape[axis])), *range(inside.stop, shape[axis])]
        copies = [(i, _source(i - before, n, kept, mode)) for i in added]

    y = np.full(shape, value, x.dtype)
    y[along(axis, inside)] = x[along(axis, kept)]
    for i, j in copies:
        y[along(axis, slice(i, i + 1))] = x[along(axis, slice(j, j + 1))]

    def adjoint(dy: Array) -> Array:
        dx = np.zeros(x.shape, dy.dtype)
        dx[along(axis, kept)] = dy[along(axis, inside)]
        for i, j in copies:
            dx[along(axis, slice(j, j + 1))] += dy[along(axis, slice(i, i + 1))]
        return dx

    return y, adjoint


def _source(j: int, n: int, kept: slice, mode: str) -> int:
    """Which pixel of x stands at position j, outside of 0, …, n - 1 or cut off."""
    if mode == "reflect":
        return (n - 1) - abs((n - 1) - abs(j))
    if mode == "replicate":
        return min(max(j, 0), n - 1)
    first, size = kept.start, kept.stop - kept.start
    source: int = first + (j - first) % size
    return source


def _check_size(
    layer: object, image: tuple[int, ...], n: int, before: int, after: int, mode: str
) -> None:
    out, left = n + before + after, n + min(0, before) + min(0, after)
    if mode in ("zeros", "constant"):
        fits, least = out >= 0, "has as many pixels as are cut off"
    elif mode == "reflect":
        fits, least = max(before, after) < n and out > 0, "is larger than its padding"
    elif mode == "replicate":
        fits, least = n > 0 and out > 0, "has pixels, of which not all are cut off"
    else:
        fits = left >= max(before, after, 0)
        least = "is, after the cutting, as large as its padding"
    if not fits:
        raise ShapeError(
            f"{layer} needs an image that {least}, but got an image of {image} to be padded by "
            f"{(before, after)} pixels."
        )
