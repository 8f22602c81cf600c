"""Twins of the optimizers that go element by element.

Every hyper-parameter is a dyadic rational, exact in every format.
"""

from typing import Any

import torch

from npnet.twins.optimizer_spec import optimizer_spec
from npnet.twins.oracle import stepping
from npnet.twins.spec import Claim, Pick, same
from npnet.verify.case import Config


def rate(pick: Pick) -> float:
    lr: float = pick.option("lr", 2.0**-4, 2.0**-10, 0.5)
    return lr


def small(pick: Pick) -> float:
    """eps. 2^-27 is no number of float16, where it would be a division by zero."""
    least = 2.0**-27 if pick.dtype != "float16" else 2.0**-14
    eps: float = pick.option("eps", least, 2.0**-10, 0.25)
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


@optimizer_spec(torch.optim.RMSprop)
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
