"""Adam and AdamW."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import Entries, require_not_negative, step_each


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
    amsgrad: v̂ = max(v so far) / (1 - β₂ᵗ). eps is outside of the root, after the correction. t
    counts the steps of each parameter, those in which it has a gradient.

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
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"Adam needs 0 <= beta < 1 for both betas, but got {self.betas}.")

    def init(self, params: State) -> AdamState:
        """Nothing kept of any parameter."""
        return AdamState({}, {}, {}, {})

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdamState
    ) -> tuple[State, AdamState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        if self.maximize:
            g = -g
        if self.decoupled_weight_decay:
            p = (1 - self.lr * self.weight_decay) * p
        elif self.weight_decay:
            g = g + self.weight_decay * p

        t = float(kept.get("step", 0)) + 1
        (b1, b2), (m, v) = self.betas, (kept.get("exp_avg", 0), kept.get("exp_avg_sq", 0))
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        now: dict[str, Array] = {
            "step": np.array(t, np.float32),
            "exp_avg": m,
            "exp_avg_sq": v,
        }
        if self.amsgrad:
            v = now["max_exp_avg_sq"] = np.maximum(kept.get("max_exp_avg_sq", 0), v)

        step_size = self.lr / (1 - b1**t)
        denominator = np.sqrt(v) / (1 - b2**t) ** 0.5 + self.eps
        return p - step_size * (m / denominator), now


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay: θ ← (1 - lr · weight_decay) θ, before the step of Adam.

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

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdamState
    ) -> tuple[State, AdamState]:
        """The parameters and the state after one step."""
        return self._adam().step(params, grads, state)
