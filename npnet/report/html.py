"""A report as one HTML file: no JavaScript, nothing loaded, readable without its styles.

Everything that comes from a candidate is escaped. jinja2 and matplotlib are imported only where
there are findings to show.
"""

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from npnet.report import traced, words
from npnet.report.markup import Markup, element, join, table
from npnet.report.overview import (
    BREAKS,
    DEVICE,
    DIVERGES,
    OK,
    OPEN,
    SECTIONS,
    Cell,
    cells,
    passed,
    state,
)
from npnet.verify.finding import LayerResult, Report, Verdict

_MOST_LISTED = 12
_STATES = {0: OK, 1: DIVERGES, 3: BREAKS, 4: OPEN}

_LEGEND = (
    "The largest |got − torch| over the error bound derived for a correct implementation. A result "
    "passes up to 8 bounds in float64, where torch errs too, and up to 4 in the other formats. "
    "✕ is beyond that, and leads to the finding. In findings and pictures 1 is what may pass."
)


def page(report: Report) -> str:
    """The whole page."""
    return _filled("page.html", report)


def fragment(report: Report) -> str:
    """The same as an element, for a notebook."""
    return _filled("fragment.html", report)


def _filled(shell: str, report: Report) -> str:
    here = files("npnet.report")
    return Template(here.joinpath(shell).read_text(encoding="utf-8")).substitute(
        title=escape(f"npnet: {words.sentence(report)}"),
        style=here.joinpath("style.css").read_text(encoding="utf-8").strip(),
        body=_body(report),
    )


def _body(report: Report) -> Markup:
    every = cells(report)
    return join(
        _header(report),
        _not_verified(report),
        _environment(report),
        _matrix(every),
        traced.section(report.traces),
        _findings(report),
        _accepted(report),
        _passed(report),
        _margins(report, every),
    )


# ---- sections ------------------------------------------------------------------------------------


def _section(title: str, *children: object) -> Markup:
    return join(element("section", element("h2", title), *children), "\n")


def _header(report: Report) -> Markup:
    asked = f"{_examples(report):,} examples"
    if report.traces:
        asked = f"{report.traces[0].steps} steps"
    took = f"{words.duration(report.seconds)} for {asked}"
    date = report.environment.get("date")
    return join(
        element(
            "header",
            element("p", "npnet trace" if report.traces else "npnet verify", class_="brand"),
            element("h1", words.sentence(report)),
            element("p", f"{words.date(date)} · {took}" if date else took, class_="dim"),
            class_=_STATES[report.exit_code],
        ),
        "\n",
    )


def _examples(report: Report) -> int:
    return sum(o.examples for r in report.layers for o in r.outcomes.values())


def _not_verified(report: Report) -> Markup:
    missing = words.not_verified(report)
    if not missing:
        return Markup()
    more = missing[_MOST_LISTED:]
    rest = element("details", element("summary", f"and {len(more):,} more"), _list(more))
    return _section("Not verified", _list(missing[:_MOST_LISTED]), rest if more else "")


def _list(texts: list[str]) -> Markup:
    return element("ul", *(element("li", text) for text in texts), class_="plain")


def _environment(report: Report) -> Markup:
    facts = table(
        Markup(),
        *(
            element("tr", element("th", name, scope="row"), element("td", value))
            for name, value in _facts(report.environment, report.seed)
        ),
        class_="facts",
    )
    line = words.surroundings(report.environment, report.seed)
    return _section("Environment", element("details", element("summary", line), facts))


def _facts(facts: Mapping[str, Any], seed: int) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if name == "date":
            value = words.date(value)
        if isinstance(value, Mapping):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        yield words.clean(name), words.clean("none" if value in (None, "") else value)
    yield "seed", str(seed)


def _findings(report: Report) -> Markup:
    if not report.findings:
        return Markup()
    from npnet.report.cards import cards

    return _section("Findings", *cards(report))


def _accepted(report: Report) -> Markup:
    if not report.retried:
        return Markup()
    told = sorted(report.retried, key=lambda one: one.holds)
    return _section("Accepted, and asked again", _list([words.retried(one) for one in told]))


# ---- the matrix ----------------------------------------------------------------------------------


def _matrix(every: list[Cell]) -> Markup:
    """Layers by sort of quantity, dtype and device: the worst err/bound of each."""
    if not every:
        return Markup()
    sections = [s for s in SECTIONS if any(c.section == s for c in every)]
    columns = list(dict.fromkeys((c.dtype, c.device) for c in every if c.dtype)) or [("", DEVICE)]
    top = [element("th", s, colspan=len(columns), scope="colgroup") for s in sections]
    below = [
        element("th", f"{dtype} {device}".strip(), scope="col", class_="n first" * (n == 0) or "n")
        for _ in sections
        for n, (dtype, device) in enumerate(columns)
    ]
    head = join(
        element("tr", element("th", "layer", rowspan=2, scope="col"), *top),
        element("tr", *below),
    )
    by_layer: dict[str, list[Cell]] = {}
    for c in every:
        by_layer.setdefault(c.layer, []).append(c)
    rows = []
    for layer, own in by_layer.items():
        row = [element("th", words.clean(layer, 120), scope="row")]
        for section in sections:
            for dtype, device in columns:
                here = [c for c in own if c.section == section]
                at = [c for c in here if (c.dtype or columns[0][0], c.device) == (dtype, device)]
                row.append(_cell(at))
        rows.append(element("tr", *row))
    return _section(
        "Layers", table(head, *rows, class_="matrix"), element("p", _LEGEND, class_="dim small")
    )


