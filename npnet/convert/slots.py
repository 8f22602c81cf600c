"""Which entries of torch's make a layer: by the state_dict, by npnet's layers, by a module."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from npnet.convert.facts import INSIDE, STATES

Shapes = Mapping[str, tuple[int, ...]]


class Slot(NamedTuple):
    """One layer of torch's: where its entries are, and what it may be.

    An entry is called prefix + its name + suffix, as in "lstm.weight_ih_l0".
    """

    prefix: str
    suffix: str
    kinds: tuple[str, ...]
    shapes: Shapes
    heads: int | None = None

    def full(self, entry: str) -> str:
        """The name of an entry in the whole state_dict."""
        return f"{self.prefix}.{entry}{self.suffix}".lstrip(".")

    @property
    def named(self) -> str:
        """What it is called in messages."""
        return f"{self.prefix or 'the layer'}{self.suffix}"


_ENTRY = re.compile(
    r"(?:(?P<prefix>.*?)\.)?(?P<entry>(?:out_proj\.)?(?:weight|bias)|in_proj_(?:weight|bias)|"
    r"[qkv]_proj_weight|bias_[kv]|(?:weight|bias)_(?:ih|hh|hr)|running_mean|running_var|"
    r"num_batches_tracked)(?P<suffix>_l\d+(?:_reverse)?)?"
)


def slots_of_state(given: Shapes, heads: int | None = None) -> tuple[list[Slot], list[str]]:
    """The layers of a state_dict in its order, as far as names and shapes say; what is left."""
    piles: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    left = []
    attention = {n.rpartition("in_proj_weight")[0] for n in given if n.endswith("in_proj_weight")}
    for name, shape in given.items():
        match = _ENTRY.fullmatch(name)
        if match is None:
            left.append(name)
            continue
        prefix, entry, suffix = match["prefix"] or "", match["entry"], match["suffix"] or ""
        if prefix == "out_proj" and entry in ("weight", "bias") and "" in attention:
            prefix, entry = "", f"out_proj.{entry}"
        if entry.startswith("out_proj.") and f"{prefix}.".lstrip(".") not in attention:
            prefix, entry = f"{prefix}.out_proj".lstrip("."), entry.removeprefix("out_proj.")
        piles.setdefault((prefix, suffix), {})[entry] = shape
    found = []
    for (prefix, suffix), entries in piles.items():
        kinds = tuple(_kinds(entries))
        if "weight_hh" in entries:  # whose names have a suffix only over time
            kinds = tuple(k for k in kinds if k.endswith("Cell") != bool(suffix))
        if not kinds:
            left += [f"{prefix}.{e}{suffix}".lstrip(".") for e in entries]
            continue
        found.append(Slot(prefix, suffix, kinds, entries, heads))
    return found, left


def _kinds(entries: Shapes) -> Iterable[str]:
    """The kinds whose entries may have these names and shapes, the likeliest first."""
    if "running_mean" in entries and "running_var" in entries:
        kinds = [f"{kind}{n}d" for kind in ("BatchNorm", "InstanceNorm") for n in (1, 2, 3)]
        return kinds if len(set(entries.values()) - {()}) == 1 else []
    if "weight_ih" in entries or "weight_hh" in entries:
        return _recurrent(entries)
    if "in_proj_weight" in entries:
        return [] if "bias_k" in entries or not _is_attention(entries) else ["MultiheadAttention"]
    if not {"weight"} <= entries.keys() <= {"weight", "bias"}:
        return []
    weight, bias = entries["weight"], entries.get("bias")
    if len(weight) <= 1:
        norms = ("LayerNorm", "GroupNorm", *(f"InstanceNorm{n}d" for n in (1, 2, 3)))
        flat = norms if bias in (None, weight) and weight else ()
        return flat if bias is not None or not weight else (*flat, "RMSNorm", "PReLU")
    out_first = bias in (None, weight[:1])
    if len(weight) == 2:
        both = ["Embedding", "EmbeddingBag"] * (bias is None)
        return [*["Linear"] * out_first, *both, *_normed(weight, bias)]
    n = len(weight) - 2
    if n > 3:
        return []
    turned = bias is None or (len(bias) == 1 and _divides(weight, bias[0]))
    found = [f"Conv{n}d"] * out_first + [f"ConvTranspose{n}d"] * turned
    return [*found, *["Bilinear"] * (out_first and n == 1), *_normed(weight, bias)]


def _normed(weight: tuple[int, ...], bias: tuple[int, ...] | None) -> list[str]:
    """A normalisation over several axes, whose bias is as large as its weight."""
    return ["LayerNorm"] * (bias == weight)


def _divides(weight: tuple[int, ...], out: int) -> bool:
    """Whether a transposed convolution of some groups has so many channels of result."""
    inside, each = weight[:2]
    return bool(each and out and out % each == 0 and inside % (out // each) == 0)


def _recurrent(entries: Shapes) -> list[str]:
    hidden, given = entries.get("weight_hh", ()), entries.get("weight_ih", ())
    if "weight_hr" in entries or len(hidden) != 2 or len(given) != 2 or hidden[0] != given[0]:
        return []
    rows, width = hidden
    kind = {1: "RNN", 4: "LSTM", 3: "GRU"}.get(rows // width) if width else None
    fits = kind is not None and rows % width == 0
    biases = {s for n, s in entries.items() if n.startswith("bias")}
    return [f"{kind}", f"{kind}Cell"] if fits and biases <= {(rows,)} else []


def _is_attention(entries: Shapes) -> bool:
    rows, out = entries["in_proj_weight"], entries.get("out_proj.weight", ())
    biases = [entries.get("in_proj_bias"), entries.get("out_proj.bias")]
    if len(out) != 2 or rows != (3 * out[0], out[0]) or out[0] != out[1]:
        return False
    return biases in ([None, None], [(3 * out[0],), (out[0],)])


def slots_of_layers(layers: Mapping[str, Any]) -> tuple[list[Slot], list[str]]:
    """The layers with state inside of layers of npnet.nn by name, in order."""
    import numpy as np

    found: list[Slot] = []
    left: list[str] = []
    for name, layer in layers.items():
        kind = type(layer).__name__
        if kind == "Sequential":
            prefix = f"{name}." if name else ""
            inner = {f"{prefix}{i}": one for i, one in enumerate(layer.layers)}
            slots, rest = slots_of_layers(inner)
        else:
            drawn = layer.init(np.random.default_rng(0))
            given = {f"{name}.{n}" if name else n: a.shape for n, a in drawn.items()}
            heads = getattr(layer, "num_heads", getattr(layer, "nhead", None))
            slots, rest = slots_of_state(given, heads)
            slots = [s._replace(kinds=_known_kinds(kind, s)) for s in slots]
        found += slots
        left += rest
    return found, left


def _known_kinds(layer: str, slot: Slot) -> tuple[str, ...]:
    """What a slot inside of a layer of npnet.nn is."""
    if layer in STATES:
        return (layer,)
    inner = {n: kind for parts in INSIDE.values() for n, kind in parts.items()}
    last = slot.prefix.rpartition(".")[2]
    return (inner[last],) if layer.startswith("Transformer") and last in inner else slot.kinds


def slots_of_module(module: Any) -> tuple[list[Slot], list[str]]:
    """The layers with state of a module of torch, which says what each is; what is left."""
    given = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    found: list[Slot] = []
    seen: list[str] = []
    for path, part in module.named_modules(remove_duplicate=False):
        kind = _kind_of_module(part)
        if kind is None or any(path.startswith(above) for above in seen):
            continue
        before = f"{path}." if path else ""
        seen.append(before)
        own = {n: shape for n, shape in given.items() if n.startswith(before)}
        slots, _ = slots_of_state(own, getattr(part, "num_heads", None))
        found += [s._replace(kinds=(kind,)) for s in slots]
    known = {s.full(n) for s in found for n in s.shapes}
    more, left = slots_of_state({n: shape for n, shape in given.items() if n not in known})
    return found + more, left


def _kind_of_module(part: Any) -> str | None:
    """Which layer of torch.nn with a state a module is, or is derived from."""
    own = (k.__name__ for k in type(part).__mro__ if k.__module__.startswith("torch.nn."))
    return next((name for name in own if name in STATES), None)
