"""What is asked where a whole network is: its layers, how they are wired, what trains it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import numpy as np

from npnet.contract import ConfigError, Forward
from npnet.verify.adapt.objects import stateful
from npnet.verify.adapt.optimizers import optimizer as adapt_optimizer
from npnet.verify.adapt.wiring import Adapted, Takes
from npnet.verify.candidate import Candidate, sources
from npnet.verify.case import Case
from npnet.verify.finding import Source
from npnet.verify.targets import own_function

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Network:
    """A network of one's own, as `verify.model` asks it.

    layers: by the names that the twin's module has for them, in the order in which they are called.
        Each is a layer of npnet.nn, an object with forward and backward and without parameters, or
        what an adapter makes of any other: `adapt.stateful(Affine, {"W": "weight: o i -> i o"})`
    forward: forward(call, *inputs), where call("fc1", x) applies a layer to tensors of
        npnet.autograd: for skip connections, layers that are used twice, and the like. Without it
        every layer takes what the one before it returns
    whole: in place of layers, a function of a Case that is the whole network: its state is the
        module's state_dict(), its inputs are a batch's, less the target; with `has_loss` the target
        too, and it returns the loss
    loss: of (prediction, target), as a layer; without it npnet's own
    clip: a function of the gradients by name that returns them clipped; without it npnet's own
    optimizer: what `adapt.optimizer` makes of one's own; without it npnet's own
    """

    layers: Mapping[str, Any] = field(default_factory=dict)
    forward: Callable[..., Any] | None = None
    whole: Function | None = None
    has_loss: bool = False
    loss: Any = None
    optimizer: Any = None
    clip: Callable[[Any], Any] | None = None
    name: str = "network"

    def __post_init__(self) -> None:
        if bool(self.layers) == (self.whole is not None):
            raise ConfigError(
                "a Network needs either layers or a function that is the whole of it, but got "
                f"{'both' if self.layers else 'neither'}."
            )


def network(candidate: Any) -> Network:
    """A Network of whatever stands for one: layers in a list or by name, a function, a Model."""
    if isinstance(candidate, Network):
        return candidate
    if isinstance(candidate, Mapping):
        return Network(layers=dict(candidate))
    if all(hasattr(candidate, name) for name in ("layers", "loss", "optimizer", "forward")):
        return Network(
            layers=dict(candidate.layers),
            forward=candidate.forward,
            loss=candidate.loss,
            optimizer=None,
            name="model",
        )
    if _is_layer(candidate) and isinstance(getattr(candidate, "layers", None), tuple):
        candidate = candidate.layers  # of npnet.nn.Sequential
    elif _is_layer(candidate):
        return Network(layers={"": candidate})
    if isinstance(candidate, list | tuple):
        return Network(layers={str(i): layer for i, layer in enumerate(candidate)})
    if callable(candidate):
        name = str(getattr(candidate, "__name__", type(candidate).__name__))
        return Network(whole=candidate, name=getattr(candidate, "name", name))
    raise ConfigError(
        "a network must be a npnet.train.Model, a npnet.verify.Network, its layers in a list or by "
        f"name, or a function of a Case that is the whole of it, but is {candidate!r}."
    )


def _is_layer(x: Any) -> bool:
    return is_dataclass(x) and hasattr(x, "init") and not isinstance(x, type)


def function(layer: Any, where: str) -> Function:
    """A function of a Case that asks a layer, whatever it is written as."""
    if isinstance(layer, Candidate):
        return layer.function
    if _is_layer(layer):
        return _native(layer)
    if hasattr(layer, "state_dict") and hasattr(layer, "named_modules"):
        adapted: Function = import_module("npnet.twins.function").torch_function(layer)
        return adapted
    if hasattr(layer, "forward") and hasattr(layer, "backward") and not isinstance(layer, type):
        return stateful(lambda: layer)
    if callable(layer) and not isinstance(layer, type):
        made: Function = layer
        return made
    raise ConfigError(
        f"{where} must be a layer of npnet.nn, an object with forward and backward, or what an "
        f"adapter of npnet.verify.adapt makes of it, but is {layer!r}."
    )


def stepping(optimizer: Any) -> Function:
    """A function of an OptimizerCase that steps by an optimizer, whatever it is written as."""
    if isinstance(optimizer, Candidate | Adapted):
        return optimizer
    if is_dataclass(optimizer) and not isinstance(optimizer, type) and hasattr(optimizer, "step"):
        ask = own_function(f"optim.{type(optimizer).__name__}")
        config = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}
        if ask is not None:
            found = ask
            return lambda case: found(replace(case, config=config))
    if callable(optimizer) and Takes.of(optimizer).required == 1:
        made: Function = optimizer
        return made
    if callable(optimizer):
        return adapt_optimizer(optimizer)
    raise ConfigError(
        "the optimizer must be one of npnet.optim, or what npnet.verify.adapt.optimizer takes: a "
        f"function of (config, params, grads), or a class with update, but is {optimizer!r}."
    )


def _native(layer: Any) -> Function:
    takes_rng = "rng" in inspect.signature(type(layer).__call__).parameters

    def ask(case: Case) -> Forward:
        kwargs = dict(case.kwargs)
        if takes_rng:
            kwargs["rng"] = case.rng
        found: Forward = layer(case.state, *case.inputs, **kwargs)
        return found

    ask.__name__ = type(layer).__name__
    ask.sources = sources(type(layer), type(layer))  # type: ignore[attr-defined]  # read as Adapted's
    return ask


def places(f: Any) -> Mapping[str, Source]:
    """Where the code of a function of a Case stands."""
    found: Mapping[str, Source] | None = getattr(f, "sources", None)
    return sources(f, f) if found is None else found


def check_layers(own: Sequence[str], twin: Sequence[str], params: Sequence[str]) -> None:
    """Raise ConfigError where a parameter of the twin belongs to no layer of the candidate."""
    for name in params:
        if not any(not layer or name.startswith(f"{layer}.") for layer in own):
            near = get_close_matches(name.rpartition(".")[0], list(own), 1)
            hint = f" Did you mean it by {near[0]!r}?" if near else ""
            raise ConfigError(
                f"the twin's parameter {name!r} belongs to none of the candidate's layers "
                f"{list(own)}.{hint} Name them as the modules are named: {list(twin)}. What is no "
                "module's can be asked as part of a Network(whole=f) only."
            )


def as_batches(batches: Any, steps: int | None) -> list[tuple[Any, ...]]:
    """The batches as tuples of arrays. Raises ConfigError where they are something else."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        if steps is not None and len(found) == steps:
            break
        parts = batch if isinstance(batch, tuple | list) else (batch,)
        found.append(tuple(_array(x) for x in parts))
    if not found:
        raise ConfigError("verify.model needs at least one batch, as (x, target), but got none.")
    return found


def _array(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return tuple(_array(part) for part in x)
    if hasattr(x, "detach"):  # a torch tensor
        x = x.detach().cpu().numpy()
    found = np.asarray(x)
    if found.dtype.kind not in "biuf":
        raise ConfigError(
            f"a batch must hold arrays of numbers, but has {type(x).__name__} of {found.dtype}."
        )
    return found
