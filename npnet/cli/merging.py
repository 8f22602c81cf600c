"""npnet report: runs that are there already, merged and rendered again."""

from pathlib import Path

import click

from npnet.cli.base import new_directory
from npnet.cli.options import format_option, report_dir_option
from npnet.cli.output import annotate, exit_code


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@report_dir_option
@format_option
@click.pass_context
def report(
    ctx: click.Context, runs: tuple[str, ...], report_dir: str | None, format: tuple[str, ...]
) -> None:
    """Merge runs (shards of one, say) and render them again.

    RUN is the folder of a run, or its results.jsonl. Verdicts are read, not asked for again. The
    exit code is that of a run that had found all of it; 130 where one of them was cut off, or a
    shard is missing, and nothing was found.
    """
    from npnet.report import text
    from npnet.report.files import write
    from npnet.report.merge import merge, read

    read_back = [read(Path(run)) for run in runs]
    directory = Path(report_dir) if report_dir else new_directory()
    merged, cut_off = merge(read_back)
    merged = write(merged, directory, format)
    kept = directory / ("index.html" if "html" in format else "results.jsonl")
    if "text" in format:
        click.echo(text.render(merged, kept), nl=False)
    annotate(merged, format)
    ctx.exit(exit_code(merged, cut_off))
