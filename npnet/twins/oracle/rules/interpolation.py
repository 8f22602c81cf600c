"""Interpolation: a linear map along every axis, by weights that are themselves computed.

    nearest          elements move; backwards they add up
    linear, cubic    P(|W| + D)·e + Σ over the axes of P(.., D, ..)·|a| + n·u·P(|W| + D)(|a| + e)

P runs a matrix along each axis: W holds the weights, D how far each may be off. An output lies at t
in the input, 4u(1 + |t|) off after its few roundings, and may so come to lie on the other side of a
neighbour; the kernel's slope and the roundings of the polynomial make a weight's error of it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    finished,
    magnitude,
    overload,
    parts,
    rule,
    setting,
    watch,
)
from npnet.twins.oracle.rules.sparse import linear_sum
from npnet.twins.oracle.rules.view import copying

aten = torch.ops.aten
Matrix = tuple[Tensor, Tensor]
"""The weights (new size, old size), and their errors in units of the roundoff."""


@lru_cache(maxsize=1024)
def _matrix(cubic: bool, n: int, m: int, align: bool, scale: float | None) -> Matrix:
    eye = torch.eye(n, dtype=torch.float64)
    if cubic:
        image = aten.upsample_bicubic2d.default(eye[None, :, None], [1, m], align, None, scale)
        weights = image[0, :, 0].T.contiguous()
    else:
        weights = aten.upsample_linear1d.default(eye[None], [m], align, scale)[0].T.contiguous()
    if n == m and (align or scale in (None, 1.0) or not cubic):
        return weights, torch.zeros_like(weights)  # a copy, t is exact
    slope, roundings, reach = (2.0, 48.0, 2) if cubic else (1.0, 2.0, 1)
    errors = torch.zeros_like(weights)
    for o in range(m):
        if align:
            t = o * (n - 1) / (m - 1) if m > 1 else 0.0
        else:
            t = (o + 0.5) * (1.0 / scale if scale else n / m) - 0.5
        for j in range(floor(t) - reach, ceil(t) + reach + 1):
            if abs(t - j) < reach + 1e-6:
                errors[o, min(max(j, 0), n - 1)] += slope * 4.0 * (1.0 + abs(t)) + roundings
    return weights, errors


def _along(a: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """The matrices along the axes after the channels, one each."""
    for axis, matrix in enumerate(matrices, start=2):
        a = torch.tensordot(a, matrix, dims=([axis], [1])).movedim(-1, axis)
    return a


def _weighted(form: Callable[[Tensor], Tensor], a: Any, matrices: Sequence[Matrix]) -> Bounded:
    value, error = parts(a)
    p = setting().precision
    weights = [w.abs() for w, _ in matrices]
    doubts = [d * p.u for _, d in matrices]
    largest = [w + d for w, d in zip(weights, doubts, strict=True)]
    n = len(matrices)
    for w, d in matrices:
        n *= max(1, int(((w != 0) | (d != 0)).sum(1).max()))
    size = value.abs()
    reached = _along(magnitude(value, error), largest)
    if setting().watching:
        watch(reached)
    bound = reached * (n * p.u) + n * p.eta
    for k, d in enumerate(doubts):
        bound += _along(size, [*weights[:k], d, *largest[k + 1 :]])
    if error is not None:
        bound += _along(error, largest)
    return finished(form(value), bound, error is not None)


def _matrices(
    cubic: bool, old: Sequence[int], new: Sequence[int], align: bool, scales: Sequence[Any]
) -> list[Matrix]:
    given = [*scales, *[None] * (len(new) - len(scales))]
    return [_matrix(cubic, n, m, align, s) for n, m, s in zip(old, new, given, strict=True)]


def _register(name: str, cubic: bool) -> None:
    there: Any = overload(name)
    back: Any = overload(f"{name}_backward")

    @rule(name)
    def forward(x: Any, new: Sequence[int], align: bool, *scales: Any) -> Bounded:
        matrices = _matrices(cubic, x.shape[2:], new, align, scales)
        return _weighted(lambda a: there(a, new, align, *scales), x, matrices)

    @rule(f"{name}_backward")
    def backward(
        dy: Any, new: Sequence[int], shape: Sequence[int], align: bool, *scales: Any
    ) -> Bounded:
        matrices = _matrices(cubic, shape[2:], new, align, scales)
        transposed = [(w.T, d.T) for w, d in matrices]
        return _weighted(lambda a: back(a, new, shape, align, *scales), dy, transposed)


for _name in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d"):
    _register(f"upsample_{_name}", _name == "bicubic2d")


def _gathered_back(back: Any) -> Callable[..., Bounded]:
    def apply(dy: Any, *args: Any) -> Bounded:
        return linear_sum(lambda a: back(a, *args), dy)

    return apply


for _name in ("upsample_nearest", "_upsample_nearest_exact"):
    for _d in (1, 2, 3):
        rule(f"{_name}{_d}d")(copying(overload(f"{_name}{_d}d")))
        rule(f"{_name}{_d}d_backward")(_gathered_back(overload(f"{_name}{_d}d_backward")))
