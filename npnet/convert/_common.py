"""What the tables of several frameworks have in common."""

from dataclasses import replace
from typing import Any

from npnet.convert.facts import Part, Table


def affine(weight: str, bias: str, *, w: str = "", b: str = "") -> tuple[Part, Part]:
    """Two vectors for the channels, as a normalisation has them."""
    return (
        Part(weight, "weight", "... -> ...", also=tuple(w.split())),
        Part(bias, "bias", "... -> ...", also=tuple(b.split())),
    )


def dense(framework: str, kernel: Part, bias: Part, theirs: str) -> Table:
    return Table(framework, "Linear", theirs, (kernel, bias), ("... i -> ... i",), "... o -> ... o")


BIAS = Part("bias", "bias", "o -> o")
_RUNNING = {
    "keras": ("moving_mean", "moving_variance"),
    "flax": ("mean", "var"),
    "tf": ("mean", "variance"),
    "dlfs": ("running_mean", "running_var"),
}


def running(framework: str, also: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())) -> Any:
    mean, variance = _RUNNING[framework]
    return (
        Part(mean, "running_mean", "c -> c", also=also[0]),
        Part(variance, "running_var", "c -> c", also=also[1]),
    )


def rnn(
    framework: str,
    kind: str,
    theirs: tuple[str, str],
    parts: tuple[Part, ...],
    notes: tuple[str, ...] = (),
) -> tuple[Table, ...]:
    """A layer over time, and its cell."""
    batch_first = "torch's time is the first axis, unless batch_first=True; here the batch is"
    several = (
        "torch numbers layers and directions in one module (_l1, _l0_reverse); here each is a layer"
    )
    cell = Table(framework, f"{kind}Cell", theirs[1], parts, ("n i -> n i",), "n u -> n u", notes)
    layer = replace(
        cell,
        layer=kind,
        theirs=theirs[0],
        inputs=("t n i -> n t i",),
        outputs="t n u -> n t u",
        notes=(*notes, batch_first, several),
    )
    return layer, cell


def gated(rows: str, kernel: str, hidden: str, order: str) -> tuple[Part, Part]:
    to = " (g u)" if rows == "(g u)" else " u"
    return (
        Part(kernel, "weight_ih", f"{rows} i -> i{to}", order),
        Part(hidden, "weight_hh", f"{rows} k -> k{to}", order),
    )


ONE_BIAS = (
    "one bias where torch has two: to torch, bias_ih is it and bias_hh is 0; back, their sum. Both "
    "of torch's have the gradient of the one, so that training moves their sum twice as far"
)


def one_bias(name: str, rows: str, order: str = "") -> Part:
    return Part(name, "bias_ih", f"{rows} -> {rows}", order, plus="bias_hh", plus_blocks=order)


def attention(framework: str, theirs: str, out: str, notes: tuple[str, ...]) -> Table:
    parts = []
    for name, block in (("query", "q"), ("key", "k"), ("value", "v")):
        parts.append(Part(f"{name}/kernel", "in_proj_weight", "(g n d) e -> e n d", block))
        parts.append(Part(f"{name}/bias", "in_proj_bias", "(g n d) -> n d", block))
    parts.append(Part(f"{out}/kernel", "out_proj.weight", "o (n d) -> n d o"))
    parts.append(Part(f"{out}/bias", "out_proj.bias", "o -> o"))
    there = ("l n e -> n l e",) * 3
    heads = "the heads are an axis of their own; torch joins them, head after head"
    order = "torch's sequence is the first axis, unless batch_first=True; here the batch is"
    return Table(
        framework,
        "MultiheadAttention",
        theirs,
        tuple(parts),
        there,
        "l n e -> n l e",
        (heads, order, *notes),
    )


SAME = ("... -> ...", "... -> ...")
LOOKUP = ("... -> ...", "... e -> ... e")
BIASED = (
    "the variance kept is that of the batch as it is (÷ n); torch keeps the unbiased one, ÷ (n - 1)"
)
TRACKED = "num_batches_tracked is torch's alone: 0 where it is made, left out where it is not asked"
PADS = (
    "padding='same' with a stride pads as much as the stride needs, the odd pixel at the end; "
    "torch's padding is the same at both ends",
)
CROPS = (
    "padding='valid' is torch's padding=0; 'same' cuts the result to stride · size, the odd pixel "
    "at the end"
)


def moved(layout: str, name: str = "kernel", also: tuple[str, ...] = ()) -> Part:
    return Part(name, "weight", layout, also=also)
