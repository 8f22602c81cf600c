"""Twins of the autograd tensor's changes of shape, of its indices, softmax and cross entropy."""

from collections.abc import Callable, Mapping
from math import log, nan
from typing import Any

import torch
from torch import nn

from npnet.twins import crossentropy
from npnet.twins.activation import SHAPES, at_minus_infinity
from npnet.twins.autograd import operation
from npnet.twins.spec import Claim, Pick, same
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

# ---- the same numbers in another shape -----------------------------------------------------------

_EXPANDED = (
    ((1,), (3,)),
    ((3,), (2, 3)),
    ((2, 1, 3), (2, 4, 3)),
    ((2, 1), (3, -1, 2)),
    ((), (2, 2)),
    ((1, 1), (2, 3)),
    ((2, 3), (2, 3)),
    ((2, 3), (-1, -1)),
    ((1,), (0,)),
    ((0, 1), (2, 0, 3)),
    ((1, 3, 1), (2, 1, 3, 2)),
    ((), ()),
    ((1,), (130,)),
)


@operation(
    lambda x, shape: x.expand(shape),
    exact=True,
    claims=(
        Claim(
            "The gradient is the sum over the copies.",
            lambda ask: same(ask([[1.0], [2.0]], shape=(3, 2, 2)).dx, [[6.0], [6.0]]),
        ),
        Claim(
            "-1 leaves an axis as it is.",
            lambda ask: ask([[1.0], [2.0]], shape=(-1, 3)).y.shape == (2, 3),
        ),
    ),
)
def expand(pick: Pick) -> Drawn:
    before, after = pick.option("shapes", *_EXPANDED)
    return {"shape": after}, (pick.values("x", before),)


_RESHAPED = (
    ((2, 3), (3, 2)),
    ((2, 3), (-1,)),
    ((2, 3), (6, 1)),
    ((6,), (2, -1)),
    ((2, 3, 2), (4, 3)),
    ((2, 3, 2), (-1, 2, 1, 2)),
    ((1, 1), ()),
    ((), (1, 1)),
    ((0, 3), (3, 0)),
    ((0,), (2, 0)),
    ((4,), (4,)),
    ((43, 3), (-1, 43)),
)


