"""What every command needs: refusals, the settings of pyproject.toml, threads, where reports go."""

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

INTERRUPTED = 130
REPORTS = Path("reports")
REFERENCE = Path("reference")
BASELINE = Path("npnet-baseline")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

TABLE = "[tool.npnet] of pyproject.toml"
_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "examples": int,
    "dtype": (str, list),
    "device": str,
    "reference": str,
    "only": (str, list),
    "seed": int,
    "time-budget": (str, int, float),
    "require": str,
    "report-dir": str,
    "format": (str, list),
    "fail-fast": bool,
    "profile": str,
    "baseline": str,
}


class Refused(click.ClickException):
    """A usage or configuration error: one clear message."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the message without a traceback."""
        try:
            from npnet.report.words import clean
        except ModuleNotFoundError:  # as what is missing may be what the message is about
            click.echo(f"npnet: {self.message}", err=True)
            return
        click.echo(f"npnet: {clean(self.message, 2000)}", err=True)


class Unverifiable(Refused):
    """What was asked for cannot be verified here."""

    exit_code = 4


class Group(click.Group):
    """Commands whose own errors are messages, and whose interruption is an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except ModuleNotFoundError as error:
            if error.name not in ("numpy", "scipy", "hypothesis", "rich", "jinja2", "matplotlib"):
                raise
            raise Refused(
                f"this command needs {error.name}, which is not installed. "
                "Install it with: pip install 'npnet[torch]'"
            ) from None
        except Exception as error:
            from npnet.contract import NpnetError

            if not isinstance(error, NpnetError):
                raise
            raise Refused(str(error)) from None


# ---- settings ------------------------------------------------------------------------------------


def read_settings(directory: Path) -> dict[str, Any]:
    """[tool.npnet] of the nearest pyproject.toml, by parameter name. Raises Refused."""
    import tomllib

    for place in (directory, *directory.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            break
    else:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}.") from None
    table = document.get("tool", {}).get("npnet", {})
    if not isinstance(table, dict):
        raise Refused(f"{TABLE} must be a table, but is {table!r}.")
    return dict(_setting(str(key), value) for key, value in table.items())


def _setting(key: str, value: Any) -> tuple[str, Any]:
    name = key.replace("_", "-")
    if name not in _SETTINGS:
        near = get_close_matches(name, list(_SETTINGS), 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(_SETTINGS)}."
        raise Refused(f"{TABLE} has an unknown key {key!r}. {hint}")
    kinds = _SETTINGS[name]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if isinstance(value, list):
        fits = fits and all(isinstance(x, str) for x in value)
    if not fits:
        wanted = " or ".join("a list of strings" if k is list else k.__name__ for k in kinds)
        raise Refused(f"{name} in {TABLE} must be {wanted}, but is {value!r}.")
    if isinstance(value, list):
        value = ",".join(value)
    return name.replace("-", "_"), value


# ---- runs ----------------------------------------------------------------------------------------


def prepare(device: str = "cpu", reference: str = str(REFERENCE)) -> None:
    """One thread for BLAS and torch, as verdicts are compared; candidates come from here, too."""
    settle()
    from npnet.verify.environment import one_thread
    from npnet.verify.targets import specs

    specs(device, reference)
    one_thread()


def settle() -> None:
    """What has to be said before NumPy is imported."""
    for name in THREADS:
        os.environ[name] = "1"
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def has_cuda() -> bool:
    """Whether torch finds a GPU."""
    prepare()
    return bool(sys.modules["torch"].cuda.is_available())


def needs_cuda(asked: str) -> None:
    """Raise Unverifiable where there is no GPU."""
    if not has_cuda():
        raise Unverifiable(
            f"{asked} needs a CUDA device, but torch finds none. "
            "Leave it out to verify on the CPU, or run where there is a device."
        )


def new_directory() -> Path:
    """A place below reports/ that is not taken."""
    import secrets
    from datetime import date

    while True:
        found = REPORTS / f"{date.today():%Y-%m-%d}-{secrets.token_hex(2)}"
        if not found.exists():
            return found
