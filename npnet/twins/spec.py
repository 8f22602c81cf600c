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
from npnet.twins.oracle import ask_module, plain_module, plainly
from npnet.verify.case import Config, Example, Slot
from npnet.verify.claim import Claim, refuses, same
from npnet.verify.draw import FAMILIES, Pick, Values
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Drawn, ReadsMask, Spec

Told = Callable[[Config, Precision], Config]

TOLD: dict[type[nn.Module], Told] = {}
"""Configurations that depend on the format, by module: the specs' `told`."""

RESTATED: dict[type[nn.Module], type[nn.Module]] = {}
"""Modules in operations that the oracle knows, by those whose own it does not: `restated`."""

__all__ = ["Claim", "Pick", "accepts", "build_module", "refuses", "same", "spec"]


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
    scale: float = 1.0,
    families: tuple[str, ...] = tuple(FAMILIES),
    split: Callable[[Example], bool] = lambda example: False,
    draws: Callable[[Config], bool] = lambda config: False,
    settled: Callable[[Example], bool] = lambda example: True,
    batched: Callable[[Config], bool] = lambda config: True,
    mutates: Callable[[Config], Sequence[str]] = lambda config: (),
    known_bad: Callable[[Config], str | None] = lambda config: None,
    reads_mask: ReadsMask = False,
    ignores: Collection[str] = (),
    constants: Sequence[str] = (),
    either: bool = False,
    fragile: bool = False,
    slow: bool = False,
    claims: Sequence[Claim] = (),
    read: Read = MappingProxyType({}),
    told: Told | None = None,
    restated: type[nn.Module] | None = None,
) -> Callable[[Callable[[Pick], Drawn]], Spec]:
    """Turn `def Name(pick): ... return config, inputs[, kwargs]` into the Spec of `module`.

    The state is drawn from the module's own state_dict, as the configuration says where it holds a
    tensor of that name; other entries named in `positive` are made positive, and numbers are
    multiplied by `scale` (deep twins have no bounds to speak of beside large weights). `settled`
    says whether no choice hangs on the rounding of random numbers, `batched` under which
    configurations vmap knows the module, `mutates` which parameters a forward pass may change.
    `ignores` names arguments that change the representation of the twin's answers and not their
    values (Embedding's sparse). `claims` are the conventions that people get wrong. `read` says how
    from_torch reads the constructor arguments that a module does not keep under their names. `told`
    is the configuration that the twin, which computes in float64, is given for a precision
    (RMSNorm's eps depends on it). `restated` is the module in operations that the oracle knows,
    where torch writes into memory behind autograd's back: the bounds are its, the answers still
    those of `module`, with which it is compared every time. `constants` names inputs of numbers, as
    "input 1", for which torch has no gradient and raises if asked. With `either` a gradient exactly
    on a kink may be that of either side, for versions of torch differ there. With `fragile` torch
    is asked nothing but what is drawn. `slow` twins are asked first where several are at a time.
    """
    modules = _Modules(module, ignores)
    bounded = modules if restated is None else _Modules(restated, ignores)
    READ[module] = read
    if told is not None:
        TOLD[module] = told
    if restated is not None:
        RESTATED[module] = restated

    def as_told(config: Config, precision: Precision) -> Config:
        return config if told is None else told(config, precision)

    def state(config: Config) -> dict[str, Values]:
        found: dict[str, Values] = {}
        given = {n.lstrip("_"): v for n, v in config.items() if isinstance(v, Values)}
        for name, entry in modules(config).state_dict(keep_vars=True).items():
            shape = tuple(entry.shape)
            if name in given:
                found[name] = given[name]
            elif not entry.is_floating_point():
                found[name] = Values(shape, "index", high=6)
            else:
                kind = "positive" if name.split(".")[-1] in positive else "real"
                found[name] = Values(shape, kind, scale=scale)
        return found

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        config = as_told(example.config, precision)
        return ask_module(
            modules(config, example.arrays),
            bounded(config, example.arrays),
            example,
            precision,
            single=single,
            batched=batched(example.config),
            mutates=mutates(example.config),
            constants=constants,
            either=either,
        )

    def values(example: Example, dtype: str, device: str, exact: bool) -> Mapping[str, Array]:
        config = as_told(example.config, PRECISIONS[dtype])
        return plain_module(
            modules(config, example.arrays),
            example,
            dtype=dtype,
            way=plainly("float64" if exact else dtype, device),
            mutates=mutates(example.config),
            constants=constants,
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
            families=families,
            fragile=fragile,
            slow=slow,
            values=values,
        )

    return decorate
