"""Pages of prose whose code runs while they are built: how-to pages, the first one, the gallery.

They are MyST Markdown with four directives of npnet's own, which are carried out in order in one
folder that is empty at first:

    ```{file} mylayers.py         writes the file, and shows it
    ```{change} mylayers.py       lines "- old", "+ new", "  same": edits the file, shows how
    ```{run} npnet verify …       runs a command, and shows it with what it prints; an exit code
    exit: 1                       other than 0 has to be announced. `last: 12`, `first: 12`: so many
                                  lines of it are shown. `quiet:` runs it and shows nothing.
    ```                           `cards: 1` shows one finding, up to the empty line behind it
    ```{python}                   runs code in one namespace for the page; shows it, and its output
    ```{picture} it.svg WORDS     shows a picture that the code above has drawn, and says in words
    ```                           what is to be seen in it; who builds the page takes the file along

A page that does not do what it says cannot be built.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError

FOLDER = Path(__file__).with_name("howto")
_FENCE = re.compile(r"^(`{3,})\{(file|change|run|python|picture)\} ?(.*)$")
_OPTION = re.compile(r"^(exit|last|first|cards|quiet): ?(\d*)$")
_SECONDS = 300


def names(folder: Path = FOLDER) -> list[str]:
    """The pages, by the names of their files without .md."""
    return sorted(path.stem for path in folder.glob("*.md"))


def source(name: str, folder: Path = FOLDER) -> str:
    """A page as it is written."""
    return (folder / f"{name}.md").read_text(encoding="utf-8")


def title(text: str) -> str:
    """The first heading of a page."""
    return next(line[2:] for line in text.splitlines() if line.startswith("# "))


def carried_out(name: str, text: str, folder: Path) -> str:
    """The page with what its code prints, which runs in the folder.

    Raises ConfigError where a step does not do what the page says.
    """
    return "\n".join(_Page(name, folder).written(text.splitlines())) + "\n"


@dataclass
class _Page:
    """One page while it is carried out."""

    name: str
    folder: Path
    space: dict[str, Any] = field(default_factory=dict)

    def written(self, lines: list[str]) -> Iterator[str]:
        """Every line as it is, and directives carried out."""
        rest = iter(lines)
        for line in rest:
            found = _FENCE.match(line)
            if found is None:
                yield line
                continue
            fence, kind, argument = found.groups()
            body = []
            for inside in rest:
                if inside.strip() == fence:
                    break
                body.append(inside)
            else:
                raise self._wrong(f"`{line}` must end with {fence}, but does not.")
            yield from getattr(self, f"_{kind}")(argument, body)

    def _file(self, argument: str, body: list[str]) -> Iterator[str]:
        path = self.folder / argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(body) + "\n", encoding="utf-8")
        yield from _shown(_language(argument), body, argument)

    def _change(self, argument: str, body: list[str]) -> Iterator[str]:
        path = self.folder / argument
        if not path.is_file():
            raise self._wrong(f"{argument} must be there to be changed, but is not.")
        text = path.read_text(encoding="utf-8")
        old = "".join(f"{line[2:]}\n" for line in body if line[:1] != "+")
        new = "".join(f"{line[2:]}\n" for line in body if line[:1] != "-")
        if text.count(old) != 1:
            raise self._wrong(f"{argument} must hold these lines once, but does not:\n{old}")
        path.write_text(text.replace(old, new), encoding="utf-8")
        yield from _shown("diff", body, argument)

    def _run(self, argument: str, body: list[str]) -> Iterator[str]:
        asked = {}
        for line in body:
            option = _OPTION.match(line)
            if option is None:
                raise self._wrong(f"`{argument}` must have options as `exit: 1`, but has {line!r}.")
            asked[option[1]] = option[2]
        words = shlex.split(argument)
        known = {"npnet": ["-m", "npnet.cli"], "pytest": ["-m", "pytest"], "python": []}
        if words[0] in known:
            words = [sys.executable, *known[words[0]], *words[1:]]
        try:
            done = subprocess.run(
                words,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_SECONDS,
                env={**os.environ, **_ENVIRONMENT},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._wrong(f"`{argument}` cannot be run: {error}") from None
        if done.returncode != int(asked.get("exit") or 0):
            raise self._wrong(
                f"`{argument}` must exit with {asked.get('exit', '0')}, but exits with "
                f"{done.returncode}:\n{done.stdout}"
            )
        if "quiet" in asked:
            return
        printed = done.stdout.rstrip().splitlines()
        if "cards" in asked:
            printed = _up_to_empty(printed, int(asked["cards"] or 1))
        if "first" in asked and len(printed) > int(asked["first"]):
            printed = [*printed[: int(asked["first"])], "…"]
        if "last" in asked and len(printed) > int(asked["last"]):
            printed = ["…", *printed[-int(asked["last"]) :]]
        lines = [line.rstrip().replace(f"{self.folder}/", "") for line in printed]
        code = ["$ echo $?", str(done.returncode)] if done.returncode else []
        yield from _shown("console", [f"$ {argument}", *lines, *code])

    def _python(self, argument: str, body: list[str]) -> Iterator[str]:
        printed, code = io.StringIO(), "\n".join(body)
        before, sys.dont_write_bytecode = (Path.cwd(), sys.dont_write_bytecode), True
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, f"<{self.name}>", "exec"), self.space)
        except Exception as error:
            raise self._wrong(f"{type(error).__name__}: {error}\n{code}") from error
        finally:
            sys.path.remove(str(self.folder))
            _forget(self.folder)
            place, sys.dont_write_bytecode = before
            os.chdir(place)
        yield from _shown("python", body)
        if printed.getvalue():
            yield ""
            yield from _shown("text", printed.getvalue().rstrip().splitlines())

    def _picture(self, argument: str, body: list[str]) -> Iterator[str]:
        name, _, words = argument.partition(" ")
        if not (self.folder / name).is_file():
            raise self._wrong(f"no code of the page has drawn {name}")
        if not words:
            raise self._wrong(f"the picture {name} needs words for those who cannot see it")
        yield f"![{words}]({name})"

    def _wrong(self, message: str) -> ConfigError:
        return ConfigError(f"the page {self.name!r} does not do what it says: {message}")


_ENVIRONMENT = {
    "COLUMNS": "96",
    "CI": "",
    "GITHUB_ACTIONS": "",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",  # a file that is changed within a second is not read anew
    "PYTHONWARNINGS": "ignore",
}
"""So that pages look alike wherever they are built."""


def _forget(folder: Path) -> None:
    """What was imported from the folder: it may change, and other pages have files of the name."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]


def _up_to_empty(lines: list[str], number: int) -> list[str]:
    """The lines before the so manieth empty one, and a sign where there are more."""
    empty = [i for i, line in enumerate(lines) if not line.strip()]
    if len(empty) < number:
        return lines
    return [*lines[: empty[number - 1]], "…"]


def _language(path: str) -> str:
    suffixes = {".py": "python", ".c": "c", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml"}
    return suffixes.get(Path(path).suffix, "text")


def _shown(language: str, lines: list[str], caption: str = "") -> Iterator[str]:
    yield f"````{{code-block}} {language}"
    if caption:
        yield f":caption: {caption}"
    yield from ("", *lines, "````")
