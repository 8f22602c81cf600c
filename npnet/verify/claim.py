"""Conventions of a twin as claims: a sentence, and a small question whose answer proves it.

A claim is asked of the twin itself and of npnet's layer alike; what passes may be printed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from npnet.contract import Array, NpnetError, SparseGrad, State
from npnet.verify.case import Case, Config, OptimizerCase, map_leaves
from npnet.verify.draw import data

if TYPE_CHECKING:
    from npnet.verify.spec import Spec

_DIGITS = 9  # to which the numbers in a claim are meant
# npnet's, and those of torch
_REFUSALS = (NpnetError, RuntimeError, ValueError, IndexError, AssertionError)


@dataclass(frozen=True)
class Told:
    """What was answered to one question of a claim, in float64."""

    y: Any
    dx: Any  # of the first input
    dxs: tuple[Any, ...]
    params: State
    updates: State


@dataclass(frozen=True)
class Ask:
    """Puts the questions of a claim to a candidate.

    `ask([1.0, 2.0], eps=0.5).dx`: positional arguments are inputs, keywords the configuration;
    `state`, `dy` (1 everywhere if left out), `kwargs` and `seed` are what their names say. Entries
    of the state that are left out are drawn.
    """

    function: Callable[[Any], Any]
    spec: "Spec"

    def __call__(
        self,
        *inputs: Any,
        state: Mapping[str, ArrayLike] | None = None,
        dy: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        seed: int = 0,
        **config: Any,
    ) -> Told:
        """The answer of a layer."""
        xs = map_leaves(inputs, "", lambda _, x: _array(x))
        named = {name: _array(x) for name, x in (kwargs or {}).items()}
        rng = np.random.default_rng(seed)
        given = {name: np.asarray(a) for name, a in (state or {}).items()}
        forward = self.function(Case(config, self.state(config) | given, xs, named, rng))
        y = forward.y
        if dy is None:
            dy = map_leaves(y, "", lambda _, v: np.ones_like(v) if v.dtype.kind == "f" else None)
        grads = forward.vjp(map_leaves(dy, "", lambda _, v: None if v is None else np.asarray(v)))
        first = grads.inputs[0] if grads.inputs else None
        return Told(y, first, tuple(grads.inputs), grads.params, forward.updates)

    def steps(
        self,
        params: ArrayLike,
        grads: list[Any],
        lr: float | tuple[float, ...] | None = None,
        **config: Any,
    ) -> list[Array]:
        """The one parameter of an optimizer after each step; a gradient may be None or sparse."""
        rate = config.get("lr", 1.0) if lr is None else lr
        rates = rate if isinstance(rate, tuple) else (rate,) * len(grads)
        asked = tuple(
            {"p": g if g is None or isinstance(g, SparseGrad) else np.asarray(g, np.float64)}
            for g in grads
        )
        case = OptimizerCase(config, {"p": np.asarray(params, np.float64)}, asked, rates)
        found = self.function(case)
        return [(after[0] if isinstance(after, tuple) else after)["p"] for after in found]

    def rates(self, steps: int, metrics: tuple[float, ...] | None = None, **config: Any) -> Array:
        """The rates that a schedule sets, step by step."""
        y = self._schedule(steps, metrics, config)
        return np.asarray(y[0] if isinstance(y, tuple) else y)

    def momenta(self, steps: int, **config: Any) -> Array:
        """The momenta that a schedule sets, step by step."""
        return np.asarray(self._schedule(steps, None, config)[1])

    def _schedule(self, steps: int, metrics: tuple[float, ...] | None, config: Config) -> Any:
        kwargs: dict[str, Any] = {"steps": steps}
        if metrics is not None:
            kwargs["metrics"] = metrics
        return self.function(Case(config, {}, (), kwargs)).y

    def minimised(
        self, params: ArrayLike, f: Callable[[Array], tuple[Any, Array]], **config: Any
    ) -> Array:
        """The one parameter after one step of an optimizer that takes f -> (loss, gradient)."""

        def closure(at: State) -> tuple[Any, State]:
            loss, g = f(at["p"])
            return loss, {"p": g}

        rates = (config.get("lr", 1.0),)
        start = {"p": np.asarray(params, np.float64)}
        (found,) = self.function(OptimizerCase(config, start, ({},), rates, closure=closure))
        after: Array = (found[0] if isinstance(found, tuple) else found)["p"]
        return after

    def state(self, config: Config) -> dict[str, Array]:
        """A state for a configuration, as it is drawn where a claim gives none.

        A configuration that the twin refuses has none.
        """
        rng = np.random.default_rng(0)
        try:
            wanted = self.spec.state(config).items()
        except _REFUSALS:
            return {}
        return {name: data(v, rng, ("normal",), "float64")[0] for name, v in wanted}


def _array(x: Any) -> Any:
    """Numbers and lists of them as arrays: [1.0] is a float64 array, [1] an int64 one."""
    return np.asarray(x) if isinstance(x, list | float | np.ndarray) else x


def same(got: Any, want: Any) -> bool:
    """The same shape, and the same numbers to nine digits; nan is nan."""
    a, b = np.asarray(got), np.asarray(want)
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= 10.0**-_DIGITS * np.maximum(1.0, np.abs(b))
        near &= np.isfinite(b)
    return bool((near | (a == b) | (np.isnan(a) & np.isnan(b))).all())


def refuses(question: Callable[[], Any]) -> bool:
    """Whether a question raises, as torch and npnet do where arguments have no meaning.

    Ask nothing but the question in it: what else raises would pass for a refusal.
    """
    try:
        question()
    except _REFUSALS:
        return True
    return False


@dataclass(frozen=True)
class Claim:
    """A convention in a sentence, and the check that proves it of whatever answers `ask`."""

    text: str
    check: Callable[[Ask], bool]
