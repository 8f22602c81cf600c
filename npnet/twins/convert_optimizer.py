"""Between torch's optimizers and npnet's: hyper-parameters, groups and state, there and back."""

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np
import torch

from npnet.contract import Array, ConfigError, State
from npnet.twins.oracle.optimizers import param_groups


def optimizer_to_torch(
    optimizer: Any, params: State, state: Any
) -> tuple[torch.optim.Optimizer, dict[str, torch.nn.Parameter]]:
    """torch's optimizer in the same state, and the parameters that it steps, by name.

    torch casts all of a state but its step counts to the parameters' dtype: where those are
    float16, NAdam's mu_product and ASGD's eta and mu lose digits.

    Raises ConfigError where torch has no such optimizer.
    """
    saved = import_module("npnet.optim").torch_state_dict(optimizer, params, state)
    one = getattr(optimizer, "optimizer", optimizer)  # of Groups
    kind: Any = getattr(torch.optim, type(one).__name__, None)
    if kind is None:
        raise ConfigError(f"torch.optim has no {type(one).__name__}.")
    tensors = {n: torch.nn.Parameter(torch.from_numpy(np.array(p))) for n, p in params.items()}
    groups = getattr(optimizer, "groups", ())
    config = {f.name: getattr(one, f.name) for f in fields(one)}
    built: Any = kind(param_groups(tensors, groups), **config)
    # what torch has beside the hyper-parameters stays as torch sets it
    now = built.state_dict()["param_groups"]
    both = [{**a, **b} for a, b in zip(now, saved["param_groups"], strict=True)]
    built.load_state_dict({"state": tensors_of(saved["state"]), "param_groups": both})
    return built, tensors


def optimizer_from_torch(
    optimizer: torch.optim.Optimizer, params: Mapping[str, torch.Tensor]
) -> tuple[Any, dict[str, Array], Any]:
    """(optimizer, parameters, state) of torch's optimizer and its parameters by name.

    Several parameter groups become Groups.

    Raises ConfigError for an optimizer that npnet has not, or one of other parameters.
    """
    optim = import_module("npnet.optim")
    kind = getattr(optim, type(optimizer).__name__, None)
    if kind is None or getattr(torch.optim, type(optimizer).__name__, None) is not type(optimizer):
        raise ConfigError(
            "optimizer_from_torch needs an optimizer of torch.optim that npnet has, but got "
            f"{type(optimizer).__qualname__}."
        )
    names = {id(p): name for name, p in params.items()}
    grouped = [[names.get(id(p), "") for p in g["params"]] for g in optimizer.param_groups]
    if any(not name for group in grouped for name in group):
        raise ConfigError("optimizer_from_torch needs the name of every parameter it steps.")
    ours = kind()
    if len(grouped) > 1:
        ours = optim.Groups(ours, tuple({"params": tuple(group)} for group in grouped))
    ordered = [name for group in grouped for name in group]
    arrays = {name: params[name].detach().cpu().numpy().copy() for name in ordered}
    loaded, state = optim.load_torch_state_dict(ours, arrays, arrays_of(optimizer.state_dict()))
    return loaded, arrays, state


def tensors_of(saved: Any) -> Any:
    """Arrays in a state_dict as tensors, whatever the nesting."""
    if isinstance(saved, np.ndarray):
        return torch.from_numpy(np.array(saved))
    if isinstance(saved, Mapping):
        return {key: tensors_of(value) for key, value in saved.items()}
    return [tensors_of(value) for value in saved] if isinstance(saved, list) else saved


def arrays_of(saved: Any) -> Any:
    """Tensors in a state_dict as arrays, whatever the nesting."""
    if isinstance(saved, torch.Tensor):
        return saved.detach().cpu().numpy().copy()
    if isinstance(saved, Mapping):
        return {key: arrays_of(value) for key, value in saved.items()}
    return [arrays_of(value) for value in saved] if isinstance(saved, list) else saved
