"""Margin losses over classes that arrive as one operation.

    multi_margin        w[t]·sum of max(margin - x_t + x_c, 0)^p over c ≠ t, divided by C
    multilabel_margin   the sum of max(1 - x_t + x_c, 0) over labels t and other classes c, by C

The three terms of a hinge may be added in any order. Where it may be positive or not, its part of
the gradient is in doubt; where the terms are exact and add up to 0, it has none.
"""

from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, parts, plus, rounded, rule, setting
from npnet.twins.oracle.rules.comparison import comparison, relu
from npnet.twins.oracle.rules.elementwise import div, mul
from npnet.twins.oracle.rules.loss import MEAN, reduced
from npnet.twins.oracle.rules.reduction import reshaped, sum_
from npnet.twins.oracle.rules.view import where


def _excess(x: Any, labels: Tensor, margin: float) -> Bounded:
    """margin - x_t + x_c for x of shape (N, C) and labels of shape (N, K): (N, K, C)."""
    value, error = parts(x)
    own, own_error = value.gather(1, labels), None if error is None else error.gather(1, labels)
    u = setting().precision.u
    size = 2.0 * u * (abs(margin) + own.abs().unsqueeze(2) + value.abs().unsqueeze(1))
    exact = (own.unsqueeze(2) == value.unsqueeze(1)) | (value == 0).unsqueeze(1)
    exact |= (own == 0).unsqueeze(2)
    z = margin - own.unsqueeze(2) + value.unsqueeze(1)
    rounding = torch.where(exact & (z == 0), 0.0, size)
    carried = None if error is None else error.unsqueeze(1)
    return rounded(
        z,
        plus(rounding, carried, None if own_error is None else own_error.unsqueeze(2)),
        underflow=False,
    )


def _rows(x: Any, target: Tensor) -> tuple[Any, Tensor]:
    """x as (N, C) and the labels as (N, K)."""
    classes = x.shape[-1] if x.dim() else 1
    flat = reshaped(x, (-1, classes))
    return flat, target.reshape(flat.shape[0], target.numel() // max(flat.shape[0], 1))


def _others(flat: Any, labels: Tensor, is_label: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K, C): where c is the label, and where a hinge is: label and no label."""
    classes = torch.arange(flat.shape[1])
    at = is_label.unsqueeze(2) & (labels.unsqueeze(2) == classes)
    return at, is_label.unsqueeze(2) & ~at.any(1, True)


def _gradient(slope: Bounded, at: Tensor, g: Any, x: Any) -> Bounded:
    """What every hinge gives to its class and takes from its label, times g."""
    given = mul(slope, g)
    value, error = parts(given)
    own = value.sum(2, True)
    result = value.sum(1) - (own * at).sum(1)
    size = value.abs()
    n = max(value.shape[1] * value.shape[2], 1)
    e = (
        size * (n * setting().precision.u)
        if error is None
        else error + size * (n * setting().precision.u)
    )
    bound = e.sum(1) + (e.sum(2, True) * at).sum(1)
    return Bounded(result.reshape(x.shape), bound.reshape(x.shape))


def _per_sample(dy: Any, reduction: int, n: int, classes: int) -> Any:
    g = reshaped(dy, (-1, 1, 1))
    g = div(g, float(classes))
    return div(g, float(n)) if reduction == MEAN and n else g


@rule("multi_margin_loss")
def multi_margin_loss(
    x: Any, target: Tensor, p: float = 1, margin: float = 1, weight: Any = None, reduction: int = 1
) -> Any:
    """The sum of hinges against every other class, or of their squares."""
    flat, labels = _rows(x, target)
    _, pairs = _others(flat, labels, torch.ones_like(labels, dtype=torch.bool))
    hinge = where(pairs, relu(_excess(flat, labels, margin)), 0.0)
    if p == 2:
        hinge = mul(hinge, hinge)
    if weight is not None:
        hinge = mul(hinge, reshaped(_taken(weight, labels), (-1, 1, 1)))
    loss = div(sum_(hinge, [1, 2]), float(flat.shape[1]))
    return reduced(reshaped(loss, target.shape), reduction)


@rule("multi_margin_loss_backward")
def multi_margin_loss_backward(
    dy: Any,
    x: Any,
    target: Tensor,
    p: float,
    margin: float,
    weight: Any = None,
    reduction: int = 1,
) -> Bounded:
    """p·max(z, 0)^(p - 1) to the class, minus the sum of these to the label."""
    flat, labels = _rows(x, target)
    at, pairs = _others(flat, labels, torch.ones_like(labels, dtype=torch.bool))
    z = _excess(flat, labels, margin)
    slope = mul(relu(z), 2.0) if p == 2 else where(comparison(torch.gt)(z, 0.0), 1.0, 0.0)
    g = _per_sample(dy, reduction, *flat.shape)
    if weight is not None:
        g = mul(g, reshaped(_taken(weight, labels), (-1, 1, 1)))
    return _gradient(where(pairs, slope, 0.0), at, g, x)


def _taken(weight: Any, labels: Tensor) -> Bounded:
    value, error = parts(weight)
    return Bounded(value[labels], None if error is None else error[labels])


def _named(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which labels come before the first -1, and all labels with 0 in the place of the rest."""
    is_label = (labels != -1).to(torch.int64).cumprod(1).to(torch.bool)
    return is_label, labels.masked_fill(~is_label, 0)


@rule("multilabel_margin_loss_forward")
def multilabel_margin_loss(x: Any, target: Tensor, reduction: int) -> tuple[Any, Tensor]:
    """The sum of hinges of every label against every class that is none; and which classes are."""
    flat, labels = _rows(x, target)
    is_label, labels = _named(labels)
    at, pairs = _others(flat, labels, is_label)
    hinge = where(pairs, relu(_excess(flat, labels, 1.0)), 0.0)
    loss = div(sum_(hinge, [1, 2]), float(flat.shape[1]))
    return (
        reduced(reshaped(loss, target.shape[:-1]), reduction),
        at.any(1).to(torch.float64).reshape(target.shape),
    )


@rule("multilabel_margin_loss_backward")
def multilabel_margin_loss_backward(
    dy: Any, x: Any, target: Tensor, reduction: int, is_target: Any
) -> Bounded:
    """1 to the class and -1 to the label of every positive hinge."""
    flat, labels = _rows(x, target)
    is_label, labels = _named(labels)
    at, pairs = _others(flat, labels, is_label)
    slope = where(comparison(torch.gt)(_excess(flat, labels, 1.0), 0.0), 1.0, 0.0)
    g = _per_sample(dy, reduction, *flat.shape)
    return _gradient(where(pairs, slope, 0.0), at, g, x)
