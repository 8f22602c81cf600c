"""A report as one HTML file: no JavaScript, nothing loaded, readable without its styles.

jinja2 escapes everything that comes from a candidate; matplotlib is imported only where there is a
picture to draw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from npnet.report import words
from npnet.report.picture import heat_map
from npnet.report.repro import script
from npnet.verify.finding import BROKEN, DIVERGED, UNPROVEN, Finding, LayerResult, Report

_BUDGET = 7_000_000  # characters of cards; the findings after that are told in brief
_MOST_LISTED = 12


@dataclass(frozen=True)
class Card:
    """One finding as the page shows it."""

    id: str
    kind: str
    word: str
    title: str
    rows: tuple[tuple[str, str], ...]
    why: tuple[str, ...]
    config: str
    arrays: tuple[tuple[str, str], ...]
    sides: tuple[tuple[str, str], ...]
    place: str
    code: tuple[tuple[int, str, bool], ...]
    traceback: str
    picture: Markup
    script: str

    @property
    def size(self) -> int:
        """About how many characters it takes."""
        texts = (self.picture, self.script, self.traceback, *(t for _, t in self.arrays))
        return sum(len(t) for t in texts) + sum(len(t) for _, t in self.sides)


def page(report: Report) -> str:
    """The whole page."""
    return _template("page", report)


def fragment(report: Report) -> str:
    """The same as an element, for a notebook."""
    return _template("fragment", report)


def _template(which: str, report: Report) -> str:
    jinja = Environment(
        loader=PackageLoader("npnet", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    missing = words.not_verified(report)
    return jinja.get_template("index.html.j2").render(
        which=which,
        state=_state(report),
        sentence=words.sentence(report),
        seconds=f"{report.seconds:.1f}",
        surroundings=words.surroundings(report.environment, report.seed),
        missing=missing[:_MOST_LISTED],
        missing_more=missing[_MOST_LISTED:],
        dtypes=list(dict.fromkeys(d for r in report.layers for d in r.outcomes)),
        layers=[_layer(r) for r in report.layers],
        cards=list(_cards(report)),
        facts=list(_facts(report.environment, report.seed)),
    )


def _state(report: Report) -> str:
    return {0: "ok", 1: "diverged", 3: "broken", 4: "unproven"}[report.exit_code]


# ---- layers --------------------------------------------------------------------------------------


def _layer(r: LayerResult) -> dict[str, Any]:
    quantities = list(dict.fromkeys(q for o in r.outcomes.values() for q in o.ratios))
    return {
        "name": words.clean(r.layer, 120),
        "twin": words.clean(_twin(r.twin)),
        "examples": max((o.examples for o in r.outcomes.values()), default=0),
        "verdicts": {d: words.outcome_word(o) for d, o in r.outcomes.items()},
        "worst": words.ratio(r.worst),
        "options": words.options(r),
        "uncovered": [words.clean(u, 120) for u in r.uncovered],
        "margins": [
            (
                words.clean(q, 120),
                {d: words.ratio(o.ratios[q]) for d, o in r.outcomes.items() if q in o.ratios},
            )
            for q in quantities
        ],
        "judged": f"{sum(o.judged for o in r.outcomes.values()):,}",
        "not_judged": sum(o.not_judged for o in r.outcomes.values()),
        "fallbacks": sorted({words.clean(f) for o in r.outcomes.values() for f in o.fallbacks}),
    }


def _twin(twin: str) -> str:
    return f"torch.{words.full(twin)}"


# ---- findings ------------------------------------------------------------------------------------


def _cards(report: Report) -> Iterator[Card]:
    spent = 0
    for n, f in enumerate(report.findings):
        card = _card(f, report, n)
        if spent + card.size > _BUDGET:
            card = _brief(card)
        spent += card.size
        yield card


def _brief(card: Card) -> Card:
    left_out = (("left out", f"the arrays, the picture and the script: see failures/{card.id}"),)
    empty = Markup("")
    return replace(
        card, arrays=(), sides=(), picture=empty, script="", rows=card.rows + left_out, traceback=""
    )


def _card(f: Finding, report: Report, n: int) -> Card:
    rows = [
        ("verdict", words.meaning(f)),
        ("dialect", f.dialect and words.clean(f.dialect)),
        ("how much", words.how_much(f)),
        ("message", words.clean(f.message) if f.worst is None else None),
        ("how often", words.how_often(f)),
        ("only under", words.only_under(f)),
        ("also", words.also(f, report.findings)),
    ]
    shown = f.case if f.verdict not in UNPROVEN else None
    sides = f.smallest if shown else None
    compared = f.probe or f.smallest
    traced = "\n".join(words.lines(f.traceback)).strip("\n")
    return Card(
        id=words.clean(f.id),
        kind="diverged"
        if f.verdict in DIVERGED
        else "broken"
        if f.verdict in BROKEN
        else "unproven",
        word=words.heading(f),
        title=words.where(f),
        rows=tuple((label, text) for label, text in rows if text),
        why=tuple(words.clean(e.text) for e in f.explanations),
        config=words.configuration(shown) if shown else "",
        arrays=tuple((n, words.whole(a)) for n, a in words.arrays_of(shown).items())
        if shown
        else (),
        sides=(
            ("got", words.whole(sides.got)),
            ("torch", words.whole(sides.want)),
            ("allowed", words.whole(sides.allowed)),
        )
        if sides
        else (),
        place=words.clean(f.source) if f.source else "",
        code=tuple(
            (number, text, number == f.source.line)
            for number, text in words.excerpt(f.source.file, f.source.line)
        )
        if f.source
        else (),
        traceback=traced,
        picture=Markup(heat_map(compared, f"f{n}")) if compared else Markup(""),
        script=script(f) if shown else "",
    )


def _facts(facts: Mapping[str, Any], seed: int) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        yield words.clean(name), words.clean("none" if value in (None, "") else value)
    yield "seed", str(seed)
