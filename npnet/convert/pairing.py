"""Which layer of a checkpoint belongs to which place: by name, by kind and shape, or in order."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import prod

from npnet.contract import ConfigError, ShapeError, State
from npnet.convert.facts import Table, suffix_of
from npnet.convert.groups import Group, same_kind
from npnet.convert.layout import names, sides
from npnet.convert.moving import shapes
from npnet.convert.slots import Slot

TRACKED = "num_batches_tracked"


def own_slot(group: Group, given: State, renamed: Mapping[str, str]) -> Slot:
    """The slot of a layer that is called there as here."""
    table = group.tables[0]
    made = shapes(table, {n: given[name].shape for n, name in group.names.items()})
    name = target_name(group.name, renamed) or group.name.replace("/", ".")
    if any(p.entry == "running_mean" for p in table.parts) and table.layer.startswith("Batch"):
        made = {**made, TRACKED: ()}
    suffix = suffix_of(table.layer)
    return Slot(name, suffix, (table.layer,), made)


def doubt(group: Group, chosen: Mapping[str, str]) -> str:
    """What else the tensors of a layer may be, where that would move them otherwise."""
    taken = group.tables[0]
    others = [t for t in group.tables if _moves(t) != _moves(taken)]
    if not others or {group.name, group.name.replace("/", ".")} & set(chosen):
        return ""
    kind = others[0].key.partition("/")[2]
    return f"{group.name} is taken for {taken.layer}; --layer {group.name}={kind} if it is one."


def effect(table: Table) -> set[tuple[str, ...]]:
    """What a table does to numbers, whatever they are called there."""
    return {(entry, order, *more) for _, entry, order, *more in _moves(table)}


def _moves(table: Table) -> set[tuple[str, ...]]:
    """What a table does, whatever its axes are called: how many, in which order, turned around."""
    found: set[tuple[str, ...]] = set()
    for part in table.parts:
        before, after = sides(part.layout)
        own = names(before)
        order = str([[own.index(n) for n in group] for group in after])
        found.add((part.name, part.entry, order, part.blocks, part.flip))
    return found


def target_name(name: str, renamed: Mapping[str, str]) -> str | None:
    """What a layer is said to be called in torch, if anything is said of it."""
    return renamed.get(name, renamed.get(name.replace("/", ".")))


def paired(
    groups: Sequence[Group],
    slots: Sequence[Slot],
    given: State,
    renamed: Mapping[str, str],
    notes: list[str],
) -> tuple[list[tuple[Group, Slot]], list[str], list[str]]:
    """Groups and slots by name where that is the same, else in order; problems; what is missing."""
    free = list(slots)
    pairs: dict[int, tuple[Group, Slot]] = {}
    problems: list[str] = []
    for i, group in enumerate(groups):
        name = target_name(group.name, renamed)
        same = [s for s in free if s.prefix == (name or group.name.replace("/", "."))]
        some = [s for s in same if any(fits(t, group, s, given) for t in group.tables)]
        if some:
            pairs[i] = group, some[0]
            free.remove(some[0])
        elif name is not None:
            known = [s.prefix for s in slots]
            near = get_close_matches(name, known, 1)
            hint = f" Near is {near[0]!r}." if near and near[0] != name else ""
            raise ConfigError(f"{group.name!r} does not fit {name!r}.{hint}")
    for i, group in enumerate(groups):
        if i in pairs:
            continue
        some = [s for s in free if any(fits(t, group, s, given) for t in group.tables)]
        if not some:
            problems += _homeless(group, slots, free, given)
            continue
        if len(some) > 1:
            notes.append(
                f"{group.name} fits {', '.join(s.named for s in some)} as well as each other: "
                f"taken in order, for {some[0].named}. --rename {group.name}=… says otherwise."
            )
        pairs[i] = group, some[0]
        free.remove(some[0])
    missing = [s.full(n) for s in free for n in s.shapes]
    order = {id(s): k for k, s in enumerate(slots)}
    return sorted(pairs.values(), key=lambda p: order[id(p[1])]), problems, missing


def fits(table: Table, group: Group, slot: Slot, given: State) -> bool:
    """Whether the tensors of a group, moved by a table, are what a slot asks for."""
    if not same_kind(table, slot):
        return False
    theirs = {n: given[name].shape for n, name in group.names.items()}
    asked = {n: s for n, s in slot.shapes.items() if n != TRACKED}
    if not table.merges and sum(map(prod, theirs.values())) > sum(map(prod, asked.values())):
        return False
    try:
        made = shapes(table, theirs)
    except ShapeError:
        return False
    return all(asked.get(n) == shape for n, shape in made.items())


def _homeless(group: Group, slots: Sequence[Slot], free: Sequence[Slot], given: State) -> list[str]:
    """What is wrong with a layer that no slot takes, with the nearest that might have."""
    table = group.tables[0]
    theirs = {n: given[name].shape for n, name in group.names.items()}
    made = shapes(table, theirs)
    weight = next(iter(made))
    kin = [s for s in free if same_kind(table, s)] or [s for s in slots if same_kind(table, s)]
    told = []
    for n, name in group.names.items():
        text = (
            f"{name!r} {theirs[n]} has no place: as {table.layer} it makes {weight} {made[weight]}"
        )
        if kin:
            near = get_close_matches(group.name.replace("/", "."), [s.prefix for s in kin], 1, 0)
            slot = next((s for s in kin if [s.prefix] == near), kin[0])
            text += f", nearest is {slot.full(weight)!r} {slot.shapes.get(weight, 'without it')}"
        told.append(text)
    return told