@operation(
    lambda x, shape: x.reshape(shape),
    exact=True,
    claims=(
        Claim(
            "The last axis varies fastest, before and after.",
            lambda ask: same(
                ask([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], shape=(3, 2)).y,
                [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
            ),
        ),
    ),
)
def reshape(pick: Pick) -> Drawn:
    before, after = pick.option("shapes", *_RESHAPED)
    return {"shape": after}, (pick.values("x", before),)


_TRANSPOSED = (
    ((2, 3), ()),
    ((2, 3), (1, 0)),
    ((2, 3), (0, 1)),
    ((2, 3, 4), ()),
    ((2, 3, 4), (1, 2, 0)),
    ((2, 3, 4), (2, 0, 1)),
    ((2, 3, 4), (0, -1, 1)),
    ((2, 2, 2), (-2, -1, -3)),
    ((3,), ()),
    ((), ()),
    ((2, 0, 3), (1, 2, 0)),
    ((1, 2, 3, 4), (3, 1, 0, 2)),
    ((2, 2, 2, 2), (1, 2, 3, 0)),
    ((3, 43), ()),
)


@operation(
    lambda x, axes=(): x.permute(axes or tuple(reversed(range(x.ndim)))),
    exact=True,
    claims=(
        Claim(
            "It takes all axes, in their new order, as torch.permute does; reversed without any.",
            lambda ask: (
                ask([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], axes=(1, 2, 0)).y.shape == (2, 3, 1)
                and ask([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]).y.shape == (3, 2, 1)
            ),
        ),
        Claim(
            "The gradient is put back into the order before.",
            lambda ask: same(
                ask([[[1.0], [2.0]]], axes=(1, 2, 0), dy=[[[5.0]], [[7.0]]]).dx, [[[5.0], [7.0]]]
            ),
        ),
    ),
)
def transpose(pick: Pick) -> Drawn:
    shape, axes = pick.option("shape and axes", *_TRANSPOSED)
    return {"axes": axes}, (pick.values("x", shape),)


# ---- elements and slices -------------------------------------------------------------------------

_ALL = slice(None)


def _places(pick: Pick, n: int, *shape: int) -> Values:
    """Indices of an axis of size n, from the front and from the back, with repeats."""
    return pick.values(f"indices of {n}", shape, kind="index", high=n, extra=(-1, -n))


_AT: Mapping[str, Callable[[Pick, int, int], Any]] = {
    "x[0]": lambda pick, n, m: 0,
    "x[-1]": lambda pick, n, m: -1,
    "x[1:]": lambda pick, n, m: slice(1, None),
    "x[::2]": lambda pick, n, m: slice(None, None, 2),
    "x[-2:-1]": lambda pick, n, m: slice(-2, -1),
    "x[0:0]": lambda pick, n, m: slice(0, 0),
    "x[:, -1]": lambda pick, n, m: (_ALL, -1),
    "x[..., 0]": lambda pick, n, m: (Ellipsis, 0),
    "x[..., ::2]": lambda pick, n, m: (Ellipsis, slice(None, None, 2)),
    "x[None, 0]": lambda pick, n, m: (None, 0),
    "x[1:, None, 0]": lambda pick, n, m: (slice(1, None), None, 0),
    "x[0, -1]": lambda pick, n, m: (0, -1),
    "x[i]": lambda pick, n, m: _places(pick, n, 4),
    "x[i] of two axes": lambda pick, n, m: _places(pick, n, 2, 3),
    "x[i] of no axes": lambda pick, n, m: _places(pick, n),
    "x[i, j]": lambda pick, n, m: (_places(pick, n, 5), _places(pick, m, 5)),
    "x[i[:, None], j]": lambda pick, n, m: (_places(pick, n, 2, 1), _places(pick, m, 3)),
    "x[:, j]": lambda pick, n, m: (_ALL, _places(pick, m, 5)),
    "x[1:, j]": lambda pick, n, m: (slice(1, None), _places(pick, m, 3)),
    "x[None, i, -1:]": lambda pick, n, m: (None, _places(pick, n, 3), slice(-1, None)),
    "x[i, None, j]": lambda pick, n, m: (_places(pick, n, 3), None, _places(pick, m, 3)),
    "x[i, 0]": lambda pick, n, m: (_places(pick, n, 4), 0),
    "x[mask]": lambda pick, n, m: [k % 2 == 0 for k in range(n)],
    "x[:, mask]": lambda pick, n, m: (_ALL, [k % 3 != 0 for k in range(m)]),
}


@operation(
    lambda x, at: x[at],
    exact=True,
    claims=(
        Claim(
            "A place that is taken several times has the sum of the gradients.",
            lambda ask: same(
                ask([1.0, 2.0, 3.0], [0, 2, 0], dy=[1.0, 10.0, 100.0]).dx, [101.0, 0.0, 10.0]
            ),
        ),
        Claim(
            "Two arrays of indices are taken in pairs, not as rows and columns.",
            lambda ask: same(ask([[1.0, 2.0], [3.0, 4.0]], ([0, 1], [0, 1])).y, [1.0, 4.0]),
        ),
        Claim(
            "An axis between two arrays of indices comes after theirs.",
            lambda ask: (
                ask([[[1.0], [2.0]]] * 3, ([0, 1, 2, 0], slice(None), [0] * 4)).y.shape == (4, 2)
            ),
        ),
    ),
)
def index(pick: Pick) -> Drawn:
    n, m = pick.size("first axis"), pick.size("second axis")
    rest = pick.option("other axes", (), (2,), (2, 2), (0,))
    way = pick.option("at", *_AT)
    if way == "x[..., 0]" and rest == (0,):
        rest = pick.instead("other axes", (), because="at")
    at = _AT[way](pick, n, m)
    return {}, (pick.values("x", (n, m, *rest)), at)


@operation(
    lambda x, indices, axis: torch.index_select(x, axis, indices),
    exact=True,
    claims=(
        Claim(
            "A slice that is taken several times has the sum of the gradients.",
            lambda ask: same(
                ask(
                    [[1.0, 2.0]], kwargs={"indices": [1, 1, 0]}, dy=[[1.0, 10.0, 100.0]], axis=1
                ).dx,
                [[100.0, 11.0]],
            ),
        ),
        Claim(
            "The axis stays in its place, as long as there are indices.",
            lambda ask: (
                ask([[1.0], [2.0]], kwargs={"indices": [0, 1, 1]}, axis=0).y.shape == (3, 1)
            ),
        ),
    ),
)
def index_select(pick: Pick) -> Drawn:
    shape = [pick.size(f"axis {i}") for i in range(pick.option("axes", 2, 1, 3))]
    axis = pick.option("axis", 0, -1, 1, -2)
    if not -len(shape) <= axis < len(shape):
        axis = pick.instead("axis", 0, because="axes")
    count = pick.option("indices", 3, 1, 6, 0)
    chosen = pick.values("which", (count,), kind="index", high=shape[axis])
    return {"axis": axis}, (pick.values("x", shape),), {"indices": chosen}


# ---- through layers ------------------------------------------------------------------------------

_ROWS = ((2, 3, 2), (2, 3), (3, 2, 1, 2), (3, 2), (2, 3, 3))


@operation(
    lambda x, axis=-1: torch.softmax(x, axis),
    claims=(
        Claim(
            "Without an axis it is the last one, not the first as of nn.Softmax.",
            lambda ask: same(ask([[[0.0, log(3)]]] * 2).y, [[[0.25, 0.75]]] * 2),
        ),
        Claim(
            "It does not change where the same number is added to all.",
            lambda ask: same(ask([1000.0, 1000.0]).y, [0.5, 0.5]),
        ),
        Claim(
            "Where everything is -inf it is nan.",
            lambda ask: same(at_minus_infinity(ask, 2), [nan, nan]),
        ),
    ),
)
def softmax(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_ROWS, *SHAPES)
    axis = pick.option("axis", -1, 0, 1, -2)
    axes = max(len(shape), 1)
    if not -axes <= axis < axes:
        axis = pick.instead("axis", -1, because="shape")
    return {"axis": axis}, (pick.values("x", shape),)


@operation(
    nn.CrossEntropyLoss,
    positive={"weight"},
    claims=(
        Claim(
            "It takes what goes into the softmax, and labels or probabilities.",
            lambda ask: (
                same(ask([[0.0, 0.0]], [1]).dx, [[0.5, -0.5]])
                and same(ask([[0.0, 0.0]], [[0.0, 1.0]]).dx, [[0.5, -0.5]])
            ),
        ),
        Claim(
            "A target of probabilities has a gradient as well.",
            lambda ask: same(
                ask([[0.0, 0.0]], [[0.0, 1.0]]).dxs[1], [[0.6931471805599453, 0.6931471805599453]]
            ),
        ),
    ),
)
def cross_entropy(pick: Pick) -> Drawn:
    return crossentropy.CrossEntropyLoss.draw(pick)
