"""Twins of the paddings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from npnet.twins._planes import line
from npnet.twins.conv import images, on_axes
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Example
from npnet.verify.claim import Ask
from npnet.verify.spec import Drawn

_PADDINGS = {
    1: (1, (1, 2), (2, 0), (-1, 1), 2, (1, -1), (-1, -2), (0, 3), (3, -2), 0),
    2: (
        1, (1, 2, 0, 1), (0, 0, 2, 1), (-1, 1, 2, 0), 2, (0, 3, -1, -1), (1, -2, -2, 2),
        (-1, 0, 0, 0), 0,
    ),
    3: (
        1, (1, 2, 0, 1, 2, 0), (0, 0, 0, 1, 0, 2), (-1, 1, 1, 0, 2, 1), (0, 2, 1, -1, -1, -1),
        (1, 0, -2, 2, 0, 0), (0, 0, 0, -1, 2, -1), 0,
    ),
}  # fmt: skip

Least = Callable[[int, int], int]


def _reflected(before: int, after: int) -> int:
    return max(1, before + 1, after + 1, 1 - before - after)


def _repeated(before: int, after: int) -> int:
    return max(1, 1 - before - after)


def _wrapped(before: int, after: int) -> int:
    """torch crops first and wraps what is left, and reads past it where that is not enough."""
    return max(1, before, after) - min(0, before) - min(0, after)


def _filled(before: int, after: int) -> int:
    return max(0, -before, -after, -before - after)


def _pads(pick: Pick, axes: int, least: Least) -> tuple[Any, list[int]]:
    """The argument, and the smallest image, first axis first."""
    padding = pick.option("padding", *_PADDINGS[axes])
    numbers = on_axes(padding, 2 * axes)
    pairs = zip(numbers[-2::-2], numbers[::-2], strict=True)
    return padding, [least(before, after) for before, after in pairs]


def _copying(pick: Pick, axes: int, least: Least) -> Drawn:
    padding, sizes = _pads(pick, axes, least)
    shape = images(pick, pick.size("channels"), sizes)
    return {"padding": padding}, (pick.values("x", shape),)


def _filling(pick: Pick, axes: int, **config: Any) -> Drawn:
    """Around any number of batch axes."""
    padding, sizes = _pads(pick, axes, _filled)
    batch = pick.batch("batch and channels")
    spare = [pick.option(f"spare {i}", 1, 0, 2, 3) for i in range(axes)]
    shape = (*batch, *(n + more for n, more in zip(sizes, spare, strict=True)))
    return {"padding": padding, **config}, (pick.values("x", shape),)


def _split(axes: int) -> Callable[[Example], bool]:
    def split(example: Example) -> bool:
        return example.arrays["input 0"].ndim == axes + 3  # value sets, N, C

    return split


_THREE = [[1.0, 2.0, 3.0]]


def _padded(ask: Ask, *padding: int, axes: int, **config: Any) -> Any:
    """A line of 1 2 3, padded at its ends; the other axes are left alone."""
    numbers = (*padding, *(0,) * (2 * axes - 2))
    return ask(line(_THREE, axes), padding=numbers, **config).y.reshape(-1)


def _order(axes: int, **config: Any) -> tuple[Claim, ...]:
    """What the numbers mean where there are several axes."""
    names = "left, right, top, bottom" + ", front, back" * (axes == 3)
    padding, shape = (1, 0, 2, 1, 1, 1)[: 2 * axes], (5, 7, 6)[-axes:]
    asked = np.zeros((1, 1, *(3, 4, 5)[-axes:]))
    claim = Claim(
        f"The numbers begin with the last axis: ({names}).",
        lambda ask: ask(asked, padding=padding, **config).y.shape == (1, 1, *shape),
    )
    return (claim,) if axes > 1 else ()


def _reflection_claims(axes: int) -> tuple[Claim, ...]:
    return (
        *_order(axes),
        Claim(
            "The border itself is not repeated: a padding must be smaller than the image.",
            lambda ask: (
                same(_padded(ask, 2, 1, axes=axes), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0])
                and refuses(lambda: _padded(ask, 3, 0, axes=axes))
            ),
        ),
        Claim(
            "A negative number crops, after what it crops was reflected.",
            lambda ask: same(_padded(ask, -2, 2, axes=axes), [3.0, 2.0, 1.0]),
        ),
        _copies(axes, _THREE, (2, 0), [1.0, 2.0, 4.0, 8.0, 16.0], [4.0, 2.0 + 8.0, 1.0 + 16.0]),
    )


def _copies(axes: int, x: Any, padding: tuple[int, int], dy: list[float], dx: list[float]) -> Claim:
    numbers = (*padding, *(0,) * (2 * axes - 2))
    return Claim(
        "A pixel's gradient is the sum of its copies' and its own.",
        lambda ask: same(
            ask(line(x, axes), dy=line([dy], axes), padding=numbers).dx, line([dx], axes)
        ),
    )


@spec(nn.ReflectionPad1d, exact=True, split=_split(1), claims=_reflection_claims(1))
def ReflectionPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _reflected)


@spec(nn.ReflectionPad2d, exact=True, split=_split(2), claims=_reflection_claims(2))
def ReflectionPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _reflected)


@spec(nn.ReflectionPad3d, exact=True, split=_split(3), claims=_reflection_claims(3))
def ReflectionPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _reflected)


def _replication_claims(axes: int) -> tuple[Claim, ...]:
    return (
        *_order(axes),
        Claim(
            "The border pixel is repeated, and it alone.",
            lambda ask: same(_padded(ask, 2, 1, axes=axes), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]),
        ),
        Claim(
            "A negative number crops, after what it crops was repeated.",
            lambda ask: same(_padded(ask, -1, 1, axes=axes), [2.0, 3.0, 3.0]),
        ),
        _copies(axes, [[1.0, 2.0]], (2, 0), [1.0, 2.0, 4.0, 8.0], [7.0, 8.0]),
    )


@spec(nn.ReplicationPad1d, exact=True, split=_split(1), claims=_replication_claims(1))
def ReplicationPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _repeated)


@spec(nn.ReplicationPad2d, exact=True, split=_split(2), claims=_replication_claims(2))
def ReplicationPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _repeated)


@spec(nn.ReplicationPad3d, exact=True, split=_split(3), claims=_replication_claims(3))
def ReplicationPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _repeated)


def _circular_claims(axes: int) -> tuple[Claim, ...]:
    return (
        *_order(axes),
        Claim(
            "Before the image stand its last pixels, once at most: no padding may be larger than "
            "the image.",
            lambda ask: (
                same(_padded(ask, 1, 2, axes=axes), [3.0, 1.0, 2.0, 3.0, 1.0, 2.0])
                and refuses(lambda: _padded(ask, 4, 0, axes=axes))
            ),
        ),
        Claim(
            "A negative number crops first, and what is left is wrapped.",
            lambda ask: same(_padded(ask, -1, 1, axes=axes), [2.0, 3.0, 2.0]),
        ),
        _copies(axes, _THREE, (1, 2), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [18.0, 36.0, 9.0]),
    )


@spec(nn.CircularPad1d, exact=True, split=_split(1), claims=_circular_claims(1))
def CircularPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _wrapped)


@spec(nn.CircularPad2d, exact=True, split=_split(2), claims=_circular_claims(2))
def CircularPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _wrapped)


@spec(nn.CircularPad3d, exact=True, split=_split(3), claims=_circular_claims(3))
def CircularPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _wrapped)


def _filling_claims(axes: int, fill: float, **config: Any) -> tuple[Claim, ...]:
    last = "axis of any input is" if axes == 1 else f"{axes} axes of any input are"
    alone = np.ones((2,) * axes)
    return (
        *_order(axes, **config),
        Claim(
            "A negative number crops.",
            lambda ask: same(_padded(ask, -1, 1, axes=axes, **config), [2.0, 3.0, fill]),
        ),
        Claim(
            f"The last {last} padded, with a batch or without one.",
            lambda ask: same(
                ask(alone, padding=1, **config).y,
                np.pad(alone, 1, constant_values=fill),
            ),
        ),
        Claim(
            "The gradient is that inside of the padding; of what was cropped it is 0.",
            lambda ask: same(
                ask(
                    line(_THREE, axes),
                    dy=line([[1.0, 2.0, 4.0]], axes),
                    padding=(1, -1, *(0,) * (2 * axes - 2)),
                    **config,
                ).dx,
                line([[2.0, 4.0, 0.0]], axes),
            ),
        ),
    )


@spec(nn.ZeroPad1d, exact=True, split=_split(1), claims=_filling_claims(1, 0.0))
def ZeroPad1d(pick: Pick) -> Drawn:
    return _filling(pick, 1)


@spec(nn.ZeroPad2d, exact=True, split=_split(2), claims=_filling_claims(2, 0.0))
def ZeroPad2d(pick: Pick) -> Drawn:
    return _filling(pick, 2)


@spec(nn.ZeroPad3d, exact=True, split=_split(3), claims=_filling_claims(3, 0.0))
def ZeroPad3d(pick: Pick) -> Drawn:
    return _filling(pick, 3)


def _value(pick: Pick) -> float:
    value: float = pick.option("value", 1.0, -2.5, 0.0, 3)
    return value


@spec(nn.ConstantPad1d, exact=True, split=_split(1), claims=_filling_claims(1, 7.0, value=7.0))
def ConstantPad1d(pick: Pick) -> Drawn:
    return _filling(pick, 1, value=_value(pick))


@spec(nn.ConstantPad2d, exact=True, split=_split(2), claims=_filling_claims(2, 7.0, value=7.0))
def ConstantPad2d(pick: Pick) -> Drawn:
    return _filling(pick, 2, value=_value(pick))


@spec(nn.ConstantPad3d, exact=True, split=_split(3), claims=_filling_claims(3, 7.0, value=7.0))
def ConstantPad3d(pick: Pick) -> Drawn:
    return _filling(pick, 3, value=_value(pick))
