"""Twin of attention."""

from math import log, sqrt
from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask, Told
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn


def mask(pick: Pick, name: str, kind: str, shape: tuple[int, ...]) -> dict[str, Values]:
    """A mask of a kind: "none", "bool" or "float"."""
    if kind == "none":
        return {}
    drawn = pick.values(name, shape, kind="bool" if kind == "bool" else "real")
    return {name: drawn}


def layout(batch: int | None, length: int, width: int, batch_first: bool) -> tuple[int, ...]:
    """The shape of a sequence."""
    if batch is None:
        return length, width
    return (batch, length, width) if batch_first else (length, batch, width)


def _one_head(
    ask: Ask,
    masked: bool,
    **kwargs: Any,
) -> Told:
    """One head of width 1 without bias, all projections 1: query 0, keys 1 and 3."""
    state = {"in_proj_weight": [[1.0], [1.0], [1.0]], "out_proj.weight": [[1.0]]}
    if masked:
        kwargs["attn_mask"] = [[True, True]]
    config = {"embed_dim": 1, "num_heads": 1, "bias": False, "training": True}
    return ask([[0.0]], [[1.0], [3.0]], [[1.0], [3.0]], state=state, kwargs=kwargs, **config)


_EYE = [[1.0, 0.0], [0.0, 1.0]]
_TWO: dict[str, Any] = {"embed_dim": 2, "num_heads": 2, "bias": False, "training": True}


def _keys(ask: Ask, **config: Any) -> Told:
    """Keys and values 2 and 7, along the first axis, to queries of 0; one head of width 1."""
    state = {"in_proj_weight": [[1.0]] * 3, "out_proj.weight": [[1.0]]}
    x = [[[2.0], [7.0]]]
    config = {"embed_dim": 1, "num_heads": 1, "bias": False, "training": True, **config}
    return ask([[[0.0], [0.0]]], x, x, state=state, **config)


def _draws(config: Config) -> bool:
    return bool(config["dropout"])


