"""What is missing or too much: the residual, and the answer itself, as named arrays.

Atoms are products of what is given (x, dy, y, parameters) and of what a normalisation or a softmax
makes of it, reduced over axes in every way. A term is a multiple of one atom, or of a pair that
belongs together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.numbers import names
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading
from npnet.verify.diagnose.relation import fitted

_TERM = 3.0


@dataclass(frozen=True)
class Atom:
    """An array that has a name, in the shape of the answer (or one that broadcasts to it)."""

    name: str
    value: Array
    kind: str = "term"


def statistics(v: View) -> Iterator[Reading]:
    """A normalisation whose mean and variance, or whose scale alone, are held for constants."""
    if v.quantity != "gradient of input 0" or v.x is None or v.dy is None:
        return
    if v.x.shape != v.dy.shape:
        return
    residual = v.got - v.want
    yield from _of_running(v)
    for place, pooled in _pools(v):
        centred = v.x - pooled(v.x)
        g = v.dy * _weight(v)
        for about, d in (("", centred), ("root mean square", v.x)):
            with np.errstate(all="ignore"):
                rstd = 1 / np.sqrt(pooled(d * d) + float(v.probe.config.get("eps") or 0.0))
                xhat = d * rstd
                of_mean, of_scale = rstd * pooled(g), rstd * xhat * pooled(g * xhat)
            if not np.isfinite(of_mean).all() or not np.isfinite(of_scale).all():
                continue
            for text, term, kind in (
                ("the statistics are held for constants", of_mean + of_scale, "statistics"),
                ("the mean of dy is not taken out", of_mean, "term"),
                ("the projection on xhat is not taken out", of_scale, "term"),
            ):
                if about and "mean" in text and "statistics" not in text:
                    continue
                for sign, what in ((1.0, ""), (-1.0, ", but added")):
                    c = fitted(residual, sign * term)
                    if c is None or c <= 0:
                        continue
                    if abs(c - 1) < 1e-6 and sign > 0:
                        told, cost = f"{text} ({place})", 1.5
                        key: tuple[str, ...] = (text, place)
                    elif sign > 0:
                        told, cost = f"{text} as it should be ({place})", 2.6
                        key = (text, place, "c")
                    else:
                        told, cost = (
                            f"{text.replace('is not taken out', 'is in it too often')}",
                            2.6,
                        )
                        key = (text, place, what)
                    yield Reading(key, kind, told, v.want + c * sign * term, cost)


def _of_running(v: View) -> Iterator[Reading]:
    """Statistics that are given, differentiated as if they were the batch's."""
    mean, var, x = v.array("running_mean"), v.array("running_var"), v.x
    if mean is None or var is None or x is None or v.dy is None or x.ndim < 2:
        return
    pooled = _Pool((0, *range(2, x.ndim)))
    rest = [1] * (x.ndim - 2)
    rstd = 1 / np.sqrt(var.reshape(-1, *rest) + float(v.probe.config.get("eps") or 0.0))
    xhat, g = (x - mean.reshape(-1, *rest)) * rstd, v.dy * _weight(v)
    through = rstd * (g - pooled(g) - xhat * pooled(g * xhat))
    text = "the running statistics are differentiated as if they were those of the batch"
    yield Reading(("running",), "statistics", text, through, 1.2)


def normalised(v: View) -> Iterator[Reading]:
    """The output of a normalisation that divides by something else, or centres otherwise."""
    if v.quantity != "y" or v.x is None or v.x.shape != v.want.shape or not v.x.ndim:
        return
    weight, bias = _weight(v), _bias(v)
    eps = float(v.probe.config.get("eps") or 0.0)
    for place, pooled in _pools(v, wrong=True):
        mean = pooled(v.x)
        n = v.x.size / max(mean.size, 1) if not pooled.groups else v.x[0].size / pooled.groups
        for about, d in (("", v.x - mean), (", and does not centre", v.x)):
            var = pooled(d * d)
            with np.errstate(all="ignore"):
                divisors = (
                    ("√(var + eps)", np.sqrt(var + eps)),
                    ("√var + eps", np.sqrt(var) + eps),
                    ("√var, without eps", np.sqrt(var)),
                    ("√(var + eps²)", np.sqrt(var + eps * eps)),
                    ("var + eps, without a root", var + eps),
                    ("√(unbiased var + eps)", np.sqrt(var * n / (n - 1) + eps)),
                    ("max(√var, eps)", np.maximum(np.sqrt(var), eps)),
                    ("√(max(var, eps))", np.sqrt(np.maximum(var, eps))),
                    ("the sum in place of the mean under the root", np.sqrt(var * n + eps)),
                    ("the mean of |x|", pooled(np.abs(d)) + eps),
                    ("1", np.ones_like(var)),
                )
                for divisor, s in divisors:
                    for how, y in (
                        ("", d / s * weight + bias),
                        (", and adds the bias before it scales", (d / s + bias) * weight),
                        (", and scales by 1 + weight", d / s * (1 + weight) + bias),
                    ):
                        text = f"it divides by {divisor}{about}{how} ({place})"
                        of_eps = "eps" in divisor and divisor != "√(var + eps)"
                        yield Reading(
                            ("divides", divisor, about, how),
                            "option" if of_eps else "constant",
                            text,
                            y,
                            1.7 + 0.1 * bool(how),
                        )


