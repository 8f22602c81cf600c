"""Which dialect of its twin a candidate is in, if it is in one."""

from collections.abc import Sequence

import numpy as np

from npnet.contract import Array
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.dialect import Dialect
from npnet.verify.examine import Examiner
from npnet.verify.finding import BROKEN
from npnet.verify.judge import Failure, allowance, canary, overflows, value_fault
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Spec
from npnet.verify.targets import dialects


def recognise(
    candidate: Candidate, spec: Spec, examples: Sequence[Example], precision: Precision
) -> Dialect | None:
    """The dialect under which the candidate is right in every example, though it diverges from spec.

    None where there is no such dialect, or nothing among the examples that tells it from the twin:
    a candidate that is right, or wrong in another way, is in none. Of several that agree, the first
    that is registered. What breaks down for the twin and for the dialect alike says nothing.
    """
    known = dialects(candidate.twin)
    if not known:
        return None
    ask = Examiner(candidate, spec, precision)
    told = [(e, ask(e)) for e in examples]
    failing = [(e, f) for e, failures in told for f in failures if f.verdict not in BROKEN]
    failing = failing or [(e, f) for e, failures in told for f in failures]
    if not failing:
        return None
    example, failure = failing[0]
    alone = example.pick(failure.set)
    for dialect in known:
        examiner = Examiner(*dialect.held(candidate, spec), precision)
        if (
            not examiner(alone)
            and all(_agrees(examiner(e), before) for e, before in told)
            and any(_tells(spec, dialect, e, f, precision) for e, f in failing)
        ):
            return dialect
    return None


def _agrees(failures: Sequence[Failure], before: Sequence[Failure]) -> bool:
    """Whether there are none, or only breakdowns where there were only breakdowns before."""
    return not failures or (bool(before) and all(f.verdict in BROKEN for f in (*failures, *before)))


def _tells(
    spec: Spec, dialect: Dialect, example: Example, failure: Failure, precision: Precision
) -> bool:
    """Whether the bounds of the dialect are narrow enough to tell it from the twin.

    Where only the axes are in another order, whether they would show a planted mistake.
    """
    alone = example.pick(failure.set)
    theirs = dialect.answer(alone, precision, single=True)
    if overflows(theirs.largest, precision):
        return False
    if dialect.layout is not None:
        return any(_shown(theirs, q, canary(e, 0), precision) for q, e in theirs.expected.items())
    twins = spec.answer(alone, precision, single=True)
    return any(
        _shown(theirs, q, np.asarray(e.value[0]), precision)
        for q, e in twins.expected.items()
        if q in theirs.expected
    )


def _shown(answer: Answer, quantity: str, value: Array, precision: Precision) -> bool:
    """Whether this value would be refused."""
    expected = answer.expected[quantity]
    if value.shape != expected.value[0].shape:
        return True
    allowed = allowance(expected, 0, precision, exact=False, norm=False)
    return value_fault(quantity, value, expected, 0, allowed) is not None
