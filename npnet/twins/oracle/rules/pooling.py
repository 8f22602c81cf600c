"""Pooling in any number of dimensions, and padding by copies, whose backward passes add.

    avg_pool    a sum of n terms, divided by a number that is not always n
    max_pool    the largest error of what may be the maximum; where that is not decided, each
                position within reach of the maximum may receive the gradient. Where windows are
                drawn, they may be anywhere

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
    """A linear map that adds at most n terms, each with a factor that is rounded.

    Nothing underflows where every term is exactly 0.
    """
    value, error = parts(a)
    p = setting().precision
    size = value.abs()
    present = size > 0 if error is None else size + error > 0
    size.mul_((n + 1) * p.u)
    if error is not None:
        size.add_(error, alpha=1.0 + (n + 1) * p.u)
    bound = form(size).abs_()  # a divisor may be negative
    bound.add_(form(present.to(torch.float64)) != 0, alpha=p.eta)
    return finished(form(value), bound, error is not None)


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


def _adaptive_avg_pool(name: str, axes: int) -> Callable[..., Bounded]:
    pool: Any = overload(name)

    def apply(x: Any, out: Sequence[int]) -> Bounded:
        return _averaged(lambda a: pool(a, out), x, _longest(x.shape[-axes:], out))

    return apply


def _adaptive_avg_pool_backward(name: str, axes: int) -> Callable[..., Bounded]:
    back: Any = overload(name)

    def apply(dy: Any, x: Any) -> Bounded:
        like = parts(x)[0]
        n = _longest(dy.shape[-axes:], x.shape[-axes:])
        return _averaged(lambda a: back(a, like), dy, n)

    return apply


def _longest(size: Sequence[int], out: Sequence[int]) -> int:
    """The most elements that an adaptive window can have."""
    return prod(-(-n // o) + (n % o > 0) for n, o in zip(size, out, strict=True))


for _d in (2, 3):
    rule(f"_adaptive_avg_pool{_d}d")(_adaptive_avg_pool(f"_adaptive_avg_pool{_d}d", _d))
    _name = f"_adaptive_avg_pool{_d}d_backward"
    rule(_name)(_adaptive_avg_pool_backward(_name, _d))


Sizes = tuple[int, ...]
Places = tuple[Tensor, Tensor]
"""(positions, inside): where in the flattened input the elements of every window may be."""


def _places(size: Sizes, axes: Sequence[Places]) -> Places:
    """The windows of a plane from those of its axes."""
    positions = torch.zeros(1, 1, dtype=torch.int64)
    inside = torch.ones(1, 1, dtype=torch.bool)
    for n, (at, within) in zip(size, axes, strict=True):
        positions = (positions[:, None, :, None] * n + at[:, None]).flatten(2).flatten(0, 1)
        inside = (inside[:, None, :, None] & within[:, None]).flatten(2).flatten(0, 1)
    return positions.masked_fill(~inside, 0), inside


@lru_cache(maxsize=256)
def _sliding(
    size: Sizes, out: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Places:
    axes = []
    for n, m, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True):
        at = torch.arange(m)[:, None] * s - p + torch.arange(k) * d
        axes.append((at, (at >= 0) & (at < n)))
    return _places(size, axes)


def _sliding_places(
    size: Sizes,
    out: Sizes,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (),
    dilation: Sequence[int] = (),
    ceil_mode: bool = False,
) -> Places:
    d = len(kernel)
    defaults = (kernel, (0,) * d, (1,) * d)
    rest = [
        tuple(o) or tuple(default)
        for o, default in zip((stride, padding, dilation), defaults, strict=True)
    ]
    return _sliding(size, out, tuple(kernel), *rest)


@lru_cache(maxsize=256)
def _adaptive_places(size: Sizes, out: Sizes, *_: Any) -> Places:
    axes = []
    for n, m in zip(size, out, strict=True):
        o = torch.arange(m)[:, None]
        first, end = o * n // m, -(-(o + 1) * n // m)
        at = first + torch.arange(int((end - first).max()) if m else 0)
        axes.append((at, at < end))
    return _places(size, axes)


def _random_places(size: Sizes, out: Sizes, *_: Any) -> Places:
    """The whole plane: which windows were drawn is not known on the way back."""
    positions = torch.arange(prod(size)).expand(prod(out), prod(size))
    return positions, torch.ones(1, 1, dtype=torch.bool)


def _within_reach(x: Bounded, indices: Tensor, places: Places, axes: int) -> Tensor:
    """Which elements of every window may be its maximum."""
    value, error = parts(x)
    assert error is not None
    positions, inside = places
    values, errors = value.flatten(-axes), error.flatten(-axes)
    winner = indices.flatten(-axes)
    top, reach = values.gather(-1, winner), errors.gather(-1, winner)
    below = top.unsqueeze(-1) - values[..., positions]
    doubt = errors[..., positions] + reach.unsqueeze(-1)
    near = (below <= doubt * setting().precision.k) & (doubt > 0)
    reached: Tensor = (near | (positions == winner.unsqueeze(-1))) & inside
    return reached


Geometry = Callable[..., Places]


def _max_pool(name: str, axes: int, geometry: Geometry) -> Callable[..., tuple[Bounded, Tensor]]:
    pool: Any = overload(name)

    def apply(x: Any, *args: Any) -> tuple[Bounded, Tensor]:
        value, error = parts(x)
        y, indices = pool(value, *(parts(a)[0] for a in args))
        if error is None:
            return Bounded(y), indices
        places = geometry(tuple(value.shape[-axes:]), tuple(y.shape[-axes:]), *_lists(args))
        near = _within_reach(x, indices, places, axes)
        reaching = torch.where(near, error.flatten(-axes)[..., places[0]], 0.0)
        return Bounded(y, reaching.amax(-1).reshape(y.shape)), indices

    return apply


def _max_pool_backward(name: str, axes: int, geometry: Geometry) -> Callable[..., Bounded]:
    pool: Any = overload(name)

    def apply(dy: Any, x: Any, *args: Any) -> Bounded:
        value, error = parts(x)
        indices = args[-1]

        def form(a: Tensor) -> Tensor:
            result: Tensor = pool(a, value, *args)
            return result

        dx = linear_sum(form, dy)
        if error is None:
            return dx
        size, out = tuple(value.shape[-axes:]), tuple(indices.shape[-axes:])
        places = geometry(size, out, *_lists(args[:-1]))
        near = _within_reach(x, indices, places, axes)
        undecided = near & (near.sum(-1, keepdim=True) > 1)
        g, eg = parts(dy)
        share = torch.where(undecided, plus(g.abs(), eg).flatten(-axes).unsqueeze(-1), 0.0)
        doubt = torch.zeros_like(value).flatten(-axes)
        doubt.index_add_(-1, places[0].flatten(), share.flatten(-2))
        return Bounded(dx.value, plus(dx.error, doubt.reshape(value.shape)))

    return apply


def _lists(args: Sequence[Any]) -> list[Any]:
    """The arguments that describe windows, which may be cached."""
    return [tuple(a) if isinstance(a, list) else a for a in args if not isinstance(a, Tensor)]


for _d in (2, 3):
    for _name, _geometry in (
        (f"max_pool{_d}d_with_indices", _sliding_places),
        (f"adaptive_max_pool{_d}d", _adaptive_places),
        (f"fractional_max_pool{_d}d", _random_places),
    ):
        rule(_name)(_max_pool(_name, _d, _geometry))
        rule(f"{_name}_backward")(_max_pool_backward(f"{_name}_backward", _d, _geometry))


def _padding_backward(name: str) -> Callable[..., Bounded]:
    back: Any = overload(name)

    def apply(dy: Any, x: Any, pad: Sequence[int]) -> Bounded:
        like = parts(x)[0]
        return linear_sum(lambda a: back(a, like, pad), dy)

    return apply


for _kind in ("reflection", "replication"):
    for _d in (1, 2, 3):
        rule(f"{_kind}_pad{_d}d_backward")(_padding_backward(f"{_kind}_pad{_d}d_backward"))
