"""Networks trained in npnet and in torch, from the same state, with the same batches.

    python -m tests.studies.training [mlp|cnn|lstm…] [--seeds 5]

mlp and cnn: the accuracy on scikit-learn's digits that neither has seen, seed by seed. lstm: the
loss on the Zen of Python, epoch by epoch. float32 on both sides, and so the paths part in time.
"""

import argparse
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from statistics import mean

import numpy as np
import torch

from npnet.train import Model, digits, networks, text
from npnet.train.networks import RECIPES, Recipe
from npnet.twins import to_torch

Batch = tuple[np.ndarray, np.ndarray]


def batches(x: np.ndarray, y: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """The samples of an epoch, in a new order."""
    order = rng.permutation(len(x))
    for start in range(0, len(x), size):
        chosen = order[start : start + size]
        yield x[chosen], y[chosen]


class Reader(torch.nn.ModuleDict):
    """networks.read in torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self["fc"](self["lstm"](self["embedding"](x))[0]).transpose(1, 2)


def twin(model: Model) -> torch.nn.Module:
    """The same layers in torch, with the same names and numbers."""
    parts: OrderedDict[str, torch.nn.Module] = OrderedDict()
    for name, layer in model.layers.items():
        own = {n.partition(".")[2]: a for n, a in model.state.items() if n.startswith(f"{name}.")}
        parts[name] = to_torch(layer, own)
    return torch.nn.Sequential(parts) if model.forward is None else Reader(parts)


class Both:
    """A model and its twin, trained side by side."""

    def __init__(self, model: Model, recipe: Recipe, seed: int):
        self.model, self.rng = model, np.random.default_rng(seed)
        model.init(self.rng)
        self.module = twin(model)
        optimizer = getattr(torch.optim, recipe.optimizer.__name__)
        self.optimizer = optimizer(self.module.parameters(), lr=recipe.lr)
        self.loss = torch.nn.CrossEntropyLoss()

    def step(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """The loss of npnet, and of torch, before a step of each."""
        ours = self.model.step(x, y, self.rng)
        self.optimizer.zero_grad()
        loss = self.loss(self.module(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        if self.model.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.model.clip_norm)
        self.optimizer.step()
        return ours, loss.item()

    def epoch(self, x: np.ndarray, y: np.ndarray, size: int) -> tuple[float, float]:
        """The mean losses of an epoch."""
        losses = [self.step(*batch) for batch in batches(x, y, size, self.rng)]
        return mean(a for a, _ in losses), mean(b for _, b in losses)

    def accuracies(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """In percent."""
        with torch.no_grad():
            theirs = self.module(torch.from_numpy(x)).argmax(1).numpy()
        ours = self.model.predict(x).argmax(1)
        return 100 * float(np.mean(ours == y)), 100 * float(np.mean(theirs == y))


def _of(recipe: Recipe) -> str:
    return f"{recipe.optimizer.__name__}(lr={recipe.lr})"


def classify(name: str, recipe: Recipe, seeds: int) -> bool:
    """Print the accuracies of every seed; whether they are within half a point of each other."""
    data = digits()
    told = f"{recipe.epochs} epochs of {len(data.x)} digits in batches of {recipe.batch_size}"
    print(f"\n{name}: {told}, {_of(recipe)}; accuracy on {len(data.x_test)} others, %")
    print(f"{'seed':>6}{'npnet':>9}{'torch':>9}{'apart':>8}{'loss':>10}{'torch':>10}")
    found = []
    for seed in range(seeds):
        model = networks.classifier(name, 8, 8, data.classes, recipe.lr)
        both = Both(model, recipe, seed)
        for _ in range(recipe.epochs):
            losses = both.epoch(data.x, data.y, recipe.batch_size)
        ours, theirs = both.accuracies(data.x_test, data.y_test)
        found.append((ours, theirs))
        print(
            f"{seed:>6}{ours:>9.2f}{theirs:>9.2f}{ours - theirs:>+8.2f}"
            f"{losses[0]:>10.5f}{losses[1]:>10.5f}",
            flush=True,
        )
    ours, theirs = mean(a for a, _ in found), mean(b for _, b in found)
    worst = max(abs(a - b) for a, b in found)
    print(
        f"{'mean':>6}{ours:>9.2f}{theirs:>9.2f}{ours - theirs:>+8.2f}   at most {worst:.2f} apart"
    )
    return worst <= 0.5


def read(recipe: Recipe, seeds: int) -> bool:
    """Print the losses, epoch by epoch; whether they stay within a hundredth of each other."""
    zen = text.zen()
    characters = text.Characters.of(zen)
    x, y = text.windows(characters.numbers(zen), recipe.window, recipe.stride)
    print(f"\nlstm: {len(zen)} characters, {_of(recipe)}, clip_norm=1; loss, npnet / torch")
    runs = [
        Both(networks.reader(len(characters.known), recipe.lr), recipe, seed)
        for seed in range(seeds)
    ]
    print("epoch" + "".join(f"{f'seed {seed}':>20}" for seed in range(seeds)))
    worst = 0.0
    for epoch in range(1, recipe.epochs + 1):
        losses = [both.epoch(x, y, recipe.batch_size) for both in runs]
        worst = max(worst, *(abs(a - b) for a, b in losses))
        if epoch in (1, 2, 5) or epoch % 5 == 0:
            row = "".join(f"{f'{a:.4f} / {b:.4f}':>20}" for a, b in losses)
            print(f"{epoch:>5}{row}", flush=True)
    print(f"at most {worst:.4f} apart in the mean of an epoch")
    return worst <= 0.01


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", nargs="*", choices=[*RECIPES, []], default=[])
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    started = time.perf_counter()
    reached = True
    for name in asked.examples or RECIPES:
        if name == "lstm":
            reached &= read(RECIPES[name], min(asked.seeds, 3))
        else:
            reached &= classify(name, RECIPES[name], asked.seeds)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
