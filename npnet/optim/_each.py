"""One step of an optimizer whose rule goes parameter by parameter."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State

Entries: TypeAlias = Mapping[str, Array]
"""What is kept of one parameter, by torch's names: {"exp_avg": …}; empty before its first step."""

Rule: TypeAlias = Callable[[Array, Array, Entries], tuple[Array, dict[str, Array]]]
"""(parameter, gradient, entries) -> (parameter, entries)."""


S = TypeVar("S")
"""A NamedTuple of mappings: kind of entry -> parameter -> array."""


def step_each(
    rule: Rule, params: State, grads: Mapping[str, Array | None], state: S
) -> tuple[State, S]:
    """Apply the rule to every parameter with a gradient; leave the others and their entries alone.

    Raises ConfigError for a gradient of no parameter, ShapeError, DtypeError.
    """
    for name in grads:
        if name not in params:
            raise ConfigError(
                f"every gradient needs its parameter, but got a gradient of {name!r}, and "
                f"parameters {sorted(params)}."
            )
    before: Any = state
    after: dict[str, dict[str, Array]] = {kind: dict(of) for kind, of in before._asdict().items()}
    stepped = dict(params)
    for name, p in params.items():
        g = grads.get(name)
        if g is None:
            continue
        _require_alike(name, p, g)
        entries = {kind: of[name] for kind, of in after.items() if name in of}
        stepped[name], kept = rule(p, g, entries)
        for kind, entry in kept.items():
            after[kind][name] = entry
    return stepped, before._replace(**after)


def _require_alike(name: str, p: Array, g: Array) -> None:
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


def require_not_negative(optimizer: object, **values: float) -> None:
    """Raise ConfigError for a negative hyper-parameter."""
    for name, value in values.items():
        if not value >= 0:
            raise ConfigError(f"{type(optimizer).__name__} needs {name} >= 0, but got {value}.")
