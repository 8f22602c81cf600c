"""Right networks of random layers, trained beside torch: no false alarm; then with one slip each.

    python -m tests.studies.networks --networks 200

Each network has two to six layers, a loss, an optimizer and hyper-parameters such as people choose
them (0.1, 0.999: numbers that float32 does not have), and is trained for a few steps in float64 and
float32. Afterwards one of its layers gets a gradient that is off by a factor, and has to be named.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn as tnn

from npnet import nn, optim
from npnet.contract import Forward, Grads
from npnet.report.text import failure
from npnet.twins import to_torch
from npnet.verify import Network, TrainingRun

STEPS = 3
_ACTIVATIONS = (
    nn.ReLU(),
    nn.Tanh(),
    nn.GELU(),
    nn.LeakyReLU(0.01),
    nn.ELU(0.3),
    nn.Hardtanh(-0.7, 0.9),
    nn.Softplus(1.3),
    nn.SiLU(),
    nn.Dropout(0.1),
    nn.Softshrink(0.1),
)


def optimizer(rng: np.random.Generator) -> Any:
    """One that steps by dense gradients, at rates that people use."""
    lr = float(rng.choice([0.1, 0.01, 0.003]))
    return (
        optim.SGD(lr=lr, momentum=0.9, nesterov=True),
        optim.SGD(lr=lr, weight_decay=1e-4),
        optim.Adam(lr=lr),
        optim.AdamW(lr=lr, weight_decay=0.05),
        optim.RMSprop(lr=lr, momentum=0.9),
        optim.RMSprop(lr=lr, centered=True),
        optim.Adagrad(lr=lr),
        optim.NAdam(lr=lr),
        optim.RAdam(lr=lr),
        optim.Adamax(lr=lr),
        optim.Adadelta(lr=1.0),
    )[rng.integers(11)]


def dense(rng: np.random.Generator) -> tuple[list[Any], tuple[int, ...]]:
    """Linear layers with what stands between them."""
    n = int(rng.integers(2, 9))
    shape, layers = (n,), []
    for _ in range(int(rng.integers(1, 4))):
        m = int(rng.integers(2, 12))
        layers.append(nn.Linear(n, m))
        kind = int(rng.integers(4))
        if kind == 0:
            layers.append(nn.BatchNorm1d(m))
        elif kind == 1:
            layers.append(nn.LayerNorm(m))
        layers.append(_ACTIVATIONS[rng.integers(len(_ACTIVATIONS))])
        n = m
    return [*layers, nn.Linear(n, 4)], shape


def convolutional(rng: np.random.Generator) -> tuple[list[Any], tuple[int, ...]]:
    """Convolutions, normalised, pooled."""
    side, c = 8, int(rng.integers(1, 4))
    shape, layers = (c, side, side), []
    for _ in range(2):
        k = int(rng.integers(2, 6))
        layers.append(nn.Conv2d(c, k, 3, padding=1))
        kind = int(rng.integers(4))
        if kind == 0:
            layers.append(nn.BatchNorm2d(k))
        elif kind == 1:
            layers.append(nn.GroupNorm(1, k))
        layers.append(_ACTIVATIONS[rng.integers(len(_ACTIVATIONS))])
        layers.append(nn.MaxPool2d(2) if rng.integers(2) else nn.AvgPool2d(2))
        c, side = k, side // 2
    return [*layers, nn.Flatten(), nn.Linear(c * side * side, 4)], shape


def training(seed: int) -> TrainingRun:
    """A network, its twin with the same state, and batches."""
    rng = np.random.default_rng(seed)
    layers, shape = (dense, convolutional)[rng.integers(2)](rng)
    whole = nn.Sequential(*layers)
    state = {
        n: a.astype("float32") if a.dtype.kind == "f" else a for n, a in whole.init(rng).items()
    }
    module = to_torch(whole, state)
    size = int(rng.integers(4, 17))
    regression = rng.integers(3) == 0
    batches = []
    for _ in range(STEPS):
        x = rng.standard_normal((size, *shape)).astype("float32")
        y: Any = rng.standard_normal((size, 4)).astype("float32")
        batches.append((x, y if regression else rng.integers(0, 4, size)))
    loss = (tnn.MSELoss(), tnn.SmoothL1Loss(beta=0.3), tnn.HuberLoss(delta=0.7))[rng.integers(3)]
    if not regression:
        loss = tnn.CrossEntropyLoss(label_smoothing=float(rng.choice([0.0, 0.1])))
    return TrainingRun(layers, module, batches, optimizer(rng), loss=loss)


def slipped(right: TrainingRun, rng: np.random.Generator) -> tuple[TrainingRun, str]:
    """The same with one layer whose gradients are a sixteenth too large, and that layer."""
    at = int(rng.integers(len(right.candidate)))
    layer = right.candidate[at]

    def wrong(case: Any) -> Forward:
        given = {"rng": case.rng} if isinstance(layer, nn.Dropout) else {}
        made = layer(case.state, *case.inputs, **given)

        def vjp(dy: Any) -> Grads:
            inputs, params = made.vjp(dy)
            off = dy.dtype.type(1 + 2.0**-4)
            return Grads(tuple(g * off for g in inputs), {n: g * off for n, g in params.items()})

        return Forward(made.y, vjp, made.updates)

    layers = {str(i): wrong if i == at else one for i, one in enumerate(right.candidate)}
    return replace(right, candidate=Network(layers)), str(at)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    started = time.monotonic()
    counts: Counter[str] = Counter()
    judged = 0
    for seed in range(asked.seed, asked.seed + asked.networks):
        right = training(seed)
        report = right.verify(seed=seed)
        judged += sum(o.judged for r in report.layers for o in r.outcomes.values())
        counts[f"right: exit {report.exit_code}"] += 1
        for finding in report.findings:
            print(f"seed {seed}\n{failure(finding)}\n", flush=True)
        wrong, layer = slipped(right, np.random.default_rng(seed))
        named = {f.layer for f in wrong.verify(seed=seed, dtypes=("float64",)).findings}
        told = "named" if named == {layer} else "not named" if layer not in named else "and others"
        counts[f"wrong: {told}"] += 1
        if told != "named":
            print(f"seed {seed}: layer {layer} is wrong, named {sorted(named)}", flush=True)
    minutes = (time.monotonic() - started) / 60
    print(f"{asked.networks} networks in {minutes:.1f} min, {judged:,} numbers judged by layer")
    for what, n in sorted(counts.items()):
        print(f"  {what}: {n}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
