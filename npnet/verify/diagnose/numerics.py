"""Right formulas in wrong numbers: a lower precision inside, cancellation, overflow."""

from collections.abc import Iterator

import numpy as np

from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading
from npnet.verify.finding import Explanation, Finding, Verdict

_SINGLE = 2.0**-24


def precision(v: View) -> Iterator[Reading]:
    """An error of the size of a lower precision, on every element that is off."""
    if v.probe.precision.name != "float64":
        return
    with np.errstate(all="ignore"):
        relative = np.abs(v.got - v.want)[v.bad] / np.maximum(np.abs(v.want[v.bad]), 0.01 * v.scale)
    if not relative.size or not np.isfinite(relative).all():
        return
    most, usual = float(relative.max()), float(np.median(relative))
    signs = (v.got > v.want)[v.bad]
    mixed = relative.size < 6 or 0.1 < signs.mean() < 0.9  # roundings go either way
    if 0.1 * _SINGLE <= most <= 4 * _SINGLE and usual > 0.02 * _SINGLE and mixed:
        text = (
            f"it is off by {most:.1g} of its size at most, as if something were computed or kept "
            "in float32"
        )
        yield Reading(("precision",), "precision", text, v.got, 3.9, claims=False)


def unstable(finding: Finding) -> Explanation | None:
    """Right in float64, or not finite: what the numbers there have in common."""
    case, worst = finding.case, finding.worst
    if case is None or finding.verdict not in (Verdict.UNSTABLE, Verdict.NONFINITE):
        return None
    given = [a[0] for n, a in case.arrays.items() if a.dtype.kind == "f" and a.size]
    largest = max((float(np.abs(a).max()) for a in given if a.size), default=0.0)
    if finding.verdict is Verdict.UNSTABLE:
        text = "the formula is right in float64 and loses digits here: "
        x = case.arrays.get("input 0")
        spread = 0.0
        if x is not None and x.dtype.kind == "f" and x[0].size > 1:
            a = x[0].astype(np.float64)
            spread = float(abs(a.mean()) / (a.std() + 1e-300))
        if spread > 8:
            text += (
                f"the mean is {spread:.3g} times the standard deviation, so that E[x²] - E[x]² or "
                "another difference of large numbers cancels"
            )
        elif largest > 50:
            text += f"numbers as large as {largest:.3g} are exponentiated or cancel"
        else:
            text += "look for a difference of numbers that are nearly equal"
        return Explanation("unstable", text, 0.0)
    nan = worst is not None and np.isnan(worst.got)
    what = "nan" if nan else "inf"
    if largest > 50:
        happens = "overflows, or becomes 0," if nan else "overflows"
        text = (
            f"{what} where numbers are as large as {largest:.3g}: something {happens} that need "
            "not (an exponential without the maximum of its own row taken out?)"
        )
    elif any((a == 0).any() for a in given):
        text = f"{what} where something is exactly 0: a quotient, a root or a logarithm of 0"
    else:
        text = f"{what} for ordinary numbers"
    return Explanation("unstable", text, 0.0)
