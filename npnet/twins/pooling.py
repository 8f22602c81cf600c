"""Twins of the pooling layers whose windows slide: maxima, means, norms, and the way back."""

from collections.abc import Sequence
from math import inf, nan, prod
from typing import Any

import numpy as np
import torch
from torch import nn

from npnet.twins._planes import across, line
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Example
from npnet.verify.claim import Ask
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


def _strides(axes: int, **config: Any) -> Claim:
    return Claim(
        "stride is kernel_size unless it is given: windows do not overlap.",
        lambda ask: (
            ask(line([[1.0, 2.0, 3.0, 4.0]], axes), kernel_size=across(2, axes), **config).y.shape
            == (1,) * axes + (2,)
        ),
    )


def _half(axes: int) -> Claim:
    three, two = across(3, axes), across(2, axes, 0)
    return Claim(
        "A padding of more than half of the kernel is refused.",
        lambda ask: refuses(lambda: ask(line([[1.0, 2.0]], axes), kernel_size=three, padding=two)),
    )


def _last(axes: int, **config: Any) -> Claim:
    return Claim(
        "ceil_mode adds a window that reaches behind the input, but none that would begin there.",
        lambda ask: (
            _count(ask, axes, kernel_size=across(1, axes), stride=across(3, axes), **config) == 1
            and _count(ask, axes, kernel_size=across(2, axes), **config) == 2
        ),
    )


def _count(ask: Ask, axes: int, **config: Any) -> int:
    """How many windows a line of three has."""
    n: int = ask(line([[1.0, 2.0, 3.0]], axes), ceil_mode=True, **config).y.shape[-1]
    return n


def _max_claims(axes: int) -> tuple[Claim, ...]:
    """The conventions of maxima along so many axes."""
    two, three, edge = across(2, axes), across(3, axes), across(1, axes, 0)
    nans = line([[nan, 2.0, nan]], axes)
    return (
        Claim(
            "The gradient goes to the first of equal maxima.",
            lambda ask: same(
                ask(line([[2.0, 2.0]], axes), kernel_size=two).dx, line([[1.0, 0.0]], axes)
            ),
        ),
        Claim(
            "nan is larger than every number, and the last of several nans is the maximum.",
            lambda ask: (
                same(ask(nans, kernel_size=three).y, line([[nan]], axes))
                and same(ask(nans, kernel_size=three).dx, line([[0.0, 0.0, 1.0]], axes))
            ),
        ),
        Claim(
            "Padding never is the maximum: it is -inf and not 0.",
            lambda ask: same(
                ask(line([[-3.0, -2.0]], axes), kernel_size=two, padding=edge).y,
                line([[-3.0, -2.0]], axes),
            ),
        ),
        Claim(
            "dilation is the distance between the elements of a window: 1 where they touch.",
            lambda ask: same(
                ask(
                    line([[1.0, 9.0, 2.0, 3.0]], axes),
                    kernel_size=two,
                    stride=across(1, axes),
                    dilation=two,
                ).y,
                line([[2.0, 9.0]], axes),
            ),
        ),
        _strides(axes),
        _last(axes),
        _half(axes),
        _INDICES[axes],
    )


_INDICES = {
    1: Claim(
        "Indices count the elements of the input, without padding.",
        lambda ask: same(
            ask([[1.0, 2.0, 4.0, 3.0]], kernel_size=2, padding=1, return_indices=True).y[1],
            [[0, 2, 3]],
        ),
    ),
    2: Claim(
        "Indices count the elements of the plane, without padding and row by row.",
        lambda ask: same(
            ask(
                [[[1.0, 2.0], [4.0, 3.0]]], kernel_size=2, padding=1, stride=2, return_indices=True
            ).y[1],
            [[[0, 1], [2, 3]]],
        ),
    ),
    3: Claim(
        "Indices count the elements of the volume: slice by slice, row by row.",
        lambda ask: same(
            ask([[[[0.0, 1.0]], [[3.0, 2.0]]]], kernel_size=(2, 1, 2), return_indices=True).y[1],
            [[[[2]]]],
        ),
    ),
}


@spec(nn.MaxPool1d, split=lambda e: batch_of_planes(e, 1), claims=_max_claims(1))
def MaxPool1d(pick: Pick) -> Drawn:
    return _max_pool(pick, 1)


