"""npnet replay, npnet repro: failures that an earlier run stored."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import REPORTS, Refused, Unverifiable, prepare

if TYPE_CHECKING:
    from npnet.verify.store import Stored


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--report-dir", metavar="DIR", help="Where to look. [default: reports/*]")
@click.pass_context
def replay(ctx: click.Context, ids: tuple[str, ...], report_dir: str | None) -> None:
    """Ask stored failures again: FIXED, STILL DIVERGES or ERROR.

    ID may be the beginning of one, or the path of its folder; none: all that are stored.
    """
    from npnet.report.words import clean
    from npnet.verify import store
    from npnet.verify.targets import resolve

    folders = stored(ctx, ids, report_dir)
    if not folders:
        raise Unverifiable(
            "there is nothing to replay: no failure is stored in "
            f"{report_dir or REPORTS}. npnet verify stores what it finds."
        )
    prepare()
    known: dict[Any, Any] = {}

    def load_target(target: Any) -> Any:
        if target not in known:
            known[target] = resolve(target)
        return known[target]

    results = []
    for folder in folders:
        failure = _load(folder)
        if isinstance(failure, str):
            result, message = store.ERROR, failure
        else:
            result, message = store.replay(failure, load_target)
        results.append(result)
        click.echo(f"{result:<15} {clean(folder.name)}  {clean(message, 300)}")
    ctx.exit(1 if store.DIVERGES in results else 3 if store.ERROR in results else 0)


@click.command()
@click.argument("id")
@click.option("--write", metavar="FILE", help="Write the script to a file.")
@click.option("--pytest", "as_test", is_flag=True, help="As a test function.")
@click.option("--report-dir", metavar="DIR", help="Where to look. [default: reports/*]")
@click.pass_context
def repro(
    ctx: click.Context, id: str, write: str | None, as_test: bool, report_dir: str | None
) -> None:
    """Print a script of NumPy, torch and the candidate that shows one failure."""
    from npnet.report.repro import BESIDE, script
    from npnet.verify.store import load

    (folder,) = stored(ctx, (id,), report_dir)
    failure = load(folder)
    target = Path(write) if write else None
    beside = target is not None and target.resolve().parent == folder.resolve()
    arrays = BESIDE if beside else f"Path({str(folder / 'arrays.npz')!r})"
    source = script(failure.finding, arrays=arrays, pytest=as_test)
    if target is None:
        click.echo(source, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source)
    except FileExistsError:
        raise Refused(f"{target} exists already. Choose another name, or remove it.") from None
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror}.") from None
    click.echo(f"written to {target}")


def stored(ctx: click.Context, ids: tuple[str, ...], report_dir: str | None) -> list[Path]:
    """The folders of these ids, or of everything that is stored."""
    from npnet.verify.store import find, folders

    configured = (ctx.obj or {}).get("report_dir")
    places = [report_dir] if report_dir else [str(REPORTS), configured]
    known = folders([Path(place) for place in places if place])
    return [find(wanted, known) for wanted in ids] if ids else list(known.values())


def _load(folder: Path) -> "Stored | str":
    """A stored failure, or why it cannot be read."""
    from npnet.verify.store import FileFormatError, load

    try:
        return load(folder)
    except FileFormatError as error:
        return str(error)
