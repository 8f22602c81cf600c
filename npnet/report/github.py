"""Annotations for GitHub Actions: lines of output that it shows at the candidate's backward."""

from collections.abc import Iterator

from npnet.report import words
from npnet.report.overview import Cause, causes
from npnet.report.text import lapsed
from npnet.verify.finding import Report

MOST = 10
"""Annotations of one step that GitHub shows; the summary tells all of them."""


def annotations(report: Report) -> Iterator[str]:
    """`::error file=…,line=…,title=…::…` for every cause, as far as they are shown."""
    for line in lapsed(report):
        yield f"::error title=npnet baseline::{_data(line)}"
    for cause in causes([f for f in report.findings if not f.accepted])[:MOST]:
        yield _annotation(cause)


def _annotation(cause: Cause) -> str:
    f = cause.leader
    place = {"file": words.clean(f.source.file), "line": str(f.source.line)} if f.source else {}
    title = {"title": f"{words.heading(f)} {words.where(f)}"}
    parts = [text for _, text in words.readings(f)[:1]]
    parts += [words.how_much(f) or words.clean(f.message)]
    parts += [f"and {len(cause.others):,} more of the same cause"] if cause.others else []
    parts += [f"npnet repro {words.clean(f.id)}"]
    properties = ",".join(f"{k}={_property(v)}" for k, v in (place | title).items())
    return f"::error {properties}::{_data(chr(10).join(parts))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
