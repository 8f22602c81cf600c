"""The blocks of a transformer: attention and a feedforward network, each beside a skip path.

Everywhere: x is (length, N, d_model), with N first if batch_first, without N for a single sequence.
Masks are as in MultiheadAttention: True forbids, numbers are added to the scores, and none of them
gets a gradient. A query that may look at nothing attends to nothing: its attention is 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, Layer, State
from npnet.nn._parts import prefixed, run
from npnet.nn.activation import GELU
from npnet.nn.attention import MultiheadAttention
from npnet.nn.dropout import Dropout
from npnet.nn.layernorm import LayerNorm
from npnet.nn.linear import Linear
from npnet.nn.rectifier import ReLU

Rng: TypeAlias = np.random.Generator | None
Mask: TypeAlias = Array | None


@dataclass(frozen=True)
class TransformerEncoderLayer:
    """x ← norm1(x + attention(x)), then y = norm2(x + feedforward(x)).

    attention(x) = dropout1(self_attn(x, x, x)); feedforward(x) = dropout2(linear2(dropout(
    activation(linear1(x))))). norm_first: x ← x + attention(norm1(x)), y = x +
    feedforward(norm2(x)).

    src, y: (length, N, d_model); with batch_first N comes first, without a batch it is missing
    self_attn.in_proj_weight: (3 · d_model, d_model)
    self_attn.out_proj.weight: (d_model, d_model)
    linear1.weight: (dim_feedforward, d_model)    linear2.weight: (d_model, dim_feedforward)
    norm1.weight, norm2.weight: (d_model,)    and a bias of each: bias=False has none anywhere

    ds = norm2_back(dy)    dx = ds + feedforward_back(ds)
    ds = norm1_back(dx)    dsrc = ds + attention_back(ds)

    norm_first: dx = dy + norm2_back(feedforward_back(dy)), and
    dsrc = dx + norm1_back(attention_back(dx)). feedforward_back runs dropout2, linear2, dropout,
    activation and linear1 backwards, in this order; attention_back dropout1 and self_attn, whose
    dquery, dkey and dvalue it adds up.

    self_attn is a MultiheadAttention of nhead heads, with dropout; src_mask and
    src_key_padding_mask are its masks, and a query that may look at no key gets 0 of it. dropout is
    that of every Dropout, layer_norm_eps the eps of both LayerNorms. activation: "relu", "gelu", or
    a layer without state such as nn.SiLU(). training=False switches every Dropout off.

    Raises what its parts raise.
    Twin: torch.nn.TransformerEncoderLayer. Source: Vaswani et al. (2017), arXiv:1706.03762;
    norm_first: Xiong et al. (2020), arXiv:2002.04745.
    """

    d_model: int
    nhead: int
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Layer = "relu"
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _activation(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """What the parts draw."""
        return _drawn(_parts(self, ("self_attn",), norms=2), rng)

    def __call__(
        self,
        state: State,
        src: Array,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
        *,
        rng: Rng = None,
    ) -> Forward:
        """y, and the gradients of src and of every part."""
        parts = dict(_parts(self, ("self_attn",), norms=2))

        def attend(x: Array) -> Forward:
            masks = src_key_padding_mask, src_mask, is_causal
            return _attended(parts, state, "self_attn", "dropout1", x, None, masks, rng)

        def feed(x: Array) -> Forward:
            return _fed(self, parts, state, "dropout2", x, rng)

        first = _residual(self, parts, state, "norm1", attend, src)
        second = _residual(self, parts, state, "norm2", feed, first.y)

        def vjp(dy: Array) -> Grads:
            (dx,), params = second.vjp(dy)
            (dx,), more = first.vjp(dx)
            return Grads((dx,), {**params, **more})

        return Forward(second.y, vjp)


@dataclass(frozen=True)
class TransformerDecoderLayer:
    """x ← norm1(x + attention(x)), x ← norm2(x + cross(x, memory)), y = norm3(x + feedforward(x)).

    attention and feedforward are as in TransformerEncoderLayer, the latter with dropout3;
    cross(x, memory) = dropout2(multihead_attn(x, memory, memory)). norm_first: every norm before
    its part in the place of after the sum.

    tgt, y: (length, N, d_model)    memory: (its length, N, d_model)
    multihead_attn has the entries of self_attn, norm3 those of norm1

    ds = norm3_back(dy)    dx = ds + feedforward_back(ds)
    ds = norm2_back(dx)    dx, dmemory = ds + dquery, dkey + dvalue of cross_back(ds)
    ds = norm1_back(dx)    dtgt = ds + attention_back(ds)

    cross_back runs dropout2 and multihead_attn backwards; the rest, and norm_first, are
    as in TransformerEncoderLayer.

    Raises what its parts raise.
    Twin: torch.nn.TransformerDecoderLayer. Source: as for TransformerEncoderLayer.
    """

    d_model: int
    nhead: int
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Layer = "relu"
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _activation(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """What the parts draw."""
        return _drawn(_parts(self, ("self_attn", "multihead_attn"), norms=3), rng)

    def __call__(
        self,
        state: State,
        tgt: Array,
        memory: Array,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        rng: Rng = None,
    ) -> Forward:
        """y, and the gradients of tgt, memory and of every part."""
        parts = dict(_parts(self, ("self_attn", "multihead_attn"), norms=3))

        def attend(x: Array) -> Forward:
            masks = tgt_key_padding_mask, tgt_mask, tgt_is_causal
            return _attended(parts, state, "self_attn", "dropout1", x, None, masks, rng)

        def cross(x: Array) -> Forward:
            masks = memory_key_padding_mask, memory_mask, memory_is_causal
            return _attended(parts, state, "multihead_attn", "dropout2", x, memory, masks, rng)

        def feed(x: Array) -> Forward:
            return _fed(self, parts, state, "dropout3", x, rng)

        first = _residual(self, parts, state, "norm1", attend, tgt)
        second = _residual(self, parts, state, "norm2", cross, first.y)
        third = _residual(self, parts, state, "norm3", feed, second.y)

        def vjp(dy: Array) -> Grads:
            (dx,), params = third.vjp(dy)
            (dx, dmemory), more = second.vjp(dx)
            (dx,), most = first.vjp(dx)
            return Grads((dx, dmemory), {**params, **more, **most})

        return Forward(third.y, vjp)


_Block: TypeAlias = TransformerEncoderLayer | TransformerDecoderLayer


def _activation(layer: _Block) -> Any:
    named = {"relu": ReLU(), "gelu": GELU()}
    if isinstance(layer.activation, str) and layer.activation not in named:
        raise ConfigError(
            f"{type(layer).__name__} needs activation 'relu', 'gelu' or a layer, but got "
            f"{layer.activation!r}."
        )
    return named[layer.activation] if isinstance(layer.activation, str) else layer.activation


def _parts(layer: _Block, attentions: tuple[str, ...], norms: int) -> Iterator[tuple[str, Any]]:
    """Name and layer of every part, in the order of torch's state_dict."""
    E, F, training = layer.d_model, layer.dim_feedforward, layer.training
    for name in attentions:
        yield (
            name,
            MultiheadAttention(
                E,
                layer.nhead,
                dropout=layer.dropout,
                bias=layer.bias,
                batch_first=layer.batch_first,
                training=training,
            ),
        )
    yield "linear1", Linear(E, F, bias=layer.bias)
    yield "dropout", Dropout(layer.dropout, training=training)
    yield "linear2", Linear(F, E, bias=layer.bias)
    for i in range(1, norms + 1):
        yield f"norm{i}", LayerNorm(E, layer.layer_norm_eps, bias=layer.bias)
    for i in range(1, norms + 1):
        yield f"dropout{i}", Dropout(layer.dropout, training=training)
    yield "activation", _activation(layer)


