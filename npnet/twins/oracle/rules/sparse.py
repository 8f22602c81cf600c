"""What is looked up, replaced and added up: embedding, index_put, index_add, scatter_add, windows.

A linear map with one operand is the map itself, run on the errors; where it adds, n terms for one
element add (n - 1)·u·sum(|a| + e), n being the map's image of ones.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    finished,
    magnitude,
    parts,
    plus,
    rule,
    setting,
    watch,
)
from npnet.twins.oracle.rules.elementwise import constant_error, mul
from npnet.twins.oracle.rules.reduction import sum_

aten = torch.ops.aten
Map = Callable[[Tensor], Tensor]


def linear_sum(form: Map, a: Any) -> Bounded:
    """The rule of a linear map whose elements are sums of elements of a."""
    value, error = parts(a)
    u = setting().precision.u
    extra = form(torch.ones_like(value)).sub_(1.0).clamp_min_(0.0).mul_(u)
    size = form(value.abs())
    if error is None:
        return finished(form(value), size.mul_(extra), False)
    carried = form(error)
    return finished(form(value), size.add_(carried).mul_(extra).add_(carried))


def accumulated(x: Any, form: Map, a: Any) -> Bounded:
    """x plus a linear map of a, in any order: n terms more for an element of x."""
    value, error = parts(x)
    added = linear_sum(form, a)
    if error is None and not value.any():
        return added  # what was gathered, back into zeros: x is no term
    v, e = parts(a)
    u = setting().precision.u
    rounded_ = magnitude(value, error) * form(torch.ones_like(v)) + form(magnitude(v, e))
    return finished(value + added.value, plus(added.error, rounded_ * u, error))


@rule("col2im")
def col2im(columns: Any, *args: Any) -> Bounded:
    """The sum of all windows where they overlap."""
    return linear_sum(lambda a: aten.col2im.default(a, *args), columns)


@rule("embedding")
def embedding(
    weight: Any,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Bounded:
    """Rows of the weight."""
    value, error = parts(weight)
    return Bounded(
        aten.embedding.default(value, indices),
        None if error is None else aten.embedding.default(error, indices),
    )


@rule("embedding_dense_backward")
def embedding_dense_backward(
    dy: Any, indices: Tensor, num_weights: int, padding_idx: int, scale_grad_by_freq: bool
) -> Bounded:
    """The sum of dy per row looked up, or its mean; none for the row of padding_idx."""
    if scale_grad_by_freq:
        # a division per term, or one after the sum
        counts = torch.bincount(indices.reshape(-1), minlength=num_weights).to(torch.float64)
        dy = mul(dy, (1.0 / counts)[indices].unsqueeze(-1))
        dy = Bounded(dy.value, plus(dy.error, dy.value.abs() * setting().precision.u))

    def form(a: Tensor) -> Tensor:
        result: Tensor = aten.embedding_dense_backward.default(
            a, indices, num_weights, padding_idx, False
        )
        return result

    return linear_sum(form, dy)


@rule("embedding_renorm_")
def embedding_renorm_(weight: Any, indices: Tensor, max_norm: float, norm_type: float) -> Any:
    """Rows looked up and longer than max_norm are multiplied by max_norm/(norm + 1e-7), once."""
    value, error = parts(weight)
    rows = torch.unique(indices)
    old = value[rows]
    old_error = torch.zeros_like(old) if error is None else error[rows]
    size, doubt = parts(_norm(Bounded(old, old_error), norm_type))
    p = setting().precision
    scale = max_norm / (size + 1e-7)
    scale_error = scale * (4.0 * p.u)
    if doubt is not None:
        scale_error += scale * doubt / (size - doubt).clamp_min(0.0)
    new, new_error = parts(mul(Bounded(old, old_error), Bounded(scale, scale_error)))
    assert new_error is not None
    too_long = size > max_norm
    result_error = torch.where(too_long, new_error, old_error)
    if doubt is not None:
        near = ((size - max_norm).abs() <= p.k * doubt) & (doubt > 0)
        result_error = torch.where(near, (new - old).abs() + new_error, result_error)
    value.index_copy_(0, rows, torch.where(too_long, new, old))
    if type(weight) is Bounded:
        whole = torch.zeros_like(value) if error is None else error.clone()
        weight.set_error(whole.index_copy_(0, rows, result_error))
    return weight


def _norm(rows: Bounded, p: float) -> Bounded:
    """The p-norm of every row, as a column."""
    value, error = rows.value, rows.error
    if p == torch.inf:
        largest = None if error is None else error.amax(-1, True)
        return Bounded(value.abs().amax(-1, True), largest)
    if p == 1:
        return sum_(Bounded(value.abs(), error), [-1], True)
    powers = value.abs().pow(p)
    total = powers.sum(-1, True)
    norm = total.pow(1.0 / p)
    precision = setting().precision
    if setting().watching:
        watch(powers if error is None else (value.abs() + error).pow(p))
        watch(total)
    # relative errors: 1/p of those of the powers, which are p + 4 roundings and n - 1 of the sum
    bound = norm * ((p + 8.0 + value.shape[-1] / p) * precision.u)
    # an exponent such as 1/3 is rounded, which a root of a huge or tiny number shows
    root = constant_error(1.0 / p)
    if root is not None:
        bound += norm * torch.where(total > 0, total.log().abs(), 0.0) * root
    # and what the powers lose to underflow, through the slope of the root
    lost = value.shape[-1] * precision.eta
    bound += (lost / (p * norm.pow(p - 1.0))).clamp_max(lost ** (1.0 / p))
    if error is not None:
        bound += error.pow(p).sum(-1, True).pow(1.0 / p) if p >= 1 else torch.inf
    return finished(norm, bound)


@rule("index_put", "_unsafe_index_put")
def index_put(
    x: Any, indices: Sequence[Tensor | None], values: Any, accumulate: bool = False
) -> Bounded:
    """Elements replaced, or added to; an index of None stands for the whole axis."""
    (vx, ex), (vv, ev) = parts(x), parts(values)
    where, put = tuple(indices), aten.index_put.default  # the method takes no None
    if accumulate:
        zeros = torch.zeros_like(vx)
        shape = aten.index.Tensor(vx, where).shape
        wide = Bounded(vv.expand(shape), None if ev is None else ev.expand(shape))
        return accumulated(x, lambda a: put(zeros, where, a, True), wide)
    value = put(vx, where, vv)
    if ex is None and ev is None:
        return Bounded(value)
    ex = torch.zeros_like(vx) if ex is None else ex
    return Bounded(value, put(ex, where, torch.zeros_like(vv) if ev is None else ev))


@rule("index_add")
def index_add(x: Any, dim: int, index: Tensor, source: Any, *, alpha: float = 1) -> Bounded:
    """Slices added to those that the index names."""
    zeros = torch.zeros_like(parts(x)[0])
    source = source if alpha == 1 else mul(source, alpha)
    return accumulated(x, lambda a: zeros.index_add(dim, index, a), source)


@rule("scatter_add")
def scatter_add(x: Any, dim: int, index: Tensor, source: Any) -> Bounded:
    """Elements added to those that the index names."""
    zeros = torch.zeros_like(parts(x)[0])
    return accumulated(x, lambda a: zeros.scatter_add(dim, index, a), source)


@rule("index_copy")
def index_copy(x: Any, dim: int, index: Tensor, source: Any) -> Bounded:
    """Slices replaced by others."""
    (vx, ex), (vs, es) = parts(x), parts(source)
    value = vx.index_copy(dim, index, vs)
    if ex is None and es is None:
        return Bounded(value)
    ex = torch.zeros_like(vx) if ex is None else ex
    return Bounded(value, ex.index_copy(dim, index, torch.zeros_like(vs) if es is None else es))


@rule("index_fill.int_Scalar")
def index_fill(x: Any, dim: int, index: Tensor, number: float) -> Bounded:
    """Slices replaced by an exact number."""
    value, error = parts(x)
    filled = None if error is None else error.index_fill(dim, index, 0.0)
    return Bounded(value.index_fill(dim, index, number), filled)
