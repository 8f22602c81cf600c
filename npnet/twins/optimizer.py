"""Twins of the optimizers. Every hyper-parameter is a dyadic rational, exact in every format."""

from typing import Any

import torch

from npnet.twins.spec import Claim, Pick, optimizer_spec, same
from npnet.verify.case import Config


def _rate(pick: Pick) -> float:
    rate: float = pick.option("lr", 2.0**-4, 2.0**-10, 0.5)
    return rate


def _eps(pick: Pick) -> float:
    """2^-27 is no number of float16, where it would be a division by zero."""
    small = 2.0**-27 if pick.dtype != "float16" else 2.0**-14
    eps: float = pick.option("eps", small, 2.0**-10, 0.25)
    return eps


@optimizer_spec(
    torch.optim.SGD,
    claims=(
        Claim(
            "The first momentum buffer is the gradient itself: dampening starts with the second.",
            lambda ask: same(
                ask.steps([1.0], [[1.0], [1.0]], lr=0.125, momentum=0.5, dampening=0.5),
                [[0.875], [0.75]],
            ),
        ),
    ),
)
def SGD(pick: Pick) -> Config:
    config: dict[str, Any] = {
        "lr": _rate(pick),
        "momentum": pick.option("momentum", 0.5, 0.0, 0.875),
        "dampening": pick.option("dampening", 0.25, 0.0),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "nesterov": pick.option("nesterov", False, True),
        "maximize": pick.option("maximize", True, False),
    }
    if config["nesterov"] and not config["momentum"]:
        config["nesterov"] = pick.instead("nesterov", False, because="momentum")
    if config["nesterov"] and config["dampening"]:
        config["nesterov"] = pick.instead("nesterov", False, because="dampening")
    return config


def _adam(pick: Pick) -> dict[str, Any]:
    return {
        "lr": _rate(pick),
        "betas": pick.option("betas", (0.875, 0.96875), (0.5, 0.9375), (0.0, 0.5)),
        "eps": _eps(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "amsgrad": pick.option("amsgrad", True, False),
        "maximize": pick.option("maximize", True, False),
    }


@optimizer_spec(torch.optim.Adam)
def Adam(pick: Pick) -> Config:
    config = _adam(pick)
    config["decoupled_weight_decay"] = pick.option("decoupled_weight_decay", False, True)
    return config


@optimizer_spec(torch.optim.AdamW)
def AdamW(pick: Pick) -> Config:
    return _adam(pick)


@optimizer_spec(torch.optim.RMSprop)
def RMSprop(pick: Pick) -> Config:
    return {
        "lr": _rate(pick),
        "alpha": pick.option("alpha", 0.96875, 0.5, 0.0),
        "eps": _eps(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "momentum": pick.option("momentum", 0.0, 0.5),
        "centered": pick.option("centered", True, False),
        "maximize": pick.option("maximize", True, False),
    }
