"""Twins of the losses that are likelihoods."""

import inspect
from math import log, pi

from torch import nn
from torch.nn import functional as F

from npnet.twins._losses import PAIRS, in_order, integers, reduction
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn

_STIRLING = 2 * log(2) - 2 + 0.5 * log(4 * pi)  # of a target of 2


@spec(
    nn.PoissonNLLLoss,
    claims=(
        Claim(
            "By default the prediction is the logarithm of the rate.",
            lambda ask: same(ask([0.0], [2.0]).y, 1.0) and same(ask([0.0], [2.0]).dx, [-1.0]),
        ),
        Claim(
            "The target has a gradient too: minus the logarithm of the rate.",
            lambda ask: same(ask([0.5], [2.0]).dxs[1], [-0.5]),
        ),
        Claim(
            "full=True adds Stirling's term for targets above 1, and nothing at 1.",
            lambda ask: same(
                ask([0.0, 0.0], [1.0, 2.0], full=True, reduction="none").y, [1.0, 1.0 + _STIRLING]
            ),
        ),
        Claim(
            "With log_input=False, eps is added to the rate under the logarithm only.",
            lambda ask: same(ask([0.0], [3.0], log_input=False, eps=1.0).y, 0.0),
        ),
    ),
)
def PoissonNLLLoss(pick: Pick) -> Drawn:
    config = {
        "log_input": pick.option("log_input", True, False),
        "full": pick.option("full", False, True),
        "eps": pick.option("eps", 2.0**-20, 2.0**-10, 1.0),
        **reduction(pick),
    }
    a, b = pick.option("shapes", *PAIRS)
    # the rate itself is not negative, nor is a count; torch's gradient of a count of 0 is nan with
    # full=True, which is not judged
    x = pick.values("prediction", a, kind="real" if config["log_input"] else "nonnegative")
    dtype = pick.option("dtype of the target", "floating", "floating", "int64")
    if dtype == "int64" and config["full"]:  # torch takes the logarithm of an integer in float32
        dtype = pick.instead("dtype of the target", "floating", because="full")
    if dtype == "int64":
        t = integers(pick, "target", b)
    else:
        t = pick.values("target", b, kind="nonnegative")
    names = ("log_input", "full", "size_average", "eps", "reduce", "reduction")
    return in_order(config, *names), (x, t)


_NUMBERS = "float" in str(inspect.signature(F.gaussian_nll_loss).parameters["var"].annotation)

_VARIANCES = (
    ((2, 3), (2, 3), (2, 3)),
    ((2, 3), (2, 3), (2,)),
    ((2, 3), (2, 3), (2, 1)),
    ((2, 3), (2, 3), (1, 3)),
    ((3,), (3,), ()),
    ((3,), (3,), (1,)),
    ((3,), (3,), (3,)),
    ((), (), ()),
    ((2, 3), (3,), (2, 3)),
    ((3,), (2, 3), (3,)),
    ((2, 1), (2, 3), (2,)),
    ((2, 3, 2), (2, 3, 2), (2, 3)),
    ((0, 3), (0, 3), (0,)),
    ((0, 3), (0, 3), (0, 3)),
    ((33,), (33,), (33,)),
    *([((2, 3), (2, 3), None), ((3,), (3,), None)] if _NUMBERS else []),
)


@spec(
    nn.GaussianNLLLoss,
    batched=lambda config: False,  # torch looks at the variances
    claims=(
        Claim(
            "A variance below eps counts as eps, and gets the gradient of eps all the same.",
            lambda ask: (
                same(ask([2.0], [0.0], [0.0], eps=1.0).y, 2.0)
                and same(ask([2.0], [0.0], [0.0], eps=1.0).dxs[2], [-1.5])
            ),
        ),
        Claim(
            "var is the variance, not its root or logarithm.",
            lambda ask: same(ask([2.0], [0.0], [4.0]).dx, [0.5]),
        ),
        Claim(
            "The mean is over the predictions, though there be fewer variances.",
            lambda ask: same(ask([[2.0, 2.0]], [[0.0, 0.0]], [[1.0]]).y, 2.0),
        ),
        Claim(
            "full=True adds log(2π)/2.",
            lambda ask: same(ask([0.0], [0.0], [1.0], full=True).y, 0.5 * log(2 * pi)),
        ),
    ),
)
def GaussianNLLLoss(pick: Pick) -> Drawn:
    config = {
        "full": pick.option("full", False, True),
        "eps": pick.option("eps", 2.0**-20, 0.25, 1.0),
        "reduction": pick.option("reduction", "mean", "sum", "none"),
    }
    a, b, c = pick.option("shapes", *_VARIANCES)
    x = pick.values("prediction", a)
    if pick.option("dtype of the target", "floating", "floating", "int64") == "int64":
        t = integers(pick, "target", b)
    else:
        t = pick.values("target", b)
    if c is None:
        return config, (x, t, pick.option("variance", 0.5, 2.0, 0.0))
    kind = pick.option("variances", "positive", "unit")
    return config, (x, t, pick.values("var", c, kind=kind))
