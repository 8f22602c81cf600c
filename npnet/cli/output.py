"""What a run leaves outside its directory: annotations, the job's summary, the exit code."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from npnet.cli.base import INTERRUPTED, Refused

if TYPE_CHECKING:
    from npnet.verify.finding import Report


def annotate(report: "Report", formats: Collection[str]) -> None:
    """Print annotations for GitHub, and add to the summary of the job where there is one."""
    if "github" not in formats:
        return
    from npnet.report.github import annotations
    from npnet.report.markdown import render

    for line in annotations(report):
        click.echo(line)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    try:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(render(report))
    except OSError as error:
        raise Refused(
            f"GITHUB_STEP_SUMMARY must name a file, but {summary} cannot be written "
            f"({error.strerror})."
        ) from None


def exit_code(report: "Report", interrupted: bool) -> int:
    """The report's, unless nothing was found because it did not come to its end."""
    code = report.exit_code
    return INTERRUPTED if interrupted and code in (0, 4) else code