@spec(
    nn.MultiheadAttention,
    draws=_draws,
    batched=lambda config: False,  # vmap has no rule for some of what attention dispatches
    claims=(
        Claim(
            "True in a boolean mask forbids to look at a key.",
            lambda ask: same(
                _one_head(ask, False, attn_mask=[[False, True]], need_weights=False).y, [[1.0]]
            ),
        ),
        Claim(
            "A query that may look at no key is nan with need_weights, and 0 without.",
            lambda ask: (
                same(_one_head(ask, True, need_weights=False).y, [[0.0]])
                and same(_one_head(ask, True, need_weights=True).y[0], [[float("nan")]])
            ),
        ),
        Claim(
            "The scores are divided by the root of the width of a head, not of all of them.",
            lambda ask: same(_two_heads(ask), [[0.2689414213699951, 0.7310585786300049]]),
        ),
        Claim(
            "Inputs are (length, N, features), and with batch_first=True (N, length, features).",
            lambda ask: (
                same(_keys(ask).y[0], [[[2.0], [7.0]]])
                and same(_keys(ask, batch_first=True).y[0], [[[4.5], [4.5]]])
            ),
        ),
        Claim(
            "It returns the weights too, the mean over the heads, as (N, L, S) whatever "
            "batch_first; with need_weights=False the output alone.",
            lambda ask: (
                _keys(ask).y[1].shape == (2, 1, 1)
                and same(_two_heads(ask, average=True), [[0.38447071068499755, 0.6155292893150024]])
            ),
        ),
        Claim(
            "in_proj_weight holds the weights of query, key and value, one below the other.",
            lambda ask: same(
                _projected(ask, _EYE, [[0.0, 1.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 2.0]]),
                [[0.0, 2 * 0.75 * log(3) * sqrt(2)]],
            ),
        ),
        Claim(
            "A mask of numbers is added to the scores, before the softmax.",
            lambda ask: same(_one_head(ask, False, attn_mask=[[log(3), 0.0]]).y[1], [[0.75, 0.25]]),
        ),
        Claim(
            "A mask for every head is (N · num_heads, L, S), the heads of one sample in a row.",
            lambda ask: same(_per_head(ask), [[[1.0, 1.0]], [[2.0, 2.0]]]),
        ),
        Claim(
            "key_padding_mask has True where a key is padding: it is not looked at.",
            lambda ask: same(_one_head(ask, False, key_padding_mask=[True, False]).y[0], [[3.0]]),
        ),
        Claim(
            "is_causal says what attn_mask is, and makes none: without one it raises an error.",
            lambda ask: (
                same(_one_head(ask, False, attn_mask=[[False, True]], is_causal=True).y[0], [[1.0]])
                and refuses(lambda: _one_head(ask, False, is_causal=True))
            ),
        ),
        Claim(
            "embed_dim is the width of all heads together, which num_heads has to divide.",
            lambda ask: (
                same(_two_heads(ask), [[0.2689414213699951, 0.7310585786300049]])
                and refuses(
                    lambda: ask([[1.0] * 3], [[1.0] * 3], [[1.0] * 3], embed_dim=3, num_heads=2)
                )
            ),
        ),
    ),
    read={
        "bias": lambda module: module.in_proj_bias is not None,
        "add_bias_kv": lambda module: module.bias_k is not None,
    },
)
def MultiheadAttention(pick: Pick) -> Drawn:
    heads = pick.option("num_heads", 2, 1, 3)
    width = heads * pick.size("embed_dim per head")
    kdim, vdim = pick.option("kdim", None, 3, 1), pick.option("vdim", None, 2)
    first = pick.option("batch_first", False, True)
    config = {
        "embed_dim": width,
        "num_heads": heads,
        "dropout": pick.option("dropout", 0.0, 0.0, 0.25, 0.5),
        "bias": pick.option("bias", True, False),
        "add_bias_kv": pick.option("add_bias_kv", False, False, True),
        "add_zero_attn": pick.option("add_zero_attn", False, False, True),
        "kdim": kdim,
        "vdim": vdim,
        "batch_first": first,
        "training": pick.option("training", True, True, False),
    }
    batch = pick.option("batch", 2, None, 1, 3, 0)
    queries, keys = pick.option("queries", 2, 3, 1, 4), pick.option("keys", 3, 2, 1, 5)
    inputs = (
        pick.values("query", layout(batch, queries, width, first)),
        pick.values("key", layout(batch, keys, width if kdim is None else kdim, first)),
        pick.values("value", layout(batch, keys, width if vdim is None else vdim, first)),
    )
    weights = pick.option("need_weights", True, False)
    kwargs: dict[str, Any] = {
        "need_weights": weights,
        "average_attn_weights": pick.option("average_attn_weights", True, False),
    }
    kind = pick.option("attn_mask", "none", "bool", "float", "bool per head", "float per head")
    unable = batch == 0 and not weights  # torch cannot reshape a mask of a batch then
    if unable and kind.endswith("per head"):
        kind = pick.instead("attn_mask", "bool", because="batch")
    per_head = kind.endswith("per head")
    samples = 1 if batch is None else batch
    shape = (samples * heads, queries, keys) if per_head else (queries, keys)
    kwargs |= mask(pick, "attn_mask", kind.split()[0], shape)
    padding = pick.option("key_padding_mask", "none", "bool", "float")
    if (padding == "float" and kind.startswith("bool")) or (padding == "bool" and "float" in kind):
        padding = pick.instead("key_padding_mask", "none", because="attn_mask")  # deprecated
    if unable and padding != "none":
        padding = pick.instead("key_padding_mask", "none", because="batch")
    kwargs |= mask(pick, "key_padding_mask", padding, (keys,) if batch is None else (batch, keys))
    return config, inputs, kwargs


def _two_heads(ask: Ask, average: bool = False) -> Any:
    """Two heads of width 1: the weights of the second one, for scores of 1 and 2, or their mean."""
    told = ask(
        [[0.0, 1.0]],
        [[0.0, 1.0], [0.0, 2.0]],
        [[0.0, 1.0], [0.0, 2.0]],
        state={"in_proj_weight": _EYE * 3, "out_proj.weight": _EYE},
        kwargs={"average_attn_weights": average},
        **_TWO,
    )
    return told.y[1] if average else told.y[1][1]


def _per_head(ask: Ask) -> Any:
    """Two samples of two heads each, which may look at one of the values 1 and 2 only."""
    keys = [[[1.0, 1.0]] * 2, [[2.0, 2.0]] * 2]
    return (
        ask(
            [[[0.0, 0.0]] * 2],
            keys,
            keys,
            state={"in_proj_weight": _EYE * 3, "out_proj.weight": _EYE},
            kwargs={"attn_mask": [[[False, True]]] * 2 + [[[True, False]]] * 2},
            **_TWO,
        )
        .y[0]
        .swapaxes(0, 1)
    )


def _projected(ask: Ask, q: Any, k: Any, v: Any) -> Any:
    """One head of width 2 by these projections: query (1, 0), keys (0, 0) and (0, log 3 · √2)."""
    keys = [[0.0, 0.0], [0.0, log(3) * sqrt(2)]]
    state = {"in_proj_weight": [*q, *k, *v], "out_proj.weight": _EYE}
    return ask([[1.0, 0.0]], keys, keys, state=state, **_TWO | {"num_heads": 1}).y[0]
