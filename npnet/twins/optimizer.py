"""Twins of the optimizers that go element by element, but for Adam and its kin.

Every hyper-parameter is a dyadic rational, exact in every format.
"""

from typing import Any

import torch

from npnet.twins.optimizer_spec import optimizer_spec, rate, small
from npnet.twins.oracle import stepping
from npnet.twins.spec import Claim, Pick, same
from npnet.verify.case import Config


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
        "lr": rate(pick),
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


@optimizer_spec(
    torch.optim.RMSprop,
    claims=(
        Claim(
            "eps is added outside of the root.",
            lambda ask: same(ask.steps([1.0], [[1.0]], lr=0.5, alpha=0.75, eps=0.5), [[0.5]]),
        ),
        Claim(
            "There is no bias correction: the first step is 1 / √(1 - alpha) times as long.",
            lambda ask: same(ask.steps([1.0], [[1.0]], lr=0.25, alpha=0.75, eps=0.0), [[0.5]]),
        ),
    ),
)
def RMSprop(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "alpha": pick.option("alpha", 0.96875, 0.5, 0.0),
        "eps": small(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "momentum": pick.option("momentum", 0.0, 0.5),
        "centered": pick.option("centered", True, False),
        "maximize": pick.option("maximize", True, False),
    }


@optimizer_spec(
    torch.optim.Adagrad,
    alike=("initial_accumulator_value",),  # that of the constructor is taken for every group
    claims=(
        Claim(
            "lr_decay starts with the second step.",
            lambda ask: same(
                ask.steps([0.0], [[4.0], [0.0]], lr=0.5, lr_decay=1.0, eps=0.0), [[-0.5], [-0.5]]
            ),
        ),
    ),
)
def Adagrad(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "lr_decay": pick.option("lr_decay", 0.0, 0.125, 1.0),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "initial_accumulator_value": pick.option("initial_accumulator_value", 0.0, 0.5),
        "eps": small(pick),
        "maximize": pick.option("maximize", True, False),
    }


@optimizer_spec(
    torch.optim.Adadelta,
    claims=(
        Claim(
            "The first step is √eps / √((1 - ρ) g² + eps) · g: eps is inside of both roots.",
            lambda ask: same(
                ask.steps([0.0], [[2.0]], lr=1.0, rho=0.25, eps=1.0), [[-2.0 / 4.0**0.5]]
            ),
        ),
    ),
)
def Adadelta(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "rho": pick.option("rho", 0.875, 0.5, 0.0),
        "eps": small(pick),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "maximize": pick.option("maximize", True, False),
    }


@optimizer_spec(
    torch.optim.Rprop,
    bounded=stepping.Rprop,
    claims=(
        Claim(
            "Where the gradient changes its sign there is no step; the next one shrinks no more.",
            lambda ask: same(
                ask.steps([0.0], [[1.0], [-1.0], [-1.0]], lr=1.0, etas=(0.5, 2.0)),
                [[-1.0], [-1.0], [-0.5]],
            ),
        ),
        Claim(
            "A gradient of zero moves nothing, and changes no step size.",
            lambda ask: same(
                ask.steps([0.0], [[1.0], [0.0], [1.0]], lr=1.0, etas=(0.5, 2.0)),
                [[-1.0], [-1.0], [-2.0]],
            ),
        ),
    ),
)
def Rprop(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "etas": pick.option("etas", (0.5, 1.25), (0.25, 2.0)),
        "step_sizes": pick.option("step_sizes", (2.0**-20, 32.0), (2.0**-6, 0.5)),
        "maximize": pick.option("maximize", True, False),
    }


@optimizer_spec(
    torch.optim.ASGD,
    bounded=stepping.ASGD,
    claims=(
        Claim(
            "A new rate shows one step late.",
            lambda ask: (
                same(
                    ask.steps([0.0], [[1.0]] * 3, lr=(1.0, 0.5, 0.25), lambd=0.0),
                    [[-1.0], [-1.5], [-1.75]],
                )
                or same(
                    ask.steps([0.0], [[1.0]] * 3, lr=(1.0, 0.5, 0.25), lambd=0.0),
                    [[-1.0], [-2.0], [-2.5]],
                )
            ),
        ),
    ),
)
def ASGD(pick: Pick) -> Config:
    return {
        "lr": rate(pick),
        "lambd": pick.option("lambd", 0.25, 2.0**-10, 0.0),
        "alpha": pick.option("alpha", 0.75, 0.5, 1.0),
        "t0": pick.option("t0", 2.0**20, 0.0, 2.0),
        "weight_decay": pick.option("weight_decay", 0.125, 0.0),
        "maximize": pick.option("maximize", True, False),
    }
