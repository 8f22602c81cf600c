"""Twins of the margin losses."""

from typing import Any

import numpy as np
from torch import nn

from npnet.twins._losses import in_order, reduction
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn


def _at_the_margin(got: Any, kept: float) -> bool:
    """Whether a gradient exactly on the kink is that of either side."""
    return same(got, [kept]) or same(got, [0.0])


@spec(
    nn.MarginRankingLoss,
    either=True,  # at the margin the gradient is that of a positive loss, since torch 2.14 none
    claims=(
        Claim(
            "Target 1 wants the first input to be the larger, by the margin.",
            lambda ask: same(ask([2.0], [0.0], [1.0], margin=3.0).y, 1.0),
        ),
        Claim(
            "At the margin the gradient is that of a positive loss; from torch 2.14 on it is 0.",
            lambda ask: _at_the_margin(ask([2.0], [1.0], [1.0], margin=1.0).dx, -1.0),
        ),
        Claim(
            "The target has a gradient too.",
            lambda ask: same(ask([0.0], [2.0], [1.0]).dxs[2], [2.0]),
        ),
    ),
)
def MarginRankingLoss(pick: Pick) -> Drawn:
    config = {"margin": pick.option("margin", 0.0, 0.5, 1.0, -0.5), **reduction(pick)}
    a, b, c = pick.option(
        "shapes",
        ((2, 3), (2, 3), (2, 3)),
        ((3,), (3,), (3,)),
        ((), (), ()),
        ((2, 3), (1, 3), (2, 1)),
        ((2, 1), (2, 3), (1, 1)),
        ((3,), (1,), (3,)),
        ((2, 3, 2), (2, 3, 2), (2, 3, 2)),
        ((0, 3), (0, 3), (0, 3)),
        ((33,), (33,), (33,)),
    )
    kind = pick.option("target", "sign", "sign", "real", "int64")
    if kind == "int64":
        t = pick.values("target", c, kind="index", high=2, extra=(-1,))
    else:
        t = pick.values("target", c, kind=kind)
    return config, (pick.values("input1", a), pick.values("input2", b), t)


@spec(
    nn.HingeEmbeddingLoss,
    either=True,  # at the margin the gradient is that of a positive loss, since torch 2.14 none
    claims=(
        Claim(
            "A target that is neither 1 nor -1 costs both: x and max(margin - x, 0).",
            lambda ask: same(ask([0.25], [0.0]).y, 1.0) and same(ask([0.25], [0.0]).dx, [0.0]),
        ),
        Claim(
            "At the margin the gradient is that of a positive loss; from torch 2.14 on it is 0.",
            lambda ask: _at_the_margin(ask([1.0], [-1.0]).dx, -1.0),
        ),
        Claim(
            "Where the target is 1 the loss is x itself, below 0 too.",
            lambda ask: same(ask([-2.0], [1.0]).y, -2.0),
        ),
    ),
)
def HingeEmbeddingLoss(pick: Pick) -> Drawn:
    margin = pick.option("margin", 1.0, 0.5, 0.0, -0.5)
    a, b = pick.option(
        "shapes",
        ((2, 3), (2, 3)),
        ((3,), (3,)),
        ((), ()),
        ((2, 3), (3,)),
        ((2, 1), (2, 3)),
        ((1,), (2, 2)),
        ((2, 3, 2), (2, 3, 2)),
        ((0, 3), (0, 3)),
        ((33,), (33,)),
    )
    if pick.option("target", "sign", "sign", "int64") == "sign":
        t = pick.values("target", b, kind="sign")
    else:
        t = pick.values("target", b, kind="index", high=2, extra=(-1,))
    x = pick.values("prediction", a, kinks=(margin, 0.0))
    return {"margin": margin, **reduction(pick)}, (x, t)


@spec(
    nn.MultiMarginLoss,
    positive={"weight"},
    batched=lambda config: False,
    claims=(
        Claim(
            "The sum over the other classes is divided by the number of all.",
            lambda ask: same(ask([[0.0, 0.0]], [0]).y, 0.5),
        ),
        Claim(
            "Weights multiply the losses; the mean still divides by the number of samples.",
            lambda ask: same(
                ask([[0.0, 0.0]], [0], state={"weight": [3.0, 1.0]}, weight=np.ones(2)).y, 1.5
            ),
        ),
        Claim(
            "At the margin the gradient is 0.",
            lambda ask: same(ask([[1.0, 0.0]], [0]).dx, [[0.0, 0.0]]),
        ),
        Claim(
            "With p=2 the hinge is squared, and not halved.",
            lambda ask: same(ask([[0.0, 1.0]], [0], p=2).dx, [[-2.0, 2.0]]),
        ),
    ),
)
def MultiMarginLoss(pick: Pick) -> Drawn:
    config = {
        "p": pick.option("p", 1, 2),
        "margin": pick.option("margin", 1.0, 0.5, 0.0, 2.0),
        "weight": None,
        **reduction(pick),
    }
    classes = pick.size("classes")
    a, b = pick.option(
        "batch", ((3,), (3,)), ((), ()), ((2,), (2,)), ((1,), ()), ((), (1,)), ((0,), (0,))
    )
    if b == (0,):
        _keep_apart(pick, config)
    if pick.option("class weights", True, True, False):
        config["weight"] = pick.values("weight", (classes,), kind="positive")
    x = pick.values("prediction", (*a, classes), kinks=(0.0, config["margin"], -config["margin"]))
    names = ("p", "margin", "weight", "size_average", "reduce", "reduction")
    t = pick.values("labels", b, kind="index", high=classes)
    return in_order(config, *names), (x, t)


def _keep_apart(pick: Pick, config: dict[str, object]) -> None:
    """torch 2.13 leaves the mean and the sum over no samples uninitialised."""
    for name, value in (("size_average", None), ("reduce", None), ("reduction", "none")):
        if config[name] != value:
            config[name] = pick.instead(name, value, because="batch")


@spec(
    nn.MultiLabelMarginLoss,
    batched=lambda config: False,
    claims=(
        Claim(
            "What follows the first -1 in a target is no label.",
            lambda ask: same(ask([[0.0, 0.0, 0.0]], [[0, -1, 1]], dy=3.0).dx, [[-2.0, 1.0, 1.0]]),
        ),
        Claim(
            "At the margin of 1 the gradient is 0.",
            lambda ask: same(ask([[1.0, 0.0]], [[0, -1]]).dx, [[0.0, 0.0]]),
        ),
        Claim(
            "A label that is named twice counts twice.",
            lambda ask: same(ask([[0.0, 0.0]], [[1, 1]]).y, 1.0),
        ),
    ),
)
def MultiLabelMarginLoss(pick: Pick) -> Drawn:
    config = reduction(pick)
    classes = pick.option("classes", 3, 2, 4, 1, 5, 9)
    batch = pick.option("batch", (3,), (), (2,), (1,), (0,))
    if batch == (0,):
        _keep_apart(pick, config)
    shape = (*batch, classes)
    x = pick.values("prediction", shape, kinks=(0.0, 1.0, -1.0))
    return config, (x, pick.values("labels", shape, kind="index", high=classes, extra=(-1,)))
