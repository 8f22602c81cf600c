"""Activations in pieces between thresholds.

Where x is exact the piece is known, and torch's convention at a threshold is required; else `where`
allows for either piece.

    hardsigmoid    clamp(x + 3, 0, 6)/6, also as clamp(x/6 + 1/2, 0, 1)
    hardswish      x times that; x/3 + 1/2 is its slope between the thresholds
"""

from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, parts, rounded, rule, setting
from npnet.twins.oracle.rules.comparison import clamp, comparison, kept, logical_and
from npnet.twins.oracle.rules.elementwise import abs_, add, div, mul
from npnet.twins.oracle.rules.view import where

above, below, not_above = comparison(torch.gt), comparison(torch.lt), comparison(torch.le)
at_least = comparison(torch.ge)


@rule("hardtanh")
def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Bounded:
    """x between two bounds."""
    return clamp(x, low, high)


@rule("hardtanh_backward")
def hardtanh_backward(dy: Any, x: Any, low: float, high: float) -> Bounded:
    """dy where low < x < high; of nan too."""
    return where(not_above(x, low), 0.0, where(at_least(x, high), 0.0, dy))


@rule("threshold")
def threshold(x: Any, limit: float, value: float) -> Bounded:
    """x where x > limit, else value."""
    return where(not_above(x, limit), value, x)


@rule("hardshrink")
def hardshrink(x: Any, lambd: float = 0.5) -> Bounded:
    """x where |x| > lambd; its gradient is dy there."""
    return where(not_above(abs_(x), lambd), 0.0, x)


@rule("hardshrink_backward", "softshrink_backward")
def shrink_backward(dy: Any, x: Any, lambd: float) -> Bounded:
    """dy where |x| > lambd."""
    return where(not_above(abs_(x), lambd), 0.0, dy)


@rule("softshrink")
def softshrink(x: Any, lambd: float = 0.5) -> Bounded:
    """x nearer to 0 by lambd, and 0 where it would change its sign."""
    value, error = parts(x)
    result = value - value.clamp(-lambd, lambd)
    if error is not None:
        error = kept(value.abs() > lambd - setting().precision.k * error, error)
    return rounded(result, error, underflow=False)


def _line(x: Any) -> Bounded:
    """clamp(x + 3, 0, 6)/6; only between the thresholds is anything rounded."""
    value, error = parts(x)
    result = torch.nn.functional.hardsigmoid(value)
    u = setting().precision.u
    rounding = value.abs().mul_(u / 3.0).add_(result, alpha=3.0 * u).add_(setting().precision.eta)
    if error is not None:
        rounding += error / 6.0
    reach = 3.0 if error is None else 3.0 + setting().precision.k * error
    return Bounded(result, torch.where(value.abs() < reach, rounding, 0.0))


@rule("hardsigmoid")
def hardsigmoid(x: Any) -> Bounded:
    """clamp(x + 3, 0, 6)/6."""
    return _line(x)


_SIXTH = torch.tensor(1 / 6, dtype=torch.float32).item()
"""torch's slope of hardsigmoid in every format; 1/6 itself is right, too."""


@rule("hardsigmoid_backward")
def hardsigmoid_backward(dy: Any, x: Any) -> Bounded:
    """dy/6 where -3 < x < 3."""
    g, error = parts(dy)
    doubt = g.abs() * (_SIXTH - 1 / 6)
    if error is not None:
        doubt += error * _SIXTH
    inside = logical_and(above(x, -3.0), below(x, 3.0))
    return where(inside, rounded(g * _SIXTH, doubt, 3.0), 0.0)


@rule("hardswish")
def hardswish(x: Any) -> Bounded:
    """x·clamp(x + 3, 0, 6)/6, in whatever order: x·6/6 rounds twice."""
    product = mul(x, _line(x))
    return rounded(product.value, product.error, 2.0, underflow=False)


@rule("hardswish_backward")
def hardswish_backward(dy: Any, x: Any) -> Bounded:
    """0 where x <= -3, dy·(x/3 + 1/2) between, dy where x >= 3."""
    line = add(div(x, 3.0), 0.5)
    slope = rounded(line.value, line.error, 2.0, underflow=False)
    return where(not_above(x, -3.0), 0.0, where(at_least(x, 3.0), dy, mul(dy, slope)))


@rule("leaky_relu")
def leaky_relu(x: Any, slope: Any = 0.01) -> Bounded:
    """x where x > 0, else slope·x."""
    return where(above(x, 0.0), x, mul(x, slope))


@rule("leaky_relu_backward")
def leaky_relu_backward(dy: Any, x: Any, slope: Any, of_result: bool = False) -> Bounded:
    """dy where x > 0, else slope·dy."""
    return where(above(x, 0.0), dy, mul(dy, slope))


@rule("_prelu_kernel")
def prelu(x: Any, weight: Any) -> Bounded:
    """x where x > 0, else weight·x."""
    return leaky_relu(x, weight)


@rule("_prelu_kernel_backward")
def prelu_backward(dy: Any, x: Any, weight: Any) -> tuple[Bounded, Bounded]:
    """The gradient of x, and that of the weight before it is summed."""
    return leaky_relu_backward(dy, x, weight), where(above(x, 0.0), 0.0, mul(dy, x))