def _bias(v: View) -> Array | float:
    bias, weight = v.array("bias"), v.array("weight")
    if bias is None or weight is None or bias.shape != weight.shape:
        return 0.0
    shape = np.shape(_weight(v))
    return bias.reshape(shape) if shape else 0.0


def _pools(v: View, wrong: bool = False) -> Iterator[tuple[str, "_Pool"]]:
    """The means that a normalisation of x takes; wrong: also those of other normalisations."""
    x, config = v.x, v.probe.config
    assert x is not None
    groups, shape = config.get("num_groups"), config.get("normalized_shape")
    if isinstance(groups, int) and x.ndim > 1 and x.shape[1] % groups == 0:
        yield "over each group", _Pool((), groups)
    if shape is not None:
        n = len(shape) if isinstance(shape, tuple) else 1
        yield "over normalized_shape", _Pool(tuple(range(x.ndim - n, x.ndim)))
    if (groups is not None or shape is not None) and not wrong:
        return
    if x.ndim > 1:
        yield "over batch and positions", _Pool((0, *range(2, x.ndim)))
        yield "over the batch", _Pool((0,))
    if x.ndim > 2:
        yield "over positions", _Pool(tuple(range(2, x.ndim)))
    if x.ndim > 1:  # without a batch axis
        yield "over positions", _Pool(tuple(range(1, x.ndim)))
    for n in range(1, x.ndim + 1):
        axes = tuple(range(x.ndim - n, x.ndim))
        yield f"over the last {n} axes" if n > 1 else "over the last axis", _Pool(axes)


@dataclass(frozen=True)
class _Pool:
    axes: tuple[int, ...]
    groups: int = 0

    def __call__(self, a: Array) -> Array:
        if self.groups:
            parts = a.reshape(a.shape[0], self.groups, -1)
            mean = np.broadcast_to(parts.mean(-1, keepdims=True), parts.shape)
            return mean.reshape(a.shape)
        return np.asarray(a.mean(self.axes, keepdims=True))


def _weight(v: View) -> Array | float:
    """The affine weight, as it broadcasts to x."""
    weight, x = v.array("weight"), v.x
    if weight is None or x is None:
        return 1.0
    if weight.ndim == 1 and x.ndim > 1 and x.shape[1] == weight.size:
        names_ = v.probe.config
        if "num_features" in names_ or "num_channels" in names_:
            return weight.reshape(-1, *[1] * (x.ndim - 2))
    return weight if x.shape[-weight.ndim :] == weight.shape else 1.0


def terms(v: View) -> Iterator[Reading]:
    """got = torch's + c·atom."""
    residual = v.got - v.want
    if not np.isfinite(residual).all():
        return
    for atom in _atoms(v):
        value = np.broadcast_to(atom.value, v.want.shape)
        c = fitted(residual, value)
        if c is None or c == 0 or not np.isfinite(c):
            continue
        whole = v.want + c * value
        less = "less" if c < 0 else "more"
        if abs(abs(c) - 1) < 1e-7:
            text = f"it is torch's {'plus' if c > 0 else 'minus'} {atom.name}"
            yield Reading(("term", text), "term", text, whole, _TERM)
            continue
        for name in names(abs(c), v.probe):
            text = f"it is torch's {'plus' if c > 0 else 'minus'} {name} · {atom.name}"
            yield Reading(("term", text), "term", text, whole, _TERM + 0.2 + 0.01 * len(name))
        text = f"there is {abs(c):.6g} · {atom.name} {less} than in torch's"
        yield Reading(("term", text), "term", text, whole, _TERM + 0.8)
        text = f"there is a multiple of {atom.name} {less} than in torch's"
        yield Reading(("term", "?", text), "term", text, whole, _TERM + 1.2)
    for axis, n in enumerate(v.want.shape):
        if n > 2 and v.want.size > n:
            level = residual.mean(axis, keepdims=True)
            text = f"what it is off by is the same along axis {axis}"
            yield Reading(("along", str(axis)), "along", text, v.want + level, _TERM + 1.5)


