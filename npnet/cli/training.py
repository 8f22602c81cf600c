"""npnet train: a small example, trained from the beginning or from where it was cut off."""

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import INTERRUPTED, Refused
from npnet.cli.options import at_least_one

if TYPE_CHECKING:
    from npnet.train import History, Model

EXAMPLES = ("mlp", "cnn", "lstm")


@click.command()
@click.argument("example", metavar="mlp|cnn|lstm")
@click.option("--epochs", type=int, callback=at_least_one, help="[default: 5, 20, 25]")
@click.option("--batch-size", type=int, callback=at_least_one, help="[default: 128, 128, 32]")
@click.option("--lr", type=float, help="The learning rate. [default: 0.001, 0.005, 0.005]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random number.")
@click.option("--data", metavar="PATH", help="A folder of MNIST's files; for lstm a text.")
@click.option("--out", metavar="DIR", help="Where the results go. [default: trained/EXAMPLE]")
@click.option("--resume", is_flag=True, help="Go on where a run in DIR was cut off.")
@click.option("--restart", is_flag=True, help="Begin anew where a run in DIR was cut off.")
@click.option(
    "--checkpoint-every",
    type=int,
    default=200,
    show_default=True,
    callback=at_least_one,
    help="Steps between checkpoints within an epoch.",
)
@click.pass_context
def train(
    ctx: click.Context,
    example: str,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int,
    data: str | None,
    out: str | None,
    resume: bool,
    restart: bool,
    checkpoint_every: int,
) -> None:
    """Train a small network written in NumPy, and plot its loss and accuracy.

    mlp and cnn learn handwritten digits: scikit-learn's of 8 x 8 pixels, or MNIST's. lstm learns
    the Zen of Python by heart, or reads a text, character by character.

    DIR holds training.png, history.json, model.safetensors (which torch can load) when it is done,
    and checkpoint.npz. After Ctrl-C or a kill, --resume goes on to the same numbers.
    """
    if example not in EXAMPLES:
        near = get_close_matches(example, EXAMPLES, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(EXAMPLES)}."
        raise Refused(f"there is no example {example!r}. {hint}")
    from npnet.train import Checkpoint, NonFiniteLossError, extra, files, plot
    from npnet.train.networks import RECIPES

    for module in ("matplotlib.figure", "safetensors.numpy"):
        extra.needed(module)
    if seed < 0:
        raise Refused(f"--seed must be at least 0, but is {seed}.")
    if lr is not None and not lr > 0:
        raise Refused(f"--lr must be more than 0, but is {lr}.")
    recipe = RECIPES[example]
    place = Path(out) if out else Path("trained") / example
    checkpoint = place / "checkpoint.npz"
    _check_place(place, checkpoint, resume, restart)
    task = task_of(example, data, lr or recipe.lr)
    if not resume:
        _clear(place)
    count = epochs or recipe.epochs
    click.echo(f"{example} on {task.told}, {count} epochs, seed {seed}")
    started = time.perf_counter()
    finished = False
    try:
        task.model.fit(
            task.x,
            task.y,
            epochs=count,
            batch_size=batch_size or recipe.batch_size,
            validation=task.validation,
            callbacks=[_Lines(count), Checkpoint(checkpoint, checkpoint_every)],
            rng=seed,
            resume=checkpoint if resume else None,
        )
        finished = True
    except KeyboardInterrupt:
        if checkpoint.is_file():
            click.echo(f"interrupted; {checkpoint} holds what was reached", err=True)
            click.echo(f"to go on: {_again(ctx)}", err=True)
        ctx.exit(INTERRUPTED)
    except NonFiniteLossError as error:
        click.echo(f"npnet: {error}", err=True)
        ctx.exit(1)
    finally:
        if len(task.model.history):
            text = json.dumps(_told(task.model.history, finished), indent=1)
            files.write_whole(place / "history.json", text.encode())
            plot.save(task.model.history, place / "training.png", f"{example} on {task.told}")
    seconds = time.perf_counter() - started
    task.model.save(place / "model.safetensors")
    click.echo(task.outcome())
    click.echo(f"{seconds:.1f} s · {place / 'training.png'} · {place / 'model.safetensors'}")


