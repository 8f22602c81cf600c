"""What a page is made of, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph in plain text."""

    text: str


@dataclass(frozen=True)
class Plain:
    """Text whose lines and spaces stay as they are: a docstring."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells in plain text; those of the columns `code` are code."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    code: tuple[int, ...] = ()


@dataclass(frozen=True)
class Code:
    """Source code, or what it prints, under a caption."""

    text: str
    caption: str = ""
    language: str = "python"


@dataclass(frozen=True)
class Fold:
    """What is shown when it is asked for."""

    title: str
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True)
class Beside:
    """Two columns, where there is room for two."""

    left: "tuple[Block, ...]"
    right: "tuple[Block, ...]"


@dataclass(frozen=True)
class Pages:
    """Links to other pages, by the names of their layers."""

    text: str
    names: tuple[str, ...]


Block = Text | Plain | Bullets | Table | Code | Fold | Beside | Pages


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """The page of a layer.

    own, torch: what it is called in both libraries
    """

    name: str
    own: str
    torch: str
    sections: tuple[Section, ...]
