"""How questions are drawn: structure by Hypothesis, data by NumPy, a family per value set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from npnet.contract import Array
from npnet.verify.case import LayerConfig, Slot

Only = Mapping[str, st.SearchStrategy[Any]]

_SMALL = (2, 3, 1, 4, 5)
_LARGE = (8, 9, 32, 33, 128, 129, 768)
_SIZES = _SMALL * 28 + _LARGE  # one in twenty crosses a block size
_BATCHES = ((2,), (), (1,), (3,), (2, 3), (4,), (1, 2), (5,), (3, 2, 2), (2, 1), (7,), (0,), (3, 0))


@dataclass(frozen=True)
class Values:
    """An array to be filled with data once for every value set.

    kind "real": any family. "positive": the same, made positive. "nonnegative": their absolute
    values. "index": integers below `high`, with repeats. "distinct": integers below `high`, without
    repeats in the last `axes` axes. "even": integers below `high`, each that occurs occurring
    equally often. "choice": integers from `extra`. "fixed": the integers `extra`, in order. "bool":
    true or false. "sign": 1 or -1. "probability": non-negative, summing to 1 along axis `axis`.
    "log_probability": its logarithm. "sixteenths": 1/16, 3/16, …, 15/16. "binary": 0 or 1, or in
    between. "unit": from 0 to 1, both included. `kinks` are values that must turn up often.
    """

    shape: tuple[int, ...]
    kind: str = "real"
    kinks: tuple[float, ...] = (0.0,)
    high: int = 1
    axis: int = 0
    axes: int = 1
    scale: float = 1.0  # of real numbers, a power of two
    extra: tuple[int, ...] = ()  # further values that an index may take, or those that are fixed


class Pick:
    """Draws by name, so that every draw is labelled, counted and can be narrowed by `only`."""

    def __init__(self, draw: st.DrawFn, only: Only, dtype: str = "float64") -> None:
        self._draw = draw
        self._only = only
        self._large = False
        self.dtype = dtype
        self.choices: dict[str, Any] = {}
        self.universe: dict[str, tuple[Any, ...]] = {}
        self.unheard: dict[str, tuple[Any, ...]] = {}  # of what `only` has made up: what there is
        self.refused: list[tuple[tuple[str, str], tuple[str, str]]] = []

    def __call__(self, name: str, strategy: st.SearchStrategy[Any]) -> Any:
        """Draw `name` from a strategy; a candidate's `only` replaces the strategy."""
        value = self.choices[name] = self._draw(self._only.get(name, strategy))
        return value

    def option(self, name: str, *values: Any) -> Any:
        """Draw one of finitely many values, whose coverage is counted, alone and in pairs.

        A value that is named twice is drawn twice as often.
        """
        self.universe[name] = values
        return self.choose(name, values)

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        """Draw one of these values, whose coverage is not counted."""
        if name in self._only:
            given = self(name, self._only[name])
            if given not in values:
                self.unheard[name] = values
            return given
        value = self.choices[name] = self._draw(_sampled(name, values))[1]
        return value

    def instead(self, name: str, value: Any, because: str) -> Any:
        """Replace an option's value that torch refuses beside that of option `because`.

        The pair that was drawn then counts as refused, not as uncovered.
        """
        drawn, cause = ((n, str(self.choices[n])) for n in (name, because))
        self.refused.append((drawn, cause))
        self.choices[name] = value
        return value

    def size(self, name: str) -> int:
        """Draw a size: mostly 1 to 5; in one example of twenty, one axis crosses a block size."""
        value: int = self.choose(name, _SMALL if self._large else _SIZES)
        self._large |= value > 5
        return value

    def batch(self, name: str = "batch") -> tuple[int, ...]:
        """Draw batch axes: none, one, several, of size 0 too."""
        shape: tuple[int, ...] = self.choose(name, _BATCHES)
        return shape

    def values(self, name: str, shape: Sequence[int], **how: Any) -> Values:
        """An array of this shape, filled later."""
        self.choices.setdefault(name, tuple(shape))
        return Values(tuple(shape), **how)


_samplers: dict[tuple[Any, ...], st.SearchStrategy[Any]] = {}


