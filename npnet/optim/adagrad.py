"""Adagrad."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class AdagradState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch) and
    the sum of g².
    """

    step: State
    sum: State


@dataclass(frozen=True)
class Adagrad:
    """θ ← θ - lr / (1 + (t - 1) lr_decay) · g / (√s + eps), where s ← s + g².

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. s starts at
    initial_accumulator_value; it is a sum, not an average. eps is outside of the root. The first
    step has the whole rate; t counts the steps of each parameter.

    In torch, initial_accumulator_value in a parameter group has no effect; in npnet it has.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Adagrad. Source: Duchi, Hazan & Singer (2011), JMLR 12, 2121-2159.
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            lr=self.lr,
            lr_decay=self.lr_decay,
            weight_decay=self.weight_decay,
            initial_accumulator_value=self.initial_accumulator_value,
            eps=self.eps,
        )

    def init(self, params: State) -> AdagradState:
        """Nothing kept of any parameter."""
        return AdagradState({}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        return {"step": number(0), "sum": np.full_like(p, self.initial_accumulator_value)}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdagradState
    ) -> tuple[State, AdagradState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p

        t, step = counted(kept)
        s = kept["sum"] + g * g
        rate = self.lr / (1 + (t - 1) * self.lr_decay)
        return p - rate * (g / (np.sqrt(s) + self.eps)), {"step": step, "sum": s}
