"""Softmax and its logarithm, as stable algorithms compute them: after subtracting the maximum.

    softmax       exp(x - m)/sum exp(x - m),                 dx = y·(dy - sum(dy·y))
    log_softmax   (x - m) - log sum exp(x - m),              dx = dy - exp(y)·sum(dy)

m is any number near the maximum: the result does not depend on it, so that it counts as exact.
max + log(sum) subtracted at once loses the digits that a large m has too many: not allowed for.
"""

from collections.abc import Sequence
from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, parts, rule
from npnet.twins.oracle.rules.comparison import amax
from npnet.twins.oracle.rules.elementwise import add, div, mul, sub
from npnet.twins.oracle.rules.reduction import reshaped, sum_
from npnet.twins.oracle.rules.transcendental import exp, log
from npnet.twins.oracle.rules.view import where


def shifted(x: Any, dim: Sequence[int]) -> Bounded:
    """x less its largest value."""
    value, _ = parts(x)
    if not value.numel():
        return Bounded(value.clone())
    return sub(x, value.amax(list(dim), True))


@rule("_softmax")
def softmax(x: Any, dim: int, half_to_float: bool = False) -> Bounded:
    """The softmax along an axis."""
    powers = exp(shifted(x, [dim]))
    return div(powers, sum_(powers, [dim], True))


@rule("_safe_softmax")
def safe_softmax(x: Any, dim: int, dtype: Any = None) -> Bounded:
    """The softmax along an axis, and 0 where all of it is -inf (which is never in doubt)."""
    y = softmax(x, dim)
    nothing = (parts(x)[0] == -torch.inf).all(dim, keepdim=True)
    return where(nothing, 0.0, y)


@rule("_log_softmax")
def log_softmax(x: Any, dim: int, half_to_float: bool = False) -> Bounded:
    """The logarithm of the softmax along an axis."""
    s = shifted(x, [dim])
    return sub(s, log(sum_(exp(s), [dim], True)))


@rule("_softmax_backward_data")
def softmax_backward(dy: Any, y: Any, dim: int, input_dtype: Any = None) -> Bounded:
    """y·dy - y·sum(y·dy)."""
    product = mul(dy, y)
    return sub(product, mul(y, sum_(product, [dim], True)))


@rule("_log_softmax_backward_data")
def log_softmax_backward(dy: Any, y: Any, dim: int, input_dtype: Any = None) -> Bounded:
    """dy - exp(y)·sum(dy)."""
    return sub(dy, mul(exp(y), sum_(dy, [dim], True)))


@rule("logsumexp")
def logsumexp(x: Any, dim: Sequence[int], keepdim: bool = False) -> Bounded:
    """m + log sum exp(x - m)."""
    total = sum_(exp(shifted(x, dim)), dim, True)
    result = add(log(total), parts(amax(x, dim, True))[0])
    if keepdim:
        return result
    shape = [n for d, n in enumerate(parts(x)[0].shape) if d not in {e % x.dim() for e in dim}]
    flat: Bounded = reshaped(result, shape)
    return flat
