"""The twin on a GPU beside that on the CPU: do they agree, and how good are its own kernels?

A candidate is judged by the oracle on the CPU. With a second device, torch is asked there as well:
in float64, where it must be within the bound of what the CPU says (else torch contradicts itself,
and nobody is blamed), and in the format asked, for which the report says how far torch's own
kernels are from the oracle. What differs between two runs of the same kernel is measured first,
and allowed.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.twins.precise import precisely
from npnet.verify.case import Example
from npnet.verify.judge import ratio
from npnet.verify.precision import Precision
from npnet.verify.spec import Answer, Beside, Numbers, Spec


def beside(device: str, specs: Mapping[str, Spec], own: bool = False) -> dict[str, Spec]:
    """Every spec as it answers with torch on `device` beside it.

    own: give the device's numbers in float64 in the place of the CPU's, as they are recorded
    """
    # without it cuBLAS may split a sum in another way every time; read when CUDA is started
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return {name: with_device(spec, device, own) for name, spec in specs.items()}


def with_device(spec: Spec, device: str, own: bool = False) -> Spec:
    """One spec with a second device; a schedule is arithmetic of Python, and is left as it is."""
    if spec.values is None:
        return spec
    return replace(spec, answer=_Second(spec, spec.values, device, own))


class _Second:
    """Answers as the spec does, and asks the device as well."""

    def __init__(self, spec: Spec, values: Numbers, device: str, own: bool) -> None:
        self._spec, self._values = spec, values
        self._device, self._own = device, own

    def __call__(self, example: Example, precision: Precision, single: bool = False) -> Answer:
        answer = self._spec.answer(example, precision, single=single)
        if answer.disagreement is not None:
            return answer
        try:
            exact = self._there(example, precision, exact=True)
            first = self._there(example, precision)
            second = self._there(example, precision)
        except (RuntimeError, NotImplementedError) as error:  # no kernel for it
            why = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            return replace(answer, beside=Beside({}, missing=why))
        wavering = {q for q in first if not np.array_equal(first[q], second[q], equal_nan=True)}
        found = Beside(_ratios(answer, first), frozenset(wavering))
        off = self._off(answer, exact, precision)
        if off:  # by as much as it differs from itself, it may
            again = self._there(example, precision, exact=True)
            spread = {q: np.abs(a - again[q]) for q, a in exact.items() if a.dtype.kind == "f"}
            off = self._off(answer, exact, precision, spread)
        kept = answer.expected
        if self._own:
            kept = {q: replace(e, value=exact.get(q, e.value)) for q, e in kept.items()}
        text = f"{off} on {self._device}" if off else None
        return replace(answer, expected=kept, beside=found, disagreement=text)

    def _there(
        self, example: Example, precision: Precision, exact: bool = False
    ) -> Mapping[str, Array]:
        """torch's numbers on the device, in float64 or in the format asked."""
        with precisely(example.draws, bool(example.config.get("training", True))):
            return self._values(example, precision.name, self._device, exact)

    def _off(
        self,
        answer: Answer,
        there: Mapping[str, Array],
        precision: Precision,
        spread: Mapping[str, Array] | None = None,
    ) -> str | None:
        """Where the device is further from the CPU than the bound allows, in words."""
        for quantity, expected in answer.expected.items():
            other, here = there.get(quantity), expected.value
            if other is None or other.shape != here.shape:
                return f"{quantity} has another shape"
            if here.dtype.kind != "f":
                if not np.array_equal(here, other):
                    return f"{quantity} differs"
                continue
            error: Any = 0.0 if expected.error is None else expected.error
            with np.errstate(invalid="ignore", over="ignore"):
                more = 0.0 if spread is None else spread.get(quantity, 0.0)
                bad = np.abs(here - other) > precision.k * error + more
            bad &= np.isfinite(here) & np.isfinite(other)
            if bad.any():
                at = tuple(int(i) for i in np.argwhere(bad)[0])
                return f"{quantity} at {list(at[1:])}: {here[at]!r} on the CPU, {other[at]!r}"
        return None


def _ratios(answer: Answer, there: Mapping[str, Array]) -> dict[str, float]:
    """How far torch's own kernels are from the oracle, in bounds."""
    return {
        quantity: ratio(there[quantity], expected.value, expected.error)
        for quantity, expected in answer.expected.items()
        if expected.required and quantity in there and expected.value.dtype.kind == "f"
    }
