"""Twins of the optimizers that go element by element, but for Adam and its kin.

Every hyper-parameter is a dyadic rational, exact in every format.
"""

from typing import Any

import torch

from npnet.twins.optimizer_spec import L2, optimizer_spec, rate, skipped, small
from npnet.twins.oracle import stepping
from npnet.twins.spec import Claim, Pick, refuses, same
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
        Claim(
            "nesterov steps by g + momentum · buffer, and wants momentum without dampening.",
            lambda ask: (
                same(
                    ask.steps([1.0], [[1.0], [1.0]], lr=0.125, momentum=0.5, nesterov=True),
                    [[0.8125], [0.59375]],
                )
                and refuses(lambda: ask.steps([1.0], [[1.0]], lr=0.125, nesterov=True))
            ),
        ),
        Claim(
            "lr is no part of the buffer: a new rate counts for the steps before as well.",
            lambda ask: same(
                ask.steps([0.0], [[1.0], [1.0]], lr=(1.0, 0.5), momentum=0.5), [[-1.0], [-1.75]]
            ),
        ),
        *L2,
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
        Claim(
            "momentum sums quotients g / (√v + eps) up, without lr: a new rate counts for the "
            "steps before as well.",
            lambda ask: same(
                ask.steps([0.0], [[4.0], [4.0]], lr=(1.0, 0.5), alpha=0.0, eps=0.0, momentum=0.5),
                [[-1.0], [-1.75]],
            ),
        ),
        Claim(
            "centered subtracts the square of the average gradient from v, under the root.",
            lambda ask: same(
                ask.steps([0.0], [[2.0]], lr=0.5, alpha=0.5, eps=1.0, centered=True), [[-0.5]]
            ),
        ),
        *L2,
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
                ask.steps([0.0], [[4.0], [3.0]], lr=0.5, lr_decay=1.0, eps=0.0),
                [[-0.5], [-0.5 - 0.25 * 3 / 5]],
            ),
        ),
        Claim(
            "eps is added outside of the root, and is 1e-10 unless told.",
            lambda ask: (
                same(ask.steps([0.0], [[3.0]], lr=1.0, eps=1.0), [[-0.75]])
                and same(ask.steps([0.0], [[1e-10]], lr=1.0), [[-0.5]])
            ),
        ),
        Claim(
            "g² are added up, and not averaged, from initial_accumulator_value on.",
            lambda ask: same(
                ask.steps([0.0], [[4.0]], lr=1.0, eps=0.0, initial_accumulator_value=9.0), [[-0.8]]
            ),
        ),
        *L2,
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
        Claim(
            "lr, which the paper does not have and which is 1 unless told, is no part of the "
            "average of steps.",
            lambda ask: (
                same(
                    ask.steps([0.0], [[3**0.5], [3**0.5]], lr=0.5, rho=0.0, eps=1.0),
                    [[-(3**0.5) / 4], [-(3**0.5) / 4 * (1 + 1.75**0.5)]],
                )
                and same(ask.steps([0.0], [[3**0.5]], rho=0.0, eps=1.0), [[-(3**0.5) / 2]])
            ),
        ),
        *L2,
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
        Claim(
            "Of a gradient its sign alone counts; lr is the length of the first step, and nothing "
            "else.",
            lambda ask: same(
                ask.steps([0.0], [[8.0], [0.25]], lr=(1.0, 4.0), etas=(0.5, 2.0)),
                [[-1.0], [-3.0]],
            ),
        ),
        Claim(
            "The first step grows or shrinks no more than others, but keeps to step_sizes.",
            lambda ask: same(
                ask.steps([0.0], [[1.0], [1.0]], lr=1.0, step_sizes=(0.25, 0.5)), [[-0.5], [-1.0]]
            ),
        ),
        skipped(),
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
            lambda ask: same(
                ask.steps([0.0], [[1.0]] * 3, lr=(1.0, 0.5, 0.25), lambd=0.0),
                [[-1.0], [-2.0], [-2.5]],
            ),
        ),
        Claim(
            'The parameter is that of SGD; its average is kept beside it, in the state "ax".',
            lambda ask: same(
                ask.steps([0.0], [[1.0]] * 3, lr=1.0, lambd=0.0, t0=0.0), [[-1.0], [-2.0], [-3.0]]
            ),
        ),
        Claim(
            "lambd decays the parameter by the rate of the step, and with it the rate of the next.",
            lambda ask: same(
                ask.steps([4.0], [[1.0], [0.0]], lr=1.0, lambd=1.0, alpha=1.0), [[-1.0], [-0.5]]
            ),
        ),
        *L2,
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
