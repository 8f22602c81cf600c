"""The evidence that the pages of the guide cite: npnet/guide/evidence.

    python -m tests.studies.evidence [LAYER…] [--examples 200] [-j 2] [--all]

Every layer is asked in float64 and float32, its claims are checked of torch and npnet, and some of
its planted mistakes are put to npnet. What was asked since the layer's code last changed is kept,
unless --all. Exits with 1 where something diverges or a claim fails.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from importlib.metadata import version

from npnet.guide.claims import failing, passing
from npnet.guide.evidence import Asked, Evidence, Mistake, read, write
from npnet.guide.source import digest, names
from npnet.verify import run
from npnet.verify.coverage import Coverage
from npnet.verify.finding import Verdict
from npnet.verify.settings import Settings
from npnet.verify.targets import native, specs
from npnet.verify.trial import Trial
from tests.mutants import Mutant
from tests.mutants.causes import causes
from tests.studies.mutants import all_mutants

MISTAKES = 6
SEED = 1
_SELDOM = frozenset({"contract", "protocol", "precision", "crash"})
_LINE = re.compile(r"(\(npnet/[\w/]+\.py), line \d+\)")
_VERSIONS = ("npnet", "python", "numpy", "scipy", "torch", "blas", "machine", "system")
Job = tuple[str, int, bool]


def chosen(name: str) -> list[Mutant]:
    """Mistakes of many quantities and causes: of every quantity one, then a second of each, …"""
    own = [m for m in all_mutants() if m.layer == name]
    own.sort(key=lambda m: bool(causes(m) & _SELDOM))
    turns: Counter[object] = Counter()
    ranked = []
    for mutant in own:
        again = 4 * turns[mutant.blames, causes(mutant)]  # the same cause comes later
        ranked.append((turns[mutant.blames] + again, mutant))
        turns[mutant.blames] += 1
        turns[mutant.blames, causes(mutant)] += 1
    return [m for _, m in sorted(ranked, key=lambda pair: pair[0])][:MISTAKES]


def told(mutant: Mutant) -> Mistake:
    """What npnet says about a mistake."""
    wrong = native(mutant.layer, mutant.build())
    for examples, dtype in ((60, "float64"), (60, "float32"), (200, "float64"), (200, "float32")):
        asked = Settings(examples=examples, dtypes=(dtype,), seed=SEED)
        trial = Trial(
            wrong, specs()[mutant.layer], dtype, asked, lambda event: None, Coverage(), None
        )
        findings = trial.findings(shrunk=False)
        if findings:
            f = trial.explained(findings)[0]
            why = f.explanations[0].text if f.explanations else ""
            why = _LINE.sub(r"\1)", why)
            return Mistake(mutant.mistake, str(f.verdict), f.quantity, why, f.first)
    raise LookupError(f"{mutant.layer}: {mutant.mistake!r} is not found.")


def _work(job: Job) -> tuple[str, list[str]]:
    import torch

    torch.set_num_threads(1)
    name, examples, everything = job
    code, before = digest(name), read(name)
    current = before if before is not None and before.code == code and not everything else None
    wanted = chosen(name)
    known = {m.text: m for m in current.mistakes} if current else {}
    mistakes = tuple(known.get(m.mistake) or told(m) for m in wanted)
    complaints = [f"{name}: {text!r}: {why}" for text, why in failing(name).items()]
    if current is None:
        report = run(name, examples=examples, seed=SEED)
        complaints += [f"{name}: {f.quantity} is {f.verdict}" for f in report.findings]
        (result,) = report.layers
        asked = {
            dtype: Asked(str(o.verdict), o.examples, o.judged, dict(o.ratios))
            for dtype, o in result.outcomes.items()
        }
        facts = {key: report.environment.get(key) for key in _VERSIONS}
        current = Evidence(
            code=code,
            environment={**facts, "date": date.today().isoformat()},
            device="cpu",
            seed=SEED,
            asked=asked,
            covered=result.covered,
            coverable=result.coverable,
            uncovered=result.uncovered,
            claims=(),
            checked={},
            mistakes=(),
        )
    verdicts = {a.verdict for a in current.asked.values()}
    if verdicts - {str(Verdict.PASS)}:
        complaints.append(f"{name}: {', '.join(sorted(verdicts))}")
    checked = {"torch": version("torch"), "date": date.today().isoformat()}
    found = replace(current, claims=passing(name), checked=checked, mistakes=mistakes)
    write(name, found)
    return name, complaints


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--all", action="store_true")
    asked = parser.parse_args(argv)

    jobs = [(n, asked.examples, asked.all) for n in (asked.layers or names())]
    failed = 0
    with ProcessPoolExecutor(asked.j) as pool:
        for done, (name, complaints) in enumerate(pool.map(_work, jobs), start=1):
            print(f"{done:>4} of {len(jobs)}  {name}", flush=True)
            for complaint in complaints:
                print(f"      {complaint}", flush=True)
            failed += len(complaints)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
