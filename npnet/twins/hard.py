"""Twins of the hard activations."""

from math import nan

from torch import nn

from npnet.twins.activation import anything
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.spec import Drawn


@spec(
    nn.Hardtanh,
    claims=(
        Claim(
            "At both bounds the gradient is 0.",
            lambda ask: same(ask([-1.0, 1.0, 0.5]).dx, [0.0, 0.0, 1.0]),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan]).y, [nan]) and same(ask([nan]).dx, [1.0]),
        ),
        Claim(
            "min_value and max_value, the older names, go before min_val and max_val.",
            lambda ask: same(ask([-9.0, 9.0], min_value=-2.0, max_value=3.0).y, [-2.0, 3.0]),
        ),
    ),
)
def Hardtanh(pick: Pick) -> Drawn:
    config = {
        "min_val": pick.option("min_val", -1.0, -2.0, 0.5, 0.0),
        "max_val": pick.option("max_val", 1.0, 0.75, 2.0),
        "inplace": False,
        "min_value": pick.option("min_value", None, None, -0.5),
        "max_value": pick.option("max_value", None, None, 1.5),
    }
    low = config["min_val"] if config["min_value"] is None else config["min_value"]
    high = config["max_val"] if config["max_value"] is None else config["max_value"]
    return config, (anything(pick, low, high),)


@spec(
    nn.ReLU6,
    claims=(
        Claim(
            "At 0 and at 6 the gradient is 0.",
            lambda ask: same(ask([0.0, 6.0, 3.0]).dx, [0.0, 0.0, 1.0]),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan]).y, [nan]) and same(ask([nan]).dx, [1.0]),
        ),
    ),
)
def ReLU6(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick, 0.0, 6.0),)


@spec(
    nn.Hardsigmoid,
    claims=(
        Claim(
            "The straight line has the slope 1/6, from -3 to 3, where Keras has 1/5, from -2.5.",
            lambda ask: same(ask([-3.0, 1.0, 3.0]).y, [0.0, 2 / 3, 1.0]),
        ),
        Claim(
            "At -3 and at 3 the gradient is 0.",
            lambda ask: same(ask([-3.0, 3.0]).dx, [0.0, 0.0]),
        ),
        Claim(
            "The gradient is 1/6; torch's is float32(1/6), 5e-9 larger, in float64 too, and both "
            "are right.",
            lambda ask: ask([0.0]).dx[0] in (1 / 6, 0.1666666716337204),
        ),
    ),
)
def Hardsigmoid(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick, -3.0, 3.0),)


@spec(
    nn.Hardswish,
    claims=(
        Claim(
            "At -3 the gradient is 0 and at 3 it is 1: the limits from outside.",
            lambda ask: same(ask([-3.0, 3.0]).dx, [0.0, 1.0]),
        ),
        Claim(
            "It is x times the hard sigmoid of slope 1/6: between -3 and 0 it is negative.",
            lambda ask: same(ask([-1.5, 1.0]).y, [-0.375, 2 / 3]),
        ),
    ),
)
def Hardswish(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick, -3.0, 3.0),)


@spec(
    nn.Hardshrink,
    claims=(
        Claim(
            "At -lambd and at lambd both y and the gradient are 0.",
            lambda ask: (
                same(ask([-0.5, 0.5]).y, [0.0, 0.0]) and same(ask([-0.5, 0.5]).dx, [0.0, 0.0])
            ),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan]).y, [nan]) and same(ask([nan]).dx, [1.0]),
        ),
        Claim(
            "What is larger than lambd stays as it is.",
            lambda ask: same(ask([-0.75, 0.75]).y, [-0.75, 0.75]),
        ),
    ),
)
def Hardshrink(pick: Pick) -> Drawn:
    lambd = pick.option("lambd", 0.5, 1.0, 0.0, 2.0, -0.5)
    return {"lambd": lambd}, (anything(pick, lambd, -lambd),)


@spec(
    nn.Softshrink,
    claims=(
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan]).y, [nan]) and same(ask([nan]).dx, [1.0]),
        ),
        Claim(
            "lambd is not negative, where Hardshrink takes it to let everything pass.",
            lambda ask: (
                same(ask([0.25], lambd=0.0).y, [0.25]) and refuses(lambda: ask([1.0], lambd=-1.0))
            ),
        ),
        Claim(
            "What is larger than lambd moves towards 0 by lambd.",
            lambda ask: same(ask([-0.75, 0.75]).y, [-0.25, 0.25]),
        ),
        Claim(
            "At -lambd and at lambd the gradient is 0.",
            lambda ask: same(ask([-0.5, 0.5, 0.75]).dx, [0.0, 0.0, 1.0]),
        ),
    ),
)
def Softshrink(pick: Pick) -> Drawn:
    lambd = pick.option("lambd", 0.5, 1.0, 0.0, 2.0)
    return {"lambd": lambd}, (anything(pick, lambd, -lambd),)
