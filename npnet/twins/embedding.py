"""Twin of the embedding."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn


def _rows(ask: Ask) -> Told:
    """Rows 5 and 7, the first of them the padding, looked up."""
    state = {"weight": [[5.0], [7.0]]}
    return ask([0, 1], state=state, num_embeddings=2, embedding_dim=1, padding_idx=0)


def _longer(ask: Ask) -> Told:
    """Rows of norm 2 and 1/4 looked up, and one of norm 2 not, with max_norm=1."""
    state = {"weight": [[2.0, 0.0], [0.25, 0.0], [2.0, 0.0]]}
    return ask([0, 1], state=state, num_embeddings=3, embedding_dim=2, max_norm=1.0)


def _repeated(ask: Ask, **config: Any) -> Told:
    """Row 1 of two looked up twice, with the gradients 1 and 4."""
    return ask([1, 1], dy=[[1.0], [4.0]], num_embeddings=2, embedding_dim=1, **config)


@spec(
    nn.Embedding,
    claims=(
        Claim(
            "The padding row is looked up like any other, but gets no gradient.",
            lambda ask: (
                same(_rows(ask).y, [[5.0], [7.0]])
                and same(_rows(ask).params["weight"], [[0.0], [1.0]])
            ),
        ),
        Claim(
            "max_norm changes the weight itself, in the forward pass: the rows that are looked up "
            "and longer are scaled by max_norm / (norm + 1e-7).",
            lambda ask: (
                same(
                    _longer(ask).updates["weight"], [[2 / (2 + 1e-7), 0.0], [0.25, 0.0], [2.0, 0.0]]
                )
                and same(_longer(ask).y, [[2 / (2 + 1e-7), 0.0], [0.25, 0.0]])
            ),
        ),
        Claim(
            "Rows that are looked up several times have the sum of the gradients, and with "
            "scale_grad_by_freq their mean.",
            lambda ask: (
                same(_repeated(ask).params["weight"], [[0.0], [5.0]])
                and same(_repeated(ask, scale_grad_by_freq=True).params["weight"], [[0.0], [2.5]])
            ),
        ),
        Claim(
            "padding_idx may be negative, counted from the end; indices may not.",
            lambda ask: (
                same(_repeated(ask, padding_idx=-1).params["weight"], [[0.0], [0.0]])
                and refuses(lambda: ask([-1], num_embeddings=2, embedding_dim=1))
            ),
        ),
        Claim(
            "Indices count from 0, and one of num_embeddings or more raises an error.",
            lambda ask: (
                same(_rows(ask).y, [[5.0], [7.0]])
                and refuses(lambda: ask([2], num_embeddings=2, embedding_dim=1))
            ),
        ),
    ),
    # under vmap torch forgets which row is the padding
    batched=lambda config: config["max_norm"] is None and config["padding_idx"] is None,
    mutates=lambda config: ("weight",) if config["max_norm"] is not None else (),
    ignores={"sparse"},
)
def Embedding(pick: Pick) -> Drawn:
    rows, width = pick.size("num_embeddings"), pick.size("embedding_dim")
    by_frequency = pick.option("scale_grad_by_freq", True, False)
    sparse = pick.option("sparse", False, True)
    if sparse and by_frequency:
        sparse = pick.instead("sparse", False, because="scale_grad_by_freq")
    padding = pick.option("padding_idx", "negative", None, "first", "last")
    config = {
        "num_embeddings": rows,
        "embedding_dim": width,
        "padding_idx": {None: None, "first": 0, "last": rows - 1, "negative": -1}[padding],
        "max_norm": pick.option("max_norm", None, 1.0, 4.0),
        "norm_type": pick.option("norm_type", 2.0, 1.0, 3.0),
        "scale_grad_by_freq": by_frequency,
        "sparse": sparse,
    }
    given, frozen = pick.option("_weight", "drawn", "given"), pick.option("_freeze", False, True)
    if given == "given":
        config |= {"_weight": pick.values("weight", (rows, width)), "_freeze": frozen}
    elif frozen:  # a weight that torch draws is always trained
        pick.instead("_freeze", False, because="_weight")
    shape = pick.option("batch", (5,), (2, 3), (), (3, 2, 2), (1,), (7,), (0,), (2, 0))
    indices = pick.values("indices", shape, kind="index", high=rows)
    return config, (indices,)
