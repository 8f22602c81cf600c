"""Where an answer is off: the elements, by their place or by what is given there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading


@dataclass(frozen=True)
class Place:
    """A named set of elements."""

    name: str
    mask: Array
    cost: float = 0.0


def inside(v: View) -> Iterator[Reading]:
    """What the answer is at the elements where it is off, the others being right."""
    bad = v.bad
    if not bad.any() or bad.all():
        return
    for place in places(v):
        if (bad & ~place.mask).any() or not _tight(bad, place.mask):
            continue
        for what, value, cost in _instead(v, place.mask):
            reading = np.where(place.mask, value, v.want)
            text = f"{place.name}: it is {what}"
            yield Reading(("where", text), "where", text, reading, 3.4 + cost + place.cost)
        reading = np.where(place.mask, v.got, v.want)
        text = f"it is off only {place.name}"
        yield Reading(("where", place.name), "where", text, reading, 5.0 + place.cost, False)


def _tight(bad: Array, mask: Array) -> bool:
    """Whether a place says something: it is not everywhere, and much of it is off."""
    return bool(mask.sum() < mask.size and bad.sum() * 3 >= mask.sum())


def _instead(v: View, mask: Array) -> Iterator[tuple[str, Array | float, float]]:
    yield "0", 0.0, 0.0
    with np.errstate(all="ignore"):
        ratio = (v.got / v.want)[mask & (v.want != 0)]
    if ratio.size > 1 and np.isfinite(ratio).all() and np.ptp(ratio) <= 1e-9 * abs(ratio[0]):
        c = float(ratio[0])
        yield ("minus torch's" if c == -1 else f"{c:.6g} times torch's"), c * v.want, 0.3
    if v.dy is not None and v.dy.shape == v.want.shape:
        yield "the upstream gradient dy", v.dy, 0.1
        yield "dy/2", v.dy / 2, 0.2
        yield "-dy", -v.dy, 0.2
    if v.x is not None and v.x.shape == v.want.shape and v.quantity != "input 0":
        yield "x", v.x, 0.2
    got = v.got[mask]
    if got.size > 1 and np.ptp(got) == 0 and got[0]:
        yield f"{float(got[0]):.6g}", float(got[0]), 0.5


def places(v: View) -> Iterator[Place]:
    """Sets of elements that have a name."""
    shape = v.want.shape
    yield from _of_values(v)
    for axis, n in enumerate(shape):
        if n < 2:
            continue
        index = np.arange(n).reshape([n if i == axis else 1 for i in range(len(shape))])
        name = _axis(v, axis)
        for text, which in (
            (f"in the first entry along {name}", index == 0),
            (f"in the last entry along {name}", index == n - 1),
            (f"at both ends of {name}", (index == 0) | (index == n - 1)),
            (f"in all but the first entry along {name}", index > 0),
            (f"in all but the last entry along {name}", index < n - 1),
        ):
            yield Place(text, np.broadcast_to(which, shape), 0.2)
        off = v.bad.any(tuple(i for i in range(len(shape)) if i != axis))
        rows = np.flatnonzero(off)
        if 0 < rows.size < n:
            if rows[-1] == n - 1 and rows.size == n - rows[0]:
                yield Place(f"in the last entries along {name}",
                            np.broadcast_to(index >= rows[0], shape), 0.4)  # fmt: skip
            if rows[0] == 0 and rows.size == rows[-1] + 1:
                yield Place(f"in the first entries along {name}",
                            np.broadcast_to(index <= rows[-1], shape), 0.4)  # fmt: skip
            if n > 3 and rows.size <= n // 2:
                yield Place(f"in some entries along {name}",
                            np.broadcast_to(off.reshape(index.shape), shape), 0.8)  # fmt: skip
    if len(shape) > 2 and min(shape[2:]) > 1:
        border = np.zeros(shape, bool)
        for axis in range(2, len(shape)):
            index = np.arange(shape[axis]).reshape(
                [shape[axis] if i == axis else 1 for i in range(len(shape))]
            )
            border |= (index == 0) | (index == shape[axis] - 1)
        yield Place("at the border", border, 0.3)
        yield Place("inside the border", ~border, 0.5)
    yield from _padded(v)
    if len(shape) >= 2 and shape[-1] == shape[-2] > 1:
        diagonal = np.broadcast_to(np.eye(shape[-1], dtype=bool), shape)
        yield Place("on the diagonal", diagonal, 0.3)
        yield Place("off the diagonal", ~diagonal, 0.3)
        yield Place("above the diagonal", np.broadcast_to(np.triu(diagonal | True, 1), shape), 0.5)


def _padded(v: View) -> Iterator[Place]:
    """What a padding adds to y, and what of x it copies."""
    padding, x, y = v.probe.config.get("padding"), v.x, v.y
    if "Pad" not in v.probe.example.spec or x is None or y is None:
        return
    dims = int(v.probe.example.spec[-2])
    pads = (padding,) * 2 * dims if isinstance(padding, int) else tuple(padding or ())
    if len(pads) != 2 * dims or v.want.shape != y.shape:
        return
    own = np.ones(y.shape, bool)
    for i in range(dims):
        axis = y.ndim - 1 - i
        before, after = max(pads[2 * i], 0), max(pads[2 * i + 1], 0)
        index = np.arange(y.shape[axis]).reshape([-1 if a == axis else 1 for a in range(y.ndim)])
        own &= (index >= before) & (index < y.shape[axis] - after)
    yield Place("in the padding", ~own, 0.1)
    yield Place("outside of the padding", own, 0.1)


def _axis(v: View, axis: int) -> str:
    """What an axis is called in a sentence."""
    names = axis_names(v.probe.config, v.quantity, v.want.ndim)
    return f"axis {axis} ({names[axis]})" if names else f"axis {axis}"


def axis_names(config: Mapping[str, Any], quantity: str, n: int) -> tuple[str, ...]:
    """The names of the axes of an input, an output or a gradient, as far as they are known."""
    is_data = quantity in ("y", "gradient of input 0")
    channels = any(k in config for k in ("in_channels", "num_features", "num_channels"))
    pixels = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}.get(n, ())
    if is_data and 3 <= n <= 5 and (channels or "kernel_size" in config):
        return ("batch", "channel", *pixels)
    if quantity.endswith("weight") and "kernel_size" in config and 3 <= n <= 5:
        return ("out channel", "in channel", *pixels)
    if quantity.endswith("weight") and "in_features" in config and n == 2:
        return ("out", "in")
    return ("batch", "feature") if is_data and n == 2 else ()


_NO_THRESHOLDS = ("eps", "lr", "momentum", "weight_decay")


def _of_values(v: View) -> Iterator[Place]:
    shape = v.want.shape
    for name, a in (("x", v.x), ("y", v.y), ("dy", v.dy), ("input 1", v.array("input 1"))):
        if a is None or a.shape != shape:
            continue
        yield Place(f"where {name} is 0", a == 0)
        yield Place(f"where {name} is negative", a < 0)
        yield Place(f"where {name} is positive", a > 0)
        yield Place(f"where {name} is not above 0", a <= 0, 0.1)
        yield Place(f"where {name} is not below 0", a >= 0, 0.1)
        for option, t in v.probe.config.items():
            if isinstance(t, float) and t != 0 and option not in _NO_THRESHOLDS:
                yield Place(f"where {name} is {option}", a == t, 0.05)
                yield Place(f"where {name} is above {option}", a > t, 0.2)
                yield Place(f"where {name} is below {option}", a < t, 0.2)
                yield Place(f"where |{name}| is above {option}", np.abs(a) > abs(t), 0.25)
                yield Place(f"where |{name}| is {option}", np.abs(a) == abs(t), 0.05)
        for t in (1.0, 3.0, 6.0):
            yield Place(f"where |{name}| is {t:g}", np.abs(a) == t, 0.1)
            yield Place(f"where |{name}| is above {t:g}", np.abs(a) > t, 0.3)
            yield Place(f"where |{name}| is below {t:g}", np.abs(a) < t, 0.3)
    x, t = v.x, v.array("input 1")
    if x is not None and t is not None and x.shape == t.shape == shape:
        yield Place("where input 0 and input 1 are equal", x == t)
        yield Place("where input 0 is below input 1", x < t, 0.2)
        yield Place("where input 0 is above input 1", x > t, 0.2)
    yield Place("where torch has 0", v.want == 0, 0.3)
    for name, index in v.probe.arrays.items():
        if index.dtype.kind not in "iub" or not index.ndim or not shape:
            continue
        yield from _of_labels(v, name, index)


def _of_labels(v: View, name: str, index: Array) -> Iterator[Place]:
    shape = v.want.shape
    if index.dtype.kind == "b":
        if index.shape == shape[: index.ndim]:
            mask = index.reshape(*index.shape, *[1] * (len(shape) - index.ndim))
            yield Place(f"where {name} is true", np.broadcast_to(mask, shape))
        return
    if index.ndim <= len(shape) and index.shape == shape[: index.ndim]:
        for option in ("ignore_index", "padding_idx"):
            value = v.probe.config.get(option)
            if isinstance(value, int):
                mask = (index == value).reshape(*index.shape, *[1] * (len(shape) - index.ndim))
                yield Place(f"where {name} is {option}", np.broadcast_to(mask, shape))
    if index.ndim == 1 and len(shape) == 2 and index.size == shape[0]:
        of_target = np.arange(shape[1]) == index[:, np.newaxis]
        yield Place(f"at the class that {name} names", of_target, 0.1)
        yield Place(f"at the classes that {name} does not name", ~of_target, 0.1)
    if index.size and index.min() >= 0 and index.max() < shape[0]:
        count = np.bincount(index.reshape(-1), minlength=shape[0])
        rest = [1] * (len(shape) - 1)
        yield Place(f"in the rows that {name} names more than once",
                    np.broadcast_to((count > 1).reshape(-1, *rest), shape), 0.1)  # fmt: skip
        padding = v.probe.config.get("padding_idx")
        if isinstance(padding, int) and 0 <= padding % shape[0] < shape[0]:
            row = (np.arange(shape[0]) == padding % shape[0]).reshape(-1, *rest)
            yield Place("in the row of padding_idx", np.broadcast_to(row, shape))
