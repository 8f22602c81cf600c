"""Twins of the transformer and its parts."""

from typing import Any

import numpy as np
from torch import nn

from npnet.twins.attention import layout, mask
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Config, LayerConfig
from npnet.verify.claim import Ask, Told
from npnet.verify.draw import MODERATE, Values
from npnet.verify.spec import Drawn

_EPS = (1.0, 2.0**-4, 1.0, 2.0**-17, 1.0)
_SCALE = 0.25  # of the weights: about what they are at the start of a training
_SCALE_OF_WHOLE = 0.0625  # through up to four blocks, larger ones leave no digits in float32
_MODULES = {"silu": "SiLU", "tanh": "Tanh"}
_BATCHES = (2, None, 1, 3)


_WIDTHS = (2, 1, 3)
_WIDER = (2, 3, 2, 1, 3)  # in a width of 1 a norm is constant, and next to no gradient gets through


def _options(pick: Pick, *activations: str, widths: tuple[int, ...] = _WIDTHS) -> dict[str, Any]:
    """What both blocks and the whole have in common."""
    heads = pick.option("nhead", 2, 1)
    activation = pick.option("activation", *(activations or ("relu", "gelu", "silu", "tanh")))
    module = _MODULES.get(activation)
    return {
        "d_model": heads * pick.option("width of a head", *widths),
        "nhead": heads,
        "dim_feedforward": pick.size("dim_feedforward"),
        "dropout": pick.option("dropout", 0.0, 0.25),
        "activation": LayerConfig(module, {}) if module else activation,
        "layer_norm_eps": pick.option("layer_norm_eps", *_EPS),
        "batch_first": pick.option("batch_first", False, True),
        "norm_first": pick.option("norm_first", False, True),
        "bias": pick.option("bias", True, False),
        "training": pick.option("training", True, True, False),
    }


def _masks(
    pick: Pick, names: tuple[str, str], batch: int | None, queries: int, keys: int
) -> dict[str, Any]:
    """A mask of pairs and one of keys; never one of booleans with one of numbers."""
    pairs, padding = names
    kind = pick.option(pairs, "none", "bool", "float")
    found: dict[str, Any] = {**mask(pick, pairs, kind, (queries, keys))}
    other = pick.option(padding, "none", "bool", "float")
    if {kind, other} == {"bool", "float"}:  # torch deprecates it
        other = pick.instead(padding, "none", because=pairs)
    return found | mask(pick, padding, other, (keys,) if batch is None else (batch, keys))


def _sequence(pick: Pick, name: str, config: Config, batch: int | None, length: int) -> Values:
    shape = layout(batch, length, config["d_model"], config["batch_first"])
    return pick.values(name, shape)


def _draws(config: Config) -> bool:
    """Whether anything in it drops out."""
    inner = (x.config for x in config.values() if isinstance(x, LayerConfig))
    return bool(config.get("dropout")) or any(map(_draws, inner))


def _never(config: Config) -> bool:
    """Attention under vmap has bounds that do not allow for every order of summation."""
    return False


_NAMED = (*("relu", "gelu") * 8, "tanh")


def _forgotten(config: Config) -> str | None:
    """Why torch is wrong: reproduced with 2.13.0, in TransformerDecoderLayer.__setstate__."""
    inner = [config, *(x.config for x in config.values() if isinstance(x, LayerConfig))]
    inner += [x.config for c in inner[1:] for x in c.values() if isinstance(x, LayerConfig)]
    if any(isinstance(c.get("activation"), LayerConfig) for c in inner):
        return "the copies of a decoder layer use relu where its activation is a module"
    return None


_READ_BLOCK = {
    "d_model": lambda module: module.self_attn.embed_dim,
    "nhead": lambda module: module.self_attn.num_heads,
    "dim_feedforward": lambda module: module.linear1.out_features,
    "dropout": lambda module: module.dropout.p,
    "activation": lambda module: _named(module.activation),
    "layer_norm_eps": lambda module: module.norm1.eps,
    "batch_first": lambda module: module.self_attn.batch_first,
    "bias": lambda module: module.linear1.bias is not None,
}


def _named(activation: Any) -> Any:
    known = {nn.functional.relu: "relu", nn.functional.gelu: "gelu"}
    return activation if isinstance(activation, nn.Module) else known[activation]


_SMALL: dict[str, Any] = {"d_model": 2, "nhead": 1, "dim_feedforward": 1, "dropout": 0.0}
_PAIR = [[1.0, 3.0], [2.0, -1.0]]  # a sequence of two, without a batch
_AHEAD = [[False, True], [False, False]]  # the first may not look at the second
_PADDED = [False, True]


