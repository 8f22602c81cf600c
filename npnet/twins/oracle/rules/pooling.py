"""Pooling in any number of dimensions, and padding by copies, whose backward passes add.

    avg_pool    a sum of n terms, divided by a number that is not always n
    max_pool    the largest error of what may be the maximum; where that is not decided, each
                position within reach of the maximum may receive the gradient

Between exact values a tie is decided: the first position of the window, as in torch on the CPU.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    finished,
    overload,
    parts,
    plus,
    rule,
    setting,
)
from npnet.twins.oracle.rules.sparse import linear_sum

aten = torch.ops.aten


def _averaged(form: Callable[[Tensor], Tensor], a: Any, n: int) -> Bounded:
    """A linear map that adds at most n terms, each with a factor that is rounded."""
    value, error = parts(a)
    p = setting().precision
    size = value.abs().mul_((n + 1) * p.u)
    if error is not None:
        size.add_(error, alpha=1.0 + (n + 1) * p.u)
    # a divisor may be negative
    return finished(form(value), form(size).abs_().add_(p.eta), error is not None)


@rule("avg_pool2d", "avg_pool3d")
def avg_pool(x: Any, kernel: Sequence[int], *args: Any, **kwargs: Any) -> Bounded:
    """The mean of every window; with ceil_mode and padding, of what of it counts."""
    pool = aten.avg_pool3d.default if len(kernel) == 3 else aten.avg_pool2d.default
    return _averaged(lambda a: pool(a, kernel, *args, **kwargs), x, prod(kernel))


@rule("avg_pool2d_backward", "avg_pool3d_backward")
def avg_pool_backward(
    dy: Any, x: Any, kernel: Sequence[int], stride: Sequence[int], *args: Any
) -> Bounded:
    """Every element of a window receives its share."""
    pool = (
        aten.avg_pool3d_backward.default if len(kernel) == 3 else aten.avg_pool2d_backward.default
    )
    like, stride = parts(x)[0], stride or kernel
    n = prod(-(-k // s) for k, s in zip(kernel, stride, strict=True))
    return _averaged(lambda a: pool(a, like, kernel, stride, *args), dy, n)


def _ends(n: int, m: int) -> int:
    """The most elements that one of m windows over n has."""
    return max(((-(-(o + 1) * n // m)) - o * n // m for o in range(m)), default=1)


def _adaptive(name: str) -> None:
    there: Any = overload(name)
    back: Any = overload(f"{name}_backward")

    @rule(name)
    def forward(x: Any, new: Sequence[int]) -> Bounded:
        old = x.shape[-len(new) :]
        n = prod(_ends(a, b) for a, b in zip(old, new, strict=True))
        return _averaged(lambda a: there(a, new), x, n)

    @rule(f"{name}_backward")
    def backward(dy: Any, x: Any) -> Bounded:
        like, axes = parts(x)[0], int(name[-2])
        n = prod(_ends(b, a) for a, b in zip(x.shape[-axes:], dy.shape[-axes:], strict=True))
        return _averaged(lambda a: back(a, like), dy, n)


for _name in ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"):
    _adaptive(_name)


Sizes = tuple[int, ...]


@lru_cache(maxsize=256)
def _windows(
    size: Sizes, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[Tensor, Tensor]:
    """(positions, inside): where in the flattened input the elements of every window are."""
    positions = torch.zeros(1, 1, dtype=torch.int64)
    inside = torch.ones(1, 1, dtype=torch.bool)
    for n, m, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True):
        at = torch.arange(m)[:, None] * s - p + torch.arange(k) * d
        positions = (positions[:, None, :, None] * n + at[:, None]).flatten(2).flatten(0, 1)
        inside = (
            (inside[:, None, :, None] & ((at >= 0) & (at < n))[:, None]).flatten(2).flatten(0, 1)
        )
    return positions.masked_fill(~inside, 0), inside


def _within_reach(
    x: Bounded, indices: Tensor, options: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """(positions of every window, which of them may hold its maximum)."""
    value, error = parts(x)
    assert error is not None
    kernel = tuple(options[0])
    d = len(kernel)
    defaults = (kernel, (0,) * d, (1,) * d)
    rest = [tuple(o) or default for o, default in zip(options[1:], defaults, strict=True)]
    positions, inside = _windows(tuple(value.shape[-d:]), tuple(indices.shape[-d:]), kernel, *rest)
    values, errors = value.flatten(-d), error.flatten(-d)
    winner = indices.flatten(-d)
    top, reach = values.gather(-1, winner), errors.gather(-1, winner)
    below = top.unsqueeze(-1) - values[..., positions]
    doubt = errors[..., positions] + reach.unsqueeze(-1)
    near = (below <= doubt * setting().precision.k) & (doubt > 0)
    return positions, (near | (positions == winner.unsqueeze(-1))) & inside


def _max_pool(name: str) -> Callable[..., tuple[Bounded, Tensor]]:
    pool: Any = overload(name)

    def apply(
        x: Any,
        kernel: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] = (),
        dilation: Sequence[int] = (),
        ceil_mode: bool = False,
    ) -> tuple[Bounded, Tensor]:
        value, error = parts(x)
        options = (kernel, stride, padding, dilation)
        y, indices = pool(value, kernel, stride, padding or 0, dilation or 1, ceil_mode)
        if error is None:
            return Bounded(y), indices
        positions, near = _within_reach(x, indices, options)
        reaching = torch.where(near, error.flatten(-len(kernel))[..., positions], 0.0)
        return Bounded(y, reaching.amax(-1).reshape(y.shape)), indices

    return apply


def _max_pool_backward(name: str) -> Callable[..., Bounded]:
    pool: Any = overload(name)

    def apply(
        dy: Any,
        x: Any,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil_mode: bool,
        indices: Tensor,
    ) -> Bounded:
        value, error = parts(x)
        options = (kernel, stride, padding, dilation)

        def form(a: Tensor) -> Tensor:
            result: Tensor = pool(a, value, *options, ceil_mode, indices)
            return result

        dx = linear_sum(form, dy)
        if error is None:
            return dx
        positions, near = _within_reach(x, indices, options)
        undecided = near & (near.sum(-1, keepdim=True) > 1)
        g, eg = parts(dy)
        share = torch.where(undecided, plus(g.abs(), eg).flatten(-len(kernel)).unsqueeze(-1), 0.0)
        doubt = torch.zeros_like(value).flatten(-len(kernel))
        doubt.index_add_(-1, positions.flatten(), share.flatten(-2))
        return Bounded(dx.value, plus(dx.error, doubt.reshape(value.shape)))

    return apply


for _name in ("max_pool2d_with_indices", "max_pool3d_with_indices"):
    rule(_name)(_max_pool(_name))
    rule(f"{_name}_backward")(_max_pool_backward(f"{_name}_backward"))


def _padding_backward(name: str) -> Callable[..., Bounded]:
    back: Any = overload(name)

    def apply(dy: Any, x: Any, pad: Sequence[int]) -> Bounded:
        like = parts(x)[0]
        return linear_sum(lambda a: back(a, like, pad), dy)

    return apply


for _kind in ("reflection", "replication"):
    for _d in (1, 2, 3):
        rule(f"{_kind}_pad{_d}d_backward")(_padding_backward(f"{_kind}_pad{_d}d_backward"))
