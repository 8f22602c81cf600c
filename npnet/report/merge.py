"""Runs read back from disk, and several of them as one report.

A finding comes from its folder below failures/, arrays and all; where a run was moved without
these, from its line in results.jsonl, without its case and without pictures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from npnet.report import jsonl
from npnet.verify import store
from npnet.verify.coverage import Coverage, uncovered
from npnet.verify.finding import (
    Explanation,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Retried,
    Source,
    Step,
    Trace,
    Verdict,
    Worst,
    inherited,
)
from npnet.verify.shard import ELSEWHERE
from npnet.verify.store import FileFormatError

_MOST_SHARDS = 10_000  # of one run, which is more than anybody has
_LACKING = "(not among these runs)"
_CUT_OFF = "(interrupted)"  # how the engine ends the line of what an interruption left out


@dataclass(frozen=True)
class Run:
    """One run as it was found on disk.

    asked: the names of all candidates, those of other shards included
    complete: whether it came to its end
    dtypes: in the order in which they are asked, as far as that is known
    """

    place: Path
    report: Report
    asked: tuple[str, ...]
    complete: bool
    dtypes: tuple[str, ...] = ()


# ---- reading -------------------------------------------------------------------------------------


def read(place: Path) -> Run:
    """The run in a folder, or of a results.jsonl. Raises FileFormatError where it is damaged."""
    path = place / "results.jsonl" if place.is_dir() else place
    if not path.is_file():
        raise FileFormatError(
            f"{place} holds no run. A run is a folder with results.jsonl that npnet verify wrote, "
            "or that file."
        )
    report = Report()
    asked: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    complete = False
    for number, event in enumerate(jsonl.read(path), start=1):
        try:
            match event["event"]:
                case "run":
                    asked = tuple(_text(name) for name in event["candidates"])
                    report.environment = dict(event["environment"])
                    settings = event.get("settings") or {}
                    report.seed = int(settings.get("seed", 0))
                    dtypes = tuple(_text(d) for d in settings.get("dtypes", ()))
                case "finding":
                    report.findings.append(_finding(event, path.parent))
                case "layer":
                    report.layers.append(_layer(event["result"]))
                case "accepted":
                    report.retried.append(_retried(event["retried"]))
                case "trace":
                    report.traces.append(_trace(event["trace"]))
                case "end":
                    complete = not any(_CUT_OFF in text for text in event["not_verified"])
                    report.not_verified = [_text(text) for text in event["not_verified"]]
                    report.seconds, report.seed = float(event["seconds"]), int(event["seed"])
                    report.idle = bool(event.get("idle", False))
        except FileFormatError:
            raise
        except KeyError as error:
            raise FileFormatError(
                f"{path} is damaged in line {number}: {error} is missing."
            ) from None
        except (AttributeError, TypeError, ValueError) as error:
            raise FileFormatError(f"{path} is damaged in line {number}: {error}.") from None
    return Run(place, report, asked, complete, dtypes)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]!r} is no text")
    return value


def _finding(event: Mapping[str, Any], directory: Path) -> Finding:
    told = event["finding"]
    folder = directory / "failures" / Path(_text(event["folder"])).name
    if (folder / "case.json").is_file():
        accepted = _text(told.get("accepted", ""))
        return replace(store.load(folder).finding, id=_text(told["id"]), accepted=accepted)
    texts = ["id", "layer", "twin", "quantity", "dtype", "device", "message", "protocol"]
    texts += ["traceback", "target"]
    counts = ("wrong", "size", "failed", "asked", "first")
    step = int(told.get("step", 0))
    worst, source = told["worst"], told["source"]
    plain: dict[str, Any] = {name: _text(told[name]) for name in texts}
    plain |= {name: int(told[name]) for name in counts}
    return Finding(
        **plain,
        step=step,
        verdict=Verdict(told["verdict"]),
        worst=None
        if worst is None
        else Worst(tuple(worst["index"]), *(float(worst[n]) for n in ("got", "want", "bound"))),
        agrees=tuple(_text(q) for q in told["agrees"]),
        explanations=tuple(
            Explanation(
                _text(e["kind"]), _text(e["text"]), float(e["residual"]), e.get("certain", True)
            )
            for e in told["explanations"]
        ),
        cause=_text(told.get("cause", "")),
        printed=_text(told.get("printed", "")),
        accepted=_text(told.get("accepted", "")),
        dialect=None if told["dialect"] is None else _text(told["dialect"]),
        source=None
        if source is None
        else Source(_text(source["file"]), int(source["line"]), _text(source["function"])),
    )


def _retried(told: Mapping[str, Any]) -> Retried:
    texts: dict[str, Any] = {f.name: _text(told[f.name]) for f in fields(Retried)}
    return Retried(**{**texts, "verdict": Verdict(texts["verdict"])})


def _layer(told: Mapping[str, Any]) -> LayerResult:
    return LayerResult(
        _text(told["layer"]),
        _text(told["twin"]),
        {dtype: _outcome(outcome) for dtype, outcome in told["outcomes"].items()},
        int(told["covered"]),
        int(told["coverable"]),
        tuple(_text(u) for u in told["uncovered"]),
        dict(told.get("drawn", {})),
    )


def _trace(told: Mapping[str, Any]) -> Trace:
    lost = told["comparable"]
    return Trace(
        _text(told["dtype"]),
        int(told["steps"]),
        {
            layer: tuple(
                Step(_text(c["state"]), float(c["ratio"]), _text(c["quantity"])) for c in cells
            )
            for layer, cells in told["layers"].items()
        },
        {layer: _text(kind) for layer, kind in told["kinds"].items()},
        None if lost is None else int(lost),
        tuple(int(k) for k in told.get("numbers", ())),
    )


def _outcome(told: Mapping[str, Any]) -> Outcome:
    return Outcome(
        Verdict(told["verdict"]),
        int(told["examples"]),
        float(told["seconds"]),
        {q: float(r) for q, r in told["ratios"].items()},  # "inf" and "nan", too
        {q: int(n) for q, n in told["informative"].items()},
        {q: bool(c) for q, c in told["canaries"].items()},
        int(told["judged"]),
        int(told["not_judged"]),
        tuple(_text(f) for f in told["fallbacks"]),
        {q: float(r) for q, r in told.get("beside", {}).items()},
        tuple(_text(q) for q in told.get("wavering", ())),
    )


# ---- merging -------------------------------------------------------------------------------------


def merge(runs: Sequence[Run]) -> tuple[Report, bool]:
    """All runs as one report, and whether any of them was cut off.

    What several asked is verified by all of them together: the verdict is the first that is not
    PASS, margins are the largest, examples add up. A finding that several made is told once.
    """
    reports = [run.report for run in runs]
    parts = [result for report in reports for result in report.layers]
    layers: dict[str, LayerResult] = {}
    for result in parts:
        known = layers.get(result.layer)
        layers[result.layer] = _together(known, result) if known else result
    order = _Order(runs)
    results = sorted((order.outcomes(r) for r in layers.values()), key=order.layer)
    environment = _common([{**r.environment, "seed": r.seed} for r in reports])
    findings = sorted({f.id: f for r in reports for f in r.findings}.values(), key=order.finding)
    if any("shard" in r.environment for r in reports):
        findings = list(_told_once(findings))
    lacking = _lacking(environment)
    retried = [x for r in reports for x in r.retried]
    merged = Report(
        findings,
        results,
        environment,
        reports[0].seed,
        sum(r.seconds for r in reports),
        [*lacking, *_missing(runs, parts, results, findings)],
        all(r.idle for r in reports),
        list({x.id: x for x in sorted(retried, key=lambda x: not x.holds)}.values()),
        [trace for r in reports for trace in r.traces],
    )
    return merged, bool(lacking) or not all(run.complete for run in runs)


class _Order:
    """The order of an undivided run: candidates as they were named, then dtypes."""

    def __init__(self, runs: Sequence[Run]) -> None:
        names = dict.fromkeys(name for run in runs for name in run.asked)
        self._names = {name: n for n, name in enumerate(names)}
        dtypes = dict.fromkeys(d for run in runs for d in (*run.dtypes, *_dtypes(run.report)))
        self._dtypes = {dtype: n for n, dtype in enumerate(dtypes)}

    def layer(self, result: LayerResult) -> int:
        return self._names.get(result.layer, len(self._names))

    def finding(self, f: Finding) -> tuple[int, int]:
        """What could not be loaded is told first, as it is nobody's."""
        return self._names.get(f.layer, -1), self._dtypes.get(f.dtype, -1)

    def outcomes(self, result: LayerResult) -> LayerResult:
        """The same result with its dtypes in order."""
        found = sorted(result.outcomes.items(), key=lambda item: self._dtypes[item[0]])
        return replace(result, outcomes=dict(found))


