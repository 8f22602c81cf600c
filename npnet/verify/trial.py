"""One candidate in one dtype: a pass over all examples, then the smallest case of what diverges."""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError
from npnet.verify.aside import Died, aside
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.coverage import Coverage
from npnet.verify.diagnose import Diagnosis, Record, related, spoken
from npnet.verify.diagnose.place import axis_names
from npnet.verify.drawn import on_each
from npnet.verify.examine import (
    ENOUGH,
    SELDOM,
    Evidence,
    Examiner,
    confirm,
    rate_failure,
)
from npnet.verify.finding import (
    BROKEN,
    Comparison,
    Diverged,
    Explanation,
    Finding,
    Outcome,
    Verdict,
)
from npnet.verify.judge import Failure
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings, Tell
from npnet.verify.shrink import shrink
from npnet.verify.spec import Question, Spec, Unrecorded, examples

_SHRINK_SECONDS = 2.0  # per finding, once for the structure and once for the arrays
_DIAGNOSIS_SECONDS = 12.0  # per finding, after which it is given up; it takes 2 of its own at most
_PRINTED = 2000  # characters of a candidate's output in a finding
_DEATHS = 2  # of a candidate's process, after which it is not asked on
_MOST_FINDINGS = 8  # per candidate and dtype, each shrunk by itself


def divergence(quantity: str, verdict: Verdict) -> type[Diverged]:
    """The exception class of one broken quantity: Hypothesis shrinks each class by itself."""
    key = (quantity, verdict)
    if key not in _classes:
        _classes[key] = type(f"{verdict.title()}: {quantity}", (Diverged,), {})
    return _classes[key]


_classes: dict[tuple[str, Verdict], type[Diverged]] = {}


@dataclass
class _Broken:
    """What is known of one broken quantity during a run."""

    failure: Failure
    example: Example
    first: int
    count: int = 0
    probe: Comparison | None = None
    probed: Example | None = None  # the example of the probe, that value set alone


