"""The guide as a site: MyST sources for every page, and Sphinx."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import npnet
from npnet.contract import ConfigError
from npnet.guide import docstrings, pages, source
from npnet.guide.markdown import document, escaped
from npnet.guide.page import families, page

_HERE = Path(__file__).parent
_ORDER = (
    "first-backward-pass",
    "numpy-to-pytorch",
    "pytorch-to-numpy",
    "checkpoints",
    "in-ci",
    "kernels",
    "another-language",
    "how-the-bound-works",
    "what-pass-means",
)
"""In which order the how-to pages are read; others follow by name."""

_APART = ("gallery",)  # pages of prose that are no how-to, and stand beside them
_NEEDED = ("sphinx", "pydata_sphinx_theme", "myst_parser", "sphinx_design")
_END = "<!-- the first page of the guide ends here -->"
_FURTHER = """
## Further

- [How to](howto/index.md)
- [Gallery of mistakes](howto/gallery.md)
- [Layers, optimizers, schedules](layers/index.md)

```{toctree}
:hidden:

howto/index
howto/gallery
layers/index
```
"""
_ROOT = Path(npnet.__file__).parents[1]

Tell = Callable[[str], None]
Carry = Callable[[str, Path], None]


def build(
    target: Path,
    names: Sequence[str] | None = None,
    tell: Tell = lambda text: None,
    carry: Carry | None = None,
) -> Path:
    """Write the site; what is made of it before is replaced when all of it is there.

    names: of the layers that get a page; None: every one
    tell: is told what is being made; carry: as of write

    Raises ConfigError where Sphinx is not installed, a page does not do what it says, or Sphinx
    warns of anything.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the site needs {', '.join(missing)}, which is not installed. Install it with: "
            "pip install 'npnet[docs]'"
        )
    target = target.resolve()
    _require_ours(target)
    with tempfile.TemporaryDirectory(prefix="npnet-guide-") as place:
        sources, html = Path(place) / "source", Path(place) / "html"
        write(sources, names, tell, carry)
        tell("Sphinx")
        options = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(Path(place) / "doctrees")]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *options, str(sources), str(html)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise ConfigError(f"Sphinx must have nothing to say, but says:\n{done.stdout}")
        (html / _MARK).write_text("made by npnet guide --build\n", encoding="utf-8")
        _replace(target, html)
    return target / "index.html"


_MARK = ".npnet-guide"


def _require_ours(target: Path) -> None:
    """Raise ConfigError unless the site may be put there; make the folder above it."""
    ours = (target / _MARK).is_file()
    if target.exists() and not ours and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"{target} must be a new directory or one that npnet guide --build made, but holds "
            "other things. Give another one."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"{target.parent} must be a directory that can be written, but is not: "
            f"{error.strerror}. Give another one."
        ) from None


def _replace(target: Path, html: Path) -> None:
    """The new site in the place of the old one, which goes once the new one is beside it."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".npnet-guide-") as place:
        new = Path(place) / "new"
        shutil.copytree(html, new)
        if target.exists():
            target.rename(Path(place) / "old")
        new.rename(target)


# ---- sources -------------------------------------------------------------------------------------


def write(
    folder: Path,
    names: Sequence[str] | None = None,
    tell: Tell = lambda text: None,
    carry: Carry | None = None,
) -> None:
    """The MyST sources of every page, and Sphinx's configuration.

    carry: what puts a page of prose, carried out, into a folder; None: it is carried out now
    """
    carry = carry or carried
    shutil.copytree(_HERE / "static", folder / "_static")
    shutil.copy(_HERE / "conf.txt", folder / "conf.py")
    chosen = source.names() if names is None else list(names)

    def link(other: str) -> str | None:
        return f"{other}.md" if other in chosen else None

    for k, name in enumerate(chosen, start=1):
        tell(f"page {k} of {len(chosen)}: {name}")
        _put(folder / "layers" / f"{name}.md", document(page(name), link))
    _put(folder / "layers" / "index.md", "\n".join(_layers(chosen)))
    _first(folder)
    prose = pages.names()
    howto = [n for n in _ORDER if n in prose]
    howto += [n for n in prose if n not in (*howto, *_APART)]
    for name in prose:
        tell(f"page {name}")
        carry(name, folder / "howto")
    titles = {n: pages.title(pages.source(n)) for n in howto}
    _put(folder / "howto" / "index.md", "\n".join(_howto(titles)))


def carried(name: str, place: Path) -> None:
    """Carry a page of prose out, and put it with its pictures into a folder."""
    with tempfile.TemporaryDirectory(prefix="npnet-page-") as where:
        text = pages.carried_out(name, pages.source(name), Path(where))
        _put(place / f"{name}.md", text)
        for picture in _pictures(text):
            shutil.copy(Path(where) / picture, place / picture)


def _pictures(text: str) -> list[str]:
    return re.findall(r"!\[[^\]]*\]\(([\w./-]+\.(?:svg|png))\)", text)


def _first(folder: Path) -> None:
    """The beginning of the README, and what else there is."""
    text, mark, _ = _readme().partition(_END)
    if not mark:
        raise ConfigError(f"README.md must hold the line {_END}, but does not.")
    for picture in _pictures(text):
        name = Path(picture).name
        if (_ROOT / picture).is_file():
            shutil.copy(_ROOT / picture, folder / name)
            text = text.replace(f"({picture})", f"({name})")
        else:  # it is not part of the package
            text = re.sub(rf"!\[[^\]]*\]\({re.escape(picture)}\)", "", text)
    links = [
        "## Further",
        "",
        "- [How to](howto/index.md)",
        "- [Gallery of mistakes](howto/gallery.md)",
    ]
    links += ["- [Layers, optimizers, schedules](layers/index.md)", ""]
    tree = [
        "```{toctree}",
        ":hidden:",
        "",
        "howto/index",
        "howto/gallery",
        "layers/index",
        "```",
        "",
    ]
    _put(folder / "index.md", "\n".join([text, *links, *tree]))


def _readme() -> str:
    """README.md of the clone, or that which came with the package."""
    path = _ROOT / "README.md"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return str(metadata("npnet").json["description"])


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _layers(names: Sequence[str]) -> Iterator[str]:
    """The pages by family, a line each."""
    yield from ("# Layers, optimizers, schedules", "")
    yield from ("What a page claims has a check that passed, and its code ran to make it.", "")
    for title, own in families(names):
        yield from (f"## {title}", "", "| page | what it computes |", "| --- | --- |")
        for name in own:
            first = docstrings.docstring(name).partition("\n\n")[0].replace("\n", " ")
            yield f"| [{escaped(name.rpartition('.')[2])}]({name}.md) | {escaped(first)} |"
        yield ""
    yield from ("```{toctree}", ":hidden:", "", *names, "```", "")


def _howto(titles: dict[str, str]) -> Iterator[str]:
    yield from ("# How to", "", "Short pages, whose code ran while they were made.", "")
    yield from (f"- [{title}]({name}.md)" for name, title in titles.items())
    yield from ("", "```{toctree}", ":hidden:", "", *titles, "```", "")
