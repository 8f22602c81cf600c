"""The run: every candidate in every dtype, told as it happens, and what was not verified."""

import time
import traceback
from collections.abc import Sequence
from typing import Any

from npnet.contract import ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.coverage import Coverage
from npnet.verify.examine import SELDOM
from npnet.verify.finding import (
    BROKEN,
    DIVERGED,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Verdict,
)
from npnet.verify.settings import SECTIONS, SETS, Settings, Tell
from npnet.verify.targets import resolve, specs, unaskable
from npnet.verify.trial import Trial


def run(
    target: Any = None,
    *,
    examples: int = 200,
    dtypes: Sequence[str] = ("float64", "float32"),
    only: Sequence[str] = SECTIONS,
    seed: int = 0,
    sets: int = SETS,
    fail_fast: bool = False,
    time_budget: float | None = None,
    on_event: Tell | None = None,
) -> Report:
    """Hold candidates against their torch twins.

    target: a candidate, the name of one of npnet's own layers ("Linear", "Conv*", "optim.Adam"), a
        file or module that holds candidates ("mylayers.py::affine", "package.module:affine"), a
        sequence of these, or None for all of npnet's own
    examples: drawn structures per candidate and dtype, each asked with `sets` value sets
    only: of "forward", "grad", "state", "contract"
    seed: of the questions; the same seed asks the same
    fail_fast: stop after the first candidate that diverges
    time_budget: seconds after which no further question is asked
    on_event: called with a mapping for everything that happens, as it happens

    Raises ConfigError for a target or a setting that does not exist. Ctrl-C ends the run with what
    was found until then.
    """
    asked = Settings(examples, tuple(dtypes), tuple(only), seed, sets, fail_fast, time_budget)
    candidates, broken = resolve(target)
    return run_all(candidates, asked, on_event=on_event, broken=broken)


def run_all(
    candidates: Sequence[Candidate],
    asked: Settings,
    *,
    on_event: Tell | None = None,
    broken: Sequence[Finding] = (),
) -> Report:
    """Hold these candidates against their twins; `broken` are those that could not be loaded."""
    from npnet.verify.environment import environment

    tell = on_event or (lambda event: None)
    started = time.monotonic()
    report = Report(findings=list(broken), environment=environment(), seed=asked.seed)
    tell({"event": "run", "candidates": [c.name for c in candidates], "settings": asked})
    for finding in broken:
        tell({"event": "finding", "finding": finding})
    stop = started + asked.time_budget if asked.time_budget else None
    try:
        for c in candidates:
            if stop is not None and time.monotonic() > stop:
                report.not_verified.append(f"{c.name} (time budget spent)")
                continue
            try:
                result, findings, interrupted = _verify(c, asked, tell, stop, report.not_verified)
            except Exception as error:  # the run goes on with the rest
                known = isinstance(error, ConfigError)
                text = str(error) if known else f"{type(error).__name__}: {error}"
                trace = "".join(traceback.format_exception(error))
                finding = unaskable(c, f"{c.name} could not be asked: {text}", trace)
                report.findings.append(finding)
                tell({"event": "finding", "finding": finding})
                continue
            report.findings += findings
            if interrupted:
                raise KeyboardInterrupt
            report.layers.append(result)
            tell({"event": "layer", "result": result})
            if asked.fail_fast and any(f.verdict in DIVERGED | BROKEN for f in findings):
                break
    except KeyboardInterrupt:
        report.not_verified.append("the rest (interrupted)")
    done = {layer.layer for layer in report.layers}
    report.not_verified += [
        c.name
        for c in candidates
        if c.name not in done and not any(n.startswith(c.name) for n in report.not_verified)
    ]
    report.seconds = time.monotonic() - started
    tell({"event": "end", "report": report})
    return report


def _verify(
    c: Candidate,
    asked: Settings,
    tell: Tell,
    stop: float | None,
    not_verified: list[str],
) -> tuple[LayerResult, list[Finding], bool]:
    spec = specs()[c.twin]
    outcomes: dict[str, Outcome] = {}
    findings: list[Finding] = []
    coverage = Coverage()
    for dtype in asked.dtypes:
        trial = Trial(c, spec, dtype, asked, tell, coverage, stop)
        outcomes[dtype], found = trial.run()
        fresh = [f for f in found if not _inherited(f, findings)]
        findings += fresh
        for finding in fresh:
            tell({"event": "finding", "finding": finding})
        if trial.interrupted:
            break
        rare = [q for q, n in trial.evidence.seen.items() if n < SELDOM]
        not_verified += [f"{c.name} {dtype} {q} (seldom drawn)" for q in rare[:2]]
        if len(rare) > 2:
            not_verified.append(f"{c.name} {dtype} {len(rare) - 2} more quantities (seldom drawn)")
        if trial.out_of_time:
            not_verified.append(
                f"{c.name} {dtype} (time budget spent after {trial.asked} examples)"
            )
    covered, coverable, missing = coverage.count()
    not_verified += [f"{c.name} {quantity} (not claimed)" for quantity in c.without]
    not_verified += [f"{c.name} {m}" for m in missing[:3]]
    if len(missing) > 3:
        not_verified.append(f"{c.name} {len(missing) - 3} more pairs of options")
    result = LayerResult(c.name, c.twin, outcomes, covered, coverable, tuple(missing))
    return result, findings, trial.interrupted


def _inherited(finding: Finding, before: Sequence[Finding]) -> bool:
    """A quantity that is broken in float64 is not told again for every other dtype."""
    numbers = {Verdict.WRONG, Verdict.UNSTABLE, Verdict.NONFINITE}
    alike = numbers if finding.verdict in numbers else {finding.verdict}
    return any(f.quantity == finding.quantity and f.verdict in alike for f in before)
