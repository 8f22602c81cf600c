"""A run on disk: results.jsonl and failures/ as it happens; index.html and the like at its end."""

import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from npnet.contract import ConfigError
from npnet.report import jsonl
from npnet.report.repro import script
from npnet.verify import store
from npnet.verify.environment import environment
from npnet.verify.finding import UNPROVEN, Finding, Report

WHOLE = {
    "html": ("index.html", "npnet.report.html", "page"),
    "markdown": ("summary.md", "npnet.report.markdown", "render"),
    "junit": ("junit.xml", "npnet.report.junit", "render"),
}
"""What is written at the end, by the name of its format: the file, and who makes its text."""


_RESULTS = "results.jsonl"
_NEW = "results.jsonl.new"  # of a run that is taken up again, until it holds what the old one held


class Writer:
    """Writes the events of a run: `run(target, on_event=Writer(directory))`.

    A finding is on disk before the run goes on, so that nothing is lost when it is killed. What
    tells the whole of it comes at the end, in the formats of WHOLE that are asked for. `findings`
    holds what was written, under the ids that the folders have.

    resume: whether the directory holds a run that is taken up again: what it had finished is told
        first, and takes the place of the old file in one step
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        formats: Collection[str] = ("html",),
        resume: bool = False,
    ) -> None:
        self.directory = Path(directory)
        self.formats = formats
        self.findings: list[Finding] = []
        self._facts: dict[str, str] = {}  # of this run, beside the environment
        self._order: dict[str, int] = {}  # of the candidates
        self._retelling = resume
        self._file: TextIO | None = None
        self._taken: set[str] = set()  # in lower case, as some file systems see them
        self._names: dict[str, str] = {}  # of folders, by the ids of the findings

    @property
    def index(self) -> Path:
        """Where the page is, or would be."""
        return self.directory / WHOLE["html"][0]

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of a run; what needs no writing is ignored."""
        match event["event"]:
            case "run":
                if "environment" not in event:
                    self._facts = {"date": datetime.now(UTC).isoformat(timespec="minutes")}
                    if event.get("settings"):
                        self._facts |= event["settings"].facts
                        self._order = {name: n for n, name in enumerate(event["candidates"])}
                    event = {**event, "environment": {**environment(), **self._facts}}
                self._write(event)
            case "finding":
                self.add(event["finding"])
            case "layer" | "accepted" | "trace":
                self._write(event)
            case "resumed":
                self._replace()
            case "end":
                self.end(event["report"])

    def add(self, finding: Finding) -> Finding:
        """Write a finding; returned is the finding under an id that is a folder's, and unique."""
        name = self._unique(finding.id)
        finding = replace(finding, id=name, cause=self._names.get(finding.cause, finding.cause))
        folder = self.directory / "failures" / finding.id
        try:
            if not self._retelling:
                store.save(finding, folder)
            if not self._retelling and _has_script(finding):
                (folder / "repro.py").write_text(script(finding), encoding="utf-8")
        except OSError as error:
            raise _unwritable(folder, error) from None
        self.findings.append(finding)
        self._write(jsonl.finding_event(finding))
        return finding

    def end(self, report: Report) -> None:
        """Write the last line, and the page."""
        whole = self.complete(report)
        self._write(jsonl.end_event(whole))
        self.close()
        for name, (file, module, function) in WHOLE.items():
            if name not in self.formats:
                continue
            text = getattr(import_module(module), function)(whole)
            path = self.directory / file
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise _unwritable(path, error) from None

    def complete(self, report: Report) -> Report:
        """The report with its date and every finding written, those of a layer cut short too."""
        facts = {**report.environment, **self._facts}
        findings = sorted(self.findings, key=lambda f: self._order.get(f.layer, -1))
        return replace(report, findings=findings, environment=facts)

    def close(self) -> None:
        """Close results.jsonl."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unique(self, wanted: str) -> str:
        name = safe_name(wanted)
        unique, n = name, 2
        while unique.lower() in self._taken:
            unique, n = f"{name}-{n}", n + 1
        self._taken.add(unique.lower())
        self._names[wanted] = unique
        return unique

    def _replace(self) -> None:
        """What was told again takes the place of the old file; the rest of the old run goes."""
        self._retelling = False
        try:
            (self.directory / _NEW).replace(self.directory / _RESULTS)
            for folder in (self.directory / "failures").glob("*"):
                if folder.name.lower() not in self._taken:
                    shutil.rmtree(folder)
        except OSError as error:
            raise _unwritable(self.directory, error) from None

    def _write(self, event: Mapping[str, Any]) -> None:
        try:
            if self._file is None:
                self.directory.mkdir(parents=True, exist_ok=True)
                name = _NEW if self._retelling else _RESULTS
                self._file = (self.directory / name).open("w", encoding="utf-8")
            self._file.write(jsonl.line(event) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.directory, error) from None


def save(report: Report, directory: Path) -> Path:
    """Write a finished report; returned is its page."""
    write(report, directory)
    return directory / WHOLE["html"][0]


def write(report: Report, directory: Path, formats: Collection[str] = ("html",)) -> Report:
    """Write a finished report; returned is the report with the ids that the folders have."""
    with Writer(directory, formats=formats) as writer:
        names = [r.layer for r in report.layers]
        writer({"event": "run", "candidates": names, "environment": report.environment})
        for finding in report.findings:
            writer.add(finding)
        for result in report.layers:
            writer({"event": "layer", "result": result})
        for retried in report.retried:
            writer({"event": "accepted", "retried": retried})
        for trace in report.traces:
            writer({"event": "trace", "trace": trace})
        writer.end(report)
    return writer.complete(report)


def safe_name(text: str) -> str:
    """A name that any file system takes, and that no shell or browser reads otherwise."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")
    return name[:100] or "failure"


def _has_script(finding: Finding) -> bool:
    return finding.case is not None and finding.verdict not in UNPROVEN


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"reports must go where files can be written, but {path} cannot be ({error.strerror}). "
        "Choose another directory with --report-dir."
    )
