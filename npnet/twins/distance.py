"""Twins of the distances and similarities of vectors."""

from math import inf, sqrt

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn

_PAIRS = (
    ((2, 3), (2, 3)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2, 3), (2, 1)),
    ((2, 1), (2, 3)),
    ((2, 3, 2), (2, 3, 2)),
    ((2, 3, 2), (1, 2)),
    ((1, 3), (2, 3)),
    ((), ()),
    ((0, 3), (0, 3)),
    ((2, 0), (2, 0)),
    ((33,), (33,)),
    ((2, 4), (2, 4)),
)


@spec(
    nn.CosineSimilarity,
    claims=(
        Claim(
            "Norms below eps count as eps, each by itself; the gradient at 0 is finite.",
            lambda ask: (
                same(ask([[0.0, 0.0]], [[3.0, 4.0]], eps=0.5).y, [0.0])
                and same(ask([[0.0, 0.0]], [[3.0, 4.0]], eps=0.5).dx, [[1.2, 1.6]])
            ),
        ),
        Claim(
            "eps is 1e-8 by default, and the gradient at 0 as large as its inverse.",
            lambda ask: (
                same(ask([[0.0, 0.0]], [[3.0, 4.0]], eps=1e-8).dx[0] * 1e-8, [0.6, 0.8])
                and same(ask([[0.0, 0.0]], [[3.0, 4.0]]).dx[0] * 1e-8, [0.6, 0.8])
            ),
        ),
        Claim(
            "The gradient does not see that a norm was raised to eps.",
            lambda ask: same(ask([[0.25, 0.0]], [[1.0, 0.0]], eps=0.5).dx, [[1.0, 0.0]]),
        ),
        Claim(
            "The default axis is 1, not the last.",
            lambda ask: same(ask([[[1.0], [1.0]]], [[[1.0], [1.0]]]).y, [[1.0]]),
        ),
        Claim(
            "It is a similarity, 1 for what has one direction, and no distance.",
            lambda ask: same(
                ask([[1.0, 0.0]] * 3, [[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]]).y, [1.0, 0.0, -1.0]
            ),
        ),
    ),
)
def CosineSimilarity(pick: Pick) -> Drawn:
    a, b = pick.option("shapes", *_PAIRS)
    dim = pick.option("dim", 1, -1, 0, -2)
    axes = max(len(a), len(b), 1)
    if not -axes <= dim < axes:
        dim = pick.instead("dim", -1, because="shapes")
    config = {"dim": dim, "eps": pick.option("eps", 2.0**-20, 0.5, 2.0**-10, 2.0)}
    return config, (pick.values("x1", a), pick.values("x2", b))


@spec(
    nn.PairwiseDistance,
    read={"p": lambda module: module.norm},
    claims=(
        Claim(
            "eps is added to every difference: x is ‖eps‖ away from itself.",
            lambda ask: (
                same(ask([1.0, 1.0], [1.0, 1.0], eps=0.5).y, sqrt(0.5))
                and same(ask([1.0, 1.0], [1.0, 1.0], eps=0.5).dx, [sqrt(0.5), sqrt(0.5)])
            ),
        ),
        Claim(
            "The distance is along the last axis: rows are held against rows, not all against all.",
            lambda ask: same(
                ask([[0.0, 3.0], [1.0, 1.0]], [[4.0, 0.0], [1.0, 1.0]], eps=0.0).y, [5.0, 0.0]
            ),
        ),
        Claim(
            "Without eps the gradient of a distance of 0 is 0.",
            lambda ask: same(ask([1.0, 1.0], [1.0, 1.0], eps=0.0).dx, [0.0, 0.0]),
        ),
        Claim(
            "With p=inf, components that tie for the largest share the gradient evenly.",
            lambda ask: same(ask([2.0, -2.0, 1.0], [0.0], p=inf, eps=0.0).dx, [0.5, -0.5, 0.0]),
        ),
    ),
)
def PairwiseDistance(pick: Pick) -> Drawn:
    a, b = pick.option("shapes", *_PAIRS)
    p = pick.option("p", 2.0, 1.0, inf, 3.0, 1.5, 0.5, 0.0, -inf, -1.0)
    if b[-1:] == (0,) and (p < 0 or p == inf):
        p = pick.instead("p", 2.0, because="shapes")
    config = {
        "p": p,
        "eps": pick.option("eps", 2.0**-20, 0.0, 0.25, 1.0),
        "keepdim": pick.option("keepdim", False, True),
    }
    return config, (pick.values("x1", a), pick.values("x2", b))
