"""Twins of the losses of embeddings."""

from math import inf
from typing import Any

from torch import nn

from npnet.twins._losses import in_order, reduction
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import LayerConfig
from npnet.verify.spec import Drawn

_TRIPLES = (
    ((2, 3), (2, 3), (2, 3)),
    ((3,), (3,), (3,)),
    ((2, 3), (1, 3), (2, 1)),
    ((1, 3), (2, 3), (2, 3)),
    ((2, 3), (2, 3), (1, 3)),
    ((2, 3, 2), (2, 3, 2), (2, 3, 2)),
    ((), (), ()),
    ((0, 3), (0, 3), (0, 3)),
    ((2, 0), (2, 0), (2, 0)),
    ((33,), (33,), (33,)),
    ((4, 2), (4, 2), (4, 2)),
)


def _triple(pick: Pick) -> tuple[Any, ...]:
    shapes = pick.option("shapes", *_TRIPLES)
    names = ("anchor", "positive", "negative")
    return tuple(pick.values(n, s) for n, s in zip(names, shapes, strict=True))


_SWAP = ([[0.0]], [[2.0]], [[3.0]])  # the negative is 3 from the anchor, 1 from the positive


@spec(
    nn.TripletMarginLoss,
    either=True,
    claims=(
        Claim(
            "swap takes the smaller one of the negative's distances to anchor and positive.",
            lambda ask: (
                same(ask(*_SWAP, eps=0.0, margin=2.0).y, 1.0)
                and same(ask(*_SWAP, eps=0.0, margin=2.0, swap=True).y, 3.0)
            ),
        ),
        Claim(
            "The distances are not squared.",
            lambda ask: same(ask([[0.0]], [[3.0]], [[1.0]], eps=0.0, margin=0.5).y, 2.5),
        ),
        Claim(
            "eps is added to every difference, and not to the distance: with two elements it "
            "counts twice.",
            lambda ask: same(
                ask([[1.0, 1.0]], [[1.0, 1.0]], [[0.0, 0.0]], p=1.0, eps=0.5, margin=4.0).y, 2.0
            ),
        ),
        Claim(
            "Where both distances of the negative are equal, each gets half of the gradient.",
            lambda ask: same(ask([[0.0]], [[2.0]], [[1.0]], eps=0.0, swap=True).dxs[2], [[0.0]]),
        ),
    ),
)
def TripletMarginLoss(pick: Pick) -> Drawn:
    triple = _triple(pick)
    p = pick.option("p", 2.0, 1.0, inf, 3.0, 0.5)
    if triple[0].shape[-1:] == (0,) and p == inf:
        p = pick.instead("p", 2.0, because="shapes")
    config = {
        "margin": pick.option("margin", 1.0, 0.5, 4.0),
        "p": p,
        "eps": pick.option("eps", 2.0**-20, 0.0, 0.25),
        "swap": pick.option("swap", False, True),
        **reduction(pick),
    }
    names = ("margin", "p", "eps", "swap", "size_average", "reduce", "reduction")
    return in_order(config, *names), triple


_DISTANCES = {
    "none": None,
    "city blocks": LayerConfig("PairwiseDistance", {"p": 1.0, "eps": 2.0**-10}),
    "with its axis": LayerConfig("PairwiseDistance", {"p": 2.0, "eps": 0.25, "keepdim": True}),
    "cosine": LayerConfig("CosineSimilarity", {"dim": -1, "eps": 2.0**-10}),
    "cosine of columns": LayerConfig("CosineSimilarity", {"dim": 0, "eps": 0.5}),
}


@spec(
    nn.TripletMarginWithDistanceLoss,
    either=True,
    claims=(
        Claim(
            "Any function of two tensors is a distance, a similarity too, with its sign.",
            lambda ask: same(
                ask(
                    [[1.0, 0.0]],
                    [[1.0, 0.0]],
                    [[0.0, 1.0]],
                    distance_function=LayerConfig("CosineSimilarity", {"eps": 2.0**-20}),
                ).y,
                2.0,
            ),
        ),
        Claim(
            "Without one it is PairwiseDistance(), with its eps of 1e-6.",
            lambda ask: same(ask([[0.0]], [[3.0]], [[1.0]], margin=0.5).y, 2.5),
        ),
    ),
)
def TripletMarginWithDistanceLoss(pick: Pick) -> Drawn:
    triple = _triple(pick)
    config = {
        "distance_function": _DISTANCES[pick.option("distance_function", *_DISTANCES)],
        "margin": pick.option("margin", 1.0, 0.5, 4.0),
        "swap": pick.option("swap", False, True),
        "reduction": pick.option("reduction", "mean", "sum", "none"),
    }
    return config, triple


@spec(
    nn.CosineEmbeddingLoss,
    either=True,
    claims=(
        Claim(
            "Target -1 costs what the cosine has above the margin, target 1 what it lacks to 1.",
            lambda ask: same(
                ask(
                    [[1.0, 0.0], [1.0, 0.0]],
                    [[3.0, 4.0], [3.0, 4.0]],
                    [-1.0, 1.0],
                    margin=0.5,
                    reduction="none",
                ).y,
                [0.1, 0.4],
            ),
        ),
        Claim(
            "The cosine with a vector of zeros is 0, and not nan.",
            lambda ask: same(ask([[0.0, 0.0]], [[3.0, 4.0]], [1.0]).y, 1.0),
        ),
        Claim(
            "A target of 0 costs nothing.",
            lambda ask: same(ask([1.0], [1.0], 0.0).y, 0.0),
        ),
    ),
)
def CosineEmbeddingLoss(pick: Pick) -> Drawn:
    a, b, t = pick.option(
        "shapes",
        ((2, 3), (2, 3), (2,)),
        ((3,), (3,), ()),
        ((2, 3), (1, 3), (2,)),
        ((1, 3), (2, 3), (1,)),
        ((2, 3), (2, 1), (2,)),
        ((1, 3), (1, 3), (2,)),
        ((0, 3), (0, 3), (0,)),
        ((2, 0), (2, 0), (2,)),
        ((33,), (33,), ()),
        ((5, 2), (5, 2), (5,)),
    )
    config = {"margin": pick.option("margin", 0.0, 0.5, -0.5), **reduction(pick)}
    if pick.option("target", "sign", "sign", "int64") == "sign":
        target = pick.values("target", t, kind="sign")
    else:
        target = pick.values("target", t, kind="index", high=2, extra=(-1,))
    return config, (pick.values("input1", a), pick.values("input2", b), target)
