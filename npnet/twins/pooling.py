"""Twins of the pooling layers whose windows slide: maxima, means, norms, and the way back."""

from collections.abc import Sequence
from math import inf, nan, prod
from typing import Any

import torch
from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Example
from npnet.verify.spec import Drawn

Sizes = tuple[int, ...]

_KERNELS: dict[int, tuple[Any, ...]] = {
    1: (3, 2, (3,), 3, 1, 2),
    2: (3, 2, (3, 2), 3, (1, 2), 1),
    3: (2, 3, (1, 3, 2), 2, (2, 1, 1), 1),
}
_STRIDES: dict[int, tuple[Any, ...]] = {
    1: (None, 2, 1, (2,), None, 3),
    2: (None, 2, (2, 1), 1, None, 3),
    3: (None, 2, (2, 1, 3), 1, None, 3),
}


def each(value: Any, axes: int) -> Sizes:
    """An int stands for every axis."""
    return (value,) * axes if isinstance(value, int) else value


def planes(pick: Pick, least: Sequence[int]) -> Sizes:
    """The shape of a batch of planes, or of the planes of one sample, at least so large."""
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    channels = pick.size("channels")
    spare = ((1, 0, 2, 3), (1, 0, 2, 4), (0, 1, 2))
    size = [n + pick.option(f"spare on axis {i}", *spare[i]) for i, n in enumerate(least)]
    return (*batch, channels, *size)


def batch_of_planes(example: Example, axes: int) -> bool:
    """Whether the first axis is a batch: value sets, N, C, plane."""
    return example.arrays["input 0"].ndim == axes + 3


def _padding(pick: Pick, kernel: Any, axes: int) -> Any:
    """torch refuses a padding of more than half the kernel."""
    padding = pick.option("padding", 1, 0, (0, 1, 1)[:axes] if axes > 1 else (1,), 1)
    if any(2 * p > k for p, k in zip(each(padding, axes), each(kernel, axes), strict=True)):
        padding = pick.instead("padding", 0, because="kernel_size")
    return padding


# ---- maxima -----------------------------------------------------------------------------------


def _max_pool(pick: Pick, axes: int) -> Drawn:
    kernel = pick.option("kernel_size", *_KERNELS[axes])
    dilation = pick.option("dilation", 1, 2, (2, 1, 3)[:axes])
    padding = _padding(pick, kernel, axes)
    config = {
        "kernel_size": kernel,
        "stride": pick.option("stride", *_STRIDES[axes]),
        "padding": padding,
        "dilation": dilation,
        "return_indices": pick.option("return_indices", False, True),
        "ceil_mode": pick.option("ceil_mode", True, False),
    }
    # no window may lie in the padding altogether: torch answers -inf there, with a wild index,
    # through which the backward pass of MaxPool3d writes
    least = [
        max(1, d, d * (k - 1) + 1 - 2 * p)
        for k, d, p in zip(
            each(kernel, axes), each(dilation, axes), each(padding, axes), strict=True
        )
    ]
    return config, (pick.values("x", planes(pick, least), kinks=(0.0, 1.0)),)


_MAX_CLAIMS = (
    Claim(
        "The gradient goes to the first of equal maxima.",
        lambda ask: same(ask([[2.0, 2.0]], kernel_size=2).dx, [[1.0, 0.0]]),
    ),
    Claim(
        "nan is larger than every number, and the last of several nans is the maximum.",
        lambda ask: (
            same(ask([[nan, 2.0, nan]], kernel_size=3).y, [[nan]])
            and same(ask([[nan, 2.0, nan]], kernel_size=3).dx, [[0.0, 0.0, 1.0]])
        ),
    ),
    Claim(
        "Padding never is the maximum: it is -inf and not 0.",
        lambda ask: same(ask([[-3.0, -2.0]], kernel_size=2, padding=1).y, [[-3.0, -2.0]]),
    ),
    Claim(
        "With ceil_mode a last window that would begin behind the input is left out.",
        lambda ask: (
            same(ask([[1.0, 2.0, 3.0]], kernel_size=1, stride=3, ceil_mode=True).y, [[1.0]])
            and same(ask([[1.0, 2.0, 3.0]], kernel_size=2, ceil_mode=True).y, [[2.0, 3.0]])
        ),
    ),
)
_PLANE_CLAIM = Claim(
    "Indices count the elements of the plane, without padding and row by row.",
    lambda ask: same(
        ask([[[1.0, 2.0], [4.0, 3.0]]], kernel_size=2, padding=1, stride=2, return_indices=True).y[
            1
        ],
        [[[0, 1], [2, 3]]],
    ),
)


