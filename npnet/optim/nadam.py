"""NAdam: Adam with Nesterov's momentum."""

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


class NAdamState(NamedTuple):
    """By parameter, absent before its first step: the number of steps and the product of the
    momenta so far (float32 numbers, as in torch), the moving averages of g and g².
    """

    step: State
    mu_product: State
    exp_avg: State
    exp_avg_sq: State


@dataclass(frozen=True)
class NAdam:
    """θ ← θ - lr · ((1 - μₜ) / (1 - Πₜ) · g + μₜ₊₁ / (1 - Πₜ₊₁) · m) / (√v̂ + eps).

    μₜ = β₁ (1 - 0.96^(t · momentum_decay) / 2)    Πₜ = μ₁ μ₂ … μₜ    (β₁, β₂) = betas
    m ← β₁ m + (1 - β₁) g    v ← β₂ v + (1 - β₂) g²    v̂ = v / (1 - β₂ᵗ)

    g is the gradient, its sign changed with maximize, plus weight_decay · θ; with
    decoupled_weight_decay, θ is multiplied by 1 - lr · weight_decay before the step instead.
    m averages with β₁, not with μₜ; eps is outside of the root. t counts the steps of each
    parameter. Π is kept as a float32 in every precision, as torch keeps it: about 1e-8 off a step.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.NAdam. Source: Dozat (2016), Incorporating Nesterov Momentum into Adam, ICLR
    workshop, whose m averages with μₜ.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            lr=self.lr,
            eps=self.eps,
            weight_decay=self.weight_decay,
            momentum_decay=self.momentum_decay,
        )
        require_betas(self, self.betas)

    def init(self, params: State) -> NAdamState:
        """Nothing kept of any parameter."""
        return NAdamState({}, {}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        zeros = np.zeros_like(p)
        return {
            "step": number(0),
            "mu_product": number(1),
            "exp_avg": zeros,
            "exp_avg_sq": zeros,
        }

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: NAdamState
    ) -> tuple[State, NAdamState]:
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
        mu = b1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        product = number(float(kept["mu_product"] * np.float32(mu)))
        m = b1 * kept["exp_avg"] + (1 - b1) * g
        v = b2 * kept["exp_avg_sq"] + (1 - b2) * g * g

        by_g = self.lr * (1 - mu) / (1 - float(product))
        by_m = self.lr * mu_next / (1 - float(product) * mu_next)
        denominator = np.sqrt(v / (1 - b2**t)) + self.eps
        now = {"step": step, "mu_product": product, "exp_avg": m, "exp_avg_sq": v}
        return p - (by_g * g + by_m * m) / denominator, now
