"""An optimizer's state as one flat mapping of arrays, to be saved in any format, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, Optimizer, ShapeError, State


def state_dict(state: Any) -> dict[str, Array]:
    """{"exp_avg.0.weight": …}: every entry of an optimizer's state under kind.parameter."""
    return {
        f"{kind}.{name}": np.asarray(entry)
        for kind, entries in state._asdict().items()
        for name, entry in entries.items()
    }


def load_state_dict(optimizer: Optimizer[Any], params: State, arrays: Mapping[str, Array]) -> Any:
    """The state that state_dict made `arrays` of; bit for bit.

    A parameter has either all the entries that the optimizer keeps of it, or, where it has never
    had a gradient, none.

    Raises ConfigError for an entry that is unknown or missing, ShapeError, DtypeError.
    """
    kinds = _kinds(optimizer)
    state = optimizer.init(params)
    found: dict[str, dict[str, Array]] = {kind: {} for kind in state._fields}
    for key, a in arrays.items():
        kind, _, name = key.partition(".")
        if kind not in kinds or name not in params:
            raise ConfigError(
                f"{optimizer} keeps {', '.join(kinds) or 'nothing'} of the parameters "
                f"{', '.join(params)}, but got an entry {key!r}."
            )
        found[kind][name] = _checked(key, np.asarray(a), kinds[kind], params[name])
    for name in params:
        missing = [kind for kind in kinds if name not in found[kind]]
        if missing and len(missing) < len(kinds):
            raise ConfigError(
                f"{optimizer} needs all or none of the entries of a parameter, but got none for "
                f"{', '.join(f'{kind}.{name}' for kind in missing)}."
            )
    return state._replace(**found)


def _kinds(optimizer: Optimizer[Any]) -> dict[str, Array]:
    """What the optimizer keeps of a parameter of shape (1,), as one step with it shows."""
    one = {"": np.ones(1)}
    _, state = optimizer.step(one, one, optimizer.init(one))
    return {kind: of[""] for kind, of in state._asdict().items() if of}


def _checked(key: str, a: Array, example: Array, p: Array) -> Array:
    shape, dtype = (p.shape, p.dtype) if example.ndim else ((), example.dtype)
    if a.shape != shape:
        raise ShapeError(f"{key} needs to have shape {shape}, but got {a.shape}.")
    if a.dtype != dtype:
        raise DtypeError(
            f"{key} needs to be {dtype}, but got {a.dtype}. You might need a.astype({dtype})."
        )
    return a
