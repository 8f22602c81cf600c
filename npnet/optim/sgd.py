"""Stochastic gradient descent, with momentum."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import Entries, require_not_negative, step_each


class SGDState(NamedTuple):
    """The running sum of gradients, by parameter; absent before its first step."""

    momentum_buffer: State


@dataclass(frozen=True)
class SGD:
    """θ ← θ - lr · b, where b ← momentum · b + (1 - dampening) · g, and b = g in the first step.

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. nesterov steps by
    g + momentum · b in the place of b. Without momentum the step is lr · g, and nothing is kept.

    The first b is g itself, not (1 - dampening) · g.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.SGD. Source, of nesterov: Sutskever et al. (2013), PMLR 28(3),
    1139-1147.
    """

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(
            self, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )
        if self.nesterov and (not self.momentum or self.dampening):
            raise ConfigError(f"SGD needs momentum and no dampening for nesterov, but got {self}.")

    def init(self, params: State) -> SGDState:
        """Nothing kept of any parameter."""
        return SGDState({})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter once it has been stepped."""
        return {"momentum_buffer": np.zeros_like(p)} if self.momentum else {}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: SGDState
    ) -> tuple[State, SGDState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p
        if not self.momentum:
            return p - self.lr * g, {}
        if "momentum_buffer" in kept:
            b = self.momentum * kept["momentum_buffer"] + (1 - self.dampening) * g
        else:
            b = g.copy()
        direction = g + self.momentum * b if self.nesterov else b
        return p - self.lr * direction, {"momentum_buffer": b}
