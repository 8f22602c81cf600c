"""Twins of the losses over classes."""

from math import inf, log, nan

import numpy as np
from torch import nn

from npnet.twins._losses import PAIRS, in_order, reduction
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

_HALF = log(2.0)  # the loss of one of two classes of probability 1/2

_RANGE = Claim(
    "A label that is no class raises an error, unless it is ignore_index, whatever that is.",
    lambda ask: (
        same(ask([[1.0, 1.0]], [2], ignore_index=2, reduction="sum").y, 0.0)
        and refuses(lambda: ask([[1.0, 1.0]], [2]))
        and refuses(lambda: ask([[1.0, 1.0]], [-1]))
    ),
)


@spec(
    nn.CrossEntropyLoss,
    positive={"weight"},
    claims=(
        Claim(
            "It takes logits, and puts the softmax before the logarithm itself.",
            lambda ask: same(ask([[0.0, log(3)]], [1]).y, log(4 / 3)),
        ),
        Claim(
            "The classes are the second axis, (N, C, …), not the last one.",
            lambda ask: same(
                ask([[[0.0, 0.0], [0.0, log(3)]]], [[0, 1]], reduction="none").y,
                [[_HALF, log(4 / 3)]],
            ),
        ),
        Claim(
            "The mean divides by the sum of the weights of the labels, not by their number.",
            lambda ask: same(
                ask(
                    [[0.0, 0.0], [0.0, 0.0]],
                    [0, 1],
                    state={"weight": [1.0, 3.0]},
                    weight=np.ones(2),
                ).dx,
                [[-0.125, 0.125], [0.375, -0.375]],
            ),
        ),
        Claim(
            "Labels equal to ignore_index, by default -100, are not counted; the mean over none is "
            "nan, the sum 0.",
            lambda ask: (
                same(ask([[0.0, 0.0], [3.0, 0.0]], [0, -100]).y, _HALF)
                and same(ask([[0.0, 0.0]], [-100]).y, nan)
                and same(ask([[0.0, 0.0]], [-100], reduction="sum").y, 0.0)
            ),
        ),
        _RANGE,
        Claim(
            "Smoothing spreads over all classes, that of the label included.",
            lambda ask: same(
                ask([[0.0, 0.0]], [0], label_smoothing=0.5).dx, [[0.5 - 0.75, 0.5 - 0.25]]
            ),
        ),
        Claim(
            "With class weights smoothing weighs every class by its own, and the mean divides by "
            "the weight of the label all the same.",
            lambda ask: same(
                ask(
                    [[0.0, 0.0]],
                    [0],
                    state={"weight": [1.0, 3.0]},
                    weight=np.ones(2),
                    label_smoothing=0.5,
                ).y,
                (0.5 * 1 + 0.25 * (1 + 3)) * _HALF,
            ),
        ),
        Claim(
            "The mean over targets of probabilities divides by the number of samples, also with "
            "class weights.",
            lambda ask: same(
                ask(
                    [[0.0, 0.0]] * 2,
                    [[0.5, 0.5]] * 2,
                    state={"weight": [1.0, 3.0]},
                    weight=np.ones(2),
                ).y,
                2 * _HALF,
            ),
        ),
        Claim(
            "A target of probabilities is one of the shape of the prediction, and has a gradient.",
            lambda ask: same(ask([[0.0, 0.0]], [[0.0, 1.0]]).dxs[1], [[_HALF, _HALF]]),
        ),
    ),
)
def CrossEntropyLoss(pick: Pick) -> Drawn:
    classes = pick.size("classes")
    kind = pick.option("target", "indices", "probabilities")
    ignored = pick.option("ignore_index", -100, 0, -1, 2)
    if kind == "probabilities" and ignored >= 0:
        ignored = pick.instead("ignore_index", -100, because="target")
    config = {
        "weight": _class_weights(pick, classes),
        **reduction(pick),
        "ignore_index": ignored,
        "label_smoothing": pick.option("label_smoothing", 0.0, 0.125, 0.5, 1.0),
    }
    names = ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
    config = in_order(config, *names)
    batch, rest = _axes(pick)
    logits = pick.values("prediction", (*batch, classes, *rest))
    if kind == "probabilities":
        axis = len(batch)
        shape = (*batch, classes, *rest)
        return config, (logits, pick.values("labels", shape, kind="probability", axis=axis))
    return config, (logits, _labels(pick, (*batch, *rest), classes, ignored))


def _class_weights(pick: Pick, classes: int) -> Values | None:
    if not pick.option("class weights", True, True, False):
        return None
    return pick.values("weight", (classes,), kind="positive")


