"""npnet init: a file of candidates to start from, and a workflow that verifies it."""

import shlex
from importlib.resources import files
from pathlib import Path

import click

from npnet.cli.base import Refused

CANDIDATES = "npnet_candidates.py"
GITHUB = Path(".github") / "workflows" / "npnet.yml"
GITLAB = Path(".gitlab-ci.yml")


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--gitlab", is_flag=True, help="For GitLab, in the place of GitHub Actions.")
@click.option("--force", is_flag=True, help="Overwrite what is there already.")
def init(file: str | None, gitlab: bool, force: bool) -> None:
    """Write a file of candidates to start from, and a workflow that verifies it.

    FILE is where your candidates are; one that is there already is kept as it is. Without it,
    npnet_candidates.py is written: one right layer, to be replaced by yours. The workflow fails
    where something diverges, and keeps the report. Start it at the root of the repository.
    """
    candidates = Path(file or CANDIDATES)
    if candidates.suffix != ".py" or candidates.is_absolute():
        raise Refused(
            "FILE must be a Python file named from the root of the repository, such as "
            f"{CANDIDATES}, but is {file}."
        )
    workflow, template = (GITLAB, "gitlab.yml") if gitlab else (GITHUB, "github.yml")
    named = shlex.quote(candidates.as_posix())
    texts = {workflow: _template(template, named)}
    if file is None or not candidates.exists():
        texts = {candidates: _template("candidates.py.txt", named), **texts}
    taken = [path for path in texts if path.exists()]
    if taken and not force:
        keep = candidates in taken and workflow not in taken
        fix = f"To keep it, name it: npnet init {candidates}. " if keep else ""
        raise Refused(
            f"{' and '.join(map(str, texts))} must not be there yet, but {taken[0]} is. "
            f"{fix}To overwrite: --force."
        )
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Refused(f"{path} cannot be written: {error.strerror}.") from None
        click.echo(f"written: {path}")
    root = _repository(Path.cwd())
    if root not in (None, Path.cwd()):
        click.echo(f"note: workflows are read at the root of the repository, which is {root}")
    click.echo(f"next: npnet verify {named}")


def _template(name: str, file: str) -> str:
    text = (files("npnet.cli") / "templates" / name).read_text(encoding="utf-8")
    return text.replace("FILE", file)


def _repository(place: Path) -> Path | None:
    """The root of the repository that a folder is in."""
    return next((p for p in (place, *place.parents) if (p / ".git").exists()), None)
