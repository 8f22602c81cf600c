"""Windows that slide along an axis: what convolutions and pooling share.

Output o reads, for each tap k of a window, the input stride·o + dilation·k - padding. Nothing is
padded here: a tap is a pair of slices, and these leave out what lies outside of the input.
"""

from collections.abc import Iterable
from numbers import Integral
from types import EllipsisType
from typing import Any

from npnet.contract import ConfigError

Pair = tuple[slice, slice]


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


def along(axis: int, positions: slice) -> tuple[EllipsisType | slice, ...]:
    """The index of some positions on an axis, a negative number, and of all on the others."""
    return (..., positions, *[slice(None)] * (-1 - axis))
