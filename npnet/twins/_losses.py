"""What the specs of losses share: how losses are reduced, and shapes that broadcast."""

from math import nan
from typing import Any

import numpy as np

from npnet.twins.spec import Claim, Pick, same
from npnet.verify.draw import Values

Shape = tuple[int, ...]

PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((2, 3), (2, 3)),
    ((3,), (3,)),
    ((), ()),
    ((2, 3), (3,)),
    ((2, 1), (2, 3)),
    ((1,), (2, 2)),
    ((2, 3, 2), (2, 3, 2)),
    ((0, 3), (0, 3)),
    ((33,), (33,)),
)


OF_NOTHING = Claim(
    "The mean of no elements is nan, their sum 0.",
    lambda ask: (
        same(ask(np.zeros((0, 2)), np.zeros((0, 2))).y, nan)
        and same(ask(np.zeros((0, 2)), np.zeros((0, 2)), reduction="sum").y, 0.0)
    ),
)
BROADCAST = Claim(
    "Shapes broadcast, (N, 1) and (N,) to (N, N) too, and the mean is over the elements of the "
    "common shape.",
    lambda ask: (
        ask([[1.0], [2.0]], [0.0, 4.0], reduction="none").y.shape == (2, 2)
        and same(ask([[1.0], [2.0]], [0.0, 0.0]).y, ask([1.0, 2.0], [0.0, 0.0]).y)
    ),
)


def reduction(pick: Pick, *more: str) -> dict[str, Any]:
    """How losses are reduced; the two deprecated arguments overrule the third."""
    return {
        "size_average": pick.option("size_average", None, None, True, False),
        "reduce": pick.option("reduce", None, None, True, False),
        "reduction": pick.option("reduction", "mean", "sum", "none", *more),
    }


def in_order(config: dict[str, Any], *names: str) -> dict[str, Any]:
    """The arguments in the order of torch's constructor."""
    return {name: config[name] for name in names}


def integers(pick: Pick, name: str, shape: Shape, high: int = 6) -> Values:
    """A target of integers, which has no gradient."""
    return pick.values(name, shape, kind="index", high=high)


def either_kind(pick: Pick, name: str, shape: Shape, *kinks: float) -> Values:
    """A target of numbers or, now and then, of integers."""
    if pick.option("dtype of the target", "floating", "floating", "int64") == "int64":
        return integers(pick, name, shape)
    return pick.values(name, shape, kinks=kinks or (0.0,))
