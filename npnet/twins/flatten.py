"""Twins of the changes of shape, and of none at all."""

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.spec import Drawn


@spec(
    nn.Flatten,
    exact=True,
    claims=(
        Claim(
            "By default the first axis stays: it is the batch.",
            lambda ask: ask([[[1.0], [2.0]]] * 3).y.shape == (3, 2),
        ),
        Claim(
            "end_dim is one of the axes that are made into one, other than in a slice.",
            lambda ask: ask([[[[1.0]] * 2] * 3], start_dim=0, end_dim=1).y.shape == (3, 2, 1),
        ),
        Claim(
            "The last axis varies fastest, as in C.",
            lambda ask: same(ask([[[1.0, 2.0], [3.0, 4.0]]]).y, [[1.0, 2.0, 3.0, 4.0]]),
        ),
    ),
)
def Flatten(pick: Pick) -> Drawn:
    shape = pick.option("shape", (2, 3), (2, 3, 2), (3,), (2, 1, 3, 2), (1, 1), (2, 0, 3), (0, 2))
    start = pick.option("start_dim", 1, 0, 2, -1, -2)
    axes = len(shape)
    if not -axes <= start < axes:
        start = pick.instead("start_dim", 0, because="shape")
    end = pick.option("end_dim", -1, 1, 2, -2)
    if not -axes <= end < axes or end % axes < start % axes:
        pick.instead("end_dim", -1, because="shape")
        end = pick.instead("end_dim", -1, because="start_dim")
    return {"start_dim": start, "end_dim": end}, (pick.values("x", shape),)


_SIZES = ((2, 2), (3, -1), (-1,), (1, -1, 2), (4,), (-1, 2), (2, 0), (5, 1, 1))


@spec(
    nn.Unflatten,
    claims=(
        Claim(
            "The last of the new axes varies fastest.",
            lambda ask: same(
                ask([0.0, 1.0, 2.0, 3.0], dim=0, unflattened_size=(2, 2)).y,
                [[0.0, 1.0], [2.0, 3.0]],
            ),
        ),
        Claim(
            "One of the sizes may be -1, what is left; they have to multiply up to the axis.",
            lambda ask: (
                ask([[0.0] * 6], dim=1, unflattened_size=(2, -1)).y.shape == (1, 2, 3)
                and refuses(lambda: ask([[0.0] * 6], dim=1, unflattened_size=(2, 4)))
            ),
        ),
        Claim(
            "dim may be negative; the new axes stand where the old one stood.",
            lambda ask: ask([[[0.0]] * 4], dim=-2, unflattened_size=(2, 2)).y.shape == (1, 2, 2, 1),
        ),
    ),
)
def Unflatten(pick: Pick) -> Drawn:
    sizes = pick.option("unflattened_size", *_SIZES)
    n = pick.size("left") if -1 in sizes else 1
    for s in sizes:
        n *= 1 if s == -1 else s
    before = pick.option("before", (2,), (), (1,), (3, 2), (0,))
    after = pick.option("after", (), (2,), (1, 3))
    axis = len(before)
    if pick.option("counted from", "front", "back") == "back":
        axis -= len(before) + 1 + len(after)
    return {"dim": axis, "unflattened_size": sizes}, (pick.values("x", (*before, n, *after)),)


@spec(
    nn.Identity,
    claims=(
        Claim(
            "It takes any arguments, and they mean nothing.",
            lambda ask: same(ask([1.0, 2.0], p=0.5, training=True).y, [1.0, 2.0]),
        ),
        Claim(
            "x and the gradient pass as they are, in any shape, of one element too.",
            lambda ask: (
                same(ask([[-3.0]]).y, [[-3.0]]) and same(ask([[-3.0]], dy=[[2.0]]).dx, [[2.0]])
            ),
        ),
    ),
)
def Identity(pick: Pick) -> Drawn:
    config = {"p": 0.5} if pick.option("arguments", "none", "one") == "one" else {}
    return config, (
        pick.values("x", pick.option("shape", (3,), (2, 3), (), (1,), (0,), (2, 1, 3))),
    )
