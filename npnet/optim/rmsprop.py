"""RMSprop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class RMSpropState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch), the
    moving average of g², with momentum the running sum of steps, centered the moving average of g.
    """

    step: State
    square_avg: State
    momentum_buffer: State
    grad_avg: State


@dataclass(frozen=True)
class RMSprop:
    """θ ← θ - lr · g / (√v + eps), where v ← α v + (1 - α) g², from 0, α = alpha.

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. eps is outside of the
    root. v has no bias correction, so that the very first step is 1 / √(1 - α) times as long as it
    would be with one. In this order: maximize, weight_decay, v, a, the root, momentum, lr.

    centered:  the root is of v - a², where a ← α a + (1 - α) g
               (where that rounds to less than 0 the step is nan, as torch's is)
    momentum:  θ ← θ - lr · b, where b ← momentum · b + g / (√v + eps); lr is not part of b

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.RMSprop. Source: Tieleman & Hinton (2012), lecture 6.5 of Coursera's Neural
    Networks for Machine Learning; centered: Graves (2013), arXiv:1308.0850, where eps is inside.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
        )

    def init(self, params: State) -> RMSpropState:
        """Nothing kept of any parameter."""
        return RMSpropState({}, {}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        kinds = ["square_avg"] + ["grad_avg"] * self.centered
        kinds += ["momentum_buffer"] * (self.momentum > 0)
        return {"step": number(0), **dict.fromkeys(kinds, np.zeros_like(p))}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: RMSpropState
    ) -> tuple[State, RMSpropState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p

        _, step = counted(kept)
        v = self.alpha * kept["square_avg"] + (1 - self.alpha) * g * g
        now = {"step": step, "square_avg": v}
        if self.centered:
            a = now["grad_avg"] = self.alpha * kept["grad_avg"] + (1 - self.alpha) * g
            v = v - a * a
        denominator = np.sqrt(v) + self.eps
        if not self.momentum:
            return p - self.lr * (g / denominator), now
        b = self.momentum * kept["momentum_buffer"] + g / denominator
        now["momentum_buffer"] = b
        return p - self.lr * b, now
