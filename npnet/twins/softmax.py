"""Twins of the softmax and its logarithm."""

from torch import nn

from npnet.twins.activation import SHAPES
from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn

_ROWS = ((2, 3, 2), (2, 3), (3, 2, 1, 2), (3, 2), (2, 3, 3))  # several rows, whichever the axis


def _drawn(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_ROWS, *_ROWS, *SHAPES)
    dim = pick.option("dim", 0, -1, 1, None, -2, None)
    axes = max(len(shape), 1)
    if dim is not None and not -axes <= dim < axes:
        dim = pick.instead("dim", -1, because="shape")
    return {"dim": dim}, (pick.values("x", shape),)


@spec(nn.Softmax)
def Softmax(pick: Pick) -> Drawn:
    return _drawn(pick)


@spec(nn.LogSoftmax)
def LogSoftmax(pick: Pick) -> Drawn:
    return _drawn(pick)
