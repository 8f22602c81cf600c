"""What a layer of npnet is built and fed with, where only its tensors are known."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, ConfigError, ShapeError, State
from npnet.convert.facts import RECURRENT, Table

_NORMS = ("BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm")
_SPATIAL = 2  # places more than the kernel has
_SIZES = (8, 28, 32, 12, 16, 64, 24, 4, 6, 10, 14, 20, 48, 56, 96, 128, 224)


def layer_of(
    table: Table, entries: State, theirs: State, heads: int | None = None
) -> tuple[Any, Table]:
    """The layer of npnet with these entries, everything else as torch's defaults; in evaluation.

    A normalisation is one over the last axis, as its groups are not in a checkpoint. Besides it,
    the table of what is run.
    """
    kind = table.layer
    has_bias = any("bias" in n for n in entries)
    weight = entries.get("weight", np.zeros(0)).shape
    if kind.startswith(_NORMS) and "running_mean" not in entries:
        return nn.LayerNorm(weight, bias=has_bias), _as(table, "LayerNorm")
    if kind.startswith(_NORMS):
        affine = "weight" in entries
        size = entries["running_mean"].shape[0]
        norm = nn.BatchNorm1d(size, affine=affine, bias=has_bias, training=False)
        return norm, _as(table, "BatchNorm1d")
    if kind.startswith("ConvTranspose"):
        out = entries["bias"].shape[0] if has_bias else weight[1]
        made = getattr(nn, kind)(weight[0], out, weight[2:], groups=out // weight[1], bias=has_bias)
        return made, table
    if kind.startswith("Conv"):
        deep = table.variant == "depthwise"
        groups = next(a.shape[-2] for a in theirs.values() if a.ndim > 2) if deep else 1
        made = getattr(nn, kind)(
            weight[1] * groups, weight[0], weight[2:], groups=groups, bias=has_bias
        )
        return made, table
    if kind.removesuffix("Cell") in RECURRENT:
        kind = kind.removesuffix("Cell")
        hidden = entries["weight_hh"].shape[1]
        made = getattr(nn, kind)(entries["weight_ih"].shape[1], hidden, bias=has_bias)
        return made, replace(
            table, layer=kind, inputs=("t n i -> n t i",), outputs="t n u -> n t u"
        )
    match kind:
        case "Linear":
            return nn.Linear(weight[1], weight[0], has_bias), table
        case "Bilinear":
            return nn.Bilinear(weight[1], weight[2], weight[0], has_bias), table
        case "Embedding" | "EmbeddingBag":
            made = nn.Embedding(*weight)
            lookup = ("... -> ...",)
            return made, replace(table, layer="Embedding", inputs=lookup, outputs="... e -> ... e")
        case "RMSNorm":
            return nn.RMSNorm(weight, eps=1e-5), table
        case "PReLU":
            return nn.PReLU(weight[0]), _as(table, "PReLU")
        case "MultiheadAttention":
            width = entries["out_proj.weight"].shape[0]
            return nn.MultiheadAttention(width, heads or 1, bias=has_bias, training=False), table
    raise ConfigError(f"{kind} cannot be built of its tensors alone.")


def _as(table: Table, layer: str) -> Table:
    """A table for what is run in the place of its layer: rows of features."""
    same = "... -> ..."
    return replace(table, layer=layer, inputs=(same,), outputs=same)


def inputs_for(layer: Any, dtype: Any, rng: np.random.Generator) -> tuple[Array, ...]:
    """What a layer that is known by itself is called with: small, and drawn."""
    shape = _shape(layer)
    if shape is None:
        raise ConfigError(
            f"what {type(layer).__name__} takes is not known. --input 2,3,8,8 says its shape."
        )
    return tuple(drawn(layer, s, dtype, rng) for s in (shape if _several(layer) else [shape]))


def drawn(layer: Any, shape: Sequence[int], dtype: Any, rng: np.random.Generator) -> Array:
    """Numbers of a shape, or places in a table where the first layer is one."""
    first = _first(layer)
    if type(first).__name__.startswith("Embedding"):
        return rng.integers(0, first.num_embeddings, tuple(shape))
    return rng.standard_normal(tuple(shape)).astype(dtype)


def network_inputs(
    layer: Any, state: State, dtype: Any, rng: np.random.Generator, shape: Sequence[int] | None
) -> tuple[Array, ...]:
    """What a network is called with: of a shape that is given, or that it runs with.

    Raises ConfigError where none is found.
    """
    first = _first(layer)
    _require_one_input(first)
    if shape is not None:
        each = _of_shape(first, tuple(shape))
        return tuple(drawn(layer, one, dtype, rng) for one in each)
    tried = _candidates(first)
    if _several(first):
        return inputs_for(first, dtype, rng)
    for one in tried:
        x = drawn(first, one, dtype, rng)
        try:
            draws = "rng" in type(layer).__call__.__annotations__
            more = {"rng": np.random.default_rng(0)} if draws else {}
            layer(state, x, **more)
        except ShapeError:
            continue
        return (x,)
    raise ConfigError(
        f"no input was found that this network runs with, whose first layer is {first!r}. "
        "--input 2,3,8,8 says its shape."
    )


def _require_one_input(first: Any) -> None:
    """Raise ConfigError for a layer that takes more, which nothing says how to draw."""
    if _several(first):
        return
    _, _, *given = inspect.signature(type(first).__call__).parameters.values()  # self, state
    needed = [p.name for p in given if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(needed) > 1:
        raise ConfigError(
            f"{type(first).__name__} takes {' and '.join(needed)}, but only {needed[0]} is drawn "
            f"here. Hold it against torch by npnet verify {type(first).__name__}."
        )


def _of_shape(first: Any, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of all inputs, where one is said."""
    match type(first).__name__:
        case "MultiheadAttention":
            return [shape] * 3
        case "Bilinear":
            return [(*shape[:-1], n) for n in (first.in1_features, first.in2_features)]
    return [shape]


