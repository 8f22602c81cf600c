"""Adapter for optimizers: a function of all steps, or an object that takes one after the other."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from npnet.contract import ConfigError, State
from npnet.verify.adapt.wiring import (
    EMPTY,
    Adapted,
    Arguments,
    Takes,
    Wiring,
    method,
    places,
)
from npnet.verify.case import Case, OptimizerCase


def optimizer(
    f: Callable[..., Any],
    *,
    config: Arguments = None,
    update: str = "update",
    lr: str = "lr",
) -> Adapted:
    """f(config, params, grads_per_step) -> list of params, or a class with update(params, grads).

    The function gets copies of all parameters and a mapping of gradients for each step, None where
    a parameter has none; it returns the parameters after each step. If it has an argument `lr`, it
    gets the rates, one per step; one that has not must be asked with
    only={"schedule": st.just("constant")}.

    The class is built from the configuration (config as for the other adapters), and its method
    `update` is called for each step with dicts of the parameters that have a gradient and of their
    gradients; it writes into the parameters, or returns them. Its attribute `lr` is set for each
    step. An object has no state to save: "restart after" goes by unnoticed.

    Neither has to know groups of parameters: every group is asked by itself. A function with an
    argument `closure` gets that of the case, params -> (loss, gradients), for LBFGS.
    """
    if inspect.isclass(f):
        return Adapted(
            _by_group(_updating(f, config, update, lr)),
            f,
            places(getattr(f, update, f), getattr(f, update, f)),
        )
    takes = Takes.of(f).names
    if config is not None:
        raise ConfigError("config= is for classes; a function gets the whole configuration.")

    def run(case: OptimizerCase) -> list[State]:
        params = {name: a.copy() for name, a in case.params.items()}
        more = {n: getattr(case, n) for n in ("lr", "closure") if n in takes}
        found = f(dict(case.config), params, [dict(g) for g in case.grads], **more)
        return list(found)

    return Adapted(_by_group(run), f, places(f, f))


def _by_group(run: Callable[[OptimizerCase], list[State]]) -> Callable[[OptimizerCase], list[Any]]:
    """Every group of parameters by itself, and the parameters of all after each step."""

    def together(case: OptimizerCase) -> list[Any]:
        parts = [run(part) for part in case.split()]
        if len(parts) == 1:
            return parts[0]
        return [
            {n: a for step in steps for n, a in step.items()} for steps in zip(*parts, strict=True)
        ]

    return together


def _updating(
    build: Callable[..., Any], config: Arguments, update: str, lr: str
) -> Callable[[OptimizerCase], list[State]]:
    wiring, takes = Wiring.of(EMPTY, EMPTY, config, None, None), Takes.of(build)

    def run(case: OptimizerCase) -> list[State]:
        crossing = wiring.open(Case(case.config, {}, ()))
        optimizer = crossing.call(build, takes, (), crossing.told(takes))
        step = method(optimizer, update)
        params = {name: a.copy() for name, a in case.params.items()}
        found: list[State] = []
        for grads, rate in zip(case.grads, case.lr, strict=True):
            if hasattr(optimizer, lr):
                setattr(optimizer, lr, rate)
            known = {name: g.copy() for name, g in grads.items() if g is not None}
            moved = {name: params[name] for name in known}
            returned = step(moved, known)
            params |= moved if returned is None else returned
            found.append({name: np.array(a) for name, a in params.items()})
        return found

    return run
