"""Which number of the configuration or of the shapes a factor is."""

import math
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from npnet.verify.diagnose.probe import Probe

_PLAIN = {
    -1.0: "-1", 2.0: "2", 0.5: "1/2", -2.0: "-2", -0.5: "-1/2", 4.0: "4", 0.25: "1/4", 3.0: "3",
    1 / 3: "1/3", math.pi: "π", 1 / math.pi: "1/π", math.sqrt(2): "√2", math.sqrt(0.5): "1/√2",
}  # fmt: skip


def quantities(probe: Probe) -> Iterator[tuple[str, float]]:
    """Numbers that have a name: sizes and hyper-parameters."""
    arrays = probe.arrays
    x, y = arrays.get("input 0"), probe.want.get("y")
    if x is None:
        x = next((a for n, a in arrays.items() if n.startswith("param ")), None)
    if x is not None and x.ndim:
        yield "the batch size", x.shape[0]
        yield "the number of elements", x.size
        yield "the length of the last axis", x.shape[-1]
        if x.ndim > 1:
            yield "the number of channels", x.shape[1]
            yield "the number of elements of a sample", prod(x.shape[1:])
            yield "the number of rows (all axes but the last)", prod(x.shape[:-1])
            yield "the number of elements per channel", x.size // max(x.shape[1], 1)
        if x.ndim > 2:
            yield "the number of positions", prod(x.shape[2:])
            yield "the length of axis 2", x.shape[2]
    if y is not None and y.ndim > 2 and (x is None or y.shape != x.shape):
        yield "the number of output positions", prod(y.shape[2:])
        yield "the number of outputs per channel", y.size // max(y.shape[1], 1)
    if y is not None and y.size != (x.size if x is not None else -1):
        yield "the number of outputs", y.size
        if y.ndim:
            yield "the last axis of the output", y.shape[-1]
    yield from _settings(probe.config)
    yield from _targets(probe)
    if "lr" in probe.example.kwargs:
        yield "lr", probe.example.kwargs["lr"][0]


def _targets(probe: Probe) -> Iterator[tuple[str, float]]:
    """What a loss over classes is divided by."""
    target, ignored = probe.arrays.get("input 1"), probe.config.get("ignore_index")
    if target is None or target.dtype.kind not in "iu" or not isinstance(ignored, int):
        return
    used = target[target != ignored]
    yield "the number of targets", target.size
    yield "the number of targets that are not ignored", used.size
    weight = probe.arrays.get("weight")
    if weight is not None and used.size and used.min() >= 0 and used.max() < weight.size:
        yield "the sum of the targets' weights", float(weight[used].sum())


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in config.items():
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            yield name, float(value)
        elif isinstance(value, tuple) and value and all(isinstance(v, int | float) for v in value):
            yield f"the product of {name}", float(prod(value))
            for i, v in enumerate(value):
                yield f"{name}[{i}]", float(v)
        if name == "kernel_size" and isinstance(value, int):
            yield f"{name}²", float(value) ** 2


def names(c: float, probe: Probe) -> Iterator[str]:
    """Every name that fits a factor: "2", "1 / the batch size", "√momentum"."""
    if not np.isfinite(c):
        return
    for value, name in _PLAIN.items():
        if _same(c, value):
            yield name
    for name, n in quantities(probe):
        for text, value in _functions(name, n):
            if _same(abs(c), value) and value != 1:
                yield f"-({text})" if c < 0 else text


def _functions(name: str, n: float) -> Iterator[tuple[str, float]]:
    yield name, n
    if n == 0 or not np.isfinite(n):
        return
    yield f"1 / {name}", 1 / n
    yield f"{name} squared", n * n
    yield f"1 / {name} squared", 1 / (n * n)
    yield f"2 / {name}", 2 / n
    yield f"2 · {name}", 2 * n
    if n > 0:
        yield f"√({name})", math.sqrt(n)
        yield f"1 / √({name})", 1 / math.sqrt(n)
    if n != 1:
        yield f"1 - {name}", 1 - n
        yield f"1 / (1 - {name})", 1 / (1 - n)
        yield f"(n - 1)/n with n = {name}", (n - 1) / n
        yield f"n/(n - 1) with n = {name}", n / (n - 1)
    if np.isfinite(n) and n == int(n) and n > 1:
        yield f"{name} - 1", n - 1


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-7 * max(abs(a), abs(b))
