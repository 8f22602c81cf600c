"""Networks with one planted mistake each, in a layer, a loss, an optimizer or the wiring."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from npnet import nn, optim
from npnet.contract import Forward, Grads
from npnet.verify import Network, TrainingRun, adapt

LOSS = torch.nn.CrossEntropyLoss()
STEPS = 4


def batches(width: int = 6, classes: int = 3) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((12, width)), rng.integers(0, classes, 12)) for _ in range(STEPS)]


def images() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(2)
    return [(rng.standard_normal((6, 1, 6, 6)), rng.integers(0, 3, 6)) for _ in range(STEPS)]


def words() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(3)
    return [(rng.integers(0, 5, (7, 4)), rng.integers(0, 5, 28)) for _ in range(STEPS)]


# ---- twins ---------------------------------------------------------------------------------------


class Residual(torch.nn.Module):
    """out(fc2(tanh(fc1 x)) + fc1 x)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.act = torch.nn.Linear(6, 5), torch.nn.Tanh()
        self.fc2, self.out = torch.nn.Linear(5, 5), torch.nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc1(x)
        found: torch.Tensor = self.out(self.fc2(self.act(h)) + h)
        return found


class Shared(torch.nn.Module):
    """out(tanh(fc(tanh(fc x)))): fc and tanh are used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = torch.nn.Linear(6, 6), torch.nn.Tanh()
        self.out = torch.nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(self.act(self.fc(self.act(self.fc(x)))))
        return found


class Characters(torch.nn.Module):
    """An embedding, an LSTM, and a linear layer for every position."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = torch.nn.Embedding(5, 4), torch.nn.LSTM(4, 6)
        self.out = torch.nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(self.embedding(x))
        found: torch.Tensor = self.out(y.reshape(-1, 6))
        return found


def seeded(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A module with the same parameters every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def dense() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )


def convolutional() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.25),
        torch.nn.Linear(16, 3),
    )


# ---- right networks ------------------------------------------------------------------------------

DENSE = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)]
CONVOLUTIONAL = [
    nn.Conv2d(1, 4, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Dropout(0.25),
    nn.Linear(16, 3),
]
RESIDUAL = {
    "fc1": nn.Linear(6, 5),
    "act": nn.Tanh(),
    "fc2": nn.Linear(5, 5),
    "out": nn.Linear(5, 3),
}
SHARED = {"fc": nn.Linear(6, 6), "act": nn.Tanh(), "out": nn.Linear(6, 3)}
CHARACTERS = {"embedding": nn.Embedding(5, 4), "lstm": nn.LSTM(4, 6), "out": nn.Linear(6, 5)}


def residual(call: Any, x: Any) -> Any:
    h = call("fc1", x)
    return call("out", call("fc2", call("act", h)) + h)


def shared(call: Any, x: Any) -> Any:
    return call("out", call("act", call("fc", call("act", call("fc", x)))))


def characters(call: Any, x: Any) -> Any:
    y = call("lstm", call("embedding", x))[0]
    return call("out", y.reshape(-1, 6))


def training(candidate: Any, build: Any, data: Any, optimizer: Any = None) -> TrainingRun:
    return TrainingRun(
        candidate,
        lambda: seeded(build),
        data(),
        optimizer or optim.SGD(lr=0.125, momentum=0.5),
        loss=LOSS,
    )


RIGHT = {
    "dense": training(DENSE, dense, batches),
    "convolutional": training(CONVOLUTIONAL, convolutional, images, optim.RMSprop(lr=0.0625)),
    "residual": training(Network(RESIDUAL, residual), Residual, batches, optim.Adam(lr=0.0625)),
    "shared": training(Network(SHARED, shared), Shared, batches),
    "characters": training(
        Network(CHARACTERS, characters), Characters, words, optim.AdamW(lr=0.0625)
    ),
}


# ---- planted mistakes ----------------------------------------------------------------------------


class Affine:
    """A class as books have it; its gradient of b is averaged."""

    def __init__(self, W: Any, b: Any) -> None:
        self.W, self.b = W, b

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy: Any) -> Any:
        self.dW, self.db = self.x.T @ dy, dy.mean(axis=0)
        return dy @ self.W.T


def batchnorm(case: Any) -> Forward:
    """A normalisation whose gradient takes the statistics for constants."""
    right = nn.BatchNorm1d(8)(case.state, *case.inputs)
    x = case.inputs[0]
    rstd = 1 / np.sqrt(x.var(axis=0) + case.config["eps"])

    def vjp(dy: Any) -> Grads:
        return Grads((dy * rstd * case.state["weight"],), right.vjp(dy).params)

    return Forward(right.y, vjp, right.updates)


def running(case: Any) -> Forward:
    """A normalisation whose running variance is the biased one."""
    right = nn.BatchNorm1d(8)(case.state, *case.inputs)
    biased = 0.9 * case.state["running_var"] + 0.1 * case.inputs[0].var(axis=0)
    now = {**right.updates, "running_var": biased.astype(case.inputs[0].dtype)}
    return Forward(right.y, right.vjp, now)


