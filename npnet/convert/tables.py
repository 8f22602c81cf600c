"""How the tensors of every layer are called and lie elsewhere: Keras, TensorFlow, Flax, a book.

One place for these facts: `npnet convert` moves by them, the guide prints them, and
`make frameworks` proves them on the frameworks themselves (proven.json).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from npnet.convert._dlfs import dlfs
from npnet.convert._flax import flax, nnx
from npnet.convert._keras import keras
from npnet.convert._tf import tf
from npnet.convert.facts import AXES, BLOCKS, OWN_AXES, STATES, Part, Table, suffix_of
from npnet.convert.facts import FRAMEWORKS as FRAMEWORKS
from npnet.convert.layout import names, sides

ABSENT = {
    ("keras", "Bilinear"): "no layer; an einsum of one's own: keras.ops.einsum('ni,oij,nj->no', …)",
    ("dlfs", "GRU"): "its GRU applies r before the product with Wh, which torch's cannot do",
    ("dlfs", "GRUCell"): "its GRU applies r before the product with Wh, which torch's cannot do",
    ("keras", "AdaptiveLogSoftmaxWithLoss"): "no layer",
}
"""Why there is no table where one might be looked for."""

TABLES: tuple[Table, ...] = (*keras(), *tf(), *flax(), *nnx(), *dlfs())


def tables(framework: str | None = None, layer: str | None = None) -> tuple[Table, ...]:
    """The tables of a framework, of a layer, or of both; the usual way to write it comes first."""
    return tuple(
        t
        for t in TABLES
        if (framework is None or t.framework == framework) and (layer is None or t.layer == layer)
    )


# ---- for the guide -------------------------------------------------------------------------------


@dataclass(frozen=True)
class There:
    """One of torch's tensors in another framework.

    names: what holds it there     layout: torch's axes -> theirs
    sentence: the same in words    note: what else there is to it
    """

    framework: str
    title: str
    layer: str
    variant: str
    names: tuple[str, ...]
    layout: str
    sentence: str
    note: str


@dataclass(frozen=True)
class Row:
    """A tensor of a layer: its name in the state_dict, its shape, its axes, where else it is."""

    name: str
    shape: str
    axes: str
    there: tuple[There, ...]


@dataclass(frozen=True)
class Input:
    """How what a layer takes lies in another framework: "n c h w -> n h w c" for each of them."""

    framework: str
    title: str
    layer: str
    variant: str
    layouts: tuple[str, ...]
    output: str
    notes: tuple[str, ...]
    proof: str


@dataclass(frozen=True)
class Proof:
    """That a table was held against the framework itself, and what came of it.

    worst: the largest difference of outputs and gradients, relative to the largest element
    """

    framework: str
    versions: str
    date: str
    cases: int
    worst: float

    @property
    def sentence(self) -> str:
        """As the guide prints it."""
        return f"verified against {self.versions} on {self.date}"


def rows(layer: str) -> tuple[Row, ...]:
    """The tensors of a layer of npnet.nn, as torch's state_dict names them; () without a table."""
    return tuple(
        Row(name, shape, _meaning(layer, axes), tuple(_there(layer, name)))
        for name, (axes, shape) in STATES.get(layer, {}).items()
    )


def inputs(layer: str) -> tuple[Input, ...]:
    """How inputs and the output of a layer lie in every framework that has it."""
    return tuple(
        Input(
            t.framework,
            FRAMEWORKS[t.framework],
            t.theirs,
            t.variant,
            t.inputs,
            t.outputs,
            t.notes,
            p.sentence if (p := proof(t)) else "",
        )
        for t in tables(layer=layer)
    )


def absent(layer: str) -> dict[str, str]:
    """Why a framework has no such layer, by framework, where a reason is known."""
    return {framework: why for (framework, name), why in ABSENT.items() if name == layer}


def _meaning(layer: str, axes: str) -> str:
    blocks = BLOCKS.get(layer, "")
    means = {**AXES, **OWN_AXES.get(layer, {})}
    if axes == "...":
        return "the axes that are normalised"
    told = [
        f"{n}: {', '.join(blocks.split())}" if n == "g" else f"{n}: {means[n]}"
        for n in names(sides(f"{axes} -> ")[0])
    ]
    return "; ".join(told) or "a number"


def _there(layer: str, name: str) -> Any:
    own = name.removesuffix(suffix_of(layer))
    for t in tables(layer=layer):
        parts = [p for p in t.parts if own in (p.entry, p.plus)]
        said = _said(layer, parts, own)
        yield There(
            t.framework,
            FRAMEWORKS[t.framework],
            t.theirs,
            t.variant,
            tuple(dict.fromkeys(p.name for p in parts)),
            parts[0].layout if parts else "",
            said or "it has none",
            "; ".join(t.notes),
        )


def _said(layer: str, parts: list[Part], name: str) -> str:
    """How a tensor lies, in words; of several alike, each of which is a block, once."""
    whole = [p for p in parts if not _is_block(p)]
    told = [_sentence(layer, p, name) for p in whole]
    blocks: dict[str, list[Part]] = {}
    for p in parts:
        if _is_block(p):
            blocks.setdefault(_sentence(layer, p, name), []).append(p)
    for sentence, some in blocks.items():
        mine = ", ".join(f"{p.blocks} is {p.name}" for p in some)
        told.append(f"each block by itself ({mine}): {sentence}")
    return "; ".join(dict.fromkeys(told))


def _is_block(part: Part) -> bool:
    return bool(part.blocks) and "g" not in names(sides(part.layout)[1])


def _sentence(layer: str, part: Part, name: str) -> str:
    """How a tensor lies, in words."""
    before, after = sides(part.layout)
    said = "as it is" if before == after else part.layout.replace("->", "→")
    if part.blocks and "g" in names(after):
        mine = BLOCKS[layer]
        said += "" if mine == part.blocks else f", blocks {mine} → {part.blocks}"
    said += f", row {part.row}" if part.row is not None else ""
    said += ", turned around along " + " and ".join(part.flip.split()) if part.flip else ""
    if part.plus:
        other = part.plus if name == part.entry else part.entry
        said += f", {other} added"
    return said


@cache
def _proofs() -> dict[str, Any]:
    path = files("npnet.convert") / "proven.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def proof(table: Table) -> Proof | None:
    """The proof of a table as it stands; None where there is none, or it has changed since."""
    found = _proofs().get(table.key)
    if found is None or found["digest"] != table.digest:
        return None
    return Proof(table.framework, found["versions"], found["date"], found["cases"], found["worst"])
