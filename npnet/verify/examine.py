"""One example, judged: the twin's answer beside the candidate's replies."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.ask import PROTOCOLS, ask
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.fault import Fault, Reply
from npnet.verify.finding import Verdict
from npnet.verify.judge import (
    Failure,
    allowance,
    attribute_fault,
    canary,
    informative,
    overflows,
    ratio,
    value_fault,
)
from npnet.verify.precision import PRECISIONS, Precision
from npnet.verify.spec import Answer, Beside, Expected, Spec, Unrecorded

ENOUGH = 5
"""Informative value sets after which a quantity has been seen often enough to be judged."""

SELDOM = 8
"""A quantity judged on fewer value sets is reported as not verified, and decides nothing."""

_SIGMAS = 7.0  # of a dropout rate; a right one exceeds them once in 10^11 runs
_ROUNDING = 2.0**-20  # what is left, in float64, of an error that is only rounding


@dataclass
class Tally:
    """How often something random happened, and how often it would have."""

    of: str
    found: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, found: Array, chance: float, dependence: float = 1.0) -> None:
        """Count trials of this chance, as dependent as the factor of variance says."""
        self.found += float(found.sum())
        self.expected += found.size * chance
        self.variance += found.size * chance * (1 - chance) * dependence

    @property
    def sigmas(self) -> float:
        """How many standard deviations off it is."""
        off = self.found - self.expected
        return abs(off) / self.variance**0.5 if self.variance else 0.0


@dataclass
class Evidence:
    """What a run has seen of every quantity."""

    ratios: dict[str, float] = field(default_factory=dict)
    informative: dict[str, int] = field(default_factory=dict)
    canaries: dict[str, bool] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)  # value sets judged, in the order of blame
    judged: int = 0
    not_judged: int = 0
    fallbacks: set[str] = field(default_factory=set)
    beside: dict[str, float] = field(default_factory=dict)  # of torch itself on a second device
    wavering: set[str] = field(default_factory=set)  # what differs from run to run there
    missing: set[str] = field(default_factory=set)  # why it could not be asked
    masks: dict[tuple[Any, ...], Tally] = field(default_factory=dict)  # read off its own output
    unknown_masks: int = 0  # value sets with masks to which no answer is recorded
    seeds: set[int] = field(default_factory=set)  # from which these masks were drawn

    def note(self, beside: Beside) -> None:
        """Count what torch itself had on a second device."""
        for quantity, r in beside.ratios.items():
            self.beside[quantity] = max(r, self.beside.get(quantity, 0.0))
        self.wavering |= beside.wavering
        self.missing |= {beside.missing} - {""}

    def judged_quantities(self) -> list[str]:
        """Every quantity that was compared at least once."""
        return list(self.seen)


def protocol_of(spec: Spec, example: Example, s: int) -> str:
    """How a candidate is asked the s-th value set of an example."""
    protocol = PROTOCOLS[s % len(PROTOCOLS)]
    if protocol != "plain" or spec.optimizer or not spec.split(example):
        return protocol
    first = example.arrays["input 0"].shape[1]
    return "split" if first >= 2 and example.seed % 4 == 0 else "plain"


@dataclass(frozen=True)
class Examiner:
    """Asks one candidate in one precision."""

    candidate: Candidate
    spec: Spec
    precision: Precision
    wanted: Callable[[str], bool] = lambda quantity: True

    def __call__(
        self,
        example: Example,
        evidence: Evidence | None = None,
        protocols: Sequence[str] | None = None,
    ) -> list[Failure]:
        """Every failure of the candidate on this example, in the order of blame."""
        single = example.sets == 1
        started = time.perf_counter()
        answer = self.spec.answer(example, self.precision, single=single)
        seconds = time.perf_counter() - started
        if answer.disagreement is not None:
            message = f"torch contradicts itself: {answer.disagreement}"
            return [Failure("y", Verdict.ORACLE_DISAGREES, message)]
        limit = max(1.0, 50 * seconds)
        failures: list[Failure] = []
        plan = protocols or [protocol_of(self.spec, example, s) for s in range(example.sets)]
        ahead = getattr(self.candidate.function, "ahead", None)
        if ahead is not None:  # it answers the next question while this one is judged
            ahead(example, plan, self.spec.optimizer, limit)
        for s, protocol in enumerate(plan):
            asked = (self.candidate.function, example, s, protocol, self.spec.optimizer)
            reply = ask(*asked, limit)
            if any(f.verdict is Verdict.TIMEOUT for f in reply.faults):
                reply = ask(*asked, 5 * limit)  # a busy machine is no hang
            mask = None
            if self.spec.reads_mask:  # masks of its own are no breach of the contract
                reply.faults = [f for f in reply.faults if not f.chance]
                mask = self._own_mask(example, s, reply, evidence)
            found = self._judge(answer, example, s, reply, protocol, evidence)
            if mask is not None and any(f.worst for f in found):
                alone = replace(example.pick(s), masks=(mask,))
                try:
                    own = self.spec.answer(alone, self.precision, single=True)
                except Unrecorded:  # the answer to this mask
                    own = None
                    found = [f for f in found if not f.worst]
                    if evidence is not None:
                        evidence.not_judged += 1
                        evidence.unknown_masks += 1
                if own is not None:
                    found = self._judge(own, alone, 0, reply, protocol, evidence)
                    found = [replace(f, set=s) for f in found]
            failures += found
            if any(f.verdict in (Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY) for f in found):
                break
        if evidence is not None:
            evidence.fallbacks |= answer.fallbacks
            if answer.beside is not None:
                evidence.note(answer.beside)
        return failures

    # ---- judging one value set ---------------------------------------------------------------

    def _judge(
        self,
        answer: Answer,
        example: Example,
        s: int,
        reply: Reply,
        protocol: str,
        evidence: Evidence | None,
    ) -> list[Failure]:
        faults = [f for f in reply.faults if not self._is_underflow(f, answer, s)]
        failures = [_of_fault(f, s, protocol) for f in faults]
        if not reply.complete and not reply.quantities:
            return failures
        if overflows(answer.largest, self.precision):
            return failures
        failures += self._unasked_updates(answer, example, s, reply)
        blamed = {f.quantity for f in failures}
        broken = len(failures)
        for quantity, expected in answer.expected.items():
            if not self.wanted(quantity) or quantity in blamed:
                continue
            present = quantity in reply.quantities
            if not present and not reply.complete:
                continue
            got = reply.quantities.get(quantity)
            if not present and quantity.startswith("next "):
                got, present = example.arrays[f"state {quantity[5:]}"][s], True
            if not present and protocol == "split" and quantity.startswith("next "):
                continue
            failure = self._judge_one(quantity, got, expected, example, s, evidence)
            if failure is not None:
                failures.append(replace(failure, protocol=protocol))
                if self.spec.optimizer:
                    break  # every later step only inherits the divergence
        if not reply.complete and len(failures) > broken:
            return failures[broken:]  # a backward pass that breaks down over a wrong y
        return failures

    def _is_underflow(self, fault: Fault, answer: Answer, s: int) -> bool:
        """Whether vjp(dy) and vjp(2 dy), not the same to the bit, may be right both.

        Twice a number is exact; what is lost below the normal range is part of the bound.
        """
        expected = answer.expected.get(fault.quantity)
        if fault.excess is None or expected is None or expected.error is None:
            return False
        allowed = allowance(expected, s, self.precision, exact=False, norm=False)
        return fault.excess.shape == np.shape(allowed) and bool((fault.excess <= 4 * allowed).all())

    def _unasked_updates(
        self, answer: Answer, example: Example, s: int, reply: Reply
    ) -> list[Failure]:
        """State entries that the candidate changes and torch does not."""
        found = []
        for quantity, got in reply.quantities.items():
            if not quantity.startswith("next ") or quantity in answer.expected:
                continue
            before = example.arrays[f"state {quantity[5:]}"][s, ...]
            if self.wanted(quantity) and not np.array_equal(got, before):
                message = f"{quantity} differs from what was given, but torch leaves it as it is"
                found.append(Failure(quantity, Verdict.WRONG, message, set=s))
        return found

    def _judge_one(
        self,
        quantity: str,
        got: Any,
        expected: Expected,
        example: Example,
        s: int,
        evidence: Evidence | None,
    ) -> Failure | None:
        fault = attribute_fault(quantity, got, expected, s)
        if fault is not None:
            return Failure(quantity, Verdict.CONTRACT, fault, set=s)
        if got is None:
            return None
        exact = self.spec.exact and example.themes[s] == "integers"
        norm = self.candidate.bound == "normwise"
        allowed = allowance(expected, s, self.precision, exact=exact, norm=norm)
        failure = value_fault(quantity, got, expected, s, allowed)
        if evidence is None or failure is not None:
            return failure
        evidence.judged += expected.value[s].size
        evidence.seen[quantity] = evidence.seen.get(quantity, 0) + 1
        if expected.required:
            error = None if expected.error is None else expected.error[s]
            if not exact and not norm:
                r = ratio(np.asarray(got), expected.value[s], error)
                more = r > evidence.ratios.get(quantity, -1.0)
                # a large one may come of an overflow, which only a pass of its own shows
                if more and (r <= 1 or not self.overflows(example, s)):
                    evidence.ratios[quantity] = r
            if evidence.informative.get(quantity, 0) < ENOUGH:
                evidence.informative.setdefault(quantity, 0)
                evidence.informative[quantity] += informative(expected, s, allowed, self.precision)
            if not evidence.canaries.get(quantity, False):
                planted = value_fault(quantity, canary(expected, s), expected, s, allowed)
                evidence.canaries[quantity] = planted is not None
        return None

    def overflows(self, example: Example, s: int) -> bool:
        """Whether an intermediate of value set `s` comes near the largest number of the format."""
        alone = self.spec.answer(example.pick(s), self.precision, single=True)
        return overflows(alone.largest, self.precision)

    # ---- masks read off a candidate's own output -----------------------------------------------

    def _own_mask(
        self, example: Example, s: int, reply: Reply, evidence: Evidence | None
    ) -> Array | None:
        """The keep mask that a candidate's output shows; its rate is tested at the end."""
        y, dx = reply.quantities.get("y"), reply.quantities.get("gradient of input 0")
        x, dy = example.arrays["input 0"][s, ...], example.arrays["dy"][s, ...]
        if not isinstance(y, np.ndarray | np.generic) or not isinstance(
            dx, np.ndarray | np.generic
        ):
            return None
        if y.shape != x.shape or dx.shape != x.shape:
            return None
        mask: Array = np.asarray(np.where(x != 0, y != 0, dx != 0))
        shown: Array = np.asarray((x != 0) | (dy != 0))
        if callable(self.spec.reads_mask):
            shape = self.spec.reads_mask(x.shape)
            shared = tuple(i for i, n in enumerate(shape) if n != x.shape[i])
            mask = np.asarray(mask.any(shared, keepdims=True))
            shown = np.asarray(shown.any(shared, keepdims=True))
        # all value sets of an example draw from one seed: what is drawn once counts once
        fresh = evidence is not None and s == 0 and example.seed not in evidence.seeds
        if evidence is not None and fresh and example.config["training"]:
            evidence.seeds.add(example.seed)
            _count_mask(evidence.masks, mask, shown, float(example.config["p"]))
        return mask


