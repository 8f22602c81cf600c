"""Twins of the learning-rate schedules: the rates of the first steps, and momenta where they move.

torch's own code is asked, which goes from one rate to the next in float64. A right schedule may
come to each rate in another way: one rounding or a few more for every step until then, each in
units of the largest rate.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from npnet.contract import Array
from npnet.twins.spec import Claim, Pick, same
from npnet.verify.case import Config, Example, LayerConfig, Power
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Drawn, Expected, Spec, draw_cotangents

_ROUNDINGS = 8.0  # of one step: a quotient, two products, a cosine


def schedule_spec(
    scheduler: type[Any], *, claims: Sequence[Claim] = ()
) -> Callable[[Callable[[Pick], Config]], Spec]:
    """Turn `def Name(pick): ... return config` into the Spec of a scheduler of torch.

    Drawn beside the configuration: how many steps are looked at; for a plateau the metrics are.
    """

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        names = ("y",) if len(found := _rates(scheduler, example)) == 1 else ("y 0", "y 1")
        draw_cotangents(example, [values.shape for values in found], precision)
        u = PRECISIONS["float64"].u
        expected = {}
        for name, values in zip(names, found, strict=True):
            steps = np.arange(values.size)
            error = _ROUNDINGS * u * (steps + 4) * np.abs(values).max(initial=0.0)
            values, error = (np.tile(a, (example.sets, 1)) for a in (values, error))
            expected[name] = Expected(values, error, np.dtype(np.float64))
        return Answer(expected, 0.0 if single else None)

    def decorate(draw_config: Callable[[Pick], Config]) -> Spec:
        def draw(pick: Pick) -> Drawn:
            config = dict(draw_config(pick))
            steps = config.pop("steps", None) or pick.choose("steps", (12, 7, 25, 1))
            kwargs: dict[str, Any] = {"steps": steps}
            if draw_config.__name__ == "ReduceLROnPlateau":
                values = (8.0, 7.5, 4.0, 2.0, -1.0, 6.0, 9.0)
                kwargs["metrics"] = tuple(
                    pick.choose(f"metric {k}", values) for k in range(kwargs["steps"])
                )
            return config, (), kwargs

        return Spec(
            f"lr_scheduler.{draw_config.__name__}",
            draw,
            lambda config: {},
            answer,
            schedule=True,
            claims=tuple(claims),
        )

    return decorate


def _rates(scheduler: type[Any], example: Example) -> list[Array]:
    """The rates of every step and, where the schedule sets them, the momenta."""
    optimizer = torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=_lr(example.config), momentum=0.5
    )
    group = optimizer.param_groups[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer steps here
        built = _built(scheduler, optimizer, example.config)
        rates, momenta = [], []
        for step in range(example.kwargs["steps"]):
            if "metrics" in example.kwargs:
                built.step(example.kwargs["metrics"][step])
            elif step:
                built.step()
            rates.append(group["lr"])
            momenta.append(group["momentum"])
    both = [np.array(rates, np.float64), np.array(momenta, np.float64)]
    return both if example.config.get("cycle_momentum") else both[:1]


def _lr(config: Config) -> float:
    """The rate of the optimizer: that of the first schedule where it is composed."""
    if "schedulers" in config:
        return _lr(config["schedulers"][0].config)
    return float(config.get("lr", 1.0))


def _built(scheduler: type[Any], optimizer: torch.optim.Optimizer, config: Config) -> Any:
    kwargs = {name: value for name, value in config.items() if name != "lr"}
    if "schedulers" in kwargs:
        parts = [
            _built(_scheduler(part.layer), optimizer, part.config) for part in kwargs["schedulers"]
        ]
        if scheduler is lr_scheduler.ChainedScheduler:
            return scheduler(parts)
        return scheduler(optimizer, parts, list(kwargs["milestones"]))
    return scheduler(optimizer, **kwargs)


def _scheduler(name: str) -> type[Any]:
    found: type[Any] = getattr(lr_scheduler, name.removeprefix("lr_scheduler."))
    return found


# ---- decay ---------------------------------------------------------------------------------------


def _lrs(pick: Pick) -> dict[str, Any]:
    return {"lr": pick.option("lr", 0.5, 0.125, 1.0)}


def _power(pick: Pick) -> Power:
    return Power(pick.option("base", 0.75, 0.5, 1.25), pick.option("scale", 0.5, 1.0))


@schedule_spec(
    lr_scheduler.LambdaLR,
    claims=(
        Claim(
            "The factor is that of the initial rate, not of the one before.",
            lambda ask: same(ask.rates(3, lr=1.0, lr_lambda=Power(0.5)), [1.0, 0.5, 0.25]),
        ),
        Claim(
            "lr_lambda is a factor of the rate, and no rate; step 0 has it already.",
            lambda ask: same(ask.rates(2, lr=4.0, lr_lambda=Power(0.5, 0.5)), [2.0, 1.0]),
        ),
    ),
)
def LambdaLR(pick: Pick) -> Config:
    return _lrs(pick) | {"lr_lambda": _power(pick)}


@schedule_spec(
    lr_scheduler.MultiplicativeLR,
    claims=(
        Claim(
            "The factor of step 0 is not used.",
            lambda ask: same(ask.rates(3, lr=1.0, lr_lambda=_half), [1.0, 0.5, 0.25]),
        ),
        Claim(
            "The factor is that of the rate before, other than in LambdaLR: factors multiply.",
            lambda ask: same(ask.rates(3, lr=1.0, lr_lambda=Power(0.5)), [1.0, 0.5, 0.125]),
        ),
    ),
)
def MultiplicativeLR(pick: Pick) -> Config:
    return _lrs(pick) | {"lr_lambda": _power(pick)}


def _half(step: int) -> float:
    """An even half, but for a step that must not be asked."""
    return 0.5 if step else 100.0


@schedule_spec(
    lr_scheduler.StepLR,
    claims=(
        Claim(
            "The first decay is at step number step_size, counted from 0.",
            lambda ask: same(ask.rates(4, lr=1.0, step_size=2, gamma=0.5), [1, 1, 0.5, 0.5]),
        ),
    ),
)
def StepLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "step_size": pick.option("step_size", 2, 1, 5),
        "gamma": pick.option("gamma", 0.5, 0.1, 0.75),
    }


@schedule_spec(
    lr_scheduler.MultiStepLR,
    claims=(
        Claim(
            "A milestone that is named twice counts twice.",
            lambda ask: same(ask.rates(2, lr=1.0, milestones=(1, 1), gamma=0.5), [1.0, 0.25]),
        ),
        Claim(
            "The rate falls in the step of the milestone itself, whatever their order.",
            lambda ask: same(
                ask.rates(4, lr=1.0, milestones=(3, 1), gamma=0.5), [1.0, 0.5, 0.5, 0.25]
            ),
        ),
    ),
)
def MultiStepLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "milestones": pick.option("milestones", (2, 5), (1,), (3, 3), (0, 4), (5, 2)),
        "gamma": pick.option("gamma", 0.5, 0.1, 0.75),
    }


@schedule_spec(
    lr_scheduler.ConstantLR,
    claims=(
        Claim(
            "From step total_iters on the rate is the initial one.",
            lambda ask: same(ask.rates(3, lr=1.0, factor=0.5, total_iters=2), [0.5, 0.5, 1.0]),
        ),
        Claim(
            "Unless told, the first five steps have a third of the rate.",
            lambda ask: same(ask.rates(6, lr=3.0), [1.0, 1.0, 1.0, 1.0, 1.0, 3.0]),
        ),
    ),
)
def ConstantLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "factor": pick.option("factor", 0.25, 1 / 3, 1.0),
        "total_iters": pick.option("total_iters", 3, 1, 5),
    }


@schedule_spec(
    lr_scheduler.LinearLR,
    claims=(
        Claim(
            "The first step has start_factor already.",
            lambda ask: same(ask.rates(2, lr=1.0, start_factor=0.5, total_iters=1), [0.5, 1.0]),
        ),
        Claim(
            "Unless told, it rises from a third of the rate to all of it in five steps, and stays.",
            lambda ask: same(ask.rates(7, lr=3.0), [1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.0]),
        ),
    ),
)
def LinearLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "start_factor": pick.option("start_factor", 0.25, 1 / 3, 1.0),
        "end_factor": pick.option("end_factor", 1.0, 0.5, 0.125),
        "total_iters": pick.option("total_iters", 3, 1, 5),
    }


@schedule_spec(
    lr_scheduler.ExponentialLR,
    claims=(
        Claim(
            "The first step has the initial rate.",
            lambda ask: same(ask.rates(2, lr=1.0, gamma=0.5), [1.0, 0.5]),
        ),
    ),
)
def ExponentialLR(pick: Pick) -> Config:
    return _lrs(pick) | {"gamma": pick.option("gamma", 0.5, 0.9, 1.0)}


@schedule_spec(
    lr_scheduler.PolynomialLR,
    claims=(
        Claim(
            "The rate is 0 from step total_iters on.",
            lambda ask: same(ask.rates(4, lr=1.0, total_iters=2), [1.0, 0.5, 0.0, 0.0]),
        ),
        Claim(
            "power is the exponent of what is left, 1 unless told: the fall is straight.",
            lambda ask: same(ask.rates(3, lr=1.0, total_iters=2, power=2.0), [1.0, 0.25, 0.0]),
        ),
    ),
)
def PolynomialLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "total_iters": pick.option("total_iters", 4, 1, 10),
        "power": pick.option("power", 1.0, 2.0, 0.5),
    }


# ---- cycles --------------------------------------------------------------------------------------


@schedule_spec(
    lr_scheduler.CosineAnnealingLR,
    claims=(
        Claim(
            "Behind T_max the rate rises again.",
            lambda ask: same(ask.rates(5, lr=1.0, T_max=2), [1.0, 0.5, 0.0, 0.5, 1.0]),
        ),
        Claim(
            "T_max is half of a period, and eta_min the rate in its middle.",
            lambda ask: same(ask.rates(3, lr=1.0, T_max=2, eta_min=0.5), [1.0, 0.75, 0.5]),
        ),
    ),
)
def CosineAnnealingLR(pick: Pick) -> Config:
    return _lrs(pick) | {
        "T_max": pick.option("T_max", 4, 1, 10, 3),
        "eta_min": pick.option("eta_min", 0.0, 0.0625),
    }


@schedule_spec(
    lr_scheduler.CosineAnnealingWarmRestarts,
    claims=(
        Claim(
            "The rate is back at lr in step T_0: eta_min itself is never reached.",
            lambda ask: same(ask.rates(3, lr=1.0, T_0=2), [1.0, 0.5, 1.0]),
        ),
        Claim(
            "Every period is T_mult times as long as the one before.",
            lambda ask: same(
                ask.rates(7, lr=1.0, T_0=1, T_mult=2)[[0, 1, 2, 3, 5]], [1.0, 1.0, 0.5, 1.0, 0.5]
            ),
        ),
    ),
)
def CosineAnnealingWarmRestarts(pick: Pick) -> Config:
    return _lrs(pick) | {
        "T_0": pick.option("T_0", 3, 1, 5),
        "T_mult": pick.option("T_mult", 2, 1, 3),
        "eta_min": pick.option("eta_min", 0.0, 0.0625),
    }


@schedule_spec(
    lr_scheduler.CyclicLR,
    claims=(
        Claim(
            "The momentum falls while the rate rises.",
            lambda ask: same(
                ask.momenta(3, base_lr=0.5, max_lr=1.0, step_size_up=2, cycle_momentum=True),
                [0.9, 0.85, 0.8],
            ),
        ),
        Claim(
            "In triangular2 every cycle is half as high as the one before.",
            lambda ask: same(
                ask.rates(
                    4,
                    base_lr=0.0,
                    max_lr=1.0,
                    step_size_up=1,
                    mode="triangular2",
                    cycle_momentum=False,
                ),
                [0.0, 1.0, 0.0, 0.5],
            ),
        ),
        Claim(
            "In exp_range the height is gamma to the power of the step, not of the cycle.",
            lambda ask: same(
                ask.rates(
                    4,
                    base_lr=0.0,
                    max_lr=1.0,
                    step_size_up=1,
                    mode="exp_range",
                    gamma=0.5,
                    cycle_momentum=False,
                ),
                [0.0, 0.5, 0.0, 0.125],
            ),
        ),
        Claim(
            "The first rate is base_lr, whatever the optimizer's; it falls as long as it rises "
            "unless step_size_down says otherwise.",
            lambda ask: same(
                ask.rates(
                    4,
                    base_lr=0.5,
                    max_lr=1.0,
                    step_size_up=1,
                    step_size_down=2,
                    cycle_momentum=False,
                ),
                [0.5, 1.0, 0.75, 0.5],
            ),
        ),
    ),
)
def CyclicLR(pick: Pick) -> Config:
    scale = pick.option("scale_fn", None, 0.75)
    return {
        "base_lr": pick.option("base_lr", 0.25, 0.0625),
        "max_lr": pick.option("max_lr", 1.0, 0.5),
        "step_size_up": pick.option("step_size_up", 3, 1, 4),
        "step_size_down": pick.option("step_size_down", None, 2, 5),
        "mode": pick.option("mode", "triangular2", "exp_range", "triangular"),
        "gamma": pick.option("gamma", 0.75, 1.0),
        "scale_fn": None if scale is None else Power(scale),
        "scale_mode": pick.option("scale_mode", "cycle", "iterations"),
        "cycle_momentum": pick.option("cycle_momentum", True, False),
        "base_momentum": pick.option("base_momentum", 0.75, 0.5),
        "max_momentum": pick.option("max_momentum", 0.875, 0.9),
    }


@schedule_spec(
    lr_scheduler.OneCycleLR,
    claims=(
        Claim(
            "The last rate is the first one divided by final_div_factor.",
            lambda ask: same(
                ask.rates(
                    4,
                    max_lr=1.0,
                    total_steps=4,
                    div_factor=4.0,
                    final_div_factor=8.0,
                    anneal_strategy="linear",
                    pct_start=0.5,
                    cycle_momentum=False,
                ),
                [0.25, 1.0, 0.515625, 0.03125],
            ),
        ),
        Claim(
            "The first rate is max_lr / div_factor, whatever the optimizer's; in between runs a "
            "cosine unless told, and the whole has two phases.",
            lambda ask: same(
                ask.rates(5, max_lr=1.0, total_steps=5, pct_start=0.6, cycle_momentum=False)[:4],
                [0.04, 0.52, 1.0, (1 + 4e-6) / 2],
            ),
        ),
        Claim(
            "The momentum falls from 0.95 to 0.85 while the rate rises, and comes back.",
            lambda ask: same(
                ask.momenta(
                    5,
                    max_lr=1.0,
                    total_steps=5,
                    pct_start=0.6,
                    anneal_strategy="linear",
                    cycle_momentum=True,
                ),
                [0.95, 0.9, 0.85, 0.9, 0.95],
            ),
        ),
    ),
)
def OneCycleLR(pick: Pick) -> Config:
    total = pick.option("total_steps", 12, None, 25)
    phases = pick.option("three_phase", False, True)
    config = {
        "max_lr": pick.option("max_lr", 1.0, 0.5),
        "total_steps": total,
        "epochs": 4,
        "steps_per_epoch": pick.option("steps_per_epoch", 5, 8),
        "pct_start": pick.option("pct_start", 0.25, 0.375, 0.5),
        "anneal_strategy": pick.option("anneal_strategy", "cos", "linear"),
        "cycle_momentum": pick.option("cycle_momentum", True, False),
        "base_momentum": pick.option("base_momentum", 0.75, 0.5),
        "max_momentum": pick.option("max_momentum", 0.875, 0.9),
        "div_factor": pick.option("div_factor", 25.0, 4.0),
        "final_div_factor": pick.option("final_div_factor", 16.0, 1e4),
        "three_phase": phases,
    }
    steps = total or config["epochs"] * config["steps_per_epoch"]
    return config | {"steps": pick.choose("seen", (steps, 7, 1))}


# ---- of others -----------------------------------------------------------------------------------


def _part(pick: Pick, name: str, lr: float) -> LayerConfig:
    """One of the schedules that go on from any rate."""
    config: dict[str, dict[str, Any]] = {
        "StepLR": {"step_size": 2, "gamma": 0.5},
        "MultiStepLR": {"milestones": (1, 4), "gamma": 0.5},
        "ConstantLR": {"factor": 0.25, "total_iters": 3},
        "LinearLR": {"start_factor": 0.25, "total_iters": 4},
        "ExponentialLR": {"gamma": 0.75},
        "PolynomialLR": {"total_iters": 6, "power": 2.0},
        "CosineAnnealingLR": {"T_max": 4, "eta_min": 0.0625},
        "CosineAnnealingWarmRestarts": {"T_0": 3},
        "LambdaLR": {"lr_lambda": Power(0.75)},
        "MultiplicativeLR": {"lr_lambda": Power(0.75)},
    }
    kind = pick.option(name, *config)
    return LayerConfig(f"lr_scheduler.{kind}", {"lr": lr, **config[kind]})


_CONSTANT = LayerConfig("lr_scheduler.ConstantLR", {"lr": 1.0, "factor": 0.5, "total_iters": 9})
_LINEAR = LayerConfig("lr_scheduler.LinearLR", {"lr": 1.0, "start_factor": 0.25, "total_iters": 2})


@schedule_spec(
    lr_scheduler.SequentialLR,
    claims=(
        Claim(
            "Every schedule begins anew at its milestone, from the initial rate.",
            lambda ask: same(
                ask.rates(
                    4,
                    schedulers=(
                        LayerConfig("lr_scheduler.ExponentialLR", {"lr": 1.0, "gamma": 0.5}),
                        LayerConfig("lr_scheduler.ExponentialLR", {"lr": 1.0, "gamma": 0.25}),
                    ),
                    milestones=(2,),
                ),
                [1.0, 0.5, 1.0, 0.25],
            ),
        ),
        Claim(
            "A milestone is the first step of the schedule that follows.",
            lambda ask: same(
                ask.rates(3, schedulers=(_CONSTANT, _LINEAR), milestones=(1,)), [0.5, 0.25, 0.625]
            ),
        ),
    ),
)
def SequentialLR(pick: Pick) -> Config:
    lr = _lrs(pick)["lr"]
    milestones = pick.option("milestones", (3,), (2, 5), (1, 2), ())
    parts = tuple(_part(pick, f"scheduler {i}", lr) for i in range(len(milestones) + 1))
    return {"schedulers": parts, "milestones": milestones}


@schedule_spec(
    lr_scheduler.ChainedScheduler,
    claims=(
        Claim(
            "Chained schedules multiply their factors.",
            lambda ask: same(
                ask.rates(
                    3,
                    schedulers=(
                        LayerConfig("lr_scheduler.ExponentialLR", {"lr": 1.0, "gamma": 0.5}),
                        LayerConfig(
                            "lr_scheduler.ConstantLR", {"lr": 1.0, "factor": 0.5, "total_iters": 2}
                        ),
                    ),
                ),
                [0.5, 0.25, 0.25],
            ),
        ),
        Claim(
            "A schedule that sets the rate (LambdaLR) undoes what the ones before it did.",
            lambda ask: same(
                ask.rates(
                    2,
                    schedulers=(
                        _CONSTANT,
                        LayerConfig("lr_scheduler.LambdaLR", {"lr": 1.0, "lr_lambda": Power(0.25)}),
                    ),
                ),
                [1.0, 0.25],
            ),
        ),
    ),
)
def ChainedScheduler(pick: Pick) -> Config:
    lr = _lrs(pick)["lr"]
    count = pick.option("schedulers", 2, 1, 3)
    return {"schedulers": tuple(_part(pick, f"scheduler {i}", lr) for i in range(count))}


@schedule_spec(
    lr_scheduler.ReduceLROnPlateau,
    claims=(
        Claim(
            "The rate falls at step number patience + 1 without a better metric.",
            lambda ask: same(
                ask.rates(4, metrics=(1.0, 1.0, 1.0, 1.0), lr=1.0, patience=1, factor=0.5),
                [1.0, 1.0, 0.5, 0.5],
            ),
        ),
        Claim(
            "Better is less by a part of 1e-4 of the best, unless told: an equal metric is not.",
            lambda ask: (
                same(
                    ask.rates(3, metrics=(1.0, 0.99995, 0.9999), lr=1.0, patience=0, factor=0.5),
                    [1.0, 0.5, 0.25],
                )
                and same(
                    ask.rates(2, metrics=(100.0, 99.995), lr=1.0, patience=0, factor=0.5),
                    [1.0, 0.5],
                )
            ),
        ),
        Claim(
            "After a fall, cooldown steps do not count, and no rate is below min_lr.",
            lambda ask: same(
                ask.rates(
                    5, metrics=(1.0,) * 5, lr=1.0, patience=0, factor=0.5, cooldown=1, min_lr=0.4
                ),
                [1.0, 0.5, 0.5, 0.4, 0.4],
            ),
        ),
    ),
)
def ReduceLROnPlateau(pick: Pick) -> Config:
    return _lrs(pick) | {
        "mode": pick.option("mode", "min", "max"),
        "factor": pick.option("factor", 0.5, 0.125),
        "patience": pick.option("patience", 1, 0, 2),
        "threshold": pick.option("threshold", 0.0625, 0.0, 0.5),
        "threshold_mode": pick.option("threshold_mode", "rel", "abs"),
        "cooldown": pick.option("cooldown", 0, 1, 3),
        "min_lr": pick.option("min_lr", 0.0, 0.0625),
        "eps": pick.option("eps", 1e-8, 0.125),
    }
