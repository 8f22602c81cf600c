"""Keras 3, in its default data_format, channels_last."""

from typing import Any

from npnet.convert._common import (
    BIAS,
    BIASED,
    CROPS,
    LOOKUP,
    ONE_BIAS,
    PADS,
    SAME,
    TRACKED,
    affine,
    attention,
    dense,
    gated,
    moved,
    one_bias,
    rnn,
    running,
)
from npnet.convert.facts import LAST, SPACE, Part, Table


def keras() -> tuple[Table, ...]:
    def of(layer: str, theirs: str, parts: Any, *at: str, **more: Any) -> Table:
        return Table(
            "keras", layer, f"keras.layers.{theirs}", tuple(parts), at[:-1], at[-1], **more
        )

    rows = "(g u)"
    found = [
        dense("keras", Part("kernel", "weight", "o i -> i o"), BIAS, "keras.layers.Dense"),
        of("Embedding", "Embedding", [Part("embeddings", "weight", "v e -> v e")], *LOOKUP),
        of(
            "EmbeddingBag",
            "Embedding",
            [Part("embeddings", "weight", "v e -> v e")],
            "n l -> n l",
            "n e -> n e",
            notes=("an Embedding, and its rows summed or averaged over the bag by hand",),
        ),
        of(
            "LayerNorm",
            "LayerNormalization",
            affine("gamma", "beta"),
            *SAME,
            notes=("epsilon is 1e-3 there, eps 1e-5 in torch",),
        ),
        of(
            "GroupNorm",
            "GroupNormalization",
            affine("gamma", "beta"),
            "n c ... -> n ... c",
            "n c ... -> n ... c",
            notes=("epsilon is 1e-3 there, eps 1e-5 in torch; groups is 32 there",),
        ),
        of(
            "RMSNorm",
            "RMSNormalization",
            [Part("scale", "weight", "... -> ...")],
            *SAME,
            notes=(
                "epsilon is 1e-6 there; torch's eps=None is the dtype's own, 1.19e-7 for float32",
            ),
        ),
        of(
            "PReLU",
            "PReLU",
            [Part("alpha", "weight", "c -> c")],
            "n c -> n c",
            "n c -> n c",
            notes=("alpha starts at 0 there, at 0.25 in torch",),
        ),
        of(
            "PReLU",
            "PReLU",
            [Part("alpha", "weight", "c -> 1 1 c")],
            LAST[2],
            LAST[2],
            notes=("images need shared_axes=[1, 2]: torch has one slope a channel",),
            variant="images",
        ),
        *rnn(
            "keras",
            "LSTM",
            ("keras.layers.LSTM", "keras.layers.LSTMCell"),
            (
                *gated(rows, "kernel", "recurrent_kernel", "i f g o"),
                one_bias("bias", rows, "i f g o"),
            ),
            ("Keras calls torch's g c", ONE_BIAS, "unit_forget_bias starts f's at 1 there"),
        ),
        *rnn(
            "keras",
            "GRU",
            ("keras.layers.GRU", "keras.layers.GRUCell"),
            (
                *gated(rows, "kernel", "recurrent_kernel", "z r n"),
                Part("bias", "bias_ih", f"{rows} -> {rows}", "z r n", row=0),
                Part("bias", "bias_hh", f"{rows} -> {rows}", "z r n", row=1),
            ),
            (
                "Keras calls torch's n h",
                "with reset_after=True, its default: reset_after=False has no counterpart in torch",
            ),
        ),
        *rnn(
            "keras",
            "RNN",
            ("keras.layers.SimpleRNN", "keras.layers.SimpleRNNCell"),
            (*gated("u", "kernel", "recurrent_kernel", ""), one_bias("bias", "u")),
            (ONE_BIAS,),
        ),
        attention(
            "keras",
            "keras.layers.MultiHeadAttention",
            "attention_output",
            ("call(query, value, key): torch takes query, key, value",),
        ),
    ]
    for n, at in LAST.items():
        s = SPACE[n]
        found += [
            of(
                f"Conv{n}d",
                f"Conv{n}D",
                [moved(f"o i {s} -> {s} i o"), BIAS],
                at,
                at,
                notes=PADS,
            ),
            of(
                f"ConvTranspose{n}d",
                f"Conv{n}DTranspose",
                [moved(f"i o {s} -> {s} o i"), BIAS],
                at,
                at,
                notes=(CROPS,),
            ),
            of(
                f"BatchNorm{n}d",
                "BatchNormalization",
                (*affine("gamma", "beta"), *running("keras")),
                at,
                at,
                notes=(
                    "epsilon is 1e-3 there, eps 1e-5 in torch",
                    "momentum is the share of the old there: 0.99 is torch's 0.01, torch's default "
                    "0.1 is 0.9",
                    BIASED,
                    TRACKED,
                ),
            ),
            of(
                f"InstanceNorm{n}d",
                "GroupNormalization",
                affine("gamma", "beta"),
                at,
                at,
                notes=(
                    "a GroupNormalization with groups=-1; torch needs affine=True",
                    "epsilon is 1e-3 there, eps 1e-5 in torch",
                ),
            ),
        ]
        if n < 3:
            found.append(
                of(
                    f"Conv{n}d",
                    f"DepthwiseConv{n}D",
                    [moved(f"(i m) 1 {s} -> {s} i m"), BIAS],
                    at,
                    at,
                    notes=("torch needs groups=in_channels",),
                    variant="depthwise",
                )
            )
    return tuple(found)
