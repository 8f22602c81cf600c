"""The command `npnet`: verify, list, replay, repro, doctor.

Exit codes: 0 everything asked was verified; 1 at least one divergence; 2 usage or configuration;
3 a candidate crashed, hung or could not be loaded; 4 nothing, or too little, could be verified.
The lowest of 1, 3, 4 that applies. 130: interrupted before anything was found.

torch, hypothesis and the reports are imported inside the commands that need them, so that
`npnet --help` costs no more than click.
"""

import os
import re
import signal
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import npnet

try:
    import click
except ModuleNotFoundError:
    raise SystemExit(
        "npnet: the command line needs click, which is not installed. "
        "Install it with: pip install 'npnet[torch]'"
    ) from None

if TYPE_CHECKING:
    from npnet.report.files import Writer
    from npnet.verify.finding import Report
    from npnet.verify.settings import Event
    from npnet.verify.store import Stored

FORMATS = ("text", "html")
DEVICES = ("cpu", "cuda", "auto")
INTERRUPTED = 130

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_REPORTS = Path("reports")
_TABLE = "[tool.npnet] of pyproject.toml"
_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "examples": int,
    "dtype": (str, list),
    "device": str,
    "only": (str, list),
    "seed": int,
    "time-budget": (str, int, float),
    "require": str,
    "report-dir": str,
    "format": (str, list),
    "fail-fast": bool,
}


class Refused(click.ClickException):
    """A usage or configuration error: one clear message."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the message without a traceback."""
        from npnet.report.words import clean

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


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(npnet.__version__, "-V", "--version", prog_name="npnet")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Hold hand-written backward passes against PyTorch."""
    if ctx.invoked_subcommand in ("verify", "replay", "repro"):
        found = read_settings(Path.cwd())
        only = found if ctx.invoked_subcommand == "verify" else {}
        ctx.default_map = {"verify": only}
        ctx.obj = found


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
        raise Refused(f"{_TABLE} must be a table, but is {table!r}.")
    return dict(_setting(str(key), value) for key, value in table.items())


def _setting(key: str, value: Any) -> tuple[str, Any]:
    name = key.replace("_", "-")
    if name not in _SETTINGS:
        near = get_close_matches(name, list(_SETTINGS), 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(_SETTINGS)}."
        raise Refused(f"{_TABLE} has an unknown key {key!r}. {hint}")
    kinds = _SETTINGS[name]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if isinstance(value, list):
        fits = fits and all(isinstance(x, str) for x in value)
    if not fits:
        wanted = " or ".join("a list of strings" if k is list else k.__name__ for k in kinds)
        raise Refused(f"{name} in {_TABLE} must be {wanted}, but is {value!r}.")
    if isinstance(value, list):
        value = ",".join(value)
    return name.replace("-", "_"), value


def _origin(ctx: click.Context, param: click.Parameter) -> str:
    """Where a value came from, for a message."""
    name = (param.name or "").replace("_", "-")
    source = ctx.get_parameter_source(param.name or "")
    if source is click.core.ParameterSource.DEFAULT_MAP:
        return f"{name} in {_TABLE}"
    return f"--{name}"


def _list(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Comma-separated names."""
    parts = tuple(dict.fromkeys(p.strip() for p in value.split(",") if p.strip()))
    if not parts:
        raise Refused(f"{_origin(ctx, param)} must name at least one, but is {value!r}.")
    return parts


