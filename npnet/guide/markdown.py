"""A page as MyST Markdown, for Sphinx with sphinx-design."""

import re
from collections.abc import Callable, Iterator, Sequence

from npnet.guide.blocks import (
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

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$@:^&])")
_LEADING = re.compile(r"^(\s*)([-+]|\d+(?=[.)]))")  # would begin a list
Link = Callable[[str], str | None]
"""The address of a layer's page, from the page that is written; None where it has none there."""


def document(page: Page, link: Link) -> str:
    """The source of a page."""
    lines = [f"# {page.name}", "", f"`{page.own}` · `{page.torch}`", ""]
    for section in page.sections:
        lines += [f"## {escaped(section.title)}", ""]
        lines += written(section.blocks, link)
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Plain text, nothing of which is markup. Parts in backquotes stay code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(p if p.startswith("`") and len(p) > 1 else _plain(p) for p in parts)


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _opened(text: str) -> str:
    """A line that does not begin a list, whatever it begins with."""
    found = _LEADING.match(text)
    if found is None:
        return text
    lead, sign = found.groups()
    after = text[found.end() :]
    return f"{lead}\\{sign}{after}" if sign in "-+" else f"{lead}{sign}\\{after}"


def written(blocks: Sequence[Block], link: Link) -> list[str]:
    """Blocks, one after the other."""
    return [line for block in blocks for line in (*_block(block, link), "")]


def _block(block: Block, link: Link) -> Iterator[str]:
    match block:
        case Text(text):
            yield _opened(escaped(text))
        case Plain(text):
            yield from _fenced("{code-block} none", ":class: formula", "", text)
        case Bullets(items):
            yield from (f"- {_opened(escaped(item))}" for item in items)
        case Table():
            yield from _table(block)
        case Code(text, caption, language):
            title = [f":caption: {caption}"] if caption else []
            yield from _fenced(f"{{code-block}} {language}", *title, "", text)
        case Fold(title, inside):
            yield from _directive(f"{{dropdown}} {escaped(title)}", written(inside, link))
        case Beside(left, right):
            columns = [
                line
                for column in (left, right)
                for line in _directive("{grid-item}", written(column, link))
            ]
            yield from _directive("{grid} 1 1 2 2", [":gutter: 3", "", *columns])
        case Pages(text, names):
            linked = (f"[{_plain(n)}]({at})" if (at := link(n)) else _plain(n) for n in names)
            yield f"{escaped(text)} {', '.join(linked)}"


def _fenced(opening: str, *lines: str) -> Iterator[str]:
    text = "\n".join(lines)
    longest = max((len(m) for m in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    yield from (f"{fence}{opening}", text, fence)


def _directive(opening: str, inside: Sequence[str]) -> list[str]:
    """A directive around others: its colons are one more than theirs."""
    longest = max((len(m[0]) for line in inside if (m := re.match(r":{3,}", line))), default=2)
    fence = ":" * (longest + 1)
    return [f"{fence}{opening}", *inside, fence]


def _table(table: Table) -> Iterator[str]:
    def row(cells: Sequence[str], code: Sequence[int]) -> str:
        return "| " + " | ".join(_cell(c, i in code) for i, c in enumerate(cells)) + " |"

    yield row(table.head, ())
    yield "|" + " --- |" * len(table.head)
    yield from (row(cells, table.code) for cells in table.rows)


def _cell(text: str, code: bool) -> str:
    text = text.replace("\n", " ")
    if code and text not in ("", "–"):
        return f"`{text}`".replace("|", r"\|")
    return escaped(text).replace(r"\|", "|").replace("|", r"\|")
