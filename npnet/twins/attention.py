"""Twin of attention."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
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


def _one_head(ask: Ask, masked: bool, **kwargs: Any) -> Told:
    """One head of width 1 without bias, all projections 1: query 0, keys 1 and 3."""
    state = {"in_proj_weight": [[1.0], [1.0], [1.0]], "out_proj.weight": [[1.0]]}
    if masked:
        kwargs["attn_mask"] = [[True, True]]
    config = {"embed_dim": 1, "num_heads": 1, "bias": False, "training": True}
    return ask([[0.0]], [[1.0], [3.0]], [[1.0], [3.0]], state=state, kwargs=kwargs, **config)


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


def _two_heads(ask: Ask) -> Any:
    """Two heads of width 1: the weights of the second one for scores of 1 and 2."""
    eye = [[1.0, 0.0], [0.0, 1.0]]
    state = {"in_proj_weight": eye * 3, "out_proj.weight": eye}
    told = ask(
        [[0.0, 1.0]],
        [[0.0, 1.0], [0.0, 2.0]],
        [[0.0, 1.0], [0.0, 2.0]],
        state=state,
        kwargs={"average_attn_weights": False},
        embed_dim=2,
        num_heads=2,
        bias=False,
        training=True,
    )
    return told.y[1][1]
