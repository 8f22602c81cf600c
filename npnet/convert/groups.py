"""Which tensors make a layer: of another framework by its tables, of torch by the state_dict."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from npnet.contract import ConfigError, ShapeError
from npnet.convert.facts import INSIDE, RECURRENT, STATES, Part, Table
from npnet.convert.moving import shapes
from npnet.convert.tables import tables

Shapes = Mapping[str, tuple[int, ...]]

_NONE = "no layer has such a tensor"

_HINTS = {
    "ConvTranspose": ("transpose", "deconv"),
    "GroupNorm": ("group",),
    "InstanceNorm": ("instance",),
    "RMSNorm": ("rms",),
    "depthwise": ("depthwise",),
    "transpose_kernel": (),
    "EmbeddingBag": ("bag",),
    "optimized": ("optimized",),
    "Cell": (),
}
"""What a group must be called for a less usual table to come before the usual one."""


@dataclass(frozen=True)
class Group:
    """Tensors of another framework that make one layer.

    names: theirs, by the names that parts have    tables: those that fit, the likeliest first
    """

    name: str
    names: Mapping[str, str]
    tables: tuple[Table, ...]


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


# ---- another framework's -------------------------------------------------------------------------


def plain(name: str) -> list[str]:
    """A name's steps: "params/Dense_0/kernel", "['params']['Dense_0']", "dense/kernel:0"."""
    name = re.sub(r"\[['\"]?([^\]'\"]+)['\"]?\]", r"/\1", name).removesuffix(":0")
    steps = [s for s in re.split(r"/" if "/" in name else r"\.", name) if s]
    if steps and steps[0] in ("params", "batch_stats"):
        steps = steps[1:]
    if len(steps) > 1 and re.fullmatch(r"(\w+_)?(lstm|gru|simple_rnn)_cell(_\d+)?", steps[-2]):
        steps = [*steps[:-2], steps[-1]]
    if len(steps) == 1:
        numbered = re.fullmatch(r"([A-Za-z_]+?)_?(\d+)", steps[0])
        before = re.fullmatch(r"(\w+)_(W|b|Wx|Wh|gamma|beta|running_mean|running_var)", steps[0])
        if numbered:
            steps = [numbered[2], numbered[1]]
        elif before:
            steps = [before[1], before[2]]
    return steps


def grouped(
    framework: str, given: Shapes, chosen: Mapping[str, str]
) -> tuple[list[Group], dict[str, str]]:
    """The layers of a checkpoint in its order, and why each tensor that is left belongs to none.

    chosen: what a group is said to be, by its name: "Conv2d", "ConvTranspose2d/transpose_kernel"
    """
    steps = {name: plain(name) for name in given}
    left = dict.fromkeys(given)
    found: list[Group] = []
    why: dict[str, str] = {}
    for depth in (2, 1):
        piles: dict[str, dict[str, str]] = {}
        for name in left:
            if len(steps[name]) >= depth:
                above = "/".join(steps[name][:-depth])
                piles.setdefault(above, {})["/".join(steps[name][-depth:])] = name
        for above, pile in piles.items():
            rest = dict(pile)
            while rest:
                fitting, reason = _fitting(framework, above, rest, given, chosen, depth)
                if fitting is None:
                    why |= {name: reason for name in rest.values() if depth == 1 or name not in why}
                    break
                if any(g.name == above for g in found):  # of W1, b1, gamma1, beta1 in the book
                    kind = fitting.tables[0].layer.lower()
                    fitting = replace(fitting, name=f"{above}/{kind}".lstrip("/"))
                found.append(fitting)
                for name in fitting.names.values():
                    left.pop(name, None)
                rest = {n: name for n, name in rest.items() if name in left}
                if framework != "dlfs":
                    why |= dict.fromkeys(rest.values(), _NONE)
                    break
    order = list(given)
    found.sort(key=lambda g: min(order.index(name) for name in g.names.values()))
    return found, {name: why.get(name, _NONE) for name in left}


