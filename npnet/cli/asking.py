"""npnet verify: hold layers or candidates against torch."""

import os
import signal
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import (
    BASELINE,
    REFERENCE,
    Refused,
    Unverifiable,
    has_cuda,
    needs_cuda,
    new_directory,
    prepare,
    settle,
)
from npnet.cli.options import (
    at_least_one,
    format_option,
    names,
    one_of,
    over_profile,
    report_dir_option,
    seconds,
    shard,
)
from npnet.cli.output import annotate, exit_code

if TYPE_CHECKING:
    from npnet.report.files import Writer
    from npnet.report.resume import Begun
    from npnet.verify.settings import Event

DEVICES = ("cpu", "cuda", "auto", "recorded", "recorded:cuda")


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--profile",
    callback=one_of("quick", "ci", "nightly"),
    metavar="NAME",
    help="quick: 25 examples; ci: 200; nightly: 2000, with a fresh seed. [default: ci]",
)
@click.option(
    "--examples",
    type=int,
    callback=at_least_one,
    metavar="N",
    help="Drawn structures per candidate and dtype; wins over the profile.",
)
@click.option(
    "--dtype",
    "dtype",
    default="float64,float32",
    show_default=True,
    callback=names,
    help="Of float64, float32, float16.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    callback=one_of(*DEVICES),
    help="cpu; cuda: the GPU besides; auto: that where there is one; recorded: what "
    "torch has said before (npnet record), without torch.",
)
@click.option(
    "--reference",
    default=str(REFERENCE),
    show_default=True,
    metavar="DIR",
    help="Where answers are recorded, for --device recorded.",
)
@click.option(
    "--only",
    default="forward,grad,state,contract",
    show_default=True,
    callback=names,
    help="What to judge.",
)
@click.option("--seed", type=int, help="The same seed asks the same. [default: 0]")
@click.option(
    "-j",
    "--jobs",
    type=int,
    default=1,
    show_default=True,
    callback=at_least_one,
    metavar="N",
    help="Candidates asked at a time, each in a process of its own.",
)
@click.option("--time-budget", callback=seconds, metavar="TIME", help="As 90s, 10m or 1.5h.")
@click.option(
    "--shard",
    callback=shard,
    metavar="I/N",
    help="Ask the i-th of n parts only; npnet report merges the parts.",
)
@click.option(
    "--require", callback=one_of("cuda"), metavar="cuda", help="Fail (4) without this device."
)
@report_dir_option
@format_option
@click.option(
    "--baseline",
    metavar="DIR",
    help="Divergences that are accepted. [default: npnet-baseline where it exists]",
)
@click.option(
    "--resume", metavar="DIR", help="Take up the run of this report that was killed or interrupted."
)
@click.option(
    "--executor",
    metavar="URL",
    help="A Dask scheduler, as tcp://host:8786: its workers ask the candidates.",
)
@click.option(
    "--in-process",
    is_flag=True,
    help="Ask candidates of files here, not in a process of their own: for code of one's own.",
)
@click.option("--fail-fast", is_flag=True, help="Stop after the first candidate that diverges.")
@click.option("-q", "--quiet", is_flag=True, help="Print failures only.")
@click.option("-v", "--verbose", is_flag=True, help="Print the margin of every quantity.")
@click.pass_context
def verify(
    ctx: click.Context,
    targets: tuple[str, ...],
    profile: str | None,
    examples: int | None,
    dtype: tuple[str, ...],
    device: str,
    reference: str,
    only: tuple[str, ...],
    seed: int | None,
    jobs: int,
    time_budget: float | None,
    shard: tuple[int, int] | None,
    require: str | None,
    report_dir: str | None,
    baseline: str | None,
    resume: str | None,
    format: tuple[str, ...],
    executor: str | None,
    in_process: bool,
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
    settle()
    begun = _begun(ctx, resume) if resume else None
    if begun is None:
        device = _device(device, require)
    else:
        device, reference = begun.settings.device, begun.settings.reference
    prepare(device, reference)
    from npnet.report.files import Writer
    from npnet.report.screen import Screen
    from npnet.verify.engine import run, run_as

    accepted = Path(baseline) if baseline else BASELINE if BASELINE.is_dir() else None
    directory = Path(resume or report_dir or new_directory())
    with Writer(directory, formats=format, resume=begun is not None) as writer:
        kept = writer.index if "html" in format else directory / "results.jsonl"
        screen = Screen(kept, click.echo, quiet=quiet, verbose=verbose)
        shown = screen if "text" in format else None
        with screen, Interruption() as interruption:
            on_event = _Listener(writer, shown, interruption)
            if begun is not None:
                known = begun.known
                report = run_as(
                    begun.targets,
                    begun.settings,
                    jobs=jobs,
                    executor=executor,
                    known=known,
                    baseline=accepted,
                    on_event=on_event,
                )
            else:
                report = run(
                    list(targets) or None,
                    profile=profile,
                    examples=over_profile(ctx, "examples"),
                    dtypes=dtype,
                    only=only,
                    seed=over_profile(ctx, "seed"),
                    baseline=accepted,
                    executor=executor,
                    device=device,
                    reference=reference,
                    in_process=in_process,
                    fail_fast=fail_fast,
                    time_budget=time_budget,
                    shard=shard,
                    jobs=jobs,
                    on_event=on_event,
                )
        report = writer.complete(report)
        if shown is not None:
            shown.end(report)
    annotate(report, format)
    ctx.exit(exit_code(report, interruption.stopped))


class _Listener:
    """Passes the events of a run on: to the files first, then to the screen."""

    def __init__(self, writer: "Writer", screen: Any, interruption: "Interruption") -> None:
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
                facts = {**environment(), **asked.facts}
                self._screen.start(Report(environment=facts, seed=asked.seed), total)
            case "example":
                self._screen.example(event)
            case "finding":
                self._screen.finding(self._writer.findings[-1], self._writer.findings)


class Interruption:
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

    def __enter__(self) -> "Interruption":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        except ValueError:  # not in the main thread: the caller's handlers stay
            self._before.clear()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _begun(ctx: click.Context, resume: str) -> "Begun":
    """The run that is taken up again. Refused where other settings than its own are given."""
    from npnet.report.resume import begun
    from npnet.verify.settings import PROFILES

    found = begun(Path(resume))
    then = {f.name: getattr(found.settings, f.name) for f in fields(found.settings)}
    then |= {"dtype": then["dtypes"], "targets": tuple(found.targets or ())}
    then |= {"report_dir": resume, "in_process": not then.get("isolated", True)}
    for name, now in ctx.params.items():
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        if name == "profile":
            asked = {"examples": PROFILES[now][0], "seed": PROFILES[now][1]}
            same = all(asked[n] in (None, then[n]) for n in asked)
        else:
            same = name not in then or now == then[name]
        if not same:
            option = "TARGET" if name == "targets" else f"--{name.replace('_', '-')}"
            has = f" and that run has {_spoken(then[name])}" if name in then else ""
            raise Refused(
                f"--resume takes the settings of the run in {resume}, but {option} asks for "
                f"{_spoken(now)}{has}. Leave it out, or start a new run."
            )
    return found


def _spoken(value: Any) -> str:
    """The value of an option as it is given."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case (int(i), int(n)):
            return f"{i}/{n}"
        case tuple():
            return ",".join(map(str, value))
    return str(value)


def _device(device: str, require: str | None) -> str:
    """The device asked for, where it is there."""
    if device == "auto":
        device = "cuda" if has_cuda() else "cpu"
    if "cuda" in (device, require):
        needs_cuda("--require cuda" if require == "cuda" else "--device cuda")
    if require is not None and device != require:
        raise Unverifiable(
            f"--require {require} needs --device {require} or auto, but the device is {device}."
        )
    return device
