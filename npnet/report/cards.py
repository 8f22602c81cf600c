"""The findings of a page: a card per cause, its leading finding in full, the others in a line."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from jinja2 import Environment, PackageLoader, StrictUndefined

from npnet.report import words
from npnet.report.markup import Markup
from npnet.report.overview import OPEN, Cause, causes, state
from npnet.report.picture import pictures
from npnet.report.repro import script
from npnet.verify.finding import UNPROVEN, Finding, Report

_BUDGET = 7_000_000  # characters of cards; the findings after that are told in brief
_MOST_OPEN = 3


@dataclass(frozen=True)
class Line:
    """A finding that another one's cause explains."""

    id: str
    kind: str
    word: str
    title: str
    text: str


@dataclass(frozen=True)
class Card:
    """A cause as the page shows it."""

    id: str
    kind: str
    open: bool
    word: str
    title: str
    label: str  # of the sentence: why, observed
    sentence: str
    readings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str], ...]
    others: tuple[Line, ...]
    config: str
    arrays: tuple[tuple[str, str], ...]
    sides: tuple[tuple[str, str], ...]
    place: str
    code: tuple[tuple[int, str, bool], ...]
    traceback: str
    printed: str
    pictures: tuple[tuple[str, Markup], ...]
    script: str

    @property
    def size(self) -> int:
        """About how many characters it takes."""
        texts = (
            self.script,
            self.traceback,
            self.printed,
            *(text for _, text in self.arrays + self.sides),
        )
        return sum(map(len, texts)) + sum(len(picture) for _, picture in self.pictures)


def cards(report: Report) -> Iterator[Markup]:
    """A card per cause, in the order of the findings."""
    jinja = Environment(
        loader=PackageLoader("npnet", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = jinja.get_template("card.html.j2")
    found = causes(report.findings)
    spent = 0
    for n, cause in enumerate(found):
        card = _card(cause, report, n)
        card = replace(card, open=n == 0 or len(found) <= _MOST_OPEN)
        if spent + card.size > _BUDGET:
            card = _brief(card)
        spent += card.size
        yield Markup(template.render(card=card))


def _brief(card: Card) -> Card:
    left_out = (("left out", f"the arrays, the pictures and the script: see failures/{card.id}"),)
    rows = card.rows + left_out
    brief = replace(card, script="", traceback="", printed="", rows=rows)
    return replace(brief, arrays=(), sides=(), pictures=())


def _card(cause: Cause, report: Report, n: int) -> Card:
    f = cause.leader
    message = words.clean(f.message)
    (label, sentence), *readings = words.readings(f) or [("why", words.how_much(f) or message)]
    rows = [
        ("accepted", words.clean(f.accepted)),
        ("verdict", words.meaning(f)),
        ("dialect", f.dialect and words.clean(f.dialect)),
        ("how much", words.how_much(f, words.power)),
        ("message", message if f.worst is None else None),
        ("how often", words.how_often(f)),
        ("only when", words.only_when(f)),
        ("only under", words.only_under(f)),
        ("also", words.also(f, report.findings)),
    ]
    shown = f.case if f.verdict not in UNPROVEN else None
    sides = f.smallest if shown else None
    compared = f.probe or f.smallest
    return Card(
        id=words.clean(f.id),
        kind=OPEN if f.accepted else state(f.verdict),
        open=False,
        word=words.heading(f),
        title=words.where(f),
        label=label,
        sentence=sentence,
        readings=tuple(("or" if name == "why" else name, text) for name, text in readings),
        rows=tuple((name, text) for name, text in rows if text),
        others=tuple(_line(other) for other in cause.others),
        config=words.configuration(shown) if shown else "",
        arrays=tuple((name, words.whole(a)) for name, a in words.arrays_of(shown).items())
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
        traceback="\n".join(words.lines(f.traceback)).strip("\n"),
        printed="\n".join(words.lines(f.printed)).strip("\n"),
        pictures=tuple(pictures(compared, f"f{n}")) if compared else (),
        script=script(f) if shown else "",
    )


def _line(f: Finding) -> Line:
    text = words.how_much(f, words.power) or words.clean(f.message)
    kind = OPEN if f.accepted else state(f.verdict)
    return Line(words.clean(f.id), kind, words.heading(f), words.where(f), text)
