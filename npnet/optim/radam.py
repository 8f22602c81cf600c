"""RAdam: Adam that waits until the variance of its rate is known."""

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


class RAdamState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch) and
    the moving averages of g and g².
    """

    step: State
    exp_avg: State
    exp_avg_sq: State


@dataclass(frozen=True)
class RAdam:
    """θ ← θ - lr · m̂ · r · √(1 - β₂ᵗ) / (√v + eps) where ρₜ > 5, and θ ← θ - lr · m̂ before.

    m ← β₁ m + (1 - β₁) g    m̂ = m / (1 - β₁ᵗ)    v ← β₂ v + (1 - β₂) g²
    ρ∞ = 2 / (1 - β₂) - 1    ρₜ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)    (β₁, β₂) = betas
    r = √((ρₜ - 4) (ρₜ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρₜ))

    g is the gradient, its sign changed with maximize, plus weight_decay · θ; with
    decoupled_weight_decay, θ is multiplied by 1 - lr · weight_decay before the step instead.
    eps is added to √v before the correction, other than in Adam. Before ρₜ > 5 (the paper has 4),
    in the first five steps at least, the step is not divided by √v.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.RAdam. Source: Liu et al. (2020), arXiv:1908.03265, algorithm 2.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        require_betas(self, self.betas)

    def init(self, params: State) -> RAdamState:
        """Nothing kept of any parameter."""
        return RAdamState({}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        zeros = np.zeros_like(p)
        return {"step": number(0), "exp_avg": zeros, "exp_avg_sq": zeros}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: RAdamState
    ) -> tuple[State, RAdamState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.decoupled_weight_decay:
            p = (1 - self.lr * self.weight_decay) * p
        elif self.weight_decay:
            g = g + self.weight_decay * p

        t, step = counted(kept)
        b1, b2 = self.betas
        m = b1 * kept["exp_avg"] + (1 - b1) * g
        v = b2 * kept["exp_avg_sq"] + (1 - b2) * g * g
        now = {"step": step, "exp_avg": m, "exp_avg_sq": v}
        step_size = self.lr / (1 - b1**t)
        longest = 2 / (1 - b2) - 1
        length = longest - 2 * t * b2**t / (1 - b2**t)
        if length <= 5:
            return p - step_size * m, now
        r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        step_size *= (r * (1 - b2**t)) ** 0.5
        return p - step_size * (m / (np.sqrt(v) + self.eps)), now
