"""Runs read back from disk, and several of them as one report.

A finding comes from its folder below failures/, arrays and all; where a run was moved without
these, from its line in results.jsonl, without its case and without pictures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from npnet.report import jsonl
from npnet.verify import store
from npnet.verify.finding import (
    Explanation,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Source,
    Verdict,
    Worst,
)
from npnet.verify.store import FileFormatError

_CUT_OFF = "(interrupted)"  # how the engine ends the line of what an interruption left out


@dataclass(frozen=True)
class Run:
    """One run as it was found on disk.

    complete: whether it came to its end
    """

    place: Path
    report: Report
    asked: tuple[str, ...]
    complete: bool


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
    complete = False
    for number, event in enumerate(jsonl.read(path), start=1):
        try:
            match event["event"]:
                case "run":
                    asked = tuple(_text(name) for name in event["candidates"])
                    report.environment = dict(event["environment"])
                    report.seed = int((event.get("settings") or {}).get("seed", 0))
                case "finding":
                    report.findings.append(_finding(event, path.parent))
                case "layer":
                    report.layers.append(_layer(event["result"]))
                case "end":
                    complete = not any(_CUT_OFF in text for text in event["not_verified"])
                    report.not_verified = [_text(text) for text in event["not_verified"]]
                    report.seconds, report.seed = float(event["seconds"]), int(event["seed"])
        except FileFormatError:
            raise
        except KeyError as error:
            raise FileFormatError(
                f"{path} is damaged in line {number}: {error} is missing."
            ) from None
        except (AttributeError, TypeError, ValueError) as error:
            raise FileFormatError(f"{path} is damaged in line {number}: {error}.") from None
    return Run(place, report, asked, complete)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]!r} is no text")
    return value


def _finding(event: Mapping[str, Any], directory: Path) -> Finding:
    told = event["finding"]
    folder = directory / "failures" / Path(_text(event["folder"])).name
    if (folder / "case.json").is_file():
        return replace(store.load(folder).finding, id=_text(told["id"]))
    texts = ["id", "layer", "twin", "quantity", "dtype", "device", "message", "protocol"]
    texts += ["traceback", "target"]
    counts = ("wrong", "size", "failed", "asked", "first")
    worst, source = told["worst"], told["source"]
    plain: dict[str, Any] = {name: _text(told[name]) for name in texts}
    plain |= {name: int(told[name]) for name in counts}
    return Finding(
        **plain,
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
        dialect=None if told["dialect"] is None else _text(told["dialect"]),
        source=None
        if source is None
        else Source(_text(source["file"]), int(source["line"]), _text(source["function"])),
    )


def _layer(told: Mapping[str, Any]) -> LayerResult:
    return LayerResult(
        _text(told["layer"]),
        _text(told["twin"]),
        {dtype: _outcome(outcome) for dtype, outcome in told["outcomes"].items()},
        int(told["covered"]),
        int(told["coverable"]),
        tuple(_text(u) for u in told["uncovered"]),
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
    )


# ---- merging -------------------------------------------------------------------------------------


def merge(runs: Sequence[Run]) -> tuple[Report, bool]:
    """All runs as one report, and whether any of them was cut off.

    What several asked is verified by all of them together: the verdict is the first that is not
    PASS, margins are the largest, examples add up. A finding that several made is told once.
    """
    reports = [run.report for run in runs]
    layers: dict[str, LayerResult] = {}
    for result in (r for report in reports for r in report.layers):
        known = layers.get(result.layer)
        layers[result.layer] = _together(known, result) if known else result
    findings = {f.id: f for report in reports for f in report.findings}
    told = layers.keys() | {f.layer for f in findings.values()}
    missing = [text for r in reports for text in r.not_verified if text not in told]
    for run in runs:
        named = {*told, *(text.split(" ")[0] for text in missing)}
        missing += [name for name in run.asked if name not in named]
        missing += [] if run.complete else [f"the rest of {run.place} (cut off)"]
    merged = Report(
        list(findings.values()),
        list(layers.values()),
        _common([{**r.environment, "seed": r.seed} for r in reports]),
        reports[0].seed,
        sum(r.seconds for r in reports),
        list(dict.fromkeys(missing)),
    )
    return merged, not all(run.complete for run in runs)


def _together(a: LayerResult, b: LayerResult) -> LayerResult:
    """The same candidate in two runs."""
    outcomes = dict(a.outcomes)
    for dtype, outcome in b.outcomes.items():
        outcomes[dtype] = _both(outcomes[dtype], outcome) if dtype in outcomes else outcome
    uncovered = tuple(u for u in a.uncovered if u in b.uncovered)
    coverable = max(a.coverable, b.coverable)
    covered = max(a.covered, b.covered, coverable - len(uncovered))
    return LayerResult(a.layer, a.twin, outcomes, covered, coverable, uncovered)


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
    )


def _common(environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of all runs; where they differ, every one of them."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for facts in environments for name in facts):
        values = list({repr(facts.get(name)): facts.get(name) for facts in environments}.values())
        if name == "date":
            found[name] = max(str(value) for value in values if value)
        elif name == "seed":
            found |= {"seeds": ", ".join(map(str, values))} if len(values) > 1 else {}
        else:
            found[name] = values[0] if len(values) == 1 else " / ".join(map(str, values))
    return found
