"""One question that both sides are asked: a Case as a candidate sees it, an Example as kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from npnet.contract import Array, Nested, SparseGrad, State
from npnet.verify.objective import objective

Config = Mapping[str, Any]


@dataclass(frozen=True)
class LayerConfig:
    """A layer inside a configuration (Sequential's arguments): its name and its own arguments."""

    layer: str
    config: Config

    def __repr__(self) -> str:
        return f"{self.layer}({', '.join(f'{k}={v!r}' for k, v in self.config.items())})"


@dataclass(frozen=True)
class Power:
    """A function of the step that can be shown and kept: scale · base^step."""

    base: float
    scale: float = 1.0

    def __call__(self, step: float) -> float:
        """The factor of a step."""
        return float(self.scale * self.base**step)


@dataclass(frozen=True)
class Case:
    """What a layer is asked.

    config: the twin's constructor arguments by name, plus `training` where the mode matters
    state: the twin's state_dict()
    inputs: what torch's `forward` takes, in order, nested tuples included
    kwargs: the keyword arguments of `forward`
    rng: a fresh Generator in a fixed state, where the twin draws
    """

    config: Config
    state: State
    inputs: tuple[Nested, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    rng: np.random.Generator | None = None


@dataclass(frozen=True)
class OptimizerCase:
    """What an optimizer is asked: the parameters after each step.

    config: the twin's constructor arguments by name, less the parameters
    params: the parameters at the start
    grads: one mapping per step, None where a parameter has no gradient; SparseGrads for SparseAdam;
        empty where there is a closure
    lr: one rate per step, as a schedule would set it
    restart: the number of steps after which the state is saved and restored, or None
    groups: torch's param_groups with names for parameters, ({"params": ("a", "b")}, {"params":
        ("c",), "lr": 0.5}): what a group does not say is as in config, and a schedule changes all
        rates in proportion. Empty: all parameters are in one
    closure: params -> (loss, gradients), for LBFGS
    """

    config: Config
    params: State
    grads: tuple[Mapping[str, Any], ...]
    lr: tuple[float, ...]
    restart: int | None = None
    groups: tuple[Mapping[str, Any], ...] = ()
    closure: Callable[[State], tuple[Any, State]] | None = None

    def rate(self, group: Mapping[str, Any], lr: float) -> float:
        """The rate of a group when the schedule has set `lr`."""
        return float(group["lr"] * (lr / self.lr[0]) if "lr" in group else lr)

    def split(self) -> list["OptimizerCase"]:
        """One case for every group: by themselves, for code that knows no groups."""
        if not self.groups:
            return [self]
        found = []
        for group in self.groups:
            names, own = group["params"], {n: v for n, v in group.items() if n != "params"}
            found.append(
                replace(
                    self,
                    config={**self.config, **own},
                    params={name: self.params[name] for name in names},
                    grads=tuple({name: g[name] for name in names} for g in self.grads),
                    lr=tuple(self.rate(group, lr) for lr in self.lr),
                    groups=(),
                )
            )
        return found


@dataclass(frozen=True)
class Slot:
    """Where an array belongs in a nested structure of inputs."""

    name: str


@dataclass(repr=False)
class Example:
    """One drawn structure with the arrays of one or more value sets, stacked on a leading axis.

    `arrays` maps "input 0", "input 1.0" (inside a tuple), "kwarg mask", "state weight", "dy" or
    "dy 0" to arrays of shape (sets, …); for an optimizer "param w" and "grad 2 w", "indices 2 w"
    where that is sparse, "curvature w" and "centre w" where it takes a closure.
    `inputs` and `kwargs` are the call with a Slot in the place of every array.
    """

    spec: str
    config: Config
    arrays: dict[str, Array]
    sets: int
    themes: tuple[str, ...]
    seed: int = 0
    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = False  # whether the twin takes random numbers
    masks: tuple[Array, ...] | None = None  # keep masks in place of drawn ones, in torch's order
    outputs: tuple[str | None, ...] = ()  # the name of every output's dy, None for an integer one

    def __repr__(self) -> str:
        return f"Example({self.spec}, {dict(self.config)}, sets={self.sets}, seed={self.seed})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would print every array in full

    def one(self, s: int) -> dict[str, Array]:
        """The arrays of value set `s`, without the leading axis; of shape () too."""
        return {name: a[s, ...] for name, a in self.arrays.items()}

    def pick(self, s: int) -> "Example":
        """Value set `s` alone."""
        arrays = {name: a[s : s + 1].copy() for name, a in self.arrays.items()}
        return replace(self, arrays=arrays, sets=1, themes=(self.themes[s],))

    def astype(self, dtype: str) -> "Example":
        """The same values in another floating-point format."""
        arrays = {
            name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in self.arrays.items()
        }
        return replace(self, arrays=arrays)

    def replaced(self, arrays: Mapping[str, Array]) -> "Example":
        """The same structure with other arrays (of one value set, without the leading axis)."""
        return replace(self, arrays={n: a[np.newaxis] for n, a in arrays.items()}, sets=1)

    def case(self, arrays: Mapping[str, Array]) -> Case:
        """What a layer sees of it; `arrays` are those of one value set."""
        return Case(
            {name: fill(x, arrays) for name, x in self.config.items()},
            {n.removeprefix("state "): a for n, a in arrays.items() if n.startswith("state ")},
            tuple(fill(x, arrays) for x in self.inputs),
            {name: fill(x, arrays) for name, x in self.kwargs.items()},
            np.random.default_rng(self.seed) if self.draws else None,
        )

    def optimizer_case(self, arrays: Mapping[str, Array]) -> OptimizerCase:
        """What an optimizer sees of it."""
        params = {n.removeprefix("param "): a for n, a in arrays.items() if n.startswith("param ")}
        lr, groups = self.kwargs["lr"], self.kwargs.get("groups", ())
        grads = tuple({p: gradient(arrays, k + 1, p) for p in params} for k in range(len(lr)))
        closure = None
        if "valley" in self.kwargs:
            curvature, centre = (
                {p: arrays[f"{kind} {p}"] for p in params} for kind in ("curvature", "centre")
            )
            grads = ({},) * len(lr)

            def closure(x: State) -> tuple[Any, State]:
                loss, slopes = objective(x, curvature, centre, self.kwargs["valley"])
                return loss, {name: np.asarray(g) for name, g in slopes.items()}

        restart = self.kwargs["restart"]
        return OptimizerCase(self.config, params, grads, tuple(lr), restart, groups, closure)

    def cotangents(self, arrays: Mapping[str, Array]) -> list[Array | None]:
        """dy of every output, None for an integer one, in order."""
        return [None if name is None else arrays[name] for name in self.outputs]


def gradient(arrays: Mapping[str, Array], k: int, name: str) -> Any:
    """The gradient of a parameter in step k: an array, a SparseGrad or None."""
    g, indices = arrays.get(f"grad {k} {name}"), arrays.get(f"indices {k} {name}")
    if g is None or indices is None:
        return g
    return SparseGrad(indices, g, arrays[f"param {name}"].shape)


class Replayed:
    """Stands in for a Generator where keep masks are given: random(shape) >= p is the mask."""

    def __init__(self, masks: tuple[Array, ...]) -> None:
        self._masks = iter(masks)

    def random(self, shape: tuple[int, ...]) -> Array:
        """The next mask as numbers that any p keeps (1) or drops (-1)."""
        return np.where(next(self._masks), 1.0, -1.0).reshape(shape)


def fill(template: Any, arrays: Mapping[str, Any]) -> Any:
    """The nested structure with every Slot replaced by its array."""
    if isinstance(template, Slot):
        return arrays[template.name]
    if isinstance(template, tuple):
        return tuple(fill(x, arrays) for x in template)
    return template


def leaves(nested: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested structure with its name: "input 1" holds "input 1.0", "input 1.1"."""
    if isinstance(nested, tuple):
        for i, x in enumerate(nested):
            yield from leaves(x, f"{name}.{i}")
    else:
        yield name, nested


def map_leaves(nested: Any, name: str, function: Callable[[str, Any], Any]) -> Any:
    """The same nesting with `function(name, leaf)` in the place of every leaf."""
    if isinstance(nested, tuple):
        return tuple(map_leaves(x, f"{name}.{i}", function) for i, x in enumerate(nested))
    return function(name, nested)
