"""Code in NumPy as in Saito, Deep Learning from Scratch."""

from typing import Any

from npnet.convert._common import (
    BIASED,
    LOOKUP,
    ONE_BIAS,
    TRACKED,
    affine,
    dense,
    gated,
    moved,
    one_bias,
    rnn,
    running,
)
from npnet.convert.facts import Part, Table


def dlfs() -> tuple[Table, ...]:
    def of(layer: str, theirs: str, parts: Any, *at: str, **more: Any) -> Table:
        return Table("dlfs", layer, theirs, tuple(parts), at[:-1], at[-1], **more)

    bias = Part("b", "bias", "o -> o")
    images = "n c h w -> n c h w"
    found = [
        dense("dlfs", Part("W", "weight", "o i -> i o"), bias, "Affine"),
        of("Conv2d", "Convolution", [moved("o i h w -> o i h w", "W"), bias], images, images),
        of("Embedding", "Embedding", [Part("W", "weight", "v e -> v e")], *LOOKUP),
        of(
            "BatchNorm1d",
            "BatchNormalization",
            (*affine("gamma", "beta"), *running("dlfs")),
            "n c -> n c",
            "n c -> n c",
            notes=(
                "10e-7 stands in the root, torch's eps is 1e-5",
                "momentum=0.9 is the share of the old: torch's 0.1",
                BIASED,
                TRACKED,
                "images are flattened to (N, C·H·W) there, each place a channel: no BatchNorm2d",
            ),
        ),
        *rnn(
            "dlfs",
            "LSTM",
            ("TimeLSTM", "LSTM"),
            (*gated("(g u)", "Wx", "Wh", "f g i o"), one_bias("b", "(g u)", "f g i o")),
            (ONE_BIAS,),
        ),
        *rnn(
            "dlfs",
            "RNN",
            ("TimeRNN", "RNN"),
            (*gated("u", "Wx", "Wh", ""), one_bias("b", "u")),
            (ONE_BIAS,),
        ),
    ]
    return tuple(found)
