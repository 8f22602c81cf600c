"""The training loop: its epochs and batches, what is under way, and how it is taken up again."""

import math
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npnet.contract import Array, ConfigError, NpnetError
from npnet.optim import load_state_dict, state_dict
from npnet.optim.lr_scheduler import PlateauState
from npnet.train import files
from npnet.train.callbacks import Callbacks, ProgressBar
from npnet.train.data import Samples, held_out, samples
from npnet.train.history import History, Means
from npnet.train.walk import several

if TYPE_CHECKING:
    from npnet.train.model import Model


class NonFiniteLossError(NpnetError, ArithmeticError):
    """The loss is nan or infinite: the training cannot go on."""


@dataclass
class Training:
    """A training under way: what callbacks see, and all that a checkpoint has to hold.

    epoch, batch: how many are done, of this training, of this epoch
    order: of the samples in this epoch; None between epochs
    stop: set to a reason, it ends the training after this epoch
    ended, interrupted: whether it came to its end, whether Ctrl-C was pressed
    """

    model: "Model"
    data: Samples
    validation: Samples | None
    epochs: int
    batch_size: int
    rng: np.random.Generator
    callbacks: Callbacks
    split: Array | None = None
    epoch: int = 0
    batch: int = 0
    order: Array | None = None
    means: Means = field(default_factory=Means)
    stop: str | None = None
    ended: bool = False
    interrupted: bool = False

    @property
    def history(self) -> History:
        """Loss and metrics so far."""
        return self.model.history

    @property
    def batches(self) -> int:
        """How many there are in an epoch."""
        return -(-len(self.data) // self.batch_size)

    @property
    def done(self) -> int:
        """How many steps are done."""
        return self.epoch * self.batches + self.batch

    def run(self) -> None:
        """Train to the end."""
        with _deferred() as interrupt, np.errstate(over="ignore", invalid="ignore"):
            try:
                self.callbacks.tell("on_start", self)
                while self.epoch < self.epochs and self.stop is None:
                    self._step()
                    if interrupt.pressed:
                        self.interrupted = True
                        raise KeyboardInterrupt
                self.ended = True
            finally:
                self.callbacks.tell("on_end", self)

    def _step(self) -> None:
        """One step, and the end of the epoch where it was the last."""
        if self.order is None:
            self.order = self.rng.permutation(len(self.data))
        begin = self.batch * self.batch_size
        x, y = self.data.take(self.order[begin : begin + self.batch_size])
        model = self.model
        loss, grads, updates, prediction = model.loss_and_grads(model.state, x, y, self.rng)
        if not math.isfinite(loss):
            raise self._not_finite(loss, x)
        model.move(grads, updates)
        self.history.steps.append(loss)
        self.means.add(
            {"loss": loss, **model.measured(prediction, y)},
            min(self.batch_size, len(self.data) - begin),
        )
        self.batch += 1
        last = self.batch == self.batches
        if last:
            self._end_epoch()
        self.callbacks.tell("on_step", self)
        if last:
            self.callbacks.tell("on_epoch", self)

    def _end_epoch(self) -> None:
        values = self.means.values()
        if self.validation is not None:
            found = self.model.evaluate(self.validation.x, self.validation.y)
            values |= {f"val_{name}": value for name, value in found.items()}
        if self.model.schedule is not None:
            values["lr"] = self.model.lr
        self.history.add(values)
        self.model.end_epoch(values)
        self.epoch, self.batch, self.order, self.means = self.epoch + 1, 0, None, Means()

    def _not_finite(self, loss: float, x: Any) -> NonFiniteLossError:
        before = f"{self.history.steps[-1]:.4g}" if self.history.steps else "none"
        broken = any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in several(x))
        if broken:
            fix = "The batch itself holds nan or inf: the data need to be cleaned."
        else:
            fix = f"You might need a lower rate than lr={self.model.lr:g}, or clip_norm=1.0."
        return NonFiniteLossError(
            f"the loss needs to be a finite number, but became {loss} in epoch {self.epoch + 1}, "
            f"step {self.batch + 1} of {self.batches}; the one before was {before}. {fix} "
            "The model has the state that it had before this step."
        )

    # ---- checkpoints ---------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write all that it takes to go on from here."""
        model = self.model
        plateau = model.plateau_state
        tree = {
            "data": self._data,
            "state": model.state,
            "optimizer_state": (
                None if model.optimizer_state is None else state_dict(model.optimizer_state)
            ),
            "plateau_state": None if plateau is None else plateau._asdict(),
            "steps": model.steps,
            "epochs": model.epochs,
            "history": {"epochs": self.history.epochs, "steps": np.array(self.history.steps)},
            "rng": self.rng.bit_generator.state,
            "split": self.split,
            "epoch": self.epoch,
            "batch": self.batch,
            "order": self.order,
            "means": asdict(self.means),
            "stop": self.stop,
            "callbacks": self.callbacks.memory(),
        }
        files.save_tree(path, tree)

    @cached_property
    def _data(self) -> dict[str, Any]:
        """What a checkpoint knows of the data."""
        return {
            "samples": len(self.data),
            "batch_size": self.batch_size,
            "fingerprint": self.data.fingerprint(),
        }

    def resume(self, path: str | Path, tree: dict[str, Any]) -> None:
        """Take up a training that was written to a checkpoint. Raises ConfigError."""
        model = self.model
        then, now = tree["data"], self._data
        for name in ("samples", "batch_size", "fingerprint"):
            if then[name] != now[name]:
                raise ConfigError(
                    f"{path} needs the data and the batch_size that it was written with, but then "
                    f"{name} was {then[name]}, and now it is {now[name]}."
                )
        files.require_alike(str(path), tree["state"], model.drawn(np.random.default_rng(0)))
        optimizer_state = tree["optimizer_state"]
        if optimizer_state is not None:
            optimizer_state = load_state_dict(model.optimizer, tree["state"], optimizer_state)
        self.callbacks.recall(tree["callbacks"])
        try:
            self.rng.bit_generator.state = tree["rng"]
        except ValueError as error:
            raise ConfigError(
                f"{path} needs a generator of the kind that it was written with, "
                f"{tree['rng']['bit_generator']}, but got {self.rng.bit_generator!r} ({error})."
            ) from None
        model.state, model.optimizer_state = dict(tree["state"]), optimizer_state
        plateau = tree["plateau_state"]
        model.plateau_state = None if plateau is None else PlateauState(**plateau)
        model.steps, model.epochs = tree["steps"], tree["epochs"]
        model.history = History(tree["history"]["epochs"], tree["history"]["steps"].tolist())
        self.epoch, self.batch, self.order = tree["epoch"], tree["batch"], tree["order"]
        self.means, self.stop = Means(**tree["means"]), tree["stop"]