def _drawn(parts: Iterator[tuple[str, Any]], rng: np.random.Generator) -> dict[str, Array]:
    return {n: a for name, layer in parts for n, a in prefixed(name, layer.init(rng)).items()}


def _residual(
    layer: _Block, parts: dict[str, Any], state: State, norm: str, block: Any, x: Any
) -> Forward:
    """norm(x + block(x)), or x + block(norm(x)) with norm_first; block may have more inputs."""
    if layer.norm_first:
        normed = run(norm, parts[norm], state, x)
        inner = block(normed.y)

        def vjp(dy: Array) -> Grads:
            (dx, *others), params = inner.vjp(dy)
            (dx,), more = normed.vjp(dx)
            return Grads((dy + dx, *others), {**params, **more})

        return Forward(x + inner.y, vjp)

    inner = block(x)
    outer = run(norm, parts[norm], state, x + inner.y)

    def vjp_of_sum(dy: Array) -> Grads:
        (ds,), params = outer.vjp(dy)
        (dx, *others), more = inner.vjp(ds)
        return Grads((ds + dx, *others), {**params, **more})

    return Forward(outer.y, vjp_of_sum)


def _attended(
    parts: dict[str, Any],
    state: State,
    name: str,
    dropout: str,
    x: Array,
    memory: Array | None,
    masks: tuple[Mask, Mask, bool],
    rng: Rng,
) -> Forward:
    """dropout(attention of x to itself, or to the memory)."""
    padding, mask, causal = masks
    other = x if memory is None else memory
    attention = run(
        name, parts[name], state, x, other, other, padding, False, mask, is_causal=causal, rng=rng
    )
    dropped = parts[dropout]({}, attention.y, rng=rng)

    def vjp(dy: Array) -> Grads:
        (dq, dk, dv), params = attention.vjp(dropped.vjp(dy).inputs[0])
        return Grads((dq + dk + dv,) if memory is None else (dq, dk + dv), params)

    return Forward(dropped.y, vjp)


def _fed(
    layer: _Block, parts: dict[str, Any], state: State, dropout: str, x: Array, rng: Rng
) -> Forward:
    """dropout(linear2(dropout(activation(linear1(x)))))."""
    first = run("linear1", parts["linear1"], state, x)
    activated = parts["activation"]({}, first.y)
    dropped = parts["dropout"]({}, activated.y, rng=rng)
    second = run("linear2", parts["linear2"], state, dropped.y)
    last = parts[dropout]({}, second.y, rng=rng)

    def vjp(dy: Array) -> Grads:
        (dy,), params = second.vjp(last.vjp(dy).inputs[0])
        for step in (dropped, activated):
            (dy,), _ = step.vjp(dy)
        (dx,), more = first.vjp(dy)
        return Grads((dx,), {**params, **more})

    return Forward(last.y, vjp)
