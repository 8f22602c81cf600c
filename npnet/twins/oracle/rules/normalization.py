"""LayerNorm, GroupNorm, BatchNorm: two passes, biased variance, eps inside of the root.

    c = x - mean, rstd = 1/√(mean(c²) + eps), y = c·rstd·w + b
    dx = rstd·(g - mean(g) - xhat·mean(g·xhat)) with g = dy·w
    dw = sum(dy·xhat), db = sum(dy)

The bound of c, with the error of a mean in it, is wide enough for Welford's variance. xhat may be
computed as x·rstd - mean·rstd too, and BatchNorm as x·(w·rstd) + (b - mean·w·rstd), as torch does
on the CPU.
"""

from collections.abc import Sequence
from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, overwrite, parts, plus, rule, setting, watch
from npnet.twins.oracle.rules.elementwise import add, div, mul, rsqrt, sub
from npnet.twins.oracle.rules.optimizer import blend
from npnet.twins.oracle.rules.reduction import length, mean, reshaped, sum_
from npnet.twins.oracle.rules.view import copied


def _input_gradient(g: Any, x: Any, xhat: Any, rstd: Any, dims: Sequence[int]) -> Bounded:
    if setting().watching:  # torch sums g·x before it divides by the deviation
        watch((parts(g)[0] * parts(x)[0]).abs().sum(dims))
    constant = mean(g, dims, True)
    projected = sub(sub(g, constant), mul(xhat, mean(mul(g, xhat), dims, True)))
    # each term may be multiplied by rstd before they are subtracted
    terms = parts(g)[0].abs() + parts(constant)[0].abs()
    return mul(rstd, _with_term(projected, terms, 2.0))


@rule("native_layer_norm")
def layer_norm(
    x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Bounded, Bounded, Bounded]:
    """(y, mean, rstd) over the trailing axes."""
    dims = list(range(-len(shape), 0))
    m = mean(x, dims, True)
    centred = sub(x, m)
    rstd = rsqrt(add(mean(mul(centred, centred), dims, True), eps))
    y = mul(_with_term(centred, parts(m)[0], 3.0), rstd)
    if weight is not None:
        y = mul(y, weight)
    if bias is not None:
        y = add(y, bias)
    return y, m, rstd


@rule("native_layer_norm_backward")
def layer_norm_backward(
    dy: Any,
    x: Any,
    shape: Sequence[int],
    mean_: Any,
    rstd: Any,
    weight: Any,
    bias: Any,
    output_mask: Sequence[bool],
) -> tuple[Bounded | None, Bounded | None, Bounded | None]:
    """The gradients of input, weight and bias."""
    inner = list(range(-len(shape), 0))
    outer = list(range(x.dim() - len(shape)))
    xhat = mul(_with_term(sub(x, mean_), parts(mean_)[0], 3.0), rstd)
    dx = dweight = dbias = None
    if output_mask[0]:
        g = dy if weight is None else mul(dy, weight)
        dx = _input_gradient(g, x, xhat, rstd, inner)
    if output_mask[1]:
        product = mul(dy, xhat)
        dweight = sum_(product, outer) if outer else product
    if output_mask[2]:
        dbias = sum_(dy, outer) if outer else copied(dy)
    return dx, dweight, dbias


