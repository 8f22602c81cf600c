"""Twins of Adam and of its kin.

Every hyper-parameter is a dyadic rational, exact in every format.
"""

from typing import Any

import torch

from npnet.twins.optimizer_spec import optimizer_spec, rate, small
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


@optimizer_spec(
    torch.optim.Adam,
    claims=(
        Claim(
            "eps is added to √v̂ after the correction of its bias: a gradient of eps moves lr / 2.",
            lambda ask: same(ask.steps([1.0], [[0.25]], lr=0.5, eps=0.25), [[0.75]]),
        ),
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
            "The decay is multiplied by lr, and does not enter the averages.",
            lambda ask: same(ask.steps([4.0], [[0.0]], lr=0.5, weight_decay=0.25), [[3.5]]),
        ),
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
    ),
)
def NAdam(pick: Pick) -> Config:
    config = _adaptive(pick)
    config["momentum_decay"] = pick.option("momentum_decay", 2.0**-8, 0.5, 0.0)
    config["decoupled_weight_decay"] = pick.option("decoupled_weight_decay", False, True)
    return config


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
    ),
)
def Adamax(pick: Pick) -> Config:
    return _adaptive(pick)