def _axes(pick: Pick) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes before and after that of the classes."""
    batch = pick.option("batch", (3,), (1,), (), (2,), (7,), (0,))
    rest = pick.option("trailing axes", (), (2,), (3, 2), (1, 2, 2))
    if rest and not batch:
        rest = pick.instead("trailing axes", (), because="batch")
    return batch, rest


def _labels(pick: Pick, shape: tuple[int, ...], classes: int, ignored: int) -> Values:
    outside = ignored < 0 or ignored >= classes
    extra = (ignored,) if pick.option("ignored targets", True, False) and outside else ()
    return pick.values("labels", shape, kind="index", high=classes, extra=extra)


@spec(
    nn.NLLLoss,
    positive={"weight"},
    claims=(
        Claim(
            "Predictions are logarithms already: the loss is minus the one at the label.",
            lambda ask: same(ask([[5.0, 7.0]], [1]).y, -7.0),
        ),
        Claim(
            "The mean divides by the sum of the weights of the labels, not by their number.",
            lambda ask: same(
                ask(
                    [[1.0, 0.0], [0.0, 5.0]],
                    [0, 1],
                    state={"weight": [1.0, 3.0]},
                    weight=np.ones(2),
                ).y,
                -4.0,
            ),
        ),
        Claim(
            "The mean over labels that are all ignored is nan, their sum is 0.",
            lambda ask: (
                same(ask([[1.0, 2.0]], [-100]).y, nan)
                and same(ask([[1.0, 2.0]], [-100], reduction="sum").y, 0.0)
            ),
        ),
        Claim(
            "The classes are the second axis, (N, C, …), not the last one.",
            lambda ask: same(
                ask([[[1.0, 2.0], [3.0, 4.0]]], [[0, 1]], reduction="none").y, [[-1.0, -4.0]]
            ),
        ),
        _RANGE,
    ),
)
def NLLLoss(pick: Pick) -> Drawn:
    classes = pick.size("classes")
    ignored = pick.option("ignore_index", -100, 0, -1, 2)
    config = {
        "weight": _class_weights(pick, classes),
        **reduction(pick),
        "ignore_index": ignored,
    }
    config = in_order(config, "weight", "size_average", "ignore_index", "reduce", "reduction")
    batch, rest = _axes(pick)
    x = pick.values("prediction", (*batch, classes, *rest))
    return config, (x, _labels(pick, (*batch, *rest), classes, ignored))


@spec(
    nn.KLDivLoss,
    claims=(
        Claim(
            "mean divides by the number of elements, batchmean by the size of the first axis.",
            lambda ask: (
                same(ask([[0.0, 0.0]], [[1.0, 1.0]], dy=4.0).dx, [[-2.0, -2.0]])
                and same(
                    ask([[0.0, 0.0]], [[1.0, 1.0]], dy=4.0, reduction="batchmean").dx,
                    [[-4.0, -4.0]],
                )
            ),
        ),
        Claim(
            "The prediction is a logarithm and the target is none, unless log_target=True.",
            lambda ask: (
                same(ask([-1.0], [1.0]).y, 1.0) and same(ask([-1.0], [0.0], log_target=True).y, 1.0)
            ),
        ),
        Claim(
            "It is Σ t (log t - x), what the target diverges from the prediction: the prediction, "
            "which comes first, is the one that t is held against.",
            lambda ask: same(
                ask([log(0.5), log(0.5)], [0.25, 0.75], reduction="sum").y,
                0.25 * log(0.5) + 0.75 * log(1.5),
            ),
        ),
        Claim(
            "0 log 0 is 0.",
            lambda ask: same(ask([-1.0], [0.0]).y, 0.0) and same(ask([-1.0], [0.0]).dx, [0.0]),
        ),
        Claim(
            "Where a prediction is -inf the gradient is finite all the same: minus the target.",
            lambda ask: same(ask([-inf], [0.5]).dx, [-0.5]),
        ),
    ),
)
def KLDivLoss(pick: Pick) -> Drawn:
    log_target = pick.option("log_target", False, True)
    config = {**reduction(pick, "batchmean"), "log_target": log_target}
    a, b = pick.option("shapes", *PAIRS)
    # torch's gradient of a target of 0 is nan, which is not judged
    kinds = ("nonnegative", "probability") if b else ("nonnegative",)
    kind = pick.choose("target", ("real",) if log_target else kinds)
    axis = max(len(b) - 1, 0)
    return config, (pick.values("prediction", a), pick.values("target", b, kind=kind, axis=axis))
