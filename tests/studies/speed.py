"""npnet's layers beside torch's: forward plus backward in float32, one thread against one thread.

    python -m tests.studies.speed [LAYER…] [--seconds 0.5]

Both sides run in turns in one process, at sizes that people use, so that a noisy machine slows
both; the figure is the ratio of their fastest runs. Optimizers take a step on a million parameters.
"""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from npnet import optim
from npnet.contract import SparseGrad
from npnet.twins import SPECS, to_torch
from npnet.twins.autograd import MODULES
from npnet.verify.case import Case, LayerConfig
from npnet.verify.targets import build, own_function

IMAGES = (16, 64, 32, 32)
ROWS = (32 * 64, 512)
MATRIX = (
    *("Linear", "Bilinear", "Conv?d", "ConvTranspose?d", "MultiheadAttention", "Transformer*"),
    *("RNN*", "LSTM*", "GRU*", "LinearCrossEntropyLoss", "AdaptiveLogSoftmaxWithLoss"),
)
"""Where matrix products dominate."""


@dataclass(frozen=True)
class Of:
    """An input: floats of a shape, or integers below `high`, or numbers of a kind."""

    shape: tuple[int, ...]
    kind: str = "normal"
    high: int = 0

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The array."""
        if self.kind == "index":
            return rng.integers(0, self.high, self.shape)
        if self.kind == "labels":  # 0 is the blank
            return rng.integers(1, self.high, self.shape)
        if self.kind == "unit":
            return rng.uniform(0.05, 0.95, self.shape).astype(np.float32)
        if self.kind == "sign":
            return rng.choice(np.float32([-1, 1]), self.shape)
        if self.kind == "rows":  # probabilities along the last axis
            x = rng.random(self.shape) + 0.1
            return (x / x.sum(-1, keepdims=True)).astype(np.float32)
        return rng.standard_normal(self.shape).astype(np.float32)


@dataclass(frozen=True)
class Work:
    """What a layer is asked: its configuration, its inputs, its keyword arguments."""

    config: dict[str, Any]
    inputs: tuple[Any, ...]
    kwargs: dict[str, Any]


def work(*inputs: Any, kwargs: dict[str, Any] | None = None, **config: Any) -> Work:
    """The configuration as keywords; a tuple of numbers is a shape."""
    shapes = tuple(Of(x) if isinstance(x, tuple) and isinstance(x[0], int) else x for x in inputs)
    return Work(config, shapes, kwargs or {})


def index(high: int, *shape: int) -> Of:
    """Integers below `high`."""
    return Of(shape, "index", high)


_ELEMENTWISE = """
    ReLU Sigmoid Tanh GELU ELU Hardshrink Hardsigmoid Hardtanh Hardswish LeakyReLU LogSigmoid PReLU
    ReLU6 SELU CELU SiLU Mish Softplus Softshrink Softsign Tanhshrink Identity Flatten Dropout
    AlphaDropout RReLU
