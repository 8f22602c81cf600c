"""Callbacks: what watches a training, stops it, and keeps what it has come to.

A callback has some of these methods, each of which is called with the Training under way:

    on_start   before the first step, of a training that is taken up again, too
    on_step    after every step
    on_epoch   after every epoch, when its values are in the history
    on_end     at the end, whatever the reason

A plain function is called after every epoch. To stop, set `training.stop` to the reason. What a
callback has to remember beyond an interruption it returns from `memory()`, as a mapping of numbers,
texts, arrays and mappings of these, and takes back in `recall(memory)`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npnet.contract import ConfigError
from npnet.train.extra import needed

if TYPE_CHECKING:
    from npnet.train.fitting import Training

EVENTS = ("on_start", "on_step", "on_epoch", "on_end")


class Callbacks:
    """Callbacks in their order, but checkpoints last: they keep what the others have decided."""

    def __init__(self, given: Iterable[Any]) -> None:
        found = [_checked(callback) for callback in given]
        self.all = sorted(found, key=lambda callback: isinstance(callback, Checkpoint))
        self._listeners = {
            event: [f for c in self.all if (f := getattr(c, event, None)) is not None]
            for event in EVENTS
        }

    def tell(self, event: str, training: "Training") -> None:
        """Call all that listen to an event."""
        for listener in self._listeners[event]:
            listener(training)

    def memory(self) -> list[Any]:
        """What each remembers, by the name of its class."""
        return [
            [type(c).__name__, c.memory()]
            for c in self.all
            if getattr(c, "memory", None) is not None
        ]

    def recall(self, memories: list[Any]) -> None:
        """Hand back what each remembered. Raises ConfigError where they are others now."""
        own = [c for c in self.all if getattr(c, "memory", None) is not None]
        now, then = [type(c).__name__ for c in own], [name for name, _ in memories]
        if now != then:
            raise ConfigError(
                "a training that is taken up again needs the callbacks that it had, of which those "
                f"that remember something are {', '.join(then) or 'none'}, but got "
                f"{', '.join(now) or 'none'}."
            )
        for callback, (_, memory) in zip(own, memories, strict=True):
            callback.recall(memory)


@dataclass
class _EveryEpoch:
    """A function as a callback."""

    on_epoch: Callable[["Training"], Any]


def _checked(callback: Any) -> Any:
    if isinstance(callback, type):
        raise ConfigError(
            f"a callback needs to be an object, but {callback.__name__} is a class. You might need "
            f"{callback.__name__}(…)."
        )
    if any(callable(getattr(callback, event, None)) for event in EVENTS):
        return callback
    if callable(callback):
        return _EveryEpoch(callback)
    near = [
        f"{name} ({match[0]}?)"
        for name in dir(callback)
        if name.startswith("on_") and (match := get_close_matches(name, EVENTS, 1))
    ]
    raise ConfigError(
        f"a callback needs to be a function, or to have one of {', '.join(EVENTS)}, but got "
        f"{callback!r}" + (f", which has {', '.join(near)}." if near else ".")
    )


@dataclass
class EarlyStopping:
    """Stop after `patience` epochs in a row in which a value has not become better.

    monitor: a name in the history    mode: "min" or "max"; None: "max" for an accuracy
    min_delta: what counts as better is better by more than this
    restore_best: whether the model gets the state of its best epoch at the end

    Raises ConfigError.
    """

    monitor: str = "val_loss"
    patience: int = 5
    min_delta: float = 0.0
    mode: str | None = None
    restore_best: bool = True
    best: float = field(default=math.nan, init=False)
    best_epoch: int = field(default=0, init=False)
    _state: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode is None:
            self.mode = "max" if "accuracy" in self.monitor else "min"
        if self.mode not in ("min", "max") or self.patience < 1 or not self.min_delta >= 0:
            raise ConfigError(
                "EarlyStopping needs mode 'min' or 'max', patience >= 1 and min_delta >= 0, but "
                f"got {self.mode!r}, {self.patience} and {self.min_delta}."
            )

    def on_start(self, training: "Training") -> None:
        """Begin anew, unless the training is taken up again."""
        if not training.epoch and not training.batch:
            self.best, self.best_epoch, self._state = math.nan, 0, None

    def on_epoch(self, training: "Training") -> None:
        """Look at the value of this epoch."""
        values = training.history.last()
        if self.monitor not in values:
            fix = " You might need validation=…." if self.monitor.startswith("val_") else ""
            raise ConfigError(
                f"EarlyStopping needs its monitor to be one of {', '.join(values)}, but it is "
                f"{self.monitor!r}.{fix}"
            )
        value = values[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if math.isnan(self.best) or gain > self.min_delta:
            self.best, self.best_epoch = value, training.epoch
            self._state = dict(training.model.state) if self.restore_best else None
        elif training.epoch - self.best_epoch >= self.patience:
            training.stop = (
                f"{self.monitor} was best in epoch {self.best_epoch} ({self.best:.4g}), and in the "
                f"{self.patience} after it no better"
            )

    def on_end(self, training: "Training") -> None:
        """Restore the best state, where the training came to its end."""
        if training.ended and self._state is not None:
            training.model.state = self._state

    def memory(self) -> dict[str, Any]:
        """What there is to remember."""
        return {"best": self.best, "best_epoch": self.best_epoch, "state": self._state}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Take it back."""
        self.best, self.best_epoch = float(memory["best"]), int(memory["best_epoch"])
        self._state = memory["state"]


@dataclass
class Checkpoint:
    """Keep all that a training needs to go on, bit for bit, in a file: fit(…, resume=path).

    path: replaced as a whole, so that a kill leaves the one before
    every: after how many steps; None: after every epoch only

    Written at the end of an epoch, and at Ctrl-C, in any case.
    """

    path: str | Path
    every: int | None = None

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        if self.path.is_dir():
            raise ConfigError(
                f"a Checkpoint needs to be a file, but {self.path} is a folder. You might need "
                f"{self.path / 'checkpoint.npz'}."
            )
        if self.every is not None and self.every < 1:
            raise ConfigError(f"a Checkpoint needs every >= 1, or None, but got {self.every}.")

    def on_step(self, training: "Training") -> None:
        """Write, where it is time; at the end of an epoch only when all have seen it."""
        if training.batch and self.every is not None and training.model.steps % self.every == 0:
            training.save(Path(self.path))

    def on_epoch(self, training: "Training") -> None:
        """Write."""
        training.save(Path(self.path))

    def on_end(self, training: "Training") -> None:
        """Write what was reached when Ctrl-C was pressed."""
        if training.interrupted:
            training.save(Path(self.path))


class ProgressBar:
    """A bar in the terminal: epoch, loss, time left."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def on_start(self, training: "Training") -> None:
        """Show the bar."""
        bars = needed("rich.progress")
        self._progress = bars.Progress(
            bars.TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("loss {task.fields[loss]}"),
            bars.TimeRemainingColumn(),
            transient=True,
        )
        self._task = self._progress.add_task(
            "",
            total=training.epochs * training.batches,
            completed=training.done,
            epoch=min(training.epoch + 1, training.epochs),
            epochs=training.epochs,
            loss="",
        )
        self._progress.start()

    def on_step(self, training: "Training") -> None:
        """Move it on."""
        self._progress.update(
            self._task,
            completed=training.done,
            epoch=min(training.epoch + 1, training.epochs),
            loss=f"{training.history.steps[-1]:.4f}",
        )

    def on_end(self, training: "Training") -> None:
        """Take it away."""
        if self._progress is not None:
            self._progress.stop()