def _zeros(ask: Ask, config: Config, given: dict[str, Any]) -> dict[str, Any]:
    """A state of 0 but for the entries given."""
    return {name: np.zeros_like(a) for name, a in ask.state(config).items()} | given


def _normed(ask: Ask, *memory: Any, norms: int, **options: Any) -> Told:
    """Answers for x = (1, 3) where every norm has weights of 1, eps of 3, and all else is 0."""
    config = {**_SMALL, "layer_norm_eps": 3.0, **options}
    ones = {f"norm{i}.weight": [1.0, 1.0] for i in range(1, norms + 1)}
    return ask([[1.0, 3.0]], *memory, state=_zeros(ask, config, ones), **config)


def _looks(
    ask: Ask, *inputs: Any, of: int = 0, kwargs: dict[str, Any] | None = None, **config: Any
) -> bool:
    """Whether the first row of y depends on the second one of an input."""
    dy = np.reshape([1.0, 2.0, 0.0, 0.0], np.shape(inputs[-1]))
    told = ask(*inputs, dy=dy, kwargs=kwargs, **(config or _SMALL))
    return bool(np.any(np.reshape(told.dxs[of], (2, 2))[1] != 0))


def _batch_first(*inputs: Any) -> Claim:
    beside = [np.reshape(x, (1, 2, 2)) for x in inputs]
    return Claim(
        "Sequences are (length, N, d_model), without a batch (length, d_model); with "
        "batch_first=True they are (N, length, d_model).",
        lambda ask: (
            not _looks(ask, *beside, **_SMALL) and _looks(ask, *beside, **_SMALL, batch_first=True)
        ),
    )


def _norm_claims(norms: int, *memory: Any) -> tuple[Claim, ...]:
    half = 1.0
    for _ in range(norms):
        half /= (half * half + 3) ** 0.5
    return (
        Claim(
            "By default a norm comes after every sum (post-norm), as in the paper.",
            lambda ask: same(_normed(ask, *memory, norms=norms).y, [[-half, half]]),
        ),
        Claim(
            "With norm_first the skip path goes past every norm: x itself comes out where the "
            "blocks add nothing.",
            lambda ask: (
                same(_normed(ask, *memory, norms=norms, norm_first=True).y, [[1.0, 3.0]])
                and same(_normed(ask, *memory, norms=norms, norm_first=True).dx, [[1.0, 1.0]])
            ),
        ),
    )


@spec(
    nn.TransformerEncoderLayer,
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    read=_READ_BLOCK,
    claims=(
        *_norm_claims(2),
        Claim(
            "True in a mask forbids to look, True in src_key_padding_mask marks padding.",
            lambda ask: (
                _looks(ask, _PAIR)
                and not _looks(ask, _PAIR, kwargs={"src_mask": _AHEAD})
                and not _looks(ask, _PAIR, kwargs={"src_key_padding_mask": _PADDED})
            ),
        ),
        _batch_first(_PAIR),
    ),
)
def TransformerEncoderLayer(pick: Pick) -> Drawn:
    config = _options(pick)
    batch, length = pick.option("batch", *_BATCHES), pick.option("length", 3, 2, 1)
    kwargs = _masks(pick, ("src_mask", "src_key_padding_mask"), batch, length, length)
    return config, (_sequence(pick, "src", config, batch, length),), kwargs


@spec(
    nn.TransformerDecoderLayer,
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    read=_READ_BLOCK,
    claims=(
        *_norm_claims(3, [[1.0, 2.0]]),
        Claim(
            "Nothing is causal unless a mask says so: tgt looks ahead without tgt_mask.",
            lambda ask: (
                _looks(ask, _PAIR, _PAIR)
                and not _looks(ask, _PAIR, _PAIR, kwargs={"tgt_mask": _AHEAD})
            ),
        ),
        Claim(
            "True in memory_mask forbids to look at the memory, True in memory_key_padding_mask "
            "marks padding.",
            lambda ask: (
                _looks(ask, _PAIR, _PAIR, of=1)
                and not _looks(ask, _PAIR, _PAIR, of=1, kwargs={"memory_mask": _AHEAD})
                and not _looks(ask, _PAIR, _PAIR, of=1, kwargs={"memory_key_padding_mask": _PADDED})
            ),
        ),
        _batch_first(_PAIR, _PAIR),
    ),
)
def TransformerDecoderLayer(pick: Pick) -> Drawn:
    config = _options(pick)
    return config, *_two(pick, config)


