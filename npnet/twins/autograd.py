"""Twins of the autograd tensor's arithmetic; how the twin of an operation is declared.

Every operation is a module whose arguments are the options of the tensor's method.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, nan
from typing import Any

import torch
from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn, Spec

MODULES: dict[str, type[nn.Module]] = {}
"""The module of every operation, by the name of its spec."""


class _Operation(nn.Module):
    """A function of tensors and options as a module."""

    function: Callable[..., torch.Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, *tensors: Any, **more: Any) -> torch.Tensor:
        """The function of these tensors."""
        return type(self).function(*tensors, **more, **self.options)


def operation(
    does: Callable[..., Any], claims: Sequence[Claim] = (), **how: Any
) -> Callable[[Callable[[Pick], Drawn]], Spec]:
    """Turn `def name(pick)` into the spec "autograd.name".

    does: a function of tensors and options, or a module
    """

    def decorate(draw: Callable[[Pick], Drawn]) -> Spec:
        name = f"autograd.{draw.__name__.rstrip('_')}"
        module: type[nn.Module] = (
            does
            if isinstance(does, type)
            else type(draw.__name__, (_Operation,), {"function": staticmethod(does)})
        )
        MODULES[name] = module
        return replace(spec(module, claims=claims, **how)(draw), name=name)

    return decorate


# ---- arithmetic ----------------------------------------------------------------------------------

SHAPES = (
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 3), (2, 1)),
    ((2, 1), (2, 3)),
    ((2, 1), (1, 3)),
    ((1, 1), (3, 2)),
    ((2, 3), ()),
    ((), (2, 3)),
    ((), ()),
    ((4,), (4,)),
    ((3, 1, 2), (2, 1)),
    ((4, 1), (3, 1, 2)),
    ((2, 3, 1, 2), (3, 4, 1)),
    ((1,), (1, 1, 1)),
    ((1,), ()),
    ((), (1,)),
    ((0,), (1,)),
    ((1,), (0,)),
    ((2, 0), (2, 1)),
    ((3, 1), (0,)),
    ((129, 1), (3,)),
)
"""Shapes that broadcast: axes that are missing, of size 1 and of size 0, on either side."""
_NUMBERS = (2.0, 0.5, -3.0, 1, 0.375)


def _operands(pick: Pick, **how: Any) -> Drawn:
    a, b = pick.option("shapes", *SHAPES)
    x = pick.values("x", a)
    if pick.option("other", "tensor", "tensor", "tensor", "number") == "number":
        return {}, (x, pick.choose("number", _NUMBERS))
    return {}, (x, pick.values("y", b, **how))


@operation(
    torch.add,
    exact=True,
    claims=(
        Claim(
            "What is broadcast has the sum of the gradients of its copies.",
            lambda ask: same(ask([[1.0, 2.0], [3.0, 4.0]], 1.0).dxs[1], 4.0),
        ),
        Claim(
            "Shapes are aligned at their ends: (2,) and (2, 1) give (2, 2).",
            lambda ask: same(ask([1.0, 2.0], [[10.0], [20.0]]).y, [[11.0, 12.0], [21.0, 22.0]]),
        ),
    ),
)
def add(pick: Pick) -> Drawn:
    return _operands(pick)


@operation(
    torch.sub,
    exact=True,
    claims=(
        Claim(
            "The gradient of what is subtracted is minus that of y, summed over its copies.",
            lambda ask: same(ask([1.0, 2.0], [[3.0]]).dxs[1], [[-2.0]]),
        ),
    ),
)
def sub(pick: Pick) -> Drawn:
    return _operands(pick)


@operation(
    torch.mul,
    exact=True,
    claims=(
        Claim(
            "It is no product of matrices: every element with the one in its place.",
            lambda ask: same(
                ask([[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]]).y, [[0.0, 2.0], [3.0, 0.0]]
            ),
        ),
        Claim(
            "The gradient of a factor is summed after it is multiplied by the other one.",
            lambda ask: same(ask([2.0], [3.0, 5.0], dy=[1.0, 10.0]).dx, [53.0]),
        ),
    ),
)
def mul(pick: Pick) -> Drawn:
    return _operands(pick)


@operation(
    torch.div,
    claims=(
        Claim(
            "A number divided by 0 is infinite, 0 divided by 0 is nan; nothing is raised.",
            lambda ask: same(ask([1.0, -1.0, 0.0], [0.0]).y, [inf, -inf, nan]),
        ),
        Claim(
            "The gradient of the divisor is -x / y².",
            lambda ask: same(ask([3.0], [2.0]).dxs[1], [-0.75]),
        ),
    ),
)
def div(pick: Pick) -> Drawn:
    return _operands(pick, kind=pick.option("divisors", "positive", "real"))


@operation(
    torch.pow,
    families=("normal", "integers", "powers", "ties", "rows", "tiny", "offset", "magnitudes"),
    claims=(
        Claim(
            "0 to the power 0 is 1, and neither has a gradient.",
            lambda ask: (
                same(ask([0.0], [0.0]).y, [1.0]) and same(ask([0.0], [0.0]).dxs, [[0.0], [0.0]])
            ),
        ),
        Claim(
            "The gradient of an exponent is 0 where the base is 0 and the exponent is positive.",
            lambda ask: same(ask([0.0], [2.0]).dxs[1], [0.0]),
        ),
        Claim(
            "A negative base has a power where the exponent is an integer, else nan.",
            lambda ask: (
                same(ask([-2.0], 3).y, [-8.0])
                and same(ask([-2.0], 3).dx, [12.0])
                and same(ask([-2.0], 0.5).y, [nan])
            ),
        ),
        Claim(
            "The slope of a root at 0 is infinite.",
            lambda ask: same(ask([0.0], 0.5).dx, [inf]),
        ),
    ),
)
def pow_(pick: Pick) -> Drawn:
    a, b = pick.option("shapes", *SHAPES)
    exponent = pick.option("exponent", *("tensor",) * 6, 2, 3, -1, 0, 1, 0.5, -2, 2.5, 4.0, -0.5, 7)
    base = pick.option("base", "positive", "nonnegative")
    if exponent == "tensor":
        return {}, (pick.values("x", a, kind=base), pick.values("y", b))
    return {}, (pick.values("x", a, kind=base if exponent % 1 else "real"), exponent)


_BATCHES = (
    ((), ()),
    ((2,), (2,)),
    ((2,), ()),
    ((), (3,)),
    ((1,), (3,)),
    ((2,), (1,)),
    ((3, 1), (2,)),
    ((2,), (3, 1)),
    ((1, 2), (3, 1)),
    ((0,), ()),
    ((2, 0), (1,)),
)


@operation(
    torch.matmul,
    exact=True,
    claims=(
        Claim(
            "A vector is a row on the left and a column on the right; y has no axis of it.",
            lambda ask: (
                ask([1.0, 2.0], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).y.shape == (3,)
                and ask([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [1.0, 2.0, 3.0]).y.shape == (2,)
                and ask([1.0, 2.0], [3.0, 4.0]).y.shape == ()
            ),
        ),
        Claim(
            "Matrices are the last two axes; those before are broadcast, and gradients summed.",
            lambda ask: same(ask([[[1.0]], [[2.0]], [[3.0]]], [[5.0]]).dxs[1], [[6.0]]),
        ),
    ),
)
def matmul(pick: Pick) -> Drawn:
    vectors = pick.option("vectors", "none", "none", "left", "right", "both")
    left, right = pick.option("batches", *_BATCHES)
    inner = 0 if pick.option("inner axis", *("some",) * 9, "none") == "none" else pick.size("inner")
    rows, columns = pick.size("rows"), pick.size("columns")
    a = (inner,) if vectors in ("left", "both") else (*left, rows, inner)
    b = (inner,) if vectors in ("right", "both") else (*right, inner, columns)
    return {}, (pick.values("x", a), pick.values("y", b))
