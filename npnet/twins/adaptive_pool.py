"""Twins of the adaptive pooling layers."""

from typing import Any

from torch import nn

from npnet.twins.pooling import batch_of_planes, planes
from npnet.twins.spec import Claim, Pick, same, spec
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


_AVG_CLAIMS = (
    Claim(
        "Window p of L' reads from ⌊p L/L'⌋ to ⌈(p + 1) L/L'⌉ - 1: windows may share elements.",
        lambda ask: same(ask([[1.0, 2.0, 6.0]], output_size=2).y, [[1.5, 4.0]]),
    ),
    Claim(
        "There may be more outputs than inputs.",
        lambda ask: same(ask([[1.0, 3.0]], output_size=3).y, [[1.0, 2.0, 3.0]]),
    ),
)
_MAX_CLAIMS = (
    Claim(
        "Window p of L' reads from ⌊p L/L'⌋ to ⌈(p + 1) L/L'⌉ - 1: windows may share a maximum, "
        "which then gets the sum of their gradients.",
        lambda ask: same(
            ask([[1.0, 6.0, 2.0]], output_size=2, dy=[[3.0, 4.0]]).dx, [[0.0, 7.0, 0.0]]
        ),
    ),
    Claim(
        "The gradient goes to the first of equal maxima.",
        lambda ask: same(ask([[2.0, 2.0]], output_size=1).dx, [[1.0, 0.0]]),
    ),
)
_NONE_CLAIM = Claim(
    "None in output_size leaves an axis as long as it is.",
    lambda ask: same(ask([[[1.0, 3.0], [5.0, 5.0]]], output_size=(None, 1)).y.shape, [1, 2, 1]),
)


@spec(nn.AdaptiveAvgPool1d, split=lambda e: batch_of_planes(e, 1), claims=_AVG_CLAIMS)
def AdaptiveAvgPool1d(pick: Pick) -> Drawn:
    return _pool(pick, 1, indices=False)


@spec(nn.AdaptiveAvgPool2d, split=lambda e: batch_of_planes(e, 2), claims=(_NONE_CLAIM,))
def AdaptiveAvgPool2d(pick: Pick) -> Drawn:
    return _pool(pick, 2, indices=False)


@spec(nn.AdaptiveAvgPool3d, split=lambda e: batch_of_planes(e, 3))
def AdaptiveAvgPool3d(pick: Pick) -> Drawn:
    return _pool(pick, 3, indices=False)


@spec(nn.AdaptiveMaxPool1d, split=lambda e: batch_of_planes(e, 1), claims=_MAX_CLAIMS)
def AdaptiveMaxPool1d(pick: Pick) -> Drawn:
    return _pool(pick, 1, indices=True)


@spec(nn.AdaptiveMaxPool2d, split=lambda e: batch_of_planes(e, 2), claims=(_NONE_CLAIM,))
def AdaptiveMaxPool2d(pick: Pick) -> Drawn:
    return _pool(pick, 2, indices=True)


@spec(nn.AdaptiveMaxPool3d, split=lambda e: batch_of_planes(e, 3))
def AdaptiveMaxPool3d(pick: Pick) -> Drawn:
    return _pool(pick, 3, indices=True)
