"""Elements of HTML, escaped: what a page without findings is made of, since jinja2 takes long."""

from html import escape


class Markup(str):
    """Text that is HTML already; jinja2 takes it as such, too."""

    __slots__ = ()

    def __html__(self) -> str:
        """The same, as template languages ask for it."""
        return self


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """An element; children that are not Markup are text, `class_` stands for class."""
    written = "".join(
        f' {name.rstrip("_")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value not in (None, "")
    )
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: object) -> Markup:
    """Several one after the other."""
    parts = (c if isinstance(c, Markup) else escape(str(c), quote=False) for c in children)
    return Markup("".join(parts))


def table(head: Markup, *rows: Markup, class_: str = "") -> Markup:
    """A table that scrolls by itself where it is wider than the page."""
    whole = element("table", element("thead", head), element("tbody", *rows), class_=class_)
    return element("div", whole, class_="wide", tabindex="0")
