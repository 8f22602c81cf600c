"""Twin of the adaptive softmax."""

from math import log
from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

_ZEROS = {
    "head.weight": [[0.0, 0.0]] * 3,
    "tail.0.0.weight": [[0.0, 0.0]],
    "tail.0.1.weight": [[0.0]] * 2,
}


def _four(ask: Ask, target: list[int], **how: Any) -> Told:
    """Four classes, two of them in the tail; all of the head, and of the tail, equally likely."""
    x = [[1.0, 2.0], [3.0, 4.0]][: len(target)]
    how = {"state": _ZEROS, **how}
    return ask(x, target, in_features=2, n_classes=4, cutoffs=(2,), div_value=2.0, **how)


@spec(
    nn.AdaptiveLogSoftmaxWithLoss,
    read={"cutoffs": lambda module: module.cutoffs[:-1]},  # torch appends n_classes
    batched=lambda config: False,  # which samples go through which tail depends on the data
    claims=(
        Claim(
            "output is the log-probability itself, loss the mean of its negative.",
            lambda ask: (
                same(_four(ask, [0, 3]).y[0], [-log(3), -log(6)])
                and same(_four(ask, [0, 3]).y[1], (log(3) + log(6)) / 2)
            ),
        ),
        Claim(
            "A cluster has one place in the head, behind the shortlist; its classes share that.",
            lambda ask: same(
                _four(ask, [3], dy=([1.0], 0.0)).params["head.weight"],
                [[-1 / 3, -2 / 3], [-1 / 3, -2 / 3], [2 / 3, 4 / 3]],
            ),
        ),
        Claim(
            "cutoffs do not hold n_classes, which torch appends itself.",
            lambda ask: (
                same(_four(ask, [3]).y[0], [-log(6)])
                and refuses(
                    lambda: ask([[1.0, 2.0]], [0], in_features=2, n_classes=4, cutoffs=(2, 4))
                )
            ),
        ),
        Claim(
            "The tail of cluster i has ⌊in_features / div_value^(i + 1)⌋ features: the first one "
            "has fewer already.",
            lambda ask: _four(ask, [3]).params["tail.0.0.weight"].shape == (1, 2),
        ),
        Claim(
            "The head has a bias with head_bias=True only, and tails never have.",
            lambda ask: (
                set(_four(ask, [3]).params) == set(_ZEROS)
                and same(
                    _four(
                        ask, [3], state=_ZEROS | {"head.bias": [0.0, 0.0, log(2)]}, head_bias=True
                    ).y[0],
                    [-log(4)],
                )
            ),
        ),
    ),
)
def AdaptiveLogSoftmaxWithLoss(pick: Pick) -> Drawn:
    cutoffs, classes = pick.option(
        "classes",
        ((2, 4), 6),
        ((1,), 2),
        ((3,), 7),
        ((1, 2, 3), 4),
        ((2, 5, 6), 12),
        ((4, 9), 33),
    )
    config = {
        "in_features": pick.size("in_features"),
        "n_classes": classes,
        "cutoffs": cutoffs,
        "div_value": pick.option("div_value", 2.0, 4.0, 1.0, 1.5, 0.5),
        "head_bias": pick.option("head_bias", True, False),
    }
    batch = pick.option("batch", (5,), (1,), (), (3,), (2,), (0,), (12,))
    x = pick.values("x", (*batch, config["in_features"]))
    return config, (x, pick.values("target", batch, kind="index", high=classes))
