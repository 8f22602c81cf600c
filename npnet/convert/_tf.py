"""TensorFlow's operations, whose variables have the names that a program gives them."""

from dataclasses import replace
from typing import Any

from npnet.convert._common import BIAS, LOOKUP, PADS, TRACKED, affine, dense, moved, running
from npnet.convert.facts import LAST, SPACE, Part, Table


def tf() -> tuple[Table, ...]:
    weights = ("kernel", "weights", "weight", "w", "W")
    biases = ("biases", "b")
    bias = replace(BIAS, also=biases)

    def of(layer: str, theirs: str, parts: Any, *at: str, **more: Any) -> Table:
        return Table("tf", layer, f"tf.{theirs}", tuple(parts), at[:-1], at[-1], **more)

    own = (
        "variables have the names that the program gives them; the arguments of the operation here"
    )
    found = [
        dense("tf", Part("kernel", "weight", "o i -> i o", also=weights[1:]), bias, "tf.matmul"),
        of(
            "Embedding",
            "nn.embedding_lookup",
            [Part("params", "weight", "v e -> v e", also=("embeddings", "embedding"))],
            *LOOKUP,
        ),
    ]
    found = [replace(t, notes=(own,)) for t in found]
    for n, at in LAST.items():
        s = SPACE[n]
        filters = moved(f"o i {s} -> {s} i o", "filters", weights)
        found += [
            of(f"Conv{n}d", f"nn.conv{n}d", [filters, bias], at, at, notes=(own, *PADS)),
            of(
                f"ConvTranspose{n}d",
                f"nn.conv{n}d_transpose",
                [moved(f"i o {s} -> {s} o i", "filters", weights), bias],
                at,
                at,
                notes=(own, "the operation is told its output's shape"),
            ),
            of(
                f"BatchNorm{n}d",
                "nn.batch_normalization",
                (
                    *affine("scale", "offset", w="gamma", b="beta"),
                    *running("tf", (("moving_mean",), ("moving_variance",))),
                ),
                at,
                at,
                notes=(
                    own,
                    "mean and variance are what it is given: of the batch, or kept",
                    TRACKED,
                ),
            ),
        ]
    s = SPACE[2]
    found.append(
        of(
            "Conv2d",
            "nn.depthwise_conv2d",
            [moved(f"(i m) 1 {s} -> {s} i m", "filter", weights), bias],
            LAST[2],
            LAST[2],
            notes=(own, "torch needs groups=in_channels"),
            variant="depthwise",
        )
    )
    return tuple(found)
