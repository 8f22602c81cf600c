"""Shrink recorded arrays while a case fails: halving blocks, towards 0, 1, integers, quarters."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from npnet.contract import Array

Arrays = Mapping[str, Array]


def _zeros(a: Array) -> Array:
    return np.zeros_like(a)


def _ones(a: Array) -> Array:
    return np.ones_like(a)


def _integers(a: Array) -> Array:
    return np.clip(np.round(a), -9, 9)


def _quarters(a: Array) -> Array:
    return np.round(a * 4) / 4


_TARGETS = (_zeros, _ones, _integers, _quarters)


def shrink(
    arrays: Arrays, fails: Callable[[Arrays], bool], seconds: float = 2.0
) -> dict[str, Array]:
    """Smaller arrays for which `fails` still holds. `fails` must ask for the same verdict.

    Whole arrays are tried first, then halves, and so on down to single elements, until nothing
    more can be replaced or `seconds` have passed. What is returned fails for certain.
    """
    found = {name: a.copy() for name, a in arrays.items()}
    stop = time.monotonic() + seconds
    for target in _TARGETS:
        for a in found.values():
            if a.dtype.kind != "f":
                continue
            flat = a.reshape(-1)  # a view: every a is a fresh contiguous copy
            block = a.size
            while block >= 1:
                for start in range(0, a.size, block):
                    part = flat[start : start + block]
                    old = part.copy()
                    with np.errstate(all="ignore"):
                        new = target(old).astype(a.dtype)
                    if np.array_equal(old, new) or not _simpler(old, target):
                        continue
                    if time.monotonic() > stop:
                        return found
                    part[...] = new
                    if not fails({name: x.copy() for name, x in found.items()}):
                        part[...] = old
                block //= 2
    return found


def _simpler(old: Array, target: Callable[[Array], Array]) -> bool:
    """Zeros are simplest: nothing replaces a block that is all zeros."""
    return bool(old.any()) and not (target is _ones and np.isin(old, (0.0, 1.0)).all())
