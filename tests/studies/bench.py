"""Examples per second beside torch.autograd.gradcheck on the same cases, and start-up times.

    python -m tests.studies.bench [LAYER…]

One thread, float64, four value sets per example. Both sides run in turns in one process, so that
a noisy machine slows both.
"""

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from statistics import median

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from npnet.twins.spec import build_module
from npnet.verify.case import Example, fill
from npnet.verify.coverage import Coverage
from npnet.verify.settings import Settings
from npnet.verify.spec import examples as drawn_examples
from npnet.verify.targets import native, specs
from npnet.verify.trial import Trial

LAYERS = ("Linear", "LayerNorm", "Conv2d", "BatchNorm2d", "Softmax", "CrossEntropyLoss", "LSTM")
EXAMPLES = 200
CHECKED = 10


def ours(layer: str, examples: int, first: int) -> float:
    """Seconds per example of the whole question: draw, ask both sides, bound, judge."""
    asked = Settings(examples=examples, dtypes=("float64",), seed=first)
    trial = Trial(
        native(layer), specs()[layer], "float64", asked, lambda event: None, Coverage(), None
    )
    started = time.perf_counter()
    outcome, findings = trial.run()
    assert not findings, findings
    return (time.perf_counter() - started) / outcome.examples


def cases(layer: str, count: int) -> list[Example]:
    """The examples that a run asks, without those that gradcheck cannot take (random, empty)."""
    found: list[Example] = []

    @settings(
        max_examples=10 * count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(1)
    @given(drawn_examples(specs()[layer], {}, "float64", 4))
    def collect(drawn: tuple[Example, object]) -> None:
        example = drawn[0]
        usable = not example.draws and all(a.size for a in example.arrays.values())
        if len(found) < count and usable:
            found.append(example)

    collect()
    return found


def gradcheck(example: Example) -> float:
    """Seconds of gradcheck's slow mode on the four value sets, moderate data in all of them."""
    from torch import nn

    module = build_module(getattr(nn, example.spec), _with_arrays(example)).to_empty(device="cpu")
    rng = np.random.default_rng(example.seed)
    total = 0.0
    for _ in range(example.sets):
        tensors = {}
        for name, a in example.arrays.items():
            value = a[0] if a.dtype.kind != "f" else np.abs(rng.standard_normal(a.shape[1:])) + 0.1
            tensors[name] = torch.tensor(value)
        params = {n for n, p in module.named_parameters() if p.requires_grad}
        names = [
            n
            for n, t in tensors.items()
            if t.is_floating_point()
            and (n.removeprefix("state ") in params or n.startswith("input "))
        ]

        def call(*values: torch.Tensor, tensors=tensors, names=names) -> object:
            now = tensors | dict(zip(names, values, strict=True))
            state = {n.removeprefix("state "): t for n, t in now.items() if n[:6] == "state "}
            y = torch.func.functional_call(module, state, fill(example.inputs, now))
            return (y[0], *y[1]) if isinstance(y, tuple) else y  # an LSTM's is nested

        leaves = [tensors[n].requires_grad_() for n in names]
        started = time.perf_counter()
        torch.autograd.gradcheck(call, leaves, raise_exception=False)
        total += time.perf_counter() - started
    return total


def _with_arrays(example: Example) -> dict[str, object]:
    return {
        n: fill(v, {k: a[0] for k, a in example.arrays.items()}) for n, v in example.config.items()
    }


def fresh(code: str) -> float:
    """Median seconds of a fresh interpreter running this."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return median(times)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*", default=list(LAYERS))
    layers = parser.parse_args(argv).layers or list(LAYERS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    print(f"{'layer':<20}{'examples/s':>12}{'ms':>8}{'gradcheck ms':>14}{'times':>8}")
    for layer in layers:
        ours(layer, 60, 99)  # first calls compile and allocate
        checked = cases(layer, CHECKED)
        mine, theirs = [], []
        for k in range(5):
            mine.append(ours(layer, EXAMPLES, k + 1))
            theirs += [gradcheck(e) for e in checked[2 * k : 2 * k + 2]]
        a, b = median(mine), sum(theirs) / len(theirs)
        print(f"{layer:<20}{1 / a:>12.0f}{a * 1e3:>8.2f}{b * 1e3:>14.1f}{b / a:>7.0f}x")
    numpy, own = fresh("import numpy"), fresh("import npnet")
    print(
        f"\nimport npnet: {(own - numpy) * 1e3:+.0f} ms beside import numpy ({numpy * 1e3:.0f} ms)"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.argv = ['npnet', 'verify', 'Linear', '--report-dir', {folder!r}]\n"
        code += "from npnet.cli import main; main()"
        print(f"npnet verify Linear, from a cold start: {fresh(code):.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