@spec(
    nn.MaxPool2d,
    split=lambda e: batch_of_planes(e, 2),
    claims=(
        *_max_claims(2),
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


@spec(nn.MaxPool3d, split=lambda e: batch_of_planes(e, 3), claims=_max_claims(3))
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


def _unpool_claims(axes: int) -> tuple[Claim, ...]:
    """The conventions of the way back along so many axes."""
    two = across(2, axes)
    return (
        Claim(
            "All but the positions that indices name are 0.",
            lambda ask: same(
                ask(line([[5.0, 6.0]], axes), line([[3, 0]], axes), kernel_size=two).y,
                line([[6.0, 0.0, 0.0, 5.0]], axes),
            ),
        ),
        Claim(
            "output_size, an argument of the call, may differ from (size - 1) stride + kernel_size "
            "- 2 padding, by less than stride.",
            lambda ask: (
                same(
                    _unpooled(ask, 5.0, 2, (*(1,) * (axes - 1), 3), kernel_size=two),
                    line([[0.0, 0.0, 5.0]], axes),
                )
                and refuses(
                    lambda: _unpooled(ask, 5.0, 2, (*(1,) * (axes - 1), 4), kernel_size=two)
                )
            ),
        ),
        Claim(
            "The gradient is gathered from the positions that indices name.",
            lambda ask: same(
                ask(
                    line([[5.0, 6.0]], axes),
                    line([[3, 0]], axes),
                    dy=line([[1.0, 2.0, 4.0, 8.0]], axes),
                    kernel_size=two,
                ).dx,
                line([[8.0, 1.0]], axes),
            ),
        ),
    )


def _unpooled(ask: Ask, x: float, index: int, size: Sizes, kernel_size: Any) -> Any:
    """A plane in which there is one maximum, at this index."""
    shape = (1,) * (len(size) + 1)
    return ask(
        np.full(shape, x),
        np.full(shape, index),
        kernel_size=kernel_size,
        kwargs={"output_size": size},
    ).y


@spec(nn.MaxUnpool1d, split=lambda e: batch_of_planes(e, 1), claims=_unpool_claims(1))
def MaxUnpool1d(pick: Pick) -> Drawn:
    return _max_unpool(pick, 1)


@spec(
    nn.MaxUnpool2d,
    split=lambda e: batch_of_planes(e, 2),
    claims=(
        *_unpool_claims(2),
        Claim(
            "An index counts the elements of the output's plane, not of the input's.",
            lambda ask: same(
                _unpooled(ask, 5.0, 3, (2, 3), 2), [[[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]]
            ),
        ),
    ),
)
def MaxUnpool2d(pick: Pick) -> Drawn:
    return _max_unpool(pick, 2)


@spec(
    nn.MaxUnpool3d,
    split=lambda e: batch_of_planes(e, 3),
    claims=(
        *_unpool_claims(3),
        Claim(
            "An index counts the elements of the output's volume, not of the input's.",
            lambda ask: same(
                _unpooled(ask, 5.0, 7, (2, 2, 3), 2)[0, 1], [[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]
            ),
        ),
    ),
)
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


def _avg_claims(axes: int) -> tuple[Claim, ...]:
    """The conventions of means along so many axes."""
    two, edge = across(2, axes), across(1, axes, 0)
    padded = {"kernel_size": two, "padding": edge}
    return (
        Claim(
            "By default padding counts in the divisor; with count_include_pad=False it does not.",
            lambda ask: (
                same(ask(line([[2.0, 4.0]], axes), **padded).y, line([[1.0, 2.0]], axes))
                and same(
                    ask(line([[2.0, 4.0]], axes), count_include_pad=False, **padded).y,
                    line([[2.0, 4.0]], axes),
                )
            ),
        ),
        Claim(
            "What ceil_mode lets a window cover behind the right padding never counts.",
            lambda ask: same(
                ask(line([[2.0, 4.0, 6.0]], axes), kernel_size=two, ceil_mode=True).y,
                line([[3.0, 6.0]], axes),
            ),
        ),
        _strides(axes),
        _last(axes),
        _half(axes),
        *([_divisor(axes)] if axes > 1 else []),
    )


def _divisor(axes: int) -> Claim:
    return Claim(
        "divisor_override replaces the number of elements that the sum is divided by.",
        lambda ask: same(
            ask(line([[3.0, 4.0]], axes), kernel_size=across(2, axes), divisor_override=1).y,
            line([[7.0]], axes),
        ),
    )


@spec(nn.AvgPool1d, split=lambda e: batch_of_planes(e, 1), claims=_avg_claims(1))
def AvgPool1d(pick: Pick) -> Drawn:
    return _avg_pool(pick, 1)


@spec(nn.AvgPool2d, split=lambda e: batch_of_planes(e, 2), claims=_avg_claims(2))
def AvgPool2d(pick: Pick) -> Drawn:
    return _avg_pool(pick, 2)


@spec(nn.AvgPool3d, split=lambda e: batch_of_planes(e, 3), claims=_avg_claims(3))
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


def _lp_claims(axes: int) -> tuple[Claim, ...]:
    """The conventions of norms along so many axes."""
    two: dict[str, Any] = {"kernel_size": across(2, axes)}
    return (
        Claim(
            "It takes powers of x and not of |x|: an odd p makes nan of a negative sum.",
            lambda ask: same(
                ask(line([[-2.0, 1.0]], axes), norm_type=3, **two).y, line([[nan]], axes)
            ),
        ),
        Claim(
            "It adds the powers and does not average them.",
            lambda ask: same(
                ask(line([[3.0, 4.0]], axes), norm_type=2, **two).y, line([[5.0]], axes)
            ),
        ),
        Claim(
            "The gradient of a window of zeros is 0.",
            lambda ask: same(
                ask(line([[0.0, 0.0]], axes), norm_type=2, **two).dx, line([[0.0, 0.0]], axes)
            ),
        ),
        Claim(
            "A window that ceil_mode lets reach behind the input counts as if it were full.",
            lambda ask: same(
                ask(line([[1.0, 1.0, 1.0]], axes), norm_type=1, ceil_mode=True, **two).y,
                line([[2.0, 2.0]], axes),
            ),
        ),
        _strides(axes, norm_type=2),
        _last(axes, norm_type=2),
    )


@spec(nn.LPPool1d, split=lambda e: batch_of_planes(e, 1), claims=_lp_claims(1))
def LPPool1d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 1)


@spec(nn.LPPool2d, split=lambda e: batch_of_planes(e, 2), claims=_lp_claims(2))
def LPPool2d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 2)


@spec(nn.LPPool3d, split=lambda e: batch_of_planes(e, 3), claims=_lp_claims(3))
def LPPool3d(pick: Pick) -> Drawn:
    return _lp_pool(pick, 3)
