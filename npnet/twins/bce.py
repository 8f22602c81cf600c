"""Twins of the binary cross entropies."""

from math import inf, log, nan

import numpy as np
from torch import nn

from npnet.twins._losses import either_kind, in_order, integers, reduction
from npnet.twins.spec import Claim, Pick, refuses, same, spec
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
            "The gradient has p (1 - p) no smaller than 1e-12: a sure prediction that is wrong has "
            "one of 1e12. torch's floor is float32(1e-12), 4e-9 smaller, and both are right.",
            lambda ask: abs(float(ask([0.0], [1.0]).dx[0]) / -1e12 - 1) < 1e-8,
        ),
        Claim(
            "Predictions are probabilities, not logits: anything outside of 0 … 1 raises an error.",
            lambda ask: (
                same(ask([0.25], [1.0]).y, 2 * log(2)) and refuses(lambda: ask([1.5], [1.0]))
            ),
        ),
        Claim(
            "Prediction and target have one shape; nothing is broadcast.",
            lambda ask: refuses(lambda: ask([[0.5, 0.25]], [[1.0]])),
        ),
        Claim(
            "The mean over nothing is nan, the sum 0.",
            lambda ask: same(ask([], []).y, nan) and same(ask([], [], reduction="sum").y, 0.0),
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
        Claim(
            "weight multiplies everything, and the mean is over all elements all the same.",
            lambda ask: same(
                ask([0.0, 0.0], [1.0, 0.0], state={"weight": [1.0, 3.0]}, weight=np.ones(2)).y,
                2 * log(2),
            ),
        ),
        Claim(
            "pos_weight holds a number for every class, of which the last axis is, not the second.",
            lambda ask: same(
                ask(
                    [[[0.0, 0.0], [0.0, 0.0]]],
                    [[[1.0, 1.0], [1.0, 1.0]]],
                    reduction="none",
                    state={"pos_weight": [1.0, 3.0]},
                    pos_weight=np.ones(2),
                ).y,
                [[[log(2), 3 * log(2)]] * 2],
            ),
        ),
        Claim(
            "Prediction and target have one shape; nothing is broadcast.",
            lambda ask: refuses(lambda: ask([[0.5, 0.25]], [[1.0]])),
        ),
        Claim(
            "The target has a gradient: -x, where there is no pos_weight.",
            lambda ask: same(ask([3.0], [0.5]).dxs[1], [-3.0]),
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
            "Targets are 0 and 1, one for every class, and no lists of labels.",
            lambda ask: same(
                ask([[3.0, -1.0]], [[1.0, 0.0]]).dx, [[-0.023712936588783296, 0.13447071068499755]]
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
        Claim(
            "It is the logistic loss of 1 and -1: BCEWithLogitsLoss of 1 and 0 is the same.",
            lambda ask: (
                same(ask([2.0], [1.0]).y, 0.1269280110429726)
                and same(ask([2.0], [-1.0]).y, 2.1269280110429727)
            ),
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
