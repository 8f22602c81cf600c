"""The transformer: stacks of blocks, encoder and decoder.

Shapes and masks are as in npnet.nn.transformer_block.
"""

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from npnet.contract import Array, Forward, Grads, Layer, State
from npnet.nn import init
from npnet.nn._parts import prefixed, run
from npnet.nn.layernorm import LayerNorm
from npnet.nn.transformer_block import TransformerDecoderLayer, TransformerEncoderLayer

Rng: TypeAlias = np.random.Generator | None
Mask: TypeAlias = Array | None
_Block: TypeAlias = TransformerEncoderLayer | TransformerDecoderLayer


@dataclass(frozen=True)
class TransformerEncoder:
    """num_layers copies of encoder_layer, one after the other, then norm.

    src, y: (length, N, d_model)

    dy_{i-1} = layer_back(dy_i), from the last copy to the first    dsrc = dy_0

    The dy of the last copy is what norm's backward pass makes of dy, and dy itself without norm.

    The entries of copy i begin with "layers.i.", those of the norm with "norm.". All copies start
    from the same numbers. enable_nested_tensor and mask_check are about torch's kernels: accepted,
    and without effect. is_causal=None finds out by itself, which changes no number.

    Raises what its parts raise.
    Twin: torch.nn.TransformerEncoder.
    """

    encoder_layer: TransformerEncoderLayer
    num_layers: int
    norm: Layer | None = None
    enable_nested_tensor: bool = True
    mask_check: bool = True

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """One draw of the layer, for all copies, and the norm's."""
        return _stack(self.encoder_layer, self.num_layers, self.norm, rng)

    def __call__(
        self,
        state: State,
        src: Array,
        mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool | None = None,
        *,
        rng: Rng = None,
    ) -> Forward:
        """y, and the gradients of src and of every layer."""
        options = (mask, src_key_padding_mask, bool(is_causal))
        y: Any = src
        steps = []
        for i in range(self.num_layers):
            steps.append(run(f"layers.{i}", self.encoder_layer, state, y, *options, rng=rng))
            y = steps[-1].y
        if self.norm is not None:
            steps.append(run("norm", self.norm, state, y))

        def vjp(dy: Array) -> Grads:
            params: dict[str, Array] = {}
            for step in reversed(steps):
                (dy,), found = step.vjp(dy)
                params |= found
            return Grads((dy,), params)

        return Forward(steps[-1].y if steps else src, vjp)


