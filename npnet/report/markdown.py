"""A report as Markdown, for the summary of a job or a comment: GitHub's flavour, below 1 MiB."""

import re
from collections.abc import Iterator

from npnet.report import words
from npnet.report.overview import Cause, causes, passed
from npnet.report.repro import script
from npnet.report.text import failure, lapsed
from npnet.verify.finding import UNPROVEN, LayerResult, Report

_MOST = 900_000  # bytes; GitHub takes 1 MiB for all of a step
_MOST_SCRIPT = 20_000
_MOST_LISTED = 12


def render(report: Report) -> str:
    """Verdict, what was not verified, a section per cause, what agrees."""
    parts = [f"## npnet: {prose(words.sentence(report))}\n", *_lapsed(report)]
    parts += _not_verified(report)
    tail = [*_passed(report), _environment(report)]
    spent = sum(_size(part) for part in (*parts, *tail))
    found = causes(report.findings)
    for n, cause in enumerate(found):
        section = _section(cause, report)
        if spent + _size(section) > _MOST:
            section = _section(cause, report, brief=True)
        if spent + _size(section) > _MOST:
            parts.append(f"And {len(found) - n:,} more: see index.html.\n")
            break
        spent += _size(section)
        parts.append(section)
    return "\n".join((*parts, *tail))


def _size(text: str) -> int:
    return len(text.encode()) + 1


# ---- sections ------------------------------------------------------------------------------------


def _lapsed(report: Report) -> Iterator[str]:
    for line in lapsed(report):
        yield f"**{prose(line)}**\n"


def _not_verified(report: Report) -> Iterator[str]:
    missing = words.not_verified(report)
    if missing:
        more = len(missing) - _MOST_LISTED
        listed = " · ".join(prose(text) for text in missing[:_MOST_LISTED])
        yield f"**Not verified:** {listed}{f' · and {more:,} more' if more > 0 else ''}\n"


def _section(cause: Cause, report: Report, *, brief: bool = False) -> str:
    f = cause.leader
    parts = [f"### {words.heading(f)} {prose(words.where(f))}\n"]
    for label, text in words.readings(f)[:1]:
        parts.append(f"**{label}:** {prose(text)}\n")
    if brief:
        much = words.how_much(f) or words.clean(f.message)
        return "\n".join((*parts, f"{prose(much)}\n"))
    parts.append(fenced(str(failure(f, report.findings)), "text"))
    if cause.others:
        told = ((words.where(o), words.how_much(o) or words.clean(o.message)) for o in cause.others)
        parts.append("Of the same cause:\n")
        parts.append("\n".join(f"- {prose(f'{where}: {much}')}" for where, much in told) + "\n")
    source = script(f) if f.case is not None and f.verdict not in UNPROVEN else ""
    if source and len(source) <= _MOST_SCRIPT:
        shown = fenced(source, "python")
        parts.append(f"<details><summary>A script that shows it</summary>\n\n{shown}\n</details>\n")
    return "\n".join(parts)


def _passed(report: Report) -> Iterator[str]:
    good = passed(report)
    if not good:
        return
    dtypes = list(dict.fromkeys(d for r in good for d in r.outcomes))
    head = ["layer", "examples", *dtypes, "worst err/bound", "options covered"]
    rows = [head, ["---"] * len(head), *(_line(r, dtypes) for r in good)]
    yield "### Verified\n"
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _line(r: LayerResult, dtypes: list[str]) -> list[str]:
    verdicts = [words.outcome_word(r.outcomes[d]) if d in r.outcomes else "" for d in dtypes]
    examples = max(o.examples for o in r.outcomes.values())
    name = prose(words.clean(r.layer, 120))
    return [name, f"{examples:,}", *verdicts, words.power(r.worst), words.options(r)]


def _environment(report: Report) -> str:
    line = words.surroundings(report.environment, report.seed)
    return f"{prose(line)} · {words.duration(report.seconds)}\n"


# ---- escaping ------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no links, nobody mentioned."""
    escaped = re.sub(r"([\\`*_\[\]|~#$:])", r"\\\1", text)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)\bwww\.", "www\\.", escaped).replace("@", "@<!-- -->")


def fenced(text: str, language: str) -> str:
    """A block of code behind a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