def _dtypes(report: Report) -> Iterator[str]:
    return (dtype for result in report.layers for dtype in result.outcomes)


def _told_once(findings: Sequence[Finding]) -> Iterator[Finding]:
    """What an undivided run tells: a quantity that is broken in one dtype not again in others."""
    before: dict[str, list[Finding]] = {}
    for f in findings:
        own = before.setdefault(f.layer, [])
        if not inherited(f, (other for other in own if other.dtype != f.dtype)):
            own.append(f)
            yield f


def _missing(
    runs: Sequence[Run],
    parts: Sequence[LayerResult],
    results: Sequence[LayerResult],
    findings: Sequence[Finding],
) -> list[str]:
    """What none of the runs verified."""
    asked = {r.layer: r for r in results}
    told = asked.keys() | {f.layer for f in findings}
    elsewhere = {f"{name} {ELSEWHERE}" for name in told}
    elsewhere |= {f"{n} {d} {ELSEWHERE}" for n, result in asked.items() for d in result.outcomes}
    known = {text for r in parts if r.drawn for text in uncovered(r.layer, r.uncovered)}
    still = [text for r in results if r.drawn for text in uncovered(r.layer, r.uncovered)]
    found = [text for run in runs for text in run.report.not_verified if text not in told]
    found = [text for text in found if text not in elsewhere | known]
    found = [text for text in found if not text.endswith(_LACKING)] + still
    for run in runs:
        named = {*told, *(text.split(" ")[0] for text in found)}
        found += [name for name in run.asked if name not in named]
        found += [] if run.complete else [f"the rest of {run.place} (cut off)"]
    return list(dict.fromkeys(found))


