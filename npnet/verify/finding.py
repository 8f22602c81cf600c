"""What a run leaves behind, as plain data: verdicts, findings, results per layer, the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from npnet.contract import Array
from npnet.verify.case import Example


class Verdict(StrEnum):
    """What is said of a candidate, or of one quantity of it."""

    PASS = "PASS"
    WRONG = "WRONG"
    UNSTABLE = "UNSTABLE"
    NONFINITE = "NONFINITE"
    CONTRACT = "CONTRACT"
    CRASH = "CRASH"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    ORACLE_DISAGREES = "ORACLE_DISAGREES"
    INSUFFICIENT = "INSUFFICIENT"


DIVERGED = frozenset({Verdict.WRONG, Verdict.UNSTABLE, Verdict.NONFINITE, Verdict.CONTRACT})
BROKEN = frozenset({Verdict.CRASH, Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY})
UNPROVEN = frozenset({Verdict.ORACLE_DISAGREES, Verdict.INSUFFICIENT})


@dataclass(frozen=True)
class Worst:
    """The element that is furthest off, in units of its bound."""

    index: tuple[int, ...]
    got: float
    want: float
    bound: float  # what was allowed: K times the error bound

    @property
    def ratio(self) -> float:
        """|got - want| / bound; 1 is the most that passes."""
        off = abs(self.got - self.want)
        return off / self.bound if self.bound > 0 else float("inf") if off else 0.0


@dataclass(frozen=True)
class Source:
    """A place in the candidate's code that a reader should look at."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True)
class Comparison:
    """One quantity on one value set: both sides in full, and what was allowed.

    axes: what the axes are called, as far as that is known
    twin: what torch itself answers in the dtype asked
    """

    got: Array
    want: Array
    allowed: Array
    axes: tuple[str, ...] = ()
    twin: Array | None = None


@dataclass(frozen=True)
class Explanation:
    """One reading of a divergence: kind, sentence, and what it leaves unexplained, in bounds.

    certain: whether it reconstructs the candidate's answer; the others only say where and when
    """

    kind: str
    text: str
    residual: float
    certain: bool = True


