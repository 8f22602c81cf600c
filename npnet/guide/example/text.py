"""Values, calls and prints as source text."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import ConfigError
from npnet.guide.example.plainest import spoken
from npnet.report.repro import literal
from npnet.verify.case import LayerConfig, Power
from npnet.verify.draw import Values

_SHOWN = 4  # numbers of every array
_WIDTH = 50  # of arguments on one line: two blocks of code stand side by side


def mapped(value: Any, function: Callable[[Values], Any]) -> Any:
    """An input with something in the place of its Values."""
    if isinstance(value, Values):
        return function(value)
    return tuple(mapped(v, function) for v in value) if isinstance(value, tuple) else value


def nested(value: Any, function: Callable[[Values], str]) -> str:
    """An input as source text."""
    if isinstance(value, Values):
        return function(value)
    if isinstance(value, tuple) and any(isinstance(v, Values) for v in value):
        return f"({', '.join(nested(v, function) for v in value)})"
    return literal(value)


def expression(v: Values) -> str:
    """What draws such an array of a Generator `rng`."""
    shape, n = v.shape, int(np.prod(v.shape))
    match v.kind:
        case "index" | "even":
            return f"rng.integers(0, {max(v.high, 1)}, {shape})"
        case "distinct":
            lead, last = shape[: -v.axes], shape[-v.axes :]
            taken = int(np.prod(last))
            every = f"rng.permuted(np.tile(np.arange({v.high}), {(*lead, 1)}), axis=-1)"
            return f"{every}[..., :{taken}].reshape({shape})"
        case "choice":
            return f"rng.choice({v.extra}, {shape})"
        case "fixed":
            return f"np.array({np.reshape(v.extra, shape).tolist()})"
        case "bool":
            return f"rng.random({shape}) < 0.4"
        case "sign":
            return f"rng.choice((-1.0, 1.0), {shape})"
        case "positive" | "nonnegative":
            return f"rng.uniform(0.5, 1.5, {shape})"
        case "probability" | "log_probability":
            ones = f"np.ones({shape[v.axis]})"
            drawn = f"rng.dirichlet({ones}, {tuple(s for i, s in enumerate(shape) if i != v.axis)})"
            if v.axis % len(shape) != len(shape) - 1:
                drawn = f"np.moveaxis({drawn}, -1, {v.axis})"
            return drawn if v.kind == "probability" else f"np.log({drawn})"
        case "sixteenths":
            return f"(2 * rng.integers(0, 8, {shape}) + 1) / 16"
        case "binary":
            return f"rng.integers(0, 2, {shape}).astype(float)"
        case "unit":
            return f"rng.random({shape})"
        case "real":
            return f"rng.standard_normal({shape if len(shape) != 1 else n})"
    raise ConfigError(f"the guide has no code for arrays of kind {v.kind!r}.")


@dataclass(frozen=True)
class Name:
    """Source text that stands for itself."""

    text: str


def shown(label: str, expression: str) -> str:
    """What prints the first numbers of an array."""
    return f'print("{label}:", {expression}.ravel()[:{_SHOWN}])'


def call(function: str, config: Mapping[str, Any], tensors: bool = False) -> str:
    """A call with arguments by name, on several lines where it is long.

    tensors: it is torch's, and Values are made tensors
    """
    package = function.rpartition(".")[0].removesuffix(".lr_scheduler")
    arguments = [_argument(package, x, tensors) for x in config.get("layers", ())]
    for n, v in config.items():
        if isinstance(v, Values):
            arguments.append(f"{n}=torch.tensor({n})" if tensors else f"{n}={n}")
        elif n != "layers":
            arguments.append(f"{n}={_argument(package, v, tensors)}")
    return f"{function}({listed(arguments)})"


def listed(arguments: Sequence[str], last: str = "") -> str:
    """Arguments on one line, or each on its own."""
    line = ", ".join(arguments)
    if len(line) <= _WIDTH and "\n" not in line:
        return line + last
    return "\n" + textwrap.indent(",\n".join([*arguments, ""]), "    ")


def _argument(package: str, value: Any, tensors: bool) -> str:
    if isinstance(value, LayerConfig):
        config = {n: v for n, v in value.config.items() if not (tensors and n == "training")}
        return call(f"{package}.{value.layer}", spoken(value.layer, config), tensors)
    if isinstance(value, Name):
        return value.text
    if isinstance(value, tuple) and any(isinstance(x, LayerConfig) for x in value):
        return f"({listed([_argument(package, x, tensors) for x in value], ',')})"
    if isinstance(value, Power):
        return f"lambda step: {value.scale} * {value.base} ** step"
    return literal(value)
