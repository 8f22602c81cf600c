"""The twins that the rules must cover, and one forward and backward pass of each."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle import Decomposed
from npnet.twins.oracle.bounded import Bounded

Tensor = torch.Tensor
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Twin:
    """A module, and the shapes of its inputs: a set of integers stands for indices below it."""

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Any, ...]
    training: bool = True
    loops: bool = False  # vmap does not know it, or knows it wrong
    like: float = 1.0 + 1e-9  # the factor within which bounds asked in a batch are the same
    scales: tuple[float, ...] = (1.0, 100.0, 0.01)  # of the data that it is asked with
    target: str = ""  # what the second input of a loss is: "probabilities"


def indices(below: int, *shape: int) -> tuple[str, int, Shape]:
    return ("indices", below, shape)


def weights(n: int) -> Tensor:
    return torch.arange(1, n + 1, dtype=torch.float64) / 4


def _twins() -> list[Twin]:
    t: list[Twin] = []

    def add(name: str, make: Callable[[], nn.Module], *inputs: Any, **kwargs: Any) -> None:
        t.append(Twin(name, make, inputs, **kwargs))

    for shape in ((5, 3), (3,), (2, 5, 3), (0, 3)):
        add(f"Linear {shape}", lambda: nn.Linear(3, 4), shape)
        add(f"Linear {shape} no bias", lambda: nn.Linear(3, 4, bias=False), shape)
    for bias in (True, False):
        add(
            f"Bilinear {bias}",
            lambda bias=bias: nn.Bilinear(3, 4, 2, bias),
            (5, 3),
            (5, 4),
            loops=True,
        )
    for mode in ("zeros", "reflect", "replicate", "circular"):
        for name, options in (
            ("strided", {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2}),
            ("same", {"kernel_size": (2, 3), "padding": "same", "dilation": (1, 2), "bias": False}),
        ):
            add(
                f"Conv2d {mode} {name}",
                lambda options=options, mode=mode: nn.Conv2d(4, 6, padding_mode=mode, **options),
                (2, 4, 5, 6),
            )
    add("Conv2d unbatched", lambda: nn.Conv2d(2, 3, (2, 3)), (2, 5, 6))
    add("Conv2d empty", lambda: nn.Conv2d(2, 3, 2), (0, 2, 3, 3))
    add("Conv1d", lambda: nn.Conv1d(2, 3, 2), (2, 2, 5))
    add("Conv1d reflect", lambda: nn.Conv1d(2, 3, 2, padding=1, padding_mode="reflect"), (2, 2, 5))
    add("Conv3d", lambda: nn.Conv3d(2, 3, 2), (1, 2, 3, 3, 3))
    add(
        "ConvTranspose2d",
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1),
        (2, 4, 3, 3),
    )
    add("MaxPool2d", lambda: nn.MaxPool2d(2, dilation=2, ceil_mode=True), (2, 3, 7, 6))
    add(
        "MaxPool2d indices",
        lambda: nn.MaxPool2d((3, 2), stride=2, padding=1, return_indices=True),
        (2, 3, 7, 6),
    )
    add("MaxPool2d unbatched", lambda: nn.MaxPool2d(2), (3, 7, 6))
    add("MaxPool1d", lambda: nn.MaxPool1d(2), (2, 3, 7))
    add(
        "AvgPool2d",
        lambda: nn.AvgPool2d(2, padding=1, ceil_mode=True, count_include_pad=False),
        (2, 3, 7, 6),
    )
    add("AvgPool2d divisor", lambda: nn.AvgPool2d(2, divisor_override=3), (3, 7, 6))
    for training in (True, False):
        for name, options in (
            ("", {}), ("cumulative ", {"momentum": None}), ("no affine ", {"affine": False}),
            ("untracked ", {"track_running_stats": False}),
        ):  # fmt: skip
            for shape in ((5, 3), (4, 3, 2), (3, 3, 2, 2)):
                layer = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
                add(
                    f"BatchNorm {name}{shape} {training}",
                    lambda layer=layer, options=options: layer(
                        3, **{"eps": 2.0**-10, "momentum": 0.125, **options}
                    ),
                    shape,
                    training=training,
                    like=2.5,
                    loops=training and name == "cumulative ",
                )
    add("BatchNorm1d empty", lambda: nn.BatchNorm1d(3), (0, 3))
    for shape, size in (((5, 4), 4), ((5, 3, 4), (3, 4)), ((4,), 4)):
        add(f"LayerNorm {shape}", lambda size=size: nn.LayerNorm(size, 2.0**-10), shape)
        add(
            f"LayerNorm {shape} no bias",
            lambda size=size: nn.LayerNorm(size, 0.5, bias=False),
            shape,
        )
        add(
            f"LayerNorm {shape} no affine",
            lambda size=size: nn.LayerNorm(size, elementwise_affine=False),
            shape,
        )
    for activation in (
        nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.GELU("tanh"), nn.Softmax(1),
        nn.LogSoftmax(1), nn.Softmax(-1), nn.Flatten(), nn.Flatten(0, 1), nn.Identity(),
        nn.LeakyReLU(0.25), nn.PReLU(3), nn.ELU(0.5), nn.SELU(), nn.CELU(2.0), nn.SiLU(), nn.Mish(),
        nn.Softplus(2.0, 1.0), nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(), nn.GLU(),
        nn.Hardtanh(), nn.ReLU6(), nn.Hardsigmoid(), nn.Hardswish(), nn.Hardshrink(),
        nn.Softshrink(), nn.Threshold(0.5, 2.0), nn.Softmin(1),
    ):  # fmt: skip
        add(str(activation), lambda activation=activation: activation, (4, 3, 2))
    add("Softmax of a number", lambda: nn.Softmax(0), ())
    for p in (0.0, 0.25, 0.5, 1.0):
        add(f"Dropout {p}", lambda p=p: nn.Dropout(p), (4, 3), loops=True)
    add("Dropout eval", lambda: nn.Dropout(0.5), (4, 3), training=False)
    for name, options, loops in (
        ("", {}, False), ("padding_idx", {"padding_idx": 1}, True),
        ("max_norm", {"max_norm": 1.0}, True), ("max_norm 1", {"max_norm": 1.0, "norm_type": 1.0},
                                               True),
        ("by frequency", {"scale_grad_by_freq": True}, False),
    ):  # fmt: skip
        add(
            f"Embedding {name}",
            lambda options=options: nn.Embedding(5, 3, **options),
            indices(5, 2, 4),
            loops=loops,
        )
    add("Embedding of a number", lambda: nn.Embedding(5, 3), indices(5))
    for name, options, inputs in (
        ("", {}, ((5, 2, 3),)),
        (
            "all",
            {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5},
            ((2, 4, 3),),
        ),
        ("projected", {"proj_size": 2}, ((4, 2, 3), ((1, 2, 2), (1, 2, 4)))),
        ("no bias, unbatched", {"bias": False}, ((4, 3),)),
        ("states", {"num_layers": 2}, ((4, 2, 3), ((2, 2, 4), (2, 2, 4)))),
    ):
        add(
            f"LSTM {name}",
            lambda options=options: nn.LSTM(3, 4, **options),
            *inputs,
            loops=name == "all",  # vmap refuses to draw masks
        )
    for name, options in (("tanh", {}), ("relu", {"nonlinearity": "relu"})):
        add(
            f"RNN {name}",
            lambda options=options: nn.RNN(3, 4, **options),
            (5, 2, 3),
        )
        add(
            f"RNNCell {name}",
            lambda options=options: nn.RNNCell(3, 4, **options),
            (5, 3),
            (5, 4),
        )
    add("GRU", lambda: nn.GRU(3, 4, 2, bidirectional=True), (4, 2, 3), (4, 2, 4))
    add("GRU no bias, unbatched", lambda: nn.GRU(3, 4, bias=False), (4, 3))
    add("GRUCell", lambda: nn.GRUCell(3, 4), (5, 3), (5, 4))
    add("LSTMCell", lambda: nn.LSTMCell(3, 4), (5, 3), ((5, 4), (5, 4)))
    add(
        "Sequential",
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 2)),
        (5, 3),
    )
    add(
        "Sequential of convolutions",
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 2, padding=1, padding_mode="circular"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 2, 2, padding=1, padding_mode="circular"),
            nn.Flatten(),
        ),
        (2, 2, 4, 5),
    )
    for r in ("none", "mean", "sum"):
        add(f"MSELoss {r}", lambda r=r: nn.MSELoss(reduction=r), (4, 3), (4, 3))
        for name, options, shape, target in (
            ("", {}, (4, 3), indices(3, 4)),
            ("unbatched", {}, (3,), indices(3)),
            ("weight", {"weight": weights(3)}, (4, 3, 2), indices(3, 4, 2)),
            (
                "ignore, smoothing",
                {"weight": weights(3), "label_smoothing": 0.25, "ignore_index": 1},
                (4, 3),
                indices(3, 4),
            ),
            ("trailing, smoothing", {"label_smoothing": 0.25}, (4, 3, 2, 2), indices(3, 4, 2, 2)),
            ("probabilities", {"weight": weights(3), "label_smoothing": 0.25}, (4, 3), (4, 3)),
            ("probabilities, trailing", {}, (4, 3, 2), (4, 3, 2)),
        ):
            add(
                f"CrossEntropyLoss {name} {r}",
                lambda options=options, r=r: nn.CrossEntropyLoss(reduction=r, **options),
                shape,
                target,
                target="probabilities",
                like=2.0,
            )
        add(
            f"BCEWithLogitsLoss {r}",
            lambda r=r: nn.BCEWithLogitsLoss(reduction=r),
            (4, 3),
            (4, 3),
            target="probabilities",
            loops=True,
        )
        add(
            f"BCEWithLogitsLoss weight {r}",
            lambda r=r: nn.BCEWithLogitsLoss(weights(3), reduction=r, pos_weight=weights(3)),
            (4, 3),
            (4, 3),
            target="probabilities",
            loops=True,
        )
    return t  # fmt: skip


TWINS = _twins()


@dataclass
class Data:
    """What one pass takes: inputs, the module's tensors by name, and a cotangent per output."""

    inputs: Any
    state: dict[str, np.ndarray]
    cotangents: list[np.ndarray] = field(default_factory=list)


