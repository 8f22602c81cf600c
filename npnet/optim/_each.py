"""One step of an optimizer whose rule goes parameter by parameter."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State

Entries: TypeAlias = Mapping[str, Array]
"""What is kept of one parameter, by torch's names: {"exp_avg": …}; empty before its first step."""

Rule: TypeAlias = Callable[[Array, Array, Entries], tuple[Array, dict[str, Array]]]
"""(parameter, gradient, entries) -> (parameter, entries)."""

BLOCK = 1 << 18
"""Elements that are stepped at a time: what a formula writes in between stays in the cache."""

S = TypeVar("S")
"""A NamedTuple of mappings: kind of entry -> parameter -> array."""


def step_each(
    rule: Rule,
    params: State,
    grads: Mapping[str, Array | None],
    state: S,
    *,
    elementwise: bool = True,
) -> tuple[State, S]:
    """Apply the rule to every parameter with a gradient; leave the others and their entries alone.

    elementwise: no element of the rule's results depends on other elements, so that a large
        parameter may be stepped block by block

    Raises ConfigError for a gradient of no parameter, ShapeError, DtypeError.
    """
    known(params, grads)
    before: Any = state
    after: dict[str, dict[str, Array]] = {kind: dict(of) for kind, of in before._asdict().items()}
    stepped = dict(params)
    for name, p in params.items():
        g = grads.get(name)
        if g is None:
            continue
        _require_alike(name, p, g)
        entries = {kind: of[name] for kind, of in after.items() if name in of}
        if elementwise and p.size > BLOCK:
            stepped[name], kept = _blocks(rule, p, g, entries)
        else:
            stepped[name], kept = rule(p, g, entries)
        for kind, entry in kept.items():
            after[kind][name] = entry
    return stepped, before._replace(**after)


def _blocks(rule: Rule, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
    """The rule on one block after the other; entries without axes belong to all of them."""
    flat_p, flat_g = p.reshape(-1), g.reshape(-1)
    flat = {kind: e.reshape(-1) if e.ndim else e for kind, e in kept.items()}
    results: dict[str, Array] = {}
    for start in range(0, p.size, BLOCK):
        block = slice(start, start + BLOCK)
        here = {kind: e[block] if e.ndim else e for kind, e in flat.items()}
        stepped, now = rule(flat_p[block], flat_g[block], here)
        for kind, e in {"": stepped, **now}.items():
            if not e.ndim:
                results[kind] = e
                continue
            if not start:
                results[kind] = np.empty(p.size, e.dtype)
            results[kind][block] = e
    found = {kind: e.reshape(p.shape) if e.ndim else e for kind, e in results.items()}
    return found.pop(""), found


def known(params: State, grads: Mapping[str, Any]) -> None:
    """Raise ConfigError for a gradient of no parameter."""
    for name in grads:
        if name not in params:
            raise ConfigError(
                f"every gradient needs its parameter, but got a gradient of {name!r}, and "
                f"parameters {sorted(params)}."
            )


def _require_alike(name: str, p: Array, g: Array) -> None:
    if not isinstance(g, np.ndarray | np.generic):
        raise DtypeError(
            f"a gradient must be an array, but that of {name} is {type(g).__name__}. "
            "You might need SparseAdam."
        )
    if g.shape != p.shape:
        raise ShapeError(
            f"a gradient needs the shape of its parameter, but {name} has {p.shape} and its "
            f"gradient {g.shape}."
        )
    if g.dtype != p.dtype:
        raise DtypeError(
            f"a gradient needs the dtype of its parameter, but {name} is {p.dtype} and its "
            f"gradient {g.dtype}. You might need grad.astype({p.dtype})."
        )


def counted(kept: Entries) -> tuple[float, Array]:
    """The number of this step, as a number and as it is kept: a float32, as in torch."""
    t = float(kept["step"]) + 1
    return t, np.array(t, np.float32)


def number(value: float) -> Array:
    """A number that torch keeps as a float32, whatever the dtype of the parameter."""
    return np.array(value, np.float32)


def require_not_negative(optimizer: object, **values: float) -> None:
    """Raise ConfigError for a negative hyper-parameter."""
    for name, value in values.items():
        if not value >= 0:
            raise ConfigError(f"{type(optimizer).__name__} needs {name} >= 0, but got {value}.")


def require_betas(optimizer: object, betas: tuple[float, float]) -> None:
    """Raise ConfigError unless 0 <= beta < 1 for both."""
    if not all(0 <= beta < 1 for beta in betas):
        name = type(optimizer).__name__
        raise ConfigError(f"{name} needs 0 <= beta < 1 for both betas, but got {betas}.")
