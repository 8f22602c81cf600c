"""False alarms: correct implementations only, by different algorithms, in every dtype.

    python -m tests.studies.soak [--examples 100000] [--seed 1] [LAYER…]

Three sources of correct code are asked: npnet's own layers, second algorithms for them
(tests/alternatives), and torch itself in the dtype asked. Prints the largest |got - want| / error
bound per layer and dtype; exits with 1 if anything at all is reported as diverging.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path

from hypothesis import strategies as st

from npnet.verify.candidate import Candidate, candidate
from npnet.verify.engine import run_all
from npnet.verify.finding import Verdict
from npnet.verify.settings import Settings
from npnet.verify.targets import native, specs

DTYPES = ("float64", "float32", "float16")
BLOCK = 250  # examples per job
_LACKS = "not implemented for 'Half'"  # torch has no such kernel for the CPU

Job = tuple[str, str, str, int, int]
"""source, layer, dtype, seed, examples"""


def alternatives() -> dict[str, type]:
    """The second algorithms of every family, by layer."""
    folder = Path(__file__).parents[1] / "alternatives"
    found: dict[str, type] = {}
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_"):
            found |= import_module(f"tests.alternatives.{path.stem}").ALTERNATIVES
    return found


def correct(source: str, layer: str) -> Candidate:
    """A correct candidate: "npnet", "other" (another algorithm) or "torch"."""
    if source == "npnet":
        return native(layer)
    if source == "other":
        return native(layer, alternatives()[layer])
    from npnet.twins.itself import torch_class
    from npnet.verify import adapt

    function = adapt.torch_function(torch_class(layer))
    return candidate(layer, name=f"torch {layer}", only=TORCH_ONLY.get(layer))(function)


# where torch cannot be asked itself
TORCH_ONLY = {
    # its sparse gradient of a single index raises where there is a padding_idx
    "Embedding": {"sparse": st.just(False)},
    "EmbeddingBag": {"sparse": st.just(False)},
    # in chunks its backward pass can be called once only
    "LinearCrossEntropyLoss": {"options": st.just("none")},
}


def _work(job: Job) -> tuple[Job, float, dict[str, int], list[str]]:
    import torch

    torch.set_num_threads(1)
    source, layer, dtype, seed, examples = job
    report = run_all(
        [correct(source, layer)], Settings(examples=examples, dtypes=(dtype,), seed=seed)
    )
    outcomes = [result.outcomes[dtype] for result in report.layers]  # none: it could not be asked
    alarms = [
        f"{source} {layer} {dtype} seed {seed}: {f.quantity} {f.verdict} ({f.message})"
        for f in report.findings
        if f.verdict is not Verdict.INSUFFICIENT and not (source == "torch" and _LACKS in f.message)
    ]
    counts = {
        "examples": sum(o.examples for o in outcomes),
        "judged": sum(o.judged for o in outcomes),
    }
    ratios = [r for o in outcomes for r in o.ratios.values()]
    return job, max(ratios, default=0.0), counts, alarms


def jobs(total: int, seed: int, layers: Sequence[str]) -> Iterator[Job]:
    """Blocks of examples, spread evenly over sources, layers and dtypes."""
    others = alternatives()
    kinds = [
        (source, layer, dtype)
        for layer in layers
        for source in ("npnet", "other", "torch")
        for dtype in DTYPES
        if (source != "other" or layer in others)
        and not (source == "torch" and specs()[layer].schedule)  # whose answer is torch's own
    ]
    share = max(1, round(total / len(kinds)))
    for first in range(0, share, BLOCK):
        for k, kind in enumerate(kinds):
            yield (*kind, seed + first * len(kinds) + k, min(BLOCK, share - first))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-j", type=int, default=2)
    asked = parser.parse_args(argv)

    layers = asked.layers or list(specs())
    worst: dict[tuple[str, str], float] = {}
    examples = judged = 0
    alarms: list[str] = []
    started = time.monotonic()
    with ProcessPoolExecutor(asked.j) as pool:
        running = [pool.submit(_work, job) for job in jobs(asked.examples, asked.seed, layers)]
        for done in as_completed(running):
            (_, layer, dtype, _, _), ratio, counts, found = done.result()
            worst[layer, dtype] = max(worst.get((layer, dtype), 0.0), ratio)
            examples += counts["examples"]
            judged += counts["judged"]
            for line in found:
                print("ALARM", line, flush=True)
            alarms += found
    print(f"{'largest err/bound':<20}" + "".join(f"{d:>10}" for d in DTYPES))
    for layer in layers:
        print(f"{layer:<20}" + "".join(f"{worst.get((layer, d), 0):>10.2f}" for d in DTYPES))
    minutes = (time.monotonic() - started) / 60
    print(
        f"\n{len(alarms)} false alarms in {examples:,} examples of four value sets "
        f"({judged:,} numbers judged), {minutes:.0f} minutes."
    )
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