def _count_mask(
    masks: dict[tuple[Any, ...], Tally], mask: Array, shown: Array, drop: float
) -> None:
    """Count what a mask keeps, and how often neighbours along an axis share a fate."""
    if not 0 < drop < 1:
        return
    rate = masks.setdefault((drop,), Tally(f"elements kept with p={drop}"))
    rate.add(mask[shown], 1 - drop)
    alike = drop**2 + (1 - drop) ** 2
    # two pairs that have an element in common are dependent, each pair on two others
    common = (drop**3 + (1 - drop) ** 3 - alike**2) / (alike * (1 - alike))
    for axis in range(mask.ndim):
        if mask.shape[axis] < 2:
            continue
        m, known = (np.moveaxis(a, axis, 0) for a in (mask, shown))
        pairs = (m[1:] == m[:-1])[known[1:] & known[:-1]]
        text = f"neighbours along axis {axis} of {mask.ndim} kept or dropped together"
        masks.setdefault((mask.ndim, axis), Tally(text)).add(pairs, alike, 1 + 2 * common)


def rate_failure(evidence: Evidence) -> Failure | None:
    """A dropout that keeps too many or too few, or not each by itself, by masks read off its y."""
    for tally in evidence.masks.values():
        if tally.sigmas >= _SIGMAS:
            text = (
                f"{tally.found:.0f} {tally.of}, where {tally.expected:.0f} would be right, "
                f"{tally.sigmas:.0f} standard deviations off"
            )
            return Failure("y", Verdict.WRONG, text, protocol="run")
    return None


