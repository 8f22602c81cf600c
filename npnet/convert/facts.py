"""What a table of a layer says, and what torch's own state_dicts hold."""

import hashlib
from dataclasses import dataclass

FRAMEWORKS = {
    "keras": "Keras",
    "tf": "TensorFlow",
    "flax": "Flax (linen)",
    "nnx": "Flax (nnx)",
    "dlfs": "Deep Learning from Scratch",
}
"""The frameworks by the names that the tables and `npnet convert` have for them."""

ALIASES = {"numpy-dlfs": "dlfs", "tensorflow": "tf", "tf.keras": "keras", "linen": "flax"}


@dataclass(frozen=True)
class Part:
    """A tensor of another framework, and what of torch's it is made of.

    name: theirs, below the layer's own: "kernel", "query/kernel"
    entry: torch's, of the state_dict
    layout: torch's axes -> theirs; g is the axis of blocks (gates)
    blocks: which blocks it holds, in their order; "" where there are none
    flip: axes that run the other way
    plus: an entry that is added to it: theirs has one where torch has two; `plus_blocks` of it
    row: the place along a leading axis of theirs that holds several
    also: other names in use
    """

    name: str
    entry: str
    layout: str
    blocks: str = ""
    flip: str = ""
    plus: str = ""
    plus_blocks: str = ""
    row: int | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One layer of torch in another framework.

    theirs: what it is called there        variant: which of several ways to write it
    inputs: how what it takes lies, torch's axes -> theirs; outputs: its result
    """

    framework: str
    layer: str
    theirs: str
    parts: tuple[Part, ...]
    inputs: tuple[str, ...]
    outputs: str
    notes: tuple[str, ...] = ()
    variant: str = ""

    @property
    def key(self) -> str:
        """The name of the table: "keras/Conv2d"."""
        return f"{self.framework}/{self.layer}" + (f"/{self.variant}" if self.variant else "")

    @property
    def digest(self) -> str:
        """Of everything that moves a number: a proof holds for this and nothing else."""
        told = repr((self.key, self.theirs, self.parts, self.inputs, self.outputs))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def merges(self) -> bool:
        """Whether it has one tensor where torch has two, which cannot be undone."""
        return any(part.plus for part in self.parts)


# ---- what torch has ------------------------------------------------------------------------------

SPACE = {1: "w", 2: "h w", 3: "d h w"}
LAST = {1: "n c w -> n w c", 2: "n c h w -> n h w c", 3: "n c d h w -> n d h w c"}

BLOCKS = {
    "LSTM": "i f g o",
    "LSTMCell": "i f g o",
    "GRU": "r z n",
    "GRUCell": "r z n",
    "MultiheadAttention": "q k v",
}
"""What is stacked along the first axis of weights, in torch's order."""

RECURRENT = ("RNN", "LSTM", "GRU")


def suffix_of(layer: str) -> str:
    """What torch puts behind the names of a layer over time: of the first of them."""
    return "_l0" if layer in RECURRENT else ""


AXES = {
    "o": "output features (channels)",
    "i": "input features (channels)",
    "d": "depth",
    "h": "height",
    "w": "width",
    "c": "channels",
    "v": "rows of the table",
    "e": "embedding",
    "n": "heads",
    "u": "units (hidden_size)",
    "k": "units of the step before",
    "g": "blocks",
    "m": "kernels for each channel",
    "l": "length",
    "t": "time",
}

OWN_AXES = {
    "Bilinear": {"i": "features of the first input", "k": "features of the second input"},
    "MultiheadAttention": {"d": "features of each head"},
}
"""Where a letter means something else in a layer."""

_BATCHNORM = {
    "weight": ("c", "(num_features,)"),
    "bias": ("c", "(num_features,)"),
    "running_mean": ("c", "(num_features,)"),
    "running_var": ("c", "(num_features,)"),
    "num_batches_tracked": ("", "()"),
}


def _kernel(n: int, first: str) -> dict[str, tuple[str, str]]:
    ends = " ".join(f"kernel_size[{i}]," for i in range(n)).rstrip(",")
    return {
        "weight": (f"{first} {SPACE[n]}", f"({_CHANNELS[first]}, {ends})"),
        "bias": ("o", "(out_channels,)"),
    }


_CHANNELS = {
    "o i": "out_channels, in_channels / groups",
    "i o": "in_channels, out_channels / groups",
}


def _steps(rows: str, width: str, suffix: str) -> dict[str, tuple[str, str]]:
    many = f"{width} · hidden_size" if width else "hidden_size"
    return {
        f"weight_ih{suffix}": (f"{rows} i", f"({many}, input_size)"),
        f"weight_hh{suffix}": (f"{rows} k", f"({many}, hidden_size)"),
        f"bias_ih{suffix}": (rows, f"({many},)"),
        f"bias_hh{suffix}": (rows, f"({many},)"),
    }


STATES: dict[str, dict[str, tuple[str, str]]] = {
    "Linear": {"weight": ("o i", "(out_features, in_features)"), "bias": ("o", "(out_features,)")},
    "Bilinear": {
        "weight": ("o i k", "(out_features, in1_features, in2_features)"),
        "bias": ("o", "(out_features,)"),
    },
    **{f"Conv{n}d": _kernel(n, "o i") for n in SPACE},
    **{f"ConvTranspose{n}d": _kernel(n, "i o") for n in SPACE},
    **{f"BatchNorm{n}d": _BATCHNORM for n in SPACE},
    **{f"InstanceNorm{n}d": _BATCHNORM for n in SPACE},
    "LayerNorm": dict.fromkeys(("weight", "bias"), ("...", "normalized_shape")),
    "GroupNorm": dict.fromkeys(("weight", "bias"), ("c", "(num_channels,)")),
    "RMSNorm": {"weight": ("...", "normalized_shape")},
    "Embedding": {"weight": ("v e", "(num_embeddings, embedding_dim)")},
    "EmbeddingBag": {"weight": ("v e", "(num_embeddings, embedding_dim)")},
    "PReLU": {"weight": ("c", "(num_parameters,)")},
    **{
        kind + cell: _steps(rows, width, suffix)
        for kind, rows, width in (("RNN", "u", ""), ("LSTM", "(g u)", "4"), ("GRU", "(g u)", "3"))
        for cell, suffix in (("", "_l0"), ("Cell", ""))
    },
    "MultiheadAttention": {
        "in_proj_weight": ("(g n d) e", "(3 · embed_dim, embed_dim)"),
        "in_proj_bias": ("(g n d)", "(3 · embed_dim,)"),
        "out_proj.weight": ("o (n d)", "(embed_dim, embed_dim)"),
        "out_proj.bias": ("o", "(embed_dim,)"),
    },
}
"""Of every layer with state that a table speaks of: the axes and the shape of each entry."""

INSIDE = {
    "TransformerEncoderLayer": {
        "self_attn": "MultiheadAttention",
        "linear1": "Linear",
        "linear2": "Linear",
        "norm1": "LayerNorm",
        "norm2": "LayerNorm",
    },
    "TransformerDecoderLayer": {
        "self_attn": "MultiheadAttention",
        "multihead_attn": "MultiheadAttention",
        "linear1": "Linear",
        "linear2": "Linear",
        "norm1": "LayerNorm",
        "norm2": "LayerNorm",
        "norm3": "LayerNorm",
    },
    "TransformerEncoder": {"norm": "LayerNorm"},
    "TransformerDecoder": {"norm": "LayerNorm"},
}
"""Layers that are made of others, by the names that these have in the state_dict."""
