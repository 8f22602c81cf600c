"""What a candidate is handed: copies, laid out in memory in every way, and watched for writing."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.case import Example
from npnet.verify.fault import Fault, differs
from npnet.verify.finding import Verdict

Function = Callable[[Any], Any]


class Asked:
    """Hands out the arrays of a value set, and notices what was written into."""

    def __init__(self, function: Function, example: Example, s: int, read_only: bool) -> None:
        self.function = function
        self.example = example
        self.s = s
        self.master = example.one(s)
        self.read_only = read_only
        self.protected: str | None = None  # an array that is read-only even so
        self.backward = False  # whether the candidate is in its backward pass
        self._handed: list[tuple[str, Array]] = []

    def copy(self, name: str, strided: bool = False, scale: float = 1.0) -> Array:
        """A fresh copy of an array of the value set, to be compared with it afterwards."""
        original = self.master[name]
        a = _strided(original, self.example.seed + len(name)) if strided else original.copy()
        if scale != 1.0:
            a = np.asarray(a * a.dtype.type(scale))
        else:
            self._handed.append((name, a))
        if self.read_only or name == self.protected:
            a.flags.writeable = False
        return a

    def arrays(self, strided: bool = False, without: str = "dy") -> dict[str, Array]:
        """Copies of everything but the cotangents."""
        return {n: self.copy(n, strided) for n in self.master if not n.startswith(without)}

    def other(self) -> dict[str, Array]:
        """The same structure with other data, for a call in between."""
        example = self.example
        if example.sets > 1:
            other = example.one((self.s + 1) % example.sets)
            return {n: a.copy() for n, a in other.items()}
        return {n: np.flip(a).copy() for n, a in self.master.items()}

    def changed(self) -> list[Fault]:
        """A fault for every array that a candidate wrote into."""
        found: dict[str, Fault] = {}
        for name, a in self._handed:
            original = self.master[name]
            if name not in found and not _same_bytes(a, original):
                at = np.argwhere(differs(a, original))[0]
                was, now = original[tuple(at)], a[tuple(at)]
                found[name] = Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name} was written into: at {at.tolist()} it was {was:.6g} and is now "
                    f"{now:.6g}. Work on a copy.",
                )
        return list(found.values())


def _same_bytes(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


def _strided(a: Array, variant: int) -> Array:
    """The same values, laid out otherwise in memory."""
    if a.ndim == 0:
        return a.copy()
    if variant % 3 == 0:
        return np.asfortranarray(a.copy())
    if variant % 3 == 1:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return np.flip(np.flip(a).copy())
