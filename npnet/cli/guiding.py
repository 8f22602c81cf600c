"""npnet guide: the porting guide, in the terminal and as a site."""

from pathlib import Path
from typing import Any

import click

from npnet.cli.base import Refused, prepare


@click.command()
@click.argument("layers", nargs=-1, metavar="[LAYER]…")
@click.option("--build", metavar="DIR", help="Write the site: every page, how-to pages, search.")
@click.option(
    "--check",
    is_flag=True,
    help="Fail where a page is older than its layer, torch has a parameter that it does not name, "
    "or a claim has no passing check.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="With what is only named else: code that is called, …"
)
@click.pass_context
def guide(
    ctx: click.Context, layers: tuple[str, ...], build: str | None, check: bool, verbose: bool
) -> None:
    """Show how a layer is ported between NumPy and PyTorch.

    LAYER is a module (BatchNorm2d), an optimizer (optim.Adam) or a schedule (lr_scheduler.StepLR).
    Without one, all pages are listed; with --check, all are checked. What a page says was verified,
    and its code runs when it is shown.

    Exit codes: 0; 1 a page fails the check; 2 usage.
    """
    if check and build is not None:
        raise Refused("--check and --build are two commands. Run one after the other.")
    prepare()
    names = _chosen(layers)
    if check:
        ctx.exit(_check(names))
    if build is not None:
        _build(Path(build), names if layers else None)
    elif layers:
        _show(names, verbose)
    else:
        _list(names)


def _chosen(layers: tuple[str, ...]) -> list[str]:
    """The names of pages; "Adam" is optim.Adam, and case does not matter."""
    from npnet.contract import ConfigError
    from npnet.guide.source import names
    from npnet.verify.targets import nearest

    known = names()
    short = {n.rpartition(".")[2].lower(): n for n in known} | {n.lower(): n for n in known}
    for layer in layers:
        if layer.lower() not in short:
            raise ConfigError(
                f"there is no page of {layer!r}.{nearest(layer, list(short.values()))} "
                "npnet guide lists the modules, optimizers and schedules that have one."
            )
    return [short[layer.lower()] for layer in layers] or known


def _show(names: list[str], verbose: bool) -> None:
    from contextlib import nullcontext

    from npnet.guide.page import page
    from npnet.guide.terminal import console, show

    screen = console()
    pages = [page(name) for name in names]
    with screen.pager(styles=True) if screen.is_terminal else nullcontext():
        for each in pages:
            show(each, screen, full=verbose)


def _list(names: list[str]) -> None:
    from npnet.guide.page import families

    for title, own in families(names):
        click.echo(f"{title}\n  {' '.join(own)}\n")
    click.echo("npnet guide LAYER shows a page, npnet guide --build DIR writes all of them.")


def _check(names: list[str]) -> int:
    from npnet.guide.check import complaints

    failed = 0
    with _progress(len(names), "checked") as tell:
        for name in names:
            tell(name)
            for complaint in complaints(name):
                failed += 1
                click.echo(f"{name}: {complaint}")
    what = "page" if len(names) == 1 else "pages"
    click.echo(f"{len(names)} {what} checked, {failed or 'nothing'} to complain of.")
    return 1 if failed else 0


def _build(target: Path, names: list[str] | None) -> None:
    from npnet.guide.site import build

    with _progress(None, "made") as tell:
        index = build(target, names, tell)
    click.echo(f"{index}")


class _progress:
    """What is being done, on one line of a terminal that goes away."""

    def __init__(self, total: int | None, word: str) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status = self._console.status(word)
        self._total, self._done = total, 0

    def __enter__(self) -> Any:
        if self._console.is_terminal:
            self._status.start()
        return self._tell

    def _tell(self, text: str) -> None:
        self._done += 1
        count = f"{self._done} of {self._total}  " if self._total else ""
        self._status.update(f"{count}{text}")

    def __exit__(self, *_: object) -> None:
        self._status.stop()
