"""Twins of the smooth activations."""

from math import inf, nan
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.claim import Ask
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

SHAPES = ((3,), (2, 3), (), (1,), (0,), (2, 3, 2), (4, 1), (33,), (2, 0), (129,), (2, 2, 1, 3))


def anything(pick: Pick, *kinks: float) -> Values:
    """An input of any shape, often on the kinks."""
    return pick.values("x", pick.option("shape", *SHAPES), kinks=kinks or (0.0,))


@spec(
    nn.Sigmoid,
    claims=(
        Claim(
            "Far out it is 0 or 1, and the gradient 0; nothing overflows.",
            lambda ask: (
                same(ask([-1000.0, 1000.0]).y, [0.0, 1.0])
                and same(ask([-1000.0, 1000.0]).dx, [0.0, 0.0])
            ),
        ),
        Claim(
            "The gradient comes of the output: dy · y (1 - y), at most a quarter of dy.",
            lambda ask: same(ask([0.0, 1.0], dy=[8.0, 1.0]).dx, [2.0, 0.19661193324148185]),
        ),
    ),
)
def Sigmoid(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(
    nn.Tanh,
    claims=(
        Claim(
            "The gradient comes of the output: dy (1 - y²), 0 where y has reached 1.",
            lambda ask: same(
                ask([0.0, 1.0, 40.0], dy=[2.0, 1.0, 2.0]).dx, [2.0, 0.41997434161402614, 0.0]
            ),
        ),
    ),
)
def Tanh(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(
    nn.GELU,
    claims=(
        Claim(
            "By default Φ is the exact distribution function of the normal distribution (erf).",
            lambda ask: same(ask([1.0]).y, [0.8413447460685429]),
        ),
        Claim(
            "approximate='tanh' is another function, by up to 5e-4, with a slope of its own.",
            lambda ask: (
                same(ask([1.0], approximate="tanh").y, [0.8411919906082768])
                and same(ask([1.0], approximate="tanh").dx, [1.0829640838457826])
            ),
        ),
    ),
)
def GELU(pick: Pick) -> Drawn:
    return {"approximate": pick.option("approximate", "none", "tanh")}, (anything(pick),)


def at_minus_infinity(ask: Ask, n: int) -> Any:
    """y of n times -inf; NumPy may warn of the nan."""
    with np.errstate(invalid="ignore"):
        return ask([-inf] * n).y


@spec(
    nn.SiLU,
    claims=(
        Claim(
            "The sigmoid is that of x itself: it is swish with beta = 1.",
            lambda ask: same(ask([1.0]).y, [0.7310585786300049]),
        ),
        Claim(
            "-inf gives nan, not 0, to which it tends.",
            lambda ask: same(at_minus_infinity(ask, 1), [nan]),
        ),
        Claim(
            "Far from 0 it is x or 0, and its slope 1 or 0.",
            lambda ask: (
                same(ask([1e30, -1e30]).y, [1e30, 0.0]) and same(ask([1e30, -1e30]).dx, [1.0, 0.0])
            ),
        ),
    ),
)
def SiLU(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(
    nn.Mish,
    claims=(
        Claim(
            "The slope at 0 is tanh(log 2) = 0.6.",
            lambda ask: same(ask([0.0]).dx, [0.6]),
        ),
        Claim(
            "Far from 0 it is x or 0, and its slope 1 or 0.",
            lambda ask: (
                same(ask([1e30, -1e30]).y, [1e30, 0.0]) and same(ask([1e30, -1e30]).dx, [1.0, 0.0])
            ),
        ),
    ),
)
def Mish(pick: Pick) -> Drawn:
    return {"inplace": False}, (anything(pick),)


@spec(
    nn.LogSigmoid,
    claims=(
        Claim(
            "It is finite where the sigmoid underflows: there it is x, and its slope 1.",
            lambda ask: same(ask([-1e30]).y, [-1e30]) and same(ask([-1e30]).dx, [1.0]),
        ),
    ),
)
def LogSigmoid(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(
    nn.Softplus,
    claims=(
        Claim(
            "threshold is compared with beta · x, not with x: above it y is x itself.",
            lambda ask: same(ask([2.5], beta=2.0, threshold=4.0).y, [2.5]),
        ),
        Claim(
            "Above 20, the default threshold, y is x and the slope 1 to the last digit.",
            lambda ask: float(ask([21.0]).y[0]) == 21.0 and float(ask([21.0]).dx[0]) == 1.0,
        ),
        Claim(
            "Where beta · x equals threshold, the logarithm is taken still.",
            lambda ask: same(ask([2.0], beta=2.0, threshold=4.0).dx, [0.9820137900379085]),
        ),
        Claim(
            "The logarithm is divided by beta, so that the slope far to the right is 1.",
            lambda ask: same(ask([0.0], beta=2.0).y, [0.34657359027997264]),
        ),
    ),
)
def Softplus(pick: Pick) -> Drawn:
    beta = pick.option("beta", 1.0, 2.0, 0.5, 0.75, 3.0, -1.0)
    threshold = pick.option("threshold", 20.0, 2.0, 0.5, -1.0)
    config = {"beta": beta, "threshold": threshold}
    return config, (anything(pick, threshold / beta, 0.0),)


@spec(
    nn.Softsign,
    claims=(
        Claim(
            "The slope is 1 / (1 + |x|)²: smooth at 0, and the same on either side.",
            lambda ask: same(ask([0.0, -0.0, 1.0, -1.0]).dx, [1.0, 1.0, 0.25, 0.25]),
        ),
    ),
)
def Softsign(pick: Pick) -> Drawn:
    return {}, (anything(pick),)


@spec(
    nn.Tanhshrink,
    claims=(
        Claim(
            "Near 0 both the value and the slope vanish: y is x - tanh(x), not tanh(x) - x.",
            lambda ask: (
                same(ask([0.0, 1.0]).y, [0.0, 0.2384058440442351]) and same(ask([0.0]).dx, [0.0])
            ),
        ),
    ),
)
def Tanhshrink(pick: Pick) -> Drawn:
    return {}, (anything(pick),)
