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
    finished,
    magnitude,
    parts,
    rule,
    setting,
    watch,
)
from npnet.twins.oracle.rules.elementwise import div, mul, sqrt, sub

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
    size.mul_((n - 1) * u)
    if error is not None:
        size.add_(error, alpha=1.0 + (n - 1) * u)
    result = finished(total, size.sum(dim, keepdim), error is not None)
    result.terms = n - 1
    return result


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


@rule("linalg_vector_norm")
def vector_norm(
    a: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Bounded:
    """The p-norm for p in 1, 2 and inf."""
    value, error = parts(a)
    if ord == 2:
        return sqrt(sum_(mul(a, a), dim, keepdim))
    size = Bounded(value.abs(), error)
    if ord == 1:
        return sum_(size, dim, keepdim)
    if ord == torch.inf:
        dim = dims_of(value, dim)
        largest = None if error is None else error.amax(dim, keepdim)
        return Bounded(value.abs().amax(dim, keepdim), largest)
    raise NotImplementedError(f"the oracle has no rule for the norm of order {ord}")
