"""A network of npnet as the PyTorch code that builds it."""

import importlib
import inspect
import keyword
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from npnet.contract import ConfigError

_LINE = 88


def source(layers: Mapping[str, Any]) -> str:
    """A module called `model`; layers by name are a class with these names.

    layers: of npnet.nn, one after the other; {"": layer} for one by itself
    """
    imports = []
    if list(layers) == [""]:
        body = f"model = {expression(layers[''])}"
    elif all(name == str(i) for i, name in enumerate(layers)):
        body = f"model = {_called('nn.Sequential', map(expression, layers.values()))}"
    else:
        _require_names(layers)
        if all(map(_is_attribute, layers)):
            body = _class(layers)
        else:
            imports = ["from collections import OrderedDict", ""]
            pairs = ", ".join(f"({n!r}, {expression(layer)})" for n, layer in layers.items())
            body = f"model = nn.Sequential({_called('OrderedDict', [f'[{pairs}]'])})"
    imports += ["import torch"] * ("torch." in body) + ["from torch import nn"]
    gap = "\n\n" if body.startswith("class ") else "\n"
    return "\n".join(imports) + f"\n{gap}{body}\n"


def _require_names(layers: Mapping[str, Any]) -> None:
    """Raise ConfigError for a layer that a module of torch cannot have under its name."""
    taken = importlib.import_module("npnet.twins.ported").TAKEN
    for name in layers:
        if not name or "." in name or name in taken:
            raise ConfigError(
                "torch's modules need names of their own, without a dot, for what is in them, but "
                f"a layer is called {name!r}. Call it otherwise."
            )


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


def _class(layers: Mapping[str, Any]) -> str:
    lines = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    for name, layer in layers.items():
        lines += _indented(f"self.{name} = {expression(layer)}", 8)
    lines += ["", "    def forward(self, x):"]
    lines += [f"        x = self.{name}(x)" for name in layers]
    return "\n".join([*lines, "        return x", "", "", "model = Net()"])


def expression(layer: Any) -> str:
    """The constructor call of a layer of torch, with what is not its default."""
    kind, inner = type(layer).__name__, getattr(layer, "layers", ())
    if not is_dataclass(layer) or not type(layer).__module__.startswith("npnet.nn"):
        raise ConfigError(
            f"npnet port needs layers of npnet.nn, which have a module of torch, but got {layer!r}."
        )
    if kind == "Sequential":
        return _called("nn.Sequential", map(expression, inner))
    arguments = []
    required = True
    for field in fields(layer):
        if field.name == "training":
            continue
        value, default = getattr(layer, field.name), _default(type(layer), field.name)
        if default is inspect.Parameter.empty and required and not field.kw_only:
            arguments.append(_value(value))
            continue
        required = False
        if default is inspect.Parameter.empty or not _same(value, default):
            arguments.append(f"{field.name}={_value(value)}")
    text = _called(f"nn.{kind}", arguments)
    return text if getattr(layer, "training", True) else f"{text}.eval()"


def _default(kind: type, name: str) -> Any:
    parameter = inspect.signature(kind).parameters.get(name)
    return inspect.Parameter.empty if parameter is None else parameter.default


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return value is default
    return type(value) is type(default) and bool(value == default)


def _value(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        return expression(value)
    if isinstance(value, np.ndarray):
        return f"torch.tensor({value.tolist()!r}, dtype=torch.{value.dtype})"
    if isinstance(value, tuple):
        inner = ", ".join(map(_value, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if callable(value) and not isinstance(value, float):  # init of PReLU is both
        raise ConfigError(
            f"npnet port needs arguments that can be written down, but got {value!r}, a function."
        )
    return repr(value)


def _called(name: str, arguments: Any) -> str:
    """A call on one line, or with a line for every argument."""
    given = list(arguments)
    short = f"{name}({', '.join(given)})"
    if "\n" not in short and len(short) <= _LINE and name != "nn.Sequential":
        return short
    inner = [line for text in given for line in _indented(f"{text},", 4)]
    return "\n".join([f"{name}(", *inner, ")"]) if given else f"{name}()"


def _indented(text: str, by: int) -> list[str]:
    return [" " * by + line for line in text.split("\n")]