def confirm(examiner: Examiner, example: Example, failure: Failure) -> Failure:
    """The failure once more on its value set alone, with its verdict settled.

    A failure under one of the stricter protocols that is none when the question is put plainly is
    a breach of the contract; an error that (nearly) vanishes in float64 is a matter of rounding.
    """
    alone = example.pick(failure.set)
    protocol = failure.protocol
    found = _same(examiner(alone, protocols=(protocol,)), failure.quantity)
    if found is None:
        if _oracle_differs(examiner, example, alone, failure):
            return replace(
                failure,
                verdict=Verdict.ORACLE_DISAGREES,
                message=f"{failure.quantity}: torch has another answer for the value sets together "
                "than for this one alone",
            )
        again = _same(examiner(example), failure.quantity)
        if again is None:
            return replace(
                failure,
                verdict=Verdict.CONTRACT,
                message=f"{failure.quantity} was wrong once and right when the same question was "
                "asked again: the candidate depends on the history of its calls, or on chance. "
                + failure.message,
            )
        return replace(
            failure,
            message=failure.message + " (only with other calls before it, not by itself)",
        )
    if found.verdict not in (Verdict.WRONG, Verdict.NONFINITE) or found.worst is None:
        return replace(found, set=failure.set)
    if protocol not in ("plain", "again"):
        plainly = _same(examiner(alone, protocols=("plain",)), failure.quantity)
        if plainly is None:
            return replace(
                found,
                set=failure.set,
                verdict=Verdict.CONTRACT,
                message=f"{found.quantity} is right when asked plainly, but {_PROTOCOL[protocol]}: "
                + found.message,
            )
        found, protocol = plainly, "plain"
    return replace(found, set=failure.set, verdict=_settled(examiner, alone, found))


