"""GELU, and the backward kernels of sigmoid and tanh, which read the output y.

tanh       dy·(1 - y²)
sigmoid    dy·(1 - y)·y
gelu       x·Φ(x),  Φ(x) + x·φ(x); with tanh: x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2
"""

from math import pi, sqrt
from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, parts, rounded, rule, setting
from npnet.twins.oracle.rules.elementwise import add, mul, sub
from npnet.twins.oracle.rules.transcendental import cdf, exp, tanh

CUBIC = 0.044715
SCALE = sqrt(2.0 / pi)


@rule("tanh_backward")
def tanh_backward(dy: Any, y: Any) -> Bounded:
    """dy·(1 - y²); y² is rounded by up to u, even where 1 - y² is small."""
    value, error = parts(y)
    square = value * value
    doubt = square * setting().precision.u
    if error is not None:
        doubt.addcmul_(torch.add(error, value.abs(), alpha=2.0), error)
    return _chained(dy, 1.0 - square, doubt)


@rule("sigmoid_backward")
def sigmoid_backward(dy: Any, y: Any) -> Bounded:
    """dy·(1 - y)·y."""
    value, error = parts(y)
    doubt = None if error is None else torch.addcmul(error, error, error)
    return _chained(dy, (1.0 - value) * value, doubt)


def _chained(dy: Any, slope: Tensor, doubt: Tensor | None) -> Bounded:
    """dy times a slope, with the slope's error; 3 roundings for both."""
    g, eg = parts(dy)
    error = None if doubt is None else g.abs() * doubt
    if eg is not None:
        size = slope.abs()
        if doubt is not None:
            size += doubt
        error = eg * size if error is None else error.addcmul_(eg, size)
    return rounded(g * slope, error, 3.0)


def _inner_tanh(x: Any) -> Bounded:
    return tanh(mul(add(x, mul(mul(mul(x, x), x), CUBIC)), SCALE))


@rule("gelu")
def gelu(x: Any, *, approximate: str = "none") -> Bounded:
    """x·Φ(x), or its approximation by a hyperbolic tangent; torch's value, the textbook's bound."""
    weight = mul(add(_inner_tanh(x), 1.0), 0.5) if approximate == "tanh" else cdf(x)
    value = torch.ops.aten.gelu.default(parts(x)[0], approximate=approximate)
    return Bounded(value, mul(x, weight).error)


@rule("gelu_backward")
def gelu_backward(dy: Any, x: Any, *, approximate: str = "none") -> Bounded:
    """dy·(Φ + x·φ), or the derivative of the approximation."""
    if approximate == "tanh":
        t = _inner_tanh(x)
        slope = mul(add(mul(mul(x, x), 3.0 * CUBIC), 1.0), SCALE)
        curve = mul(mul(x, sub(1.0, mul(t, t))), slope)
        derivative = mul(add(add(t, 1.0), curve), 0.5)
    else:
        density = mul(exp(mul(mul(x, x), -0.5)), 1.0 / sqrt(2.0 * pi))
        derivative = add(cdf(x), mul(x, density))
    value = torch.ops.aten.gelu_backward.default(parts(dy)[0], parts(x)[0], approximate=approximate)
    return Bounded(value, mul(dy, derivative).error)
