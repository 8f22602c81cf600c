"""What is wrong between the layers, where each of them is right: read off what went in."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.finding import Explanation
from npnet.verify.judge import allowance, value_fault
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected
from npnet.verify.whole.margins import Margin
from npnet.verify.whole.trace import LOSS, OPTIMIZER, Place

_MOST_PAIRS = 400


def explained(
    place: Place,
    own: Mapping[Place, Any],
    want: Mapping[Place, Expected],
    precision: Precision,
    calls: Mapping[str, int],
) -> Explanation:
    """Why a quantity is off though every layer is right.

    own: the candidate's quantities; calls: how often every layer is called in a step
    """
    got = own.get(place)
    if place.layer == OPTIMIZER:
        text = "the gradients agree before they are clipped, and not after"
        return Explanation("wiring", text, 1.0, certain=False)
    if got is None and not any(p.layer == place.layer for p in own):
        text = f"torch calls {place.layer} here, and this network does not"
        return Explanation("wiring", text, 0.0, certain=True)
    if place.quantity.startswith("input "):
        return _ahead(place, got, want, precision)
    if place.quantity.startswith("gradient of y"):
        return _back(place, got, want, precision)
    times = calls.get(place.path, 1)
    if place.quantity.startswith("gradient of input") and times > 1:
        text = (
            f"{place.path} is called {times} times in a step, and each call is right by itself: "
            "what one call keeps for its way back, the next one writes over"
        )
        return Explanation("wiring", text, 1.0, certain=False)
    if place.quantity.startswith("gradient of ") and times > 1:
        return _shared(place, times)
    text = (
        f"every layer is right by itself, and all before this is: {place} is made wrong in what "
        "connects them"
    )
    return Explanation("wiring", text, 1.0, certain=False)


def of_a_whole(place: Place, step: Mapping[Place, Margin]) -> Explanation:
    """Where a network of which only the whole is known goes wrong first."""
    right = [str(p) for p, m in step.items() if m.failure is None and p != place]
    if place.layer == LOSS:
        text = "the forward pass is off: the loss already differs"
    elif not right:
        text = "the loss and all gradients that are known differ"
    else:
        where = "" if place.quantity.startswith("next ") else "on the way back from the loss "
        text = f"{where}it is the first that differs; {', '.join(right[:4])} agree"
    return Explanation("first", text, 1.0, certain=False)


def carried(k: int) -> Explanation:
    """Why a step is wrong only after those before it."""
    if not k:
        text = (
            "it differs in the first step already, and each part is right by itself: something "
            "happens between them that torch does not do, as writing into the state or the batch"
        )
        return Explanation("carried", text, 1.0, certain=False)
    text = (
        f"step {k + 1} is right when it begins with torch's own state, and wrong after the steps "
        "before it: something is kept from one step to the next that should not be, or lost (a "
        "buffer, a cache, gradients that add up)"
    )
    return Explanation("carried", text, 1.0, certain=False)


def _ahead(
    place: Place, got: Any, want: Mapping[Place, Expected], precision: Precision
) -> Explanation:
    """Something else goes into a layer."""
    made = {p: e for p, e in want.items() if p.quantity == "y" or p.quantity.startswith("y ")} | {
        p: e for p, e in want.items() if p.quantity.startswith("input ") and p != place
    }
    known = _matches(got, made, precision)
    right = _matches(want[place].value[0], made, precision, of=want[place])
    what = f"what goes into {place.layer or 'the network'} is not what goes into torch's"
    if known is not None and right is not None and known != right:
        return Explanation(
            "wiring", f"{what}: it gets {known}, where torch's gets {right}", 0.0, certain=True
        )
    if known is not None:
        return Explanation("wiring", f"{what}: it gets {known}", 0.0, certain=True)
    if right is not None:
        text = f"{what}: torch's gets {right}. Every layer before it is right by itself"
        return Explanation("wiring", text, 1.0, certain=False)
    text = f"{what}, though every layer before it is right by itself: look at what joins them"
    return Explanation("wiring", text, 1.0, certain=False)


def _back(
    place: Place, got: Any, want: Mapping[Place, Expected], precision: Precision
) -> Explanation:
    """Something else comes back to a layer."""
    layer = place.layer or "the network"
    if got is None:
        text = f"nothing comes back to {layer}: what is made of its output has lost its record"
        return Explanation("wiring", text, 0.0, certain=True)
    sent = {
        p: e
        for p, e in want.items()
        if p.quantity.startswith("gradient of ")
        and p != place
        and p.quantity.startswith(("gradient of input", "gradient of y"))
    }
    known = _matches(got, sent, precision)
    right = _matches(want[place].value[0], sent, precision, of=want[place])
    what = f"what comes back to {layer} is not what comes back to torch's"
    if known is not None and right is not None and known != right:
        text = f"{what}: it is {known} alone, where torch has {right}"
        if " + " in right and " + " not in known:
            text += ": a path is lost on the way back, as that of a skip connection"
        return Explanation("wiring", text, 0.0, certain=True)
    if known is not None:
        return Explanation("wiring", f"{what}: it is {known}", 0.0, certain=True)
    for factor in (2.0, 0.5, -1.0):
        if _is_same(np.asarray(got), _times(want[place], factor), precision):
            text = f"{what}: it is {factor:g} times as large"
            return Explanation("wiring", text, 0.0, certain=True)
    text = (
        f"{what}, though every layer after it is right by itself: add up all paths on the way back"
    )
    return Explanation("wiring", text, 1.0, certain=False)


def refused(call: str) -> Explanation:
    """Why a layer that is right by itself breaks down in the network."""
    text = f"{call} takes what torch's {call} gets, and breaks down over what it gets here"
    return Explanation("wiring", text, 1.0, certain=False)


def _shared(place: Place, times: int) -> Explanation:
    """The gradient of a layer that is called more than once."""
    text = (
        f"{place.path} is called {times} times in a step, and each call is right by itself: its "
        "gradient is the sum over the calls, but this is not"
    )
    return Explanation("wiring", text, 1.0, certain=False)


def _times(e: Expected, factor: float) -> Expected:
    error = None if e.error is None else e.error * abs(factor)
    return Expected(e.value * factor, error, e.dtype)


def _matches(
    got: Any,
    made: Mapping[Place, Expected],
    precision: Precision,
    of: Expected | None = None,
) -> str | None:
    """Which of torch's own quantities, or the sum of which two, an array is."""
    if got is None:
        return None
    got = np.asarray(got)
    if got.dtype.kind != "f" or not got.size:
        return None
    alike = {p: e for p, e in made.items() if e.value[0].shape == got.shape}
    more = None if of is None or of.error is None else of.error
    for p, e in alike.items():
        if _is_same(got, _wider(e, more), precision):
            return _name(p)
    for (p, a), (q, b) in _pairs(alike):
        error = (0.0 if a.error is None else a.error) + (0.0 if b.error is None else b.error)
        total = a.value + b.value
        both = Expected(total, error + precision.u * np.abs(total), a.dtype)
        if _is_same(got, _wider(both, more), precision):
            return f"{_name(p)} + {_name(q)}"
    return None


def _wider(e: Expected, more: Array | None) -> Expected:
    if more is None:
        return e
    return Expected(e.value, more if e.error is None else e.error + more, e.dtype)


def _pairs(alike: Mapping[Place, Expected]) -> Iterator[Any]:
    for n, both in enumerate(combinations(alike.items(), 2)):
        if n == _MOST_PAIRS:
            return
        yield both


def _is_same(got: Array, expected: Expected, precision: Precision) -> bool:
    if got.shape != expected.value[0].shape or not np.any(expected.value):
        return False
    allowed = allowance(expected, 0, precision, exact=False, norm=False)
    return value_fault("", got, expected, 0, allowed) is None


def _name(place: Place) -> str:
    """A place as a sentence has it."""
    if place.quantity == "y":
        return f"the output of {place.layer}"
    if place.quantity == "input 0":
        return f"the input of {place.layer}"
    if place.quantity == "gradient of input 0":
        return f"what comes back from {place.layer}"
    if place.quantity == "gradient of y":
        return f"what comes back to {place.layer}"
    return str(place)
