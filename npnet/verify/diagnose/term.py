"""What is missing or too much: the residual, and the answer itself, as named arrays.

Atoms are products of what is given (x, dy, y, parameters) and of what a normalisation or a softmax
makes of it, reduced over axes in every way. A term is a multiple of one atom, or of a pair that
belongs together.
"""

import math
import re
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
                rstd = 1 / np.sqrt(pooled(d * d) + _eps(v))
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
    running, x = _running(v), v.x
    if running is None or x is None or v.dy is None:
        return
    mean, var = running
    pooled = _Pool((0, *range(2, x.ndim)))
    rstd = 1 / np.sqrt(var + _eps(v))
    xhat, g = (x - mean) * rstd, v.dy * _weight(v)
    through = rstd * (g - pooled(g) - xhat * pooled(g * xhat))
    text = "the running statistics are differentiated as if they were those of the batch"
    yield Reading(("running",), "statistics", text, through, 1.2)


def normalised(v: View) -> Iterator[Reading]:
    """The output of a normalisation that divides by something else, or centres otherwise."""
    if v.quantity != "y" or v.x is None or v.x.shape != v.want.shape or not v.x.ndim:
        return
    weight, bias = _weight(v), _bias(v)
    eps = _eps(v)
    right = _right_pool(v)
    running = _running(v)
    for place, pooled in _pools(v, wrong=running is None):
        mean = pooled(v.x) if running is None else running[0]
        n = v.x.size / max(mean.size, 1) if not pooled.groups else v.x[0].size / pooled.groups
        for about, d in (("", v.x - mean), (", and does not centre", v.x)):
            var = pooled(d * d) if running is None else running[1]
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
                        plain = divisor == "√(var + eps)"
                        kind = "option" if "eps" in divisor and not plain else "constant"
                        if plain and not about and not how:
                            if place == right or running is not None:
                                continue
                            kind, text = "reduction", f"it normalises {place}, not {right}"
                        yield Reading(
                            ("divides", divisor, about, how, str(running is not None)),
                            kind,
                            text,
                            y,
                            1.7 + 0.1 * bool(how),
                        )


def _running(v: View) -> tuple[Array, Array] | None:
    """The running statistics, where they are what normalises, as they broadcast to x."""
    mean, var, x = v.array("running_mean"), v.array("running_var"), v.x
    training = v.probe.config.get("training", True)
    if training or mean is None or var is None or x is None or x.ndim < 2:
        return None
    shape = [-1 if i == _channel_axis(v) else 1 for i in range(x.ndim)]
    return mean.reshape(shape), var.reshape(shape)


def _right_pool(v: View) -> str:
    name = v.probe.example.spec
    if name.startswith("BatchNorm"):
        return "over batch and positions"
    if name.startswith("InstanceNorm"):
        return "over positions"
    return "over each group" if name == "GroupNorm" else "over normalized_shape"


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


def _eps(v: View) -> float:
    eps = v.probe.config.get("eps")
    return float(eps) if isinstance(eps, int | float) else 0.0


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
    weight, x, config = v.array("weight"), v.x, v.probe.config
    if weight is None or x is None:
        return 1.0
    if weight.ndim == 1 and ("num_features" in config or "num_channels" in config):
        axis = _channel_axis(v)
        return weight.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return weight if x.shape[-weight.ndim :] == weight.shape else 1.0


def _channel_axis(v: View) -> int:
    """0 where an InstanceNorm is asked without a batch axis."""
    dims = re.fullmatch(r"InstanceNorm(\d)d", v.probe.example.spec)
    assert v.x is not None
    return 0 if dims is not None and v.x.ndim == int(dims[1]) + 1 else 1


def terms(v: View) -> Iterator[Reading]:
    """got = torch's + c·atom."""
    residual = v.got - v.want
    if not np.isfinite(residual).all():
        return
    for atom in _atoms(v):
        value = np.broadcast_to(atom.value, v.want.shape)
        if atom.kind == "term" and v.want.size > 1 and atom.name != "1":
            text = f"it is {atom.name}"
            cost = _TERM + (0.7 if "(x, 0)" in text else -0.3)  # a half of x is a place, too
            yield Reading(("whole", text), "constant", text, np.array(value), cost)
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
        if v.want.size == 1:
            continue  # one number is a multiple of any other
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
    alone = "input 1" not in v.probe.arrays
    back = v.quantity.startswith("gradient")
    for name, a in v.probe.arrays.items():
        if a.dtype.kind == "f" and not name.startswith("grad " if back else ("grad ", "dy")):
            factors.append(Atom("x" if alone and name == "input 0" else name, a))
    if v.y is not None and v.y.dtype.kind == "f" and v.quantity != "y":
        factors.append(Atom("y", v.y))
    for name, a in v.probe.arrays.items():
        if name.startswith("grad 1 "):
            factors.append(Atom("the gradient", a))
    if v.quantity.startswith("next ") and v.x is not None and v.x.ndim > 1 and v.x.size:
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
        gradient = back and name.startswith("gradient of") and name != v.quantity
        if gradient and w.dtype.kind == "f" and w.shape == shape:
            yield Atom(f"torch's {name}", w)
    for one, two in combinations(factors, 2):
        if _fits(one.value, shape) and _fits(two.value, shape):
            yield Atom(f"{one.name}·{two.name}", one.value * two.value)
    if back and v.dy is not None and v.dy.shape == shape and v.dy.ndim:
        yield from _projections(v, shape)
    if v.x is not None and v.x.shape == shape:
        of_x = v.quantity == "gradient of input 0"
        outer = v.dy if of_x and v.dy is not None and v.dy.shape == shape else None
        if outer is not None or v.quantity == "y":
            for name, f in _functions("x", v.x):
                yield Atom(name, f) if outer is None else Atom(f"dy·{name}", outer * f)


