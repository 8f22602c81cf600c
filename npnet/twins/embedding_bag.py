"""Twin of the embedding bag."""

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

_ROWS = {"weight": [[1.0], [5.0], [-2.0]]}
_STARTS = {
    "from 0": lambda n: (0, *sorted({min(1, n), min(3, n)})),
    "one bag": lambda n: (0,),
    "empty first": lambda n: (0, 0, min(2, n)),
    "empty last": lambda n: (0, min(2, n), n),
    "empty between": lambda n: (0, min(1, n), min(1, n), min(3, n)),
}


def _weighted(ask: Ask, mode: str) -> Told:
    """Rows 1 and 5 in a bag, with the weights 2 and 1."""
    return ask([0, 1], [0], [2.0, 1.0], state=_ROWS, num_embeddings=3, embedding_dim=1, mode=mode)


@spec(
    nn.EmbeddingBag,
    fragile=True,
    batched=lambda config: False,  # vmap has no rule for it
    mutates=lambda config: ("weight",) if config["max_norm"] is not None else (),
    ignores={"sparse"},
    claims=(
        Claim(
            "By default a bag is the mean of its rows, not their sum.",
            lambda ask: same(
                ask([[0, 1]], state=_ROWS, num_embeddings=3, embedding_dim=1).y, [[3.0]]
            ),
        ),
        Claim(
            "offsets say where each bag begins, the first of them at 0, or an error is raised.",
            lambda ask: (
                same(
                    ask([0, 1, 2], [0, 1], state=_ROWS, num_embeddings=3, embedding_dim=1).y,
                    [[1.0], [1.5]],
                )
                and refuses(lambda: ask([0, 1], [1], num_embeddings=3, embedding_dim=1))
            ),
        ),
        Claim(
            "per_sample_weights multiply the rows, with mode='sum' only; others raise an error.",
            lambda ask: (
                same(_weighted(ask, "sum").y, [[7.0]])
                and same(_weighted(ask, "sum").dxs[-1], [1.0, 5.0])
                and refuses(lambda: _weighted(ask, "mean"))
            ),
        ),
        Claim(
            "An empty bag is 0, also for mode='max'.",
            lambda ask: all(
                same(
                    ask([1], [0, 1], state=_ROWS, num_embeddings=3, embedding_dim=1, mode=mode).y,
                    [[5.0], [0.0]],
                )
                for mode in ("sum", "mean", "max")
            ),
        ),
        Claim(
            "padding_idx is left out of its bag: the mean divides by what is left.",
            lambda ask: same(
                ask([[0, 1, 2]], state=_ROWS, num_embeddings=3, embedding_dim=1, padding_idx=1).y,
                [[-0.5]],
            ),
        ),
        Claim(
            "Of several that are largest, the first in the bag gets the gradient.",
            lambda ask: same(
                ask(
                    [[2, 0, 1]],
                    state={"weight": [[3.0], [3.0], [3.0]]},
                    num_embeddings=3,
                    embedding_dim=1,
                    mode="max",
                ).params["weight"],
                [[0.0], [0.0], [1.0]],
            ),
        ),
        Claim(
            "With include_last_offset the last offset is the end of the last bag, not a bag.",
            lambda ask: same(
                ask(
                    [0, 1, 2],
                    [0, 1, 3],
                    state=_ROWS,
                    num_embeddings=3,
                    embedding_dim=1,
                    mode="sum",
                    include_last_offset=True,
                ).y,
                [[1.0], [3.0]],
            ),
        ),
    ),
)
def EmbeddingBag(pick: Pick) -> Drawn:
    rows, width = pick.size("num_embeddings"), pick.size("embedding_dim")
    mode = pick.option("mode", "sum", "mean", "max")
    by_frequency = pick.option("scale_grad_by_freq", False, True)
    sparse = pick.option("sparse", False, False, True)
    if mode == "max" and by_frequency:
        by_frequency = pick.instead("scale_grad_by_freq", False, because="mode")
    if sparse and (mode == "max" or by_frequency):
        cause = "mode" if mode == "max" else "scale_grad_by_freq"
        sparse = pick.instead("sparse", False, because=cause)
    padding = pick.option("padding_idx", None, "negative", "first", "last")
    config = {
        "num_embeddings": rows,
        "embedding_dim": width,
        "max_norm": pick.option("max_norm", None, 1.0, None, 4.0),
        "norm_type": pick.option("norm_type", 2.0, 1.0, 3.0),
        "scale_grad_by_freq": by_frequency,
        "mode": mode,
        "sparse": sparse,
        "include_last_offset": pick.option("include_last_offset", False, True),
        "padding_idx": {None: None, "first": 0, "last": rows - 1, "negative": -1}[padding],
    }
    if pick.option("_weight", "drawn", "given") == "given":
        config["_weight"] = pick.values("weight", (rows, width))
    # torch's CPU kernel looks the frequency of the i-th of the different indices up under the i-th
    # of all of them, sorted (pytorch #190063, in 2.13.0, for sums and means alike): it is right
    # where all that occur are equally frequent, and asked there only
    kind = "even" if by_frequency else "index"
    weighted = pick.option("per_sample_weights", False, True)
    if weighted and mode != "sum":
        weighted = pick.instead("per_sample_weights", False, because="mode")
    form = pick.option("bags", *_STARTS, "rows")
    if form == "rows":
        shape = pick.option("batch", (2, 3), (3, 1), (1, 4), (4, 2), (0, 3), (12, 3))
        offsets = None
    else:
        # a bag must hold every index: torch's backward reads other memory where none does
        (n,) = shape = (pick.option("indices", 5, 3, 8, 1, 0, 33),)
        starts = _STARTS[form](n)
        if config["include_last_offset"]:
            starts = (*starts, n)
        offsets = pick.values("offsets", (len(starts),), kind="fixed", extra=starts)
    x = pick.values("x", shape, kind=kind, high=rows)
    if weighted:
        return config, (x, offsets, pick.values("weights", shape))
    return config, ((x,) if offsets is None else (x, offsets))
