"""Twins of the softmax, of x and of -x, and of its logarithm."""

from math import inf, log, nan
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.activation import SHAPES
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.claim import Ask
from npnet.verify.spec import Drawn

_ROWS = ((2, 3, 2), (2, 3), (3, 2, 1, 2), (3, 2), (2, 3, 3))  # several rows, whichever the axis


def _drawn(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_ROWS, *_ROWS, *SHAPES)
    dim = pick.option("dim", 0, -1, 1, None, -2, None)
    axes = max(len(shape), 1)
    if dim is not None and not -axes <= dim < axes:
        dim = pick.instead("dim", -1, because="shape")
    return {"dim": dim}, (pick.values("x", shape),)


def _of_infinities(ask: Ask, far: float) -> Any:
    """y of a row of infinities, and of one with a number; NumPy may warn of the nan."""
    with np.errstate(invalid="ignore"):
        return ask([[far, far], [far, 3.0]], dim=1).y


def _of_pixels(ask: Ask) -> Any:
    """y of a pixel of two channels that are -inf, and of one with a number."""
    with np.errstate(invalid="ignore"):
        return ask([[[-inf, -inf]], [[-inf, 3.0]]]).y


def _no_axis(half: float, whole: float) -> Claim:
    """What dim=None means, by what y is where two share and where one has all."""
    return Claim(
        "dim=None is the axis 0 of an x of 0, 1 or 3 axes, else the axis 1 (deprecated: say "
        "which).",
        lambda ask: (
            same(ask([[[0.0]], [[0.0]]]).y, [[[half]], [[half]]])
            and same(ask([[0.0], [0.0]]).y, [[whole], [whole]])
            and same(ask([0.0, 0.0]).y, [half, half])
        ),
    )


@spec(
    nn.Softmax,
    claims=(
        _no_axis(0.5, 1.0),
        Claim(
            "Where all are -inf the answer is nan; beside any number, -inf has the share 0.",
            lambda ask: same(_of_infinities(ask, -inf), [[nan, nan], [0.0, 1.0]]),
        ),
        Claim(
            "The largest is subtracted first: of numbers as large as 1000 the shares are right.",
            lambda ask: same(ask([1000.0, 1000.0], dim=0).y, [0.5, 0.5]),
        ),
    ),
)
def Softmax(pick: Pick) -> Drawn:
    return _drawn(pick)


@spec(
    nn.LogSoftmax,
    claims=(
        Claim(
            "It stays finite where the softmax itself is 0.",
            lambda ask: same(ask([0.0, 2000.0], dim=0).y, [-2000.0, 0.0]),
        ),
        Claim(
            "Where all are -inf the answer is nan; beside any number it is -inf.",
            lambda ask: same(_of_infinities(ask, -inf), [[nan, nan], [-inf, 0.0]]),
        ),
        _no_axis(log(0.5), 0.0),
    ),
)
def LogSoftmax(pick: Pick) -> Drawn:
    return _drawn(pick)


@spec(
    nn.Softmin,
    claims=(
        Claim(
            "The smallest x has the largest share.",
            lambda ask: same(ask([0.0, 1.0], dim=0).y, [0.7310585786300049, 0.2689414213699951]),
        ),
        Claim(
            "Where all are inf the answer is nan; beside any number, inf has the share 0.",
            lambda ask: same(_of_infinities(ask, inf), [[nan, nan], [0.0, 1.0]]),
        ),
        _no_axis(0.5, 1.0),
    ),
)
def Softmin(pick: Pick) -> Drawn:
    return _drawn(pick)


@spec(
    nn.Softmax2d,
    claims=(
        Claim(
            "It is the channels that share, with a batch axis and without.",
            lambda ask: (
                same(ask([[[[0.0]], [[0.0]]]]).y, [[[[0.5]], [[0.5]]]])
                and same(ask([[[0.0]], [[0.0]]]).y, [[[0.5]], [[0.5]]])
            ),
        ),
        Claim(
            "A pixel whose channels are all -inf is nan.",
            lambda ask: same(_of_pixels(ask), [[[nan, 0.0]], [[nan, 1.0]]]),
        ),
    ),
)
def Softmax2d(pick: Pick) -> Drawn:
    channels = pick.size("channels")
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    image = pick.option("image", (2, 2), (1, 3), (3, 1), (1, 1), (0, 2))
    return {}, (pick.values("x", (*batch, channels, *image)),)
