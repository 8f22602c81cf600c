"""How the spec of an optimizer is declared: a function that draws its hyper-parameters."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from npnet.twins.oracle.optimizers import Factory, OptimizerTwin
from npnet.twins.spec import accepts
from npnet.verify.case import Config, Example
from npnet.verify.claim import Ask, Claim, same
from npnet.verify.draw import Pick, Values
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Drawn, Spec

Shape = tuple[int, ...]
Gradients = dict[str, Values]

OPTIMIZERS: dict[type[torch.optim.Optimizer], OptimizerTwin] = {}
"""How every optimizer of torch that has a spec is asked."""

SHAPES: tuple[Shape, ...] = ((3,), (), (1,), (2, 3), (4, 1, 2), (0,), (33,))


def rate(pick: Pick) -> float:
    lr: float = pick.option("lr", 2.0**-4, 2.0**-10, 0.5)
    return lr


def small(pick: Pick) -> float:
    """eps. 2^-27 is no number of float16, where it would be a division by zero."""
    least = 2.0**-27 if pick.dtype != "float16" else 2.0**-14
    eps: float = pick.option("eps", least, 2.0**-10, 0.25)
    return eps


def _dense(pick: Pick, i: int, shape: Shape) -> Callable[[int], Gradients]:
    return lambda k: {f"grad {k} p{i}": Values(shape)}


def skipped(start: Any = (4.0,), g: Any = (1.0,), **config: Any) -> Claim:
    """What a missing gradient does, asked with the hyper-parameters in which it would show."""

    def check(ask: Ask) -> bool:
        first, second = ask.steps(start, [g, g], lr=0.5, **config)
        found = ask.steps(start, [None, g, None, g], lr=0.5, **config)
        return same(found, [start, first, first, second])

    return Claim(
        "Where a gradient is None (zero_grad leaves none) the parameter is skipped: nothing decays "
        "and no step is counted.",
        check,
    )


DECAYED = Claim(
    "weight_decay · θ is added to the gradient (L2) and goes through all that follows.",
    lambda ask: same(
        ask.steps([4.0], [[0.0]], lr=0.5, weight_decay=0.5), ask.steps([4.0], [[2.0]], lr=0.5)
    ),
)
MAXIMIZED = Claim(
    "maximize turns the sign of the gradient, not that of the decay.",
    lambda ask: same(
        ask.steps([4.0], [[1.0]], lr=0.5, weight_decay=0.5, maximize=True),
        ask.steps([4.0], [[-1.0]], lr=0.5, weight_decay=0.5),
    ),
)
L2 = (DECAYED, MAXIMIZED, skipped(weight_decay=0.5))


def optimizer_spec(
    optimizer: type[torch.optim.Optimizer],
    *,
    bounded: Factory | None = None,
    together: bool = True,
    told: Callable[[Config, Precision], Config] = lambda config, precision: config,
    shapes: Sequence[Shape] = SHAPES,
    gradients: Callable[[Pick, int, Shape], Callable[[int], Gradients]] | None = _dense,
    alike: Collection[str] = (),
    claims: Sequence[Claim] = (),
) -> Callable[[Callable[[Pick], Config]], Spec]:
    """Turn `def Name(pick): ... return config` into the Spec of a torch optimizer.

    Drawn beside the configuration: one to three parameters, five to ten steps with a rate each,
    gradients that are None, a step after which the state is saved and restored, and a second group
    of parameters with hyper-parameters of its own.

    bounded, together, told: see OptimizerTwin
    gradients: what a parameter's gradient in step k is made of; None: there is a closure, and
        neither groups nor gradients
    alike: hyper-parameters that torch does not let groups differ in
    """
    extra: dict[str, Any] = {
        name: False
        for name in ("foreach", "fused", "capturable", "differentiable")
        if accepts(optimizer, name)
    }

    def built(kind: Factory) -> Factory:
        return lambda params, **config: kind(params, **config, **extra)

    twin = OptimizerTwin(built(optimizer), built(bounded or optimizer), together, told)
    OPTIMIZERS[optimizer] = twin

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        return twin.answer(example, precision, single)

    def decorate(draw_config: Callable[[Pick], Config]) -> Spec:
        def draw(pick: Pick) -> Drawn:
            config = draw_config(pick)
            lr = config["lr"]
            count = pick.option("parameters", 2, 1, 3)
            restart = pick.option("restart after", None, 1, 2, 4)
            rates = pick.option("schedule", "constant", "decaying", "rising")
            factor = {"constant": 1.0, "decaying": 0.5, "rising": 2.0}[rates]
            kwargs: dict[str, Any] = {"restart": restart}
            if gradients is None:
                # one step is many iterations: of float16's digits none are left after it
                steps = pick.choose("steps", (2, 3) if pick.dtype != "float16" else (1,))
                kwargs["valley"] = pick.option("valley", False, True)
                arrays = _objectives(pick, count, shapes)
            else:
                steps = pick.choose("steps", (5, 6, 7, 8, 9, 10))
                groups = pick.option("groups", "one", "two")
                if count == 1 and groups == "two":
                    groups = pick.instead("groups", "one", because="parameters")
                if groups == "two":
                    kwargs["groups"] = _groups(pick, count, config, draw_config, alike)
                arrays = _gradients(pick, count, steps, shapes, gradients)
            kwargs["lr"] = tuple(lr * factor ** min(k, 4) for k in range(steps))
            return config, arrays, kwargs

        return Spec(
            f"optim.{draw_config.__name__}",
            draw,
            lambda config: {},
            answer,
            optimizer=True,
            slow=not together,
            claims=tuple(claims),
            values=twin.values,
        )

    return decorate


def _gradients(
    pick: Pick,
    count: int,
    steps: int,
    shapes: Sequence[Shape],
    gradients: Callable[[Pick, int, Shape], Callable[[int], Gradients]],
) -> dict[str, Values]:
    """Parameters and their gradients; the last parameter may lack some."""
    missing = pick.option("missing gradients", "none", "first step", "a later one", "always")
    arrays: dict[str, Values] = {}
    for i in range(count):
        shape = pick.choose(f"shape {i}", tuple(shapes))
        arrays[f"param p{i}"] = Values(shape)
        of_step = gradients(pick, i, shape)
        for k in range(1, steps + 1):
            absent = i == count - 1 and (
                missing == "always"
                or (missing == "first step" and k == 1)
                or (missing == "a later one" and k == 3)
            )
            if not absent:
                arrays |= of_step(k)
    return arrays


def _objectives(pick: Pick, count: int, shapes: Sequence[Shape]) -> dict[str, Values]:
    """Parameters, and the coefficients of the function to be minimised."""
    arrays: dict[str, Values] = {}
    for i in range(count):
        shape = pick.choose(f"shape {i}", tuple(s for s in shapes if i or 0 not in s))
        arrays[f"param p{i}"] = Values(shape)
        arrays[f"centre p{i}"] = Values(shape)
        arrays[f"curvature p{i}"] = Values(shape, "positive")
    return arrays


def _groups(
    pick: Pick,
    count: int,
    config: Config,
    draw_config: Callable[[Pick], Config],
    alike: Collection[str],
) -> tuple[dict[str, Any], ...]:
    """Two groups: the last parameter has hyper-parameters of its own."""
    names = tuple(f"p{i}" for i in range(count))
    second: Any = _Second(pick)
    own = {
        name: value
        for name, value in draw_config(second).items()
        if value != config[name] and name not in alike
    }
    return {"params": names[:-1]}, {"params": names[-1:], **own}


class _Second:
    """Draws the hyper-parameters of a second group under names that nobody counts."""

    def __init__(self, pick: Pick) -> None:
        self._pick = pick
        self.dtype = pick.dtype

    def option(self, name: str, *values: Any) -> Any:
        """One of these values."""
        return self._pick.choose(f"{name} of group 2", values)

    def instead(self, name: str, value: Any, because: str) -> Any:
        """A value in the place of one that torch refuses."""
        return value
