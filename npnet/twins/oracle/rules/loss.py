"""Losses that arrive as one operation.

    mse      (x - t)²,  2·(x - t)·dy
    bce      (1 - t)·x + (1 + (w - 1)·t)·softplus(-x)
    nll      -w[t]·x[t], divided by the sum of the weights used
    huber    d²/2 up to |d| = δ, then δ·(|d| - δ/2); smooth_l1 is that divided by δ

The binary cross entropy is often computed as max(x, 0) - x·t + log(1 + exp(-|x|)): its bound
allows for the cancellation there, and for log(1 + ·) in the place of log1p.
"""

from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, finished, parts, rounded, rule, setting
from npnet.twins.oracle.rules.comparison import clamp
from npnet.twins.oracle.rules.elementwise import abs_, add, div, mul, neg, sub
from npnet.twins.oracle.rules.reduction import mean, sum_
from npnet.twins.oracle.rules.transcendental import LIBRARY
from npnet.twins.oracle.rules.view import where

NONE, MEAN = 0, 1


def reduced(loss: Any, reduction: int) -> Any:
    """The loss as it is, its mean or its sum."""
    return loss if reduction == NONE else mean(loss) if reduction == MEAN else sum_(loss)


@rule("mse_loss")
def mse_loss(x: Any, target: Any, reduction: int = MEAN) -> Any:
    """(x - t)²."""
    difference = sub(x, target)
    return reduced(mul(difference, difference), reduction)


@rule("mse_loss_backward")
def mse_loss_backward(dy: Any, x: Any, target: Any, reduction: int) -> Bounded:
    """2·(x - t)·dy, divided by the number of elements for a mean."""
    dx = mul(dy, mul(sub(x, target), 2.0))
    return div(dx, float(dx.numel())) if reduction == MEAN and dx.numel() else dx


def _huber(d: Any, delta: float) -> Bounded:
    """d²/2 where |d| < delta, else delta·(|d| - delta/2): both branches meet in value and slope."""
    square = mul(mul(d, d), 0.5)
    line = mul(sub(abs_(d), 0.5 * delta), delta)
    return where(parts(d)[0].abs() < delta, square, line)


@rule("huber_loss")
def huber_loss(x: Any, target: Any, reduction: int = MEAN, delta: float = 1.0) -> Any:
    """Quadratic near 0, linear far from it."""
    return reduced(_huber(sub(x, target), delta), reduction)


@rule("huber_loss_backward")
def huber_loss_backward(dy: Any, x: Any, target: Any, reduction: int, delta: float) -> Bounded:
    """x - t, clamped to ±delta, times dy."""
    dx = mul(dy, clamp(sub(x, target), -delta, delta))
    return div(dx, float(dx.numel())) if reduction == MEAN and dx.numel() else dx


@rule("smooth_l1_loss")
def smooth_l1_loss(x: Any, target: Any, reduction: int = MEAN, beta: float = 1.0) -> Any:
    """The Huber loss divided by beta."""
    return reduced(div(_huber(sub(x, target), beta), beta), reduction)


@rule("smooth_l1_loss_backward")
def smooth_l1_loss_backward(dy: Any, x: Any, target: Any, reduction: int, beta: float) -> Bounded:
    """x - t, clamped to ±beta, times dy/beta."""
    dx = mul(dy, div(clamp(sub(x, target), -beta, beta), beta))
    return div(dx, float(dx.numel())) if reduction == MEAN and dx.numel() else dx


def softplus_of_minus(x: Any) -> Bounded:
    """log(1 + exp(-x)) = max(-x, 0) + log1p(exp(-|x|)), to 2u absolute."""
    value, error = parts(x)
    result = torch.log1p(torch.exp(-value.abs())).add_((-value).clamp_min_(0.0))
    absolute = torch.full_like(value, 2.0 * setting().precision.u)
    if error is not None:
        absolute += torch.sigmoid(error - value).mul_(error)
    return rounded(result, absolute, LIBRARY + 2)


@rule("log_sigmoid_forward")
def log_sigmoid(x: Any) -> tuple[Bounded, Tensor]:
    """log(1/(1 + exp(-x))), and the buffer that torch keeps for its own backward."""
    return neg(softplus_of_minus(x)), torch.exp(-parts(x)[0].abs())


@rule("binary_cross_entropy_with_logits")
def bce_with_logits(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Any:
    """The binary cross entropy of sigmoid(x); positive examples may weigh more."""
    log_weight = add(mul(sub(pos_weight, 1.0), target), 1.0) if pos_weight is not None else None
    softplus = softplus_of_minus(x)
    if log_weight is not None:
        softplus = mul(log_weight, softplus)
    loss = add(mul(sub(1.0, target), x), softplus)
    size = mul(x, target).value.abs() + parts(x)[0].abs()
    error = loss.error
    assert error is not None
    loss = Bounded(loss.value, error + size.mul_(setting().precision.u))
    return reduced(loss if weight is None else mul(loss, weight), reduction)


def _class_axis(x: Any) -> int:
    return 0 if x.dim() == 1 else 1


def _used_weights(weight: Any, target: Tensor, ignored: Tensor, safe: Tensor) -> Bounded:
    """The weight of every target's class, 0 where it is ignored."""
    if weight is None:
        return Bounded((~ignored).to(torch.float64))
    value, error = parts(weight)
    used = value[safe].masked_fill_(ignored, 0.0)
    return Bounded(used, None if error is None else error[safe].masked_fill_(ignored, 0.0))


@rule("nll_loss_forward", "nll_loss2d_forward")
def nll_loss(
    x: Any, target: Tensor, weight: Any, reduction: int, ignore_index: int
) -> tuple[Any, Any]:
    """(loss, sum of the weights used); a mean over nothing is nan."""
    axis = _class_axis(x)
    value, error = parts(x)
    ignored = target == ignore_index
    safe = target.masked_fill(ignored, 0)
    index = safe.unsqueeze(axis)

    def picked(a: Tensor) -> Tensor:
        return a.gather(axis, index).squeeze(axis).masked_fill(ignored, 0.0)

    loss = Bounded(-picked(value), None if error is None else picked(error))
    weights = _used_weights(weight, target, ignored, safe)
    if weight is not None:
        loss = mul(loss, weights)
    if reduction == NONE:
        return loss, Bounded(torch.zeros((), dtype=torch.float64))
    # what is ignored is no term of the sum, but its zeros cost little
    total = sum_(weights) if weight is not None else finished(weights.value.sum(), None)
    summed = sum_(loss)
    return (div(summed, total) if reduction == MEAN else summed), total


@rule("nll_loss_backward", "nll_loss2d_backward")
def nll_loss_backward(
    dy: Any,
    x: Any,
    target: Tensor,
    weight: Any,
    reduction: int,
    ignore_index: int,
    total_weight: Any,
) -> Bounded:
    """-w[t]·dy at the target's class, divided by the sum of the weights for a mean."""
    axis = _class_axis(x)
    ignored = target == ignore_index
    safe = target.masked_fill(ignored, 0)
    g = dy if weight is None else mul(dy, _used_weights(weight, target, ignored, safe))
    if reduction == MEAN:
        g = div(g, total_weight)
    value, error = parts(g)

    def placed(a: Tensor) -> Tensor:
        a = a.expand(target.shape).masked_fill(ignored, 0.0).unsqueeze(axis)
        return torch.zeros(x.shape, dtype=torch.float64).scatter_(axis, safe.unsqueeze(axis), a)

    return Bounded(placed(-value), None if error is None else placed(error))
