"""Tensors moved by a table: theirs to torch's and back, bit for bit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError, State
from npnet.convert.facts import BLOCKS, Part, Table
from npnet.convert.layout import apart, joined, names, sides, sizes, turned

BF16 = np.dtype([("bfloat16", "<u2")])
"""NumPy has no bfloat16: its bits, which can be moved but not added."""

_G = "g"
Sizes = Mapping[str, int]


def shapes(table: Table, given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The shapes of torch's entries that tensors of these shapes make. Raises ShapeError."""
    found = {name: a.shape for name, a in to_torch(table, _hollow(given)).items()}
    if "weight_hh" in found:
        rows, width = found["weight_hh"]
        blocks = len(BLOCKS.get(table.layer, "").split()) or 1
        if rows != blocks * width:
            raise ShapeError(
                f"{table.theirs} needs {blocks} · {width} numbers from {width} units to the next "
                f"step, but has {rows}."
            )
    return found


def _hollow(given: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Arrays of these shapes that take no room."""
    return {name: np.broadcast_to(np.zeros((), np.uint8), shape) for name, shape in given.items()}


def to_torch(table: Table, tensors: State) -> dict[str, Array]:
    """torch's entries of the tensors of one layer, by the names that parts have.

    What is merged there is whole in one entry and 0 in the other. Raises ShapeError.
    """
    blocks = BLOCKS.get(table.layer, "").split()
    shared: dict[str, int] = {}
    inner: dict[str, dict[str, Array]] = {}
    axes: dict[str, tuple[Any, dict[str, int], Array]] = {}
    for part in table.parts:
        if part.name not in tensors:
            continue
        try:
            a = _row(part, np.asarray(tensors[part.name]))
            before, after = sides(part.layout, a.ndim)
            known = {**shared, _G: len(part.blocks.split())} if blocks else shared
            found = sizes(a.shape, after, known)
        except ShapeError as error:
            raise ShapeError(f"{part.name} does not fit {table.theirs}: {error}.") from None
        shared |= {n: size for n, size in found.items() if n != _G}
        pieces = _pieces(part, a, before, after, found)
        inner.setdefault(part.entry, {}).update(pieces)
        zero = np.zeros_like(next(iter(pieces.values())))
        for name in filter(None, (part.entry, part.plus)):
            axes.setdefault(name, (before, {**found, _G: len(blocks)}, zero))
    entries = {}
    for name, (before, found, zero) in axes.items():
        own = inner.get(name, {})
        if _G in names(before):
            whole = np.stack([own.get(block, zero) for block in blocks])
        else:
            whole = own.get("", zero)
        entries[name] = np.array(joined(whole, before, found), order="C")
    return entries


def _row(part: Part, a: Array) -> Array:
    if part.row is None:
        return a
    if a.ndim < 1 or a.shape[0] <= part.row:
        raise ShapeError(f"it needs an axis of rows first, but has shape {a.shape}")
    row: Array = a[part.row]
    return row


def _pieces(part: Part, a: Array, before: Any, after: Any, found: Sizes) -> dict[str, Array]:
    """The blocks of a tensor of theirs, "" where there are none, with torch's axes but g."""
    mine, own = names(before), names(after)
    b = _flipped(part, apart(a, after, found), own)
    if _G not in mine:
        return {"": turned(b, own, mine)}
    if _G not in own:
        b, own = b[np.newaxis], [_G, *own]
    return dict(zip(part.blocks.split(), turned(b, own, mine), strict=True))


def _flipped(part: Part, a: Array, own: Sequence[str]) -> Array:
    flips = part.flip.split()
    return np.flip(a, tuple(own.index(name) for name in flips)) if flips else a


def from_torch(table: Table, state: State, known: Sizes | None = None) -> dict[str, Array]:
    """Their tensors of torch's entries of one layer.

    known: sizes that no shape says: {"n": heads} of an attention

    Raises ShapeError; ConfigError where torch has numbers that have no place there.
    """
    blocks = BLOCKS.get(table.layer, "").split()
    _require_places(table, state, blocks)
    found: dict[str, Array] = {}
    stacked: dict[str, dict[int, Array]] = {}
    for part in table.parts:
        if part.entry not in state:
            continue
        a = np.asarray(state[part.entry])
        before, after = sides(part.layout, a.ndim)
        given = {**(known or {}), _G: len(blocks)} if blocks else known or {}
        try:
            there = sizes(a.shape, before, given)
        except ShapeError as error:
            raise ShapeError(f"{part.entry} does not fit {table.layer}: {error}.") from None
        b, own = apart(a, before, there), names(before)
        wanted = part.blocks.split()
        if _G in own:
            b = b[[blocks.index(block) for block in wanted]]
        if part.plus and part.plus in state:
            b = _with_other(part, b, apart(np.asarray(state[part.plus]), before, there), blocks)
        if _G in own and _G not in names(after):
            b, own = b[0], own[1:]
        turn = _flipped(part, turned(b, own, names(after)), names(after))
        moved = np.array(joined(turn, after, {**there, _G: len(wanted)}), order="C")
        if part.row is None:
            found[part.name] = moved
        else:
            stacked.setdefault(part.name, {})[part.row] = moved
    for name, rows in stacked.items():
        found[name] = np.stack([rows[i] for i in sorted(rows)])
    return found


def _with_other(part: Part, a: Array, other: Array, blocks: Sequence[str]) -> Array:
    """The blocks with those of another entry added."""
    if not part.blocks:
        return _sum(part, a, other)
    wanted, more = part.blocks.split(), part.plus_blocks.split()
    summed = [
        _sum(part, one, other[blocks.index(block)]) if block in more else one
        for one, block in zip(a, wanted, strict=True)
    ]
    return np.stack(summed)


def _sum(part: Part, a: Array, b: Array) -> Array:
    """a + b, and a to the bit where b is 0."""
    if is_zero(b):
        return a
    if is_zero(a):
        return b
    if a.dtype == BF16:
        raise ConfigError(
            f"{part.name} is the sum of {part.entry} and {part.plus}, which bfloat16 numbers do "
            "not have here. Convert a checkpoint in float32."
        )
    return np.where(b == 0, a, a + b).astype(a.dtype)


def is_zero(a: Array) -> bool:
    """Whether all numbers are 0, of either sign."""
    if a.dtype == BF16:
        return not (a["bfloat16"] & 0x7FFF).any()
    return not a.any()


def _require_places(table: Table, state: State, blocks: Sequence[str]) -> None:
    """Every number of torch's has a place there, or is 0."""
    held: dict[str, set[str]] = {}
    for part in table.parts:
        held.setdefault(part.entry, set()).update(part.blocks.split() or [""])
        if part.plus:
            held.setdefault(part.plus, set()).update(part.plus_blocks.split() or [""])
    for entry, carried in held.items():
        left = [block for block in blocks if block not in carried]
        if entry not in state or "" in carried or not left:
            continue
        rows = np.split(np.asarray(state[entry]), len(blocks))
        if any(not is_zero(rows[blocks.index(block)]) for block in left):
            raise ConfigError(
                f"{table.theirs} has no place for the rows of {', '.join(left)} of {entry}, which "
                "need to be 0, but are not."
            )