@rule("native_group_norm")
def group_norm(
    x: Any, weight: Any, bias: Any, n: int, c: int, rest: int, group: int, eps: float
) -> tuple[Bounded, Bounded, Bounded]:
    """(y, mean, rstd); the statistics have the shape (N, groups)."""
    grouped = reshaped(x, (n, group, c // group, rest))
    m = mean(grouped, [2, 3], True)
    centred = sub(grouped, m)
    rstd = rsqrt(add(mean(mul(centred, centred), [2, 3], True), eps))
    y = mul(_with_term(centred, parts(m)[0], 3.0), rstd)
    shape = (group, c // group, 1)
    if weight is not None:
        y = mul(y, reshaped(weight, shape))
    if bias is not None:
        bias = reshaped(bias, shape)
        y = _with_term(add(y, bias), parts(bias)[0], 1.0)
    return reshaped(y, x.shape), reshaped(m, (n, group)), reshaped(rstd, (n, group))


@rule("native_group_norm_backward")
def group_norm_backward(
    dy: Any,
    x: Any,
    mean_: Any,
    rstd: Any,
    weight: Any,
    n: int,
    c: int,
    rest: int,
    group: int,
    output_mask: Sequence[bool],
) -> tuple[Bounded | None, Bounded | None, Bounded | None]:
    """The gradients of input, weight and bias."""
    grouped, shape = (n, group, c // group, rest), (n, group, 1, 1)
    m, rstd = reshaped(mean_, shape), reshaped(rstd, shape)
    g, a = reshaped(dy, grouped), reshaped(x, grouped)
    xhat = mul(_with_term(sub(a, m), parts(m)[0], 3.0), rstd)
    dx = dweight = dbias = None
    if output_mask[0]:
        gw = g if weight is None else mul(g, reshaped(weight, (group, c // group, 1)))
        dx = reshaped(_input_gradient(gw, a, xhat, rstd, [2, 3]), x.shape)
    if output_mask[1]:
        dweight = reshaped(sum_(mul(g, xhat), [0, 3]), (c,))
    if output_mask[2]:
        dbias = reshaped(sum_(g, [0, 3]), (c,))
    return dx, dweight, dbias


def _axes(x: Any) -> tuple[list[int], list[int]]:
    """What a channel is averaged over, and the shape of one number per channel."""
    return [d for d in range(x.dim()) if d != 1], [1, -1] + [1] * (x.dim() - 2)


def _is_all(number: float, x: Any) -> bool:
    """Whether an exact tensor holds one number only: what vmap puts where there was None."""
    return isinstance(x, torch.Tensor) and type(x) is not Bounded and bool((x == number).all())


def _with_term(y: Bounded, term: Tensor, roundings: float) -> Bounded:
    """y, computed as a sum that has one term more, which is rounded on its own."""
    return Bounded(y.value, plus(y.error, term.abs().mul_(roundings * setting().precision.u)))


@rule("native_batch_norm", "_native_batch_norm_legit")
def batch_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Bounded, Bounded, Bounded]:
    """(y, mean, rstd) per channel; in training the running statistics move, to the unbiased var."""
    dims, shape = _axes(x)
    if training:
        m = mean(x, dims, True)
        n = length(parts(x)[0], dims)
        centred = sub(x, m)
        squares = sum_(mul(centred, centred), dims, True)
        variance = div(squares, float(n))
        if running_mean is not None:
            overwrite(running_mean, *parts(blend(running_mean, reshaped(m, (-1,)), momentum)))
        if running_var is not None:
            unbiased = reshaped(div(squares, float(n - 1)), (-1,))
            overwrite(running_var, *parts(blend(running_var, unbiased, momentum)))
    else:
        m, variance = reshaped(running_mean, shape), reshaped(running_var, shape)
        centred = sub(x, m)
    rstd = rsqrt(add(variance, eps))
    y = mul(_with_term(centred, parts(m)[0], 3.0), rstd)
    if weight is not None and not _is_all(1.0, weight):
        y = mul(y, reshaped(weight, shape))
    if bias is not None and not _is_all(0.0, bias):
        bias = reshaped(bias, shape)
        y = _with_term(add(y, bias), parts(bias)[0], 1.0)
    if not training:
        nothing = parts(x)[0].new_empty(0)
        return y, Bounded(nothing), Bounded(nothing.clone())
    return y, reshaped(m, (-1,)), reshaped(rstd, (-1,))


@rule("native_batch_norm_backward")
def batch_norm_backward(
    dy: Any,
    x: Any,
    weight: Any,
    running_mean: Any,
    running_var: Any,
    save_mean: Any,
    save_rstd: Any,
    training: bool,
    eps: float,
    output_mask: Sequence[bool],
) -> tuple[Bounded | None, Bounded | None, Bounded | None]:
    """The gradients of input, weight and bias; in eval mode the statistics are constants."""
    dims, shape = _axes(x)
    if training:
        m, rstd = reshaped(save_mean, shape), reshaped(save_rstd, shape)
    else:
        m = reshaped(running_mean, shape)
        rstd = rsqrt(add(reshaped(running_var, shape), eps))
    xhat = mul(sub(x, m), rstd)
    dx = dweight = dbias = None
    if output_mask[0]:
        one = weight is None or _is_all(1.0, weight)
        g = dy if one else mul(dy, reshaped(weight, shape))
        dx = _input_gradient(g, x, xhat, rstd, dims) if training else mul(g, rstd)
    if output_mask[1]:
        dweight = sum_(mul(dy, xhat), dims)
    if output_mask[2]:
        dbias = sum_(dy, dims)
    return dx, dweight, dbias
