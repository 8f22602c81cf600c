"""Layers as the other frameworks have them, on tensors that lie as theirs do, in NumPy.

The formulas are written down once more, for their layouts: what `npnet convert` moves is run there
and here, and both are held against torch. Gradients come from npnet.autograd.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from npnet.autograd import Tensor
from npnet.contract import Array, Forward, Grads, State
from npnet.convert.facts import BLOCKS, Table
from npnet.convert.layout import apart, joined, names, sides, sizes, turned
from npnet.convert.moving import to_torch

Tensors = Mapping[str, Tensor]
Formula = Callable[[Table, Tensors, Tensor], Tensor]


def over(layout: str, a: Array) -> Array:
    """An array of torch's as it lies there."""
    before, after = sides(layout, a.ndim)
    found = sizes(a.shape, before, {})
    return joined(turned(apart(a, before, found), names(before), names(after)), after, found)


def back(layout: str, a: Array) -> Array:
    """An array of theirs as torch's lies."""
    before, _, after = layout.partition("->")
    return over(f"{after} -> {before}", a)


def formula(table: Table) -> Formula | None:
    """The formula of a layer there, where there is one here."""
    if any(p.plus_blocks != p.blocks for p in table.parts if p.plus):
        return None  # a gradient of torch's has no counterpart
    return _FORMULAS.get(table.layer)


def forward(table: Table, tensors: State, inputs: Sequence[Array]) -> Forward:
    """The layer there on inputs that lie as torch's do: y and gradients as torch's lie."""
    found = formula(table)
    assert found is not None
    leaves = {n: Tensor(np.asarray(a), requires_grad=True) for n, a in tensors.items()}
    x = over(table.inputs[0], inputs[0])
    real = x.dtype.kind == "f"
    given = Tensor(x, requires_grad=real)
    y = found(table, leaves, given)

    def vjp(dy: Array) -> Grads:
        y.backward(over(table.outputs, np.asarray(dy)), keep=True)
        dx = back(table.inputs[0], given.grad) if real and given.grad is not None else None
        slopes = {n: t.grad for n, t in leaves.items() if t.grad is not None}
        for t in (given, *leaves.values()):
            t.zero_grad()
        inputs = (dx,) if len(table.inputs) == 1 else (dx, None, None)
        return Grads(inputs, _as_torch(table, slopes))

    return Forward(back(table.outputs, y.data), vjp)


def _as_torch(table: Table, slopes: State) -> dict[str, Array]:
    """Gradients by torch's names: where two entries are one there, it is that of both."""
    bare = replace(table, parts=tuple(replace(p, plus="", plus_blocks="") for p in table.parts))
    found = to_torch(bare, slopes)
    for part in table.parts:
        if part.plus and part.plus not in found and part.entry in found:
            found[part.plus] = found[part.entry].copy()
        elif part.plus and part.blocks and part.entry in found:  # block by block, as Flax's GRU
            blocks = BLOCKS[table.layer].split()
            at = blocks.index(part.blocks)
            rows = len(found[part.entry]) // len(blocks)
            here = slice(at * rows, (at + 1) * rows)
            found[part.plus][here] = found[part.entry][here]
    return found


def _part(table: Table, p: Tensors, entry: str) -> Tensor | None:
    """The tensor there of an entry that is one."""
    return next((p[q.name] for q in table.parts if q.entry == entry and q.name in p), None)


def _plus_bias(table: Table, p: Tensors, y: Tensor) -> Tensor:
    bias = _part(table, p, "bias")
    return y if bias is None else y + bias


# ---- formulas ------------------------------------------------------------------------------------


def _linear(table: Table, p: Tensors, x: Tensor) -> Tensor:
    kernel = _part(table, p, "weight")
    assert kernel is not None
    return _plus_bias(table, p, x @ kernel)


def _lookup(table: Table, p: Tensors, x: Tensor) -> Tensor:
    rows = _part(table, p, "weight")
    assert rows is not None
    return rows[x.data]