def dropout(case: Any) -> Forward:
    """A dropout that goes back through what it dropped."""
    right = nn.Dropout(0.25)(case.state, *case.inputs, rng=case.rng)
    return Forward(right.y, lambda dy: Grads((dy / dy.dtype.type(0.75),)))


def crossentropy(case: Any) -> Forward:
    """A loss whose gradient is not averaged over the batch."""
    right = nn.CrossEntropyLoss()(case.state, *case.inputs)
    n = len(case.inputs[1])
    return Forward(right.y, lambda dy: Grads((n * right.vjp(dy).inputs[0], None)))


def forgets(config: Any, params: Any, grads: Any, lr: Any) -> list[Any]:
    """Momentum that is lost with the third step."""
    found, v = [], {n: np.zeros_like(p) for n, p in params.items()}
    for k, (g, rate) in enumerate(zip(grads, lr, strict=True)):
        v = {n: (0 if k == 2 else config["momentum"]) * v[n] + g[n] for n in v}
        params = {n: params[n] - rate * v[n] for n in v}
        found.append(params)
    return found


def inside(config: Any, params: Any, grads: Any, lr: Any) -> list[Any]:
    """RMSprop with eps inside of the root, as TensorFlow has it."""
    found, s = [], {n: np.zeros_like(p) for n, p in params.items()}
    a, eps = config["alpha"], config["eps"]
    for g, rate in zip(grads, lr, strict=True):
        s = {n: a * s[n] + (1 - a) * g[n] ** 2 for n in s}
        params = {n: params[n] - rate * g[n] / np.sqrt(s[n] + eps) for n in s}
        found.append(params)
    return found


def cut(call: Any, x: Any) -> Any:
    """A skip connection without a way back."""
    h = call("fc1", x)
    return call("out", call("fc2", call("act", h)) + h.detach())


def elsewhere(call: Any, x: Any) -> Any:
    """A skip connection that begins behind the activation."""
    a = call("act", call("fc1", x))
    return call("out", call("fc2", a) + a)


def once(call: Any, x: Any) -> Any:
    """A layer that is used twice, and goes back through its second use only."""
    h = call("act", call("fc", x)).detach()
    return call("out", call("act", call("fc", h)))


@dataclass(frozen=True)
class Planted:
    """A mistake, and what is to be named: the layer, the quantity's beginning, and the step."""

    name: str
    training: TrainingRun
    layer: str
    quantity: str
    step: int = 1


def _with(layers: Any, at: Any, layer: Any) -> Any:
    found = dict(layers) if isinstance(layers, dict) else list(layers)
    found[at] = layer
    return found


_AFFINE = adapt.stateful(Affine, {"W": "weight: o i -> i o", "b": "bias"})
PLANTED = (
    Planted(
        "a linear layer averages the gradient of its bias",
        training(_with(DENSE, 3, _AFFINE), dense, batches),
        "3",
        "gradient of bias",
    ),
    Planted(
        "a normalisation takes its statistics for constants",
        training(_with(DENSE, 1, batchnorm), dense, batches),
        "1",
        "gradient of input 0",
    ),
    Planted(
        "a running variance is biased",
        training(_with(DENSE, 1, running), dense, batches),
        "1",
        "next running_var",
    ),
    Planted(
        "a dropout goes back through what it dropped",
        training(_with(CONVOLUTIONAL, 4, dropout), convolutional, images),
        "4",
        "gradient of input 0",
    ),
    Planted(
        "a loss is not averaged on the way back",
        training(Network(RESIDUAL, residual, loss=crossentropy), Residual, batches),
        "loss",
        "gradient of input 0",
    ),
    Planted(
        "an optimizer forgets its momentum in the third step",
        training(
            Network(RESIDUAL, residual, optimizer=adapt.optimizer(forgets)), Residual, batches
        ),
        "optimizer",
        "params after step 3",
        3,
    ),
    Planted(
        "an optimizer has eps inside of the root",
        training(
            Network(RESIDUAL, residual, optimizer=adapt.optimizer(inside)),
            Residual,
            batches,
            optim.RMSprop(lr=0.0625, eps=2.0**-10),
        ),
        "optimizer",
        "params after step 1",
    ),
    Planted(
        "a skip connection has no way back",
        training(Network(RESIDUAL, cut), Residual, batches),
        "wiring",
        "gradient of y of fc1",
    ),
    Planted(
        "a skip connection begins in the wrong place",
        training(Network(RESIDUAL, elsewhere), Residual, batches),
        "wiring",
        "input 0 of out",
    ),
    Planted(
        "a shared layer goes back through one of its uses",
        training(Network(SHARED, once), Shared, batches),
        "wiring",
        "gradient of y of act",
    ),
)
