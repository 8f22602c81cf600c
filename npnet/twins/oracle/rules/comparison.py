"""Comparisons, selections and the functions with a kink.

Where a comparison is decided by a computed quantity that lies within K errors of the threshold,
the outcome is in doubt: the result is a Bounded of booleans whose error marks these places, and
`where`, products and sums with it then cover both branches. Exact operands leave no doubt: then
torch's convention for the tie is required.
"""

from collections.abc import Callable
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    close_to,
    overwrite,
    parts,
    plus,
    rule,
    setting,
    value_of,
)
from npnet.twins.oracle.rules.reduction import Dims, count_of_nonzero, dims_of, powers_of_norm, sum_
from npnet.twins.oracle.rules.view import where

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge,
}  # fmt: skip


ORDERS = (torch.lt, torch.le, torch.gt, torch.ge)


def _contested(near: Tensor, shape: torch.Size) -> Tensor:
    """Where several may be the extreme of those that it was taken of; a single one is for sure."""
    sizes = (1,) * (near.dim() - len(shape)) + tuple(shape)
    dims = [d for d, n in enumerate(sizes) if n < near.shape[d]]
    return near.sum(dims, True) > 1 if dims else near & False


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The rule of a comparison."""

    def apply(a: Any, b: Any) -> Any:
        va, ea = parts(a)
        vb, eb = parts(b)
        outcome = compare(va, vb)
        error = plus(ea, eb)
        if setting().either and compare in ORDERS:
            near = (va - vb).abs() <= setting().precision.k * plus(error, 0.0)
        elif error is None or a is b:
            return outcome
        else:
            near = ((va - vb).abs() <= setting().precision.k * error) & (error > 0)
        if compare is torch.eq:
            for side in (a, b):
                if type(side) is Bounded and side.extreme:
                    near &= _contested(near, side.value.shape)
        return Bounded(outcome, near) if near.any() else outcome

    return apply


for _name, _compare in COMPARISONS.items():
    rule(f"{_name}.Scalar", f"{_name}.Tensor")(comparison(_compare))


def _doubts(x: Any) -> Tensor | None:
    return x.error if type(x) is Bounded else None


@rule("logical_not", "bitwise_not")
def logical_not(a: Bounded) -> Any:
    """As doubtful as what it denies; of numbers, whether they are 0."""
    if a.value.dtype is not torch.bool:
        return comparison(torch.eq)(a, 0.0)
    doubt = a.error
    return Bounded(~a.value, None if doubt is None else doubt.clone())


@rule("logical_and", "bitwise_and.Tensor", "__and__.Tensor")
def logical_and(a: Any, b: Any) -> Bounded:
    """Doubtful where either is."""
    return Bounded(value_of(a) & value_of(b), _either(a, b))


@rule("logical_or", "bitwise_or.Tensor", "__or__.Tensor")
def logical_or(a: Any, b: Any) -> Bounded:
    """Doubtful where either is."""
    return Bounded(value_of(a) | value_of(b), _either(a, b))


def _either(a: Any, b: Any) -> Tensor | None:
    da, db = _doubts(a), _doubts(b)
    if da is None or db is None:
        return db if da is None else da
    return da | db


QUESTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "isnan": torch.isnan, "isinf": torch.isinf, "isfinite": torch.isfinite,
    "isposinf": torch.isposinf, "isneginf": torch.isneginf,
}  # fmt: skip


def question(ask: Callable[[Tensor], Tensor]) -> Callable[[Bounded], Tensor]:
    """The rule of a question to which the value alone is the answer."""

    def apply(a: Bounded) -> Tensor:
        return ask(a.value)

    return apply


for _name, _ask in QUESTIONS.items():
    rule(_name)(question(_ask))


@rule("sign", "sgn")
def sign(a: Any) -> Bounded:
    """-1, 0 or 1; off by up to 2 where that is in doubt."""
    value, _ = parts(a)
    near = close_to(a, 0.0)
    result = value.sign()
    if near is None:
        return Bounded(result)
    return Bounded(result, torch.where(near, 1.0 + result.abs(), 0.0))


def kept(mask: Tensor, error: Tensor | None) -> Tensor | None:
    """The error where the mask holds, none elsewhere."""
    return None if error is None else torch.where(mask, error, 0.0)


@rule("relu")
def relu(a: Any) -> Bounded:
    """max(a, 0), which is 0 for certain only K errors below 0."""
    value, error = parts(a)
    if error is None:
        return Bounded(value.relu())
    return Bounded(value.relu(), kept(value > error * -setting().precision.k, error))


@rule("threshold_backward")
def threshold_backward(dy: Any, y: Any, threshold: float) -> Bounded:
    """dy where y > threshold, and either where that is in doubt."""
    return where(comparison(torch.le)(y, threshold), 0.0, dy)


def _clamped(a: Any, low: float | None, high: float | None) -> Bounded:
    value, error = parts(a)
    result = value.clamp(low, high)
    if error is None:
        return Bounded(result)
    return Bounded(result, kept((result - value).abs() <= error * setting().precision.k, error))


@rule("clamp")
def clamp(a: Any, min: Any = None, max: Any = None) -> Bounded:
    """Between two numbers; certain only K errors outside of them."""
    return _clamped(a, min, max)


@rule("clamp_min.Tensor")
def clamp_min_tensor(a: Any, low: Any) -> Bounded:
    """Not below a tensor."""
    return maximum(a, low)


@rule("clamp_min")
def clamp_min(a: Any, low: Any) -> Bounded:
    """Not below a number."""
    return _clamped(a, low, None)


@rule("clamp_max")
def clamp_max(a: Any, high: Any) -> Bounded:
    """Not above a number."""
    return _clamped(a, None, high)


def _extreme(choose: Callable[[Tensor, Tensor], Tensor], a: Any, b: Any) -> Bounded:
    va, ea = parts(a)
    vb, eb = parts(b)
    value = choose(va, vb)
    if ea is None and eb is None:
        return Bounded(value)
    k = setting().precision.k
    error: Any = None
    for v, e in ((va, ea), (vb, eb)):
        if e is not None:
            # what is far from the extreme for certain adds no error
            near = (v - value).abs() <= k * plus(ea, eb)
            mine = torch.where(near, e, 0.0)
            error = mine if error is None else torch.maximum(error, mine)
    return Bounded(value, error)


@rule("maximum")
def maximum(a: Any, b: Any) -> Bounded:
    """The larger."""
    return _extreme(torch.maximum, a, b)


@rule("minimum")
def minimum(a: Any, b: Any) -> Bounded:
    """The smaller."""
    return _extreme(torch.minimum, a, b)


@rule("maximum.out")
def maximum_out(a: Any, b: Any, *, out: Any) -> Any:
    """The larger, written to a given place."""
    overwrite(out, *parts(maximum(a, b)))
    return out


def _extreme_of(choose: Callable[..., Tensor], a: Any, dim: Dims, keepdim: bool) -> Bounded:
    """An extreme over axes, and the largest error of what may be it."""
    value, error = parts(a)
    dim = dims_of(value, dim)
    extreme = choose(value, dim, True)
    if error is not None:
        k = setting().precision.k
        # at a tie of two computed values each may win: what lies within the errors of both counts
        reach = torch.where(value == extreme, error, 0.0).amax(dim, True)
        near = (value - extreme).abs() <= (error + reach) * k
        error = torch.where(near, error, 0.0).amax(dim, keepdim)
    result = Bounded(extreme if keepdim else choose(value, dim, False), error)
    result.extreme = True
    return result


@rule("amax")
def amax(a: Any, dim: Dims = (), keepdim: bool = False) -> Bounded:
    """The largest over axes."""
    return _extreme_of(torch.amax, a, dim, keepdim)


@rule("amin")
def amin(a: Any, dim: Dims = (), keepdim: bool = False) -> Bounded:
    """The smallest over axes."""
    return _extreme_of(torch.amin, a, dim, keepdim)


@rule("linalg_vector_norm")
def vector_norm(
    a: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Bounded:
    """The p-norm: for 0 the number of a that are not 0, for ±inf the largest or smallest |a|."""
    value, error = parts(a)
    if abs(ord) == torch.inf:
        extreme = amax if ord > 0 else amin
        return extreme(Bounded(value.abs(), error), dim, keepdim)
    if ord == 0:
        return count_of_nonzero(a, dim, keepdim)
    if ord == 1:
        return sum_(Bounded(value.abs(), error), dim, keepdim)
    return powers_of_norm(a, ord, dim, keepdim)


@rule("norm.ScalarOpt_dim")
def norm(a: Any, p: float | None, dim: Dims, keepdim: bool = False) -> Bounded:
    """The p-norm."""
    return vector_norm(a, 2.0 if p is None else p, dim, keepdim)


@rule("max")
def max_all(a: Any) -> Bounded:
    """The largest of all."""
    return amax(a)


@rule("min")
def min_all(a: Any) -> Bounded:
    """The smallest of all."""
    return amin(a)


@rule("max.dim")
def max_dim(a: Any, dim: int, keepdim: bool = False) -> tuple[Bounded, Tensor]:
    """The largest along an axis, and where it is."""
    value, _ = parts(a)
    return amax(a, [dim], keepdim), value.max(dim, keepdim).indices


@rule("min.dim")
def min_dim(a: Any, dim: int, keepdim: bool = False) -> tuple[Bounded, Tensor]:
    """The smallest along an axis, and where it is."""
    value, _ = parts(a)
    return amin(a, [dim], keepdim), value.min(dim, keepdim).indices


def _index(find: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(a: Bounded, *args: Any, **kwargs: Any) -> Tensor:
        return find(a.value, *args, **kwargs)

    return apply


rule("argmax")(_index(torch.argmax))
rule("argmin")(_index(torch.argmin))


@rule("_nested_tensor_from_mask_left_aligned")
def is_left_aligned(a: Any, mask: Any) -> bool:
    """Whether what a mask keeps comes first in every sequence: asked of the mask alone."""
    answer: bool = torch.ops.aten._nested_tensor_from_mask_left_aligned(parts(a)[0], value_of(mask))
    return answer
