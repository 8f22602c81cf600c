"""The words that every format shares: verdicts, sentences, numbers, arrays; nothing unprintable."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.report.overview import passed
from npnet.verify.case import Example, LayerConfig, Slot, leaves
from npnet.verify.finding import (
    BROKEN,
    DIVERGED,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Retried,
    Verdict,
)

HEADINGS = {
    Verdict.CRASH: "CRASHED",
    Verdict.TIMEOUT: "HUNG",
    Verdict.OUT_OF_MEMORY: "OUT OF MEMORY",
    Verdict.ORACLE_DISAGREES: "ORACLE DISAGREES",
    Verdict.INSUFFICIENT: "INSUFFICIENT",
}

_MEANINGS = {
    Verdict.WRONG: "the formula is not torch's",
    Verdict.UNSTABLE: "right in float64, but loses digits in {dtype}",
    Verdict.NONFINITE: "inf or nan where torch is finite",
    Verdict.CONTRACT: "the values may be right, but a layer must not do this",
    Verdict.ORACLE_DISAGREES: "torch contradicts itself here; the candidate is not blamed",
    Verdict.INSUFFICIENT: "too little was seen to say anything",
}

_OF_A_RUN = {
    "wiring": "each layer is right by itself, and what connects them is not as torch's",
    "compared": "the two differ by more than rounding",
    "carried": "each step is right by itself, and what is kept between them is not as torch's",
}
"""Of findings that no layer alone shows, by the way they were asked."""

_PROTOCOLS = {
    "again": "the pass asked a second time",
    "strided": "arrays that are Fortran-ordered, strided or reversed in memory",
    "interleaved": "another forward pass between forward and vjp",
    "split": "the batch in two halves",
    "history": "the calls that came before it",
}

_MOST_OK = 8


def clean(text: Any, most: int = 1000) -> str:
    """A string from anywhere on one line, without control, bidirectional or lone characters."""
    line = " ".join(str(text).split())
    kept = "".join(ch for ch in line if unicodedata.category(ch) not in _UNPRINTABLE)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def lines(text: str) -> list[str]:
    """A traceback or a file, cleaned line by line, with its indentation."""
    return [
        line[: len(line) - len(line.lstrip(" "))] + clean(line)
        for line in text.expandtabs(4).split("\n")
    ]


# ---- verdicts ------------------------------------------------------------------------------------


def heading(finding: Finding) -> str:
    """What happened, in capitals."""
    if finding.accepted:
        return "ACCEPTED"
    return HEADINGS.get(finding.verdict, "DIVERGED")


def where(finding: Finding) -> str:
    """Layer, quantity, dtype and device; of a training run the layer's class and the step, too."""
    layer, step = finding.layer, ""
    if finding.step:
        layer = f"{layer} ({finding.twin})" if finding.twin else layer
        step = f"step {finding.step}"
    parts = (layer, finding.quantity, step, finding.dtype, finding.device)
    return " · ".join(clean(p, 120) for p in parts if p)


def meaning(finding: Finding) -> str | None:
    """What the verdict means, with its name; None where the heading says it all."""
    if finding.verdict not in _MEANINGS:
        return None
    said = _MEANINGS[finding.verdict].format(dtype=finding.dtype)
    if finding.verdict is Verdict.WRONG:
        said = _OF_A_RUN.get(finding.protocol, said)
    return f"{finding.verdict}: {said}"


def readings(finding: Finding) -> list[tuple[str, str]]:
    """What explains it, the likeliest first: "why" where that is certain, else "observed"."""
    return [
        ("why" if e.certain else "observed", clean(e.text))
        for e in finding.explanations
        if e.certain or e.kind != "when"
    ]


def only_when(finding: Finding) -> str | None:
    """The options, shapes or numbers that all of the failing examples have in common."""
    told = (e for e in finding.explanations if e.kind == "when" and not e.certain)
    return next((clean(e.text) for e in told), None)


def how_much(finding: Finding, written: Callable[[float], str] | None = None) -> str | None:
    """How many elements are off, where most, and by how much; written: of the ratio."""
    w = finding.worst
    if w is None:
        return None
    at = f" at {list(w.index)}" if w.index else ""
    by = "" if math.isnan(w.ratio) else f", err/bound {(written or ratio)(w.ratio)}"
    whose = "the other" if finding.protocol == "compared" else "torch"
    got, want = apart(w.got, w.want)
    return (
        f"{finding.wrong:,} of {finding.size:,} elements; worst{at}: got {got}, "
        f"{whose} has {want}{by}"
    )


def how_often(finding: Finding) -> str | None:
    """In how many of the examples, or of the steps of a training run."""
    if not finding.asked or not finding.failed:
        return None
    if finding.step:
        return f"{finding.failed} of {finding.asked} steps, first in step {finding.step}"
    first = f", first in example {finding.first}" if finding.first else ""
    return f"{finding.failed} of {finding.asked} examples{first}"


def only_under(finding: Finding) -> str | None:
    """The way of asking without which the divergence does not show, where there is one."""
    broken_rule = finding.verdict is Verdict.CONTRACT and finding.worst is not None
    if finding.protocol == "history" or (finding.protocol != "plain" and broken_rule):
        return f"{finding.protocol}: {_PROTOCOLS.get(finding.protocol, 'see its case')}"
    return None