@dataclass(frozen=True)
class TransformerDecoder:
    """num_layers copies of decoder_layer, one after the other, then norm.

    tgt, y: (length, N, d_model)    memory: (its length, N, d_model), which every layer looks at

    dy_{i-1}, dmemory_i = layer_back(dy_i), from the last copy to the first
    dtgt = dy_0    dmemory = Σ dmemory_i

    Norm, names, copies and is_causal are as in TransformerEncoder.

    Raises what its parts raise.
    Twin: torch.nn.TransformerDecoder.
    """

    decoder_layer: TransformerDecoderLayer
    num_layers: int
    norm: Layer | None = None

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """One draw of the layer, for all copies, and the norm's."""
        return _stack(self.decoder_layer, self.num_layers, self.norm, rng)

    def __call__(
        self,
        state: State,
        tgt: Array,
        memory: Array,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        *,
        rng: Rng = None,
    ) -> Forward:
        """y, and the gradients of tgt, memory and of every layer."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        options = (*masks, bool(tgt_is_causal), memory_is_causal)
        y: Any = tgt
        steps = []
        for i in range(self.num_layers):
            step = run(f"layers.{i}", self.decoder_layer, state, y, memory, *options, rng=rng)
            steps.append(step)
            y = step.y
        normed = None if self.norm is None else run("norm", self.norm, state, y)

        def vjp(dy: Array) -> Grads:
            params: dict[str, Array] = {}
            if normed is not None:
                (dy,), found = normed.vjp(dy)
                params |= found
            dmemory = np.zeros_like(memory)
            for step in reversed(steps):
                (dy, dm), found = step.vjp(dy)
                dmemory = dmemory + dm
                params |= found
            return Grads((dy, dmemory), params)

        return Forward(y if normed is None else normed.y, vjp)


def _stack(
    layer: _Block, number: int, norm: Layer | None, rng: np.random.Generator
) -> dict[str, Array]:
    drawn = layer.init(rng)
    state: dict[str, Array] = {}
    for i in range(number):
        state |= prefixed(f"layers.{i}", {name: a.copy() for name, a in drawn.items()})
    return state if norm is None else state | prefixed("norm", norm.init(rng))


@dataclass(frozen=True)
class Transformer:
    """y = decoder(tgt, encoder(src)).

    src: (S, N, d_model)    tgt, y: (T, N, d_model)

    dtgt, dmemory = decoder_back(dy)    dsrc = encoder_back(dmemory)

    The encoder is a TransformerEncoder of num_encoder_layers, the decoder a TransformerDecoder of
    num_decoder_layers; both have a LayerNorm behind their last layer, and all other arguments are
    as in TransformerEncoderLayer. custom_encoder and custom_decoder, layers that are called as
    TransformerEncoder and TransformerDecoder are, take their places. The entries begin with
    "encoder." and "decoder.".

    Raises what its parts raise.
    Twin: torch.nn.Transformer. Source: Vaswani et al. (2017), arXiv:1706.03762.
    """

    d_model: int = 512
    nhead: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Layer = "relu"
    custom_encoder: Layer | None = None
    custom_decoder: Layer | None = None
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True
    training: bool = field(default=True, kw_only=True)

    @property
    def _halves(self) -> tuple[Layer, Layer]:
        """Encoder and decoder."""
        arguments = (
            self.d_model,
            self.nhead,
            self.dim_feedforward,
            self.dropout,
            self.activation,
            self.layer_norm_eps,
            self.batch_first,
            self.norm_first,
            self.bias,
        )
        norm = LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias)
        block = TransformerEncoderLayer(*arguments, training=self.training)
        encoder = TransformerEncoder(block, self.num_encoder_layers, norm)
        other = TransformerDecoderLayer(*arguments, training=self.training)
        decoder = TransformerDecoder(other, self.num_decoder_layers, norm)
        return self.custom_encoder or encoder, self.custom_decoder or decoder

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """What the parts draw, but every matrix anew and Xavier-uniform."""
        halves = zip(("encoder", "decoder"), self._halves, strict=True)
        state = {n: a for name, half in halves for n, a in prefixed(name, half.init(rng)).items()}
        return {n: init.xavier_uniform(rng, a.shape) if a.ndim > 1 else a for n, a in state.items()}

    def __call__(
        self,
        state: State,
        src: Array,
        tgt: Array,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        *,
        rng: Rng = None,
    ) -> Forward:
        """y, and the gradients of src, tgt and of every part."""
        encoder, decoder = self._halves
        options = (src_mask, src_key_padding_mask, src_is_causal)
        encoded = run("encoder", encoder, state, src, *options, rng=rng)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        causal = (tgt_is_causal, memory_is_causal)
        decoded = run("decoder", decoder, state, tgt, encoded.y, *masks, *causal, rng=rng)

        def vjp(dy: Array) -> Grads:
            (dtgt, dmemory), params = decoded.vjp(dy)
            (dsrc,), more = encoded.vjp(dmemory)
            return Grads((dsrc, dtgt), {**params, **more})

        return Forward(decoded.y, vjp)

    @staticmethod
    def generate_square_subsequent_mask(sz: int) -> Array:
        """(sz, sz): 0 up to the diagonal, -inf above it; float32, as torch's default."""
        mask: Array = np.triu(np.full((sz, sz), -math.inf, np.float32), k=1)
        return mask
