"""Smooth activations, and the backward kernels of sigmoid and tanh, which read the output y.

tanh       dy·(1 - y²)
sigmoid    dy·(1 - y)·y
gelu       x·Φ(x),  Φ(x) + x·φ(x); with tanh: x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2
elu        x where x > 0, else α·(exp(x) - 1),  α·exp(x) also as y + α: to 2u absolute
silu       x·σ(x),  σ(x)·(1 + x·(1 - σ(x)))
mish       x·tanh(softplus(x)),  t + x·σ(x)·(1 - t²)
softplus   log(1 + exp(β·x))/β to 2u absolute, x where β·x exceeds the threshold
glu        a·σ(b)

A sigmoid or a softplus may be off by 2u absolute, but not where it is far below u: there every
formula is 0 or accurate. Multiplied by a large x the difference matters.
"""

from math import log, pi, sqrt
from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, parts, plus, rounded, rule, setting
from npnet.twins.oracle.rules.comparison import clamp_max, comparison
from npnet.twins.oracle.rules.elementwise import add, div, is_power_of_two, mul, neg, sub
from npnet.twins.oracle.rules.transcendental import LIBRARY, cdf, exp, expm1, sigmoid, tanh
from npnet.twins.oracle.rules.view import where

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


above = comparison(torch.gt)


@rule("elu")
def elu(x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Bounded:
    """scale·x where x > 0, else scale·alpha·(exp(input_scale·x) - 1)."""
    power = _absolute(expm1(mul(clamp_max(x, 0.0), input_scale)))
    return where(above(x, 0.0), mul(x, scale), mul(mul(power, alpha), scale))


@rule("celu")
def celu(x: Any, alpha: float = 1.0) -> Bounded:
    """x where x > 0, else alpha·(exp(x/alpha) - 1)."""
    return elu(x, alpha, 1.0, 1.0 / alpha)


@rule("elu_backward")
def elu_backward(
    dy: Any, alpha: float, scale: float, input_scale: float, of_result: bool, x: Any
) -> Bounded:
    """scale·dy where x > 0, else dy·scale·alpha·input_scale·exp(input_scale·x)."""
    if of_result:
        raise NotImplementedError("the oracle has no rule for the gradient of an elu in place")
    power = _absolute(exp(mul(clamp_max(x, 0.0), input_scale)))
    slope = mul(mul(mul(power, input_scale), alpha), scale)
    return where(above(x, 0.0), mul(dy, scale), mul(dy, slope))


def _absolute(power: Bounded) -> Bounded:
    """Off by 2u more, as exp(x) is when it is computed as (exp(x) - 1) + 1, or the reverse."""
    return Bounded(power.value, plus(power.error, 2.0 * setting().precision.u))


_FAR = 6000.0
"""A result below u/3000 is 0 in every formula that is accurate only to u absolute."""


def _to_2u(result: Tensor) -> Tensor:
    return (result * _FAR).clamp_max_(2.0 * setting().precision.u)


def logistic(x: Any) -> tuple[Bounded, Bounded]:
    """σ(x) to 2u absolute, and 1 - σ(x), which is exactly 0 far to the right, to twice that."""
    value, error = parts(x)
    both = value.sigmoid(), (-value).sigmoid()
    doubt = _to_2u(torch.minimum(*both) * 4.0)
    if error is not None:
        doubt += torch.expm1(error).mul_(both[0]).mul_(both[1]).clamp_max_(1.0)
    s, q = (rounded(v, doubt, LIBRARY + 2) for v in both)
    return s, Bounded(q.value, plus(q.error, doubt))


def log1p_exp(x: Any) -> Bounded:
    """log(1 + exp(x)), to 2u absolute."""
    value, error = parts(x)
    result = torch.log1p(torch.exp(-value.abs())).add_(value.clamp_min(0.0))
    doubt = _to_2u(result)
    if error is not None:
        doubt += torch.sigmoid(value + error).mul_(error)
    return rounded(result, doubt, LIBRARY + 2)


@rule("silu")
def silu(x: Any) -> Bounded:
    """x·σ(x)."""
    return mul(x, logistic(x)[0])


@rule("silu_backward")
def silu_backward(dy: Any, x: Any) -> Bounded:
    """dy·σ(x)·(1 + x·(1 - σ(x)))."""
    s, q = logistic(x)
    return mul(dy, mul(s, add(mul(x, q), 1.0)))


def _until_saturated(x: Any) -> Bounded:
    """x, or where tanh(softplus(x)) rounds to 1 by far, the last such x."""
    return clamp_max(x, 4.0 - log(setting().precision.u) / 2.0)


@rule("mish")
def mish(x: Any) -> Bounded:
    """x·tanh(softplus(x))."""
    value = torch.ops.aten.mish.default(parts(x)[0])
    return Bounded(value, mul(x, tanh(log1p_exp(_until_saturated(x)))).error)


@rule("mish_backward")
def mish_backward(dy: Any, x: Any) -> Bounded:
    """dy·(t + x·σ(x)·(1 - t²))."""
    z = _until_saturated(x)
    t = tanh(log1p_exp(z))
    curve = mul(mul(z, logistic(z)[0]), sub(1.0, mul(t, t)))
    value = torch.ops.aten.mish_backward.default(parts(dy)[0], parts(x)[0])
    return Bounded(value, mul(dy, add(t, curve)).error)


def _beyond(x: Any, z: Bounded, beta: float, threshold: float) -> Any:
    """Where z = beta·x exceeds the threshold: known where the product is exact."""
    value, error = parts(x)
    exact = error is None and is_power_of_two(beta)
    return value * beta > threshold if exact else above(z, threshold)


@rule("softplus")
def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Bounded:
    """log(1 + exp(beta·x))/beta, and x where beta·x exceeds the threshold."""
    z = mul(x, beta)
    return where(_beyond(x, z, beta, threshold), x, div(log1p_exp(z), beta))


@rule("softplus_backward")
def softplus_backward(dy: Any, x: Any, beta: float, threshold: float) -> Bounded:
    """dy·σ(beta·x), and dy where beta·x exceeds the threshold."""
    z = mul(x, beta)
    return where(_beyond(x, z, beta, threshold), dy, mul(dy, sigmoid(z)))


@rule("log_sigmoid_backward")
def log_sigmoid_backward(dy: Any, x: Any, buffer: Any) -> Bounded:
    """dy·σ(-x)."""
    return mul(dy, sigmoid(neg(x)))


def _halves(x: Any, dim: int) -> tuple[Bounded, Bounded]:
    value, error = parts(x)
    values = value.chunk(2, dim)
    errors = (None, None) if error is None else error.chunk(2, dim)
    a, b = (Bounded(v, e) for v, e in zip(values, errors, strict=True))
    return a, b


@rule("glu")
def glu(x: Any, dim: int = -1) -> Bounded:
    """a·σ(b)."""
    a, b = _halves(x, dim)
    return mul(a, sigmoid(b))


@rule("glu_backward")
def glu_backward(dy: Any, x: Any, dim: int) -> Bounded:
    """dy·σ(b) and dy·a·σ(b)·(1 - σ(b))."""
    a, b = _halves(x, dim)
    s, q = logistic(b)
    da, db = mul(dy, sigmoid(b)), mul(mul(dy, a), mul(s, q))
    value = torch.ops.aten.glu_backward.default(parts(dy)[0], parts(x)[0], dim)
    errors = [d.error for d in (da, db) if d.error is not None]
    return Bounded(value, torch.cat(errors, dim))
