"""What is wrong in a training run, and how it is told: a finding for every fault."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.coverage import Coverage
from npnet.verify.drawn import on_each
from npnet.verify.examine import Evidence
from npnet.verify.finding import Explanation, Finding, Outcome, Verdict, inherited
from npnet.verify.judge import Failure
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings
from npnet.verify.spec import Spec, examples
from npnet.verify.targets import specs
from npnet.verify.trial import Trial, identity
from npnet.verify.whole.questions import smaller
from npnet.verify.whole.trace import NETWORK, OPTIMIZER, WIRING, Place

_DRAWN = 20  # configurations, for the values that a mistaken option may have
_LARGE = 100_000  # numbers of a question, beyond which a diagnosis gets a part of it only


@dataclass
class Fault:
    """A divergence with the layer that is to blame.

    step: the first in which it is seen, from 0; steps: all of them
    how: the layer was asked: by itself ("plain"), as part of the network from torch's own state
        ("wiring"), or in the whole run ("carried")
    example, candidate, spec: the question, where a layer was asked by itself
    """

    place: Place
    failure: Failure
    step: int
    kind: str  # the class of the layer
    how: str = "plain"
    steps: list[int] = field(default_factory=list)
    example: Example | None = None
    candidate: Candidate | None = None
    spec: Spec | None = None
    explanation: Explanation | None = None

    @property
    def is_between(self) -> bool:
        """Whether no layer by itself shows it."""
        return self.how != "plain"


# ---- findings ------------------------------------------------------------------------------------


class Telling:
    """Makes findings of the faults of one dtype.

    kinds: the layers in order; steps: of the run; evidence: what was seen of every layer
    before: the findings of other dtypes: what is wrong in them is not told again
    target: where the run stands, so that it is found again
    """

    def __init__(
        self,
        dtype: str,
        kinds: Mapping[str, str],
        steps: int,
        evidence: Mapping[str, Evidence],
        before: Sequence[Finding],
        target: str = "",
    ) -> None:
        self.dtype, self.kinds, self.steps = dtype, kinds, steps
        self.evidence, self.before, self.target = evidence, list(before), target

    def findings(self, faults: Sequence[Fault], *, shrunk: bool = True) -> Iterator[Finding]:
        """A finding for every fault, those of one layer under the first of them.

        shrunk: with the smallest case, and why
        """
        order = {name: n for n, name in enumerate(self.kinds)}
        leaders: dict[str, str] = {}
        for fault in sorted(faults, key=lambda f: (f.step, order.get(f.place.path, -1))):
            quantity = str(fault.place) if fault.is_between else fault.place.quantity
            layer = WIRING if fault.is_between else fault.place.path or NETWORK
            finding = self._bare(fault, layer, quantity, faults)
            if inherited(finding, (f for f in self.before if f.layer == layer)):
                continue
            if shrunk and fault.example is not None and fault.failure.worst is not None:
                finding = self._smaller(fault, finding)
            leader = leaders.setdefault(layer, finding.id)
            yield finding if leader == finding.id else replace(finding, cause=leader)

    def _bare(self, fault: Fault, layer: str, quantity: str, faults: Sequence[Fault]) -> Finding:
        f = fault.failure
        c = fault.candidate or Candidate(lambda case: None, fault.kind, fault.place.path)
        seen = self.evidence.get(fault.place.path, Evidence()).judged_quantities()
        broken = {x.place.quantity for x in faults if x.place.path == fault.place.path}
        return Finding(
            id=identity(replace(c, name=layer), quantity, self.dtype, fault.example),
            layer=layer,
            twin="" if fault.is_between else fault.kind,
            quantity=quantity,
            verdict=f.verdict,
            dtype=self.dtype,
            device="cpu",
            message=f.message,
            protocol=fault.how,
            probe=f.comparison,
            worst=f.worst,
            wrong=f.wrong,
            size=f.size,
            failed=len(fault.steps),
            asked=self.steps,
            step=fault.step + 1,
            agrees=() if fault.is_between else tuple(q for q in seen if q not in broken),
            explanations=() if fault.explanation is None else (fault.explanation,),
            source=c.source(fault.place.quantity),
            traceback=f.traceback,
            target=self.target,
        )

    def _smaller(self, fault: Fault, finding: Finding) -> Finding:
        """With the smallest case of it, and why, as a layer by itself is told."""
        c, spec, example = fault.candidate, fault.spec, fault.example
        assert c is not None
        assert spec is not None
        assert example is not None
        precision = PRECISIONS[self.dtype]
        fewer, smallest, f = smaller(c, spec, precision, example, fault.failure)
        finding = replace(finding, worst=f.worst, wrong=f.wrong, size=f.size, message=f.message)
        if spec.name not in specs():  # nobody could ask it again
            return finding
        finding = replace(finding, case=smallest, smallest=f.comparison)
        asked = Settings(dtypes=(self.dtype,), isolated=False)
        trial = Trial(c, spec, self.dtype, asked, lambda event: None, Coverage(), None)
        for e in (fewer, example):
            if sum(a.size for a in e.arrays.values()) <= _LARGE or e is fewer:
                trial.record.add({}, e, [(finding.quantity, 0)], spec.optimizer)
        drawn = examples(spec, {}, self.dtype, 1)
        on_each(drawn, lambda e: trial.record.options(e[0].config), _DRAWN, 0)
        (told,) = trial.explained([finding])
        return replace(told, cause="")

    # ---- what was seen -------------------------------------------------------------------------

    def blind(self, asked: Collection[str]) -> set[str]:
        """Layers that were asked, and of which nothing can be said in this dtype."""
        known = {n for n, e in self.evidence.items() if e.seen and any(e.informative.values())}
        return set(asked) - known

    def unseen(self) -> Iterator[str]:
        """Quantities of which nothing can be said, in layers of which something can."""
        for name, e in self.evidence.items():
            for quantity, n in e.informative.items():
                if not n and name != OPTIMIZER and any(e.informative.values()):
                    yield (
                        f"{quantity} of {name or NETWORK} in {self.dtype} (its bound is as large "
                        "as what it bounds)"
                    )

    def outcomes(
        self, findings: Sequence[Finding], whole: str, wired: Mapping[str, float]
    ) -> dict[str, Outcome]:
        """What came of every layer, and of the network from torch's own state, called `whole`.

        wired: the margins of that
        """
        told = [*findings, *self.before]  # what was wrong in another dtype is in this one

        def verdict(layer: str) -> Verdict:
            return next((f.verdict for f in told if f.layer == layer), Verdict.PASS)

        found = {}
        for name, e in self.evidence.items():
            layer = name or NETWORK
            seen = e.seen and any(e.informative.values())
            if seen or verdict(layer) is not Verdict.PASS:
                found[layer] = Outcome(
                    verdict(layer),
                    self.steps,
                    0.0,
                    dict(e.ratios),
                    dict(e.informative),
                    dict(e.canaries),
                    e.judged,
                    e.not_judged,
                    tuple(sorted(e.fallbacks)),
                )
        known = dict.fromkeys(wired, self.steps)
        if wired or verdict(whole) is not Verdict.PASS:
            found[whole] = Outcome(verdict(whole), self.steps, 0.0, dict(wired), known, {})
        return found


def insufficient(layer: str, kind: str, dtypes: Sequence[str]) -> Finding:
    """Nothing can be said of a layer in any dtype: never a PASS."""
    formats = " and ".join(dtypes)
    return Finding(
        id=f"{layer or NETWORK}-insufficient",
        layer=layer or NETWORK,
        twin=kind,
        quantity="y",
        verdict=Verdict.INSUFFICIENT,
        dtype="",
        device="cpu",
        message=f"its bounds are as large as its numbers in {formats}: ask for less at a time, "
        "a shorter sequence or smaller numbers",
    )
