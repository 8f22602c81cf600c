"""What a candidate is handed: copies, laid out in memory in every way, and watched for writing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.case import Case, Example
from npnet.verify.fault import Fault, differs
from npnet.verify.finding import Verdict

Function = Callable[[Any], Any]
_ZONE, _RED = 64, 0xA5


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
        self._fences: list[tuple[str, Array]] = []
        self.cases: list[Case] = []  # what the candidate was given

    def copy(self, name: str, strided: bool = False, scale: float = 1.0) -> Array:
        """A fresh copy of an array of the value set, to be compared with it afterwards."""
        original = self.master[name]
        a = (
            _strided(original, self.example.seed + len(name))
            if strided
            else self._fenced(name, original)
        )
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
        # integers may be offsets or lengths, which another order makes impossible
        turned = {n: np.flip(a) if a.dtype.kind == "f" else a for n, a in self.master.items()}
        return {n: a.copy() for n, a in turned.items()}

    def _fenced(self, name: str, original: Array) -> Array:
        """A copy between two red zones: bytes that nobody has a reason to touch."""
        n = original.nbytes
        around = np.full(n + 2 * _ZONE, _RED, np.uint8)
        self._fences.append((name, around))
        around[_ZONE : _ZONE + n] = np.frombuffer(original.tobytes(), np.uint8)
        inside: Array = around[_ZONE : _ZONE + n].view(original.dtype).reshape(original.shape)
        return inside

    def changed(self) -> list[Fault]:
        """A fault for every array that a candidate wrote into, or beyond the end of."""
        found: dict[str, Fault] = {}
        for name, around in self._fences:
            zones = np.concatenate([around[:_ZONE], around[-_ZONE:]])
            if (zones != _RED).any():
                text = f"memory beside {name} was written into: an index runs out of the array."
                found[name] = Fault(name, Verdict.CONTRACT, text)
        for case in self.cases:
            for what in ("config", "kwargs"):
                given = getattr(self.example, what)
                if getattr(case, what).keys() != given.keys() or _altered(case, what, given):
                    text = f"case.{what} was changed. Work on a copy."
                    found[what] = Fault(what, Verdict.CONTRACT, text)
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


def _altered(case: Case, what: str, given: Mapping[str, Any]) -> bool:
    """Whether a plain option is another now; arrays are compared elsewhere."""
    plain = {n: v for n, v in given.items() if isinstance(v, bool | int | float | str | None)}
    now = getattr(case, what)
    return any(type(now[n]) is not type(v) or repr(now[n]) != repr(v) for n, v in plain.items())


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
