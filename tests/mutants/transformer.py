from tests.mutants import Mutant

_SRC, _MEMORY = "gradient of input 0", "gradient of input 1"
_FIRST = 'first = _residual(self, parts, state, "norm1", attend, src)'
_SELF = "(dx,), more = first.vjp(dx)\n            return Grads((dx,), {**params, **more})"
_DECODED = "return Grads((dx, dmemory), {**params, **more, **most})"
_BEFORE = "return Grads((dy + dx, *others), {**params, **more})"
_AFTER = "return Grads((ds + dx, *others), {**params, **more})"
_ATTENDED = "return Grads((dq + dk + dv,) if memory is None else (dq, dk + dv), params)"
_FED = "for step in (dropped, activated):\n            (dy,), _ = step.vjp(dy)"
_BLOCK: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    ("forgets the skip path", {_AFTER: _AFTER.replace("ds + dx", "dx")}, _SRC),
    (
        "forgets the skip path past a norm that comes first",
        {_BEFORE: _BEFORE.replace("dy + dx", "dx")},
        (_SRC, "gradient of linear2.weight", "gradient of self_attn.in_proj_weight"),
    ),
    ("ignores norm_first", {"if layer.norm_first:": "if False:"}, "y"),
    ("takes norm_first for granted", {"if layer.norm_first:": "if True:"}, "y"),
    (
        "takes the length to come first always",
        {"batch_first=layer.batch_first,": "batch_first=False,"},
        ("y", "forward"),
    ),
    (
        "uses relu always",
        {
            "return named[layer.activation] if": "return ReLU() if True else "
            "named[layer.activation] if"
        },
        "y",
    ),
    (
        "the gradient of attention to itself goes to the query only",
        {_ATTENDED: _ATTENDED.replace("(dq + dk + dv,) if", "(dq,) if")},
        (_SRC, "gradient of norm1.weight"),
    ),
    (
        "forgets the activation on the way back",
        {_FED: "(dy,), _ = dropped.vjp(dy)"},
        (_SRC, "gradient of linear1.weight", "gradient of linear1.bias"),
    ),
    (
        "the norms have torch's default eps",
        {"LayerNorm(E, layer.layer_norm_eps, bias=layer.bias)": "LayerNorm(E, bias=layer.bias)"},
        "y",
    ),
]
_ENCODER: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "ignores the mask of padding",
        {"masks = src_key_padding_mask, src_mask": "masks = None, src_mask"},
        "y",
    ),
    (
        "ignores the mask",
        {"masks = src_key_padding_mask, src_mask": "masks = src_key_padding_mask, None"},
        "y",
    ),
]
_TARGETS = "masks = tgt_key_padding_mask, tgt_mask, tgt_is_causal"
_CAUSAL = (
    "n = x.shape[1 if self.batch_first and x.ndim > 2 else 0]\n"
    "            ahead = np.triu(np.ones((n, n), bool), 1)\n"
    "            masks = tgt_key_padding_mask, ahead if tgt_mask is None else tgt_mask, False"
)
_DECODER: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    ("is causal without a mask", {_TARGETS: _CAUSAL}, ("y", "forward")),
    ("ignores the mask", {_TARGETS: _TARGETS.replace("tgt_mask", "None")}, "y"),
    (
        "the gradient of the memory leaves the values out",
        {_ATTENDED: _ATTENDED.replace("(dq, dk + dv)", "(dq, dk)")},
        _MEMORY,
    ),
    (
        "looks at itself in the place of the memory",
        {'"dropout2", x, memory, masks': '"dropout2", x, x, masks'},
        "y",
    ),
    (
        "masks the memory as it masks itself",
        {"masks = memory_key_padding_mask, memory_mask": "masks = memory_key_padding_mask, None"},
        "y",
    ),
    (
        "has no gradient for the memory",
        {_DECODED: _DECODED.replace("dmemory)", "0 * dmemory)")},
        _MEMORY,
    ),
]
_STACK = "params |= found"
_ENCODERS: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "forgets the last layer",
        {
            "for i in range(self.num_layers):\n            "
            'steps.append(run(f"layers.{i}", self.encoder_layer': "for i in range(max(1, "
            "self.num_layers - 1)):\n            "
            'steps.append(run(f"layers.{i}", self.encoder_layer'
        },
        "y",
    ),
    (
        "all layers share the first one's numbers",
        {'run(f"layers.{i}", self.encoder_layer': 'run("layers.0", self.encoder_layer'},
        "y",
    ),
    (
        "forgets the norm",
        {
            "        if self.norm is not None:\n            "
            'steps.append(run("norm", self.norm, state, y))': ""
        },
        "y",
    ),
    (
        "masks the first layer only",
        {
            "self.encoder_layer, state, y, *options, rng=rng": "self.encoder_layer, state, y, "
            "*(options if i == 0 else ()), "
            "rng=rng"
        },
        "y",
    ),
    (
        "the gradient stops above the first layer",
        {
            "for step in reversed(steps):\n                (dy,), found": "for step in "
            "reversed(steps[1:]):\n                (dy,), "
            "found"
        },
        (_SRC, "gradient of layers.0.self_attn.in_proj_weight"),
    ),
    (
        "exchanges its masks",
        {
            "options = (mask, src_key_padding_mask, bool(is_causal))": "options = (None, "
            "src_key_padding_mask, bool(is_causal))"
        },
        "y",
    ),
]
_DECODERS: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "the gradient of the memory is the last layer's",
        {"dmemory = dmemory + dm": "dmemory = dm"},
        _MEMORY,
    ),
    (
        "the gradient of the memory is a mean over the layers",
        {"dmemory = dmemory + dm": "dmemory = dmemory + dm / len(steps)"},
        _MEMORY,
    ),
    (
        "forgets the norm",
        {
            'normed = None if self.norm is None else run("norm", self.norm, state, '
            "y)": "normed = None"
        },
        "y",
    ),
    (
        "all layers share the first one's numbers",
        {'run(f"layers.{i}", self.decoder_layer': 'run("layers.0", self.decoder_layer'},
        "y",
    ),
    (
        "the layers look at each other's output for memory",
        {
            "self.decoder_layer, state, y, memory, *options": "self.decoder_layer, state, y, "
            "memory if i == 0 else memory "
            "* 2, "
            "*options"
        },
        "y",
    ),
    (
        "exchanges the masks of padding",
        {
            "masks = (tgt_mask, memory_mask, tgt_key_padding_mask, "
            "memory_key_padding_mask)\n        options": "masks = (tgt_mask, memory_mask, "
            "tgt_key_padding_mask, "
            "None)\n        "
            "options"
        },
        ("y", "gradient of layers.0.multihead_attn.in_proj_weight"),
    ),
]
_WHOLE: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "has no norm behind the encoder",
        {
            "encoder = TransformerEncoder(block, "
            "self.num_encoder_layers, norm)": "encoder = TransformerEncoder(block, "
            "self.num_encoder_layers)"
        },
        "y",
    ),
    (
        "ignores the custom encoder",
        {"return self.custom_encoder or encoder,": "return encoder,"},
        ("y", "forward"),
    ),
    (
        "builds as many decoder layers as encoder layers",
        {
            "TransformerDecoder(other, self.num_decoder_layers": "TransformerDecoder(other, "
            "self.num_encoder_layers"
        },
        ("y", "forward"),
    ),
    (
        "ignores the source's padding in the decoder",
        {
            "masks = (tgt_mask, memory_mask, tgt_key_padding_mask, "
            "memory_key_padding_mask)\n        causal": "masks = (tgt_mask, memory_mask, "
            "tgt_key_padding_mask, "
            "None)\n        "
            "causal"
        },
        "y",
    ),
    (
        "exchanges the gradients of source and target",
        {"return Grads((dsrc, dtgt)": "return Grads((dtgt, dsrc)"},
        (_SRC, _MEMORY),
    ),
    (
        "the gradient of the source ends at the memory",
        {"return Grads((dsrc, dtgt)": "return Grads((dmemory, dtgt)"},
        _SRC,
    ),
    (
        "takes the target to come first",
        {
            "        src: Array,\n        tgt: Array,\n        src_mask": "        tgt: Array,\n"
            "        src: Array,\n        src_mask"
        },
        ("y", "forward"),
    ),
    ("the memory is the source", {"state, tgt, encoded.y, *masks": "state, tgt, src, *masks"}, "y"),
]

_ALL = {
    "TransformerEncoderLayer": [*_BLOCK, *_ENCODER],
    "TransformerDecoderLayer": [*_BLOCK, *_DECODER],
    "TransformerEncoder": _ENCODERS,
    "TransformerDecoder": _DECODERS,
    "Transformer": _WHOLE,
}
MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer, mistakes in _ALL.items()
    for mistake, edits, blames in mistakes
]
