"""A run on disk: results.jsonl and failures/ as it happens; index.html and the like at its end."""

import re
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


class Writer:
    """Writes the events of a run: `run(target, on_event=Writer(directory))`.

    A finding is on disk before the run goes on, so that nothing is lost when it is killed. What
    tells the whole of it comes at the end, in the formats of WHOLE that are asked for. `findings`
    holds what was written, under the ids that the folders have.
    """

    def __init__(self, directory: str | Path, *, formats: Collection[str] = ("html",)) -> None:
        self.directory = Path(directory)
        self.formats = formats
        self.findings: list[Finding] = []
        self._facts: dict[str, str] = {}  # of this run, beside the environment
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
                    self._facts |= event["settings"].facts if event.get("settings") else {}
                    event = {**event, "environment": {**environment(), **self._facts}}
                self._write(event)
            case "finding":
                self.add(event["finding"])
            case "layer":
                self._write(event)
            case "end":
                self.end(event["report"])

    def add(self, finding: Finding) -> Finding:
        """Write a finding; returned is the finding under an id that is a folder's, and unique."""
        name = self._unique(finding.id)
        finding = replace(finding, id=name, cause=self._names.get(finding.cause, finding.cause))
        folder = self.directory / "failures" / finding.id
        try:
            store.save(finding, folder)
            if _has_script(finding):
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
        return replace(report, findings=list(self.findings), environment=facts)

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

    def _write(self, event: Mapping[str, Any]) -> None:
        try:
            if self._file is None:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._file = (self.directory / "results.jsonl").open("w", encoding="utf-8")
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
