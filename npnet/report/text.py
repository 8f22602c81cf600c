"""A report as text: plain where it is piped, coloured by rich in a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from npnet.report import traced, words
from npnet.report.overview import follows
from npnet.verify.finding import UNPROVEN, Finding, LayerResult, Report, Verdict

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 100
_LABEL = 13  # columns of a row's label, its indentation included
_MOST_ARRAYS = 8
_MOST_PRINTED = 3
_MOST_TRACEBACK = 8
_MOST_NOT_VERIFIED = 6


@dataclass(frozen=True)
class Block:
    """One finding, laid out: a heading and labelled rows of lines."""

    word: str
    title: str
    id: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def lines(self) -> Iterator[tuple[str, str]]:
        """(label, text) of every printed line after the heading."""
        for label, texts in self.rows:
            for i, text in enumerate(texts):
                yield f"  {label if i == 0 else '':<{_LABEL - 2}}", text

    @property
    def gap(self) -> str:
        """The space that puts the id at the right edge."""
        return " " * max(2, WIDTH - len(self.word) - 2 - len(self.title) - len(self.id))

    def __str__(self) -> str:
        head = f"{self.word}  {self.title}{self.gap}{self.id}"
        return "\n".join([head, *((label + text).rstrip() for label, text in self.lines())])

    def styled(self) -> "Text":
        """The same for a terminal. No markup is read, so none can be smuggled in."""
        from rich.text import Text

        text = Text.assemble((self.word, "bold red"), "  ", (self.title, "bold"), self.gap, self.id)
        for label, line in self.lines():
            text.append("\n")
            text.append(label, style="dim")
            text.append(line)
        return text


def failure(finding: Finding, others: Sequence[Finding] = (), kept: Path | None = None) -> Block:
    """A finding as a block. others: findings of the same run; kept: its page or results."""
    f = finding
    rows: list[tuple[str, list[str]]] = []

    def row(label: str, text: str | None) -> None:
        if text:
            rows.append((label, textwrap.wrap(text, WIDTH - _LABEL, break_on_hyphens=False)))

    row("accepted", words.clean(f.accepted))
    row("verdict", words.meaning(f))
    if follows(f):
        row("why", f"it has the cause of {words.clean(f.cause)}")
    else:
        for label, reading in words.readings(f)[:1]:
            row(label, reading)
    if f.dialect:
        row("dialect", words.clean(f.dialect))
    row("how much", words.how_much(f))
    if f.worst is None or f.verdict is Verdict.CONTRACT:
        row("message", words.clean(f.message))
    row("how often", words.how_often(f))
    row("only when", words.only_when(f))
    row("only under", words.only_under(f))
    row("also", words.also(f, others))
    if f.traceback:
        rows.append(("traceback", _traceback(f.traceback)))
    if f.printed.strip():
        rows.append(("printed", words.lines(f.printed.strip())[:_MOST_PRINTED]))
    if f.case is not None and f.verdict not in UNPROVEN and not follows(f):
        rows.append(("smallest", list(_smallest(f))))
    row("look at", words.clean(f.source) if f.source else None)
    if kept is not None:
        if f.case is not None and f.verdict not in UNPROVEN:
            usual = kept.parent.parent.name == "reports"
            row("reproduce", f"npnet repro {f.id if usual else kept.parent / 'failures' / f.id}")
        if kept.suffix == ".html":
            row("pictures", f"{kept}#{f.id}")
    return Block(
        words.heading(f),
        words.where(f),
        words.clean(f.id),
        tuple((label, tuple(texts)) for label, texts in rows),
    )


def _traceback(trace: str) -> list[str]:
    kept = [line for line in words.lines(trace) if line.strip(" ^~")]
    more = ["…"] if len(kept) > _MOST_TRACEBACK else []
    return more + kept[-_MOST_TRACEBACK:]


def _smallest(f: Finding) -> Iterator[str]:
    assert f.case is not None
    yield from _wrapped(words.configuration(f.case))
    arrays = list(words.arrays_of(f.case).items())
    line = ""
    for name, a in arrays[:_MOST_ARRAYS]:
        text = f"{name} = {words.array(a, 12)}"
        if line and len(line) + len(text) + 3 > WIDTH - _LABEL:
            yield line
            line = ""
        line += ("   " if line else "") + text
    yield from [line] if line else []
    if len(arrays) > _MOST_ARRAYS:
        yield f"… and {len(arrays) - _MOST_ARRAYS} more arrays"
    if f.smallest is not None:
        got, want = words.array(f.smallest.got, 12), words.array(f.smallest.want, 12)
        together = f"got {got}   torch {want}"
        yield from [together] if len(together) < WIDTH - _LABEL else [f"got {got}", f"torch {want}"]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - _LABEL, break_on_hyphens=False)


# ---- the whole report ----------------------------------------------------------------------------


def table(layers: Sequence[LayerResult]) -> str:
    """One line per layer: examples, verdict in every dtype, margin, options covered."""
    dtypes = list(dict.fromkeys(d for r in layers for d in r.outcomes))
    counted = any(r.coverable for r in layers)
    options = ["options covered"] if counted else []
    rows = [["layer", "examples", *dtypes, "worst err/bound", *options]]
    for r in layers:
        examples = max((o.examples for o in r.outcomes.values()), default=0)
        verdicts = [words.outcome_word(r.outcomes[d]) if d in r.outcomes else "" for d in dtypes]
        margin = words.ratio(r.worst)
        covered = [words.options(r)] if counted else []
        rows.append([words.clean(r.layer, 60), str(examples), *verdicts, margin, *covered])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = {1, len(dtypes) + 2}
    return "\n".join(
        "  "
        + "   ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def margins(layers: Sequence[LayerResult]) -> str:
    """One line per quantity: its worst err/bound in every dtype."""
    found = []
    for r in layers:
        for quantity in dict.fromkeys(q for o in r.outcomes.values() for q in o.ratios):
            name = f"{words.clean(r.layer, 60)} · {words.clean(quantity, 60)}"
            by = [
                f"{d} {words.ratio(o.ratios[quantity])}"
                for d, o in r.outcomes.items()
                if quantity in o.ratios
            ]
            found.append((name, "   ".join(by)))
    width = max((len(name) for name, _ in found), default=0)
    return "\n".join(f"  {name:<{width}}   {by}" for name, by in found)


def summary(report: Report, kept: Path | None = None, *, verbose: bool = False) -> str:
    """What stands after the failures: the table, what was not verified, the sentence."""
    parts = []
    if report.layers:
        parts.append(table(report.layers))
    if verbose and report.layers:
        parts.append(margins(report.layers))
    parts += [traced.text(trace) for trace in report.traces]
    parts += words.beside(report)
    missing = words.not_verified(report)
    if missing:
        shown = missing if verbose else missing[:_MOST_NOT_VERIFIED]
        more = len(missing) - len(shown)
        line = "Not verified: " + " · ".join(shown) + (f" · and {more} more" if more else "")
        parts.append(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    parts += lapsed(report)
    parts.append(last_line(report, kept))
    return "\n".join(parts)


def lapsed(report: Report) -> Iterator[str]:
    """What is accepted and diverges no longer, or cannot be asked, a line each."""
    for one in report.retried:
        if not one.holds:
            text = words.retried(one)
            yield text[0].upper() + text[1:]


def last_line(report: Report, kept: Path | None = None) -> str:
    """The verdict in a sentence, and where the run is kept."""
    where = f" · {kept}" if kept is not None else ""
    return f"{words.sentence(report)} in {words.duration(report.seconds)}{where}"


def first_line(report: Report) -> str:
    """The environment."""
    return words.surroundings(report.environment, report.seed)


def render(report: Report, kept: Path | None = None) -> str:
    """The whole report as plain text."""
    blocks = [str(failure(f, report.findings, kept)) for f in report.findings]
    return "\n\n".join([first_line(report), *blocks, summary(report, kept)]) + "\n"