def _conv(table: Table, p: Tensors, x: Tensor) -> Tensor:
    """Channels last: Σ over the kernel's places of the shifted image, times its (in, out)."""
    kernel = _part(table, p, "weight")
    assert kernel is not None
    if table.framework == "dlfs":
        kernel, x = kernel.transpose(2, 3, 1, 0), x.transpose(0, 2, 3, 1)
    space = kernel.shape[:-2]
    n, out = x.shape[0], [s - k + 1 for s, k in zip(x.shape[1:-1], space, strict=True)]
    y: Any = 0.0
    for place in product(*map(range, space)):
        cut = tuple(slice(k, k + o) for k, o in zip(place, out, strict=True))
        piece = x[(slice(None), *cut)]
        if table.variant == "depthwise":
            i, m = kernel.shape[-2:]
            y = y + (piece.reshape(n, *out, i, 1) * kernel[place]).reshape(n, *out, i * m)
        else:
            y = y + piece @ kernel[place]
    y = _plus_bias(table, p, y)
    found: Tensor = y.transpose(0, 3, 1, 2) if table.framework == "dlfs" else y
    return found


def _conv_transpose(table: Table, p: Tensors, x: Tensor) -> Tensor:
    """stride 1: every place of the image is spread by the kernel."""
    kernel = _part(table, p, "weight")
    assert kernel is not None
    space, grid = kernel.shape[:-2], x.shape[1:-1]
    wide = _padded(x, [(k - 1, k - 1) for k in space])
    flips = any(q.flip for q in table.parts)
    y: Any = 0.0
    for place in product(*map(range, space)):
        begin = place if flips else tuple(k - 1 - j for k, j in zip(space, place, strict=True))
        cut = tuple(slice(b, b + g + k - 1) for b, g, k in zip(begin, grid, space, strict=True))
        k = kernel[place]
        y = y + wide[(slice(None), *cut)] @ (k if flips else k.T)
    return _plus_bias(table, p, y)


def _padded(x: Tensor, ends: Sequence[tuple[int, int]]) -> Tensor:
    """Zeros around an image, as a product with a matrix that is 0 and 1: its gradient is known."""
    for axis, (before, after) in enumerate(ends, start=1):
        size = x.shape[axis]
        place = np.zeros((size, before + size + after), x.dtype)
        place[np.arange(size), before + np.arange(size)] = 1
        order = [a for a in range(x.ndim) if a != axis]
        moved = x.transpose(*order, axis) @ place
        x = moved.transpose(*np.argsort([*order, axis]).tolist())
    return x


_EPS = 1e-5  # torch's default: a checkpoint does not say


