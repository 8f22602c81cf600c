"""Which dialect of its twin a candidate is in, if it is in one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed

from npnet.contract import Array
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.dialect import Dialect
from npnet.verify.draw import Pick
from npnet.verify.examine import Examiner
from npnet.verify.finding import BROKEN
from npnet.verify.judge import Failure, allowance, canary, overflows, value_fault
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Spec
from npnet.verify.spec import examples as drawn_examples
from npnet.verify.targets import dialects

_FURTHER = 16
"""Examples that are drawn where a dialect agrees with those given."""


def recognise(
    candidate: Candidate, spec: Spec, examples: Sequence[Example], precision: Precision
) -> Dialect | None:
    """The dialect under which the candidate is right in every example, though it diverges.

    None where there is no such dialect, or nothing among the examples that tells it from the twin:
    a candidate that is right, or wrong in another way, is in none. What agrees is asked further
    examples; of several that agree even then, it is the first that is registered. What breaks down
    for the twin and for the dialect alike says nothing.
    """
    known = dialects(candidate.twin)
    if not known:
        return None
    evidence = _Evidence(candidate, spec, precision)
    first = next(evidence.failing(examples), None)
    if first is None:
        return None
    alone = first[0].pick(first[1].set)
    left = [d for d in known if not evidence.against(d, alone)]
    left = [d for d in left if all(evidence.agrees(d, e) for e in examples)]
    further = _further(candidate, spec, precision) if left else []
    left = [d for d in left if all(evidence.agrees(d, e) for e in further)]
    return next((d for d in left if evidence.tells(d, [*examples, *further])), None)


@dataclass(frozen=True)
class _Evidence:
    """What the candidate answers to the examples, held against the twin and against dialects."""

    candidate: Candidate
    spec: Spec
    precision: Precision
    told: dict[int, list[Failure]] = field(default_factory=dict)  # against the twin, by identity

    def failures(self, example: Example) -> list[Failure]:
        """How it diverges from the twin."""
        if id(example) not in self.told:
            ask = Examiner(self.candidate, self.spec, self.precision)
            self.told[id(example)] = ask(example)
        return self.told[id(example)]

    def failing(self, examples: Sequence[Example]) -> Iterator[tuple[Example, Failure]]:
        """Every divergence; where it only breaks down, that."""
        broken: list[tuple[Example, Failure]] = []
        wrong = False
        for example in examples:
            for failure in self.failures(example):
                if failure.verdict in BROKEN:
                    broken.append((example, failure))
                else:
                    wrong = True
                    yield example, failure
        if not wrong:
            yield from broken

    def against(self, dialect: Dialect, example: Example) -> list[Failure]:
        """How it diverges from the dialect."""
        return Examiner(*dialect.held(self.candidate, self.spec), self.precision)(example)

    def agrees(self, dialect: Dialect, example: Example) -> bool:
        """Whether nothing speaks against the dialect."""
        found = self.against(dialect, example)
        if not found or any(f.verdict not in BROKEN for f in found):
            return not found
        before = self.failures(example)
        return bool(before) and all(f.verdict in BROKEN for f in before)

    def tells(self, dialect: Dialect, examples: Sequence[Example]) -> bool:
        """Whether there is a divergence in which the dialect's bounds tell it from the twin.

        Where only the axes are in another order: whether they would show a planted mistake.
        """
        return any(self._tells(dialect, e.pick(f.set)) for e, f in self.failing(examples))

    def _tells(self, dialect: Dialect, alone: Example) -> bool:
        theirs = dialect.answer(alone, self.precision, single=True)
        if overflows(theirs.largest, self.precision):
            return False
        if dialect.layout is not None:
            return any(self._shown(theirs, q, canary(e, 0)) for q, e in theirs.expected.items())
        twins = self.spec.answer(alone, self.precision, single=True)
        return any(
            self._shown(theirs, q, np.asarray(e.value[0]))
            for q, e in twins.expected.items()
            if q in theirs.expected
        )

    def _shown(self, answer: Answer, quantity: str, value: Array) -> bool:
        """Whether this value would be refused."""
        expected = answer.expected[quantity]
        if value.shape != expected.value[0].shape:
            return True
        allowed = allowance(expected, 0, self.precision, exact=False, norm=False)
        return value_fault(quantity, value, expected, 0, allowed) is not None


def _further(candidate: Candidate, spec: Spec, precision: Precision) -> list[Example]:
    """Examples of the candidate's domain, the same ones every time."""
    found: list[Example] = []

    def keep(drawn: tuple[Example, Pick]) -> None:
        if spec.known_bad(drawn[0].config) is None:
            found.append(drawn[0])

    settings(
        max_examples=_FURTHER,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(with_seed(0)(given(drawn_examples(spec, candidate.only, precision.name, 2))(keep)))()
    return found
