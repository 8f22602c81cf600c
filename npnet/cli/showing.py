"""npnet list, npnet doctor: what there is."""

from pathlib import Path

import click

from npnet.cli.base import REPORTS, Refused


@click.command("list")
@click.argument("layers", nargs=-1, metavar="[LAYER]…")
@click.option("--missing", is_flag=True, help="What torch has and npnet has not, and why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--report-dir", metavar="DIR", help="The run whose coverage is shown. [the last one]")
@click.pass_context
def list_(
    ctx: click.Context,
    layers: tuple[str, ...],
    missing: bool,
    as_json: bool,
    report_dir: str | None,
) -> None:
    """List the twins: options, the values drawn of each, what of them the last run covered.

    LAYER is a name or a pattern, as Conv* or optim.Adam; without one, all are listed.
    """
    import json

    from npnet.report import catalogue

    if missing:
        names, left_out = catalogue.missing(), catalogue.left_out()
        if as_json:
            click.echo(json.dumps({"missing": names, "left_out": left_out}, indent=1))
            return
        for name in names:
            click.echo(f"{name:<36} missing")
        for name, why in left_out.items():
            click.echo(f"{name:<36} left out: {why}")
        return
    run = Path(report_dir) / "results.jsonl" if report_dir else None
    if run is not None and not run.is_file():
        raise Refused(f"{report_dir} holds no results.jsonl. npnet verify writes one.")
    if run is None:
        configured = (ctx.obj or {}).get("report_dir")
        run = catalogue.last_run([REPORTS, *([Path(configured).parent] if configured else [])])
    rows = list(catalogue.twins(run, layers))
    if as_json:
        click.echo(json.dumps({"run": str(run) if run else None, "twins": rows}, indent=1))
        return
    click.echo(catalogue.table(rows))
    if run is not None:
        click.echo(f"\nOptions covered (values, and pairs of values) by the run in {run.parent}")


@click.command()
def doctor() -> None:
    """Show the facts of the environment that change gradients."""
    from npnet.report.environment import facts

    click.echo(facts())
