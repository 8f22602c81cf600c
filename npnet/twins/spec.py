"""How a spec is declared: a function that draws configurations, named after its module."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.contract import Array
from npnet.twins.convert import READ, Read, module_of
from npnet.twins.oracle import ask_module, ask_optimizer
from npnet.verify.case import Config, Example, Slot
from npnet.verify.claim import Claim, same
from npnet.verify.draw import Pick, Values
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Drawn, Spec

__all__ = ["Claim", "Pick", "accepts", "build_module", "optimizer_spec", "same", "spec"]


def accepts(function: Callable[..., Any], parameter: str) -> bool:
    """Whether this version of torch knows the parameter."""
    return parameter in inspect.signature(function).parameters


def build_module(module: type[nn.Module], config: Config) -> nn.Module:
    """The torch module of a configuration, in float64 and without values of its own."""
    with torch.device("meta"):
        return module_of(module, config, _meta).double()


def _meta(value: Any) -> Any:
    """Values, Slots and arrays stand for tensors."""
    if isinstance(value, Values | np.ndarray):
        return torch.ones(value.shape, dtype=torch.float64)
    return value


class _Modules:
    """The modules of one twin by configuration: building one costs more than asking it."""

    def __init__(self, module: type[nn.Module], ignores: Collection[str]) -> None:
        self._module = module
        self._ignores = ignores
        self._known: dict[str, nn.Module] = {}

    def __call__(self, config: Config, arrays: Mapping[str, Array] | None = None) -> nn.Module:
        if arrays is not None:  # the arrays are value sets, stacked
            config = {
                name: Values(arrays[v.name].shape[1:]) if isinstance(v, Slot) else v
                for name, v in config.items()
            }
        config = {n: v for n, v in config.items() if n not in self._ignores}
        key = repr({n: v.shape if isinstance(v, Values) else v for n, v in config.items()})
        if key not in self._known:
            if len(self._known) > 500:
                self._known.clear()
            self._known[key] = build_module(self._module, config)
        return self._known[key]


def spec(
    module: type[nn.Module],
    *,
    positive: Collection[str] = (),
    exact: bool = False,
    split: Callable[[Example], bool] = lambda example: False,
    draws: Callable[[Config], bool] = lambda config: False,
    settled: Callable[[Example], bool] = lambda example: True,
    batched: Callable[[Config], bool] = lambda config: True,
    mutates: Callable[[Config], Sequence[str]] = lambda config: (),
    known_bad: Callable[[Config], str | None] = lambda config: None,
    reads_mask: bool = False,
    ignores: Collection[str] = (),
    claims: Sequence[Claim] = (),
    read: Read = MappingProxyType({}),
) -> Callable[[Callable[[Pick], Drawn]], Spec]:
    """Turn `def Name(pick): ... return config, inputs[, kwargs]` into the Spec of `module`.

    The state is drawn from the module's own state_dict; entries named in `positive` are made
    positive. `settled` says whether no choice hangs on the rounding of random numbers, `batched`
    under which configurations vmap knows the module, `mutates` which parameters a forward pass may
    change. `ignores` names arguments that change the representation
    of the twin's answers and not their values (Embedding's sparse). `claims` are the conventions
    that people get wrong. `read` says how from_torch reads the constructor arguments that a module
    does not keep under their names.
    """
    modules = _Modules(module, ignores)
    READ[module] = read

    def state(config: Config) -> dict[str, Values]:
        found: dict[str, Values] = {}
        for name, entry in modules(config).state_dict(keep_vars=True).items():
            shape = tuple(entry.shape)
            if not entry.is_floating_point():
                found[name] = Values(shape, "index", high=6)
            else:
                kind = "positive" if name.split(".")[-1] in positive else "real"
                found[name] = Values(shape, kind)
        return found

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        return ask_module(
            modules(example.config, example.arrays),
            example,
            precision,
            single=single,
            batched=batched(example.config),
            mutates=mutates(example.config),
        )

    def decorate(draw: Callable[[Pick], Drawn]) -> Spec:
        return Spec(
            draw.__name__,
            draw,
            state,
            answer,
            exact=exact,
            split=split,
            draws=draws,
            settled=settled,
            known_bad=known_bad,
            reads_mask=reads_mask,
            claims=tuple(claims),
        )

    return decorate


_SHAPES = ((3,), (), (1,), (2, 3), (4, 1, 2), (0,), (33,))


def optimizer_spec(
    optimizer: type[torch.optim.Optimizer],
    *,
    claims: Sequence[Claim] = (),
) -> Callable[[Callable[[Pick], Config]], Spec]:
    """Turn `def Name(pick): ... return config` into the Spec of a torch optimizer.

    Drawn beside the configuration: one to three parameters, five to ten steps with a rate each,
    gradients that are None, and a step after which the state is saved and restored.
    """
    extra: dict[str, Any] = {
        name: False
        for name in ("foreach", "fused", "capturable", "differentiable")
        if accepts(optimizer, name)
    }

    def factory(params: Any, **config: Any) -> torch.optim.Optimizer:
        return optimizer(params, **config, **extra)

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        return ask_optimizer(factory, example, precision, single)

    def decorate(draw_config: Callable[[Pick], Config]) -> Spec:
        def draw(pick: Pick) -> Drawn:
            config = draw_config(pick)
            count = pick.option("parameters", 2, 1, 3)
            steps = pick.choose("steps", (5, 6, 7, 8, 9, 10))
            restart = pick.option("restart after", None, 1, 2, 4)
            missing = pick.option(
                "missing gradients", "none", "first step", "a later one", "always"
            )
            rates = pick.option("schedule", "constant", "decaying", "rising")
            lr = config["lr"]
            factor = {"constant": 1.0, "decaying": 0.5, "rising": 2.0}[rates]
            arrays: dict[str, Values] = {}
            for i in range(count):
                shape = pick.choose(f"shape {i}", _SHAPES)
                arrays[f"param p{i}"] = Values(shape)
                for k in range(1, steps + 1):
                    absent = i == count - 1 and (
                        missing == "always"
                        or (missing == "first step" and k == 1)
                        or (missing == "a later one" and k == 3)
                    )
                    if not absent:
                        arrays[f"grad {k} p{i}"] = Values(shape)
            kwargs = {
                "lr": tuple(lr * factor ** min(k, 4) for k in range(steps)),
                "restart": restart,
            }
            return config, arrays, kwargs

        return Spec(
            f"optim.{draw_config.__name__}",
            draw,
            lambda config: {},
            answer,
            optimizer=True,
            claims=tuple(claims),
        )

    return decorate