def fit(
    model: "Model",
    x: Any,
    y: Any,
    epochs: int,
    batch_size: int,
    validation: Any,
    callbacks: Sequence[Any],
    rng: np.random.Generator | int | None,
    resume: str | Path | None,
    progress: bool | None,
) -> History:
    """Model.fit."""
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ConfigError(f"{name} needs to be a whole number >= 1, but is {number!r}.")
    rng = np.random.default_rng(rng)
    tree = None if resume is None else files.load_tree(resume)
    shown = _shows_progress() if progress is None else progress
    watching = Callbacks([*callbacks, *([ProgressBar()] if shown else [])])
    data, valid, split = _parted(samples(x, y), validation, rng, tree["split"] if tree else None)
    if tree is None and model.state is None:
        model.init(rng)
    training = Training(model, data, valid, int(epochs), int(batch_size), rng, watching, split)
    if tree is not None and resume is not None:
        training.resume(resume, tree)
    else:
        model.history = History()
    model.rehearse(data)
    if valid is not None:
        model.rehearse(valid)
    training.run()
    return model.history


def _parted(
    data: Samples, validation: Any, rng: np.random.Generator, split: Array | None
) -> tuple[Samples, Samples | None, Array | None]:
    """(to train on, held out, the order in which they were parted)."""
    if validation is None:
        return data, None, None
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise ConfigError(
                f"validation needs to be (x, y), or a part such as 0.1, but has {len(validation)} "
                "entries."
            )
        return data, samples(*validation), None
    size = held_out(validation, len(data))
    if split is None or len(split) != len(data):
        split = rng.permutation(len(data))
    return Samples(*data.take(split[size:])), Samples(*data.take(split[:size])), split


def _shows_progress() -> bool:
    return sys.stdout.isatty() and find_spec("rich") is not None


class _Interrupt:
    pressed = False


@contextmanager
def _deferred() -> Iterator[_Interrupt]:
    """A first Ctrl-C is noted, a second raises; elsewhere than in the main thread, every one."""
    interrupt = _Interrupt()
    plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not plain or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, frame: Any) -> None:
        if interrupt.pressed:
            raise KeyboardInterrupt
        interrupt.pressed = True

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
