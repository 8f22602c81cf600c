"""Adadelta."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class AdadeltaState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch), the
    moving averages of g² and of Δ².
    """

    step: State
    square_avg: State
    acc_delta: State


@dataclass(frozen=True)
class Adadelta:
    """θ ← θ - lr · Δ, where Δ = √(a + eps) / √(v + eps) · g.

    v ← ρ v + (1 - ρ) g², before Δ    a ← ρ a + (1 - ρ) Δ², after it    ρ = rho

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. eps is inside of both
    roots. lr is no part of Δ. v and a start at 0, and no bias is corrected.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Adadelta. Source: Zeiler (2012), arXiv:1212.5701, algorithm 1, which has no
    rate.
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        if not 0 <= self.rho <= 1:
            raise ConfigError(f"Adadelta needs 0 <= rho <= 1, but got {self.rho}.")

    def init(self, params: State) -> AdadeltaState:
        """Nothing kept of any parameter."""
        return AdadeltaState({}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        zeros = np.zeros_like(p)
        return {"step": number(0), "square_avg": zeros, "acc_delta": zeros}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdadeltaState
    ) -> tuple[State, AdadeltaState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p

        _, step = counted(kept)
        v = self.rho * kept["square_avg"] + (1 - self.rho) * g * g
        a = kept["acc_delta"]
        delta = np.sqrt(a + self.eps) / np.sqrt(v + self.eps) * g
        a = self.rho * a + (1 - self.rho) * delta * delta
        return p - self.lr * delta, {"step": step, "square_avg": v, "acc_delta": a}