"""


def _elementwise() -> dict[str, Work]:
    names = _ELEMENTWISE.split()
    found = {name: work(IMAGES) for name in names}
    found |= {
        "Threshold": work(IMAGES, threshold=0.5, value=0.0),
        "GLU": work(IMAGES, dim=1),
        "Softmax": work(ROWS, dim=-1),
        "Softmin": work(ROWS, dim=-1),
        "LogSoftmax": work(ROWS, dim=-1),
        "Softmax2d": work(IMAGES),
        "Dropout1d": work((16, 64, 1024)),
        "Dropout2d": work(IMAGES),
        "Dropout3d": work((16, 64, 4, 16, 16)),
        "FeatureAlphaDropout": work(IMAGES),
        "Unflatten": work((32, 1024), dim=1, unflattened_size=(32, 32)),
        "PixelShuffle": work(IMAGES, upscale_factor=2),
        "PixelUnshuffle": work(IMAGES, downscale_factor=2),
        "ChannelShuffle": work(IMAGES, groups=4),
        "Upsample": work((16, 16, 16, 16), scale_factor=2.0, mode="bilinear"),
        "UpsamplingNearest2d": work((16, 16, 32, 32), scale_factor=2),
        "UpsamplingBilinear2d": work((16, 16, 32, 32), scale_factor=2),
    }
    shapes = {1: (16, 64, 1024), 2: IMAGES, 3: (8, 16, 8, 32, 32)}
    for d, shape in shapes.items():
        for kind in ("Reflection", "Replication", "Zero", "Circular"):
            found[f"{kind}Pad{d}d"] = work(shape, padding=1)
        found[f"ConstantPad{d}d"] = work(shape, padding=1, value=0.5)
    return found


def _convolutions() -> dict[str, Work]:
    found = {
        "Linear": work((32 * 64, 512), in_features=512, out_features=512),
        "Bilinear": work((32, 128), (32, 128), in1_features=128, in2_features=128, out_features=64),
        "Fold": work((16, 64 * 9, 32 * 32), output_size=32, kernel_size=3, padding=1),
        "Unfold": work(IMAGES, kernel_size=3, padding=1),
    }
    shapes = {1: (16, 128, 128), 2: IMAGES, 3: (4, 16, 8, 32, 32)}
    for d, shape in shapes.items():
        C = shape[1]
        arguments = {"in_channels": C, "out_channels": C, "kernel_size": 3, "padding": 1}
        found[f"Conv{d}d"] = work(shape, **arguments)
        found[f"ConvTranspose{d}d"] = work(shape, **arguments)
        found[f"MaxPool{d}d"] = work(shape, kernel_size=2)
        found[f"AvgPool{d}d"] = work(shape, kernel_size=2)
        found[f"LPPool{d}d"] = work(shape, norm_type=2.0, kernel_size=2)
        found[f"AdaptiveMaxPool{d}d"] = work(shape, output_size=8)
        found[f"AdaptiveAvgPool{d}d"] = work(shape, output_size=8)
        pooled = (*shape[:2], *(n // 2 for n in shape[2:]))
        size = math.prod(shape[2:])
        places = np.arange(size).reshape(shape[2:])[(slice(None, None, 2),) * d]
        indices = np.broadcast_to(places, pooled).copy()
        found[f"MaxUnpool{d}d"] = work(pooled, indices, kernel_size=2)
        if d > 1:
            found[f"FractionalMaxPool{d}d"] = work(shape, kernel_size=2, output_ratio=0.5)
    return found


def _normalisations() -> dict[str, Work]:
    found = {
        "LayerNorm": work(ROWS, normalized_shape=(512,)),
        "RMSNorm": work(ROWS, normalized_shape=(512,)),
        "GroupNorm": work(IMAGES, num_groups=8, num_channels=64),
        "LocalResponseNorm": work(IMAGES, size=5),
        "CrossMapLRN2d": work(IMAGES, size=5),
    }
    for d, shape in {1: (16, 64, 1024), 2: IMAGES, 3: (16, 64, 4, 16, 16)}.items():
        found[f"BatchNorm{d}d"] = work(shape, num_features=64)
        found[f"InstanceNorm{d}d"] = work(shape, num_features=64, affine=True)
    return found


def _sequences() -> dict[str, Work]:
    sequence, row = (64, 32, 128), (32, 128)
    found = {n: work(sequence, input_size=128, hidden_size=128) for n in ("RNN", "LSTM", "GRU")}
    found |= {
        f"{n}Cell": work(row, input_size=128, hidden_size=128) for n in ("RNN", "LSTM", "GRU")
    }
    layer = {"d_model": 128, "nhead": 4, "dim_feedforward": 256, "dropout": 0.0}
    encoder = LayerConfig("TransformerEncoderLayer", layer)
    decoder = LayerConfig("TransformerDecoderLayer", layer)
    long = (64, 16, 128)
    return found | {
        "MultiheadAttention": work(long, long, long, embed_dim=128, num_heads=4),
        "TransformerEncoderLayer": work(long, **layer),
        "TransformerDecoderLayer": work(long, long, **layer),
        "TransformerEncoder": work(long, encoder_layer=encoder, num_layers=2),
        "TransformerDecoder": work(long, long, decoder_layer=decoder, num_layers=2),
        "Transformer": work(long, long, **layer, num_encoder_layers=1, num_decoder_layers=1),
        "Embedding": work(index(1000, 32, 64), num_embeddings=1000, embedding_dim=256),
        "EmbeddingBag": work(index(1000, 32, 64), num_embeddings=1000, embedding_dim=256),
        "Sequential": work(
            (128, 512),
            layers=(
                LayerConfig("Linear", {"in_features": 512, "out_features": 512}),
                LayerConfig("ReLU", {}),
                LayerConfig("Linear", {"in_features": 512, "out_features": 10}),
            ),
        ),
    }


def _losses() -> dict[str, Work]:
    x, labels = (2048, 256), index(256, 2048)
    pairs = ["L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss"]
    found = {name: work(x, x) for name in pairs}
    chosen = Of(x, "unit")
    return found | {
        "NLLLoss": work(x, labels),
        "CrossEntropyLoss": work(x, labels),
        "MultiMarginLoss": work(x, labels),
        "MultiLabelMarginLoss": work((64, 128), index(128, 64, 128)),
        "MultiLabelSoftMarginLoss": work(x, chosen),
        "SoftMarginLoss": work(x, Of(x, "sign")),
        "HingeEmbeddingLoss": work(x, Of(x, "sign")),
        "KLDivLoss": work(x, Of(x, "rows"), reduction="batchmean"),
        "BCELoss": work(chosen, chosen),
        "BCEWithLogitsLoss": work(x, chosen),
        "GaussianNLLLoss": work(x, x, chosen),
        "MarginRankingLoss": work((2048 * 64,), (2048 * 64,), Of((2048 * 64,), "sign")),
        "CosineEmbeddingLoss": work(x, x, Of((2048,), "sign")),
        "TripletMarginLoss": work(x, x, x),
        "TripletMarginWithDistanceLoss": work(x, x, x),
        "CosineSimilarity": work(x, x),
        "PairwiseDistance": work(x, x),
        "CTCLoss": work((64, 16, 32), Of((16, 20), "labels", 32), np.full(16, 64), np.full(16, 20)),
        "AdaptiveLogSoftmaxWithLoss": work(
            (512, 128), index(1000, 512), in_features=128, n_classes=1000, cutoffs=[100, 500]
        ),
        "LinearCrossEntropyLoss": work(
            (512, 128), index(1000, 512), in_features=128, num_classes=1000
        ),
    }


def _operations() -> dict[str, Work]:
    """Of a tensor: with the record that it keeps, and the walk back."""
    x, row = (512, 1024), (1024,)
    pairs = {n: work(x, row) for n in ("add", "sub", "mul")}
    alone = {n: work(x) for n in ("neg", "exp", "sigmoid", "tanh", "relu")}
    reduced = {n: work(x, axis=1) for n in ("sum", "mean", "max", "softmax")}
    moved = {"reshape": {"shape": (1024, 512)}, "transpose": {"axes": (1, 0)}}
    found = (pairs | alone | reduced | {n: work(x, **how) for n, how in moved.items()}) | {
        "div": work(x, Of(row, "unit")),
        "pow": work(Of(x, "unit"), row),
        "log": work(Of(x, "unit")),
        "matmul": work((16, 128, 128), (128, 128)),
        "expand": work((512, 1), shape=x),
        "index": work(x, index(512, 2048)),
        "index_select": work(x, kwargs={"indices": np.arange(1024) % 512}, axis=0),
        "cross_entropy": work((2048, 256), index(256, 2048)),
    }
    return {f"autograd.{name}": asked for name, asked in found.items()}


def everything() -> dict[str, Work]:
    """The work of every layer."""
    layers = _elementwise() | _convolutions() | _normalisations() | _sequences() | _losses()
    return layers | _operations()


def fastest(*runs: Callable[[], Any], seconds: float) -> list[float]:
    """The fastest of the calls of each, made in turns for so long."""
    best = [math.inf] * len(runs)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for i, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - begin)
    return best


def layer_times(name: str, asked: Work, seconds: float) -> tuple[float, float]:
    """Seconds of npnet and of torch for forward plus backward."""
    rng = np.random.default_rng(0)
    state: Any = {}
    kwargs = dict(asked.kwargs)
    if name.startswith("autograd."):
        layer, module = _recorded(name, asked.config), MODULES[name](**asked.config)
    else:
        layer = build(name, asked.config)
        state = layer.init(rng)
        module = to_torch(layer, state)
        if "rng" in type(layer).__call__.__annotations__:
            kwargs["rng"] = rng
    inputs = [x.draw(rng) if isinstance(x, Of) else x for x in asked.inputs]
    forward = layer(state, *inputs, **kwargs)
    many = isinstance(forward.y, tuple)
    dys = [
        None if y.dtype.kind != "f" else Of(y.shape).draw(rng)
        for y in (forward.y if many else (forward.y,))
    ]

    def ours() -> None:
        passed = layer(state, *inputs, **kwargs)
        passed.vjp(tuple(dys) if many else dys[0])

    # torch refuses to differentiate by signs that are labels
    signs = [isinstance(x, Of) and x.kind == "sign" for x in asked.inputs]
    tensors = [_leaf(x, not sign) for x, sign in zip(inputs, signs, strict=True)]
    wanted = [t for t in tensors if isinstance(t, torch.Tensor) and t.requires_grad]
    wanted += [p for p in module.parameters() if p.requires_grad]
    cotangents = [None if dy is None else torch.from_numpy(np.asarray(dy)) for dy in dys]

    given = {n: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
             for n, x in asked.kwargs.items()}  # fmt: skip

    def theirs() -> None:
        ys = _flat(module(*tensors, **given))
        pairs = [(y, d) for y, d in zip(ys, cotangents, strict=True) if y.requires_grad]
        if pairs and wanted:
            torch.autograd.grad(
                [y for y, _ in pairs], wanted, [d for _, d in pairs], allow_unused=True
            )

    ours()
    theirs()
    mine, other = fastest(ours, theirs, seconds=seconds)
    return mine, other


def _recorded(name: str, config: dict[str, Any]) -> Any:
    """An operation of a tensor, as a layer is called."""
    function = own_function(name)
    assert function is not None
    return lambda state, *inputs, **kwargs: function(Case(config, state, inputs, kwargs))


def optimizer_times(name: str, seconds: float) -> tuple[float, float]:
    """Seconds of a step on a million float32 parameters; of SparseAdam on a tenth of the rows."""
    rng = np.random.default_rng(0)
    p, g = Of((1000, 1000)).draw(rng), Of((1000, 1000)).draw(rng)
    cls = getattr(optim, name)
    ours = cls() if name != "LBFGS" else cls(max_iter=2)
    tensor = torch.nn.Parameter(torch.from_numpy(p.copy()))
    theirs = getattr(torch.optim, name)([tensor], **({"max_iter": 2} if name == "LBFGS" else {}))
    if name == "LBFGS":
        return _closure_times(ours, theirs, tensor, p, g, seconds)
    gradient: Any = g
    if name == "SparseAdam":
        rows = np.arange(0, 1000, 10)
        gradient = SparseGrad(rows[None], g[rows], g.shape)
        tensor.grad = torch.sparse_coo_tensor(rows[None], torch.from_numpy(g[rows]), g.shape)
    else:
        tensor.grad = torch.from_numpy(g.copy())
    state = [ours.init({"p": p})]

    def mine() -> None:
        _, state[0] = ours.step({"p": p}, {"p": gradient}, state[0])

    mine()
    theirs.step()
    times = fastest(mine, theirs.step, seconds=seconds)
    return times[0], times[1]


def _closure_times(
    ours: Any, theirs: Any, tensor: Any, p: Any, g: Any, seconds: float
) -> tuple[float, float]:
    target = torch.from_numpy(g)

    def closure(params: Any) -> tuple[Any, Any]:
        d = params["p"] - g
        return np.vdot(d, d) / 2, {"p": d}

    def torch_closure() -> Any:
        with torch.no_grad():
            d = tensor - target
            tensor.grad = d
            return (d * d).sum() / 2

    def mine() -> None:
        ours.step({"p": p}, closure, ours.init({"p": p}))

    start = torch.from_numpy(p)

    def other() -> None:
        theirs.state.clear()
        with torch.no_grad():
            tensor.copy_(start)
        theirs.step(torch_closure)

    times = fastest(mine, other, seconds=seconds)
    return times[0], times[1]


def _leaf(x: Any, differentiable: bool) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    t = torch.from_numpy(x.copy())
    return t.requires_grad_() if differentiable and t.is_floating_point() else t


def _flat(y: Any) -> list[torch.Tensor]:
    if isinstance(y, torch.Tensor):
        return [y]
    return [] if y is None else [t for part in y for t in _flat(part)]


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def main(argv: Sequence[str] | None = None) -> int:
    from fnmatch import fnmatchcase

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--seconds", type=float, default=0.5)
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    works = everything()
    names = [n for n in SPECS if not n.startswith("lr_scheduler.") and n != "optim.Groups"]
    if asked.layers:
        names = [n for n in names if any(fnmatchcase(n, p) for p in asked.layers)]
    missing = [n for n in names if n not in works and not n.startswith("optim.")]
    ratios: dict[str, float] = {}
    print(f"{'':<32}{'npnet ms':>10}{'torch ms':>10}{'ratio':>8}")
    for name in names:
        if name in missing:
            continue
        try:
            if name.startswith("optim."):
                mine, theirs = optimizer_times(name.removeprefix("optim."), asked.seconds)
            else:
                mine, theirs = layer_times(name, works[name], asked.seconds)
        except Exception as error:  # the others are measured all the same
            missing.append(f"{name}: {type(error).__name__}: {error}")
            continue
        ratios[name] = mine / theirs
        row = f"{name:<32}{mine * 1e3:>10.2f}{theirs * 1e3:>10.2f}{ratios[name]:>8.2f}"
        print(row, flush=True)
    layers = {n: r for n, r in ratios.items() if "." not in n}
    operations = {n: r for n, r in ratios.items() if n.startswith("autograd.")}
    products = [r for n, r in layers.items() if any(fnmatchcase(n, p) for p in MATRIX)]
    steps = [r for n, r in ratios.items() if n.startswith("optim.")]
    print(f"\ngeometric mean over {len(layers)} layers: {_mean(list(layers.values())):.2f}")
    print(f"where matrix products dominate ({len(products)}): {_mean(products):.2f}")
    print(f"over {len(steps)} optimizers: {_mean(steps):.2f}")
    print(f"over {len(operations)} operations of a tensor: {_mean(list(operations.values())):.2f}")
    slow = {n: r for n, r in ratios.items() if r > (2 if n.startswith("optim.") else 4)}
    for name, r in sorted(slow.items(), key=lambda row: -row[1]):
        print(f"  slow: {name} {r:.1f}x")
    for name in missing:
        print(f"  not measured: {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
