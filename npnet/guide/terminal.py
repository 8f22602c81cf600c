"""A page in the terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.columns import Columns
from rich.console import Console, ConsoleRenderable, Group, RichCast
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text as Line

from npnet.guide.page import (
    Beside,
    Block,
    Bullets,
    Code,
    Fold,
    Page,
    Pages,
    Plain,
    Table,
    Text,
)

_TWO = 150  # columns of a terminal in which two blocks of code stand side by side


def show(page: Page, console: Console, *, full: bool = False) -> None:
    """Print a page; full: with all the code that the layer calls, which else is only named."""
    console.print(Line(page.name, style="bold"))
    console.print(Line(f"{page.own} · {page.torch}", style="dim"))
    for section in page.sections:
        console.print()
        console.print(Rule(Line(section.title, style="bold"), align="left", style="dim"))
        for block in section.blocks:
            console.print(_drawn(block if full else _short(block), console.width))


def _drawn(block: Block, width: int) -> ConsoleRenderable | RichCast | str:
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
            return Group(Line(title, style="bold"), *_all(inside, width - 2, 2))
        case Beside(left, right):
            if width < _TWO:
                return Group(*_all((*left, *right), width))
            half = width // 2 - 1
            columns = [Group(*_all(column, half)) for column in (left, right)]
            return Columns(columns, width=half, padding=(0, 1), expand=True)
        case Pages(text, names):
            return Line(f"{text} {', '.join(names)}\n")


def _short(block: Block) -> Block:
    """Code that is folded, by its captions."""
    match block:
        case Beside(left, right):
            return Beside(tuple(map(_short, left)), tuple(map(_short, right)))
        case Fold(title, inside) if all(isinstance(b, Code) for b in inside):
            names = ", ".join(b.caption for b in inside if isinstance(b, Code))
            return Text(f"{title} (-v shows it): {names}")
    return block


def _all(blocks: Sequence[Block], width: int, indent: int = 0) -> Iterator[ConsoleRenderable]:
    for block in blocks:
        yield Padding(_drawn(block, width), (0, 0, 0, indent))


def _item(text: str) -> Grid:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_row("·", Line(text))
    return grid


def _code(text: str, caption: str, language: str) -> Iterator[ConsoleRenderable | str]:
    if caption:
        yield Line(caption, style="dim italic")
    if language == "python":
        yield Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True)
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