def also(finding: Finding, others: Sequence[Finding]) -> str | None:
    """What of the same layer agrees, and what else of it does not."""
    same = [f for f in others if f.layer == finding.layer and f.id != finding.id and f.quantity]
    broken = {f.quantity for f in same}
    fine = [f"{clean(q, 80)} ok" for q in finding.agrees if q not in broken]
    parts = fine if len(fine) <= _MOST_OK else fine[: _MOST_OK - 1]
    if len(parts) < len(fine):  # an optimizer has a quantity per step and parameter
        parts.append(f"{len(fine) - len(parts)} more ok")
    for f in same:
        dtype = f" in {f.dtype}" if f.dtype != finding.dtype else ""
        parts.append(f"{clean(f.quantity, 80)} {f.verdict}{dtype}")
    return " · ".join(dict.fromkeys(parts)) or None


def verdict_word(verdict: Verdict) -> str:
    """The verdict in a cell: ok, or its name."""
    return "ok" if verdict is Verdict.PASS else verdict.replace("_", " ")


def outcome_word(outcome: Outcome) -> str:
    """The verdict of one dtype in a cell."""
    return verdict_word(outcome.verdict)


def sentence(report: Report) -> str:
    """The whole report in one sentence."""
    bad = {f.layer for f in report.findings}
    good = passed(report)
    verified = f"{_count(len(good), 'layer')} verified" if good else ""
    failing = [f for f in report.findings if not f.accepted]
    groups = [
        ("diverged", {f.layer for f in failing if f.verdict in DIVERGED}),
        ("broke down", {f.layer for f in failing if f.verdict in BROKEN}),
        ("diverged as accepted", bad - {f.layer for f in failing}),
    ]
    parts = []
    told: set[str] = set()
    for what, names in groups:
        if names - told:
            parts.append(f"{_some(sorted(names - told))} {what}")
            told |= names
    if bad - told:
        parts.append(f"too little could be verified of {_some(sorted(bad - told))}")
    if verified:
        parts.append(verified)
    lapsed = sum(not r.holds for r in report.retried)
    if lapsed:
        parts.append(f"{_count(lapsed, 'accepted divergence')} to look at")
    if not parts and report.idle:
        return f"Nothing falls to shard {clean(report.environment.get('shard', 'asked'), 40)}"
    return ", ".join(parts) or "Nothing was verified"


def retried(one: Retried) -> str:
    """What came of an accepted divergence that was asked again."""
    name = f"accepted divergence {clean(one.id)}"
    if one.state == "FIXED":
        return f"{name} no longer diverges: remove it with npnet baseline remove {clean(one.id)}"
    if not one.holds:
        return f"{name} could not be asked again: {clean(one.message, 300)}"
    return f"{name} diverges still (since {clean(one.date)}: {clean(one.reason, 300)})"


def _some(names: Sequence[str]) -> str:
    if len(names) > 3:
        return _count(len(names), "layer")
    *first, last = (clean(n, 80) for n in names)
    return f"{', '.join(first)} and {last}" if first else last


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def not_verified(report: Report) -> list[str]:
    """What was asked for, or could have been, and was not judged."""
    facts = report.environment
    cuda = []
    if "device" not in facts and "cuda" in facts:
        cuda = ["cuda (not asked for)" if facts["cuda"] else "cuda (no device)"]
    return cuda + [clean(text, 200) for text in report.not_verified]


def beside(report: Report) -> list[str]:
    """How far torch's own kernels on a second device are from the oracle, a line per format."""
    worst: dict[str, tuple[float, str]] = {}
    for r in report.layers:
        for dtype, outcome in r.outcomes.items():
            for quantity, off in outcome.beside.items():
                one = (off, f"{quantity} of {r.layer}")
                worst[dtype] = max(worst.get(dtype, one), one, key=lambda pair: pair[0])
    device = report.environment.get("cuda") or report.environment.get("device", "")
    found = [
        f"torch on {device} in {dtype}: worst err/bound {ratio(off)} ({where})"
        for dtype, (off, where) in worst.items()
    ]
    wavering = [r.layer for r in report.layers if any(o.wavering for o in r.outcomes.values())]
    if wavering:
        found.append(f"Not the same in two runs on {device}: {', '.join(wavering)}")
    return [clean(line, 400) for line in found]


def surroundings(facts: Mapping[str, Any], seed: int) -> str:
    """The environment on one line."""
    parts = [f"npnet {facts.get('npnet', '?')}"]
    if facts.get("numpy"):
        parts.append(f"numpy {facts['numpy']} ({facts.get('blas', 'unknown BLAS')})")
    if "reference" in facts:
        parts.append(f"torch as {facts['device']} in {facts['reference']}")
        return clean(" · ".join(parts))
    if facts.get("torch"):
        parts.append(f"torch {facts['torch']}")
    parts.append(f"seed {seed}")
    if "cuda" in facts:
        parts.append(f"cuda: {facts['cuda'] or 'none'}")
    return clean(" · ".join(parts))


