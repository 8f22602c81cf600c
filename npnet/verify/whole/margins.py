"""How far every quantity of a step is off, in bounds, and whether the bound says anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import State
from npnet.verify.finding import Verdict
from npnet.verify.judge import Failure, allowance, informative, ratio, value_fault
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected
from npnet.verify.whole.trace import OPTIMIZER, Place


@dataclass(frozen=True)
class Margin:
    """One quantity of one step.

    ratio: the worst |got - want| / error bound; inf where something is missing or of another shape
    failure: where it is more than can be rounding
    informative: whether the bound is small beside the value, so that agreeing says something
    exact: what is given, or is an integer, of which agreeing says nothing of the arithmetic
    """

    ratio: float
    failure: Failure | None
    informative: bool
    exact: bool = False


def margins(
    want: Mapping[Place, Expected],
    got: Mapping[Place, Any],
    state: State,
    precision: Precision,
    *,
    layered: bool,
) -> dict[Place, Margin]:
    """Every quantity that both sides can have, in the order of blame.

    state: the candidate's after the step: a buffer that it did not change is what it was
    layered: whether the candidate's layers are known, so that a missing quantity is lost
    """
    found = {}
    for place, expected in want.items():
        value = got.get(place)
        if value is None:
            value = got.get(_otherwise(place))
        if value is None and place.layer != OPTIMIZER:
            value = state.get(_whole(place))
        if value is None:
            if not expected.required or not (layered or _is_due(place)):
                continue
            found[place] = _missing(place, expected)
            continue
        found[place] = margin(place, np.asarray(value), expected, precision)
    return found


def margin(place: Place, got: Any, expected: Expected, precision: Precision) -> Margin:
    """One quantity, judged; its format is, where a layer or the whole is asked by itself."""
    want = expected.value[0]
    if got.shape != want.shape:
        message = f"{place} must have shape {want.shape}, as torch's, but has {got.shape}."
        failure: Failure | None = Failure(place.quantity, Verdict.CONTRACT, message)
        return Margin(np.inf, failure, informative=True)
    allowed = allowance(expected, 0, precision, exact=False, norm=False)
    failure = value_fault(place.quantity, got, expected, 0, allowed)
    error = None if expected.error is None else expected.error[0]
    off = ratio(got, want, error) if want.dtype.kind == "f" else 0.0
    if failure is not None and failure.worst is not None and not np.isfinite(failure.worst.got):
        off = np.inf
    elif failure is not None and off == 0.0:
        off = np.inf  # of something exact
    says = error is not None and informative(expected, 0, allowed, precision)
    return Margin(off, failure, says, exact=error is None)


def _missing(place: Place, expected: Expected) -> Margin:
    what = f"{place} is missing, but torch has one of shape {expected.value[0].shape}."
    return Margin(np.inf, Failure(place.quantity, Verdict.WRONG, what), informative=True)


def _is_due(place: Place) -> bool:
    """Whether a network of which only the whole is known has this, too."""
    gradient = place.quantity.startswith("gradient of ")
    return gradient and not place.quantity.startswith(("gradient of input", "gradient of y"))


def _otherwise(place: Place) -> Place:
    """What a quantity is called where one side has one output, and the other several."""
    for several, one in (("y 0", "y"), ("y", "y 0")):
        if place.quantity.removeprefix("gradient of ") == several:
            return Place(place.layer, place.quantity[: -len(several)] + one)
    return place


def _whole(place: Place) -> str:
    """The entry of the state that a quantity is, where it is one."""
    local = place.quantity.removeprefix("next ").removesuffix(" after the step")
    if local == place.quantity:
        return ""
    return f"{place.path}.{local}" if place.path else local