def _formats(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    parts = _list(ctx, param, value)
    for part in parts:
        if part not in FORMATS:
            near = get_close_matches(part, FORMATS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise Refused(
                f"{_origin(ctx, param)} takes {' and '.join(FORMATS)}, but got {part!r}.{hint}"
            )
    return parts


def _one_of(*known: str) -> Any:
    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in known:
            origin = _origin(ctx, param)
            raise Refused(f"{origin} must be one of {', '.join(known)}, but is {value!r}.")
        return value

    return check


def _at_least_one(ctx: click.Context, param: click.Parameter, value: int) -> int:
    if value < 1:
        raise Refused(f"{_origin(ctx, param)} must be at least 1, but is {value}.")
    return value


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """90, 90s, 10m, 1.5h."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", value.strip())
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise Refused(
            f"{_origin(ctx, param)} must be a time such as 90s, 10m or 1.5h, but is {value!r}."
        )
    return seconds


# ---- verify --------------------------------------------------------------------------------------


@cli.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--examples",
    type=int,
    default=200,
    show_default=True,
    callback=_at_least_one,
    metavar="N",
    help="Drawn structures per candidate and dtype.",
)
@click.option(
    "--dtype",
    "dtype",
    default="float64,float32",
    show_default=True,
    callback=_list,
    help="Of float64, float32, float16.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    callback=_one_of(*DEVICES),
    help="cpu, cuda or auto. This version verifies on the CPU only.",
)
@click.option(
    "--only",
    default="forward,grad,state,contract",
    show_default=True,
    callback=_list,
    help="What to judge.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed asks the same.")
@click.option(
    "-j",
    "--jobs",
    type=int,
    default=1,
    show_default=True,
    callback=_at_least_one,
    metavar="N",
    help="Candidates asked at a time, each in a process of its own.",
)
@click.option("--time-budget", callback=_seconds, metavar="TIME", help="As 90s, 10m or 1.5h.")
@click.option(
    "--require", callback=_one_of("cuda"), metavar="cuda", help="Fail (4) without this device."
)
@click.option(
    "--report-dir", metavar="DIR", help="Where the report goes. [default: reports/<date>-<id>]"
)
@click.option(
    "--format",
    "format",
    default="text,html",
    show_default=True,
    callback=_formats,
    help="Beside results.jsonl, which is always written.",
)
@click.option("--fail-fast", is_flag=True, help="Stop after the first candidate that diverges.")
@click.option("-q", "--quiet", is_flag=True, help="Print failures only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the margin of every quantity.")
@click.pass_context
def verify(
    ctx: click.Context,
    targets: tuple[str, ...],
    examples: int,
    dtype: tuple[str, ...],
    device: str,
    only: tuple[str, ...],
    seed: int,
    jobs: int,
    time_budget: float | None,
    require: str | None,
    report_dir: str | None,
    format: tuple[str, ...],
    fail_fast: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Hold layers or candidates against torch.

    TARGET is one of npnet's own ("Linear", "Conv*", "optim.Adam"), a file or a module that holds
    candidates ("mylayers.py", "mylayers.py::affine", "package.module:affine"); none: all of npnet's
    own. NumPy and torch run on one thread each. Settings stand in [tool.npnet] of pyproject.toml,
    too; the command line wins.

    Exit codes: 0 everything asked was verified; 1 at least one divergence; 2 usage or
    configuration; 3 a candidate crashed, hung or could not be loaded; 4 nothing, or too little,
    could be verified; 130 interrupted before anything was found.
    """
    _prepare()
    _check_device(device, require)
    from npnet.report.files import Writer
    from npnet.report.screen import Screen
    from npnet.verify.engine import run

    directory = Path(report_dir) if report_dir else _new_directory()
    with Writer(directory, page="html" in format) as writer:
        kept = writer.index if "html" in format else directory / "results.jsonl"
        screen = Screen(kept, click.echo, quiet=quiet, verbose=verbose)
        shown = screen if "text" in format else None
        with screen, _Interruption() as interruption:
            report = run(
                list(targets) or None,
                examples=examples,
                dtypes=dtype,
                only=only,
                seed=seed,
                fail_fast=fail_fast,
                time_budget=time_budget,
                jobs=jobs,
                on_event=_Listener(writer, shown, interruption),
            )
        report = writer.complete(report)
        if shown is not None:
            shown.end(report)
    ctx.exit(_exit_code(report, interruption.stopped))


class _Listener:
    """Passes the events of a run on: to the files first, then to the screen."""

    def __init__(self, writer: "Writer", screen: Any, interruption: "_Interruption") -> None:
        self._writer, self._screen, self._interruption = writer, screen, interruption

    def __call__(self, event: "Event") -> None:
        self._interruption.running = True
        self._writer(event)
        if self._screen is not None:
            self._show(event)
        if event["event"] in ("example", "tick"):
            self._interruption.check()

    def _show(self, event: "Event") -> None:
        match event["event"]:
            case "run":
                from npnet.verify.environment import environment
                from npnet.verify.finding import Report

                asked = event["settings"]
                total = len(event["candidates"]) * len(asked.dtypes) * asked.examples
                self._screen.start(Report(environment=environment(), seed=asked.seed), total)
            case "example":
                self._screen.example(event)
            case "finding":
                self._screen.finding(self._writer.findings[-1], self._writer.findings)


class _Interruption:
    """Ctrl-C, or being told to end: the run stops at the next example, at once when told twice.

    Once a run has begun, the first signal is only noted. Raised from the handler, KeyboardInterrupt
    is lost where it meets a garbage collection (Hypothesis has a callback there, and exceptions in
    one are ignored), or it cuts a file in two.
    """

    def __init__(self) -> None:
        self.received = 0
        self.running = False
        self.stopped = False  # whether anything was left out
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self.received:
            self.stopped = True
            raise KeyboardInterrupt

    def _stop(self, number: int, frame: Any) -> None:
        self.received += 1
        if self.received > 1 or not self.running:
            raise KeyboardInterrupt
        os.write(2, b"\nnpnet: stopping after this example (once more: at once)\n")

    def __enter__(self) -> "_Interruption":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        except ValueError:  # not in the main thread: the caller's handlers stay
            self._before.clear()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _exit_code(report: "Report", interrupted: bool) -> int:
    code = report.exit_code
    return INTERRUPTED if interrupted and code in (0, 4) else code


def _prepare() -> None:
    """One thread for BLAS and torch, as verdicts are compared; candidates come from here, too."""
    for name in _THREADS:
        os.environ[name] = "1"
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    from npnet.verify.targets import specs

    specs()
    sys.modules["torch"].set_num_threads(1)


def _check_device(device: str, require: str | None) -> None:
    if device != "cuda" and require != "cuda":
        return
    asked = "--require cuda" if require == "cuda" else "--device cuda"
    if not sys.modules["torch"].cuda.is_available():
        raise Unverifiable(
            f"{asked} needs a CUDA device, but torch finds none. "
            "Leave it out to verify on the CPU, or run where there is a device."
        )
    raise Unverifiable(
        f"{asked} needs candidates to run on the device, but npnet {npnet.__version__} verifies on "
        "the CPU only. Leave it out."
    )


def _new_directory() -> Path:
    import secrets
    from datetime import date

    while True:
        found = _REPORTS / f"{date.today():%Y-%m-%d}-{secrets.token_hex(2)}"
        if not found.exists():
            return found


# ---- stored failures -----------------------------------------------------------------------------


@cli.command()
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

    folders = _stored(ctx, ids, report_dir)
    if not folders:
        raise Unverifiable(
            "there is nothing to replay: no failure is stored in "
            f"{report_dir or _REPORTS}. npnet verify stores what it finds."
        )
    _prepare()
    known: dict[Any, Any] = {}

    def load_target(target: Any) -> Any:
        if target not in known:
            known[target] = resolve(target)
        return known[target]

    results = []
    for folder in folders:
        stored = _load(folder)
        if isinstance(stored, str):
            result, message = store.ERROR, stored
        else:
            result, message = store.replay(stored, load_target)
        results.append(result)
        click.echo(f"{result:<15} {clean(folder.name)}  {clean(message, 300)}")
    ctx.exit(1 if store.DIVERGES in results else 3 if store.ERROR in results else 0)


@cli.command()
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

    (folder,) = _stored(ctx, (id,), report_dir)
    stored = load(folder)
    target = Path(write) if write else None
    beside = target is not None and target.resolve().parent == folder.resolve()
    arrays = BESIDE if beside else f"Path({str(folder / 'arrays.npz')!r})"
    source = script(stored.finding, arrays=arrays, pytest=as_test)
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


def _stored(ctx: click.Context, ids: tuple[str, ...], report_dir: str | None) -> list[Path]:
    """The folders of these ids, or of everything that is stored."""
    from npnet.verify.store import find, folders

    configured = (ctx.obj or {}).get("report_dir")
    places = [report_dir] if report_dir else [str(_REPORTS), configured]
    known = folders([Path(place) for place in places if place])
    return [find(wanted, known) for wanted in ids] if ids else list(known.values())


def _load(folder: Path) -> "Stored | str":
    """A stored failure, or why it cannot be read."""
    from npnet.verify.store import FileFormatError, load

    try:
        return load(folder)
    except FileFormatError as error:
        return str(error)


# ---- list ----------------------------------------------------------------------------------------


@cli.command("list")
@click.option("--missing", is_flag=True, help="What torch has and npnet has not, and why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--report-dir", metavar="DIR", help="The run whose coverage is shown. [the last one]")
@click.pass_context
def list_(ctx: click.Context, missing: bool, as_json: bool, report_dir: str | None) -> None:
    """List the twins: options, the values drawn of each, what of them the last run covered."""
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
        run = catalogue.last_run([_REPORTS, *([Path(configured).parent] if configured else [])])
    rows = list(catalogue.twins(run))
    if as_json:
        click.echo(json.dumps({"run": str(run) if run else None, "twins": rows}, indent=1))
        return
    click.echo(catalogue.table(rows))
    if run is not None:
        click.echo(f"\nOptions covered (values, and pairs of values) by the run in {run.parent}")


# ---- doctor --------------------------------------------------------------------------------------


@cli.command()
def doctor() -> None:
    """Show the facts of the environment that change gradients."""
    from npnet.report.environment import facts

    click.echo(facts())


def main() -> None:
    """The console entry point."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "·" still works
    cli()


if __name__ == "__main__":
    main()
