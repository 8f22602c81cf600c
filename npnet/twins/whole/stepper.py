"""The optimizer of a network, on plain tensors or on bounded ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from npnet.contract import ConfigError
from npnet.twins.convert_optimizer import optimizer_from_torch
from npnet.twins.optimizer_spec import OPTIMIZERS
from npnet.twins.oracle import Way
from npnet.twins.oracle.optimizers import param_groups
from npnet.verify.precision import Precision
from npnet.verify.whole import constants

Tensor = torch.Tensor


class Stepper:
    """torch's optimizer on bounded tensors: its class, its hyper-parameters, its groups."""

    def __init__(self, optimizer: Any, params: Mapping[str, Tensor]) -> None:
        if isinstance(optimizer, torch.optim.Optimizer):
            names = {id(p): name for name, p in params.items()}
            if any(id(p) not in names for g in optimizer.param_groups for p in g["params"]):
                raise ConfigError(
                    "the optimizer must step the parameters of the module that is the twin, but "
                    "steps others. Make it of module.parameters(), after the last .to()."
                )
            if any(_has_stepped(kept) for kept in optimizer.state.values()):
                raise ConfigError("the optimizer has stepped before; give a new one.")
            own = {
                n: p
                for n, p in params.items()
                if any(p is q for g in optimizer.param_groups for q in g["params"])
            }
            self.own, _, _ = optimizer_from_torch(optimizer, own)
            self.names: frozenset[str] | None = frozenset(own)
        else:
            self.own, self.names = optimizer, None
        one = getattr(self.own, "optimizer", self.own)
        self.name = f"optim.{type(one).__name__}"
        kind = getattr(torch.optim, type(one).__name__, None)
        twin = OPTIMIZERS.get(kind) if kind is not None else None
        if twin is None or self.name in ("optim.LBFGS", "optim.SparseAdam"):
            raise ConfigError(
                "the optimizer must be one of torch.optim, or of npnet.optim with such a twin, "
                f"that steps by dense gradients, but is {optimizer!r}."
            )
        self._twin = twin
        self.groups: tuple[Mapping[str, Any], ...] = getattr(self.own, "groups", ())
        self.config = {f: getattr(one, f) for f in getattr(one, "__dataclass_fields__", {})}
        self.config["lr"] = float(self.config["lr"])

    def begin_with(self, rate: float) -> None:
        """Another first learning rate; those of groups in proportion."""
        factor = rate / self.config["lr"] if self.config["lr"] else 1.0
        self.config = {**self.config, "lr": rate}
        self.groups = tuple({**g, "lr": g["lr"] * factor} if "lr" in g else g for g in self.groups)

    def over(
        self, params: Mapping[str, Tensor], way: Way, precision: Precision, rounded: bool
    ) -> Any:
        """The optimizer of these tensors."""
        factory = self._twin.bounded if way.bounded else self._twin.build
        config = self._twin.told(self.config, precision)
        if rounded:
            config = constants.rounded(config, precision)
        return factory(param_groups(params, self.groups), **config)

    def set_rate(self, optimizer: Any, rate: float | None) -> None:
        """The learning rate of the next step, in proportion where groups have their own."""
        if rate is None:
            return
        for group, own in zip(optimizer.param_groups, self.groups or ({},), strict=True):
            first = self.config["lr"]
            scale = rate / first if first else 1.0
            group["lr"] = own["lr"] * scale if "lr" in own else rate


def _has_stepped(kept: Mapping[str, Any]) -> bool:
    """Whether a state is more than what Adagrad has before its first step."""
    return bool(kept) and float(kept.get("step", 1)) > 0


def clipped(
    grads: Mapping[str, Tensor | None],
    value: float | None,
    norm: float | None,
    precision: Precision,
) -> dict[str, Tensor | None]:
    """torch.nn.utils.clip_grad_value_, then clip_grad_norm_, as operations that have rules."""
    found = dict(grads)
    if value is not None:
        value = float(np.asarray(value, precision.name))  # what the format has for it
        found = {n: None if g is None else g.clamp(-value, value) for n, g in found.items()}
    if norm is not None:
        norms = [torch.linalg.vector_norm(g) for g in found.values() if g is not None]
        total = torch.linalg.vector_norm(torch.stack(norms))
        factor = (norm / (total + 1e-6)).clamp(max=1.0)
        found = {n: None if g is None else g * factor for n, g in found.items()}
    return found
