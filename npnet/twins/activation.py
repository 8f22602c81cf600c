"""Twins of the activations."""

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

SHAPES = ((3,), (2, 3), (), (1,), (0,), (2, 3, 2), (4, 1), (33,), (2, 0), (129,), (2, 2, 1, 3))


def anything(pick: Pick, *kinks: float) -> Values:
    """An input of any shape, often on the kinks."""
    return pick.values("x", pick.option("shape", *SHAPES), kinks=kinks or (0.0,))


@spec(nn.ReLU)
def ReLU(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(nn.Sigmoid)
def Sigmoid(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(nn.Tanh)
def Tanh(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(nn.GELU)
def GELU(pick: Pick) -> Drawn:
    return {"approximate": pick.option("approximate", "none", "tanh")}, (anything(pick),)
