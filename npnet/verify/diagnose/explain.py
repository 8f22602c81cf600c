"""Holds every suspicion against a candidate's answers, and ranks what explains them."""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from npnet.verify.candidate import Candidate
from npnet.verify.diagnose import (
    logarithm,
    normalisation,
    numerics,
    otherwise,
    place,
    reduction,
    relation,
    step,
    term,
)
from npnet.verify.diagnose.condition import only_when
from npnet.verify.diagnose.derivative import own
from npnet.verify.diagnose.dialects import recognise
from npnet.verify.diagnose.formula import Formula
from npnet.verify.diagnose.otherwise import Answers
from npnet.verify.diagnose.probe import Asker, Probe, View, chosen
from npnet.verify.diagnose.protocol import breach
from npnet.verify.diagnose.reading import Reading, Readings, ranked
from npnet.verify.diagnose.record import Record, key_of
from npnet.verify.diagnose.shape import misshapen
from npnet.verify.dialect import Dialect
from npnet.verify.finding import BROKEN, Explanation, Finding, Verdict
from npnet.verify.precision import PRECISIONS
from npnet.verify.spec import Spec
from npnet.verify.targets import own_function, specs

_SECONDS = 2.0  # of this process, so that a busy machine finds the same
_FAILING, _AGREEING = 3, 2  # examples that a dialect is tried on
_DISPROVING = 3  # agreeing examples that a claim must not contradict
_NUMBERS = (Verdict.WRONG, Verdict.NONFINITE)
_OF_NUMBERS = ("precision", "unstable", "where")
_PLAIN = 1.8  # what costs less needs no formula to be understood
_ALWAYS = 3  # failing examples under a condition, from which on a claim may be limited to it

Suspicion = Callable[[View], Iterator[Reading]]
SUSPICIONS: tuple[Suspicion, ...] = (
    relation.zero,
    relation.passed,
    relation.factor,
    relation.axis_factor,
    relation.order,
    relation.scattered,
    relation.swapped,
    relation.summed,
    normalisation.statistics,
    normalisation.normalised,
    reduction.reductions,
    term.terms,
    reduction.softmaxes,
    logarithm.small_number,
    step.steps,
    numerics.precision,
    place.inside,
)