def drawn(twin: Twin, rng: np.random.Generator, dtype: Any, scale: float = 1.0) -> Data:
    """Values that the dtype holds exactly."""

    def array(shape: Shape) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(dtype).astype(np.float64)

    def one(spec: Any) -> Any:
        if spec and spec[0] == "indices":
            return rng.integers(0, spec[1], spec[2])
        if spec and isinstance(spec[0], tuple):
            return tuple(one(s) for s in spec)
        return array(spec)

    inputs = [one(s) for s in twin.inputs]
    if twin.target == "probabilities" and inputs[1].dtype.kind == "f":
        inputs[1] = np.asarray(rng.uniform(0, 1, inputs[1].shape), dtype).astype(np.float64)
    state = {}
    for name, tensor in twin.make().state_dict().items():
        if not tensor.is_floating_point() or "Loss" in twin.name:
            state[name] = tensor.numpy().copy()
        else:
            values = array(tuple(tensor.shape))
            positive = (abs(values) + 0.5).astype(dtype).astype(np.float64)
            state[name] = positive if "var" in name else values
    return Data(tuple(inputs), state)


def run(twin: Twin, data: Data, wrap: Callable[[np.ndarray], Tensor], batch: int = 0) -> list[Any]:
    """Outputs, gradients of whatever has one, and the state that the pass leaves; 0 is no batch."""
    module = copy.deepcopy(twin.make()).double().train(twin.training)
    places, made = {}, {}
    for path, part in module.named_modules():
        for tensors in (part._parameters, part._buffers):
            for name, old in tensors.items():
                if old is not None:
                    full = f"{path}.{name}" if path else name
                    places[full] = (tensors, name)
                    made[full] = tensor(data.state[full], wrap, batch)
                    if isinstance(old, nn.Parameter):
                        made[full].requires_grad_()

    def leaf(a: np.ndarray) -> Tensor:
        t = tensor(a, wrap, batch)
        return t.requires_grad_() if t.is_floating_point() else t

    inputs = tree_map(leaf, data.inputs)

    recurrent = [m for m in module.modules() if isinstance(m, nn.RNNBase)]

    def call(state: dict[str, Tensor], xs: Any) -> Any:
        for name, (tensors, key) in places.items():
            tensors[key] = state[name]
        for part in recurrent:  # which keep a list of their weights besides
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]
        ys = tuple(tree_leaves(module(*xs)))
        return ys, {name: tensors[key] for name, (tensors, key) in places.items()}

    with Decomposed() if batch else nullcontext():
        ys, after = (torch.func.vmap(call) if batch else call)(made, inputs)
    wanted = [t for t in tree_leaves((made, inputs)) if t.requires_grad]
    differentiable = [y for y in ys if y.requires_grad]
    if len(data.cotangents) < len(differentiable):
        rng = np.random.default_rng(5)
        shapes = [y.shape[1:] if batch else y.shape for y in differentiable]
        data.cotangents = [
            rng.standard_normal(tuple(s)).astype(np.float32).astype(np.float64) for s in shapes
        ]
    dys = [tensor(d, wrap, batch) for d in data.cotangents]
    grads = torch.autograd.grad(differentiable, wanted, dys, allow_unused=True)
    return [*ys, *grads, *after.values()]


def tensor(a: np.ndarray, wrap: Callable[[np.ndarray], Tensor], batch: int) -> Tensor:
    """The array as a tensor, `batch` times where there is a batch."""
    a = np.stack([a] * batch) if batch else a.copy()
    return wrap(a) if a.dtype.kind == "f" else torch.from_numpy(np.asarray(a))


def bounded(a: np.ndarray) -> Tensor:
    """An exact pair."""
    return Bounded(torch.from_numpy(np.asarray(a)))
