"""Adamax: Adam by the largest gradient."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, State
from npnet.optim._each import (
    Entries,
    counted,
    number,
    require_betas,
    require_not_negative,
    step_each,
)


class AdamaxState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch), the
    moving average of g, and the largest |g| so far, which decays.
    """

    step: State
    exp_avg: State
    exp_inf: State


@dataclass(frozen=True)
class Adamax:
    """θ ← θ - lr / (1 - β₁ᵗ) · m / u, where u ← max(β₂ u, |g| + eps).

    m ← β₁ m + (1 - β₁) g    (β₁, β₂) = betas    m and u start at 0

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. eps is part of u, and
    decays with it; u needs no correction of a bias. t counts the steps of each parameter.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Adamax. Source: Kingma & Ba (2015), arXiv:1412.6980, algorithm 2, which has no
    eps.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        require_betas(self, self.betas)

    def init(self, params: State) -> AdamaxState:
        """Nothing kept of any parameter."""
        return AdamaxState({}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        zeros = np.zeros_like(p)
        return {"step": number(0), "exp_avg": zeros, "exp_inf": zeros}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdamaxState
    ) -> tuple[State, AdamaxState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p

        t, step = counted(kept)
        b1, b2 = self.betas
        m = b1 * kept["exp_avg"] + (1 - b1) * g
        u = np.maximum(b2 * kept["exp_inf"], np.abs(g) + self.eps)
        return p - self.lr / (1 - b1**t) * (m / u), {"step": step, "exp_avg": m, "exp_inf": u}