def _atoms(v: View) -> Iterator[Atom]:
    shape = v.want.shape
    factors: list[Atom] = []
    for name, a in v.probe.arrays.items():
        if a.dtype.kind == "f" and not name.startswith("grad "):
            factors.append(Atom(name, a))
    if v.y is not None and v.y.dtype.kind == "f" and v.quantity != "y":
        factors.append(Atom("y", v.y))
    for name, a in v.probe.arrays.items():
        if name.startswith("grad 1 "):
            factors.append(Atom("the gradient", a))
    if v.quantity.startswith("next ") and v.x is not None and v.x.ndim > 1:
        axes = (0, *range(2, v.x.ndim))
        n = v.x.size // v.x.shape[1] if v.x.shape[1] else 0
        with np.errstate(all="ignore"):
            factors.append(Atom("the batch's mean", v.x.mean(axes)))
            factors.append(Atom("the batch's variance", v.x.var(axes)))
            factors.append(Atom("the batch's unbiased variance", v.x.var(axes) * n / (n - 1)))
            factors.append(Atom("the batch's standard deviation", v.x.std(axes)))
    yield Atom("1", np.ones(()))
    for atom in factors:
        if _fits(atom.value, shape):
            yield atom
            yield Atom(f"{atom.name}²", atom.value**2)
            yield Atom(f"|{atom.name}|", np.abs(atom.value))
            yield Atom(f"sign({atom.name})", np.sign(atom.value))
    for name, w in v.probe.want.items():
        gradient = name.startswith("gradient of") and name != v.quantity
        if gradient and w.dtype.kind == "f" and w.shape == shape:
            yield Atom(f"torch's {name}", w)
    for one, two in combinations(factors, 2):
        if _fits(one.value, shape) and _fits(two.value, shape):
            yield Atom(f"{one.name}·{two.name}", one.value * two.value)
    if v.dy is not None and v.dy.shape == shape and v.dy.ndim:
        yield from _projections(v, shape)


def _projections(v: View, shape: tuple[int, ...]) -> Iterator[Atom]:
    """What a normalisation or a softmax takes out of dy: sums along an axis, times x or y."""
    assert v.dy is not None
    others = [("1", np.ones(shape))]
    others += [(n, a) for n, a in (("x", v.x), ("y", v.y)) if a is not None and a.shape == shape]
    for axis in range(len(shape)):
        for name, inside in others:
            total = (v.dy * inside).sum(axis, keepdims=True)
            product = "dy" if name == "1" else f"dy·{name}"
            for outer, outside in others:
                text = f"Σ {product} (axis {axis})" + ("" if outer == "1" else f" · {outer}")
                yield Atom(text, total * outside)


def _fits(a: Array, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(a.shape, shape) == shape
    except ValueError:
        return False


def reductions(v: View) -> Iterator[Reading]:
    """A gradient of a parameter, or an output, summed in another way than torch does."""
    if v.dy is None or not v.want.ndim:
        return
    for name, summand in _summands(v):
        for axes in _leading(summand.shape, v.want.shape):
            for how, value in _reduced(summand, axes):
                if value.shape == v.want.shape:
                    text = f"it is {how} of {name}"
                    yield Reading((how, name), "reduction", text, value, 2.4)
    yield from _scattered(v)


def _summands(v: View) -> Iterator[tuple[str, Array]]:
    assert v.dy is not None
    yield "dy", v.dy
    for name, a in (("x", v.x), ("y", v.y)):
        if a is not None and a.shape == v.dy.shape:
            yield f"dy·{name}", v.dy * a


def _leading(shape: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The axes over which a sum has the shape wanted."""
    gone = len(shape) - len(wanted)
    if gone <= 0:
        return
    for axes in combinations(range(len(shape)), gone):
        if tuple(n for i, n in enumerate(shape) if i not in axes) == wanted:
            yield axes


def _reduced(a: Array, axes: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    yield "the sum", a.sum(axes)
    if not all(a.shape[i] for i in axes):
        return
    yield "the mean", a.mean(axes)
    for which, at in (("the first", 0), ("the last", -1)):
        for n in range(1, len(axes) + 1):
            for some in combinations(axes, n):
                index = tuple(
                    slice(at, None)
                    if i in some and at < 0
                    else slice(0, 1)
                    if i in some
                    else slice(None)
                    for i in range(a.ndim)
                )
                rest = "" if n == len(axes) else " along one axis, summed over the others,"
                yield f"{which}{rest}", a[index].sum(axes)


def _scattered(v: View) -> Iterator[Reading]:
    """Rows added by index: only the last one of equal indices kept, or their mean."""
    assert v.dy is not None
    for name, index in v.probe.arrays.items():
        if index.dtype.kind not in "iu" or not index.size or v.want.ndim < 1:
            continue
        rows = v.dy.reshape(index.size, -1) if v.dy.size % index.size == 0 else None
        if rows is None or rows.shape[1:] != (v.want[0].size if v.want.shape[0] else 0,):
            continue
        flat = index.reshape(-1)
        if flat.min() < 0 or flat.max() >= v.want.shape[0]:
            continue
        last, count = np.zeros((v.want.shape[0], rows.shape[1])), np.zeros(v.want.shape[0])
        first = np.zeros_like(last)
        for i, row in zip(flat, rows, strict=True):
            first[i] = row if not count[i] else first[i]
            last[i] = row
            count[i] += 1
        repeated = "of repeated indices only the"
        for which, value in (("last", last), ("first", first)):
            known = np.where((v.want != 0) | (v.got != 0), value.reshape(v.want.shape), 0.0)
            text = f"{repeated} {which} one counts, where their gradients add up ({name})"
            yield Reading(("scattered", which), "reduction", text, known, 1.4)
        mean = v.want / np.maximum(count, 1).reshape(-1, *[1] * (v.want.ndim - 1))
        text = f"the gradients of repeated indices are averaged, not added ({name})"
        yield Reading(("scattered", "mean"), "reduction", text, mean, 1.4)