def _lacking(environment: Mapping[str, Any]) -> list[str]:
    """The shards that are missing between those that are there."""
    there: dict[int, set[int]] = {}
    for text in str(environment.get("shard") or "").split(", "):
        i, _, n = text.partition("/")
        if i.isdigit() and n.isdigit() and int(n) <= _MOST_SHARDS:
            there.setdefault(int(n), set()).add(int(i))
    return [
        f"shard {i} of {n} {_LACKING}"
        for n, own in there.items()
        for i in range(1, n + 1)
        if i not in own
    ]


def _together(a: LayerResult, b: LayerResult) -> LayerResult:
    """The same candidate in two runs."""
    outcomes = dict(a.outcomes)
    for dtype, outcome in b.outcomes.items():
        outcomes[dtype] = _both(outcomes[dtype], outcome) if dtype in outcomes else outcome
    if a.drawn and b.drawn:
        coverage = Coverage()
        for part in (a, b):
            coverage.add_plain(part.drawn)
        covered, coverable, missing = coverage.count()
        drawn = coverage.plain()
        return LayerResult(a.layer, a.twin, outcomes, covered, coverable, tuple(missing), drawn)
    open_ = tuple(u for u in a.uncovered if u in b.uncovered)
    coverable = max(a.coverable, b.coverable)
    covered = max(a.covered, b.covered, coverable - len(open_))
    return LayerResult(a.layer, a.twin, outcomes, covered, coverable, open_)


def _both(a: Outcome, b: Outcome) -> Outcome:
    def each(
        of: Callable[[Outcome], Mapping[str, Any]], how: Callable[[Any, Any], Any]
    ) -> dict[str, Any]:
        first, second = of(a), of(b)
        both = {q: how(first[q], second[q]) for q in first if q in second}
        return {**first, **second, **both}

    return Outcome(
        a.verdict if a.verdict is not Verdict.PASS else b.verdict,
        a.examples + b.examples,
        a.seconds + b.seconds,
        each(lambda o: o.ratios, max),
        each(lambda o: o.informative, lambda m, n: m + n),
        each(lambda o: o.canaries, lambda m, n: m or n),
        a.judged + b.judged,
        a.not_judged + b.not_judged,
        tuple(sorted({*a.fallbacks, *b.fallbacks})),
        each(lambda o: o.beside, max),
        tuple(sorted({*a.wavering, *b.wavering})),
    )


def _common(environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of all runs; where they differ, every one of them."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for facts in environments for name in facts):
        values = list({repr(facts.get(name)): facts.get(name) for facts in environments}.values())
        if name == "date":
            found[name] = max(str(value) for value in values if value)
        elif name == "shard":
            texts = [text for value in values if value for text in str(value).split(", ")]
            found[name] = ", ".join(dict.fromkeys(texts))
        elif name == "seed":
            found |= {"seeds": ", ".join(map(str, values))} if len(values) > 1 else {}
        else:
            found[name] = values[0] if len(values) == 1 else " / ".join(map(str, values))
    return found
