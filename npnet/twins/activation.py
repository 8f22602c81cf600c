"""Twins of the activations."""

from math import nan

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

SHAPES = ((3,), (2, 3), (), (1,), (0,), (2, 3, 2), (4, 1), (33,), (2, 0), (129,), (2, 2, 1, 3))


def anything(pick: Pick, *kinks: float) -> Values:
    """An input of any shape, often on the kinks."""
    return pick.values("x", pick.option("shape", *SHAPES), kinks=kinks or (0.0,))


@spec(
    nn.ReLU,
    claims=(
        Claim(
            "The gradient at 0 is 0, at -0 too.",
            lambda ask: same(ask([0.0, -0.0], dy=[3.0, 3.0]).dx, [0.0, 0.0]),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan], dy=[3.0]).dx, [3.0]) and same(ask([nan]).y, [nan]),
        ),
    ),
)
def ReLU(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(nn.Sigmoid)
def Sigmoid(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(nn.Tanh)
def Tanh(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(
    nn.GELU,
    claims=(
        Claim(
            "By default Φ is the exact distribution function of the normal distribution (erf).",
            lambda ask: same(ask([1.0]).y, [0.8413447460685429]),
        ),
    ),
)
def GELU(pick: Pick) -> Drawn:
    return {"approximate": pick.option("approximate", "none", "tanh")}, (anything(pick),)
