"""How often the first explanation of a planted mistake is its true cause.

    python -m tests.studies.diagnoses [LAYER…] [--every 1] [--offset 0] [--examples 60] [--show]

Every mutant states its cause beforehand (tests/mutants/causes.py). A first explanation is right if
its kind is one of these, or if it names the statement of npnet's formula that the mutant changes,
and all the numbers come of a change there; wrong if it claims another cause, and modest if it
claims none and says where, when, or which pass it is.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from npnet.verify.coverage import Coverage
from npnet.verify.finding import Explanation
from npnet.verify.settings import Settings
from npnet.verify.targets import native, specs
from npnet.verify.trial import Trial
from tests.mutants import Mutant
from tests.mutants.causes import causes
from tests.studies.mutants import all_mutants

Job = tuple[int, int, int]
Told = tuple[int, str, tuple[Explanation, ...], float]
"""index of the mutant, quantity of the leading finding, its explanations, seconds per finding"""


def diagnosed(job: Job) -> Told | None:
    """What is said of one mutant; None where it was not found."""
    import torch

    torch.set_num_threads(1)
    index, examples, seed = job
    mutant = all_mutants()[index]
    wrong = native(mutant.layer, mutant.build())
    for dtype in ("float64", "float32"):
        asked = Settings(examples=examples, dtypes=(dtype,), seed=seed)
        trial = Trial(
            wrong, specs()[mutant.layer], dtype, asked, lambda event: None, Coverage(), None
        )
        findings = trial.findings(shrunk=False)
        if findings:
            started = time.perf_counter()
            told = trial.explained(findings)[0]
            spent = (time.perf_counter() - started) / len(findings)
            return index, told.quantity, told.explanations, spent
    return None


def verdict(mutant: Mutant, explanations: Sequence[Explanation], most: int) -> str:
    """right, modest or wrong, of the first so many explanations."""
    wanted, places = causes(mutant), mutant.places()
    if any(e.kind in wanted or shows(e.text, places) for e in explanations[:most]):
        return "right"
    return "wrong" if any(e.certain for e in explanations[:1]) else "modest"


def shows(text: str, places: frozenset[tuple[str, int]]) -> bool:
    """Whether a sentence points to a line of npnet that the mistake is in."""
    return any((file, int(line)) in places for file, line in _PLACE.findall(text))


_PLACE = re.compile(r"\((npnet/[\w/]+\.py), line (\d+)\)")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--examples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args(argv)

    mutants = all_mutants()
    chosen = [i for i, m in enumerate(mutants) if not asked.layers or m.layer in asked.layers]
    chosen = chosen[asked.offset :: asked.every]
    first: dict[str, Counter[str]] = {}
    three: Counter[str] = Counter()
    seconds: list[tuple[float, str]] = []
    missed = 0
    with ProcessPoolExecutor(asked.j) as pool:
        jobs = [(i, asked.examples, asked.seed) for i in chosen]
        for told in pool.map(diagnosed, jobs, chunksize=2):
            if told is None:
                missed += 1
                continue
            index, quantity, explanations, spent = told
            mutant = mutants[index]
            wanted = causes(mutant)
            seconds.append((spent, f"{mutant.layer}: {mutant.mistake}"))
            one = verdict(mutant, explanations, 1)
            three[verdict(mutant, explanations, 3)] += 1
            for kind in wanted:
                first.setdefault(kind, Counter())[one] += 1
            first.setdefault("all", Counter())[one] += 1
            if asked.show and one != "right":
                print(f"{one.upper():<7}{mutant.layer}: {mutant.mistake} {sorted(wanted)}")
                for e in explanations[:3] or (Explanation("-", "nothing", 0.0),):
                    print(f"         {quantity}: [{e.kind}] {e.text}")
                sys.stdout.flush()
    print(f"{'true cause':<14}{'asked':>7}{'right':>8}{'modest':>8}{'wrong':>8}")
    for kind in sorted(first, key=lambda k: (k == "all", -first[k].total())):
        count = first[kind]
        n = count.total()
        shares = "".join(f"{count[w] / n:>8.1%}" for w in ("right", "modest", "wrong"))
        print(f"{kind:<14}{n:>7}{shares}")
    total = max(three.total(), 1)
    print(f"\nAmong the first three: {three['right'] / total:.1%}. Not found in so few: {missed}.")
    if seconds:
        ordered = sorted(seconds)
        print(
            f"A diagnosis takes {ordered[len(ordered) // 2][0]:.2f} s (median), "
            f"{ordered[-1][0]:.2f} s (longest: {ordered[-1][1]})."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
