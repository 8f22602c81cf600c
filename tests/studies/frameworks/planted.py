"""Tables with one mistake each, which must not be proven."""

from collections.abc import Iterator
from dataclasses import replace

from npnet.convert.facts import Part, Table


def planted(table: Table) -> Iterator[tuple[str, Table]]:
    """(what is wrong, the table) for every mistake that leaves all shapes as they are."""
    for i, part in enumerate(table.parts):
        blocks = part.blocks.split()
        if len(blocks) > 1:
            turned = " ".join((*blocks[1:], blocks[0]))
            yield f"{part.name}: blocks in another order", _with(table, i, blocks=turned)
        if part.entry == "weight" and " w" in part.layout:
            flip = " ".join(f for f in ("w", *part.flip.split()) if part.flip.split().count(f) != 1)
            yield f"{part.name}: turned around", _with(table, i, flip=flip)
        if part.row is not None:
            yield f"{part.name}: the other row", _with_rows(table, part.name)
            return
        for j in range(i + 1, len(table.parts)):
            other = table.parts[j]
            same = (part.entry, part.layout) == (other.entry, other.layout)
            if same and len(blocks) == 1:
                yield f"{part.name} and {other.name} swapped", _swapped(table, i, j)
            if part.layout == other.layout and {part.entry, other.entry} in _PAIRS:
                yield f"{part.name} and {other.name} swapped", _swapped(table, i, j)


_PAIRS = ({"weight", "bias"}, {"running_mean", "running_var"})


def _with(table: Table, i: int, **changes: object) -> Table:
    parts = list(table.parts)
    parts[i] = replace(parts[i], **changes)  # type: ignore[arg-type]  # fields of Part
    return replace(table, parts=tuple(parts))


def _swapped(table: Table, i: int, j: int) -> Table:
    parts: list[Part] = list(table.parts)
    parts[i], parts[j] = (
        replace(parts[i], name=parts[j].name),
        replace(parts[j], name=parts[i].name),
    )
    return replace(table, parts=tuple(parts))


def _with_rows(table: Table, name: str) -> Table:
    parts = tuple(
        replace(p, row=1 - p.row) if p.name == name and p.row is not None else p
        for p in table.parts
    )
    return replace(table, parts=parts)
