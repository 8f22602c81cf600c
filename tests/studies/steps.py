"""Training steps beside torch's: time, memory, and what the record of tensors costs.

    python -m tests.studies.steps [--seconds 3]

Time: both sides take steps in turns in one process, one thread each; the medians and their ratio.
Memory: each side in a process of its own, which has taken some steps, has handed back to the system
what it can, and takes one more; how much larger it has become at the most (VmHWM of Linux). That is
all that a step needs beside the state and the optimizer's: what is kept for the way back,
gradients, and what is in between. Bookkeeping: a chain of operations through tensors, there and
back, less the same operations and vjps called by hand; microseconds an operation.
"""

import argparse
import ctypes
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from npnet import nn
from npnet.autograd import Tensor
from npnet.autograd import operations as ops
from npnet.train import Model, networks, text
from npnet.train.networks import RECIPES

BATCH = 128
GOAL = 1.5
STEPS = ("mlp", "mlp of MNIST", "cnn", "cnn of MNIST", "lstm")


def work(name: str) -> tuple[Model, np.ndarray, np.ndarray]:
    """A model with a state, and a batch."""
    rng = np.random.default_rng(0)
    kind = name.partition(" ")[0]
    recipe = RECIPES[kind]
    if kind == "lstm":
        zen = text.zen()
        known = text.Characters.of(zen)
        x, y = text.windows(known.numbers(zen), recipe.window, 6)
        model = networks.reader(len(known.known), recipe.lr)
        x, y = x[:BATCH], y[:BATCH]
    else:
        side = 28 if name.endswith("MNIST") else 8
        model = networks.classifier(kind, side, side, 10, recipe.lr)
        x = rng.random((BATCH, 1, side, side), np.float32)
        y = rng.integers(0, 10, BATCH)
    model.init(rng)
    return model, x, y


def npnet_step(name: str) -> Callable[[], object]:
    """A training step of npnet."""
    model, x, y = work(name)
    rng = np.random.default_rng(1)
    return lambda: model.step(x, y, rng)


def torch_step(name: str) -> Callable[[], object]:
    """The same step of torch."""
    import torch

    from tests.studies.training import Both

    torch.set_num_threads(1)
    model, x, y = work(name)
    both = Both(model, RECIPES[name.partition(" ")[0]], seed=0)
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)

    def step() -> object:
        both.optimizer.zero_grad()
        loss = both.loss(both.module(inputs), target)
        loss.backward()
        if model.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(both.module.parameters(), model.clip_norm)
        both.optimizer.step()
        return loss.item()

    return step


def times(name: str, seconds: float) -> tuple[float, float]:
    """The median seconds of npnet's step and of torch's."""
    sides = npnet_step(name), torch_step(name)
    found: tuple[list[float], list[float]] = ([], [])
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for side, spent in zip(sides, found, strict=True):
            begin = time.perf_counter()
            side()
            spent.append(time.perf_counter() - begin)
    warm = len(found[0]) // 10
    return median(found[0][warm:]), median(found[1][warm:])


# ---- memory --------------------------------------------------------------------------------------


def grown(side: str, name: str) -> int:
    """Bytes by which this process grows, at the most, in a step. Of Linux."""
    step = npnet_step(name) if side == "npnet" else torch_step(name)
    for _ in range(5):
        step()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(key)


def memory(side: str, name: str) -> float:
    """The median of `grown` in processes of their own."""
    command = [sys.executable, "-m", "tests.studies.steps", "--grown", side, name]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    return median(found)


# ---- bookkeeping ---------------------------------------------------------------------------------


def beyond(run: Callable[[], Any], other: Callable[[], Any], rounds: int = 300) -> float:
    """Seconds that a call takes longer than another; the fastest of many, made in turns."""
    best = [math.inf, math.inf]
    for _ in range(rounds):
        for i, call in enumerate((run, other)):
            begin = time.perf_counter()
            for _ in range(5):
                call()
            best[i] = min(best[i], (time.perf_counter() - begin) / 5)
    return best[0] - best[1]


def of_operators(length: int = 100) -> float:
    """Seconds of an addition beyond its own: y = y + b, and back."""
    a, b, dy = (np.ones(4, np.float32) for _ in "abc")
    one, other = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)

    def tensors() -> None:
        y = one
        for _ in range(length):
            y = y + other
        y.backward(dy)

    def by_hand() -> None:
        y, vjps = a, []
        for _ in range(length):
            y, vjp = ops.add(y, b)
            vjps.append(vjp)
        d, total = dy, np.zeros(4, np.float32)
        for vjp in reversed(vjps):
            d, more = vjp(d)  # type: ignore[assignment]
            total += more

    return beyond(tensors, by_hand) / length


def of_layers(length: int = 100) -> float:
    """Seconds of a layer beyond its own: y = tanh(y), and back."""
    layer, x, dy = nn.Tanh(), np.ones(4, np.float32), np.ones(4, np.float32)
    one = Tensor(x, requires_grad=True)

    def tensors() -> None:
        y = one
        for _ in range(length):
            y = Tensor.apply(layer, y, state={})
        y.backward(dy)

    def by_hand() -> None:
        y, vjps = x, []
        for _ in range(length):
            y, vjp, _ = layer({}, y)
            vjps.append(vjp)
        d = dy
        for vjp in reversed(vjps):
            (d,), _ = vjp(d)

    return beyond(tensors, by_hand) / length


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--grown", nargs=2, metavar=("SIDE", "STEP"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.grown:
        print(grown(*asked.grown))
        return 0

    # before torch is loaded, whose objects the garbage collector would look through as well
    print(f"bookkeeping of an operation, there and back: {of_operators() * 1e6:.1f} µs")
    print(f"of a layer: {of_layers() * 1e6:.1f} µs\n")
    print(
        f"{'a training step, ' + str(BATCH) + ' samples':<28}{'npnet ms':>10}{'torch ms':>10}",
        end="",
    )
    print(f"{'ratio':>8}{'npnet MB':>10}{'torch MB':>10}{'ratio':>8}")
    for name in STEPS:
        ours, theirs = times(name, asked.seconds)
        mine, other = memory("npnet", name), memory("torch", name)
        row = f"{name:<28}{ours * 1e3:>10.2f}{theirs * 1e3:>10.2f}{ours / theirs:>8.2f}"
        print(f"{row}{mine / 2**20:>10.2f}{other / 2**20:>10.2f}{mine / other:>8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
