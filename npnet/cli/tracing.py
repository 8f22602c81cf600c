"""npnet trace, npnet compare: whole networks, layer by layer and step by step."""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import Refused, new_directory, prepare, settle
from npnet.cli.options import at_least_one, format_option, names, report_dir_option
from npnet.cli.output import annotate, exit_code
from npnet.cli.training import EXAMPLES

if TYPE_CHECKING:
    from npnet.verify.finding import Report

_UNLOADABLE = 3
_STEPS, _CHARACTERS = 5, 12  # of npnet's own networks


@click.command()
@click.argument("target", metavar="TARGET")
@click.option(
    "--steps",
    type=int,
    callback=at_least_one,
    metavar="N",
    help="Of the batches, how many. [default: all of a file's, 5 of mlp, cnn and lstm]",
)
@click.option(
    "--dtype",
    default="float64,float32",
    show_default=True,
    callback=names,
    help="Of float64, float32, float16.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what layers draw.")
@click.option(
    "--dump",
    metavar="DIR",
    help="Write both sides' numbers there, for npnet compare: own.safetensors, torch.safetensors.",
)
@report_dir_option
@format_option
@click.option("-q", "--quiet", is_flag=True, help="Print failures only.")
@click.pass_context
def trace(
    ctx: click.Context,
    target: str,
    steps: int | None,
    dtype: tuple[str, ...],
    seed: int,
    dump: str | None,
    report_dir: str | None,
    format: tuple[str, ...],
    quiet: bool,
) -> None:
    """Hold a training run against torch's, layer by layer and step by step.

    TARGET is a file or a module that holds a npnet.verify.TrainingRun ("nets.py",
    "nets.py::small", "package.nets:small"), or a network of npnet train (mlp, cnn, lstm). The first
    layer and the first step that diverge are named, apart from what only inherits the divergence.

    Exit codes are those of npnet verify.
    """
    settle()
    prepare()
    from npnet.report.files import Writer
    from npnet.report.screen import Screen
    from npnet.verify.whole.training import INTERRUPTED

    training = _training(ctx, target, steps)
    directory = Path(report_dir or new_directory())
    kept = directory / ("index.html" if "html" in format else "results.jsonl")
    dumped = _Dump()
    with Writer(directory, formats=format) as writer:
        screen = Screen(kept, click.echo, quiet=quiet)
        shown = screen if "text" in format else None

        def on_event(event: Any) -> None:
            writer(event)
            if dump is not None and event["event"] == "step":
                dumped.add(event)
            if shown is not None:
                _show(shown, event, writer)

        with screen:
            report = training.verify(dtypes=dtype, seed=seed, on_event=on_event)
            writer.end(report)
            report = writer.complete(report)
            if shown is not None:
                shown.end(report)
    if dump is not None:
        dumped.write(Path(dump))
    annotate(report, format)
    ctx.exit(exit_code(report, INTERRUPTED in report.not_verified))


def _show(screen: Any, event: Any, writer: Any) -> None:
    match event["event"]:
        case "run":
            from npnet.verify.environment import environment
            from npnet.verify.finding import Report

            first = Report(environment=environment(), seed=event["settings"].seed)
            screen.start(first, event["total"])
        case "example":
            screen.example(event)
        case "finding":
            screen.finding(writer.findings[-1], writer.findings)


def _training(ctx: click.Context, target: str, steps: int | None) -> Any:
    """What the target says is to be traced."""
    from dataclasses import replace

    if target in EXAMPLES:
        return _example(target, steps or _STEPS)
    from npnet.contract import NpnetError
    from npnet.verify.targets import object_of
    from npnet.verify.whole import TrainingRun

    try:
        found, target = object_of(target, TrainingRun)
    except NpnetError:
        raise
    except ModuleNotFoundError as error:
        if not target.startswith(str(error.name)):
            raise
        raise Refused(
            f"there is no file or module {target!r}. Give a file as nets.py, or a module."
        ) from None
    except (Exception, SystemExit):
        click.echo(traceback.format_exc(limit=-4), err=True)
        click.echo(f"npnet: {target} could not be loaded.", err=True)
        ctx.exit(_UNLOADABLE)
    return replace(found, target=target, steps=found.steps if steps is None else steps)


