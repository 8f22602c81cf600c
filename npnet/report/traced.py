"""A training run beside torch's: a table of layers and steps, as text and HTML, and a picture."""

from collections.abc import Sequence

import numpy as np

from npnet.report import words
from npnet.report.markup import Markup, element, join, table
from npnet.verify.finding import Step, Trace

_COLUMNS = 8  # steps that a line of text has room for
_MARKS = {"wrong": "✕", "inherits": "↳"}
_CLASSES = {
    "ok": "ok",
    "fresh": "unproven",
    "wrong": "diverged",
    "inherits": "broken",
    "unknown": "unproven",
}

LEGEND = (
    "The largest |got − torch| over the error bound, in the run that both make from the same "
    "state. ✕ is wrong by the layer's own fault or in what leads to it, ↳ inherits what came "
    "before. In ( ) the bound of the run is too large to say anything, as rounding has grown over "
    "the steps: the number is that of the step alone, from torch's own state before it."
)


def columns(trace: Trace, most: int = _COLUMNS) -> list[int]:
    """The steps that are shown, from 0: all of them, or some with the first that diverges."""
    if trace.steps <= most:
        return list(range(trace.steps))
    chosen = {int(k) for k in np.linspace(0, trace.steps - 1, most - 1)}
    wrong = (
        k for cells in trace.layers.values() for k, c in enumerate(cells) if c.state == "wrong"
    )
    first = min(wrong, default=None)
    return sorted(chosen | (set() if first is None else {first}))


def comparable(trace: Trace) -> str | None:
    """From which step on nothing can be said, where that is so."""
    if trace.comparable is None:
        return None
    return (
        f"{trace.dtype}: no longer comparable from step {trace.comparable}: by then rounding may "
        "have done anything; in ( ) each step alone, from torch's own state"
    )


def text(trace: Trace) -> str:
    """The table as plain text."""
    shown = columns(trace)
    head = ["err/bound, " + trace.dtype, "", *(f"step {trace.number(k)}" for k in shown)]
    rows = [head]
    for layer, cells in trace.layers.items():
        name, kind = words.clean(layer or "network", 28), words.clean(trace.kinds[layer], 24)
        rows.append([name, kind, *(_written(cells[k]) if k < len(cells) else "" for k in shown)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  "
        + "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    said = comparable(trace)
    return "\n".join(lines + ([f"  {said}"] if said else []))


def _written(cell: Step) -> str:
    return _marked(cell, words.ratio(cell.ratio))


def _marked(cell: Step, number: str) -> str:
    """A ratio with what there is to say of it."""
    if cell.state == "unknown":
        return "?"
    if cell.state == "fresh":
        return f"({number})"
    return f"{_MARKS.get(cell.state, '')} {number}".strip()


def section(traces: Sequence[Trace]) -> Markup:
    """The tables and pictures of a page; nothing where there are no traces."""
    if not traces:
        return Markup()
    parts: list[object] = []
    for n, trace in enumerate(traces):
        said = comparable(trace)
        parts += [
            element("h4", trace.dtype),
            _table(trace),
            element("p", said, class_="small") if said else "",
            _figure(trace, f"t{n}"),
        ]
    whole = element("section", element("h2", "Layers and steps"), *parts)
    return join(whole, element("p", LEGEND, class_="dim small"), "\n")


def _table(trace: Trace) -> Markup:
    shown = columns(trace, 24)
    head = element(
        "tr",
        element("th", "layer", scope="col"),
        element("th", "", scope="col"),
        *(element("th", f"step {trace.number(k)}", scope="col", class_="n") for k in shown),
    )
    rows = [
        element(
            "tr",
            element("th", words.clean(layer or "network", 60), scope="row"),
            element("td", words.clean(trace.kinds[layer], 40), class_="dim"),
            *(_cell(cells[k]) if k < len(cells) else element("td", "") for k in shown),
        )
        for layer, cells in trace.layers.items()
    ]
    return table(head, *rows, class_="matrix")


def _cell(cell: Step) -> Markup:
    return element(
        "td",
        _marked(cell, words.power(cell.ratio)),
        class_=f"n {_CLASSES[cell.state]}",
        title=words.clean(cell.quantity, 120),
    )


def _figure(trace: Trace, prefix: str) -> Markup:
    from npnet.report.picture import by_step

    svg = by_step(trace, prefix)
    caption = "err/bound of every layer by step; the line is the most that passes."
    return element("figure", svg, element("figcaption", caption)) if svg else Markup()