@spec(nn.MaxPool1d, split=lambda e: batch_of_planes(e, 1), claims=_MAX_CLAIMS)
def MaxPool1d(pick: Pick) -> Drawn:
    return _max_pool(pick, 1)


@spec(
    nn.MaxPool2d,
    split=lambda e: batch_of_planes(e, 2),
    claims=(
        _PLANE_CLAIM,
        Claim(
            "The first of equal maxima is the first row by row.",
            lambda ask: same(
                ask([[[0.0, 5.0], [5.0, 0.0]]], kernel_size=2).dx, [[[0.0, 1.0], [0.0, 0.0]]]
            ),
        ),
    ),
)
def MaxPool2d(pick: Pick) -> Drawn:
    return _max_pool(pick, 2)


@spec(
    nn.MaxPool3d,
    split=lambda e: batch_of_planes(e, 3),
    claims=(
        Claim(
            "Indices count the elements of the volume: slice by slice, row by row.",
            lambda ask: same(
                ask([[[[0.0, 1.0]], [[3.0, 2.0]]]], kernel_size=(2, 1, 2), return_indices=True).y[
                    1
                ],
                [[[[2]]]],
            ),
        ),
    ),
)
def MaxPool3d(pick: Pick) -> Drawn:
    return _max_pool(pick, 3)


# ---- the way back from maxima -------------------------------------------------------------------


def _max_unpool(pick: Pick, axes: int) -> Drawn:
    kernel = pick.option("kernel_size", *_KERNELS[axes])
    stride = pick.option("stride", *_STRIDES[axes])
    padding = _padding(pick, kernel, axes)
    shape = planes(pick, (1, 2, 1)[:axes])
    size = shape[-axes:]
    steps = each(kernel if stride is None else stride, axes)

    def usual() -> list[int]:
        numbers = zip(size, steps, each(kernel, axes), each(padding, axes), strict=True)
        return [(n - 1) * s + k - 2 * p for n, s, k, p in numbers]

    # indices are drawn distinct: which of several values torch keeps at one place is undefined
    if min(usual()) < 1 or prod(usual()) < prod(size):
        padding = pick.instead("padding", 0, because="stride")
    out = usual()
    wanted = pick.option("output_size", None, "larger", "smaller", "with N and C", None)
    smaller = [n - s + 1 for n, s in zip(out, steps, strict=True)]
    if wanted == "smaller" and (min(smaller) < 1 or prod(smaller) < prod(size)):
        wanted = pick.instead("output_size", None, because="kernel_size")
    if wanted == "smaller":
        out = smaller
    elif wanted == "larger":
        out = [n + s - 1 for n, s in zip(out, steps, strict=True)]
    inputs = (
        pick.values("x", shape),
        pick.values("indices", shape, kind="distinct", high=prod(out), axes=axes),
    )
    lead = (1, 1) if wanted == "with N and C" else ()
    config = {"kernel_size": kernel, "stride": stride, "padding": padding}
    return config, inputs, {"output_size": None if wanted is None else (*lead, *out)}


@spec(
    nn.MaxUnpool1d,
    split=lambda e: batch_of_planes(e, 1),
    claims=(
        Claim(
            "All but the positions that indices name are 0.",
            lambda ask: same(ask([[5.0, 6.0]], [[3, 0]], kernel_size=2).y, [[6.0, 0.0, 0.0, 5.0]]),
        ),
        Claim(
            "output_size may differ from (L - 1) stride + kernel_size - 2 padding, by less than "
            "stride.",
            lambda ask: same(
                ask([[5.0]], [[2]], kernel_size=2, kwargs={"output_size": (3,)}).y,
                [[0.0, 0.0, 5.0]],
            ),
        ),
    ),
)
def MaxUnpool1d(pick: Pick) -> Drawn:
    return _max_unpool(pick, 1)


