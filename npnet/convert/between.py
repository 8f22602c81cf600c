"""A checkpoint from one framework to another: by way of torch's state_dict, or as it is."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from npnet.contract import ConfigError, State
from npnet.convert.check import Ran, heads_of, run_moved, run_slot
from npnet.convert.facts import STATES
from npnet.convert.groups import listed, require_known, require_layers
from npnet.convert.plan import Converted, LeftOverError, Moved, as_it_is, from_state, to_state
from npnet.convert.slots import Slot, slots_of_state
from npnet.convert.tables import proof

_FOREIGN = re.compile(r"[/:\[\]]")  # torch's names have dots alone


class Way(NamedTuple):
    """What is asked for.

    origin, aim: "torch" or a framework    like: the layers that it is for, and entries that are
    none's    chosen: what layers are said to be    renamed: what they are called, theirs to torch's
    """

    origin: str
    aim: str
    like: tuple[Sequence[Slot], Sequence[str]] | None = None
    chosen: Mapping[str, str] = {}
    renamed: Mapping[str, str] = {}
    allow_missing: bool = False


def converted(given: State, way: Way) -> tuple[Converted, list[Slot]]:
    """What is to be written, and the layers of torch's that are run by themselves.

    Raises ConfigError, LeftOverError, ShapeError.
    """
    if way.origin == "torch" and way.renamed:
        raise ConfigError(
            "--rename says what layers of another framework are called in torch, but the tensors "
            "are torch's already. Leave it out."
        )
    slots: list[Slot] = []
    if way.origin == "torch" == way.aim:
        made, slots = _as_torch(given, way)
    elif way.origin == "torch":
        _require_kinds(way.aim, way)
        made = from_state(
            way.aim, given, way.like, chosen=way.chosen, allow_missing=way.allow_missing
        )
    else:
        _require_kinds(way.origin, way)
        made = to_state(
            way.origin,
            given,
            way.like,
            chosen=way.chosen,
            renamed=way.renamed,
            allow_missing=way.allow_missing,
        )
        if way.aim != "torch":
            further = from_state(
                way.aim, made.tensors, (_slots(made), []), allow_missing=way.allow_missing
            )
            further.notes = [*made.notes, *further.notes]
            further.left = [*made.left, *further.left]
            made = further
    if not made.tensors:
        raise LeftOverError(
            f"a file needs tensors, but nothing is left to be written: {'; '.join(made.left[:3])}."
        )
    return made, slots


def _require_kinds(framework: str, way: Way) -> None:
    for kind in way.chosen.values():
        require_known(framework, kind)


def _slots(made: Converted) -> list[Slot]:
    """The layers of what was converted, as it is known what they are."""
    return [
        one.slot._replace(kinds=(one.table.layer,), heads=one.slot.heads or heads_of(one.theirs))
        for one in made.moved
    ]


def _as_torch(given: State, way: Way) -> tuple[Converted, list[Slot]]:
    """A state_dict as it is, and its layers as far as they are known. Raises ConfigError."""
    made = as_it_is(given, way.like, allow_missing=way.allow_missing)
    shapes = {n: a.shape for n, a in made.tensors.items()}
    slots, left = way.like or slots_of_state(shapes)
    slots = [s for s in slots if all(s.full(n) in made.tensors for n in s.shapes)]
    require_layers("--layer", way.chosen, [s.prefix for s in slots])
    for kind in way.chosen.values():
        if kind not in STATES:
            raise ConfigError(f"--layer takes a layer of torch's, but got {kind!r}.")
    slots = [_said(s, way.chosen) for s in slots]
    ran = {s.full(n) for s in slots for n in s.shapes}
    left = [n for n in made.tensors if n not in ran]
    foreign = [n for n in left if _FOREIGN.search(n)]
    if way.like is None and (foreign or not slots) and left:
        names = foreign or left
        raise ConfigError(
            f"tensors of torch are needed, but nothing of torch's is called {listed(names)}. "
            "--from says where they come from; --like FILE.py:name, what they are for."
        )
    if left:
        made.notes.append(f"not run, as it is not known what they are: {listed(left)}.")
    return made, slots


def _said(slot: Slot, chosen: Mapping[str, str]) -> Slot:
    """The slot as what it is said to be. Raises ConfigError where its shapes are not such."""
    kind = chosen.get(slot.prefix)
    if kind is None:
        return slot
    if kind not in slot.kinds:
        raise ConfigError(
            f"--layer says that {slot.named} is {kind}, but its tensors make "
            f"{' or '.join(slot.kinds)}."
        )
    return slot._replace(kinds=(kind,))


# ---- run and told --------------------------------------------------------------------------------


def runs(
    given: State, made: Converted, slots: Sequence[Slot], aim: str, seed: int
) -> list[tuple[str, Ran]]:
    """Every layer by itself: what it is, and what came of it."""
    found = [(line(one, aim), run_moved(one, seed)) for one in made.moved]
    return found + [(slot.named, run_slot(slot, given, seed)) for slot in slots]


def line(moved: Moved, aim: str) -> str:
    """Which layer, what it is on both sides, and whether its table is proven."""
    table, slot = moved.table, moved.slot
    part, name = next(iter(moved.names.items()))
    above = re.split(r"[/.]", name)[: -1 - part.count("/")]
    sides = [f"{'/'.join(above) or name} ({table.theirs})", f"{slot.named} ({table.layer})"]
    told = proof(table)
    text = " -> ".join(sides if aim == "torch" else reversed(sides))
    return f"{text}, {told.sentence if told else 'its table is not verified'}"
