"""Flax: linen and nnx."""

from dataclasses import replace
from typing import Any

from npnet.convert._common import (
    BIAS,
    BIASED,
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


def flax() -> tuple[Table, ...]:
    def of(layer: str, theirs: str, parts: Any, *at: str, **more: Any) -> Table:
        return Table("flax", layer, f"flax.linen.{theirs}", tuple(parts), at[:-1], at[-1], **more)

    def each(gates: str, side: str, entry: str, layout: str, leaf: str) -> list[Part]:
        return [Part(f"{side}{g}/{leaf}", entry, layout, g) for g in gates.split()]

    weight, hidden, vector = "(g u) i -> i u", "(g u) k -> k u", "(g u) -> u"
    eps = "epsilon is 1e-6 there, eps 1e-5 in torch"
    found = [
        dense("flax", Part("kernel", "weight", "o i -> i o"), BIAS, "flax.linen.Dense"),
        of("Embedding", "Embed", [Part("embedding", "weight", "v e -> v e")], *LOOKUP),
        of("LayerNorm", "LayerNorm", affine("scale", "bias"), *SAME, notes=(eps,)),
        of(
            "GroupNorm",
            "GroupNorm",
            affine("scale", "bias"),
            "n c ... -> n ... c",
            "n c ... -> n ... c",
            notes=(eps,),
        ),
        of(
            "RMSNorm",
            "RMSNorm",
            [Part("scale", "weight", "... -> ...")],
            *SAME,
            notes=(
                "epsilon is 1e-6 there; torch's eps=None is the dtype's own, 1.19e-7 for float32",
            ),
        ),
        of(
            "PReLU",
            "PReLU",
            [Part("negative_slope", "weight", "1 -> ")],
            *SAME,
            notes=(
                "one number, torch's num_parameters=1; it starts at 0.01 there, at 0.25 in torch",
            ),
        ),
        *rnn(
            "flax",
            "LSTM",
            ("flax.linen.RNN(LSTMCell)", "flax.linen.LSTMCell"),
            (
                *each("i f g o", "i", "weight_ih", weight, "kernel"),
                *each("i f g o", "h", "weight_hh", hidden, "kernel"),
                *(
                    replace(p, plus="bias_ih", plus_blocks=p.blocks)
                    for p in each("i f g o", "h", "bias_hh", vector, "bias")
                ),
            ),
            (ONE_BIAS.replace("bias_ih is it and bias_hh is 0", "bias_hh is it and bias_ih is 0"),),
        ),
        *rnn(
            "flax",
            "GRU",
            ("flax.linen.RNN(GRUCell)", "flax.linen.GRUCell"),
            (
                *each("r z n", "i", "weight_ih", weight, "kernel"),
                *each("r z n", "h", "weight_hh", hidden, "kernel"),
                *(
                    replace(p, plus="bias_hh", plus_blocks=p.blocks)
                    for p in each("r z", "i", "bias_ih", vector, "bias")
                ),
                *each("n", "i", "bias_ih", vector, "bias"),
                *each("n", "h", "bias_hh", vector, "bias"),
            ),
            ("the biases of r and z are one; n has both, as in torch", ONE_BIAS),
        ),
        *rnn(
            "flax",
            "RNN",
            ("flax.linen.RNN(SimpleCell)", "flax.linen.SimpleCell"),
            (*gated("u", "i/kernel", "h/kernel", ""), one_bias("i/bias", "u")),
            (ONE_BIAS,),
        ),
        attention(
            "flax",
            "flax.linen.MultiHeadDotProductAttention",
            "out",
            ("torch's features are qkv_features, which are divided by num_heads",),
        ),
    ]
    for n, at in LAST.items():
        s = SPACE[n]
        flipped = replace(moved(f"i o {s} -> {s} i o"), flip=s)
        same = ("its padding is 'SAME' if nothing is said; torch's is 0", *PADS)
        found += [
            of(f"Conv{n}d", "Conv", [moved(f"o i {s} -> {s} i o"), BIAS], at, at, notes=same),
            of(
                f"ConvTranspose{n}d",
                "ConvTranspose",
                [flipped, BIAS],
                at,
                at,
                notes=(
                    "the kernel runs the other way in every axis of the image: without "
                    "transpose_kernel=True it is no gradient of a convolution",
                    "its padding is 'SAME' if nothing is said; 'VALID' is torch's 0 where the "
                    "kernel is no smaller than the stride",
                ),
            ),
            of(
                f"ConvTranspose{n}d",
                "ConvTranspose",
                [moved(f"i o {s} -> {s} o i"), BIAS],
                at,
                at,
                notes=("with transpose_kernel=True",),
                variant="transpose_kernel",
            ),
            of(
                f"BatchNorm{n}d",
                "BatchNorm",
                (*affine("scale", "bias"), *running("flax")),
                at,
                at,
                notes=(
                    "scale and bias are in params, mean and var in batch_stats",
                    "momentum is the share of the old there: 0.99 is torch's 0.01, torch's default "
                    "0.1 is 0.9",
                    BIASED,
                    TRACKED,
                ),
            ),
            of(
                f"InstanceNorm{n}d",
                "InstanceNorm",
                affine("scale", "bias"),
                at,
                at,
                notes=(eps, "torch needs affine=True"),
            ),
        ]
    return tuple(found)


def nnx() -> tuple[Table, ...]:
    """As linen has them, but for recurrent cells; no InstanceNorm."""
    kept, rows = [], "(g u)"
    for table in flax():
        own = table.theirs.rpartition(".")[2]
        if own.startswith(("RNN(", "InstanceNorm")) or own.endswith("Cell"):
            continue
        own = {"Dense": "Linear", "MultiHeadDotProductAttention": "MultiHeadAttention"}.get(
            own, own
        )
        notes = tuple(n for n in table.notes if "batch_stats" not in n)
        kept.append(replace(table, framework="nnx", theirs=f"flax.nnx.{own}", notes=notes))
    of_lstm = next(t for t in flax() if t.layer == "LSTM")
    parts = tuple(replace(p, name=p.name.replace("if/", "if_/")) for p in of_lstm.parts)
    note = of_lstm.notes[:1]
    joined = (
        *gated(rows, "dense_i/kernel", "dense_h/kernel", "i f g o"),
        Part(
            "dense_h/bias",
            "bias_hh",
            f"{rows} -> {rows}",
            "i f g o",
            plus="bias_ih",
            plus_blocks="i f g o",
        ),
    )
    optimized = rnn(
        "nnx",
        "LSTM",
        ("flax.nnx.RNN(OptimizedLSTMCell)", "flax.nnx.OptimizedLSTMCell"),
        joined,
        note,
    )
    gru = Part(
        "dense_i/bias", "bias_ih", f"{rows} -> {rows}", "r z n", plus="bias_hh", plus_blocks="r z"
    )
    return (
        *kept,
        *rnn("nnx", "LSTM", ("flax.nnx.RNN(LSTMCell)", "flax.nnx.LSTMCell"), parts, note),
        *(replace(t, variant="optimized") for t in optimized),
        *rnn(
            "nnx",
            "GRU",
            ("flax.nnx.RNN(GRUCell)", "flax.nnx.GRUCell"),
            (*gated(rows, "dense_i/kernel", "dense_h/kernel", "r z n"), gru),
            (
                "n has no second bias there: torch's, the last third of bias_hh, must be 0",
                ONE_BIAS,
            ),
        ),
        *rnn(
            "nnx",
            "RNN",
            ("flax.nnx.RNN(SimpleCell)", "flax.nnx.SimpleCell"),
            (*gated("u", "dense_i/kernel", "dense_h/kernel", ""), one_bias("dense_i/bias", "u")),
            (ONE_BIAS,),
        ),
    )