def _example(name: str, steps: int) -> Any:
    """The beginning of what `npnet train` does."""
    import numpy as np

    from npnet.cli.training import task_of
    from npnet.train.networks import RECIPES
    from npnet.twins.whole import Reader, twin_of_layers
    from npnet.verify.whole import TrainingRun

    task = task_of(name, None, RECIPES[name].lr)
    rng = np.random.default_rng(0)
    task.model.init(rng)
    module = twin_of_layers(task.model.layers, task.model.state)
    if task.model.forward is not None:
        module = Reader(dict(module.named_children()))
    rows = rng.permutation(len(task.x))
    size = min(RECIPES[name].batch_size, len(rows) // steps)
    batches = []
    for k in range(steps):
        x, y = (a[rows[k * size : (k + 1) * size]] for a in (task.x, task.y))
        if name == "lstm":  # over long texts, bounds grow beyond what they bound
            x, y = x[:, :_CHARACTERS], y[:, :_CHARACTERS]
        batches.append((x, y))
    return TrainingRun(task.model, module, batches)


class _Dump:
    """The numbers of both sides, in the first dtype asked."""

    def __init__(self) -> None:
        self._dtype: str | None = None
        self._own: dict[str, Any] = {}
        self._twin: dict[str, Any] = {}

    def add(self, event: Any) -> None:
        self._dtype = self._dtype or event["dtype"]
        if event["dtype"] != self._dtype:
            return
        from npnet.verify.whole.dumps import bound_name

        for place, expected in event["twin"].quantities.items():
            name = f"step {event['step']}/{place.layer or 'network'}/{place.quantity}"
            own = event["own"].quantities.get(place)
            if own is None:
                continue
            self._own[name] = own
            self._twin[name] = expected.value[0]
            if expected.error is not None:
                self._twin[bound_name(name)] = expected.error[0]

    def write(self, folder: Path) -> None:
        import numpy as np

        from npnet.verify.whole.dumps import written

        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file, arrays in (("own", self._own), ("torch", self._twin)):
                plain = {n: np.asarray(a) for n, a in arrays.items()}
                written(plain, folder / f"{file}.safetensors")
        except OSError as error:
            raise Refused(f"{folder} cannot be written: {error.strerror}.") from None
        click.echo(f"{len(self._own)} arrays of each side in {folder}")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@report_dir_option
@format_option
@click.pass_context
def compare(
    ctx: click.Context,
    first: str,
    second: str,
    report_dir: str | None,
    format: tuple[str, ...],
) -> None:
    """Hold activations and gradients in a file against those in another, whatever wrote them.

    A and B are safetensors or npz files of arrays by layer, as "fc1/y", "step 3/fc1/gradient of
    weight" or "encoder.fc1.weight.grad"; B is what A is held against. The first layer that differs
    is named, in the order of the pass. Where B comes from npnet trace --dump, its bounds decide;
    elsewhere half of the digits of the coarser format must agree.

    Exit codes are those of npnet verify.
    """
    settle()
    import time

    from npnet.report import text
    from npnet.report.files import write
    from npnet.verify.whole.dumps import compare as compared

    started = time.monotonic()
    found: Report = compared(first, second)
    found.seconds = time.monotonic() - started
    directory = Path(report_dir or new_directory())
    report = write(found, directory, format)
    kept = directory / ("index.html" if "html" in format else "results.jsonl")
    if "text" in format:
        click.echo(text.render(report, kept), nl=False)
    annotate(report, format)
    ctx.exit(exit_code(report, False))
