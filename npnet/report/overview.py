"""What a report says at a glance: findings by their cause, and a cell per quantity and dtype."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from npnet.verify.finding import (
    BROKEN,
    DIVERGED,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Verdict,
)
from npnet.verify.precision import PRECISIONS

DEVICE = "cpu"  # of a result; a finding names its own

OK, DIVERGES, BREAKS, OPEN = "ok", "diverged", "broken", "unproven"


def state(verdict: Verdict) -> str:
    """Of four kinds: ok, diverged, broken, unproven."""
    if verdict is Verdict.PASS:
        return OK
    return DIVERGES if verdict in DIVERGED else BREAKS if verdict in BROKEN else OPEN


# ---- causes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cause:
    """Findings that one mistake explains: the one that leads, and the others."""

    leader: Finding
    others: tuple[Finding, ...] = ()


def follows(finding: Finding) -> bool:
    """Whether another finding has the same cause and leads."""
    return finding.cause not in ("", finding.id)


def causes(findings: Sequence[Finding]) -> list[Cause]:
    """Every finding once, below its leader; one whose leader is not there leads itself."""
    leaders = {f.id for f in findings if not follows(f)}
    found: dict[int, Cause] = {}
    below: dict[str, list[Finding]] = {}
    for n, f in enumerate(findings):
        if follows(f) and f.cause in leaders:
            below.setdefault(f.cause, []).append(f)
        else:
            found[n] = Cause(f)
    return [Cause(c.leader, tuple(below.pop(c.leader.id, ()))) for c in found.values()]


# ---- cells ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One quantity of one candidate in one dtype.

    ratio: the worst |got - want| / error bound; None where it is not known
    finding: the one that tells of it, which may be of another dtype
    """

    layer: str
    twin: str
    quantity: str
    dtype: str
    device: str
    verdict: Verdict
    ratio: float | None = None
    finding: Finding | None = None

    @property
    def section(self) -> str:
        """What sort of quantity it is: a name of SECTIONS."""
        for words, section in _SECTIONS:
            if self.quantity.startswith(words):
                return section
        return "other"


_SECTIONS = (
    ("y", "values"),
    ("params after", "values"),
    ("gradient of input", "gradients of inputs"),
    ("gradient of", "gradients of parameters"),
    ("next ", "state"),
    ("state ", "state"),
)
SECTIONS = ("values", "gradients of inputs", "gradients of parameters", "state", "other")


def cells(report: Report) -> list[Cell]:
    """Every quantity of every candidate in every dtype; what broke down without a result, too."""
    found = [cell for result in report.layers for cell in _of(result, report.findings)]
    told = {(c.layer, c.dtype, c.quantity) for c in found}
    for f in report.findings:
        if (f.layer, f.dtype, f.quantity) not in told:
            device = f.device or DEVICE
            at = (f.layer, f.twin, f.quantity, f.dtype, device)
            cell = Cell(*at, f.verdict, _off(f, f.dtype), f)
            found.append(cell)
            told.add((f.layer, f.dtype, f.quantity))
    order = {name: n for n, name in enumerate(dict.fromkeys(c.layer for c in found))}
    return sorted(found, key=lambda c: order[c.layer])


def _of(result: LayerResult, findings: Sequence[Finding]) -> Iterator[Cell]:
    own = [f for f in findings if f.layer == result.layer]
    for n, (dtype, outcome) in enumerate(result.outcomes.items()):
        blamed = _blamed(dtype, list(result.outcomes)[:n], outcome, own)
        for quantity in dict.fromkeys((*outcome.ratios, *blamed)):
            f = blamed.get(quantity)
            at = (result.layer, result.twin, quantity, dtype)
            if f is None:
                yield Cell(*at, DEVICE, Verdict.PASS, outcome.ratios[quantity])
            else:
                yield Cell(*at, f.device or DEVICE, f.verdict, _off(f, dtype), f)


def _blamed(
    dtype: str, before: Sequence[str], outcome: Outcome, own: Sequence[Finding]
) -> dict[str, Finding]:
    """The findings of a dtype by quantity. What was broken before is not told in it again."""
    if outcome.verdict is Verdict.PASS:
        return {}
    agrees = {q for f in own if f.dtype == dtype for q in f.agrees}
    inherited = (f for f in own if f.dtype in before and f.quantity not in agrees)
    told = (f for f in own if f.dtype == dtype)
    return {f.quantity: f for f in reversed([*told, *inherited])}


def _off(f: Finding, dtype: str) -> float | None:
    """Its err/bound in error bounds, which are a K-th of what is allowed."""
    if f.worst is None or f.dtype != dtype or dtype not in PRECISIONS:
        return None
    return f.worst.ratio * PRECISIONS[dtype].k


def passed(report: Report) -> list[LayerResult]:
    """The layers of which nothing is left to say."""
    bad = {f.layer for f in report.findings}
    return [r for r in report.layers if r.layer not in bad]
