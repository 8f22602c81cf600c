"""An optimizer's state as one flat mapping of arrays, or as torch's state_dict, and back."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State
from npnet.optim.adam import AdamW
from npnet.optim.groups import Groups, group_of
from npnet.optim.lbfgs import HISTORY, LBFGS

# ---- one flat mapping ----------------------------------------------------------------------------


def state_dict(state: Any) -> dict[str, Array]:
    """{"exp_avg.0.weight": …}: every entry of an optimizer's state under kind.parameter."""
    return {
        f"{kind}.{name}": np.asarray(entry)
        for kind, entries in state._asdict().items()
        for name, entry in entries.items()
    }


def load_state_dict(optimizer: Any, params: State, arrays: Mapping[str, Array]) -> Any:
    """The state that state_dict made `arrays` of; bit for bit.

    A parameter has either all the entries that the optimizer keeps of it, or, where it has never
    had a gradient, none.

    Raises ConfigError for an entry that is unknown or missing, ShapeError, DtypeError.
    """
    wanted = _entries(optimizer, params)
    state = optimizer.init(params)
    found: dict[str, dict[str, Array]] = {kind: {} for kind in state._fields}
    for key, a in arrays.items():
        kind, _, name = key.partition(".")
        if kind not in wanted.get(name, {}):
            kinds = dict.fromkeys(kind for entries in wanted.values() for kind in entries)
            raise ConfigError(
                f"{optimizer} keeps {', '.join(kinds) or 'nothing'} of the parameters "
                f"{', '.join(wanted)}, but got an entry {key!r}."
            )
        found[kind][name] = _checked(key, np.asarray(a), wanted[name][kind], kind in HISTORY)
    for name, entries in wanted.items():
        missing = [kind for kind in entries if name not in found[kind]]
        if missing and len(missing) < len(entries):
            raise ConfigError(
                f"{optimizer} needs all or none of the entries of a parameter, but got none for "
                f"{', '.join(f'{kind}.{name}' for kind in missing)}."
            )
    return state._replace(**found)


def _entries(optimizer: Any, params: State) -> dict[str, dict[str, Array]]:
    """What the optimizer keeps of every parameter; LBFGS keeps all with the first."""
    if isinstance(optimizer, LBFGS):
        joined = np.concatenate([p.reshape(-1) for p in params.values()])
        return {next(iter(params)): optimizer.entries(joined)}
    return {name: group_of(optimizer, name).entries(p) for name, p in params.items()}


def _checked(key: str, a: Array, like: Array, history: bool) -> Array:
    free = 1 if history else 0  # the steps remembered may be any number
    if a.ndim != like.ndim or a.shape[free:] != like.shape[free:]:
        shape = ("k", *like.shape[1:]) if history else like.shape
        raise ShapeError(f"{key} needs to have shape {shape}, but got {a.shape}.")
    if a.dtype != like.dtype:
        raise DtypeError(
            f"{key} needs to be {like.dtype}, but got {a.dtype}. You might need "
            f"a.astype({like.dtype})."
        )
    return a


# ---- torch's format ------------------------------------------------------------------------------

_NUMBERS = {
    "SparseAdam": ("step",),
    "LBFGS": ("func_evals", "n_iter", "t", "prev_loss"),
}
"""What torch keeps as plain numbers."""


def torch_state_dict(optimizer: Any, params: State, state: Any) -> dict[str, Any]:
    """{"state": {0: {"exp_avg": …}}, "param_groups": [{"lr": …, "params": [0, 1]}]}.

    The layout of torch's optimizer.state_dict(), with arrays in the place of tensors: parameters
    are numbered in their order, that of the groups where there are groups.
    """
    order: list[str] = []
    groups: list[dict[str, Any]] = []
    for one, names in _parts(optimizer, params):
        numbers = list(range(len(order), len(order) + len(names)))
        groups.append({**_options(one), "params": numbers})
        order += names
    kept: dict[int, dict[str, Any]] = {}
    numbers_of = _NUMBERS.get(_class(optimizer), ())
    for kind, entries in state._asdict().items():
        for name, entry in entries.items():
            a: Any = np.asarray(entry)
            if kind in numbers_of:
                a = a.item()
            elif kind in HISTORY:
                a = [np.asarray(one) for one in a]
            kept.setdefault(order.index(name), {})[kind] = a
    return {"state": dict(sorted(kept.items())), "param_groups": groups}


