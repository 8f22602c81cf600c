"""The run: every candidate in every dtype, told as it happens, and what was not verified."""

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError
from npnet.verify.baseline import Accepted, judged, read, retry
from npnet.verify.candidate import Candidate
from npnet.verify.coverage import Coverage, uncovered
from npnet.verify.environment import digest, environment
from npnet.verify.examine import SELDOM
from npnet.verify.finding import (
    BROKEN,
    DIVERGED,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Verdict,
    inherited,
)
from npnet.verify.isolate import Isolated, isolate, spares_closed, without_fatal
from npnet.verify.parallel import Told, each
from npnet.verify.settings import SECTIONS, SETS, Event, Settings, Tell, profiled
from npnet.verify.shard import deal, elsewhere
from npnet.verify.targets import held, resolve, specs, unaskable
from npnet.verify.trial import Trial

BUDGET_SPENT = "(time budget spent"  # how a line begins that says that time was too short


def run(
    target: Any = None,
    *,
    profile: str | None = None,
    examples: int | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    only: Sequence[str] = SECTIONS,
    seed: int | None = None,
    sets: int = SETS,
    fail_fast: bool = False,
    time_budget: float | None = None,
    shard: tuple[int, int] | None = None,
    jobs: int = 1,
    in_process: bool = False,
    executor: str | Executor | None = None,
    baseline: str | Path | None = None,
    device: str = "cpu",
    reference: str | Path = "reference",
    on_event: Tell | None = None,
) -> Report:
    """Hold candidates against their torch twins.

    target: a candidate, the name of one of npnet's own layers ("Linear", "Conv*", "optim.Adam"), a
        file or module that holds candidates ("mylayers.py::affine", "package.module:affine"), a
        sequence of these, or None for all of npnet's own
    profile: "quick" (25 examples), "ci" (200) or "nightly" (2000, with a fresh seed); without one,
        that of "ci"
    examples: drawn structures per candidate and dtype, each asked with `sets` value sets; wins over
        the profile
    only: of "forward", "grad", "state", "contract"
    seed: of the questions; the same seed asks the same; wins over the profile
    fail_fast: stop after the first candidate that diverges
    time_budget: seconds after which no further question is asked
    shard: (i, n) asks the i-th of n parts of the run, from 1; the parts together are the whole
    jobs: candidates that are asked at a time, each in a process of its own
    in_process: ask candidates of files and modules here, and not in a process of their own: for
        code of one's own; what crashes or hangs then takes the run with it
    executor: where candidates are asked instead: the address of a Dask scheduler, as
        "tcp://host:8786", whose workers see the same files, or a concurrent.futures.Executor
    baseline: a folder of divergences that are accepted (`npnet baseline`): they are told as such,
        and their cases are asked again
    device: "cuda" holds the twin on the GPU against that on the CPU besides, and runs candidates of
        `adapt.torch_function` there; "recorded" asks what is recorded in the folder `reference`,
        without torch ("recorded:cuda": what was recorded on a GPU)
    on_event: called with a mapping for everything that happens, as it happens

    Raises ConfigError for a target or a setting that does not exist. Ctrl-C ends the run with what
    was found until then.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, but is {jobs}.")
    examples, seed = profiled(profile, examples, seed)
    asked = Settings(
        examples=examples,
        dtypes=tuple(dtypes),
        only=tuple(only),
        seed=seed,
        sets=sets,
        shard=shard,
        fail_fast=fail_fast,
        time_budget=time_budget,
        isolated=not in_process,
        device=device,
        reference=str(reference),
    )
    place = None if baseline is None else Path(baseline)
    return run_as(target, asked, on_event=on_event, jobs=jobs, executor=executor, baseline=place)


def run_as(
    target: Any,
    asked: Settings,
    *,
    on_event: Tell | None = None,
    jobs: int = 1,
    executor: str | Executor | None = None,
    known: Mapping[str, "Verified"] | None = None,
    baseline: Path | None = None,
) -> Report:
    """`run` with settings that are there already.

    known: what a run that was cut off had finished, by the name of the candidate: it is told again,
        and not asked again
    """
    targets = _texts(target)
    accepted = [] if baseline is None else read(baseline)
    with spares_closed():
        target, fatal = without_fatal(target) if asked.isolated else (target, [])
        candidates, broken = resolve(target, specs(asked.device, asked.reference))
        gone = sorted(known.keys() - {c.name for c in candidates}) if known else []
        if gone:
            raise ConfigError(
                f"{', '.join(gone)} cannot be asked any longer, or is no longer there. "
                "Start the run anew."
            )
        return run_all(
            candidates,
            asked,
            on_event=on_event,
            broken=[*fatal, *broken],
            jobs=jobs,
            executor=executor,
            targets=targets,
            known=known,
            accepted=accepted,
        )


def _texts(target: Any) -> list[str] | None:
    """What `npnet verify` has to be told to ask the same; None where that cannot be said."""
    if target is None or isinstance(target, str):
        return [] if target is None else [target]
    several = isinstance(target, Sequence) and all(isinstance(one, str) for one in target)
    return list(target) if several else None


def run_all(
    candidates: Sequence[Candidate],
    asked: Settings,
    *,
    on_event: Tell | None = None,
    broken: Sequence[Finding] = (),
    jobs: int = 1,
    executor: str | Executor | None = None,
    targets: list[str] | None = None,
    known: Mapping[str, "Verified"] | None = None,
    accepted: Sequence[Accepted] = (),
) -> Report:
    """Hold these candidates against their twins; `broken` are those that could not be loaded."""

    def tell(event: Event) -> None:
        if event["event"] == "finding":
            event = {**event, "finding": judged(event["finding"], accepted)}
        if on_event is not None:
            on_event(event)

    started = time.monotonic()
    facts = {**environment(), **asked.facts}
    report = Report(findings=list(broken), environment=facts, seed=asked.seed)
    tell(
        {
            "event": "run",
            "candidates": [c.name for c in candidates],
            "settings": asked,
            "targets": targets,
            "sources": _digests(candidates),
        }
    )
    results: dict[str, LayerResult] = {}

    def note(verified: Verified) -> None:
        verified.findings = [judged(f, accepted) for f in verified.findings]
        report.findings += verified.findings
        report.not_verified += verified.not_verified
        if verified.result is not None:
            results[verified.result.layer] = verified.result
            lines = verified.not_verified
            tell({"event": "layer", "result": verified.result, "not_verified": lines})

    before = [known[c.name] for c in candidates if c.name in known] if known else []
    for verified in before:
        for finding in verified.findings:
            tell({"event": "finding", "finding": finding})
        note(verified)
    if known is not None:
        tell({"event": "resumed", "known": len(before)})
    for finding in broken:
        tell({"event": "finding", "finding": finding})
    stop = started + asked.time_budget if asked.time_budget else None
    parts = deal(candidates, asked.dtypes, asked.shard)
    report.not_verified += elsewhere(parts, asked.dtypes)
    own = [(c, replace(asked, dtypes=dtypes)) for c, dtypes in parts if dtypes]
    report.idle = bool(candidates) and not own and not broken
    pinned = list(_pinned(accepted, own))
    own = [(c, s) for c, s in own if c.name not in results]
    own = [] if asked.fail_fast and any(_fails(verified) for verified in before) else own
    answers = _answers(own, tell, stop, _away(jobs, executor))
    try:
        for verified in answers:
            note(verified)
            if verified.interrupted:
                raise KeyboardInterrupt
            if asked.fail_fast and _fails(verified):
                break
        for entry, c in pinned:
            report.retried.append(retry(entry, c, asked.isolated))
            tell({"event": "accepted", "retried": report.retried[-1]})
    except KeyboardInterrupt:
        report.not_verified.append("the rest (interrupted)")
    finally:
        answers.close()
    report.layers += [results[c.name] for c in candidates if c.name in results]
    report.not_verified += [
        c.name
        for c in candidates
        if c.name not in results and not any(n.startswith(c.name) for n in report.not_verified)
    ]
    report.seconds = time.monotonic() - started
    tell({"event": "end", "report": report})
    return report


@dataclass
class Verified:
    """What came of one candidate; no result where it could not be asked, or not to the end."""

    result: LayerResult | None = None
    findings: list[Finding] = field(default_factory=list)
    not_verified: list[str] = field(default_factory=list)
    interrupted: bool = False


def _fails(verified: Verified) -> bool:
    return any(f.verdict in DIVERGED | BROKEN and not f.accepted for f in verified.findings)


def _pinned(
    accepted: Sequence[Accepted], own: Sequence[tuple[Candidate, Settings]]
) -> Iterator[tuple[Accepted, Candidate]]:
    """What is accepted of what is asked here, with its candidate."""
    for entry in accepted:
        for c, asked in own:
            f = entry.finding
            breach = f.verdict is Verdict.CONTRACT
            wanted = "contract" in asked.only if breach else asked.wants(f.quantity)
            if entry.belongs_to(c) and f.dtype in asked.dtypes and wanted:
                yield entry, c
                break


def _digests(candidates: Sequence[Candidate]) -> dict[str, str]:
    """What stands in the files of the candidates, so that a change of theirs is seen."""
    files = dict.fromkeys(s.file for c in candidates for s in c.sources.values())
    return {file: digest(Path(file)) for file in files}


Each = Callable[[Sequence[Candidate], Settings, float | None], Iterator[Told | None]]
"""What asks candidates elsewhere, and tells of them as they come."""


def _away(jobs: int, executor: str | Executor | None) -> Each | None:
    if executor is not None:
        from npnet.verify import cluster

        return partial(cluster.each, place=executor)
    return partial(each, jobs=jobs) if jobs > 1 else None


def _answers(
    own: Sequence[tuple[Candidate, Settings]], tell: Tell, stop: float | None, each: Each | None
) -> Generator[Verified, None, None]:
    """Every candidate's result, here one after the other, or as they come from elsewhere."""
    away = [(c, asked) for c, asked in own if c.target] if each is not None else []
    for asked in dict.fromkeys(asked for _, asked in away):
        alike = [c for c, as_asked in away if as_asked == asked]
        assert each is not None
        yield from _from_away(each(alike, asked, stop), tell)
    for c, asked in own:
        if (c, asked) not in away:
            yield verify(c, asked, tell, stop)


