"""A model: layers by name, a loss, an optimizer; one training step of them."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from npnet.autograd import Tensor
from npnet.contract import Array, Layer, Optimizer, State
from npnet.optim import clip_grad_norm, clip_grad_value
from npnet.train.walk import LOSS, Walk, Wiring, applied, evaluating, one_after_the_other


@dataclass
class Model:
    """y = forward(x), its parameters trained to make loss(y, target) small.

        Model([nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10)],
              nn.CrossEntropyLoss(), optim.RMSprop(lr=1e-3), ["accuracy"])

    layers: by name; a sequence has the names "0", "1", … as torch.nn.Sequential has them. They are
        in training mode: evaluate and predict switch Dropout, BatchNorm and the like over.
    loss: called with prediction and target; must come to one number
    metrics: functions of prediction and target by name, or names that npnet.train.metrics knows
    forward: forward(call, *inputs) -> y, the wiring; call(name, *inputs, **options) applies a layer
        to tensors, as often as it is called. None: one layer after the other.
    schedule: the rate by the number of epochs, or of steps with schedule_by="step"
    clip_norm, clip_value: the largest norm of all gradients together, the largest element
    state: torch's state_dict, None before init. Entries of the loss begin with "loss.".

    An entry that a backward pass sends a gradient to is a parameter; all others are buffers, which
    the optimizer never sees.
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
    steps: int = 0
    epochs: int = 0

    def __post_init__(self) -> None:
        self.layers = _named(self.layers)

    def init(self, rng: np.random.Generator) -> None:
        """Draw a state, as torch's modules draw theirs, and begin anew."""
        self.state = self._drawn(rng)
        self.optimizer_state, self.steps, self.epochs = None, 0, 0

    def _drawn(self, rng: np.random.Generator) -> dict[str, Array]:
        parts = {**self.layers, LOSS: self.loss}
        return {f"{n}.{k}": a for n, layer in parts.items() for k, a in layer.init(rng).items()}

    def loss_and_grads(
        self, state: State, x: Any, target: Any, rng: np.random.Generator | None = None
    ) -> tuple[float, dict[str, Array], dict[str, Array], Any]:
        """(loss, gradients of the parameters by name, what the pass changed, prediction).

        x, target: an array, or a tuple of arrays where forward or the loss take several. Pure.
        """
        walk = Walk({**self.layers, LOSS: self.loss}, state, rng, recorded=True)
        forward = self.forward or one_after_the_other(self.layers)
        y = forward(walk.call, *map(Tensor, _several(x)))
        loss = walk.call(LOSS, *_several(y), *_several(target))
        loss.backward()
        prediction = tuple(t.data for t in y) if isinstance(y, tuple) else y.data
        return loss.item(), walk.gradients(), walk.updates, prediction

    def step(self, x: Any, target: Any, rng: np.random.Generator | None = None) -> float:
        """One training step; the loss before it."""
        loss, grads, updates, _ = self.loss_and_grads(self.state, x, target, rng)
        self.state, self.optimizer_state = self.stepped(grads, updates)
        self.steps += 1
        return loss

    def stepped(self, grads: Mapping[str, Array], updates: State) -> tuple[dict[str, Array], Any]:
        """The state and the optimizer's after a step along these gradients."""
        clipped: Mapping[str, Array | None] = grads
        if self.clip_value is not None:
            clipped = clip_grad_value(clipped, self.clip_value)
        if self.clip_norm is not None:
            clipped, _ = clip_grad_norm(clipped, self.clip_norm)
        state = {**self.state, **updates}
        params = {name: state[name] for name in grads}
        before = self.optimizer_state
        if before is None:
            before = self.optimizer.init(params)
        params, after = self.optimizer.step(params, clipped, before)
        return {**state, **params}, after

    def predict(self, x: Any) -> Any:
        """y of x, in evaluation mode."""
        layers = {name: evaluating(layer) for name, layer in self.layers.items()}
        forward = self.forward or one_after_the_other(layers)
        return applied(layers, forward, self.state, _several(x), None)


def _named(layers: Any) -> dict[str, Layer]:
    if isinstance(layers, Mapping):
        return dict(layers)
    return {str(i): layer for i, layer in enumerate(layers)}


def _several(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)