def _sampled(name: str, values: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """One strategy per name and values, of pairs of both.

    Building it anew costs more than drawing from it. The name makes it another strategy than that
    of any other option: Hypothesis copies values between places that look alike, and half of its
    examples would be near copies of others.
    """
    key = (name, values, tuple(map(type, values)))
    if key not in _samplers:
        _samplers[key] = st.sampled_from([(name, value) for value in values])
    return _samplers[key]


def slots(inputs: Sequence[Any], prefix: str = "input ") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call with a Slot in the place of every Values, and the Values by name."""
    found: dict[str, Values] = {}

    def visit(x: Any, name: str) -> Any:
        if isinstance(x, Values):
            found[name] = x
            return Slot(name)
        if isinstance(x, tuple):
            return tuple(visit(part, f"{name}.{i}") for i, part in enumerate(x))
        return x

    return tuple(visit(x, f"{prefix}{i}") for i, x in enumerate(inputs)), found


# ---- families of data ------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """How far the families go in a floating-point format, as powers of two."""

    tiny: int  # of the variance family
    offset: int  # of the offset family
    spread: float  # decades of the magnitudes family, either way
    huge: int
    denormal: int


RANGES = {
    "float64": Range(-20, 20, 6.0, 200, -1030),
    "float32": Range(-8, 10, 6.0, 30, -130),
    "float16": Range(-4, 5, 1.5, 4, -16),
}

Family = Callable[[np.random.Generator, tuple[int, ...], Range, tuple[float, ...]], Array]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> Array:
    return rng.standard_normal(shape)


def _integers(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> Array:
    return rng.integers(-3, 4, shape).astype(np.float64)


def _powers(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> Array:
    x: Array = np.ldexp(rng.choice((-1.0, 1.0), shape), rng.integers(-4, 4, shape))
    return x


def _ties(
    rng: np.random.Generator, shape: tuple[int, ...], _: Range, kinks: tuple[float, ...]
) -> Array:
    return rng.choice((*kinks, *kinks, -0.0, 0.5, 1.0, -1.0), shape)


def _rows(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> Array:
    x: Array = np.asarray(rng.standard_normal(shape))
    if x.ndim and x.size:
        x[...] = x.take([0], int(rng.integers(x.ndim)))
    return x


def _tiny(rng: np.random.Generator, shape: tuple[int, ...], r: Range, *_: Any) -> Array:
    x: Array = rng.standard_normal() + np.ldexp(rng.standard_normal(shape), r.tiny)
    return x


def _offset(rng: np.random.Generator, shape: tuple[int, ...], r: Range, *_: Any) -> Array:
    x: Array = np.ldexp(rng.choice((-1.0, 1.0)), r.offset) + rng.standard_normal(shape)
    return x


def _huge(rng: np.random.Generator, shape: tuple[int, ...], r: Range, *_: Any) -> Array:
    exponents = rng.choice((r.huge, r.huge // 2, 0), shape)
    x: Array = np.ldexp(rng.standard_normal(shape), exponents)
    return x


def _small(rng: np.random.Generator, shape: tuple[int, ...], r: Range, *_: Any) -> Array:
    """Denormal numbers too; never beside huge ones, or what is lost would depend on the order."""
    exponents = rng.choice((r.denormal, -r.huge, -r.huge // 2, 0), shape)
    x: Array = np.ldexp(rng.standard_normal(shape), exponents)
    return x


def _magnitudes(rng: np.random.Generator, shape: tuple[int, ...], r: Range, *_: Any) -> Array:
    signs = rng.choice((-1.0, 1.0), shape)
    x: Array = signs * 10.0 ** rng.uniform(-r.spread, r.spread, shape)
    return x


FAMILIES: dict[str, Family] = {
    "normal": _normal,
    "integers": _integers,
    "powers": _powers,
    "ties": _ties,
    "rows": _rows,
    "tiny": _tiny,
    "offset": _offset,
    "huge": _huge,
    "small": _small,
    "magnitudes": _magnitudes,
}
MODERATE = ("normal", "integers", "powers", "ties", "rows")
"""Families in which nothing underflows, so that scaling dy by two is exact in float64."""


def themes(
    rng: np.random.Generator, sets: int, families: Sequence[str] = tuple(FAMILIES)
) -> tuple[str, ...]:
    """A family per value set; the first set is always normal or integers."""
    rest = rng.choice(len(families), max(sets - 1, 0))
    first = "normal" if rng.random() < 0.6 else "integers"
    return (first, *(families[i] for i in rest))


def data(values: Values, rng: np.random.Generator, chosen: Sequence[str], dtype: str) -> Array:
    """The arrays of all value sets, stacked. A set's tensors mostly share the set's family."""
    shape = values.shape
    if values.kind in DISCRETE:
        return DISCRETE[values.kind](values, rng, len(chosen))
    out = np.empty((len(chosen), *shape))
    for s, theme in enumerate(chosen):
        family = theme if theme == "integers" or rng.random() < 0.7 else "normal"
        out[s] = FAMILIES[family](rng, shape, RANGES[dtype], values.kinks)
    out *= values.scale
    if values.kind == "positive":
        out = np.abs(out) + 0.0625
    elif values.kind == "nonnegative":
        out = np.abs(out)
    elif values.kind == "probability":
        out = np.abs(out) + np.finfo(dtype).tiny
        with np.errstate(over="ignore"):
            out = out / out.sum(values.axis % len(shape) + 1, keepdims=True)
    elif values.kind == "log_probability":
        axis = values.axis % len(shape) + 1
        out -= out.max(axis, keepdims=True)
        out -= np.log(np.exp(out).sum(axis, keepdims=True))
        out = np.maximum(out, -np.finfo(dtype).max)
    elif values.kind == "binary":
        soft = rng.random(out.shape) < 0.3
        out = np.where(soft, rng.random(out.shape), (out > 0).astype(np.float64))
    elif values.kind == "sign":
        out = np.where(out > 0, 1.0, -1.0)
    elif values.kind == "unit":
        out = np.abs(out)
        out = np.minimum(out, 1 / np.maximum(out, 1))
    elif values.kind == "sixteenths":
        out = (2 * rng.integers(0, 8, out.shape) + 1) / 16
    return out.astype(dtype)


def _indices(values: Values, rng: np.random.Generator, sets: int) -> Array:
    found = rng.integers(0, max(values.high, 1), (sets, *values.shape))
    if values.extra:
        found = np.where(rng.random(found.shape) < 0.25, rng.choice(values.extra), found)
    return found


def _distinct(values: Values, rng: np.random.Generator, sets: int) -> Array:
    lead, last = values.shape[: -values.axes], values.shape[-values.axes :]
    keys = rng.random((sets, *lead, values.high))
    return np.argsort(keys, axis=-1)[..., : prod(last)].reshape(sets, *lead, *last)


def _booleans(values: Values, rng: np.random.Generator, sets: int) -> Array:
    return rng.random((sets, *values.shape)) < 0.4


def _choice(values: Values, rng: np.random.Generator, sets: int) -> Array:
    return rng.choice(values.extra, (sets, *values.shape))


def _fixed(values: Values, rng: np.random.Generator, sets: int) -> Array:
    return np.tile(np.reshape(values.extra, values.shape), (sets, *(1 for _ in values.shape)))


def _even(values: Values, rng: np.random.Generator, sets: int) -> Array:
    n = int(np.prod(values.shape))
    often = [m for m in range(1, n + 1) if n % m == 0 and n // m <= values.high] or [1]
    found = [
        rng.permutation(np.repeat(rng.permutation(values.high)[: n // m], m))
        for m in rng.choice(often, sets)
    ]
    return np.reshape(found, (sets, *values.shape)).astype(np.int64)


DISCRETE = {
    "index": _indices,
    "distinct": _distinct,
    "bool": _booleans,
    "choice": _choice,
    "fixed": _fixed,
    "even": _even,
}
"""Kinds of data that have no gradient and no family."""


def describe(value: Any) -> str:
    """A drawn value as a reader would write it; sizes are told apart only by what matters."""
    if isinstance(value, LayerConfig):
        return repr(value)
    return str(value)
