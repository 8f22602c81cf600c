"""The hard activations case by case, and in the order of operations of the papers."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _between(x: Array, low: float, high: float) -> Forward:
    y = np.where(x < low, low, np.where(x > high, high, x)).astype(x.dtype)
    return Forward(y, lambda dy: Grads((np.where((low < x) & (x < high), dy, 0 * dy),)))


@dataclass(frozen=True)
class Hardtanh(nn.Hardtanh):
    def __call__(self, state: State, x: Array) -> Forward:
        low = self.min_val if self.min_value is None else self.min_value
        return _between(x, low, self.max_val if self.max_value is None else self.max_value)


@dataclass(frozen=True)
class ReLU6(nn.ReLU6):
    def __call__(self, state: State, x: Array) -> Forward:
        return _between(x, 0, 6)


@dataclass(frozen=True)
class Hardsigmoid(nn.Hardsigmoid):
    def __call__(self, state: State, x: Array) -> Forward:
        y = np.clip(x / 6 + 0.5, 0, 1)
        return Forward(y, lambda dy: Grads(((x > -3) * (x < 3) * dy * (1 / 6),)))


@dataclass(frozen=True)
class Hardswish(nn.Hardswish):
    """The product first, and the product rule."""

    def __call__(self, state: State, x: Array) -> Forward:
        h = np.minimum(np.maximum(x + 3, 0), 6)
        inside = (x > -3) & (x < 3)
        return Forward(x * h / 6, lambda dy: Grads((dy * (h / 6 + x * inside / 6),)))


@dataclass(frozen=True)
class Hardshrink(nn.Hardshrink):
    def __call__(self, state: State, x: Array) -> Forward:
        kept = (x > self.lambd) | (x < -self.lambd)
        return Forward(np.where(kept, x, 0 * x), lambda dy: Grads((np.where(kept, dy, 0 * dy),)))


@dataclass(frozen=True)
class Softshrink(nn.Softshrink):
    def __call__(self, state: State, x: Array) -> Forward:
        y = np.sign(x) * np.maximum(np.abs(x) - self.lambd, 0)
        return Forward(y, lambda dy: Grads((np.where(y != 0, dy, 0 * dy),)))


ALTERNATIVES = {
    "Hardtanh": Hardtanh,
    "ReLU6": ReLU6,
    "Hardsigmoid": Hardsigmoid,
    "Hardswish": Hardswish,
    "Hardshrink": Hardshrink,
    "Softshrink": Softshrink,
}