class Diagnosis:
    """Explains the findings of one candidate in one dtype."""

    def __init__(
        self, candidate: Candidate, spec: Spec, record: Record, formula: bool = True
    ) -> None:
        """formula: whether npnet's own formula is run with slips in it."""
        self._candidate, self._spec = candidate, spec
        self._asker = Asker(candidate.function, spec)
        self._record = record
        self._answers = Answers(record.values)
        own = own_function(spec.name) if formula else None
        self._formula = Formula(None if own is None else Asker(own, spec))

    def dialect(self, findings: Sequence[Finding]) -> Dialect | None:
        """The dialect in which the candidate is right, if it is one that is known.

        None where answers are recorded: dialects are variants of torch itself.
        """
        hopeless = findings[0].verdict in (Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY)
        if hopeless or self._spec.recorded is not None:
            return None
        failing = [e for f in findings[:2] for e, _ in self._record.examples(f.quantity)]
        agreeing = self._record.others(findings[0].quantity)
        asked = [*chosen(failing, _FAILING), *chosen(agreeing, _AGREEING)]
        double = PRECISIONS["float64"]
        return recognise(self._candidate, self._spec, asked, double) if failing else None

    def explained(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings with their explanations.

        A slip that explains one of them is tried again on those before it that have none.
        """
        told = [replace(f, explanations=self.explain(f)) for f in findings]
        if not self._formula.found:
            return told
        claimed = [any(e.certain for e in f.explanations) for f in told]
        return [
            f if done else replace(f, explanations=self.explain(f))
            for f, done in zip(told, claimed, strict=True)
        ]

    def explain(self, finding: Finding) -> tuple[Explanation, ...]:
        """Ranked explanations: those that reconstruct the answer, then where and when it is off."""
        known = breach(finding) or numerics.unstable(finding)
        found = [] if known is None else [known]
        stop = time.process_time() + _SECONDS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of means of nothing
            return self._explained(finding, found, stop)

    def _explained(
        self, finding: Finding, found: list[Explanation], stop: float
    ) -> tuple[Explanation, ...]:
        known = found[0] if found else None
        hopeless = finding.verdict in BROKEN  # what breaks down is not asked again
        probes = [] if hopeless else self._probes(finding, stop - _SECONDS / 2)
        when = only_when(self._record.seen, key_of(finding.quantity))
        numbers = finding.verdict in _NUMBERS
        nonlinear = any(words in finding.message for words in ("vjp(2 dy)", "a second vjp"))
        shaped = misshapen(finding, probes, self._asker, self._record.values)
        readings: list[Explanation] = []
        if numbers or nonlinear:
            limited = when is not None and when.failing >= _ALWAYS
            # an overflow is no formula that is wrong in most cases only
            readings = self._readings(finding, probes, stop, limited, partial=known is None)
        if when is not None and when.numbers:  # a wrong formula is wrong for ordinary numbers, too
            readings = [e for e in readings if e.kind in _OF_NUMBERS]
        deaf = nonlinear and any(self._ignores_dy(p, q) for p, q in probes[:1])
        if deaf:
            text = "the upstream gradient is ignored: with dy and with 2 dy it is the same"
            readings.append(Explanation("upstream", text, 0.0))
        found = [*([shaped] if shaped else []), *readings, *found]
        if when is not None and numbers and when.numbers:
            text = (
                f"it is right for ordinary numbers, and loses digits or overflows where {when.text}"
            )
            found.append(Explanation("unstable", text, 0.0, certain=False))
        if when is not None:
            text = (
                f"{when.text} ({when.failing} of {when.inside} such examples; {when.outside} "
                "others agree)"
            )
            found.append(Explanation("when", text, 0.0, certain=False))
        if numbers:
            found += self._direction(finding, probes, stop + _SECONDS / 4)
        return ranked(sorted(found, key=lambda e: not e.certain))

    def _ignores_dy(self, probe: Probe, quantity: str) -> bool:
        """Whether twice the upstream gradient gives the same, which is not 0."""
        arrays = probe.example.arrays
        twice = {n: 2 * a if n.startswith("dy") else a for n, a in arrays.items()}
        again = self._asker.candidate(replace(probe.example, arrays=twice)) or {}
        one, two = probe.got.get(quantity), again.get(quantity)
        if one is None or two is None or not one.any():
            return False
        return one.shape == two.shape and bool(np.array_equal(one, two))

    def _probes(self, finding: Finding, stop: float) -> list[tuple[Probe, str]]:
        examples = self._record.examples(finding.quantity)
        quantity = {id(e): q for e, q in examples}
        picked = chosen([e for e, _ in examples])
        found = []
        for example in picked:
            probe = self._asker.probe(example)
            if probe is not None:
                found.append((probe, quantity[id(example)]))
            if time.process_time() > stop:
                break
        return found

    def _readings(
        self,
        finding: Finding,
        probes: Sequence[tuple[Probe, str]],
        stop: float,
        limited: bool,
        partial: bool,
    ) -> list[Explanation]:
        readings = Readings()
        views = [v for probe, quantity in probes if (v := probe.view(quantity)) is not None]
        views = [v for v in views if v.clear] or [v for v in views if v.bad.any()]
        first = stop - _SECONDS / 2  # the other half is for the formula
        for v in views:
            if time.process_time() > first:
                break
            with np.errstate(all="ignore"):
                readings.add((r, v.residual(r.explains)) for r in self._suspicions(v, first))
        if not limited:
            for v in self._agreeing(finding.quantity, stop) if readings.open else ():
                with np.errstate(all="ignore"):
                    readings.contradict(
                        (r, v.residual(r.explains)) for r in self._suspicions(v, stop, True)
                    )
        found = list(readings.told(partial))
        clear = [v for v in views if v.clear]
        if not any(e.certain and cost < _PLAIN for cost, e in found):
            found += self._searched(self._special, views, stop - _SECONDS / 4).told(partial)
        if not any(e.certain and cost < _PLAIN for cost, e in found):
            agreeing = iter(()) if limited else self._agreeing(finding.quantity, stop)
            found += self._formula.readings(clear, agreeing, stop).told(partial)
        if not any(e.certain for _, e in found):
            found += self._searched(self._relatives, views, stop).told(partial)
        return [e for _, e in sorted(found, key=lambda told: (not told[1].certain, told[0]))]

    def _searched(
        self,
        suspicion: Callable[[View, float], Iterator[Reading]],
        views: Sequence[View],
        stop: float,
    ) -> Readings:
        """What takes many questions each, where nothing else explains anything."""
        searched = Readings()
        for v in views:
            with np.errstate(all="ignore"):
                searched.add((r, v.residual(r.explains)) for r in suspicion(v, stop))
        return searched

    def _special(self, v: View, stop: float) -> Iterator[Reading]:
        yield from otherwise.overlapping(v, self._asker, stop)
        yield from otherwise.fitted_eps(v, self._asker, stop)

    def _relatives(self, v: View, stop: float) -> Iterator[Reading]:
        others = () if self._spec.recorded is not None else specs().values()
        return otherwise.relatives(v, self._asker, others, stop)

    def _agreeing(self, quantity: str, stop: float) -> Iterator[View]:
        for example in chosen(self._record.others(quantity), _DISPROVING):
            if time.process_time() > stop:
                return
            probe = self._asker.probe(example)
            v = None if probe is None else probe.view(quantity)
            if v is not None and time.process_time() < stop:
                yield v

    def _suspicions(self, v: View, stop: float, agreeing: bool = False) -> Iterator[Reading]:
        if v.clear or agreeing:
            for suspicion in SUSPICIONS:
                if time.process_time() < stop:
                    yield from suspicion(v)
            yield from otherwise.readings(v, self._asker, self._answers, stop)
        else:
            yield from logarithm.small_number(v)
            yield from numerics.precision(v)
            yield from place.inside(v)

    def _direction(
        self, finding: Finding, probes: Sequence[tuple[Probe, str]], stop: float
    ) -> Iterator[Explanation]:
        """Whether the gradient is that of the candidate's own y."""
        if finding.quantity.split(" ")[0] == "y":
            text = "the forward pass is what differs"
            yield Explanation("forward", text, 0.0, certain=False)
        step = re.search(r"after step (\d+)", finding.quantity)
        if step is not None:
            text = f"it is off from step {step[1]} on"
            yield Explanation("where", text, 0.0, certain=False)
        if not finding.quantity.startswith("gradient of "):
            return
        for probe, quantity in probes[:2]:
            answer = own(probe, quantity, self._asker, stop)
            if answer is None:
                continue
            is_it, kind, which = (
                ("is", "forward", "the forward pass is what differs")
                if answer
                else ("is not", "backward", "the backward pass is wrong")
            )
            text = f"it {is_it} the derivative of the candidate's own y: {which}"
            yield Explanation(kind, text, 0.0, certain=False)
            return


def spoken(finding: Finding, dialect: Dialect, cause: str) -> Finding:
    """The finding of a candidate that is right in a dialect."""
    text = f"this is {finding.twin.rpartition('.')[2]} as {dialect.origin} has it: {dialect.text}"
    told = Explanation("dialect", text, 0.0)
    return replace(finding, explanations=(told,), dialect=dialect.name, cause=cause)


def related(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, each with the id of the one that tells its cause.

    A gradient that is the derivative of a y that differs has that y's cause; findings with the same
    explanation have one.
    """
    leads: dict[str, str] = {}
    y = next((f for f in findings if f.quantity.split(" ")[0] == "y"), None)
    found = []
    for f in findings:
        certain = next((e.text for e in f.explanations if e.certain), None)
        follows = f is not y and any(e.kind == "forward" for e in f.explanations)
        if follows and y is not None:
            cause = y.cause or y.id
        else:
            cause = leads.setdefault(certain, f.id) if certain is not None else f.id
        found.append(replace(f, cause=cause))
    return found