def _several(layer: Any) -> bool:
    return type(layer).__name__ in ("MultiheadAttention", "Bilinear")


def _first(layer: Any) -> Any:
    """The first layer that says what it takes."""
    if type(layer).__name__ != "Sequential" or not layer.layers:
        return layer
    for one in layer.layers:
        found = _first(one)
        if _shape(found) is not None or type(found).__name__.startswith(("Batch", "Instance")):
            return found
    return _first(layer.layers[0])


def _candidates(first: Any) -> list[tuple[int, ...]]:
    """Shapes to be tried, one after the other."""
    kind = type(first).__name__
    n = int(kind[-2]) if kind.endswith("d") and kind[-2].isdigit() else 0
    if kind.startswith("Conv"):
        least = min(_shape(first)[2:])
        sizes = sorted(_SIZES, key=lambda s: s < least)  # what is sure to fit comes first
        return [(2, first.in_channels, *(s,) * n) for s in sizes]
    if kind.startswith(("BatchNorm", "InstanceNorm")):
        flat = [(5, first.num_features)] * (kind == "BatchNorm1d")
        return [*flat, *((2, first.num_features, *(s,) * n) for s in _SIZES)]
    shape = _shape(first)
    if shape is not None:
        return [tuple(shape)]
    return [(2, 4), *((2, c, *(s,) * 2) for c in (3, 1, 4) for s in _SIZES)]


def _shape(layer: Any) -> Any:
    """A small shape that a layer takes, or several; None where it takes any."""
    kind = type(layer).__name__
    if kind.startswith("Conv"):
        reach = [
            d * (k - 1) + 1 + _SPATIAL
            for d, k in zip(layer.dilation if isinstance(layer.dilation, tuple) else
                            (layer.dilation,) * int(kind[-2]), _tuple(layer.kernel_size, kind),
                            strict=True)
        ]  # fmt: skip
        return (2, layer.in_channels, *reach)
    match kind:
        case "Linear":
            return (3, layer.in_features)
        case "Embedding" | "EmbeddingBag":
            return (2, 5)
        case "LayerNorm" | "RMSNorm":
            shape = layer.normalized_shape
            return (3, *(shape if isinstance(shape, tuple) else (shape,)))
        case "GroupNorm":
            return (2, layer.num_channels, 3)
        case "BatchNorm1d":
            return (5, layer.num_features)
        case "PReLU":
            return (3, layer.num_parameters)
        case "LSTM" | "GRU" | "RNN":
            return (4, 2, layer.input_size)
        case "LSTMCell" | "GRUCell" | "RNNCell":
            return (2, layer.input_size)
        case "MultiheadAttention":
            return ((4, 2, layer.embed_dim),) * 3
        case "Bilinear":
            return (3, layer.in1_features), (3, layer.in2_features)
        case "TransformerEncoderLayer":
            return (4, 2, layer.d_model)
    return None


def _tuple(size: Any, kind: str) -> tuple[int, ...]:
    return size if isinstance(size, tuple) else (size,) * int(kind[-2])
