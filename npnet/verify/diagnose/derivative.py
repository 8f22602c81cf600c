"""Whether a gradient is the derivative of the candidate's own forward pass."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import Asker, Probe

_MOST = 12  # elements looked at
_STEP = 2.0**-17
_ENOUGH = 1e-5


def own(probe: Probe, quantity: str, asker: Asker, stop: float) -> bool | None:
    """Whether the gradient agrees with differences of the candidate's y; None: cannot be said.

    Looked at are the elements where the gradient is off the most.
    """
    got, want = probe.got.get(quantity), probe.want.get(quantity)
    name = quantity.removeprefix("gradient of ")
    key = name if name in probe.example.arrays else f"state {name}"
    if got is None or want is None or got.shape != want.shape or key not in probe.example.arrays:
        return None
    with np.errstate(all="ignore"):
        off = np.abs(got - want).reshape(-1)
    if not np.isfinite(off).all() or not off.size:
        return None
    agreeing = differing = 0
    for i in np.argsort(-off)[:_MOST]:
        if time.process_time() > stop:
            break
        slope = _slope(probe, key, int(i), asker)
        if slope is None:
            continue
        a, b = float(got.reshape(-1)[i]), float(want.reshape(-1)[i])
        size = max(abs(a), abs(b), abs(slope), 1e-3)
        if abs(a - b) <= 100 * _ENOUGH * size:
            continue  # too little apart for differences to tell
        agreeing += abs(slope - a) <= _ENOUGH * size
        differing += abs(slope - a) > 10 * _ENOUGH * size
    if not agreeing and not differing:
        return None
    return agreeing > differing


def _slope(probe: Probe, key: str, i: int, asker: Asker) -> float | None:
    """The central difference of Σ dy·y by one element, where y is smooth enough for one."""
    found = []
    for h in (_STEP, 4 * _STEP):
        above, below = (_total(probe, key, i, sign * h, asker) for sign in (1.0, -1.0))
        if above is None or below is None:
            return None
        found.append((above - below) / (2 * h))
    one, two = found
    return one if abs(one - two) <= 1e-5 * max(abs(one), 1e-2) else None


def _total(probe: Probe, key: str, i: int, h: float, asker: Asker) -> float | None:
    example = probe.example
    moved: Array = example.arrays[key].astype(np.float64).copy()
    moved.reshape(-1)[i] += h
    reply: Any = asker.candidate(replace(example, arrays={**example.arrays, key: moved}))
    if reply is None:
        return None
    total = 0.0
    for k, name in enumerate(example.outputs):
        if name is None:
            continue
        y = reply.get("y" if len(example.outputs) == 1 else f"y {k}")
        dy = example.arrays[name][0, ...]
        if y is None or y.shape != dy.shape:
            return None
        total += float((y * dy).sum())
    return total if np.isfinite(total) else None
