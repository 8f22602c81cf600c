"""A run as it happens: a progress bar and colours in a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from npnet.report import text
from npnet.report.words import clean
from npnet.verify.finding import Finding, Report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Screen:
    """Prints findings when they are found, and the summary at the end.

    kept: the page, or the results where no page is asked for
    quiet: findings only, and nothing at all where there are none
    echo: prints a line; rich is imported only where standard output is a terminal
    """

    def __init__(
        self,
        kept: Path,
        echo: Callable[[str], None],
        *,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self._kept, self._echo = kept, echo
        self._quiet, self._verbose = quiet, verbose
        self._terminal = sys.stdout.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def start(self, report: Report, total: int) -> None:
        """The first line and, in a terminal, the bar for so many examples."""
        if self._quiet:
            return
        self._echo(text.first_line(report) + "\n")
        if self._terminal:
            self._progress = _progress()
            self._task = self._progress.add_task("", total=total)
            self._progress.start()

    def example(self, event: Mapping[str, Any]) -> None:
        """One example more."""
        if self._progress is not None and self._task is not None:
            name = clean(f"{event['layer']} {event['dtype']}", 40)
            self._progress.update(self._task, advance=1, description=name)

    def finding(self, finding: Finding, others: Sequence[Finding]) -> None:
        """A finding, in full."""
        block = text.failure(finding, others, self._kept)
        if not self._terminal:
            self._echo(f"{block}\n")
            return
        from rich.console import Console

        console = Console(highlight=False) if self._progress is None else self._progress.console
        console.print(block.styled(), soft_wrap=True)
        console.print()

    def end(self, report: Report) -> None:
        """What stands after the findings."""
        self.close()
        if not self._quiet:
            self._echo(text.summary(report, self._kept, verbose=self._verbose))
        elif not report.ok:
            self._echo("\n".join([*text.lapsed(report), text.last_line(report, self._kept)]))

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _progress() -> "Progress":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Name(ProgressColumn):
        """The layer's name as it is; a TextColumn would read markup in it."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.description:<24}")

    return Progress(Name(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True)