@spec(
    nn.MaxUnpool2d,
    split=lambda e: batch_of_planes(e, 2),
    claims=(
        Claim(
            "An index counts the elements of the output's plane, not of the input's.",
            lambda ask: same(
                ask([[[5.0]]], [[[3]]], kernel_size=2, kwargs={"output_size": (1, 2, 2, 3)}).y,
                [[[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]],
            ),
        ),
    ),
)
def MaxUnpool2d(pick: Pick) -> Drawn:
    return _max_unpool(pick, 2)


@spec(nn.MaxUnpool3d, split=lambda e: batch_of_planes(e, 3))
def MaxUnpool3d(pick: Pick) -> Drawn:
    return _max_unpool(pick, 3)


# ---- means ------------------------------------------------------------------------------------


def _avg_pool(pick: Pick, axes: int) -> Drawn:
    kernel = pick.option("kernel_size", *_KERNELS[axes])
    padding = _padding(pick, kernel, axes)
    config = {
        "kernel_size": kernel,
        "stride": pick.option("stride", *_STRIDES[axes]),
        "padding": padding,
        "ceil_mode": pick.option("ceil_mode", True, False),
        "count_include_pad": pick.option("count_include_pad", True, False),
    }
    if axes > 1:
        config["divisor_override"] = pick.option("divisor_override", None, None, 3, None, 1, -2)
    # of three axes torch wants none to be shorter than the kernel, with or without padding
    least = [
        k if axes == 3 else max(1, k - 2 * p)
        for k, p in zip(each(kernel, axes), each(padding, axes), strict=True)
    ]
    return config, (pick.values("x", planes(pick, least)),)


_AVG_CLAIMS = (
    Claim(
        "By default padding counts in the divisor; with count_include_pad=False it does not.",
        lambda ask: (
            same(ask([[2.0, 4.0]], kernel_size=2, padding=1).y, [[1.0, 2.0]])
            and same(
                ask([[2.0, 4.0]], kernel_size=2, padding=1, count_include_pad=False).y, [[2.0, 4.0]]
            )
        ),
    ),
    Claim(
        "What ceil_mode lets a window cover behind the right padding never counts.",
        lambda ask: same(ask([[2.0, 4.0, 6.0]], kernel_size=2, ceil_mode=True).y, [[3.0, 6.0]]),
    ),
)


@spec(nn.AvgPool1d, split=lambda e: batch_of_planes(e, 1), claims=_AVG_CLAIMS)
def AvgPool1d(pick: Pick) -> Drawn:
    return _avg_pool(pick, 1)


@spec(
    nn.AvgPool2d,
    split=lambda e: batch_of_planes(e, 2),
    claims=(
        Claim(
            "divisor_override replaces the number of elements that the sum is divided by.",
            lambda ask: same(
                ask([[[1.0, 2.0], [3.0, 4.0]]], kernel_size=2, divisor_override=1).y, [[[10.0]]]
            ),
        ),
    ),
)
def AvgPool2d(pick: Pick) -> Drawn:
    return _avg_pool(pick, 2)


@spec(nn.AvgPool3d, split=lambda e: batch_of_planes(e, 3))
def AvgPool3d(pick: Pick) -> Drawn:
    return _avg_pool(pick, 3)


# ---- norms ------------------------------------------------------------------------------------

_NORMS: tuple[Any, ...] = (2, 3.0, 1.5, 1, 4.0, 0.5)
if float(nn.functional.lp_pool1d(torch.full((1, 1, 2), 2.0), inf, 2)) == 2.0:
    _NORMS = (2, inf, 3.0, -inf, 1.5, 1, inf, 4.0, -inf, 0.5)  # which older ones take for numbers


def _lp_pool(pick: Pick, axes: int) -> Drawn:
    kernels = (2, 3, 1) if axes == 1 else _KERNELS[axes]  # torch multiplies by that of LPPool1d
    kernel = pick.option("kernel_size", *kernels)
    config = {
        "norm_type": pick.option("norm_type", *_NORMS),
        "kernel_size": kernel,
        "stride": pick.option("stride", *_STRIDES[axes]),
        "ceil_mode": pick.option("ceil_mode", True, False),
    }
    # of negative numbers most powers are nan
    kind = pick.option("signs", "any", "positive", "any")
    shape = planes(pick, each(kernel, axes))
    return config, (pick.values("x", shape, kind="real" if kind == "any" else kind),)


_LP_CLAIMS = (
    Claim(
        "It takes powers of x and not of |x|: an odd p makes nan of a negative sum.",
        lambda ask: same(ask([[-2.0, 1.0]], norm_type=3, kernel_size=2).y, [[nan]]),
    ),
    Claim(
        "It adds the powers and does not average them.",
        lambda ask: same(ask([[3.0, 4.0]], norm_type=2, kernel_size=2).y, [[5.0]]),
    ),
    Claim(
        "The gradient of a window of zeros is 0.",
        lambda ask: same(ask([[0.0, 0.0]], norm_type=2, kernel_size=2).dx, [[0.0, 0.0]]),
    ),
    Claim(
        "A window that ceil_mode lets reach behind the input counts as if it were full.",
        lambda ask: same(
            ask([[1.0, 1.0, 1.0]], norm_type=1, kernel_size=2, ceil_mode=True).y, [[2.0, 2.0]]
        ),
    ),
)


@spec(nn.LPPool1d, split=lambda e: batch_of_planes(e, 1), claims=_LP_CLAIMS)
def LPPool1d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 1)


@spec(nn.LPPool2d, split=lambda e: batch_of_planes(e, 2))
def LPPool2d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 2)


@spec(nn.LPPool3d, split=lambda e: batch_of_planes(e, 3))
def LPPool3d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 3)
