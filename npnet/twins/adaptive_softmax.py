"""Twin of the adaptive softmax."""

from math import log

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn

_ZEROS = {
    "head.weight": [[0.0, 0.0]] * 3,
    "tail.0.0.weight": [[0.0, 0.0]],
    "tail.0.1.weight": [[0.0]] * 2,
}


@spec(
    nn.AdaptiveLogSoftmaxWithLoss,
    read={"cutoffs": lambda module: module.cutoffs[:-1]},  # torch appends n_classes
    batched=lambda config: False,  # which samples go through which tail depends on the data
    claims=(
        Claim(
            "output is the log-probability itself, loss the mean of its negative.",
            lambda ask: (
                same(
                    ask(
                        [[1.0, 2.0], [3.0, 4.0]],
                        [0, 3],
                        state=_ZEROS,
                        in_features=2,
                        n_classes=4,
                        cutoffs=(2,),
                        div_value=2.0,
                    ).y[0],
                    [-log(3), -log(6)],
                )
                and same(
                    ask(
                        [[1.0, 2.0], [3.0, 4.0]],
                        [0, 3],
                        state=_ZEROS,
                        in_features=2,
                        n_classes=4,
                        cutoffs=(2,),
                        div_value=2.0,
                    ).y[1],
                    (log(3) + log(6)) / 2,
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