def _cell(own: list[Cell]) -> Markup:
    """The worst of some cells; one that is not verified comes before any ratio."""
    if not own:
        return element("td", class_="n")
    bad = [c for c in own if c.verdict is not Verdict.PASS]
    worst = max(bad or own, key=lambda c: -1.0 if c.ratio is None else c.ratio)
    return element("td", _reading(worst), class_=f"n {state(worst.verdict)}")


def _reading(cell: Cell) -> Markup:
    """A cell's text, which says without colour what it is."""
    ratio = "" if cell.ratio is None else words.power(cell.ratio)
    if cell.verdict is Verdict.PASS:
        return join(ratio)
    elsewhere = cell.finding is not None and cell.finding.dtype != cell.dtype
    word = "" if elsewhere else words.verdict_word(cell.verdict)
    text = f"{'?' if state(cell.verdict) == OPEN else '✕'} {ratio or word}".strip()
    if cell.finding is None:
        return join(text)
    return element("a", text, href=f"#{words.clean(cell.finding.id)}")


# ---- what agrees ---------------------------------------------------------------------------------


def _passed(report: Report) -> Markup:
    """The layers that agree, a line each."""
    good = passed(report)
    if not good:
        return Markup()
    dtypes = list(dict.fromkeys(d for r in good for d in r.outcomes))
    options = ["options covered"] if any(r.coverable for r in good) else []
    columns = ["layer", "twin", "examples", *dtypes, "worst err/bound", *options]
    right = {"examples", "worst err/bound"}
    head = element(
        "tr", *(element("th", c, scope="col", class_="n" if c in right else "") for c in columns)
    )
    return _section(
        "Verified",
        table(head, *(_line(r, dtypes, counted=bool(options)) for r in good)),
    )


def _line(r: LayerResult, dtypes: list[str], *, counted: bool) -> Markup:
    verdicts = [words.outcome_word(r.outcomes[d]) if d in r.outcomes else "" for d in dtypes]
    return element(
        "tr",
        element("th", words.clean(r.layer, 120), scope="row"),
        element("td", words.in_torch(words.clean(r.twin)) if r.twin else "", class_="dim"),
        element("td", f"{max(o.examples for o in r.outcomes.values()):,}", class_="n"),
        *(element("td", v.lower(), class_="good" if v == "ok" else "") for v in verdicts),
        element("td", words.power(r.worst), class_="n"),
        element("td", words.options(r)) if counted else "",
    )


def _margins(report: Report, every: list[Cell]) -> Markup:
    """Every quantity of every layer, for whoever wants it."""
    if not report.layers:
        return Markup()
    dtypes = list(dict.fromkeys(d for r in report.layers for d in r.outcomes))
    by_layer: dict[str, dict[str, dict[str, list[Cell]]]] = {}
    for c in every:
        by_layer.setdefault(c.layer, {}).setdefault(c.quantity, {}).setdefault(c.dtype, []).append(
            c
        )
    head = element(
        "tr",
        element("th", "quantity"),
        *(element("th", d, class_="n", scope="col") for d in dtypes),
    )
    parts: list[object] = []
    for r in report.layers:
        rows = [
            element(
                "tr",
                element("th", words.clean(quantity, 120), scope="row"),
                *(_cell(by_dtype.get(d, [])) for d in dtypes),
            )
            for quantity, by_dtype in by_layer.get(r.layer, {}).items()
        ]
        parts += [
            element("h4", words.clean(r.layer, 120)),
            table(head, *rows, class_="matrix narrow"),
            element("p", " ".join(_remarks(r)), class_="dim small"),
        ]
    return _section(
        "Every quantity", element("details", element("summary", "margins in bounds"), *parts)
    )


def _remarks(r: LayerResult) -> Iterator[str]:
    yield f"{sum(o.judged for o in r.outcomes.values()):,} elements compared."
    left_out = sum(o.not_judged for o in r.outcomes.values())
    if left_out:
        yield f"{left_out:,} value sets were left out because they overflow."
    fallbacks = sorted({words.clean(f) for o in r.outcomes.values() for f in o.fallbacks})
    if fallbacks:
        yield f"Bounds of {', '.join(fallbacks)} come from a decomposition."
    for dtype, outcome in r.outcomes.items():
        if outcome.beside:
            off = words.ratio(max(outcome.beside.values()))
            yield f"torch's own kernels on the second device in {dtype}: up to {off} bounds."
        if outcome.wavering:
            names = ", ".join(words.clean(q) for q in outcome.wavering)
            yield f"Not the same there in two runs in {dtype}: {names}."
    if r.uncovered:
        yield f"Not drawn: {' · '.join(words.clean(u, 120) for u in r.uncovered)}."
