"""Constants that a format does not have, as 0.1: code may use what is representable, or the double.

Where npnet draws a configuration its numbers are exact in every format. Those of somebody's network
are not: a padding with 0.1 is one with 0.10000000149 in float32. So the twin is asked for both, and
what lies between the two answers is allowed.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from npnet.verify.case import Config, Example
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Expected, Spec


def representable(value: Any, precision: Precision) -> Any:
    """A number, or each of several, as the format has it; anything else as it is."""
    if type(value) is float:
        return float(np.asarray(value, precision.name))
    if isinstance(value, tuple):
        return tuple(representable(v, precision) for v in value)
    return value


def rounded(config: Config, precision: Precision) -> Config:
    """A configuration with every number as the format has it."""
    return {name: representable(value, precision) for name, value in config.items()}


def either(spec: Spec) -> Spec:
    """The spec with bounds that reach from its answer to that with rounded constants."""

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        exact: Answer = spec.answer(example, precision, single=single)
        kwargs = {n: representable(v, precision) for n, v in example.kwargs.items()}
        other = replace(example, config=rounded(example.config, precision), kwargs=kwargs)
        if repr((other.config, other.kwargs)) == repr((example.config, example.kwargs)):
            return exact
        expected = reaching(exact.expected, spec.answer(other, precision, single=single).expected)
        return replace(exact, expected=expected)

    return replace(spec, answer=answer)


def optional(spec: Spec, inputs: Collection[str]) -> Spec:
    """The spec without a need for the gradients of these inputs: what nobody takes may be None."""
    if not inputs:
        return spec
    names = {f"gradient of {name}" for name in inputs}

    def answer(example: Example, precision: Precision, single: bool = False) -> Answer:
        found: Answer = spec.answer(example, precision, single=single)
        expected = {
            q: replace(e, required=False) if q in names else e for q, e in found.expected.items()
        }
        return replace(found, expected=expected)

    return replace(spec, answer=answer)


def reaching(a: Mapping[Any, Expected], b: Mapping[Any, Expected]) -> dict[Any, Expected]:
    """What is expected, with the distance to another answer added to every error."""
    found = {}
    for name, one in a.items():
        two = b.get(name)
        if two is None or one.value.dtype.kind != "f" or one.value.shape != two.value.shape:
            found[name] = one
            continue
        with np.errstate(invalid="ignore"):
            apart = np.nan_to_num(np.abs(one.value - two.value), nan=0.0)
        if apart.any():
            found[name] = replace(one, error=apart if one.error is None else one.error + apart)
        else:
            found[name] = one
    return found
