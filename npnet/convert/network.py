"""The network that a checkpoint is for: its layers, and the whole, held against torch's."""

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.convert.check import Ran, in_float, outcome
from npnet.convert.running import network_inputs
from npnet.convert.slots import Slot, slots_of_layers, slots_of_module


class Target(NamedTuple):
    """What a checkpoint is for.

    layers: of npnet.nn, by name, one after the other; None where it is not run as a whole: why
    """

    slots: Sequence[Slot]
    rest: Sequence[str]
    layers: Mapping[str, Any] | None
    why: str = ""

    def calls(self, names: Collection[str]) -> bool:
        """Whether most of these names are its own, so that nothing else has to be guessed."""
        own = {*self.rest, *(s.full(n) for s in self.slots for n in s.shapes)}
        return 2 * len(own & set(names)) > len(names)


def target_of(thing: Any, name: str) -> Target:
    """What a network of npnet or a module of torch asks for. Raises ConfigError."""
    if not is_module(thing):
        layers, _ = layers_of(thing, name)
        return Target(*slots_of_layers(layers), layers)
    try:
        layer, _ = importlib.import_module("npnet.twins").from_torch(thing)
    except ConfigError as error:
        return Target(*slots_of_module(thing), None, str(error))
    return Target(*slots_of_layers({"": layer}), {"": layer})


def is_network(value: Any) -> bool:
    """Whether it is a layer, a Model, a pair of one and its state, or a module of torch."""
    if isinstance(value, type):
        return False
    if isinstance(value, tuple):
        return len(value) == 2 and is_network(value[0]) and isinstance(value[1], Mapping)
    if hasattr(value, "state_dict") and is_module(value):
        return True
    return hasattr(value, "init") and (hasattr(value, "fit") or _is_layer(value))


def is_module(value: Any) -> bool:
    """Whether it is a module of torch."""
    return hasattr(value, "named_modules")


def _is_layer(value: Any) -> bool:
    return callable(value) and type(value).__module__.startswith("npnet.nn")


def layers_of(thing: Any, name: str) -> tuple[dict[str, Any], State | None]:
    """The layers of a network of npnet by name, and its state where it has one.

    Raises ConfigError where they do not follow each other.
    """
    layer, state = thing if isinstance(thing, tuple) else (thing, None)
    if hasattr(layer, "fit"):
        if layer.forward is not None:
            raise ConfigError(
                f"{name} is wired by a function of its own, which is not translated. Give a "
                "Sequential, or write the wiring in torch and hold it against this: npnet trace."
            )
        return dict(layer.layers), layer.state if state is None else state
    return {"": layer}, state


def drawn_state(layers: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """A state of all layers, by the names of the network."""
    rng = np.random.default_rng(seed)
    return {
        f"{n}.{k}".lstrip("."): a for n, layer in layers.items() for k, a in layer.init(rng).items()
    }


# ---- run -----------------------------------------------------------------------------------------


def whole(layers: Mapping[str, Any], tensors: State, shape: Sequence[int] | None, seed: int) -> Ran:
    """The network with what was converted, against torch's."""
    state = {n: in_float(a) for n, a in tensors.items()}
    if list(layers) == [""]:
        module = importlib.import_module("npnet.twins").to_torch(layers[""], state)
    else:
        module = importlib.import_module("npnet.twins.whole").twin_of_layers(layers, state)
    return held(layers, module, state, shape, seed, 2)


def held(
    layers: Mapping[str, Any],
    module: Any,
    state: State,
    shape: Sequence[int] | None,
    seed: int,
    batches: int,
) -> Ran:
    """A network of npnet against a module of torch, on inputs that are drawn."""
    layer, prefixes = _as_one(layers)
    rng = np.random.default_rng(seed)
    dtype = next((a.dtype for a in state.values() if a.dtype.kind == "f"), np.dtype("float32"))
    own = _renamed(state, prefixes)
    inputs = [network_inputs(layer, own, dtype, rng, shape) for _ in range(batches)]
    draws = "rng" in type(layer).__call__.__annotations__
    checked = importlib.import_module("npnet.twins.checked")
    ask = _asking(layer, prefixes)
    try:
        found = checked.held(ask, module, state, inputs, seed=seed, draws=draws)
    except MemoryError:
        raise ConfigError(
            "the network needs more memory than there is. --input says a smaller shape."
        ) from None
    return outcome(found, state)


def _as_one(layers: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The network as one layer, and the prefixes of its state, the network's to the layer's."""
    if list(layers) == [""]:
        return layers[""], {"": ""}
    from npnet.nn import Sequential

    return Sequential(*layers.values()), {f"{n}.": f"{i}." for i, n in enumerate(layers)}


def _renamed(entries: Mapping[str, Any], prefixes: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for name, a in entries.items():
        before = next(p for p in prefixes if name.startswith(p))
        found[prefixes[before] + name.removeprefix(before)] = a
    return found


def _asking(layer: Any, prefixes: Mapping[str, str]) -> Any:
    """The network as a function of its own state, gradients and updates by its names."""
    back = {b: a for a, b in prefixes.items()}

    def ask(state: State, inputs: Sequence[Any], **kwargs: Any) -> Forward:
        forward = layer(_renamed(state, prefixes), *inputs, **kwargs)

        def vjp(dy: Any) -> Grads:
            grads = forward.vjp(dy)
            return Grads(grads.inputs, _renamed(grads.params, back))

        return Forward(forward.y, vjp, _renamed(forward.updates, back))

    return ask