@dataclass(frozen=True)
class Finding:
    """One broken quantity of one candidate.

    case: the smallest example found (one value set); probe: a fuller one, for pictures
    protocol: how the question was put (plain, again, strided, interleaved, split)
    """

    id: str
    layer: str
    twin: str
    quantity: str
    verdict: Verdict
    dtype: str
    device: str
    message: str
    protocol: str = "plain"
    case: Example | None = None
    smallest: Comparison | None = None
    probe: Comparison | None = None
    worst: Worst | None = None
    wrong: int = 0
    size: int = 0
    failed: int = 0
    asked: int = 0
    first: int = 0  # examples until it was first seen, from 1
    step: int = (
        0  # of a training run, from 1, in which it is seen first; failed and asked are steps
    )
    agrees: tuple[str, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    cause: str = ""  # the id of the finding whose cause is this one's too; its own where it leads
    dialect: str | None = None
    source: Source | None = None
    traceback: str = ""
    printed: str = ""  # the beginning of what the candidate wrote to standard output and error
    target: str = ""  # what `npnet verify` has to be told to find the candidate again
    accepted: str = ""  # why the team accepts it, where it does


@dataclass(frozen=True)
class Outcome:
    """One layer in one dtype: its verdict and the evidence."""

    verdict: Verdict
    examples: int
    seconds: float
    ratios: Mapping[str, float]  # worst |got - want| / error bound of every quantity
    informative: Mapping[str, int]
    canaries: Mapping[str, bool]
    judged: int = 0  # elements compared
    not_judged: int = 0  # value sets left out because they overflow
    fallbacks: tuple[str, ...] = ()
    beside: Mapping[str, float] = field(default_factory=dict)  # of torch itself on a second device
    wavering: tuple[str, ...] = ()  # of these, what differs from run to run there


@dataclass(frozen=True)
class LayerResult:
    """One candidate in every dtype asked, with the options that were covered.

    drawn: what they were counted from, where other dtypes are asked elsewhere
    """

    layer: str
    twin: str
    outcomes: Mapping[str, Outcome]
    covered: int = 0
    coverable: int = 0
    uncovered: tuple[str, ...] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def worst(self) -> float:
        """The largest |got - want| / error bound of any quantity in any dtype."""
        return max((r for o in self.outcomes.values() for r in o.ratios.values()), default=0.0)


def inherited(finding: Finding, before: Iterable[Finding]) -> bool:
    """A quantity that is broken in float64 is not told again for every other dtype."""
    numbers = {Verdict.WRONG, Verdict.UNSTABLE, Verdict.NONFINITE}
    alike = numbers if finding.verdict in numbers else {finding.verdict}
    return any(f.quantity == finding.quantity and f.verdict in alike for f in before)


@dataclass(frozen=True)
class Retried:
    """An accepted divergence whose pinned case was asked again.

    state: FIXED, STILL DIVERGES or ERROR
    """

    id: str
    layer: str
    quantity: str
    dtype: str
    verdict: Verdict
    reason: str
    date: str
    state: str
    message: str

    @property
    def holds(self) -> bool:
        """Whether it diverges still."""
        return self.state == "STILL DIVERGES"


@dataclass(frozen=True)
class Step:
    """One layer in one step of a training run.

    state: "ok"; "wrong", by a fault of its own; "inherits", what an earlier place got wrong;
        "unknown", where the bound is too large to say anything; "fresh", where it is, but the step
        that begins with torch's own state agrees
    ratio: the worst |got - want| / error bound of what says something, of all where nothing does
    quantity: of the layer, whose ratio it is
    """

    state: str
    ratio: float
    quantity: str


@dataclass(frozen=True)
class Trace:
    """A training run beside torch's, from the same state on the same batches, in one dtype.

    layers: by name in the order of the forward pass, the loss and the optimizer last; a step each
    kinds: the layers' classes
    comparable: the first step, from 1, from which on most bounds are too large; None: never
    numbers: what the steps are called; 1, 2, … by default
    """

    dtype: str
    steps: int
    layers: Mapping[str, tuple[Step, ...]]
    kinds: Mapping[str, str]
    comparable: int | None = None
    numbers: tuple[int, ...] = ()

    def number(self, k: int) -> int:
        """What the k-th step is called, from 0."""
        return self.numbers[k] if self.numbers else k + 1


class Diverged(AssertionError):
    """A candidate and its twin answer a question differently."""


@dataclass
class Report:
    """Everything that one run found out.

    idle: whether nothing was asked since nothing falls to its shard
    retried: what the team accepts of these candidates, asked again
    traces: training runs of a whole network, layer by layer and step by step
    """

    findings: list[Finding] = field(default_factory=list)
    layers: list[LayerResult] = field(default_factory=list)
    environment: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    seconds: float = 0.0
    not_verified: list[str] = field(default_factory=list)
    idle: bool = False
    retried: list[Retried] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything asked was verified."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 verified; 1 divergence; 3 crash, hang or load failure; 4 nothing, or too little."""
        verdicts = {f.verdict for f in self.findings if not f.accepted}
        states = {r.state for r in self.retried}
        if verdicts & DIVERGED or "FIXED" in states:
            return 1
        if verdicts & BROKEN or "ERROR" in states:
            return 3
        if verdicts & UNPROVEN or not (self.layers or self.idle):
            return 4
        return 0

    def raise_if_diverged(self) -> None:
        """Raise Diverged with the text of every finding, unless everything was verified."""
        if not self.ok:
            from npnet.report.text import render

            raise Diverged("\n" + render(self))

    def save(self, directory: str | Path) -> Path:
        """Write results.jsonl, index.html and failures/ into a directory; return index.html."""
        from npnet.report.files import save

        return save(self, Path(directory))

    def _repr_html_(self) -> str:
        from npnet.report.html import fragment

        return fragment(self)
