"""Sums and what is made of them. A sum of n terms errs by sum(e) + (n - 1)·u·sum(|a| + e).

That holds for every order of summation. Watched is the sum of the magnitudes: no partial sum
exceeds it.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    close_to,
    finished,
    magnitude,
    parts,
    rule,
    setting,
    watch,
)
from npnet.twins.oracle.rules.elementwise import div, mul, pow_, sqrt, sub

Dims = Sequence[int] | int | None


def dims_of(value: Tensor, dim: Dims) -> list[int]:
    """The axes meant: none given means all."""
    if isinstance(dim, int):
        return [dim]
    return list(dim) if dim else list(range(value.dim()))


def length(value: Tensor, dim: Sequence[int]) -> int:
    """How many elements are summed for one element of the result."""
    return prod(value.shape[d] for d in dim) if value.dim() else 1


@rule("sum.dim_IntList")
def sum_(a: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Bounded:
    """The sum over the axes given, all if none are."""
    value, error = parts(a)
    dim = dims_of(value, dim)
    n = length(value, dim)
    total = value.sum(dim, keepdim)
    if n <= 1:
        return Bounded(total, None if error is None else error.sum(dim, keepdim))
    u = setting().precision.u
    size = value.abs()
    if setting().watching:
        watch(magnitude(size, error).sum(dim))
    if error is not None:
        size.add_(error)
    mass = size.sum(dim, keepdim).mul_(u)
    bound = mass * (n - 1.0)
    if error is not None:
        bound += error.sum(dim, keepdim)
    return finished(total, bound, error is not None).is_sum_of(n, mass)


@rule("sum")
def sum_all(a: Any, *, dtype: Any = None) -> Bounded:
    """The sum of everything."""
    return sum_(a)


@rule("mean.dim")
def mean(a: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Bounded:
    """The sum divided by n, or multiplied by 1/n; nan if there is nothing to sum."""
    value, _ = parts(a)
    n = length(value, dims_of(value, dim))
    return div(sum_(a, dim, keepdim), float(n)) if n else Bounded(value.mean(dim, keepdim))


@rule("mean")
def mean_all(a: Any, *, dtype: Any = None) -> Bounded:
    """The mean of everything."""
    return mean(a)


def moments(a: Any, dim: Sequence[int]) -> tuple[Bounded, Bounded, Bounded]:
    """(mean, a - mean, mean of the squares of that), all with the axes kept: two passes."""
    m = mean(a, dim, True)
    centred = sub(a, m)
    return m, centred, mean(mul(centred, centred), dim, True)


@rule("var_mean.correction")
def var_mean(
    a: Any, dim: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Bounded, Bounded]:
    """Variance in two passes, with n - correction in the denominator, and the mean."""
    value, _ = parts(a)
    dim = dims_of(value, dim)
    m = mean(a, dim, True)
    centred = sub(a, m)
    freedom = max(length(value, dim) - (1.0 if correction is None else correction), 0.0)
    squares = sum_(mul(centred, centred), dim, keepdim)
    variance = div(squares, freedom)
    return variance, m if keepdim else reshaped(m, squares.value.shape)


@rule("var.correction")
def var(
    a: Any, dim: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> Bounded:
    """Variance in two passes."""
    return var_mean(a, dim, correction=correction, keepdim=keepdim)[0]


@rule("std.correction")
def std(
    a: Any, dim: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> Bounded:
    """The root of the variance."""
    return sqrt(var(a, dim, correction=correction, keepdim=keepdim))


def reshaped(a: Any, shape: Sequence[int]) -> Any:
    """The pair in another shape; an exact operand of any kind may be given."""
    if type(a) is not Bounded:
        return a.reshape(shape)
    error = a.error
    return Bounded(a.value.reshape(shape), None if error is None else error.reshape(shape))


@rule("cumsum")
def cumsum(a: Any, dim: int, *, dtype: Any = None) -> Bounded:
    """Running sums; the k-th has k terms."""
    value, error = parts(a)
    size = value.abs().mul_(value.shape[dim] * setting().precision.u) if value.dim() else value * 0
    if error is not None:
        size = size.add_(error, alpha=1.0 + value.shape[dim] * setting().precision.u)
    return finished(value.cumsum(dim), size.cumsum(dim))


def powers_of_norm(a: Any, ord: float, dim: Dims, keepdim: bool) -> Bounded:
    """(sum |a|^p)^(1/p), which is exactly 0 where all a are and p is positive."""
    value, error = parts(a)
    if ord == 2:
        norm = sqrt(sum_(mul(a, a), dim, keepdim))
    else:
        size = Bounded(value.abs(), error)
        norm = pow_(sum_(pow_(size, ord), dim, keepdim), 1.0 / ord)
    if norm.error is None or ord < 0:
        return norm
    inexact = magnitude(value, error) != 0
    return Bounded(norm.value, norm.error * inexact.sum(dims_of(value, dim), keepdim).clamp_max(1))


def count_of_nonzero(a: Any, dim: Dims, keepdim: bool) -> Bounded:
    """How many a are not 0; in doubt are those that lie within K errors of it."""
    value, _ = parts(a)
    dim = dims_of(value, dim)
    doubtful = close_to(a, 0.0)
    count = (value != 0).to(torch.float64).sum(dim, keepdim)
    return Bounded(
        count, None if doubtful is None else doubtful.to(torch.float64).sum(dim, keepdim)
    )