def _two(pick: Pick, config: Config) -> tuple[tuple[Values, Values], dict[str, Any]]:
    """tgt and memory, and what masks them."""
    batch = pick.option("batch", *_BATCHES)
    length, other = pick.option("length", 3, 2, 1), pick.option("length of memory", 2, 3, 1)
    kwargs = _masks(pick, ("tgt_mask", "tgt_key_padding_mask"), batch, length, length)
    kwargs |= _masks(pick, ("memory_mask", "memory_key_padding_mask"), batch, length, other)
    tgt = _sequence(pick, "tgt", config, batch, length)
    return (tgt, _sequence(pick, "memory", config, batch, other)), kwargs


def _stack(pick: Pick, block: str, argument: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of a stack, and that of its block."""
    inner = _options(pick, *(_NAMED if argument == "decoder_layer" else ()))
    norm = pick.option("norm", True, False)
    config: dict[str, Any] = {
        argument: LayerConfig(block, inner),
        "num_layers": pick.option("num_layers", 2, 1),
        "norm": None,
    }
    if norm:
        shape = {"normalized_shape": (inner["d_model"],), "eps": 2.0**-4}
        config["norm"] = LayerConfig("LayerNorm", shape)
    return config, inner


def _two_blocks(half: str, norm: bool = False, **options: Any) -> dict[str, Any]:
    """The configuration of two small blocks, and of a norm behind them with eps = 3."""
    block = f"Transformer{half.title()}Layer"
    behind = LayerConfig("LayerNorm", {"normalized_shape": (2,), "eps": 3.0})
    return {
        f"{half}_layer": LayerConfig(block, {**_SMALL, **options}),
        "num_layers": 2,
        "norm": behind if norm else None,
    }


def _stack_claims(half: str, *memory: Any) -> tuple[Claim, ...]:
    """The conventions of a stack of blocks."""
    last = "norm2" if half == "encoder" else "norm3"

    def y(ask: Ask, given: dict[str, Any], **options: Any) -> Any:
        config = _two_blocks(half, **options)
        return ask([[1.0, 3.0]], *memory, state=_zeros(ask, config, given), **config).y

    return (
        Claim(
            "Behind the last layer there is no norm unless one is given, with norm_first neither.",
            lambda ask: (
                same(y(ask, {}, norm_first=True), [[1.0, 3.0]])
                and same(
                    y(ask, {"norm.weight": [1.0, 1.0]}, norm=True, norm_first=True), [[-0.5, 0.5]]
                )
            ),
        ),
        Claim(
            "The layers start as copies, but every one has entries of its own: layers.0, layers.1, "
            "and so on.",
            lambda ask: same(y(ask, {f"layers.1.{last}.bias": [5.0, 7.0]}), [[5.0, 7.0]]),
        ),
    )


@spec(
    nn.TransformerEncoder,
    families=MODERATE,  # of others the blocks are asked; through several nothing is left to judge
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    read={"encoder_layer": lambda module: module.layers[0]},
    claims=(
        *_stack_claims("encoder"),
        Claim(
            "Every layer gets the mask.",
            lambda ask: (
                _looks(ask, _PAIR, **_two_blocks("encoder"))
                and not _looks(ask, _PAIR, kwargs={"mask": _AHEAD}, **_two_blocks("encoder"))
            ),
        ),
    ),
)
def TransformerEncoder(pick: Pick) -> Drawn:
    config, inner = _stack(pick, "TransformerEncoderLayer", "encoder_layer")
    config["enable_nested_tensor"] = pick.option("enable_nested_tensor", True, False)
    config["mask_check"] = pick.option("mask_check", True, False)
    batch, length = pick.option("batch", *_BATCHES), pick.option("length", 3, 2, 1)
    kwargs = _masks(pick, ("mask", "src_key_padding_mask"), batch, length, length)
    return config, (_sequence(pick, "src", inner, batch, length),), kwargs


@spec(
    nn.TransformerDecoder,
    families=MODERATE,  # of others the blocks are asked; through several nothing is left to judge
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    known_bad=_forgotten,
    read={"decoder_layer": lambda module: module.layers[0]},
    claims=(
        *_stack_claims("decoder", [[1.0, 2.0]]),
        Claim(
            "Every layer looks at the same memory, whose gradient is the sum over the layers.",
            lambda ask: _sees_memory(ask, 0) and _sees_memory(ask, 1),
        ),
        Claim(
            "Every layer gets the masks.",
            lambda ask: (
                not _looks(ask, _PAIR, _PAIR, kwargs={"tgt_mask": _AHEAD}, **_two_blocks("decoder"))
                and not _looks(
                    ask,
                    _PAIR,
                    _PAIR,
                    of=1,
                    kwargs={"memory_key_padding_mask": _PADDED},
                    **_two_blocks("decoder"),
                )
            ),
        ),
    ),
)
def TransformerDecoder(pick: Pick) -> Drawn:
    config, inner = _stack(pick, "TransformerDecoderLayer", "decoder_layer")
    return config, *_two(pick, inner)


def _sees_memory(ask: Ask, layer: int) -> bool:
    """Whether the memory has a gradient where the other one of two layers does not look at it."""
    blind = {f"layers.{1 - layer}.multihead_attn.out_proj.weight": np.zeros((2, 2))}
    told = ask(_PAIR, _PAIR, state=blind, dy=_PAIR, **_two_blocks("decoder", norm_first=True))
    return bool(np.any(told.dxs[1] != 0))


_WHOLE: dict[str, Any] = {**_SMALL, "num_encoder_layers": 1, "num_decoder_layers": 1}


def _first(name: str) -> Any:
    """How to read an argument of the whole off the first block of its encoder."""
    return lambda module: _READ_BLOCK[name](module.encoder.layers[0])


@spec(
    nn.Transformer,
    families=MODERATE,  # of others the blocks are asked; through several nothing is left to judge
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE_OF_WHOLE,
    known_bad=_forgotten,
    read={
        **{name: _first(name) for name in _READ_BLOCK},
        "norm_first": lambda module: module.encoder.layers[0].norm_first,
        "num_encoder_layers": lambda module: module.encoder.num_layers,
        "num_decoder_layers": lambda module: module.decoder.num_layers,
        "custom_encoder": lambda module: module.encoder,
        "custom_decoder": lambda module: module.decoder,
    },
    claims=(
        Claim(
            "Encoder and decoder end with a LayerNorm each, which TransformerEncoder and "
            "TransformerDecoder leave out by themselves.",
            lambda ask: (
                {"encoder.norm.weight", "decoder.norm.weight"}
                <= {*ask(_PAIR, _PAIR, **_WHOLE).params}
            ),
        ),
        Claim(
            "src comes before tgt; y has the length of tgt.",
            lambda ask: ask([[1.0, 2.0]], _PAIR, **_WHOLE).y.shape == (2, 2),
        ),
        Claim(
            "Nothing is causal unless a mask says so: tgt looks ahead without tgt_mask.",
            lambda ask: (
                _looks(ask, _PAIR, _PAIR, of=1, **_WHOLE)
                and not _looks(ask, _PAIR, _PAIR, of=1, kwargs={"tgt_mask": _AHEAD}, **_WHOLE)
            ),
        ),
        Claim(
            "src_key_padding_mask is the encoder's alone: the decoder wants it once more, as "
            "memory_key_padding_mask.",
            lambda ask: (
                _looks(ask, _PAIR, _PAIR, kwargs={"src_key_padding_mask": _PADDED}, **_WHOLE)
                and not _looks(
                    ask,
                    _PAIR,
                    _PAIR,
                    kwargs={"src_key_padding_mask": _PADDED, "memory_key_padding_mask": _PADDED},
                    **_WHOLE,
                )
            ),
        ),
    ),
)
def Transformer(pick: Pick) -> Drawn:
    common = _options(pick, *_NAMED, widths=_WIDER)
    config = {
        **{name: common[name] for name in ("d_model", "nhead")},
        "num_encoder_layers": pick.option("num_encoder_layers", 1, 2),
        "num_decoder_layers": pick.option("num_decoder_layers", 1, 2),
        **{n: common[n] for n in ("dim_feedforward", "dropout", "activation")},
        "custom_encoder": None,
        "custom_decoder": None,
        **{n: common[n] for n in ("layer_norm_eps", "batch_first", "norm_first", "bias")},
        "training": common["training"],
    }
    custom = pick.option("custom", "none", "encoder", "none", "decoder")
    if custom != "none":
        block = f"Transformer{custom.title()}Layer"
        inner = {f"{custom}_layer": LayerConfig(block, common), "num_layers": 1}
        config[f"custom_{custom}"] = LayerConfig(f"Transformer{custom.title()}", inner)
    batch = pick.option("batch", *_BATCHES)
    length, other = pick.option("length", 3, 2, 1), pick.option("length of src", 2, 3, 1)
    kwargs = _masks(pick, ("src_mask", "src_key_padding_mask"), batch, other, other)
    kwargs |= _masks(pick, ("tgt_mask", "tgt_key_padding_mask"), batch, length, length)
    kwargs |= _masks(pick, ("memory_mask", "memory_key_padding_mask"), batch, length, other)
    src = _sequence(pick, "src", config, batch, other)
    return config, (src, _sequence(pick, "tgt", config, batch, length)), kwargs
