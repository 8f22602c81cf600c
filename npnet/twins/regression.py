"""Twins of the losses of regression."""

from torch import nn

from npnet.twins._losses import BROADCAST, OF_NOTHING, PAIRS, either_kind, reduction
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn


@spec(
    nn.L1Loss,
    claims=(
        Claim(
            "The gradient of two numbers that are equal is 0.",
            lambda ask: same(ask([1.0, 2.0], [1.0, 1.0], reduction="sum").dx, [0.0, 1.0]),
        ),
        BROADCAST,
        OF_NOTHING,
    ),
)
def L1Loss(pick: Pick) -> Drawn:
    a, b = pick.option("shapes", *PAIRS)
    return reduction(pick), (pick.values("prediction", a), either_kind(pick, "target", b))


@spec(
    nn.MSELoss,
    claims=(
        Claim(
            "The square is not halved: the gradient is 2 (prediction - target) / n.",
            lambda ask: same(ask([3.0, 1.0], [0.0, 1.0]).dx, [3.0, 0.0]),
        ),
        Claim(
            "The mean is over all elements, not over the batch.",
            lambda ask: same(ask([[2.0, 0.0]], [[0.0, 0.0]]).y, 2.0),
        ),
        Claim(
            "The target has a gradient too, the opposite of the prediction's.",
            lambda ask: same(ask([3.0, 1.0], [0.0, 1.0]).dxs[1], [-3.0, 0.0]),
        ),
        BROADCAST,
        OF_NOTHING,
    ),
)
def MSELoss(pick: Pick) -> Drawn:
    a, b = pick.option("shapes", *PAIRS)
    return reduction(pick), (pick.values("prediction", a), either_kind(pick, "target", b))


@spec(
    nn.SmoothL1Loss,
    claims=(
        Claim(
            "It is the Huber loss divided by beta: the slope far from 0 is 1.",
            lambda ask: same(ask([5.0], [0.0], beta=2.0).dx, [1.0]),
        ),
        Claim(
            "With beta=0 it is the L1 loss, whose gradient at 0 is 0.",
            lambda ask: (
                same(ask([0.0, 0.5], [0.0, 0.0], beta=0.0).y, 0.25)
                and same(ask([0.0, 0.5], [0.0, 0.0], beta=0.0, reduction="sum").dx, [0.0, 1.0])
            ),
        ),
        Claim(
            "At beta the square meets the line: the loss is beta / 2, its slope 1.",
            lambda ask: (
                same(ask([2.0], [0.0], beta=2.0).y, 1.0)
                and same(ask([-2.0], [0.0], beta=2.0).dx, [-1.0])
            ),
        ),
        BROADCAST,
        OF_NOTHING,
    ),
)
def SmoothL1Loss(pick: Pick) -> Drawn:
    beta = pick.option("beta", 1.0, 0.5, 0.0, 2.0, 0.0625)
    a, b = pick.option("shapes", *PAIRS)
    x = pick.values("prediction", a, kinks=(0.0, beta, -beta))
    return {**reduction(pick), "beta": beta}, (x, either_kind(pick, "target", b))


@spec(
    nn.HuberLoss,
    claims=(
        Claim(
            "The slope far from 0 is delta, not 1.",
            lambda ask: same(ask([5.0], [0.0], delta=2.0).dx, [2.0]),
        ),
        Claim(
            "Within delta it is half of the square, other than MSELoss.",
            lambda ask: same(ask([1.0], [0.0], delta=2.0).y, 0.5),
        ),
        Claim(
            "At delta the square meets the line: the loss is delta² / 2, its slope delta.",
            lambda ask: (
                same(ask([2.0], [0.0], delta=2.0).y, 2.0)
                and same(ask([-2.0], [0.0], delta=2.0).dx, [-2.0])
            ),
        ),
        BROADCAST,
        OF_NOTHING,
    ),
)
def HuberLoss(pick: Pick) -> Drawn:
    delta = pick.option("delta", 1.0, 0.5, 2.0, 0.0625)
    a, b = pick.option("shapes", *PAIRS)
    config = {"reduction": pick.option("reduction", "mean", "sum", "none"), "delta": delta}
    x = pick.values("prediction", a, kinks=(0.0, delta, -delta))
    return config, (x, pick.values("target", b))