def load_torch_state_dict(
    optimizer: Any, params: State, saved: Mapping[str, Any]
) -> tuple[Any, Any]:
    """(optimizer, state) of torch's state_dict with arrays in the place of tensors.

    As in torch the hyper-parameters come from what was saved, and parameters are told by their
    order, in groups of the same sizes. What torch keeps for its kernels (foreach, fused,
    capturable, differentiable) or for a schedule (initial_lr) is left out.

    Raises ConfigError, ShapeError, DtypeError.
    """
    parts = list(_parts(optimizer, params))
    groups = saved["param_groups"]
    sizes = [len(names) for _, names in parts]
    if [len(group["params"]) for group in groups] != sizes:
        raise ConfigError(
            f"the parameter groups need to hold {sizes} parameters, but those saved hold "
            f"{[len(group['params']) for group in groups]}."
        )
    taken = [_taken(one, group) for (one, _), group in zip(parts, groups, strict=True)]
    if isinstance(optimizer, Groups):
        own = tuple(
            {"params": names, **_own(one)} for one, (_, names) in zip(taken, parts, strict=True)
        )
        loaded: Any = Groups(taken[0], own)
    else:
        loaded = taken[0]
    order = [name for _, names in parts for name in names]
    numbers = [number for group in groups for number in group["params"]]
    names = dict(zip(numbers, order, strict=True))
    wanted = _entries(loaded, params)
    arrays: dict[str, Array] = {}
    for number, entries in saved["state"].items():
        name = names[number]
        for kind, a in entries.items():
            if a is None or kind == "al":  # no momentum yet; LBFGS's scratch
                continue
            like = wanted.get(name, {}).get(kind)
            arrays[f"{kind}.{name}"] = np.asarray(a) if like is None else _read(a, like)
    return loaded, load_state_dict(loaded, params, _completed(loaded, params, arrays))


def _parts(optimizer: Any, params: State) -> list[tuple[Any, tuple[str, ...]]]:
    if isinstance(optimizer, Groups):
        return list(optimizer.parts())
    return [(optimizer, tuple(params))]


def _class(optimizer: Any) -> str:
    return type(optimizer.optimizer if isinstance(optimizer, Groups) else optimizer).__name__


def _own(optimizer: Any) -> dict[str, Any]:
    return {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}


def _options(optimizer: Any) -> dict[str, Any]:
    """A group's hyper-parameters, and what torch's constructors add to them or fill in."""
    options = _own(optimizer)
    if isinstance(optimizer, AdamW):  # an Adam that is told to decay apart
        options["decoupled_weight_decay"] = True
    if isinstance(optimizer, LBFGS):
        options["max_eval"] = optimizer.evaluations()
    return options


def _taken(optimizer: Any, group: Mapping[str, Any]) -> Any:
    if isinstance(optimizer, AdamW) and not group.get("decoupled_weight_decay", True):
        raise ConfigError("AdamW decays apart, but what was saved is of an Adam that does not.")
    options = {f.name: group[f.name] for f in fields(optimizer) if f.name in group}
    plain = {n: v.item() if isinstance(v, np.ndarray) else v for n, v in options.items()}
    return replace(optimizer, **plain)


def _read(a: Any, like: Array) -> Array:
    """An entry as npnet keeps it: torch's lists stacked, its numbers as arrays."""
    if isinstance(a, list):
        return np.stack([np.asarray(one) for one in a]) if a else like
    return np.asarray(a, like.dtype) if not like.ndim else np.asarray(a)


def _completed(optimizer: Any, params: State, arrays: dict[str, Array]) -> dict[str, Array]:
    """LBFGS that found nothing to do in its first step has counted, and nothing else."""
    if not isinstance(optimizer, LBFGS) or not arrays:
        return arrays
    (first, entries), *_ = _entries(optimizer, params).items()
    return {f"{kind}.{first}": a for kind, a in entries.items()} | arrays