def _functions(name: str, a: Array) -> Iterator[tuple[str, Array]]:
    """Functions that activations and their slopes are made of."""
    with np.errstate(all="ignore"):
        sigmoid, tanh = 1 / (1 + np.exp(-a)), np.tanh(a)
        density = np.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        normal = np.vectorize(math.erf, otypes=[float])(a / math.sqrt(2)) / 2 + 0.5
        for text, f in (
            ("exp({})", np.exp(a)),
            ("exp(-{})", np.exp(-a)),
            ("exp(-|{}|)", np.exp(-np.abs(a))),
            ("σ({})", sigmoid),
            ("{}·σ({})", a * sigmoid),
            ("σ({})²", sigmoid**2),
            ("σ({})·(1 - σ({}))", sigmoid * (1 - sigmoid)),
            ("{}·σ({})·(1 - σ({}))", a * sigmoid * (1 - sigmoid)),
            ("tanh({})", tanh),
            ("tanh({})²", tanh**2),
            ("Φ({})", normal),
            ("φ({})", density),
            ("{}·φ({})", a * density),
            ("log(1 + exp({}))", np.log1p(np.exp(a))),
            ("max({}, 0)", np.maximum(a, 0)),
            ("min({}, 0)", np.minimum(a, 0)),
            ("1/(1 + |{}|)", 1 / (1 + np.abs(a))),
            ("{}³", a**3),
        ):
            yield text.replace("{}", name), f


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


_SOFTMAXES = ("Softmax", "Softmin", "LogSoftmax", "Softmax2d")


def softmaxes(v: View) -> Iterator[Reading]:
    """A softmax, or its gradient, that sums over other axes, or not at all."""
    x, y, dy = v.x, v.y, v.dy
    if v.probe.example.spec not in _SOFTMAXES or x is None or y is None or x.shape != v.want.shape:
        return
    if not x.ndim:
        return
    every = tuple(range(x.ndim))
    for axes in (*((i,) for i in every), every):
        told = "over everything" if axes == every else f"over axis {axes[0]}"
        if v.quantity == "y":
            for sign in (1.0, -1.0):
                e = np.exp(sign * (x - x.max()))
                share = e / e.sum(axes, keepdims=True)
                for value in (share, np.log(share)):
                    yield Reading(("soft", told), "reduction", f"it sums {told}", value, 1.6)
        elif dy is not None:
            for value in (
                y * (dy - (dy * y).sum(axes, keepdims=True)),
                -y * (dy - (dy * y).sum(axes, keepdims=True)),
                dy - np.exp(y) * dy.sum(axes, keepdims=True),
            ):
                text = f"its projection sums {told}"
                yield Reading(("soft", told), "reduction", text, value, 1.6)
    if dy is not None and v.quantity != "y":
        text = "it is y·dy: the diagonal of the Jacobian alone"
        yield Reading(("soft", "diagonal"), "term", text, y * dy, 1.5)


def steps(v: View) -> Iterator[Reading]:
    """A step of an optimizer as a quotient of what torch keeps of the gradients."""
    at = re.fullmatch(r"params after step (\d+): (.*)", v.quantity)
    if at is None or not v.want.size:
        return
    k, name = at[1], at[2]
    eps = _eps(v)
    g = v.array(f"grad {k} {name}")
    if g is not None and g.shape != v.want.shape:  # of a sparse one these are the values
        g = None
    kept = {
        key.split(" ")[1]: a
        for key, a in v.probe.want.items()
        if key.startswith("state ") and key.endswith(f"after step {k}: {name}")
        and a.shape == v.want.shape
    }  # fmt: skip
    above = ([("the gradient", g)] if g is not None else []) + list(kept.items())
    betas = v.probe.config.get("betas")
    if isinstance(betas, tuple) and "exp_avg_sq" in kept and "exp_avg" in kept:
        with np.errstate(all="ignore"):
            above.append(("exp_avg corrected", kept["exp_avg"] / (1 - betas[0] ** int(k))))
            kept["exp_avg_sq corrected"] = kept["exp_avg_sq"] / (1 - betas[1] ** int(k))
    below: list[tuple[str, Array]] = [("", np.ones(v.want.shape))]
    for text, a in kept.items():
        below += [(f" / ({text} + eps)", a + eps), (f" / √({text})", np.sqrt(a))]
        below += [(f" / (√({text}) + eps)", np.sqrt(a) + eps), (f" / √({text} + eps)",
                                                                  np.sqrt(a + eps))]  # fmt: skip
    if g is not None:
        below.append((" / |the gradient|", np.abs(g)))
    for over, a in above:
        for under, b in below:
            shape = a / b
            c = fitted(v.got, shape)
            if c is not None and np.isfinite(c) and c:
                text = f"the step is a multiple of {over}{under}"
                yield Reading(("step", text), "constant", text, c * shape, 2.8)


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