def _normed(table: Table, p: Tensors, x: Tensor) -> Tensor:
    """Over the last axes, as many as the weight has."""
    axes = tuple(range(x.ndim - next(iter(p.values())).ndim, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    return _scaled(table, p, centred / (variance + _EPS) ** 0.5)


def _rms(table: Table, p: Tensors, x: Tensor) -> Tensor:
    axes = tuple(range(x.ndim - next(iter(p.values())).ndim, x.ndim))
    square = (x * x).mean(axis=axes, keepdims=True)
    return _scaled(table, p, x / (square + _EPS) ** 0.5)


def _batch(table: Table, p: Tensors, x: Tensor) -> Tensor:
    """In evaluation: by the statistics that are kept."""
    mean, variance = (_part(table, p, f"running_{n}") for n in ("mean", "var"))
    assert mean is not None
    assert variance is not None
    return _scaled(table, p, (x - mean.detach()) / (variance.detach() + _EPS) ** 0.5)


def _scaled(table: Table, p: Tensors, y: Tensor) -> Tensor:
    weight = _part(table, p, "weight")
    return _plus_bias(table, p, y if weight is None else y * weight)


def _prelu(table: Table, p: Tensors, x: Tensor) -> Tensor:
    (one,) = p.values()
    slope = one.reshape(one.data.size)
    return x.relu() - slope * (-x).relu()


def _gates(table: Table, p: Tensors, entry: str, x: Tensor | None) -> dict[str, Any]:
    """x times the kernel of every block (or its bias), by torch's names of the blocks."""
    found: dict[str, Any] = {}
    blocks = BLOCKS[table.layer].split()
    for part in table.parts:
        if part.entry != entry or part.name not in p:
            continue
        own, t = part.blocks.split(), p[part.name]
        if part.row is not None:
            t = t[part.row]
        whole = t if x is None else x @ t
        width = whole.shape[-1] // len(own)
        for k, block in enumerate(own):
            found[block] = whole[..., k * width : (k + 1) * width] if len(own) > 1 else whole
    return {block: found.get(block, 0.0) for block in blocks}


def _over_time(step: Callable[..., tuple[Tensor, Any]]) -> Formula:
    """A step for every place of (N, T, features), from a state of zeros."""

    def run(table: Table, p: Tensors, x: Tensor) -> Tensor:
        hidden = next(p[q.name] for q in table.parts if q.entry == "weight_hh").shape[0]
        h = Tensor(np.zeros((x.shape[0], hidden), x.dtype))
        more, hs = h, []
        for t in range(x.shape[1]):
            h, more = step(table, p, x[:, t], h, more)
            hs.append(h.reshape(x.shape[0], 1, hidden))
        return _side_by_side(hs)

    return run


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """(N, 1, H) each as (N, T, H): a sum of products with unit vectors."""
    y: Any = 0.0
    for t, part in enumerate(parts):
        unit = np.zeros((1, len(parts), 1), part.dtype)
        unit[0, t, 0] = 1
        y = y + part * unit
    found: Tensor = y
    return found


def _lstm(table: Table, p: Tensors, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a, b = _gates(table, p, "weight_ih", x), _gates(table, p, "weight_hh", h)
    bias = {**_gates(table, p, "bias_ih", None)}
    more = _gates(table, p, "bias_hh", None)
    z = {n: a[n] + b[n] + bias[n] + more[n] for n in a}
    c = z["f"].sigmoid() * c + z["i"].sigmoid() * z["g"].tanh()
    return z["o"].sigmoid() * c.tanh(), c


def _gru(table: Table, p: Tensors, x: Tensor, h: Tensor, _: Any) -> tuple[Tensor, Any]:
    a, b = _gates(table, p, "weight_ih", x), _gates(table, p, "weight_hh", h)
    own, hidden = _gates(table, p, "bias_ih", None), _gates(table, p, "bias_hh", None)
    r = (a["r"] + own["r"] + b["r"] + hidden["r"]).sigmoid()
    z = (a["z"] + own["z"] + b["z"] + hidden["z"]).sigmoid()
    n = (a["n"] + own["n"] + r * (b["n"] + hidden["n"])).tanh()
    return (1.0 - z) * n + z * h, None


def _rnn(table: Table, p: Tensors, x: Tensor, h: Tensor, _: Any) -> tuple[Tensor, Any]:
    kernel, hidden = (_part(table, p, f"weight_{n}") for n in ("ih", "hh"))
    assert kernel is not None
    assert hidden is not None
    bias = _part(table, p, "bias_ih")
    y = x @ kernel + h @ hidden
    return (y if bias is None else y + bias).tanh(), None


_FORMULAS: dict[str, Formula] = {
    "Linear": _linear,
    "Embedding": _lookup,
    **{f"Conv{n}d": _conv for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _conv_transpose for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _batch for n in (1, 2, 3)},
    "LayerNorm": _normed,
    "RMSNorm": _rms,
    "PReLU": _prelu,
    "LSTM": _over_time(_lstm),
    "GRU": _over_time(_gru),
    "RNN": _over_time(_rnn),
}