def _from_away(answers: Iterator[Told | None], tell: Tell) -> Iterator[Verified]:
    tick: Event = {"event": "tick"}
    for told in answers:
        if told is None:
            tell(tick)
            continue
        for event in told.events:
            tell(event)
        if told.verified is not None:
            yield told.verified
            continue
        message = f"the process that asked {told.candidate.name} died (a segmentation fault?)"
        yield _broken(told.candidate, message, "", tell)


def verify(c: Candidate, asked: Settings, tell: Tell, stop: float | None) -> Verified:
    """Hold one candidate against its twin, whatever it does."""
    if stop is not None and time.monotonic() > stop:
        return Verified(not_verified=[f"{c.name} {BUDGET_SPENT})"])
    try:
        return _verify(c, asked, tell, stop)
    except Exception as error:  # the run goes on with the rest
        known = isinstance(error, ConfigError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        return _broken(c, f"{c.name} could not be asked: {text}", trace, tell)


def _broken(c: Candidate, message: str, trace: str, tell: Tell) -> Verified:
    finding = unaskable(c, message, trace)
    tell({"event": "finding", "finding": finding})
    return Verified(findings=[finding])


def _verify(c: Candidate, asked: Settings, tell: Tell, stop: float | None) -> Verified:
    c = c.placed("cuda") if asked.device == "cuda" else c
    c = isolate(c) if asked.isolated else c
    try:
        return _held(c, asked, tell, stop)
    finally:
        if isinstance(c.function, Isolated):
            c.function.close()


def _held(c: Candidate, asked: Settings, tell: Tell, stop: float | None) -> Verified:
    asked_as, spec = held(c, specs(asked.device, asked.reference))
    outcomes: dict[str, Outcome] = {}
    findings: list[Finding] = []
    not_verified: list[str] = []
    if c.dialect is not None:
        not_verified.append(f"{c.name} against torch itself (declared dialect: {c.dialect})")
    coverage = Coverage()
    for dtype in asked.dtypes:
        trial = Trial(asked_as, spec, dtype, asked, tell, coverage, stop)
        outcomes[dtype], found = trial.run()
        fresh = [f for f in found if not inherited(f, findings)]
        findings += fresh
        for finding in fresh:
            tell({"event": "finding", "finding": finding})
        if trial.interrupted:
            return Verified(None, findings, not_verified, interrupted=True)
        rare = [q for q, n in trial.evidence.seen.items() if n < SELDOM]
        not_verified += [f"{c.name} {dtype} {q} (seldom drawn)" for q in rare[:2]]
        if len(rare) > 2:
            not_verified.append(f"{c.name} {dtype} {len(rare) - 2} more quantities (seldom drawn)")
        not_verified += [
            f"{c.name} {dtype} on {asked.device}: {why}" for why in sorted(trial.evidence.missing)
        ]
        if trial.unanswered:
            text = f"{c.name} {dtype} {trial.unanswered} recorded questions (not answered)"
            not_verified.append(text)
        if trial.out_of_time:
            not_verified.append(f"{c.name} {dtype} {BUDGET_SPENT} after {trial.asked} examples)")
    covered, coverable, missing = coverage.count()
    not_verified += [f"{c.name} {quantity} (not claimed)" for quantity in c.without]
    not_verified += uncovered(c.name, missing)
    drawn = coverage.plain() if asked.shard is not None else {}
    result = LayerResult(c.name, c.twin, outcomes, covered, coverable, tuple(missing), drawn)
    return Verified(result, findings, not_verified)
