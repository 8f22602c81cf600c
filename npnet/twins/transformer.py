"""Twins of the transformer and its parts."""

from typing import Any

from torch import nn

from npnet.twins.attention import layout, mask
from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Config, LayerConfig
from npnet.verify.claim import Ask
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


def _passed(ask: Ask, block: str) -> bool:
    """Whether x comes out of a block whose linear and attention weights are 0."""
    eye = {f"norm{i}.weight": [2.0, 2.0] for i in (1, 2, 3) if block == "decoder" or i < 3}
    config: dict[str, Any] = {
        "d_model": 2,
        "nhead": 1,
        "dim_feedforward": 1,
        "dropout": 0.0,
        "training": True,
    }
    zero: dict[str, Any] = {
        name: 0 * value for name, value in ask.state({**config, "norm_first": True}).items()
    }
    inputs = ([[1.0, 3.0]],) if block == "encoder" else ([[1.0, 3.0]], [[1.0, 2.0]])
    told = ask(*inputs, state=zero | eye, norm_first=True, **config)
    return same(told.y, [[1.0, 3.0]]) and same(told.dx, [[1.0, 1.0]])


@spec(
    nn.TransformerEncoderLayer,
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    read=_READ_BLOCK,
    claims=(
        Claim(
            "With norm_first the skip path goes past every norm: x itself comes out where the "
            "blocks add nothing.",
            lambda ask: _passed(ask, "encoder"),
        ),
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
        Claim(
            "With norm_first the skip path goes past every norm: tgt itself comes out where the "
            "blocks add nothing.",
            lambda ask: _passed(ask, "decoder"),
        ),
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


@spec(
    nn.TransformerEncoder,
    families=MODERATE,  # of others the blocks are asked; through several nothing is left to judge
    draws=_draws,
    batched=_never,
    slow=True,
    scale=_SCALE,
    read={"encoder_layer": lambda module: module.layers[0]},
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
)
def TransformerDecoder(pick: Pick) -> Drawn:
    config, inner = _stack(pick, "TransformerDecoderLayer", "decoder_layer")
    return config, *_two(pick, inner)


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
