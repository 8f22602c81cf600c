"""What is wrong with a reply before any value is judged, and how two results are compared."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.finding import Verdict


@dataclass(frozen=True)
class Fault:
    """A breach of the contract, or a breakdown; no value is needed to see it."""

    quantity: str
    verdict: Verdict
    message: str
    traceback: str = ""
    chance: bool = False  # whether drawing random numbers of its own would explain it
    excess: Array | None = None  # |vjp(2 dy) - 2 vjp(dy)|: below the bound it may be underflow


@dataclass
class Reply:
    """What a candidate answered on one value set."""

    quantities: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    complete: bool = True  # False where the candidate broke off, or its reply could not be read


class Refused(Exception):
    """The reply cannot be read as one; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def equal(a: Any, b: Any) -> bool:
    """Bitwise equality of shape and values; nan equals nan."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def first_difference(a: Any, b: Any) -> str:
    """Where two results differ first, for a message."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return f" (shape {a.shape}, then {b.shape})"
    at = tuple(np.argwhere(differs(a, b))[0])
    return f" (at {[int(i) for i in at]}: {a[at]:.6g}, then {b[at]:.6g})"


def is_array(x: Any) -> bool:
    """Whether it is a NumPy array or scalar."""
    return isinstance(x, np.ndarray | np.generic)


def is_plain(x: Any) -> bool:
    """Whether it is an array or a scalar as NumPy's functions return them, and no subclass.

    A memory map is an array; a matrix or a masked array computes otherwise.
    """
    return type(x) in (np.ndarray, np.memmap) or isinstance(x, np.generic)


def differs(a: Array, b: Array) -> Array:
    """Where two arrays differ; signs of zero count, nan equals nan."""
    with np.errstate(invalid="ignore"):
        same = (a == b) & (np.signbit(a) == np.signbit(b)) | (a != a) & (b != b)
    return np.asarray(~same)
