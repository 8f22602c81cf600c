"""EmbeddingBag: rows looked up and added by bag; the forward map is linear in the table.

The sum of a bag of n rows is a sum of n terms, weighted or not; the mean divides it, or each term.
The maximum passes through; where a renormalised table leaves its place in doubt, so is the gradient
of every row in the bag.
"""

from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, parts, plus, rule, setting
from npnet.twins.oracle.rules.elementwise import div, mul
from npnet.twins.oracle.rules.reduction import sum_
from npnet.twins.oracle.rules.sparse import embedding_dense_backward, linear_sum

aten = torch.ops.aten
SUM, MEAN, MAX = 0, 1, 2


def _rows(weight: Any, index: Tensor) -> Bounded:
    value, error = parts(weight)
    return Bounded(value[index], None if error is None else error[index])


def _column(x: Any) -> Bounded:
    value, error = parts(x)
    return Bounded(value.unsqueeze(-1), None if error is None else error.unsqueeze(-1))


def _divided(total: Any, sizes: Tensor) -> Bounded:
    """What is of a bag, by its size."""
    return div(total, sizes.clamp_min(1).to(torch.float64).unsqueeze(-1))


@rule("_embedding_bag")
def embedding_bag(
    weight: Any,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = SUM,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[Bounded, Tensor, Tensor, Any]:
    """(y, the bag of every index, sizes of the bags, places of the largest)."""
    starts = offsets[:-1] if include_last_offset else offsets
    ends = torch.cat([starts[1:], torch.tensor([len(indices)])])[: len(starts)]
    bag = torch.repeat_interleave(torch.arange(len(starts)), ends - starts)
    used = indices != padding_idx
    sizes = torch.bincount(bag[used], minlength=len(starts))
    shape = (len(starts), weight.shape[1])
    rows = _rows(weight, indices)
    if mode == MAX:
        y, places = _largest(rows, indices, bag, used, shape)
        return y, bag, sizes, places
    if per_sample_weights is not None:
        rows = mul(rows, _column(per_sample_weights))

    def added(a: Tensor) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64).index_add(0, bag[used], a[used])

    y = linear_sum(added, rows)
    if mode == MEAN:
        # dividing every term is a rounding more of each
        terms = added(rows.value.abs()) * setting().precision.u
        y = _divided(Bounded(y.value, plus(y.error, terms)), sizes)
    return y, bag, sizes, sizes


def _largest(
    rows: Bounded, indices: Tensor, bag: Tensor, used: Tensor, shape: tuple[int, ...]
) -> tuple[Bounded, Bounded]:
    """The largest of each bag, and the index of the first that is; with 1 where it is in doubt."""
    value, error = rows.value[used], rows.error
    index, bag = indices[used], bag[used].unsqueeze(1).expand(value.shape)
    y = torch.full(shape, -torch.inf, dtype=torch.float64).scatter_reduce(0, bag, value, "amax")
    place = torch.arange(len(index)).unsqueeze(1).expand(value.shape)
    place = torch.where(value == y.gather(0, bag), place, len(index))
    first = torch.full(shape, len(index)).scatter_reduce(0, bag, place, "amin")
    padded = torch.cat([index, torch.zeros(1, dtype=index.dtype)])
    winner = padded[first]
    y = torch.where(first < len(index), y, 0.0)
    if error is None:
        return Bounded(y), Bounded(winner)
    error = error[used]
    reach = torch.zeros(shape, dtype=torch.float64)
    best = torch.where(value == y.gather(0, bag), error, 0.0)
    reach = reach.scatter_reduce(0, bag, best, "amax").gather(0, bag)
    near = y.gather(0, bag) - value <= (error + reach) * setting().precision.k
    zeros = torch.zeros(shape, dtype=torch.float64)
    largest = zeros.scatter_reduce(0, bag, torch.where(near, error, 0.0), "amax")
    rival = near & (error + reach > 0) & (index.unsqueeze(1) != winner.gather(0, bag))
    doubt = torch.zeros(shape).scatter_reduce(0, bag, rival.to(torch.float32), "amax")
    return Bounded(y, largest), Bounded(winner, doubt.to(winner.dtype))


@rule("_embedding_bag_backward", "_embedding_bag_dense_backward")
def embedding_bag_backward(
    dy: Any,
    indices: Tensor,
    offsets: Tensor,
    bag: Tensor,
    sizes: Tensor,
    places: Any,
    rows: int,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: Any,
    padding_idx: int = -1,
) -> Bounded:
    """dy of its bag for every row that is in it; a mean's by its size, a maximum's to the first."""
    if mode == MAX:
        return _to_largest(dy, indices, bag, sizes, places, rows, padding_idx)
    if mode == MEAN:
        dy = _divided(dy, sizes)
    shares = _rows(dy, bag)
    if per_sample_weights is not None:
        shares = mul(shares, _column(per_sample_weights))
    return embedding_dense_backward(shares, indices, rows, padding_idx, scale_grad_by_freq)


def _to_largest(
    dy: Any, indices: Tensor, bag: Tensor, sizes: Tensor, places: Any, rows: int, padding_idx: int
) -> Bounded:
    full = sizes > 0
    winner = places.value[full]

    def placed(a: Tensor) -> Tensor:
        zeros = torch.zeros((rows, a.shape[1]), dtype=torch.float64)
        return zeros.scatter_add(0, winner.to(torch.int64), a[full])

    result = linear_sum(placed, dy)
    if places.error is None or not places.error.any():
        return result
    value, _ = parts(dy)
    used = indices != padding_idx
    either = (value.abs() * places.error)[bag[used]]
    extra = torch.zeros_like(result.value).index_add(0, indices[used], either)
    return Bounded(result.value, plus(result.error, extra))


@rule("_embedding_bag_per_sample_weights_backward")
def per_sample_weights_backward(
    dy: Any,
    weight: Any,
    indices: Tensor,
    offsets: Tensor,
    bag: Tensor,
    mode: int,
    padding_idx: int = -1,
) -> Bounded:
    """The product of its row with dy of its bag, for every index but the padding."""
    result = sum_(mul(_rows(weight, indices), _rows(dy, bag)), [1])
    used = indices != padding_idx
    error = result.error
    return Bounded(
        torch.where(used, result.value, 0.0),
        None if error is None else torch.where(used, error, 0.0),
    )
