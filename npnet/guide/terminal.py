"""A page in the terminal."""

import shutil
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleRenderable, Group, RichCast
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text as Line

from npnet.guide.blocks import (
    Beside,
    Block,
    Bullets,
    Code,
    Fold,
    Page,
    Pages,
    Plain,
    Section,
    Table,
    Text,
)

_CODE = 104  # columns that npnet's code needs
_OWN = "npnet's own code"


def console() -> Console:
    """Standard output, wide enough for code where it is no terminal."""
    found = Console(highlight=False)
    if not found.is_terminal:
        columns = shutil.get_terminal_size((_CODE, 24)).columns
        found = Console(highlight=False, width=max(columns, _CODE))
    return found


def show(page: Page, console: Console, *, full: bool = False) -> None:
    """Print a page, the layer's code last.

    full: with what else is only named: code that it calls, other frameworks, every quantity
    """
    console.print(Line(page.name, style="bold"))
    console.print(Line(f"{page.own} · {page.torch}", style="dim"))
    for section in _ordered(page.sections):
        console.print()
        console.print(Rule(Line(section.title, style="bold"), align="left", style="dim"))
        for block in section.blocks:
            console.print(_drawn(block if full else _short(block)))


def _ordered(sections: Sequence[Section]) -> Iterator[Section]:
    """The code that stands beside the formula in a browser comes last: it is long."""
    last: list[Block] = []
    for k, section in enumerate(sections):
        if k == 0 and isinstance(first := section.blocks[0], Beside):
            last += first.right
            yield Section("Formula", first.left)
        else:
            yield section
    yield Section(_OWN, tuple(last))


def _short(block: Block) -> Block:
    """What is folded, by its title."""
    match block:
        case Beside(left, right):
            return Beside(tuple(map(_short, left)), tuple(map(_short, right)))
        case Fold(title, inside) if all(isinstance(b, Code) for b in inside):
            names = tuple(b.caption for b in inside if isinstance(b, Code))
            return Fold(f"{title} (-v shows it)", (Bullets(names),))
        case Fold(title):
            return Text(f"{title} (-v shows it)")
    return block


def _drawn(block: Block) -> ConsoleRenderable | RichCast | str:
    match block:
        case Text(text):
            return Line(text + "\n")
        case Plain(text):
            return Line(text + "\n")
        case Bullets(items):
            return Group(*(_item(item) for item in items), "")
        case Table():
            return _grid(block)
        case Code(text, caption, language):
            return Group(*_code(text, caption, language))
        case Fold(title, inside):
            return Group(Line(title, style="bold"), *(_indented(b) for b in inside))
        case Beside(left, right):
            return Group(*map(_drawn, (*left, *right)))
        case Pages(text, names):
            return Line(f"{text} {', '.join(names)}\n")


def _indented(block: Block) -> ConsoleRenderable:
    return Padding(_drawn(block), (0, 0, 0, 2))


def _item(text: str) -> Grid:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_row("·", Line(text))
    return grid


def _code(text: str, caption: str, language: str) -> Iterator[ConsoleRenderable | str]:
    if caption:
        yield Line(caption, style="dim italic")
    if language == "python":
        coloured = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(
            text
        )
        coloured.no_wrap, coloured.overflow = False, "fold"
        yield coloured
    else:
        yield Line(text)
    yield ""


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for title in table.head:
        grid.add_column(Line(title), overflow="fold")
    for row in table.rows:
        grid.add_row(*(Line(cell) for cell in row))
    return grid
