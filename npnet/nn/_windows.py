"""Windows that slide along an axis: what convolutions and pooling share, and a plane of these.

Output o reads, for each tap k of a window, the input stride·o + dilation·k - padding. Nothing is
padded here: a tap is a pair of slices, and these leave out what lies outside of the input.
"""

from collections.abc import Iterable, Sequence
from numbers import Integral
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError
from npnet.nn._guards import require_floats

Pair = tuple[slice, slice]
Sizes = tuple[int, ...]


def per_axis(layer: object, name: str, axes: int, least: int | None = None) -> tuple[int, ...]:
    """The field `name`, an int or one int for each axis, as a tuple of length `axes`.

    Raises ConfigError where it is something else, or holds an int below `least`.
    """
    value: Any = getattr(layer, name)
    numbers = tuple(value) if isinstance(value, Iterable) else (value,) * axes
    if (
        len(numbers) != axes
        or not all(isinstance(n, Integral) for n in numbers)
        or (least is not None and min(numbers) < least)
    ):
        size = "" if least is None else f" of at least {least},"
        raise ConfigError(
            f"{type(layer).__name__} needs {name} to be an int, or {axes} of them,{size} but got "
            f"{name}={value!r}."
        )
    return numbers


def taps(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> list[Pair]:
    """For each tap of the kernel: the outputs that it serves, the inputs that these read."""
    pairs = []
    for k in range(kernel):
        shift = dilation * k - padding
        first = max(0, -(shift // stride))
        last = max(first, min(out, (size - 1 - shift) // stride + 1))
        inputs = slice(stride * first + shift, max(0, stride * (last - 1) + shift + 1), stride)
        pairs.append((slice(first, last), inputs if last > first else slice(0, 0)))
    return pairs


def along(axis: int, positions: slice | Array) -> tuple[EllipsisType | slice | Array, ...]:
    """The index of some positions on an axis, a negative number, and of all on the others."""
    return (..., positions, *[slice(None)] * (-1 - axis))


def resized(x: Array, axis: int, n: int) -> Sizes:
    """The shape of x, with n entries on one axis."""
    shape = list(x.shape)
    shape[axis] = n
    return tuple(shape)


# ---- pooling ----------------------------------------------------------------------------------


def plane(layer: object, x: Array, axes: int) -> Sizes:
    """The size of a plane of x, its last `axes` axes, none of which is empty."""
    require_floats(layer, x, {})
    if x.ndim not in (axes + 1, axes + 2) or 0 in x.shape[-axes:]:
        names = {1: "L", 2: "H, W", 3: "D, H, W"}[axes]
        raise ShapeError(
            f"{layer} needs x of shape (N, C, {names}) or (C, {names}), where only N and C may be "
            f"0, but got {x.shape}."
        )
    return x.shape[-axes:]


class Pooling(NamedTuple):
    """What the windows of a pooling layer are like, one number for each axis of a plane."""

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes

    @classmethod
    def of(cls, layer: Any, axes: int) -> "Pooling":
        """The fields of a layer, of which padding and dilation may be missing; ConfigError."""
        kernel = per_axis(layer, "kernel_size", axes, least=1)
        stride = kernel if layer.stride is None else per_axis(layer, "stride", axes, least=1)
        padding, dilation = (0,) * axes, (1,) * axes
        if hasattr(layer, "padding"):
            padding = per_axis(layer, "padding", axes, least=0)
        if hasattr(layer, "dilation"):
            dilation = per_axis(layer, "dilation", axes, least=1)
        if any(p > k // 2 for k, p in zip(kernel, padding, strict=True)):
            raise ConfigError(
                f"{type(layer).__name__} needs a padding of at most half of kernel_size, but got "
                f"padding={layer.padding} and kernel_size={layer.kernel_size}."
            )
        return cls(kernel, stride, padding, dilation)

    def outputs(self, layer: Any, size: Sizes) -> Sizes:
        """How many windows there are on each axis, of which each must meet the plane."""
        out = []
        for n, k, s, p, d in zip(size, *self, strict=True):
            span = n + 2 * p - d * (k - 1) - 1
            o = (-(-span // s) if layer.ceil_mode else span // s) + 1
            if layer.ceil_mode and (o - 1) * s >= n + p:
                o -= 1
            at = s * np.arange(o)[:, None] + d * np.arange(k) - p
            if o < 1 or not ((at >= 0) & (at < n)).any(1).all():
                raise ShapeError(
                    f"{layer} needs a plane that, with its padding, holds at least one window, and "
                    f"that every window meets, but got a plane of {size}."
                )
            out.append(o)
        return tuple(out)

    def taps(self, size: Sizes, out: Sequence[int]) -> list[list[Pair]]:
        """The taps of every axis."""
        return [taps(*numbers) for numbers in zip(size, out, *self, strict=True)]