def options(result: LayerResult) -> str:
    """How many options, and pairs of them, were covered."""
    return f"{result.covered} of {result.coverable}" if result.coverable else "none to cover"


# ---- numbers and arrays --------------------------------------------------------------------------


def apart(a: float, b: float) -> tuple[str, str]:
    """Two floats with as many digits as are worth reading, or more where these are the same."""
    both = [(f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (6, 9, 12, 17)]
    return next(((x, y) for x, y in both if x != y), both[0])


def ratio(x: float) -> str:
    """A ratio to a bound: two digits, or a power of ten."""
    if math.isnan(x) or math.isinf(x):
        return str(x)
    return f"{x:.2f}" if x < 100 else f"{x:.0e}".replace("e+0", "e").replace("e+", "e")


def power(x: float) -> str:
    """A ratio as it is written by hand: 0.31, 2×10¹⁵."""
    mantissa, e, exponent = ratio(x).partition("e")
    return f"{mantissa}×10{superscript(int(exponent))}" if e else mantissa


def superscript(n: int) -> str:
    """A whole number as an exponent."""
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def duration(seconds: float) -> str:
    """6.2 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def date(moment: Any) -> str:
    """A moment in ISO format as 20 November 2026, 14:05 UTC; anything else as it is."""
    try:
        at = datetime.fromisoformat(str(moment))
    except ValueError:
        return clean(moment, 80)
    month = "January February March April May June July August September October November December"
    zone = f" {at.tzname()}" if at.tzinfo else ""
    return f"{at.day} {month.split()[at.month - 1]} {at.year}, {at:%H:%M}{zone}"


def array(a: Any, most: int = 24) -> str:
    """An array as a compact literal; a longer one by its shape and its first elements."""
    a = np.asarray(a)
    if a.size == 0:
        return f"empty, shape {a.shape}"
    if a.size <= most:
        with np.printoptions(threshold=most + 1, linewidth=10**6, floatmode="unique"):
            text = np.array2string(a, separator=", ")
        return clean(re.sub(r"\s+", " ", text).replace("[ ", "["), 60 * most)
    first = ", ".join(np.array2string(x, floatmode="unique") for x in a.reshape(-1)[:4])
    return f"{a.dtype} {a.shape}: {clean(first)}, …"


def whole(a: Any, most: int = 2000) -> str:
    """An array in full, over as many lines as it takes; a very long one without its middle."""
    a = np.asarray(a)
    if a.size == 0:
        return f"empty, shape {a.shape}"
    with np.printoptions(threshold=most, linewidth=96, floatmode="unique"):
        text = np.array2string(a, separator=", ")
    return "\n".join(lines(text))


def arrays_of(example: Example) -> dict[str, Array]:
    """The arrays of the first value set by the names that quantities have: "weight", "input 0"."""
    return {
        clean(name.removeprefix("state "), 80): a[0] for name, a in example.arrays.items() if len(a)
    }


def configuration(example: Example) -> str:
    """The constructor call: Linear(in_features=1, …); and of what, where that is not arrays alone.

    autograd.pow() of (<input 0>, 2)
    """
    written = ", ".join(f"{k}={_value(v)}" for k, v in example.config.items())
    call = "".join(f", {k}={_value(v)}" for k, v in example.kwargs.items() if v is not None)
    numbers = {type(x) for part in example.inputs for _, x in leaves(part, "")}
    of = f" of {_value(example.inputs)}" if numbers - {Slot, type(None)} else ""
    return clean(f"{example.spec}({written}){of}{' with ' + call[2:] if call else ''}")


def _value(value: Any) -> str:
    if isinstance(value, Slot):
        return f"<{value.name.removeprefix('state ')}>"
    if isinstance(value, LayerConfig):
        return f"{value.layer}({', '.join(f'{k}={_value(v)}' for k, v in value.config.items())})"
    if isinstance(value, tuple):
        inner = ", ".join(_value(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def excerpt(file: str, line: int, before: int = 1, after: int = 24) -> list[tuple[int, str]]:
    """The lines of a source file around a place, numbered; none where it cannot be read."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return []
    numbered = list(enumerate(lines(text), start=1))
    return numbered[max(line - 1 - before, 0) : line + after]


def full(twin: str) -> str:
    """The name of a twin below npnet: nn.Linear, optim.lr_scheduler.StepLR, autograd.Tensor.add."""
    package, _, name = twin.rpartition(".")
    places = {"": "nn", "lr_scheduler": "optim.lr_scheduler", "autograd": "autograd.Tensor"}
    return f"{places.get(package, package)}.{name}"


_IN_TORCH = {
    "max": "amax",
    "expand": "Tensor.expand",
    "transpose": "permute",
    "index": "Tensor.__getitem__",
    "cross_entropy": "nn.functional.cross_entropy",
}
"""The names of operations in torch, where they are others than the tensor's methods."""


def in_torch(twin: str) -> str:
    """The name of a twin in torch: torch.nn.Linear, torch.add."""
    package, _, name = twin.rpartition(".")
    return f"torch.{_IN_TORCH.get(name, name) if package == 'autograd' else full(twin)}"
