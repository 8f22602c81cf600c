"""Twins of the softmax, of x and of -x, and of its logarithm."""

from torch import nn

from npnet.twins.activation import SHAPES
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn

_ROWS = ((2, 3, 2), (2, 3), (3, 2, 1, 2), (3, 2), (2, 3, 3))  # several rows, whichever the axis


def _drawn(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_ROWS, *_ROWS, *SHAPES)
    dim = pick.option("dim", 0, -1, 1, None, -2, None)
    axes = max(len(shape), 1)
    if dim is not None and not -axes <= dim < axes:
        dim = pick.instead("dim", -1, because="shape")
    return {"dim": dim}, (pick.values("x", shape),)


@spec(
    nn.Softmax,
    claims=(
        Claim(
            "dim=None is axis 0 of three axes, axis 1 of two (deprecated: say which).",
            lambda ask: (
                same(ask([[[0.0]], [[0.0]]]).y, [[[0.5]], [[0.5]]])
                and same(ask([[0.0], [0.0]]).y, [[1.0], [1.0]])
            ),
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
            "With dim=None it is the axis 0 of an x of 0, 1 or 3 axes, else the axis 1.",
            lambda ask: (
                same(ask([[[0.0]], [[0.0]]]).y, [[[0.5]], [[0.5]]])
                and same(ask([[0.0, 0.0]]).y, [[0.5, 0.5]])
            ),
        ),
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
    ),
)
def Softmax2d(pick: Pick) -> Drawn:
    channels = pick.size("channels")
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    image = pick.option("image", (2, 2), (1, 3), (3, 1), (1, 1), (0, 2))
    return {}, (pick.values("x", (*batch, channels, *image)),)
