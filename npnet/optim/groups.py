"""Parameter groups: one optimizer, with other hyper-parameters for some of the parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import known
from npnet.optim.lbfgs import LBFGS


@dataclass(frozen=True)
class Groups:
    """An optimizer that steps every group of parameters with hyper-parameters of its own.

        Groups(SGD(lr=0.1), ({"params": ("w1", "w2")}, {"params": ("b",), "lr": 0.01}))

    The groups are those that torch's optimizers take, with names in the place of tensors; what a
    group does not say is as in the optimizer. The state is the optimizer's.

    A parameter that has a gradient must be in a group, and none may be in two.

    Raises ConfigError.
    Twin: param_groups of torch.optim.Optimizer.
    """

    optimizer: Any
    groups: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        if isinstance(self.optimizer, LBFGS):
            raise ConfigError("LBFGS has no parameter groups, for its direction is one for all.")
        seen: set[str] = set()
        for _, names in self.parts():
            twice = sorted(seen.intersection(names))
            if twice or len(set(names)) < len(names):
                raise ConfigError(
                    f"a parameter is in one group, once, but {twice or list(names)} are not."
                )
            seen.update(names)

    def parts(self) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """The optimizer of every group, and the names of its parameters."""
        options = {f.name for f in fields(self.optimizer)}
        for group in self.groups:
            own = {name: value for name, value in group.items() if name != "params"}
            if "params" not in group or isinstance(group["params"], str) or own.keys() - options:
                raise ConfigError(
                    f'a group is {{"params": names}} and options of {self.optimizer}, but got '
                    f"{dict(group)}."
                )
            yield replace(self.optimizer, **own), tuple(group["params"])

    def init(self, params: State) -> Any:
        """The optimizer's state before the first step."""
        return self.optimizer.init(params)

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: Any
    ) -> tuple[State, Any]:
        """The parameters and the state after one step."""
        known(params, grads)
        stepped = dict(params)
        parts = list(self.parts())
        grouped = {name for _, names in parts for name in names}
        left_out = [n for n, g in grads.items() if g is not None and n not in grouped]
        if left_out or not grouped <= params.keys():
            raise ConfigError(
                f"every gradient needs a group and every name in a group a parameter, but the "
                f"groups hold {sorted(grouped)}, the parameters are {sorted(params)} and there are "
                f"gradients of {left_out}."
            )
        for optimizer, names in parts:
            own = {name: params[name] for name in names}
            theirs = {name: grads.get(name) for name in names}
            moved, state = optimizer.step(own, theirs, state)
            stepped |= moved
        return stepped, state


def with_lr(optimizer: Any, lr: float) -> Any:
    """The optimizer at another rate, as a schedule sets it; other groups' rates in proportion."""
    if not isinstance(optimizer, Groups):
        return replace(optimizer, lr=lr)
    factor = lr / optimizer.optimizer.lr if optimizer.optimizer.lr else 1.0
    groups = tuple(
        {**group, "lr": group["lr"] * factor} if "lr" in group else group
        for group in optimizer.groups
    )
    return Groups(replace(optimizer.optimizer, lr=lr), groups)


def group_of(optimizer: Any, name: str) -> Any:
    """The optimizer that steps the parameter, whether there are groups or not."""
    if not isinstance(optimizer, Groups):
        return optimizer
    return next((o for o, names in optimizer.parts() if name in names), optimizer.optimizer)
