"""A model: layers by name, a loss, an optimizer; one training step of them, and many."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from npnet.autograd import Tensor
from npnet.contract import Array, ConfigError, Layer, Optimizer, State
from npnet.nn import Sequential
from npnet.optim import LBFGS, Groups, clip_grad_norm, clip_grad_value, with_lr
from npnet.optim.lr_scheduler import PlateauState, ReduceLROnPlateau
from npnet.train.data import Samples, samples
from npnet.train.history import History, Means
from npnet.train.metrics import Metric, resolved
from npnet.train.walk import LOSS, Walk, Wiring, applied, evaluating, one_after_the_other, several

SCHEDULES = ("epoch", "step")


@dataclass
class Model:
    """y = forward(x), its parameters trained to make loss(y, target) small.

        Model([nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10)],
              nn.CrossEntropyLoss(), optim.RMSprop(lr=1e-3), ["accuracy"])

    layers: by name; a sequence has the names "0", "1", … as torch.nn.Sequential has them. They are
        in training mode: evaluate and predict switch Dropout, BatchNorm and the like over.
    loss: called with prediction and target; comes to one number
    metrics: functions of prediction and target by name, or names that npnet.train.metrics knows
    forward: forward(call, *inputs) -> y, the wiring; call(name, *inputs, **options) applies a layer
        to tensors, as often as it is called. None: one layer after the other.
    schedule: of npnet.optim.lr_scheduler; the rate by the number of epochs, or with
        schedule_by="step" of steps
    clip_norm, clip_value: what the norm of all gradients together, or an element, is cut down to
    state: torch's state_dict, None before init. Entries of a loss that has any begin with "loss.".
    optimizer_state, plateau_state, steps, epochs: what else a training changes

    An entry that a backward pass sends a gradient to is a parameter. All others are buffers, which
    the optimizer never sees.

    Raises ConfigError.
    """

    layers: Any
    loss: Layer
    optimizer: Optimizer[Any]
    metrics: Any = ()
    _: KW_ONLY
    forward: Wiring | None = None
    schedule: Any = None
    schedule_by: str = "epoch"
    clip_norm: float | None = None
    clip_value: float | None = None
    state: Any = field(default=None, repr=False)
    optimizer_state: Any = field(default=None, repr=False)
    plateau_state: PlateauState | None = field(default=None, repr=False)
    steps: int = field(default=0, repr=False)
    epochs: int = field(default=0, repr=False)
    history: History = field(default_factory=History, repr=False)

    def __post_init__(self) -> None:
        self.layers = _named(self.layers)
        _require_layer("the loss", self.loss)
        self.metrics: dict[str, Metric] = resolved(self.metrics)
        if isinstance(self.optimizer, LBFGS):
            raise ConfigError(
                "a Model needs an optimizer that steps along one gradient, but LBFGS asks for many "
                "in each step. You might need optim.Adam()."
            )
        if self.schedule_by not in SCHEDULES:
            raise ConfigError(
                f"schedule_by needs to be 'epoch' or 'step', but is {self.schedule_by!r}."
            )
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name} needs to be more than 0, or None, but is {limit}.")

    # ---- the state -----------------------------------------------------------------------------

    def init(self, rng: np.random.Generator) -> None:
        """Draw a state, as torch's modules draw theirs, and begin anew."""
        self.state = self.drawn(rng)
        self.optimizer_state, self.plateau_state = None, None
        self.steps, self.epochs, self.history = 0, 0, History()

    def drawn(self, rng: np.random.Generator) -> dict[str, Array]:
        """A state to begin with: that of every layer, its entries behind the layer's name."""
        return {
            f"{n}.{k}": a for n, layer in self._parts.items() for k, a in layer.init(rng).items()
        }

    @property
    def _parts(self) -> dict[str, Layer]:
        return {**self.layers, LOSS: self.loss}

    def require_state(self) -> dict[str, Array]:
        """The state. Raises ConfigError before there is one."""
        if self.state is None:
            raise ConfigError(
                "this needs a model with a state, but there is none yet. "
                "You might need model.init(np.random.default_rng(0)), or model.load(path)."
            )
        return dict(self.state)

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file, under torch's names; at once or not at all.

        torch reads it with module.load_state_dict(safetensors.torch.load_file(path)).
        Raises ConfigError.
        """
        from npnet.train import files

        files.save_state(path, self.require_state())

    def load(self, path: str | Path) -> None:
        """Read the state from a safetensors file, as save or safetensors.torch.save_file wrote it.

        Raises ConfigError for a file that is none, entries missing or unexpected, ShapeError,
        DtypeError; nothing is changed then.
        """
        from npnet.train import files

        self.state = files.load_state(path, self.drawn(np.random.default_rng(0)))
        self.optimizer_state = None

    # ---- a step --------------------------------------------------------------------------------

    def loss_and_grads(
        self, state: State, x: Any, target: Any, rng: np.random.Generator | None = None
    ) -> tuple[float, dict[str, Array], dict[str, Array], Any]:
        """(loss, gradients of the parameters by name, what the pass changed, prediction). Pure.

        x, target: an array, or a tuple of arrays where forward or the loss take several
        """
        walk = Walk(self._parts, state, rng, recorded=True)
        forward = self.forward or one_after_the_other(self.layers)
        y = forward(walk.call, *map(Tensor, several(x)))
        loss = _one_number(self.loss, walk.call(LOSS, *several(y), *several(target)))
        if loss.requires_grad:
            loss.backward()
        prediction = tuple(t.data for t in y) if isinstance(y, tuple) else y.data
        return loss.item(), walk.gradients(), walk.updates, prediction

    def step(self, x: Any, target: Any, rng: np.random.Generator | None = None) -> float:
        """One training step; returns the loss before it."""
        loss, grads, updates, _ = self.loss_and_grads(self.require_state(), x, target, rng)
        self.move(grads, updates)
        return loss

    def move(self, grads: Mapping[str, Array], updates: State) -> None:
        """Let the optimizer take its step along gradients, clipped, at the scheduled rate."""
        clipped: Mapping[str, Array | None] = grads
        if self.clip_value is not None:
            clipped = clip_grad_value(clipped, self.clip_value)
        if self.clip_norm is not None:
            clipped, _ = clip_grad_norm(clipped, self.clip_norm)
        state = {**self.state, **updates}
        grouped = _grouped(self.optimizer)
        params = {n: a for n, a in state.items() if n in grads or n in grouped}
        optimizer = self._scheduled()
        before = self.optimizer_state
        if before is None:
            before = optimizer.init(params)
        stepped, after = optimizer.step(params, clipped, before)
        state |= {name: np.asarray(a) for name, a in stepped.items()}
        self.state, self.optimizer_state = state, after
        self.steps += 1

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        if self.schedule is None:
            one: Any = getattr(self.optimizer, "optimizer", self.optimizer)  # of Groups
            return float(one.lr)
        if isinstance(self.schedule, ReduceLROnPlateau):
            return (self.plateau_state or self.schedule.init()).lr
        return float(self.schedule(self._scheduled_by))

    @property
    def _scheduled_by(self) -> int:
        return self.steps if self.schedule_by == "step" else self.epochs

    def _scheduled(self) -> Any:
        if self.schedule is None:
            return self.optimizer
        optimizer = with_lr(self.optimizer, self.lr)
        momentum = getattr(self.schedule, "momentum", lambda step: None)(self._scheduled_by)
        return optimizer if momentum is None else _with_momentum(optimizer, momentum)

    def end_epoch(self, values: Mapping[str, float]) -> None:
        """Count an epoch; a schedule that looks at what is to be improved sees its values."""
        self.epochs += 1
        if isinstance(self.schedule, ReduceLROnPlateau):
            watched = values.get("val_loss", values["loss"])
            before = self.plateau_state or self.schedule.init()
            self.plateau_state = self.schedule.step(watched, before)

    # ---- many steps ----------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 1,
        batch_size: int = 32,
        validation: Any = None,
        callbacks: Sequence[Any] = (),
        rng: np.random.Generator | int | None = None,
        *,
        resume: str | Path | None = None,
        progress: bool | None = None,
    ) -> History:
        """Train for some epochs; returns loss and metrics of each, which `history` is, too.

        x, y: arrays with the samples along the first axis, or tuples of these
        validation: (x, y), or the part of the samples to hold out: 0.1. Adds "val_loss" and so on.
        callbacks: objects with some of on_start, on_step, on_epoch, on_end, or functions called
            after every epoch; each is called with the Training. See npnet.train.callbacks.
        rng: draws the state where there is none yet, what is held out, the order of the samples in
            every epoch, and what layers draw; an int is a seed
        resume: a checkpoint to go on from, bit for bit, with the same data and batch_size
        progress: whether a bar is shown; None: where there is a terminal

        The values of an epoch are means over its batches, as the parameters were then. Ctrl-C ends
        after the step under way: what callbacks keep is kept, and KeyboardInterrupt is raised.

        Raises ConfigError, what the layers raise, NonFiniteLossError.
        """
        from npnet.train.fitting import fit

        return fit(self, x, y, epochs, batch_size, validation, callbacks, rng, resume, progress)

    def evaluate(self, x: Any, y: Any, batch_size: int = 256) -> dict[str, float]:
        """{"loss": …} and the metrics, in evaluation mode; means over the samples."""
        data = samples(x, y)
        _require_batch_size(batch_size)
        parts, state = _evaluating(self._parts), self.require_state()
        means = Means()
        for xs, ys in data.batches(batch_size):
            prediction = self._predicted(parts, state, xs)
            means.add(self.judge(parts, state, prediction, ys), len(several(xs)[0]))
        return means.values()

    def judge(
        self, parts: Mapping[str, Layer], state: State, prediction: Any, target: Any
    ) -> dict[str, float]:
        """The loss and the metrics of a prediction."""
        given = (*several(prediction), *several(target))
        loss = applied(parts, lambda call, *v: _one_number(self.loss, call(LOSS, *v)), state, given)
        return {"loss": float(loss), **self.measured(prediction, target)}

    def measured(self, prediction: Any, target: Any) -> dict[str, float]:
        """The metrics of a prediction."""
        return {name: float(f(prediction, target)) for name, f in self.metrics.items()}

    def predict(self, x: Any, batch_size: int = 256) -> Any:
        """y of x in evaluation mode: an array, or a tuple of these."""
        data = samples(x)
        _require_batch_size(batch_size)
        parts, state = _evaluating(self._parts), self.require_state()
        found = [self._predicted(parts, state, xs) for xs, _ in data.batches(batch_size)]
        if isinstance(found[0], tuple):
            return tuple(map(np.concatenate, zip(*found, strict=True)))
        return np.concatenate(found)

    def _predicted(self, parts: Mapping[str, Layer], state: State, x: Any) -> Any:
        forward = self.forward or one_after_the_other(self.layers)
        return applied(parts, forward, state, several(x))

    def rehearse(self, data: Samples) -> None:
        """Judge two samples, those with the least and the largest label: what is wrong shows."""
        parts = _evaluating(self._parts)
        xs, ys = data.take(data.extremes())
        self.judge(parts, self.require_state(), self._predicted(parts, self.state, xs), ys)


def _evaluating(parts: Mapping[str, Layer]) -> dict[str, Layer]:
    return {name: evaluating(layer) for name, layer in parts.items()}


def _named(layers: Any) -> dict[str, Layer]:
    if isinstance(layers, Sequential):
        layers = layers.layers
    if not isinstance(layers, Mapping | Sequence) or not layers:
        raise ConfigError(
            "a Model needs layers by name, or a sequence of one layer or more, but got "
            f"{layers!r}. You might need [layer]."
        )
    found = (
        dict(layers)
        if isinstance(layers, Mapping)
        else {str(i): layer for i, layer in enumerate(layers)}
    )
    for name, layer in found.items():
        _require_layer(f"layer {name!r}", layer)
    if LOSS in found:
        raise ConfigError("no layer may be called 'loss', as the entries of the loss are.")
    return found


def _require_layer(what: str, layer: Any) -> None:
    if isinstance(layer, type) or not callable(layer) or not hasattr(layer, "init"):
        fix = f" You might need {layer.__name__}()." if isinstance(layer, type) else ""
        raise ConfigError(
            f"{what} needs to be a layer, with init(rng) and called with a state and inputs, such "
            f"as nn.Linear(3, 4), but is {layer!r}.{fix}"
        )


def _require_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size needs to be at least 1, but is {batch_size}.")


def _one_number(loss: Layer, y: Any) -> Tensor:
    if not isinstance(y, Tensor) or y.data.size != 1:
        shape = y.shape if isinstance(y, Tensor) else "several results"
        raise ConfigError(
            f"the loss needs to come to one number, but {loss} comes to {shape}. "
            "You might need reduction='mean'."
        )
    return y


def _grouped(optimizer: Any) -> set[str]:
    """The parameters that an optimizer with groups names."""
    if not isinstance(optimizer, Groups):
        return set()
    return {name for _, names in optimizer.parts() for name in names}


def _with_momentum(optimizer: Any, momentum: float) -> Any:
    """The optimizer at another momentum, which is β₁ of those that have betas."""
    one = getattr(optimizer, "optimizer", optimizer)
    known = {f.name for f in fields(one)}
    if "momentum" in known:
        one = replace(one, momentum=momentum)
    elif "betas" in known:
        one = replace(one, betas=(momentum, one.betas[1]))
    else:
        raise ConfigError(
            f"the schedule changes the momentum, but {one} has none. You might need "
            "cycle_momentum=False."
        )
    return Groups(one, optimizer.groups) if isinstance(optimizer, Groups) else one
