"""What is missing or too much: the residual, and the answer itself, as named arrays.

Atoms are products of what is given (x, dy, y, parameters), functions of it, and its sums along an
axis. A term is a multiple of one atom.
"""

import math
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
            yield Reading(("along", str(axis)), "along", text, v.want + level, _TERM + 1.5, False)


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
            if outer is not None and v.y is not None and v.y.shape == shape:
                for name, f in _functions("y", v.y):
                    yield Atom(f"dy·{name}", outer * f)


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
            ("(1 - {}²)", 1 - a * a),
            ("{}·(1 - {})", a * (1 - a)),
            ("(1 - tanh({})²)", 1 - tanh * tanh),
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
