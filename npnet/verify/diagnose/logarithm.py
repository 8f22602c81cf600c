"""A small number in the logarithm of a loss: log(p + 1e-7) in the place of log(p)."""

from collections.abc import Iterator

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading

_SMALL = tuple(float(f"1e-{k}") for k in range(3, 17))
_LEFT = 0.01  # of what is off: what a small number may leave unexplained


def small_number(v: View) -> Iterator[Reading]:
    """A cross-entropy of p + e for a small e, as books write it to keep clear of log(0).

    It often changes less than the digits that other suspicions look at. So it has to explain all
    but a hundredth of the difference.
    """
    x, target, config = v.x, v.probe.arrays.get("input 1"), v.probe.config
    if v.probe.example.spec != "CrossEntropyLoss" or v.quantity != "y" or x is None or not x.size:
        return
    if target is None or "weight" in v.probe.arrays or config["label_smoothing"]:
        return
    classes = min(1, x.ndim - 1)
    e = np.exp(x - x.max(classes, keepdims=True))
    p = np.moveaxis(e / e.sum(classes, keepdims=True), classes, -1)
    if target.dtype.kind == "f":
        share, kept = np.moveaxis(target, classes, -1), np.ones(p.shape[:-1], bool)
    else:
        kept = np.asarray(target != config["ignore_index"])
        share = kept[..., np.newaxis] & (target[..., np.newaxis] == np.arange(p.shape[-1]))
    exact = _losses(p, share, kept)
    how = next((name for name, loss in exact.items() if _near(v, loss)), None)
    if how is None:
        return
    for small in _SMALL:
        value = v.want + _losses(p + small, share, kept)[how] - exact[how]
        if not (np.abs(value - v.want) > 10 * v.allowed).any():  # it would not be seen
            continue
        near = np.abs(v.got - value) <= v.allowed + _LEFT * np.abs(v.got - v.want)
        explains = value if near.all() else np.full(value.shape, np.inf)
        written = f"{small:.0e}".replace("e-0", "e-")
        text = f"it takes the logarithm of p + {written}, torch that of p"
        yield Reading(("logarithm", written), "term", text, explains, 1.0)


def _losses(p: Array, share: Array, kept: Array) -> dict[str, Array]:
    """-Σ share·log(p) over the classes, reduced in every way."""
    each = -np.where(share > 0, share * np.log(p), 0.0).sum(-1)
    total = each.sum()
    return {"mean": np.asarray(total / kept.sum()), "sum": np.asarray(total), "none": each}


def _near(v: View, loss: Array) -> bool:
    """Whether this is torch's loss: tells how it was reduced."""
    if loss.shape != v.want.shape or not np.isfinite(loss).all():
        return False
    return bool((np.abs(loss - v.want) <= v.tolerance(loss)).all())
