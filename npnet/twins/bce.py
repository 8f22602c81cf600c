"""Twins of the binary cross entropies."""

from math import inf, log

import numpy as np
from torch import nn

from npnet.twins._losses import either_kind, in_order, integers, reduction
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

_SHAPES = ((2, 3), (3,), (), (2, 3, 2), (1, 2), (0, 3), (33,))
_NAMES = ("weight", "size_average", "reduce", "reduction")


def _weight(pick: Pick, shape: tuple[int, ...]) -> Values | None:
    """Weights of a shape that broadcasts to that of the prediction."""
    kind = pick.option("weight", "none", "scalar", "last axis", "all")
    if not shape and kind in ("last axis", "all"):
        kind = pick.instead("weight", "scalar", because="shape")
    if kind == "none":
        return None
    shapes = {"scalar": (1,) if shape else (), "last axis": shape[-1:], "all": shape}
    return pick.values("weight values", shapes[kind], kind="positive")


@spec(
    nn.BCELoss,
    positive={"weight"},
    batched=lambda config: False,  # torch looks at the predictions
    claims=(
        Claim(
            "Logarithms stop at -100: a sure prediction that is wrong costs 100, not infinity.",
            lambda ask: same(ask([0.0, 1.0], [1.0, 0.0], reduction="none").y, [100.0, 100.0]),
        ),
        Claim(
            "The mean is over all elements, whatever their weights.",
            lambda ask: same(
                ask([0.5, 0.5], [1.0, 1.0], state={"weight": [1.0, 3.0]}, weight=np.ones(2)).y,
                2 * log(2),
            ),
        ),
        Claim(
            "The target has a gradient, log(1 - p) - log p, infinite where p is 0 or 1.",
            lambda ask: same(ask([0.25, 0.0], [1.0, 0.0], dy=2.0).dxs[1], [log(3.0), inf]),
        ),
    ),
)
def BCELoss(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_SHAPES)
    config = in_order({"weight": _weight(pick, shape), **reduction(pick)}, *_NAMES)
    p = pick.values("prediction", shape, kind="unit")
    return config, (p, pick.values("target", shape, kind="binary"))


# under vmap torch decomposes it otherwise, with other bounds
@spec(
    nn.BCEWithLogitsLoss,
    positive={"weight", "pos_weight"},
    batched=lambda config: False,
    claims=(
        Claim(
            "pos_weight multiplies the part of the positive examples only.",
            lambda ask: same(
                ask(
                    [0.0, 0.0],
                    [1.0, 0.0],
                    dy=2.0,
                    state={"pos_weight": 3.0},
                    pos_weight=np.ones(()),
                ).dx,
                [-1.5, 0.5],
            ),
        ),
        Claim(
            "A large logit overflows nothing.",
            lambda ask: same(ask([1000.0, -1000.0], [0.0, 1.0]).y, 1000.0),
        ),
    ),
)
def BCEWithLogitsLoss(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_SHAPES)
    config = {"weight": _weight(pick, shape), **reduction(pick), "pos_weight": None}
    positive = pick.option("pos_weight", "none", "last axis", "scalar")
    if positive != "none":
        shapes = {"scalar": (1,) if shape else (), "last axis": shape[-1:]}
        config["pos_weight"] = pick.values("pos_weight values", shapes[positive], kind="positive")
    x, target = pick.values("prediction", shape), pick.values("target", shape, kind="binary")
    return in_order(config, *_NAMES, "pos_weight"), (x, target)


@spec(
    nn.MultiLabelSoftMarginLoss,
    positive={"weight"},
    claims=(
        Claim(
            "The classes, the last axis, are averaged, whatever the reduction.",
            lambda ask: same(
                ask([[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], reduction="none").y,
                [log(2), log(2)],
            ),
        ),
        Claim(
            "Class weights do not change what the mean divides by.",
            lambda ask: same(
                ask([[0.0, 0.0]], [[1.0, 0.0]], state={"weight": [2.0, 4.0]}, weight=np.ones(2)).y,
                3 * log(2),
            ),
        ),
    ),
)
def MultiLabelSoftMarginLoss(pick: Pick) -> Drawn:
    a, b, w = pick.option(
        "shapes",
        ((2, 3), (2, 3), (3,)),
        ((3,), (3,), (1,)),
        ((2, 3), (3,), ()),
        ((2, 3), (2, 1), (2, 3)),
        ((2, 1), (2, 3), (3,)),
        ((3,), (2, 3), (2, 1)),
        ((2, 3, 2), (2, 3, 2), (2,)),
        ((2, 3), (2, 3), (2, 2, 3)),
        ((0, 3), (0, 3), (3,)),
        ((2, 0), (2, 0), (1,)),
        ((33,), (33,), (33,)),
    )
    weighted = pick.option("weighted", True, False)
    weight = pick.values("weight", w, kind="positive") if weighted else None
    config = in_order({"weight": weight, **reduction(pick)}, *_NAMES)
    if pick.option("dtype of the target", "floating", "floating", "int64") == "int64":
        t = integers(pick, "target", b, high=2)
    else:
        t = pick.values("target", b, kind="binary")
    return config, (pick.values("prediction", a), t)


@spec(
    nn.SoftMarginLoss,
    constants=("input 1",),
    batched=lambda config: False,
    claims=(
        Claim(
            "Targets are 1 and -1: a target of 0 costs log 2 whatever the prediction.",
            lambda ask: same(ask([3.0], [0.0]).y, log(2)) and same(ask([3.0], [0.0]).dx, [0.0]),
        ),
    ),
)
def SoftMarginLoss(pick: Pick) -> Drawn:
    a, b = pick.option(
        "shapes",
        ((2, 3), (2, 3)),
        ((3,), (3,)),
        ((), ()),
        ((2, 3), (3,)),
        ((2, 3), (2, 1)),
        ((2, 2), ()),
        ((2, 3, 2), (2, 3, 2)),
        ((0, 3), (0, 3)),
        ((33,), (33,)),
    )
    if pick.option("kind of the target", "sign", "sign", "any") == "sign":
        t = pick.values("target", b, kind="sign")
    else:
        t = either_kind(pick, "target", b)
    return reduction(pick), (pick.values("prediction", a), t)
