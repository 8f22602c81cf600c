"""Twins of Adam and of its kin.

Every hyper-parameter is a dyadic rational, exact in every format.
"""

from typing import Any

import numpy as np
import torch

from npnet.twins.optimizer_spec import L2, optimizer_spec, rate, skipped, small
from npnet.twins.oracle import stepping
from npnet.twins.spec import Claim, Pick, same
from npnet.verify.case import Config


def _adam(pick: Pick) -> dict[str, Any]:
    return {
        "lr": rate(pick),
        "betas": pick.option("betas", (0.875, 0.96875), (0.5, 0.9375), (0.0, 0.5)),
        "eps": small(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "amsgrad": pick.option("amsgrad", True, False),
        "maximize": pick.option("maximize", True, False),
    }


_LARGEST = Claim(
    "amsgrad keeps the largest v as it is, and corrects its bias by the step of the moment.",
    lambda ask: same(
        ask.steps(
            [0.0],
            [[2.0], [1.0]],
            lr=1.0,
            betas=(0.0, 0.5),
            eps=0.0,
            weight_decay=0.0,
            amsgrad=True,
        ),
        [[-1.0], [-1.0 - (0.75 / 2) ** 0.5]],
    ),
)
_DECOUPLED = Claim(
    "With decoupled_weight_decay, θ is multiplied by 1 - lr · weight_decay before the step.",
    lambda ask: same(
        ask.steps([4.0], [[0.0], [0.0]], lr=0.5, weight_decay=0.25, decoupled_weight_decay=True),
        [[3.5], [3.0625]],
    ),
)


@optimizer_spec(
    torch.optim.Adam,
    claims=(
        Claim(
            "eps is added to √v̂ after the correction of its bias: a gradient of eps moves lr / 2.",
            lambda ask: same(ask.steps([1.0], [[0.25]], lr=0.5, eps=0.25), [[0.75]]),
        ),
        _LARGEST,
        *L2,
        _DECOUPLED,
    ),
)
def Adam(pick: Pick) -> Config:
    config = _adam(pick)
    config["decoupled_weight_decay"] = pick.option("decoupled_weight_decay", False, True)
    return config


@optimizer_spec(
    torch.optim.AdamW,
    claims=(
        Claim(
            "The decay is multiplied by lr, comes before the step, and is no part of the averages.",
            lambda ask: same(
                ask.steps([4.0], [[1.0]], lr=0.5, weight_decay=0.25, eps=0.0), [[3.0]]
            ),
        ),
        Claim(
            "weight_decay is 0.01 unless told, where Adam has none.",
            lambda ask: same(ask.steps([100.0], [[0.0]], lr=0.5), [[99.5]]),
        ),
        Claim(
            "eps is added to √v̂ after the correction of its bias: a gradient of eps moves lr / 2.",
            lambda ask: same(
                ask.steps([1.0], [[0.25]], lr=0.5, eps=0.25, weight_decay=0.0), [[0.75]]
            ),
        ),
        _LARGEST,
        Claim(
            "maximize turns the sign of the gradient: the weights still decay.",
            lambda ask: same(
                ask.steps([4.0], [[1.0]], lr=0.5, weight_decay=0.25, eps=0.0, maximize=True),
                [[4.0]],
            ),
        ),
        skipped(weight_decay=0.5),
    ),
)
def AdamW(pick: Pick) -> Config:
    return _adam(pick)


_BETAS = ((0.875, 0.96875), (0.5, 0.9375), (0.0, 0.5))


def _adaptive(pick: Pick, *, betas: tuple[tuple[float, float], ...] = _BETAS) -> dict[str, Any]:
    return {
        "lr": rate(pick),
        "betas": pick.option("betas", *betas),
        "eps": small(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "maximize": pick.option("maximize", True, False),
    }


_SHORT = float(np.float32(0.999))


@optimizer_spec(
    torch.optim.NAdam,
    bounded=stepping.NAdam,
    claims=(
        Claim(
            "The average of gradients decays by β₁, and only its weight in the step by μ.",
            lambda ask: same(
                ask.steps([0.0], [[1.0]], lr=1.0, betas=(0.5, 0.5), eps=0.0, momentum_decay=0.0),
                [[-(1 - 0.25) / (1 - 0.25) - 0.25 / (1 - 0.0625) * 0.5]],
            ),
        ),
        Claim(
            "The product of the momenta is kept as a float32, whatever the parameters are.",
            lambda ask: same(
                ask.steps([0.0], [[1.0]], lr=1.0, betas=(0.999, 0.5), eps=0.0, momentum_decay=1e4),
                [[-0.001 / (1 - _SHORT) - 0.999 / (1 - _SHORT * 0.999) * 0.001]],
            ),
        ),
        Claim(
            "eps is added to √v̂ after the correction of its bias.",
            lambda ask: same(
                ask.steps([0.0], [[3.0]], lr=1.0, betas=(0.0, 0.75), eps=1.0), [[-0.75]]
            ),
        ),
        *L2,
        _DECOUPLED,
    ),
)
def NAdam(pick: Pick) -> Config:
    config = _adaptive(pick)
    config["momentum_decay"] = pick.option("momentum_decay", 2.0**-8, 0.5, 0.0)
    config["decoupled_weight_decay"] = pick.option("decoupled_weight_decay", False, True)
    return config


def _sixth(b2: float, g: float, eps: float) -> float:
    """The length of RAdam's sixth step by lr = 1/8, where every gradient was g."""
    gain, most = 1 - b2**6, 2 / (1 - b2) - 1
    rho = most - 12 * b2**6 / gain
    r = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
    return float(g / 8 * (r * gain) ** 0.5 / (g * gain**0.5 + eps))


@optimizer_spec(
    torch.optim.RAdam,
    bounded=stepping.RAdam,
    claims=(
        Claim(
            "The first five steps are not divided by √v: what counts is the size of the gradient.",
            lambda ask: same(
                ask.steps([0.0], [[8.0]] * 5, lr=0.125, betas=(0.5, 0.96875)),
                [[-1.0], [-2.0], [-3.0], [-4.0], [-5.0]],
            ),
        ),
        Claim(
            "From the sixth step on eps is added to √v before the correction of its bias, other "
            "than in Adam.",
            lambda ask: same(
                ask.steps([0.0], [[8.0]] * 6, lr=0.125, betas=(0.5, 0.96875), eps=2.0)[5],
                [-5.0 - _sixth(0.96875, 8.0, 2.0)],
            ),
        ),
        *L2,
        _DECOUPLED,
    ),
)
def RAdam(pick: Pick) -> Config:
    config = _adaptive(pick, betas=((0.875, 0.9921875), (0.5, 0.96875), (0.0, 0.5)))
    config["decoupled_weight_decay"] = pick.option("decoupled_weight_decay", False, True)
    return config


@optimizer_spec(
    torch.optim.Adamax,
    claims=(
        Claim(
            "eps is added to |g| and kept in exp_inf, not added to the denominator.",
            lambda ask: same(
                ask.steps([0.0], [[1.0], [0.0]], lr=1.0, betas=(0.0, 0.5), eps=1.0),
                [[-0.5], [-0.5]],
            ),
        ),
        Claim(
            "The largest |g| decays by β₂, and has no bias to be corrected; that of m is.",
            lambda ask: same(
                ask.steps([0.0], [[4.0], [1.0]], lr=1.0, betas=(0.5, 0.5), eps=0.0),
                [[-1.0], [-1.0 - 1.5 / 0.75 / 2.0]],
            ),
        ),
        *L2,
    ),
)
def Adamax(pick: Pick) -> Config:
    return _adaptive(pick)
