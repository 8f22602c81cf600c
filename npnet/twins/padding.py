"""Twins of the paddings."""

from collections.abc import Callable
from typing import Any

from torch import nn

from npnet.twins.conv import images, on_axes
from npnet.twins.spec import Claim, Pick, same, spec
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


def _row(ask: Ask, *padding: int, **config: Any) -> Any:
    return ask([[1.0, 2.0, 3.0]], padding=padding, **config).y[0]


_ORDER = Claim(
    "The numbers begin with the last axis: (left, right, top, bottom, front, back).",
    lambda ask: ask([[[[0.0] * 5] * 4]], padding=(1, 0, 2, 1)).y.shape == (1, 1, 7, 6),
)


@spec(
    nn.ReflectionPad1d,
    exact=True,
    split=_split(1),
    claims=(
        Claim(
            "The border itself is not repeated.",
            lambda ask: same(_row(ask, 2, 1), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]),
        ),
        Claim(
            "A negative number crops, after what it crops was reflected.",
            lambda ask: same(_row(ask, -2, 2), [3.0, 2.0, 1.0]),
        ),
    ),
)
def ReflectionPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _reflected)


@spec(nn.ReflectionPad2d, exact=True, split=_split(2), claims=(_ORDER,))
def ReflectionPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _reflected)


@spec(nn.ReflectionPad3d, exact=True, split=_split(3))
def ReflectionPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _reflected)


@spec(
    nn.ReplicationPad1d,
    exact=True,
    split=_split(1),
    claims=(
        Claim(
            "The border pixel's gradient is the sum of its copies' and its own.",
            lambda ask: same(
                ask([[1.0, 2.0]], dy=[[1.0, 2.0, 4.0, 8.0]], padding=(2, 0)).dx, [[7.0, 8.0]]
            ),
        ),
    ),
)
def ReplicationPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _repeated)


@spec(nn.ReplicationPad2d, exact=True, split=_split(2))
def ReplicationPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _repeated)


@spec(nn.ReplicationPad3d, exact=True, split=_split(3))
def ReplicationPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _repeated)


@spec(
    nn.CircularPad1d,
    exact=True,
    split=_split(1),
    claims=(
        Claim(
            "Before the image stand its last pixels.",
            lambda ask: same(_row(ask, 1, 2), [3.0, 1.0, 2.0, 3.0, 1.0, 2.0]),
        ),
        Claim(
            "A negative number crops first, and what is left is wrapped.",
            lambda ask: same(_row(ask, -1, 1), [2.0, 3.0, 2.0]),
        ),
    ),
)
def CircularPad1d(pick: Pick) -> Drawn:
    return _copying(pick, 1, _wrapped)


@spec(nn.CircularPad2d, exact=True, split=_split(2))
def CircularPad2d(pick: Pick) -> Drawn:
    return _copying(pick, 2, _wrapped)


@spec(nn.CircularPad3d, exact=True, split=_split(3))
def CircularPad3d(pick: Pick) -> Drawn:
    return _copying(pick, 3, _wrapped)


@spec(
    nn.ZeroPad1d,
    exact=True,
    split=_split(1),
    claims=(
        Claim(
            "A negative number crops.",
            lambda ask: same(_row(ask, -1, 1), [2.0, 3.0, 0.0]),
        ),
    ),
)
def ZeroPad1d(pick: Pick) -> Drawn:
    return _filling(pick, 1)


@spec(nn.ZeroPad2d, exact=True, split=_split(2), claims=(_ORDER,))
def ZeroPad2d(pick: Pick) -> Drawn:
    return _filling(pick, 2)


@spec(nn.ZeroPad3d, exact=True, split=_split(3))
def ZeroPad3d(pick: Pick) -> Drawn:
    return _filling(pick, 3)


def _value(pick: Pick) -> float:
    value: float = pick.option("value", 1.0, -2.5, 0.0, 3)
    return value


@spec(
    nn.ConstantPad1d,
    exact=True,
    split=_split(1),
    claims=(
        Claim(
            "The last axis of any input is padded, whatever comes before it.",
            lambda ask: same(ask([1.0, 2.0], padding=(1, 0), value=7.0).y, [7.0, 1.0, 2.0]),
        ),
    ),
)
def ConstantPad1d(pick: Pick) -> Drawn:
    return _filling(pick, 1, value=_value(pick))


@spec(nn.ConstantPad2d, exact=True, split=_split(2))
def ConstantPad2d(pick: Pick) -> Drawn:
    return _filling(pick, 2, value=_value(pick))


@spec(nn.ConstantPad3d, exact=True, split=_split(3))
def ConstantPad3d(pick: Pick) -> Drawn:
    return _filling(pick, 3, value=_value(pick))
