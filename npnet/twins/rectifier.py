"""Twins of the rectifiers."""

from math import nan

import numpy as np
from torch import nn

from npnet.twins.activation import SHAPES, anything
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn


@spec(
    nn.ReLU,
    claims=(
        Claim(
            "The gradient at 0 is 0, at -0 too.",
            lambda ask: same(ask([0.0, -0.0], dy=[3.0, 3.0]).dx, [0.0, 0.0]),
        ),
        Claim(
            "Of -0 it is -0, which 1 / y shows.",
            lambda ask: np.signbit(ask([-0.0, 0.0, -1.0]).y).tolist() == [True, False, False],
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan], dy=[3.0]).dx, [3.0]) and same(ask([nan]).y, [nan]),
        ),
    ),
)
def ReLU(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(
    nn.LeakyReLU,
    claims=(
        Claim(
            "0 belongs to the negative side: the gradient there is the slope.",
            lambda ask: same(ask([0.0, -0.0], negative_slope=0.25).dx, [0.25, 0.25]),
        ),
        Claim(
            "A slope above 1 or below 0 is a slope as any other: y is no maximum of x and its "
            "multiple.",
            lambda ask: (
                same(ask([-1.0, 1.0], negative_slope=2.0).y, [-2.0, 1.0])
                and same(ask([-1.0, 1.0], negative_slope=-2.0).y, [2.0, 1.0])
            ),
        ),
    ),
)
def LeakyReLU(pick: Pick) -> Drawn:
    slope = pick.option("negative_slope", 0.125, 0.75, 0.0, 2.0, -0.25, 1.0)
    return {"negative_slope": slope, "inplace": False}, (anything(pick),)


@spec(
    nn.PReLU,
    claims=(
        Claim(
            "At 0 the gradient of x is the slope, and the gradient of the slope is 0.",
            lambda ask: (
                same(ask([[0.0]], state={"weight": [0.25]}).dx, [[0.25]])
                and same(ask([[0.0]], state={"weight": [0.25]}).params["weight"], [0.0])
            ),
        ),
        Claim(
            "The channels are the axis 1, whatever the number of axes.",
            lambda ask: same(
                ask([[-1.0, -1.0]], state={"weight": [2.0, 3.0]}, num_parameters=2).y,
                [[-2.0, -3.0]],
            ),
        ),
        Claim(
            "The gradient of a slope is summed over the batch and over all positions.",
            lambda ask: same(
                ask([[[-1.0, -2.0]], [[-3.0, 4.0]]], state={"weight": [2.0]}).params["weight"],
                [-6.0],
            ),
        ),
    ),
)
def PReLU(pick: Pick) -> Drawn:
    shape = pick.option("shape", *SHAPES, (0, 3), (2, 1, 0, 2))
    n = pick.option("num_parameters", 3, 1, 2)
    if n > 1 and len(shape) < 2:  # torch takes these to have one channel
        n = pick.instead("num_parameters", 1, because="shape")
    if n > 1:
        shape = (shape[0], n, *shape[2:])
    config = {"num_parameters": n, "init": pick.option("init", 0.25, 0.5)}
    return config, (pick.values("x", shape),)


@spec(
    nn.RReLU,
    draws=lambda config: True,
    batched=lambda config: False,
    claims=(
        Claim(
            "In evaluation the slope is the mean of the two bounds.",
            lambda ask: same(ask([-1.0], lower=0.25, upper=0.75, training=False).y, [-0.5]),
        ),
        Claim(
            "0 belongs to the negative side: the gradient there is the slope.",
            lambda ask: same(ask([0.0], lower=0.25, upper=0.25).dx, [0.25]),
        ),
        Claim(
            "In training every element has a slope of its own.",
            lambda ask: len({*ask([-1.0, -1.0, -1.0], lower=0.0, upper=1.0).y.tolist()}) == 3,
        ),
    ),
)
def RReLU(pick: Pick) -> Drawn:
    config = {
        "lower": pick.option("lower", 0.125, -0.5, 0.25, 0.0),
        "upper": pick.option("upper", 0.5, 0.25, 1.5),
        "inplace": False,
        "training": pick.option("training", True, True, False),
    }
    return config, (anything(pick),)


@spec(
    nn.ELU,
    claims=(
        Claim(
            "0 belongs to the negative side: the gradient there is alpha.",
            lambda ask: same(ask([0.0, -0.0], alpha=2.0).dx, [2.0, 2.0]),
        ),
        Claim(
            "alpha is the depth of the negative side and does not stretch it.",
            lambda ask: same(ask([-1.0], alpha=2.0).y, [-1.2642411176571153]),
        ),
    ),
)
def ELU(pick: Pick) -> Drawn:
    alpha = pick.option("alpha", 1.0, 2.0, 0.75, 0.0, -1.0)
    return {"alpha": alpha, "inplace": False}, (anything(pick),)


@spec(
    nn.SELU,
    claims=(
        Claim(
            "The gradient at 0 is scale · alpha = 1.758…, that of the negative side.",
            lambda ask: same(ask([0.0, 1.0]).dx, [1.7580993408473766, 1.0507009873554805]),
        ),
    ),
)
def SELU(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(
    nn.CELU,
    claims=(
        Claim(
            "The gradient at 0 is 1 whatever alpha is, unlike that of ELU.",
            lambda ask: same(ask([0.0, -0.0], alpha=2.0).dx, [1.0, 1.0]),
        ),
        Claim(
            "alpha stretches the negative side as well as it deepens it.",
            lambda ask: same(ask([-1.0], alpha=2.0).y, [-0.7869386805747332]),
        ),
    ),
)
def CELU(pick: Pick) -> Drawn:
    alpha = pick.option("alpha", 1.0, 2.0, 0.75, -2.0)
    return {"alpha": alpha, "inplace": False}, (anything(pick),)


@spec(
    nn.Threshold,
    claims=(
        Claim(
            "At the threshold y is value, and the gradient 0.",
            lambda ask: (
                same(ask([0.5], threshold=0.5, value=2.0).y, [2.0])
                and same(ask([0.5], threshold=0.5, value=2.0).dx, [0.0])
            ),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: (
                same(ask([nan], threshold=0.5, value=2.0).y, [nan])
                and same(ask([nan], threshold=0.5, value=2.0).dx, [1.0])
            ),
        ),
    ),
)
def Threshold(pick: Pick) -> Drawn:
    threshold = pick.option("threshold", 0.5, 0.0, -1.0, 2.0)
    config = {
        "threshold": threshold,
        "value": pick.option("value", 2.0, -0.5, 0.0, 1.0),
        "inplace": False,
    }
    return config, (anything(pick, threshold),)