def _fitting(
    framework: str,
    above: str,
    pile: Mapping[str, str],
    given: Shapes,
    chosen: Mapping[str, str],
    depth: int,
) -> tuple[Group | None, str]:
    """The layer that some tensors make, or why they make none."""
    wanted = chosen.get(above) or chosen.get(above.replace("/", "."))
    reason = _NONE
    fits: list[tuple[Table, dict[str, str]]] = []
    for table in tables(framework):
        if depth != max(p.name.count("/") + 1 for p in table.parts):
            continue
        if wanted not in (None, table.layer, table.key.partition("/")[2]):
            continue
        named = {p.name: pile[n] for p in table.parts for n in (p.name, *p.also) if n in pile}
        lacking = [p.name for p in table.parts if p.name not in named and is_needed(table, p)]
        if not named or lacking or (_is_whole(framework, depth) and len(named) < len(pile)):
            if named and lacking and reason == _NONE:
                reason = f"{table.theirs} needs {', '.join(lacking)} beside it"
            continue
        try:
            shapes(table, {n: given[name] for n, name in named.items()})
        except ShapeError as error:
            reason = str(error).rstrip(".")
            continue
        fits.append((table, named))
    if not fits:
        return None, _gru_before(framework, pile, given) or reason
    whole = max(len(named) for _, named in fits)
    best = [(t, named) for t, named in fits if len(named) == whole]
    best.sort(key=lambda one: _rank(above, one[0]))
    return Group(above, best[0][1], tuple(t for t, _ in best)), ""


def _gru_before(framework: str, pile: Mapping[str, str], given: Shapes) -> str:
    """That tensors are of Keras' other GRU, which torch does not have."""
    hidden, bias = (given.get(pile.get(n, ""), ()) for n in ("recurrent_kernel", "bias"))
    if framework not in ("keras", "tf") or len(hidden) != 2 or bias != hidden[1:]:
        return ""
    if hidden[1] != 3 * hidden[0]:
        return ""
    return "it is of a GRU with reset_after=False, which has no counterpart in torch"


def _is_whole(framework: str, depth: int) -> bool:
    """Whether all tensors of one place are of one layer."""
    return depth == 1 and framework != "dlfs"


def is_needed(table: Table, part: Part) -> bool:
    """Whether a layer cannot be without a tensor: biases, and the affine part of a norm, it can."""
    if any(p.entry == "running_mean" for p in table.parts):
        return part.entry.startswith("running")
    return "bias" not in part.entry


def _rank(name: str, table: Table) -> int:
    """Less for what the name speaks of; more for what it would have to."""
    told = name.lower()
    rank = 0
    for word, hints in _HINTS.items():
        if word in table.layer or word == table.variant:
            rank += -1 if any(h in told for h in hints) else 1
    return rank


# ---- torch's -------------------------------------------------------------------------------------

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


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names as they are told: the first of many."""
    found = [repr(n) for n in names]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def require_layers(option: str, asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for a layer that is named and not there, with the nearest that is."""
    names = {n.replace("/", "."): n for n in known}
    for name in asked:
        if name.replace("/", ".") not in names:
            near = get_close_matches(name, list(names.values()), 1, 0.4)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{option} needs a layer of IN, but there is no {name!r}.{hint} It has "
                f"{listed(names.values())}."
            )


def require_known(framework: str, kind: str) -> None:
    """Raise ConfigError for a layer that no table of a framework speaks of."""
    if not any(t.key.partition("/")[2] == kind or t.layer == kind for t in tables(framework)):
        known = sorted({t.layer for t in tables(framework)})
        raise ConfigError(f"{framework} has no table for {kind!r}. It has {', '.join(known)}.")


def same_kind(table: Table, slot: Slot) -> bool:
    """Whether a table may be that of a slot: a cell's is that of its layer."""
    own = {kind.removesuffix("Cell") if kind.removesuffix("Cell") in RECURRENT else kind
           for kind in slot.kinds}  # fmt: skip
    mine = table.layer.removesuffix("Cell")
    return (mine if mine in RECURRENT else table.layer) in own
