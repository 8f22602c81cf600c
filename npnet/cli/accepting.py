"""npnet baseline: divergences that a team accepts for a reason, kept beside its code."""

from pathlib import Path

import click

from npnet.cli.base import BASELINE, prepare
from npnet.cli.stored import stored


@click.group("baseline")
def baseline() -> None:
    """Accept known divergences for a reason; verify fails when one no longer diverges.

    They are kept in a folder that belongs into the repository, a folder for each with its pinned
    case. A finding of the same candidate, quantity, dtype and verdict is accepted with it.
    """


def _where(ctx: click.Context, place: str | None) -> Path:
    return Path(place or (ctx.obj or {}).get("baseline") or BASELINE)


_baseline = click.option(
    "--baseline", "place", metavar="DIR", help=f"The folder of them. [default: {BASELINE}]"
)


@baseline.command("add")
@click.argument("id")
@click.option("--reason", required=True, metavar="TEXT", help="Why it may stay as it is.")
@click.option("--report-dir", metavar="DIR", help="Where ID is stored. [default: reports/*]")
@_baseline
@click.pass_context
def add(
    ctx: click.Context, id: str, reason: str, report_dir: str | None, place: str | None
) -> None:
    """Accept a divergence that a run has stored. ID may be the beginning of one."""
    (folder,) = stored(ctx, (id,), report_dir)
    prepare()
    from npnet.verify import baseline as accepted

    entry = accepted.add(folder, _where(ctx, place), reason)
    click.echo(f"accepted: {entry.folder} (commit it)")


@baseline.command("list")
@_baseline
@click.pass_context
def list_(ctx: click.Context, place: str | None) -> None:
    """List what is accepted, since when, and why."""
    from npnet.report.words import clean, where
    from npnet.verify import baseline as accepted

    for e in accepted.read(_where(ctx, place)):
        click.echo(f"{clean(e.finding.id)}  {where(e.finding)} {e.finding.verdict}")
        click.echo(f"  since {clean(e.date)}: {clean(e.reason)}")


@baseline.command("remove")
@click.argument("id")
@_baseline
@click.pass_context
def remove(ctx: click.Context, id: str, place: str | None) -> None:
    """Accept a divergence no longer."""
    from npnet.report.words import clean
    from npnet.verify import baseline as accepted

    click.echo(f"removed: {clean(accepted.remove(id, _where(ctx, place)))}")