def _oracle_differs(examiner: Examiner, example: Example, alone: Example, failure: Failure) -> bool:
    """Whether batching the value sets changes what is expected by more than is allowed."""
    together = examiner.spec.answer(example, examiner.precision, single=False)
    single = examiner.spec.answer(alone, examiner.precision, single=True)
    a, b = (x.expected.get(failure.quantity) for x in (together, single))
    if a is None or b is None or a.value.dtype.kind != "f":
        return False
    allowed = allowance(b, 0, examiner.precision, exact=False, norm=False)
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(a.value[failure.set] - b.value[0]) > allowed).any())


_PROTOCOL = {
    "strided": "wrong for arrays that are not contiguous in memory",
    "interleaved": "wrong when another forward pass comes between forward and vjp (stale cache)",
    "split": "wrong for a smaller batch after a larger one",
}


def _settled(examiner: Examiner, alone: Example, found: Failure) -> Verdict:
    if found.verdict is not Verdict.WRONG or examiner.precision.name == "float64":
        return found.verdict
    double = PRECISIONS["float64"]
    exact = replace(examiner, precision=double)
    try:
        again = _same(exact(alone.astype("float64"), protocols=("plain",)), found.quantity)
    except Unrecorded:  # what another program would have written in float64
        return found.verdict
    if again is None or again.worst is None or found.comparison is None or not found.worst:
        return Verdict.UNSTABLE
    then = abs(again.worst.got - again.worst.want)
    now = abs(found.worst.got - found.worst.want)
    return Verdict.UNSTABLE if then <= _ROUNDING * now else Verdict.WRONG


def _same(failures: Sequence[Failure], quantity: str) -> Failure | None:
    return next((f for f in failures if f.quantity == quantity), None)


def _of_fault(fault: Fault, s: int, protocol: str) -> Failure:
    return Failure(
        fault.quantity,
        fault.verdict,
        fault.message,
        protocol=protocol,
        set=s,
        traceback=fault.traceback,
    )
