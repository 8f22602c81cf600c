"""Adam and AdamW."""

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


class AdamState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch),
    the moving averages of g and g², and with amsgrad the largest average of g² so far.
    """

    step: State
    exp_avg: State
    exp_avg_sq: State
    max_exp_avg_sq: State


@dataclass(frozen=True)
class Adam:
    """θ ← θ - lr · m̂ / (√v̂ + eps), where m̂ and v̂ are bias-corrected moving averages of g and g².

    m ← β₁ m + (1 - β₁) g    m̂ = m / (1 - β₁ᵗ)    v ← β₂ v + (1 - β₂) g²    v̂ = v / (1 - β₂ᵗ)

    g is the gradient, its sign changed with maximize, plus weight_decay · θ; with
    decoupled_weight_decay, θ is multiplied by 1 - lr · weight_decay before the step instead.
    amsgrad: v̂ = max(v so far) / (1 - β₂ᵗ). betas is (β₁, β₂), m and v start at 0. eps is outside of
    the root, after the correction. t counts the steps of each parameter, those in which it has a
    gradient.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Adam. Source: Kingma & Ba (2015), arXiv:1412.6980, algorithm 1; of amsgrad:
    Reddi, Kale & Kumar (2018), arXiv:1904.09237, which corrects no bias.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    _: KW_ONLY
    maximize: bool = False
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        require_betas(self, self.betas)

    def init(self, params: State) -> AdamState:
        """Nothing kept of any parameter."""
        return AdamState({}, {}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        kinds = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * self.amsgrad
        return {"step": number(0), **dict.fromkeys(kinds, np.zeros_like(p))}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdamState
    ) -> tuple[State, AdamState]:
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
        if self.amsgrad:
            v = now["max_exp_avg_sq"] = np.maximum(kept["max_exp_avg_sq"], v)

        step_size = self.lr / (1 - b1**t)
        denominator = np.sqrt(v) / (1 - b2**t) ** 0.5 + self.eps
        return p - step_size * (m / denominator), now


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay: θ ← (1 - lr · weight_decay) θ, before the step of Adam.

    The step, and all other arguments, are as in Adam without weight_decay.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.AdamW. Source: Loshchilov & Hutter (2019), arXiv:1711.05101, whose decay
    is not multiplied by lr.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        self._adam()

    def _adam(self) -> Adam:
        return Adam(
            self.lr,
            self.betas,
            self.eps,
            self.weight_decay,
            self.amsgrad,
            maximize=self.maximize,
            decoupled_weight_decay=True,
        )

    def init(self, params: State) -> AdamState:
        """Nothing kept of any parameter."""
        return self._adam().init(params)

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        return self._adam().entries(p)

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdamState
    ) -> tuple[State, AdamState]:
        """The parameters and the state after one step."""
        return self._adam().step(params, grads, state)