def _again(ctx: click.Context) -> str:
    """The command that goes on, with the options that were given."""
    words = ["npnet", "train", ctx.params["example"]]
    for param in ctx.command.params:
        name = param.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and isinstance(param, click.Option) and not param.is_flag:
            words += [param.opts[0], str(ctx.params[name])]
    return shlex.join([*words, "--resume"])


@dataclass
class Task:
    """What is trained on what. outcome: says what came of it"""

    model: "Model"
    told: str
    x: Any
    y: Any
    validation: Any
    outcome: Callable[[], str]


def task_of(example: str, data: str | None, lr: float) -> Task:
    """An example with what it is trained on: a folder or a file, or what comes with it."""
    return _text(data, lr) if example == "lstm" else _images(example, data, lr)


def _images(example: str, data: str | None, lr: float) -> Task:
    from npnet.train import digits, mnist
    from npnet.train.networks import classifier

    found = mnist(data) if data else digits()
    height, width = found.x.shape[2:]
    model = classifier(example, height, width, found.classes, lr)

    def outcome() -> str:
        values = model.evaluate(found.x_test, found.y_test)
        return (
            f"test: loss {values['loss']:.4f}, accuracy {100 * values['accuracy']:.2f} % of "
            f"{len(found.x_test)} images"
        )

    told = f"{len(found.x)} images of {found.name}"
    return Task(model, told, found.x, found.y, 0.1, outcome)


def _text(data: str | None, lr: float) -> Task:
    from npnet.train import text
    from npnet.train.networks import RECIPES, reader

    recipe = RECIPES["lstm"]
    given = text.read_text(data) if data else text.zen()
    characters = text.Characters.of(given)
    numbers = characters.numbers(given)
    held = None
    if data:  # the last tenth, where it is long enough for a window; nothing in it was seen
        tenth = numbers[-(len(numbers) // 10) :]
        if len(tenth) > recipe.window:
            numbers = numbers[: -len(tenth)]
            held = text.windows(tenth, recipe.window, recipe.window)
    x, y = text.windows(numbers, recipe.window, recipe.stride)
    model = reader(len(characters.known), lr)
    start = given[: recipe.window // 4]

    def outcome() -> str:
        found = text.written(model, characters, start, 120, recipe.window)
        return f"it goes on after {start!r}:\n  " + found.replace("\n", "\n  ")

    told = f"{len(given)} characters of {Path(data).name if data else 'the Zen of Python'}"
    return Task(model, told, x, y, held, outcome)


def _check_place(place: Path, checkpoint: Path, resume: bool, restart: bool) -> None:
    """A run that was cut off is gone on with, or thrown away, on purpose only."""
    if resume and restart:
        raise Refused("--resume goes on, --restart begins anew: only one of them can be given.")
    if place.exists() and not place.is_dir():
        raise Refused(f"--out must be a folder, but {place} is none.")
    cut_off = checkpoint.is_file() and not (place / "model.safetensors").is_file()
    if resume and not checkpoint.is_file():
        raise Refused(f"--resume needs a run that was cut off, but there is no {checkpoint}.")
    if cut_off and not (resume or restart):
        raise Refused(
            f"{place} holds a run that was cut off. --resume goes on with it, --restart begins "
            "anew, --out DIR leaves it alone."
        )


def _clear(place: Path) -> None:
    """What a run before this one has left is gone before this one begins."""
    try:
        for name in ("checkpoint.npz", "model.safetensors", "history.json", "training.png"):
            (place / name).unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"{place} cannot be written to ({error.strerror}).") from None


@dataclass
class _Lines:
    """A line for every epoch."""

    epochs: int

    def on_epoch(self, training: Any) -> None:
        values = training.history.last()
        parts = [f"epoch {training.epoch:>{len(str(self.epochs))}}/{self.epochs}"]
        for name, value in values.items():
            shown = f"{100 * value:.1f} %" if "accuracy" in name else f"{value:.4f}"
            parts.append(f"{name.replace('val_', 'held-out ')} {shown}")
        click.echo("  ".join(parts))


def _told(history: "History", finished: bool) -> dict[str, Any]:
    return {"finished": finished, "epochs": history.epochs, "steps": history.steps}
