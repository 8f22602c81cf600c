"""Twins of the autograd tensor's functions of one tensor, and of its reductions."""

from collections.abc import Sequence
from math import copysign, inf, nan
from typing import Any

import torch

from npnet.twins.autograd import operation
from npnet.twins.spec import Claim, Pick, refuses, same
from npnet.verify.spec import Drawn

# ---- functions -----------------------------------------------------------------------------------

_FORMS = ((2, 3), (3,), (), (2, 3, 2), (1,), (0,), (2, 0, 3), (1, 4, 1), (7,), (129,), (3, 11))


def _unary(pick: Pick, **how: Any) -> Drawn:
    return {}, (pick.values("x", pick.option("shape", *_FORMS), **how),)


@operation(
    torch.neg,
    exact=True,
    claims=(
        Claim(
            "The gradient is minus that of y.",
            lambda ask: same(ask([2.0, 0.0], dy=[3.0, 5.0]).dx, [-3.0, -5.0]),
        ),
    ),
)
def neg(pick: Pick) -> Drawn:
    return _unary(pick)


@operation(
    torch.exp,
    claims=(
        Claim(
            "The gradient is dy times y.",
            lambda ask: same(ask([0.0], dy=[3.0]).dx, [3.0]),
        ),
    ),
)
def exp(pick: Pick) -> Drawn:
    return _unary(pick)


@operation(
    torch.log,
    claims=(
        Claim(
            "It is the natural logarithm: -inf at 0, nan below.",
            lambda ask: same(ask([1.0, 0.0, -1.0]).y, [0.0, -inf, nan]),
        ),
        Claim(
            "The gradient is 1 / x wherever, infinite at 0.",
            lambda ask: same(ask([4.0, 0.0, -2.0]).dx, [0.25, inf, -0.5]),
        ),
    ),
)
def log(pick: Pick) -> Drawn:
    return _unary(pick, kind=pick.option("domain", "positive", "nonnegative", "positive", "real"))


@operation(
    torch.sigmoid,
    claims=(
        Claim(
            "It is 0 and 1 far from 0, and its gradient is 0 there.",
            lambda ask: (
                same(ask([-1e4, 0.0, 1e4]).y, [0.0, 0.5, 1.0])
                and same(ask([-1e4, 0.0, 1e4]).dx, [0.0, 0.25, 0.0])
            ),
        ),
    ),
)
def sigmoid(pick: Pick) -> Drawn:
    return _unary(pick)


@operation(
    torch.tanh,
    claims=(
        Claim(
            "The gradient is 1 - y².",
            lambda ask: same(ask([0.0, 1.0]).dx, [1.0, 0.41997434161402614]),
        ),
    ),
)
def tanh(pick: Pick) -> Drawn:
    return _unary(pick)


@operation(
    torch.relu,
    claims=(
        Claim(
            "The gradient at 0 is 0, at -0 too.",
            lambda ask: same(ask([-1.0, 0.0, -0.0, 2.0]).dx, [0.0, 0.0, 0.0, 1.0]),
        ),
        Claim(
            "A nan stays nan and lets the gradient pass.",
            lambda ask: same(ask([nan]).y, [nan]) and same(ask([nan], dy=[3.0]).dx, [3.0]),
        ),
        Claim(
            "-0 stays -0.",
            lambda ask: copysign(1.0, ask([-0.0]).y[0]) == -1.0,
        ),
    ),
)
def relu(pick: Pick) -> Drawn:
    return _unary(pick)


# ---- reductions ----------------------------------------------------------------------------------

_REDUCED = (
    (2, 3),
    (3,),
    (2, 3, 2),
    (),
    (1,),
    (2, 1, 3),
    (0,),
    (2, 0),
    (2, 2, 3, 2),
    (129,),
    (3, 33),
)
_AXES = (None, 0, -1, 1, (0, 1), (-1, 0), (1,), (2, 0), -2, (0, -2))


def _reduced(pick: Pick, shapes: Sequence[tuple[int, ...]] = _REDUCED) -> Drawn:
    shape = pick.option("shape", *shapes)
    axis = pick.option("axis", *_AXES)
    several = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    axes = len(shape)
    inside = all(-axes <= i < axes for i in several)
    if not inside or len({i % axes for i in several}) < len(several):
        axis = pick.instead("axis", None, because="shape")
    config = {"axis": axis, "keepdims": pick.option("keepdims", False, True)}
    return config, (pick.values("x", shape),)


@operation(
    lambda x, axis=None, keepdims=False: torch.sum(x, axis, keepdims),
    exact=True,
    claims=(
        Claim(
            "Without an axis it is the sum of everything; keepdims leaves axes of size 1.",
            lambda ask: (
                same(ask([[1.0, 2.0], [3.0, 4.0]]).y, 10.0)
                and same(ask([[1.0, 2.0], [3.0, 4.0]], axis=1, keepdims=True).y, [[3.0], [7.0]])
            ),
        ),
        Claim(
            "The sum of nothing is 0.",
            lambda ask: same(ask([]).y, 0.0),
        ),
    ),
)
def sum_(pick: Pick) -> Drawn:
    return _reduced(pick)


@operation(
    lambda x, axis=None, keepdims=False: torch.mean(x, axis, keepdims),
    claims=(
        Claim(
            "The gradient is divided by the number of elements that one mean is taken over.",
            lambda ask: same(
                ask([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], axis=1).dx, [[0.5, 0.5]] * 3
            ),
        ),
        Claim(
            "The mean of nothing is nan.",
            lambda ask: same(ask([]).y, nan),
        ),
    ),
)
def mean(pick: Pick) -> Drawn:
    return _reduced(pick)


@operation(
    lambda x, axis=None, keepdims=False: torch.amax(x, () if axis is None else axis, keepdims),
    claims=(
        Claim(
            "Equal maxima share the gradient in equal parts, as those of torch.amax do.",
            lambda ask: same(ask([1.0, 3.0, 3.0]).dx, [0.0, 0.5, 0.5]),
        ),
        Claim(
            "With an axis it returns the values alone, no indices.",
            lambda ask: same(ask([[1.0, 3.0], [4.0, 2.0]], axis=1).y, [3.0, 4.0]),
        ),
        Claim(
            "There is no largest of nothing: it raises an error.",
            lambda ask: refuses(lambda: ask([])),
        ),
    ),
)
def max_(pick: Pick) -> Drawn:
    config, (x,) = _reduced(pick)
    axis = config["axis"]
    several = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(x.shape[i] == 0 for i in several):
        x = pick.values("x", pick.instead("shape", (2, 3, 2)[: len(x.shape)], because="axis"))
    return config, (x,)
