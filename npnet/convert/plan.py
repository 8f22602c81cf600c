"""A checkpoint converted: groups and slots paired, tensors moved, nothing left over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError, State
from npnet.convert.facts import Table
from npnet.convert.groups import Group, grouped, plain, require_layers
from npnet.convert.moving import from_torch, to_torch
from npnet.convert.pairing import TRACKED, doubt, effect, fits, own_slot, paired
from npnet.convert.slots import Slot, slots_of_state
from npnet.convert.tables import ABSENT, tables

_MOST = 6  # of a message


class LeftOverError(ConfigError):
    """Tensors that belong nowhere, or places that nothing belongs to."""


@dataclass(frozen=True)
class Moved:
    """One layer, from one side to the other: theirs by the names of parts, torch's by entries."""

    table: Table
    slot: Slot
    names: Mapping[str, str]
    theirs: State
    entries: State


@dataclass
class Converted:
    """What is to be written, layer by layer how it came about, and what there is to say.

    left: what was left out, and why
    """

    tensors: dict[str, Array]
    moved: list[Moved] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def to_state(
    framework: str,
    given: State,
    like: tuple[Sequence[Slot], Sequence[str]] | None = None,
    *,
    chosen: Mapping[str, str] | None = None,
    renamed: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> Converted:
    """torch's state_dict of the tensors of another framework.

    like: the layers that it is for, and entries that are none's; None: they are called as theirs
    chosen: what layers are said to be    renamed: what their layers are called, theirs to torch's

    Raises LeftOverError, naming what is unknown or missing and what is near; ShapeError.
    """
    groups, why = grouped(framework, {n: a.shape for n, a in given.items()}, chosen or {})
    _require_named(given, groups, chosen or {}, renamed or {})
    made = Converted({})
    problems = [
        f"{name!r} {given[name].shape} is unknown: {reason}{_near(name, given, groups)}"
        for name, reason in why.items()
    ]
    if like is None:
        pairs = [(g, own_slot(g, given, renamed or {})) for g in groups]
        made.notes += [note for g in groups if (note := doubt(g, chosen or {}))]
        missing: list[str] = []
    else:
        pairs, more, missing = paired(groups, like[0], given, renamed or {}, made.notes)
        problems += more
        missing += like[1]
    for group, slot in pairs:
        table = next(t for t in group.tables if like is None or fits(t, group, slot, given))
        made.moved.append(_moved(table, group, slot, given, made.notes))
    for one in made.moved:
        for entry, a in one.entries.items():
            _put(made.tensors, one.slot.full(entry), a, one.slot)
        lacking = [
            one.slot.full(n) for n in one.slot.shapes if n not in one.entries and n != TRACKED
        ]
        missing += lacking
        if TRACKED in one.slot.shapes and not any(n == TRACKED for n in one.entries):
            _put(made.tensors, one.slot.full(TRACKED), np.zeros((), np.int64), one.slot)
    if like is not None:
        made.tensors = _ordered(made.tensors, like[0])
    problems += [f"{n!r} is missing{_nearest_source(n, why)}" for n in dict.fromkeys(missing)]
    _settle(problems, allow_missing, made)
    return made


def from_state(
    framework: str,
    given: State,
    slots: tuple[Sequence[Slot], Sequence[str]] | None = None,
    *,
    chosen: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> Converted:
    """Another framework's tensors of a state_dict.

    Raises LeftOverError, ShapeError, ConfigError.
    """
    found, left = slots or slots_of_state({n: a.shape for n, a in given.items()})
    require_layers("--layer", chosen or {}, [s.prefix for s in found])
    said = {name.replace("/", "."): kind for name, kind in (chosen or {}).items()}
    made = Converted({})
    places = {slot.full(n) for slot in found for n in slot.shapes}
    problems = [
        f"{n!r} {a.shape} is unknown: {'no table has it' if n in left else _known_are(n, places)}"
        for n, a in given.items()
        if n not in places
    ]
    doubts: list[tuple[Slot, list[str]]] = []
    for slot in found:
        entries = {n: given[slot.full(n)] for n in slot.shapes if slot.full(n) in given}
        wanted = said.get(slot.prefix)
        known = {"n": slot.heads} if slot.heads else {}
        moving = {n: a for n, a in entries.items() if n != TRACKED}
        fits = _tables_for(framework, slot, wanted, moving, known)
        if not fits:
            reasons = [ABSENT.get((framework, k), "") for k in slot.kinds]
            why = next(filter(None, reasons), f"{framework} has no table for {slot.kinds[0]}")
            problems += [f"{slot.full(n)!r} has no place there: {why}" for n in entries]
            continue
        table = fits[0]
        if any(effect(other) != effect(table) for other in fits):
            doubts.append((slot, [t.layer for t in fits]))
            continue
        if wanted is None and (others := _others(framework, slot, fits)):
            made.notes.append(
                f"{slot.named} is taken for {table.layer}; it may be {' or '.join(others)}: "
                f"--layer {slot.prefix}={others[0]} if it is one."
            )
        for n in set(moving) - {e for p in table.parts for e in (p.entry, p.plus)}:
            problems.append(f"{slot.full(n)!r} has no place there: {table.theirs} has none")
        theirs = from_torch(table, moving, known)
        place = (slot.prefix.replace(".", "/") + slot.suffix) or "layer"
        names = {n: f"{place}/{n}" for n in theirs}
        made.moved.append(Moved(table, slot, names, theirs, moving))
        for n, a in theirs.items():
            _put(made.tensors, names[n], a, slot)
        if table.merges and any(n.startswith("bias") for n in moving):
            made.notes.append(f"{slot.named}: bias_ih and bias_hh are one there: their sum.")
        if TRACKED in entries:
            made.notes.append(f"{slot.named}: {TRACKED} is torch's alone, and left out.")
    if doubts:
        raise ConfigError(_doubted(doubts))
    missing = [s.full(n) for s in found for n in s.shapes if s.full(n) not in given]
    problems += [f"{n!r} is missing" for n in missing]
    _settle(problems, allow_missing, made)
    return made


def as_it_is(
    given: State,
    like: tuple[Sequence[Slot], Sequence[str]] | None,
    *,
    allow_missing: bool = False,
) -> Converted:
    """A state_dict as it is, its names and shapes those of a target. Raises LeftOverError."""
    made = Converted(dict(given))
    if like is None:
        return made
    wanted = {s.full(n): shape for s in like[0] for n, shape in s.shapes.items()}
    rest = set(like[1])
    problems = []
    for name, a in given.items():
        if name in wanted and a.shape == wanted[name]:
            continue
        if name in wanted:
            problems.append(f"{name!r} {a.shape} needs shape {wanted[name]}")
        elif name not in rest:
            near = get_close_matches(name, [n for n in wanted if n not in given], 1)
            hint = f", near to {near[0]!r}" if near else ""
            problems.append(f"{name!r} {a.shape} is unknown{hint}")
        else:
            continue
        del made.tensors[name]
    lacking = [n for n in (*wanted, *like[1]) if n not in given]
    problems += [f"{n!r} is missing" for n in lacking]
    _settle(problems, allow_missing, made)
    return made


def _put(tensors: dict[str, Array], name: str, a: Array, slot: Slot) -> None:
    """Add what no other layer has made. Raises ConfigError."""
    if name in tensors:
        raise ConfigError(
            f"every layer needs a name of its own, but two become {slot.named!r}: each makes "
            f"{name!r}. --rename THEIRS=OURS calls one of them otherwise."
        )
    tensors[name] = a


def _known_are(name: str, places: set[str]) -> str:
    """That a name is none of the target's, and which is near."""
    near = get_close_matches(name, sorted(places), 1)
    return "the target has none such" + (f", near to {near[0]!r}" if near else "")


def _tables_for(
    framework: str, slot: Slot, wanted: str | None, moving: State, known: Mapping[str, int]
) -> list[Table]:
    """The tables that a layer may be moved by: one of each kind, or the one that is wanted."""
    found: dict[str, Table] = {}
    for table in tables(framework):
        named = table.key.partition("/")[2]
        if wanted in (table.layer, named):
            return [table]
        if wanted is None and table.layer in slot.kinds:
            found.setdefault(table.layer, table)
    if len(found) < 2:
        return list(found.values())
    hollow = {n: np.broadcast_to(np.zeros((), np.uint8), a.shape) for n, a in moving.items()}
    return [t for t in found.values() if _takes(t, hollow, known)] or list(found.values())[:1]


def _takes(table: Table, moving: State, known: Mapping[str, int]) -> bool:
    """Whether a table has a place for all entries of a layer."""
    if moving.keys() - {e for p in table.parts for e in (p.entry, p.plus)}:
        return False
    try:
        to_torch(table, from_torch(table, moving, known))  # whose shapes fit each other, too
    except ShapeError:
        return False
    return True


def _others(framework: str, slot: Slot, fits: Sequence[Table]) -> list[str]:
    """What else a layer may be, over time or for images of other axes aside."""

    def bare(kind: str) -> str:
        return kind.removesuffix("Cell").rstrip("123d")

    fitting = {t.layer for t in fits}
    may_be = [k for k in slot.kinds if k in fitting or not tables(framework, k)]
    return [k for k in may_be if bare(k) != bare(fits[0].layer)]


def _doubted(doubts: Sequence[tuple[Slot, list[str]]]) -> str:
    """That layers may be several things, which lie differently there."""
    told = [f"{slot.named} may be {' or '.join(kinds)}" for slot, kinds in doubts[:_MOST]]
    told += [f"and {len(doubts) - _MOST} more"] * (len(doubts) > _MOST)
    slot, (kind, *_) = doubts[0]
    return (
        f"what a layer is needs to be known where it moves otherwise, but {'; '.join(told)}. Say "
        f"--layer {slot.prefix}={kind}, or --like FILE.py:name, which says it of all."
    )


def _require_named(
    given: State, groups: Sequence[Group], chosen: Mapping[str, str], renamed: Mapping[str, str]
) -> None:
    """Raise ConfigError for options that speak of a layer that is not there."""
    names = [g.name for g in groups]
    above = {"/".join(steps[:-n]) for n in (1, 2) for steps in map(plain, given) if len(steps) >= n}
    require_layers("--layer", chosen, dict.fromkeys([*names, *sorted(above)]))
    require_layers("--rename", renamed, names)


def _moved(table: Table, group: Group, slot: Slot, given: State, notes: list[str]) -> Moved:
    theirs = {n: given[name] for n, name in group.names.items()}
    dtypes = {a.dtype for a in theirs.values()}
    if len(dtypes) > 1:
        raise ConfigError(
            f"{group.name} needs tensors of one dtype, but has "
            f"{' and '.join(sorted(map(str, dtypes)))}."
        )
    if table.merges and any("bias" in n or n == "b" for n in theirs):
        notes.append(f"{slot.named}: one bias there, two in torch: the other is 0.")
    return Moved(table, slot, group.names, theirs, to_torch(table, theirs))


def _ordered(tensors: Mapping[str, Array], slots: Sequence[Slot]) -> dict[str, Array]:
    order = [slot.full(n) for slot in slots for n in slot.shapes]
    return {n: tensors[n] for n in order if n in tensors}


# ---- messages ------------------------------------------------------------------------------------


def _near(name: str, given: State, groups: Sequence[Group]) -> str:
    """What a tensor that no layer has might have been called."""
    leaf = plain(name)[-1:]
    known = {p.name.rpartition("/")[2] for g in groups for t in g.tables for p in t.parts}
    near = get_close_matches(leaf[0], sorted(known), 1) if leaf else []
    return f", near to {near[0]!r}" if near and near[0] != leaf[0] else ""


def _nearest_source(name: str, left: Mapping[str, str]) -> str:
    near = get_close_matches(name, list(left), 1, 0.4)
    return f" (left over is {near[0]!r})" if near else ""


def _settle(problems: Sequence[str], allow_missing: bool, made: Converted) -> None:
    if not problems:
        return
    if allow_missing:
        made.left += problems
        made.notes += [f"left out: {p}." for p in problems]
        return
    shown = list(problems[:_MOST])
    rest = len(problems) - _MOST
    shown += [f"and {rest} more"] * (rest > 0)
    raise LeftOverError(
        f"every tensor needs a place, and every place a tensor, but {'; '.join(shown)}. Nothing is "
        "written. --like names the target, --layer and --rename say what is what; --allow-missing "
        "leaves these out."
    )
