"""Between torch modules and npnet's layers: from_torch, to_torch, modules of configurations."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.contract import Array, ConfigError, State
from npnet.verify.case import Config, LayerConfig
from npnet.verify.targets import build, layer_class, layer_config

Read = Mapping[str, Callable[[Any], Any]]
"""How to read constructor arguments off a module that does not keep them under their names."""

READ: dict[type[nn.Module], Read] = {}
"""What the specs say of their modules."""


def module_of(
    module: Callable[..., nn.Module], config: Config, convert: Callable[[Any], Any]
) -> nn.Module:
    """The torch module of a configuration; `convert` makes tensors of arrays and the like.

    `training` is a mode in torch and a field in npnet; a LayerConfig stands for a module of
    torch.nn, `layers` for the positional arguments of Sequential.
    """

    def argument(value: Any) -> Any:
        if isinstance(value, LayerConfig):
            return module_of(getattr(nn, value.layer), value.config, convert)
        if isinstance(value, tuple):
            return tuple(argument(v) for v in value)
        return convert(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated arguments, which are asked too
        kwargs = {name: argument(value) for name, value in config.items()}
        training, layers = kwargs.pop("training", True), kwargs.pop("layers", ())
        built = module(*layers, **kwargs)
        return built if training else built.eval()  # train() would reach the layers inside


def to_torch(layer: Any, state: State) -> nn.Module:
    """The torch module of a layer of npnet.nn, with this state, in the state's dtype.

    Raises ConfigError where torch has no such module, or the state is not the layer's.
    """
    found = layer_config(layer)
    module = getattr(nn, found.layer, None)
    if module is None:
        raise ConfigError(f"to_torch needs a layer of npnet.nn, but torch.nn has no {layer!r}.")
    built = module_of(module, found.config, _tensor)
    dtypes = {a.dtype for a in state.values() if a.dtype.kind == "f"}
    if len(dtypes) > 1:
        raise ConfigError(f"to_torch needs a state of one floating dtype, but got {dtypes}.")
    for dtype in dtypes:
        built = built.to(_tensor(np.zeros(0, dtype)).dtype)
    try:
        built.load_state_dict({name: _tensor(np.asarray(a)) for name, a in state.items()})
    except RuntimeError as error:
        raise ConfigError(
            f"to_torch needs the state of {layer!r}, but {str(error).splitlines()[1].strip()}"
        ) from None
    return built


def from_torch(module: nn.Module) -> tuple[Any, dict[str, Array]]:
    """(layer, state) of a torch module: its arguments, its mode, and copies of its state_dict.

    Raises ConfigError for a module that npnet has no layer for, inside of another one too.
    """
    found = config_of(module)
    state = {name: t.detach().cpu().numpy().copy() for name, t in module.state_dict().items()}
    return build(found.layer, found.config), state


def config_of(module: nn.Module) -> LayerConfig:
    """The constructor arguments of a module, modules inside of them included."""
    name = type(module).__name__
    cls = layer_class(name)
    if cls is None or getattr(nn, name, None) is not type(module):
        raise ConfigError(
            f"from_torch needs a module of torch.nn that npnet has a layer for, but got "
            f"{type(module).__qualname__}. npnet list shows the layers."
        )
    if isinstance(module, nn.Sequential):
        return LayerConfig(name, {"layers": tuple(config_of(part) for part in module)})
    read = READ.get(type(module), {})
    config: dict[str, Any] = {}
    for field, parameter in inspect.signature(cls).parameters.items():
        if field in read:
            value = read[field](module)
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue  # Identity's, which mean nothing
        else:
            value = getattr(module, field, parameter.default)
        if field == "bias" and not isinstance(value, bool):
            value = value is not None
        config[field] = _plain(value)
    return LayerConfig(name, config)


def _plain(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return config_of(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    return value


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
