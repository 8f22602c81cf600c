"""A run on disk: results.jsonl, index.html and failures/, written as it happens."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from npnet.contract import ConfigError
from npnet.report import jsonl
from npnet.report.repro import script
from npnet.verify import store
from npnet.verify.environment import environment
from npnet.verify.finding import UNPROVEN, Finding, Report


class Writer:
    """Writes the events of a run: `run(target, on_event=Writer(directory))`.

    A finding is on disk before the run goes on, so that nothing is lost when it is killed. The page
    comes at the end. `findings` holds what was written, under the ids that the folders have.
    """

    def __init__(self, directory: str | Path, *, page: bool = True) -> None:
        self.directory = Path(directory)
        self.page = page
        self.findings: list[Finding] = []
        self._file: TextIO | None = None
        self._ids: dict[str, str] = {}  # in lower case, as some file systems see them

    @property
    def index(self) -> Path:
        """Where the page is, or would be."""
        return self.directory / "index.html"

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of a run; what needs no writing is ignored."""
        match event["event"]:
            case "run":
                self._write({**event, "environment": environment()})
            case "finding":
                self.add(event["finding"])
            case "layer":
                self._write(event)
            case "end":
                self.end(event["report"])

    def add(self, finding: Finding) -> Finding:
        """Write a finding; returned is the finding under an id that is a folder's, and unique."""
        finding = replace(finding, id=self._unique(finding.id))
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
        if self.page:
            from npnet.report.html import page

            try:
                self.index.write_text(page(whole), encoding="utf-8")
            except OSError as error:
                raise _unwritable(self.index, error) from None

    def complete(self, report: Report) -> Report:
        """The report with every finding that was written, those of an interrupted layer too."""
        return replace(report, findings=list(self.findings))

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
        while unique.lower() in self._ids:
            unique, n = f"{name}-{n}", n + 1
        self._ids[unique.lower()] = wanted
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
    with Writer(directory) as writer:
        writer({"event": "run", "candidates": [r.layer for r in report.layers]})
        for finding in report.findings:
            writer.add(finding)
        for result in report.layers:
            writer({"event": "layer", "result": result})
        writer.end(report)
    return writer.index


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
