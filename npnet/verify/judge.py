"""The decision: attributes first, then what is not finite, then |got - want| <= K · error."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.fault import is_plain
from npnet.verify.finding import Comparison, Verdict, Worst
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected

_SAFETY = 8.0  # values are judged while the largest intermediate is below fmax / 8


@dataclass(frozen=True)
class Failure:
    """What is wrong with one quantity on one value set."""

    quantity: str
    verdict: Verdict
    message: str
    protocol: str = "plain"
    set: int = 0
    wrong: int = 0
    size: int = 0
    worst: Worst | None = None
    comparison: Comparison | None = None
    traceback: str = ""


def allowance(expected: Expected, s: int, precision: Precision, *, exact: bool, norm: bool) -> Any:
    """K · error of value set `s`; 0 where the answer is exact."""
    if expected.error is None:
        return 0.0
    error = expected.error[s]
    if exact:  # sums of small integers: every partial sum is a representable integer
        error = np.where(error < 0.5, 0.0, error)
    elif norm and error.size:
        error = np.full_like(error, error.max())
    with np.errstate(over="ignore"):
        return precision.k * error


def attribute_fault(quantity: str, got: Any, expected: Expected, s: int) -> str | None:
    """A wrong type, shape or dtype explains a wrong value, never the reverse."""
    want = expected.value[s]
    if got is None:
        kind = "None" if expected.required and s not in expected.absent else None
        return kind and f"{quantity} is missing (None), but torch has one of shape {want.shape}."
    if not is_plain(got):
        kind = getattr(got, "kind", type(got).__name__)
        return f"{quantity} must be a NumPy array, but is {kind}: {_clip(got)}."
    if got.shape != want.shape:
        return f"{quantity} must have shape {want.shape}, as torch's, but has {got.shape}."
    if expected.dtype is not None and got.dtype != expected.dtype:
        return (
            f"{quantity} must be {expected.dtype}, as its input, but is {got.dtype}. "
            f"Look for a float64 constant or an np.zeros without a dtype."
            if got.dtype.kind == "f"
            else f"{quantity} must be {expected.dtype}, but is {got.dtype}."
        )
    return None


def ratio(got: Array, want: Array, error: Array | None) -> float:
    """The largest |got - want| / error bound; the published margin, in which K hides nothing."""
    if error is None or not got.size:
        return 0.0
    with np.errstate(all="ignore"):
        r = np.abs(got - want) / error
    r = r[np.isfinite(r)]
    return float(r.max()) if r.size else 0.0


def value_fault(
    quantity: str, got: Any, expected: Expected, s: int, allowed: Any
) -> Failure | None:
    """The failure of one quantity whose attributes are right, or None."""
    want = expected.value[s]
    got = np.asarray(got)
    if want.dtype.kind != "f":
        bad = got != want
    else:
        with np.errstate(all="ignore"):
            bad = ~(np.abs(got.astype(np.float64) - want) <= allowed)
        if not bad.any():
            return None
        finite = np.isfinite(got) & np.isfinite(want)
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        bad &= ~same
        # where nothing can be said of the value, nothing is said of inf and nan either
        bad &= ~(~finite & np.isinf(np.broadcast_to(allowed, want.shape)))
    if not bad.any():
        return None
    at = _worst(got, want, np.broadcast_to(allowed, want.shape), bad)
    limit = float(np.broadcast_to(allowed, want.shape)[at])
    worst = Worst(tuple(int(i) for i in at), float(got[at]), float(want[at]), limit)
    nonfinite = want.dtype.kind == "f" and not np.isfinite(got[at]) and np.isfinite(want[at])
    count = int(bad.sum())
    return Failure(
        quantity,
        Verdict.NONFINITE if nonfinite else Verdict.WRONG,
        f"{count} of {bad.size} elements; worst at {list(worst.index)}: "
        f"got {worst.got:.6g}, torch has {worst.want:.6g}",
        set=s,
        wrong=count,
        size=int(bad.size),
        worst=worst,
        comparison=Comparison(got, want, np.broadcast_to(allowed, want.shape)),
    )


def _worst(got: Array, want: Array, allowed: Array, bad: Array) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(np.float64) - want)
        by = np.where(allowed > 0, off / allowed, np.where(off > 0, np.finfo(float).max * off, 0))
    by = np.where(np.isnan(by), np.inf, by)
    return tuple(np.unravel_index(np.argmax(np.where(bad, by, -1.0)), bad.shape))


def canary(expected: Expected, s: int) -> Array:
    """The twin's own value with a mistake of 1.5 % of its largest element planted in it."""
    want = expected.value[s]
    if want.dtype.kind != "f":
        return np.asarray(want + 1)
    finite = np.abs(want[np.isfinite(want)])
    scale = finite.max() if finite.size and finite.max() > 0 else 1.0
    planted: Array = want + scale / 64
    return planted


def informative(expected: Expected, s: int, allowed: Any, precision: Precision) -> bool:
    """Whether the bound is small beside the value: median(K · error / |want|) below 1 %.

    An element below a sixteenth of the largest is compared with that: a 0 that is known so well
    says something (the key's part of attention's in_proj_bias has no other gradient), and the
    planted mistake is four times as small. In formats where 128 u is more (float16), below 128 u.
    """
    want = np.abs(expected.value[s])
    if not want.size:
        return False
    limit = np.broadcast_to(allowed, want.shape)
    with np.errstate(all="ignore"):
        least = np.max(want, where=np.isfinite(want), initial=0.0) / 16
        relative = np.where(limit == 0, 0.0, limit / np.maximum(want, least))
        return bool(np.median(relative) < max(1e-2, 128 * precision.u))


def overflows(largest: float | None, precision: Precision) -> bool:
    """Whether an intermediate comes so near the largest number that values are not judged.

    What becomes of it then is inf, nan or, where it is divided by later, any finite number.
    """
    return largest is not None and not largest < precision.fmax / _SAFETY


def _clip(x: Any) -> str:
    try:
        text = repr(x)
    except Exception:  # a stranger's __repr__
        text = f"<{type(x).__name__}>"
    return text if len(text) < 60 else text[:57] + "…"
