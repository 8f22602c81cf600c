"""Twins of the adaptive pooling layers."""

from math import nan
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.pooling import batch_of_planes, planes
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

_OUTPUTS: dict[int, tuple[Any, ...]] = {
    1: (2, 3, 1, (2,), 5, 4),
    2: (2, (3, 2), 1, (None, 2), (1, None), 5, (4, 3)),
    3: (2, (3, None, 2), 1, (1, 2, 4), (None, None, None), 3),
}


def _pool(pick: Pick, axes: int, indices: bool) -> Drawn:
    config = {"output_size": pick.option("output_size", *_OUTPUTS[axes])}
    if indices:
        config["return_indices"] = pick.option("return_indices", False, True)
    shape = planes(pick, (4, 3, 2)[-axes:])
    return config, (pick.values("x", shape, kinks=(0.0, 1.0)),)


def _line(ask: Ask, axes: int, x: list[float], out: int, dy: Any = None, **config: Any) -> Told:
    """Answers for one plane that is long in its last axis only, to `out` outputs along it."""
    lead = (1,) * (axes - 1)
    if dy is not None:
        dy = np.reshape(dy, (1, *lead, out))
    plane = np.reshape(x, (1, *lead, len(x)))
    return ask(plane, output_size=(*lead, out), dy=dy, **config)


def _avg_claims(axes: int) -> tuple[Claim, ...]:
    return (
        Claim(
            "Window p of L' reads from ⌊p L/L'⌋ to ⌈(p + 1) L/L'⌉ - 1: windows may share elements.",
            lambda ask: same(_line(ask, axes, [1.0, 2.0, 6.0], 2).y.ravel(), [1.5, 4.0]),
        ),
        Claim(
            "There may be more outputs than inputs.",
            lambda ask: same(_line(ask, axes, [1.0, 3.0], 3).y.ravel(), [1.0, 2.0, 3.0]),
        ),
        Claim(
            "A gradient is divided by the size of its own window; what windows share adds up.",
            lambda ask: same(
                _line(ask, axes, [1.0, 2.0, 6.0, 0.0, 0.0], 2, dy=[3.0, 6.0]).dx.ravel(),
                [1.0, 1.0, 3.0, 2.0, 2.0],
            ),
        ),
        *_size_claims(axes),
    )


def _max_claims(axes: int) -> tuple[Claim, ...]:
    return (
        Claim(
            "Window p of L' reads from ⌊p L/L'⌋ to ⌈(p + 1) L/L'⌉ - 1: windows may share a "
            "maximum, which then gets the sum of their gradients.",
            lambda ask: same(
                _line(ask, axes, [1.0, 6.0, 2.0], 2, dy=[3.0, 4.0]).dx.ravel(), [0.0, 7.0, 0.0]
            ),
        ),
        Claim(
            "The gradient goes to the first of equal maxima.",
            lambda ask: same(_line(ask, axes, [2.0, 2.0], 1).dx.ravel(), [1.0, 0.0]),
        ),
        Claim(
            "A nan is larger than any number, and the last of several nans gets the gradient.",
            lambda ask: (
                same(_line(ask, axes, [nan, 1.0, nan, 2.0], 1).y.ravel(), [nan])
                and same(_line(ask, axes, [nan, 1.0, nan, 2.0], 1).dx.ravel(), [0.0, 0.0, 1.0, 0.0])
            ),
        ),
        Claim(
            "The indices of return_indices count through one plane from 0, the last axis fastest.",
            lambda ask: (
                ask(_planes(axes), output_size=1, return_indices=True).y[1].ravel().tolist()
                == [2**axes - 2, 1]
            ),
        ),
        *_size_claims(axes),
    )


def _planes(axes: int) -> Any:
    """Two planes of two elements along every axis, 0 but for one of each."""
    x = np.zeros((2, *(2,) * axes))
    x.reshape(2, -1)[0, 2**axes - 2] = x.reshape(2, -1)[1, 1] = 1.0
    return x


def _size_claims(axes: int) -> tuple[Claim, ...]:
    if axes == 1:
        return ()
    lead = (1,) * (axes - 2)
    return (
        Claim(
            "None in output_size leaves an axis as long as it is.",
            lambda ask: (
                ask(np.zeros((1, *lead, 3, 2)), output_size=(*lead, None, 1)).y.shape
                == (1, *lead, 3, 1)
            ),
        ),
        Claim(
            "One number stands for every axis; of several, the last is that of the columns.",
            lambda ask: (
                ask(np.zeros((1, *(4,) * axes)), output_size=2).y.shape == (1, *(2,) * axes)
                and ask(np.zeros((1, *lead, 4, 4)), output_size=(*lead, 1, 3)).y.shape
                == (1, *lead, 1, 3)
            ),
        ),
    )


@spec(nn.AdaptiveAvgPool1d, split=lambda e: batch_of_planes(e, 1), claims=_avg_claims(1))
def AdaptiveAvgPool1d(pick: Pick) -> Drawn:
    return _pool(pick, 1, indices=False)


@spec(nn.AdaptiveAvgPool2d, split=lambda e: batch_of_planes(e, 2), claims=_avg_claims(2))
def AdaptiveAvgPool2d(pick: Pick) -> Drawn:
    return _pool(pick, 2, indices=False)


@spec(nn.AdaptiveAvgPool3d, split=lambda e: batch_of_planes(e, 3), claims=_avg_claims(3))
def AdaptiveAvgPool3d(pick: Pick) -> Drawn:
    return _pool(pick, 3, indices=False)


@spec(nn.AdaptiveMaxPool1d, split=lambda e: batch_of_planes(e, 1), claims=_max_claims(1))
def AdaptiveMaxPool1d(pick: Pick) -> Drawn:
    return _pool(pick, 1, indices=True)


@spec(nn.AdaptiveMaxPool2d, split=lambda e: batch_of_planes(e, 2), claims=_max_claims(2))
def AdaptiveMaxPool2d(pick: Pick) -> Drawn:
    return _pool(pick, 2, indices=True)


@spec(nn.AdaptiveMaxPool3d, split=lambda e: batch_of_planes(e, 3), claims=_max_claims(3))
def AdaptiveMaxPool3d(pick: Pick) -> Drawn:
    return _pool(pick, 3, indices=True)
