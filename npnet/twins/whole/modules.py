"""The modules inside of a network: which are its layers, where their tensors are."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.contract import ConfigError, State
from npnet.twins import spec as declared
from npnet.twins.convert import config_of, to_torch
from npnet.verify.precision import Precision
from npnet.verify.whole.constants import representable


def outermost(module: nn.Module, path: str = "") -> Iterator[str]:
    """The outermost modules that have a twin of their own, or no modules inside of them."""
    from npnet.twins import SPECS

    kind = type(module)
    twin = kind.__name__ in SPECS and getattr(nn, kind.__name__, None) is kind
    if (twin and not isinstance(module, nn.Sequential)) or not list(module.children()):
        yield path
        return
    seen: set[int] = set()
    for name, child in module.named_children():
        if id(child) not in seen:
            seen.add(id(child))
            yield from outermost(child, f"{path}.{name}" if path else name)


Spot = tuple[str, dict[str, Any], str]
"""A name of the state_dict, and where its tensor is kept: the dict and the key."""


def places(module: nn.Module) -> dict[str, list[Spot]]:
    """Where every entry of the state_dict is kept; what is shared under its first name."""
    first: dict[int, str] = {}
    found: dict[str, list[Spot]] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        kept = [(part._parameters, n, t) for n, t in part._parameters.items()]
        kept += [
            (part._buffers, n, t)
            for n, t in part._buffers.items()
            if n not in part._non_persistent_buffers_set
        ]
        for place, name, t in kept:
            if t is not None:
                whole = first.setdefault(id(t), prefix + name)
                found.setdefault(whole, []).append((prefix + name, place, name))
    return found


def for_format(module: nn.Module, precision: Precision) -> nn.Module:
    """The module with what it has in a format, in operations that have rules."""
    for path, part in list(module.named_modules()):
        kind = type(part)
        told, restated = declared.TOLD.get(kind), declared.RESTATED.get(kind)
        if told is not None and is_readable(part):
            config = config_of(part).config
            for name, value in told(config, precision).items():
                if value is not config.get(name):
                    setattr(part, name, value)
        if restated is not None:
            parent, _, name = path.rpartition(".")
            setattr(
                module.get_submodule(parent),
                name,
                declared.build_module(restated, config_of(part).config),
            )
    for part in module.modules():
        for name, t in part._buffers.items():
            if t is not None and t.is_floating_point() and name in part._non_persistent_buffers_set:
                part._buffers[name] = t.double()
    return module


def round_constants(module: nn.Module | None, precision: Precision) -> None:
    """Give a module the constants that a format has in the place of its own."""
    for part in () if module is None else module.modules():
        for name, value in vars(part).items():
            if type(value) in (float, tuple) and not name.startswith("_"):
                setattr(part, name, representable(value, precision))


def is_readable(part: nn.Module) -> bool:
    try:
        config_of(part)
    except ConfigError:
        return False
    return True


def is_random(part: nn.Module) -> bool:
    """Whether a module draws numbers."""
    from npnet.twins import SPECS

    found = SPECS.get(type(part).__name__)
    if found is None or not is_readable(part):
        return False
    return found.draws(config_of(part).config)


def twin_of_loss(loss: Any) -> nn.Module:
    """The module of a loss of npnet.nn. Raises ConfigError for any other."""
    try:
        return to_torch(loss, {})
    except ConfigError:
        raise ConfigError(
            "the twin's loss can be left out only where the candidate's is one of npnet.nn, but it "
            f"is {loss!r}. Give loss=, as nn.CrossEntropyLoss() of torch."
        ) from None


def twin_of_layers(layers: Mapping[str, Any], state: State | None) -> nn.Module:
    """The torch.nn.Sequential of layers of npnet.nn, with this state, or one that is drawn.

    Raises ConfigError for anything else.
    """
    rng = np.random.default_rng(0)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in layers.items():
        if not hasattr(layer, "init"):
            raise ConfigError(
                "the module can be left out only where all layers are npnet's own, but "
                f"{name!r} is {layer!r}. Give the torch.nn.Module that the network claims to be."
            )
        drawn = layer.init(rng)
        own = drawn if state is None else {n: state[f"{name}.{n}"] for n in drawn}
        parts[name] = to_torch(layer, own)
    return nn.Sequential(parts)


class Reader(nn.ModuleDict):
    """npnet.train.networks.read in torch: scores of the next character, (N, characters, T)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The embedding, the LSTM, the layer behind it."""
        found: torch.Tensor = self["fc"](self["lstm"](self["embedding"](x))[0])
        return found.transpose(1, 2)


def names_of(module: nn.Module) -> list[str]:
    """What its modules are called."""
    return [name for name, _ in module.named_modules() if name]
