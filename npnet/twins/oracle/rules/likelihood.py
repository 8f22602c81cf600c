"""Losses of probabilities, and the functions that they are made of.

    xlogy         x·log(y), 0 where x is
    logit         log(p/(1 - p)) = log(p) - log(1 - p)
    bce           -(t·log(p) + (1 - t)·log(1 - p)), the logarithms not below -100
    soft_margin   log(1 + exp(-t·x)),  -t·dy/(1 + exp(t·x))

log(1 - p) may be computed as log1p(-p) or as it stands, which errs by u absolute.
"""

from typing import Any

import numpy as np
import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    finished,
    magnitude,
    parts,
    plus,
    rule,
    setting,
    watch,
)
from npnet.twins.oracle.rules.comparison import clamp_min
from npnet.twins.oracle.rules.elementwise import add, constant_error, div, mul, neg, sub
from npnet.twins.oracle.rules.loss import MEAN, reduced, softplus_of_minus
from npnet.twins.oracle.rules.transcendental import LIBRARY, at_pole, log, log1p, sigmoid
from npnet.twins.oracle.rules.view import where

FLOOR = float(np.float32(1e-12))


@rule("xlogy.Tensor", "xlogy.Scalar_Self", "xlogy.Scalar_Other")
def xlogy(x: Any, y: Any) -> Bounded:
    """x·log(y), exactly 0 where x is exactly 0."""
    value, error = parts(x)
    zero = value == 0 if error is None else (value == 0) & (error == 0)
    zero = zero & ~torch.isnan(parts(y)[0])
    return where(zero, 0.0, mul(x, log(where(zero, 1.0, y))))


def log_of_rest(p: Any) -> Bounded:
    """log(1 - p), to u absolute."""
    result = log1p(neg(p) if type(p) is Bounded else -p)
    return finished(result.value, plus(result.error, setting().precision.u))


@rule("logit")
def logit(p: Any, eps: float | None = None) -> Bounded:
    """log(p/(1 - p)); ±inf at 0 and 1."""
    value, error = parts(p)
    u = setting().precision.u
    variance = value * (1.0 - value)
    pole = at_pole(variance, error)
    inside = value.masked_fill(pole, 0.5)
    size = inside.log().abs() + torch.log1p(-inside).abs()
    carried = None if error is None else error / (variance - error).clamp_min_(0.0)
    found = finished(inside.logit(eps), plus(size * ((LIBRARY + 1.0) * u), 3.0 * u, carried))
    found.value.copy_(value.logit(eps))
    return found


@rule("binary_cross_entropy")
def bce(p: Any, target: Any, weight: Any = None, reduction: int = MEAN) -> Any:
    """The binary cross entropy of probabilities."""
    positive = mul(target, clamp_min(log(p), -100.0))
    negative = mul(sub(1.0, target), clamp_min(log_of_rest(p), -100.0))
    loss = neg(add(positive, negative))
    return reduced(loss if weight is None else mul(loss, weight), reduction)


@rule("binary_cross_entropy_backward")
def bce_backward(
    dy: Any, p: Any, target: Any, weight: Any = None, reduction: int = MEAN
) -> Bounded:
    """dy·(p - t)/(p·(1 - p)), the denominator not below 1e-12: float32's, or exactly that."""
    variance = mul(p, sub(1.0, p))
    low = clamp_min(variance, FLOOR)
    floored = torch.where(parts(variance)[0] <= FLOOR, constant_error(FLOOR), 0.0)
    g = dy if weight is None else mul(dy, weight)
    size, off = p.numel(), sub(p, target)
    denominator = finished(low.value, plus(low.error, floored))
    if setting().watching:  # torch weighs the quotient, and divides by the size last of all
        quotient = (parts(off)[0] / denominator.value).abs()
        for factor in (dy, g):
            watch(quotient * parts(factor)[0].abs())
    if reduction == MEAN and size:
        g = div(g, float(size))
    # what underflows in the numerator is enlarged by the quotient
    return div(mul(g, off), denominator)


@rule("log_sigmoid_backward")
def log_sigmoid_backward(dy: Any, x: Any, buffer: Any) -> Bounded:
    """dy/(1 + exp(x))."""
    return mul(dy, sigmoid(neg(x)))


def _exponent(x: Any, target: Any) -> Bounded:
    """t·x; the exponential of -t·x is watched, for torch computes it as it stands."""
    z = mul(target, x)
    if setting().watching:
        watch(torch.exp(magnitude(-z.value, None)))
    return z


@rule("soft_margin_loss")
def soft_margin_loss(x: Any, target: Any, reduction: int = MEAN) -> Any:
    """log(1 + exp(-t·x))."""
    return reduced(softplus_of_minus(_exponent(x, target)), reduction)


@rule("soft_margin_loss_backward")
def soft_margin_loss_backward(dy: Any, x: Any, target: Any, reduction: int) -> Bounded:
    """-t·dy/(1 + exp(t·x))."""
    dx = neg(mul(dy, mul(target, sigmoid(neg(_exponent(x, target))))))
    return div(dx, float(dx.numel())) if reduction == MEAN and dx.numel() else dx
