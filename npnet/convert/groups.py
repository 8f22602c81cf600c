"""Which tensors of another framework make a layer, by its tables."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from npnet.contract import ConfigError, ShapeError
from npnet.convert.facts import RECURRENT, Part, Table
from npnet.convert.moving import shapes
from npnet.convert.slots import Shapes, Slot
from npnet.convert.tables import tables

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