class Trial:
    """One candidate in one dtype: a pass over all examples, then a search for small cases."""

    def __init__(
        self,
        c: Candidate,
        spec: Spec,
        dtype: str,
        asked: Settings,
        tell: Tell,
        coverage: Coverage,
        stop: float | None,
    ) -> None:
        self.candidate, self.spec, self.dtype, self.settings = c, spec, dtype, asked
        self.tell, self.coverage, self.stop = tell, coverage, stop
        self.examine = Examiner(
            c, spec, PRECISIONS[dtype], lambda q: asked.wants(q) and q not in c.without
        )
        self.evidence = Evidence()
        self.record = Record()
        self.broken: dict[tuple[str, Verdict], _Broken] = {}
        self.counts: Counter[str] = Counter()
        self.asked = 0
        self.unanswered = 0  # recorded questions to which a program has written no answer
        self.out_of_time = False
        self.hopeless = False  # hangs and the like: no use in asking on
        self.until_first = False
        self.interrupted = False

    def first(self) -> tuple[int, Failure] | None:
        """The number of examples until the first divergence, and that divergence; None without."""
        self.until_first = True
        self._given(self._ask, shrinks=False)
        found = next(iter(self.broken.values()), None)
        return None if found is None else (found.first, found.failure)

    def findings(self, shrunk: bool) -> list[Finding]:
        """What diverges, in its smallest form or (much sooner) as it was found."""
        self._given(self._ask, shrinks=False)
        keys = list(self.broken)[:_MOST_FINDINGS]
        if shrunk:
            return [self._finding(key) for key in keys]
        return [self._bare(self.broken[key].failure, self.broken[key]) for key in keys]

    def run(self) -> tuple[Outcome, list[Finding]]:
        """Ask every example; return the outcome and the findings, shrunk."""
        started = time.monotonic()
        try:
            self._given(self._ask, shrinks=False)
        except KeyboardInterrupt:  # what was found until now is told all the same
            self.interrupted = True
        unknown = self.candidate.only.keys() - self.coverage.names
        if unknown and self.asked and not self.interrupted:
            raise ConfigError(
                f"{self.candidate.name} narrows {sorted(unknown)} with only=, but {self.spec.name} "
                f"draws {sorted(self.coverage.names)}."
            )
        findings = [self._finding(key) for key in list(self.broken)[:_MOST_FINDINGS]]
        if findings and not self.interrupted:
            try:
                findings = self.explained(findings)
            except KeyboardInterrupt:
                self.interrupted = True
        findings += self._insufficient(findings)
        e = self.evidence
        verdict = findings[0].verdict if findings else Verdict.PASS
        seconds = time.monotonic() - started
        return (
            Outcome(
                verdict,
                self.asked,
                seconds,
                dict(e.ratios),
                dict(e.informative),
                dict(e.canaries),
                e.judged,
                e.not_judged,
                tuple(sorted(e.fallbacks)),
                dict(e.beside),
                tuple(sorted(e.wavering)),
            ),
            findings,
        )

    def _given(self, function: Callable[[Question], None], shrinks: bool) -> None:
        """Run a function on drawn examples, the same ones every time, or on those recorded."""
        only, asked = self.candidate.only, self.settings
        if self.spec.recorded is not None:
            for question in self.spec.recorded(self.dtype, only)[: asked.examples]:
                function(question)
            return
        strategy = examples(self.spec, only, self.dtype, asked.sets)
        number, seed = asked.examples, asked.seed
        on_each(strategy, lambda drawn: function(Question(*drawn)), number, seed, shrinks)

    # ---- the pass over all examples ------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        if self.hopeless or self.out_of_time or (self.until_first and self.broken):
            return
        if self.stop is not None and time.monotonic() > self.stop:
            self.out_of_time = True
            return
        example, pick = question.example, question.picked
        if self.spec.known_bad(example.config) is not None:
            return
        try:
            failures = self.examine(example, self.evidence, question.protocols)
        except Unrecorded:
            self.unanswered += 1
            return
        self.asked += 1
        self.coverage.add(pick)
        self.tell({"event": "example", "layer": self.candidate.name, "dtype": self.dtype})
        failures = self._sections(failures)
        off = [(f.quantity, f.set) for f in failures]
        self.record.add(pick.choices, example, off, self.spec.optimizer)
        for quantity in {f.quantity for f in failures}:
            self.counts[quantity] += 1
        for failure in failures:
            self._note(example, failure)
        rate = rate_failure(self.evidence)
        if rate is not None:
            self.counts[rate.quantity] += 1
            self.broken.setdefault(
                (rate.quantity, rate.verdict), _Broken(rate, example, self.asked)
            )

    def _sections(self, failures: Sequence[Failure]) -> list[Failure]:
        if "contract" in self.settings.only:
            return list(failures)
        return [f for f in failures if f.verdict is not Verdict.CONTRACT]

    def _note(self, example: Example, failure: Failure) -> None:
        """Confirm a failure of a new kind; count one that is known and keep its fullest picture."""
        if self.spec.optimizer and self.broken:
            return  # what comes after the first divergence only inherits it
        for (quantity, verdict), known in self.broken.items():
            if quantity != failure.quantity:
                continue
            known.count += 1
            if _is_fuller(failure.comparison, known.probe):
                known.probe, known.probed = failure.comparison, example.pick(failure.set)
            if not (verdict is Verdict.NONFINITE and failure.verdict is Verdict.WRONG):
                return
            del self.broken[quantity, verdict]  # a wrong number says more than a nan
            break
        self._renew()
        if failure.verdict is Verdict.CRASH:
            confirmed: Failure | None = self._crashed(example, failure)
        elif failure.verdict in BROKEN | {Verdict.ORACLE_DISAGREES}:
            confirmed = failure
        else:
            confirmed = self._confirmed(example, failure)
        if confirmed is None:
            return
        self.hopeless = confirmed.verdict in (Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY)
        self.hopeless |= getattr(self.candidate.function, "deaths", 0) > _DEATHS
        key = (confirmed.quantity, confirmed.verdict)
        alone = example.pick(failure.set) if confirmed.verdict not in UNSHRINKABLE else example
        probed = example.pick(failure.set)
        self.broken[key] = _Broken(confirmed, alone, self.asked, 1, failure.comparison, probed)

    def _renew(self) -> None:
        """A fresh process for a candidate that has one of its own."""
        renew = getattr(self.candidate.function, "renew", None)
        if renew is not None:
            renew()

    def _crashed(self, example: Example, failure: Failure) -> Failure:
        """A breakdown, asked once more: what does not break down again depends on history."""
        alone = example.pick(failure.set)
        if any(f.verdict in BROKEN for f in self.examine(alone, protocols=(failure.protocol,))):
            return failure
        if any(f.verdict in BROKEN for f in self.examine(example)):
            return failure
        text = (
            "it broke down once and not when the same question was asked again: the candidate "
            f"depends on the history of its calls, or on chance. {failure.message}"
        )
        return replace(failure, verdict=Verdict.CONTRACT, message=text)

    def _confirmed(self, example: Example, failure: Failure) -> Failure | None:
        """The failure, settled; None where an intermediate overflows, so that nothing is judged."""
        if failure.worst is not None and self.examine.overflows(example, failure.set):
            self.evidence.not_judged += 1
            return None
        return confirm(self.examine, example, failure)

    # ---- small cases -----------------------------------------------------------------------------

    def _finding(self, key: tuple[str, Verdict]) -> Finding:
        known = self.broken[key]
        if known.failure.protocol == "run":  # shown by many examples together, and by none alone
            return self._bare(known.failure)
        if key[1] in UNSHRINKABLE or self.interrupted:
            return self._bare(known.failure, known)
        found = _Smallest(self, key, known)
        example, failure = found.search()
        return self._bare(failure, known, example)

    def explained(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings with what explains them, and which of them have one cause.

        Whatever a diagnosis does, the findings are told.
        """
        for formula in (True, False):  # a formula with a slip may call for what kills
            try:
                seconds = _DIAGNOSIS_SECONDS * len(findings)
                told = aside(partial(self._diagnosed, findings, formula), seconds)
                break
            except Died as death:
                reason = str(death)
            finally:
                self._renew()  # the fork may have spoken to its process
        else:
            return _unexplained(findings, reason)
        return [
            replace(
                f,
                explanations=tuple(Explanation(*e) for e in one["explanations"]),
                dialect=one["dialect"],
                cause=one["cause"],
            )
            for f, one in zip(findings, told, strict=True)
        ]

    def _diagnosed(self, findings: Sequence[Finding], formula: bool) -> list[dict[str, Any]]:
        """The diagnosis as plain values."""
        diagnosis = Diagnosis(self.candidate, self.spec, self.record, formula)
        try:
            dialect = diagnosis.dialect(findings)
            if dialect is not None:
                found = [spoken(f, dialect, findings[0].id) for f in findings]
            else:
                found = related(diagnosis.explained(findings))
        except Exception as error:
            found = _unexplained(findings, f"{type(error).__name__}: {error}")
        return [
            {
                "explanations": [[e.kind, e.text, e.residual, e.certain] for e in f.explanations],
                "dialect": f.dialect,
                "cause": f.cause,
            }
            for f in found
        ]

    def _bare(
        self, failure: Failure, known: _Broken | None = None, example: Example | None = None
    ) -> Finding:
        quantities = [q for q in self.evidence.judged_quantities() if self.counts[q] == 0]
        c = self.candidate
        return Finding(
            id=identity(c, failure.quantity, self.dtype, example),
            layer=c.name,
            twin=c.twin,
            quantity=failure.quantity,
            verdict=failure.verdict,
            dtype=self.dtype,
            device=c.device,
            message=failure.message,
            protocol=failure.protocol,
            case=example or (known.example if known else None),
            smallest=failure.comparison,
            probe=self._pictured(known, failure.quantity) if known else None,
            worst=failure.worst,
            wrong=failure.wrong,
            size=failure.size,
            failed=self.counts[failure.quantity],
            asked=self.asked,
            first=known.first if known else 0,
            agrees=tuple(quantities),
            source=c.source(failure.quantity),
            traceback=failure.traceback,
            printed=str(getattr(self.candidate.function, "printed", ""))[:_PRINTED],
            target=c.target,
        )

    def _pictured(self, known: _Broken, quantity: str) -> Comparison | None:
        """The probe with the names of its axes, and with what torch itself has in the dtype."""
        probe, example = known.probe, known.probed
        if probe is None or example is None:
            return probe
        own: Array | None = None
        with contextlib.suppress(Exception):  # torch has no kernel for every format
            own = np.asarray(self.spec.plain(example, self.dtype)[quantity][0, ...])
        if own is not None and own.shape != np.shape(probe.want):
            own = None
        axes = axis_names(example.config, quantity, np.ndim(probe.want))
        return replace(probe, axes=axes, twin=own)

    def _insufficient(self, findings: Sequence[Finding]) -> list[Finding]:
        """Quantities of which too little was seen: never a PASS."""
        e = self.evidence
        if findings or self.interrupted:
            return []
        needed = {q: min(ENOUGH, n // 4) for q, n in e.seen.items() if n >= SELDOM}
        thin = sorted(q for q, n in e.informative.items() if n < needed.get(q, 0))
        dead = sorted(q for q, caught in e.canaries.items() if q in needed and not caught)
        if e.unknown_masks:
            text = (
                f"it draws masks in a way of its own, to {e.unknown_masks} of which no answer is "
                "recorded; ask torch itself"
            )
        elif not needed and e.judged and not self.out_of_time:
            text = (
                f"only {self.asked} examples were asked; ask for more"
                if self.spec.recorded is None
                else f"only {self.asked} recorded questions are of that kind; ask torch itself"
            )
        elif not e.judged:
            text = "nothing was judged: " + (
                "the time budget was spent before the first example"
                if self.out_of_time and not self.asked
                else "every example drawn is one where torch itself is wrong"
                if not self.asked
                else f"no quantity belongs to the sections {', '.join(self.settings.only)}"
            )
        elif dead:
            text = f"a planted mistake was not noticed in {', '.join(dead)}"
        elif thin:
            counts = ", ".join(f"{q} ({e.informative[q]} of {needed[q]})" for q in thin)
            text = f"too few informative value sets of {counts}; ask for more examples"
        else:
            return []
        quantity = (dead or thin or ["y"])[0]
        return [self._bare(Failure(quantity, Verdict.INSUFFICIENT, text))]


UNSHRINKABLE = frozenset(
    {Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY, Verdict.ORACLE_DISAGREES, Verdict.INSUFFICIENT}
)


class _Smallest:
    """The search for the smallest case of one broken quantity: structure first, then arrays."""

    def __init__(self, trial: Trial, key: tuple[str, Verdict], known: _Broken) -> None:
        self.trial, self.key = trial, key
        self.best = (known.example, known.failure)
        self.stop = time.monotonic() + _SHRINK_SECONDS

    def search(self) -> tuple[Example, Failure]:
        """The smallest example (one value set) that fails in the same way, and how it fails."""
        # raised is the divergence itself, or Hypothesis' complaint about a candidate that is not
        # repeatable; what counts is the smallest example that failed
        try:
            if self.trial.spec.recorded is not None:
                self._recorded()
                return self.best
            with contextlib.suppress(Exception):
                self.trial._given(self._structure, shrinks=True)
            return self._arrays()
        except KeyboardInterrupt:
            self.trial.interrupted = True
            return self.best

    def _recorded(self) -> None:
        """The smallest of the questions whose answers are known."""
        asked: list[Question] = []
        self.trial._given(asked.append, shrinks=False)
        for question in sorted(asked, key=lambda q: _weight(q.example)):
            if time.monotonic() > self.stop or question.example is self.best[0]:
                return
            with contextlib.suppress(Unrecorded, divergence(*self.key)):
                self._structure(question)
                continue
            return

    def _structure(self, question: Question) -> None:
        if time.monotonic() > self.stop:
            return
        example = question.example
        if self.trial.spec.known_bad(example.config) is not None:
            return
        for failure in self.trial.examine(example, protocols=question.protocols):
            if failure.quantity != self.key[0]:
                continue
            alone = example.pick(failure.set)
            settled = self._fails(alone, failure.protocol)
            if settled is not None:
                self.best = (alone, settled)
                raise divergence(*self.key)(settled.message)

    def _arrays(self) -> tuple[Example, Failure]:
        example, failure = self.best
        template = example.one(0)

        def fails(arrays: Mapping[str, Array]) -> bool:
            smaller = example.replaced(arrays)
            settled = self._fails(smaller, failure.protocol)
            if settled is None:
                return False
            self.best = (smaller, settled)
            return True

        shrink(template, fails, _SHRINK_SECONDS)
        return self.best

    def _fails(self, alone: Example, protocol: str) -> Failure | None:
        """The failure of the same quantity with the same verdict, or None."""
        found = self.trial.examine(alone, protocols=(protocol,))
        for failure in found:
            if failure.quantity != self.key[0]:
                continue
            if failure.verdict == self.key[1]:
                settled = failure
            else:
                settled = confirm(self.trial.examine, alone, failure)
            if failure.verdict is Verdict.WRONG and self.trial.dtype != "float64":
                settled = confirm(self.trial.examine, alone, failure)
            return settled if settled.verdict == self.key[1] else None
        return None


def _weight(example: Example) -> int:
    """Numbers in an example."""
    return sum(a.size for a in example.arrays.values())


def _unexplained(findings: Sequence[Finding], reason: str) -> list[Finding]:
    """The findings, which say that their diagnosis broke down."""
    text = f"the diagnosis broke down: {reason}"
    broken = (Explanation("none", text, 0.0, certain=False),)
    return [replace(f, explanations=broken) for f in findings]


def _is_fuller(a: Comparison | None, b: Comparison | None) -> bool:
    """Whether a has more elements than b, up to a number that can be drawn."""
    return a is not None and (b is None or b.want.size < a.want.size <= 50_000)


def identity(c: Candidate, quantity: str, dtype: str, example: Example | None) -> str:
    """A name for a finding that is the same in every run that finds the same."""
    digest = hashlib.sha256(f"{c.name} {c.target} {quantity} {dtype}".encode())
    if example is not None:
        digest.update(repr(sorted(example.config.items(), key=lambda kv: kv[0])).encode())
        for name, a in example.arrays.items():
            digest.update(name.encode() + a.tobytes())
    words = quantity.replace("gradient of ", "").replace(":", "").split()
    slug = "-".join([c.name.replace(".", "-").lower(), *words])
    slug = "".join(ch if ch.isalnum() or ch in "-_." else "_" for ch in slug)
    return f"{slug[:60]}-{digest.hexdigest()[:6]}"
