"""How soon planted mistakes are found, and whether the right quantity is blamed.

    python -m tests.studies.mutants [LAYER…] [--seeds 5] [--examples 200] [--device cpu]

Every mutant is asked with several seeds, in float64 and, where that finds nothing, in float32. With
--device recorded the questions are those in reference/.
Exits with 1 unless every mutant is found with every seed and the right quantity is blamed.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from npnet.verify.coverage import Coverage
from npnet.verify.settings import Settings
from npnet.verify.targets import Twins, native, specs
from npnet.verify.trial import Trial
from tests.mutants import Mutant

DTYPES = ("float64", "float32")


def all_mutants() -> list[Mutant]:
    """The mutants of every family."""
    folder = Path(__file__).parents[1] / "mutants"
    names = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    modules = [import_module(f"tests.mutants.{name}") for name in names]
    return [m for module in modules for m in getattr(module, "MUTANTS", ())]


def detect(
    mutant: Mutant, seed: int, examples: int, twins: Twins | None = None
) -> tuple[int, str, str] | None:
    """(examples until detection, quantity blamed, verdict), or None where nothing was found."""
    wrong = native(mutant.layer, mutant.build())
    spec = (specs() if twins is None else twins)[mutant.layer]
    for dtype in DTYPES:
        asked = Settings(examples=examples, dtypes=(dtype,), seed=seed)
        trial = Trial(wrong, spec, dtype, asked, lambda event: None, Coverage(), None)
        found = trial.first()
        if found is not None:
            return found[0], found[1].quantity, str(found[1].verdict)
    return None


def blamed_rightly(mutant: Mutant, quantity: str) -> bool:
    """Whether the quantity is one stated ("params after step 1" covers every parameter).

    "y" is "y 0" where a configuration has several outputs.
    """
    stated = mutant.blames if isinstance(mutant.blames, tuple) else (mutant.blames,)
    found = quantity.split(":")[0]
    # where the first gradient is None, everything happens a step later
    late = {re.sub(r"(?<=step |grad )\d+", lambda m: str(int(m[0]) + 1), s) for s in stated}
    return found in stated or found in late or (found == "y 0" and "y" in stated)


def _study(job: tuple[int, int, int, str]) -> list[tuple[int, str, str] | None]:
    index, seeds, examples, device = job
    import torch

    torch.set_num_threads(1)
    mutant = all_mutants()[index]
    twins = specs(device)
    return [detect(mutant, seed, examples, twins) for seed in range(1, seeds + 1)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(argv)

    mutants = all_mutants()
    chosen = [i for i, m in enumerate(mutants) if not asked.layers or m.layer in asked.layers]
    with ProcessPoolExecutor(asked.j) as pool:
        jobs = [(i, asked.seeds, asked.examples, asked.device) for i in chosen]
        results = list(pool.map(_study, jobs, chunksize=4))

    by_layer: dict[str, list[tuple[Mutant, list[Any]]]] = {}
    for i, found in zip(chosen, results, strict=True):
        by_layer.setdefault(mutants[i].layer, []).append((mutants[i], found))
    print(
        f"{'layer':<20}{'mutants':>8}{'found':>8}{'blamed':>8}{'median':>8}{'p99':>6}{'worst':>7}"
    )
    failures: list[str] = []
    everything: list[int] = []
    for layer, rows in by_layer.items():
        counts = [f[0] for _, found in rows for f in found if f is not None]
        everything += counts
        found_all = sum(all(f is not None for f in found) for _, found in rows)
        right = 0
        for mutant, found in rows:
            wrongly = [f for f in found if f is None or not blamed_rightly(mutant, f[1])]
            right += not wrongly
            if wrongly:
                failures.append(f"{layer}: {mutant.mistake}: {wrongly[0]}, not {mutant.blames!r}")
        print(_row(layer, len(rows), found_all, right, counts))
    slow = [
        (max([f[0] for f in found if f] or [0]), m)
        for rows in by_layer.values()
        for m, found in rows
    ]
    print("\nslowest to be found:")
    for count, mutant in sorted(slow, key=lambda row: -row[0])[:15]:
        print(f"  {count:>4}  {mutant.layer}: {mutant.mistake}")
    total = sum(len(rows) for rows in by_layer.values())
    print(_row("all", total, total - len(failures), total - len(failures), everything))
    print(f"\n{total} mutants, {asked.seeds} seeds each, at most {asked.examples} examples.")
    missing = [name for name in specs() if name not in by_layer and not asked.layers]
    failures += [f"{name} has no mutants" for name in missing]
    for line in failures:
        print("  " + line)
    return 1 if failures else 0


def _row(layer: str, total: int, found: int, right: int, counts: Sequence[int]) -> str:
    if not counts:
        return f"{layer:<20}{total:>8}{found:>8}{right:>8}"
    p99 = float(np.percentile(counts, 99))
    return (
        f"{layer:<20}{total:>8}{found:>8}{right:>8}{median(counts):>8.0f}{p99:>6.0f}"
        f"{max(counts):>7}"
    )


if __name__ == "__main__":
    sys.exit(main())
