"""ASGD: averaged stochastic gradient descent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class ASGDState(NamedTuple):
    """By parameter, absent before its first step: the number of steps, the rate and the weight of
    the next one (float32 numbers, as in torch), and the average of the parameter.
    """

    step: State
    eta: State
    mu: State
    ax: State


@dataclass(frozen=True)
class ASGD:
    """θ ← (1 - lambd · η) θ - η g, and the average a ← a + μ (θ - a), which is kept as "ax".

    After the step, for the next one: η ← lr / (1 + lambd · lr · t)^alpha, μ ← 1 / max(1, t - t0).
    They start at lr and 1: with the first step, a is θ.

    g is the gradient, its sign changed with maximize, plus weight_decay · θ. A new lr shows one
    step late, for η is computed a step ahead. t counts the steps of each parameter. η and μ are
    kept as float32 in every precision, as torch keeps them. The parameters returned are θ, not a.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.ASGD. Source: Polyak & Juditsky (1992), doi:10.1137/0330046.
    """

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, weight_decay=self.weight_decay)

    def init(self, params: State) -> ASGDState:
        """Nothing kept of any parameter."""
        return ASGDState({}, {}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        return {
            "step": number(0),
            "eta": number(self.lr),
            "mu": number(1),
            "ax": np.zeros_like(p),
        }

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: ASGDState
    ) -> tuple[State, ASGDState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p

        t, step = counted(kept)
        eta, mu = float(kept["eta"]), float(kept["mu"])
        p = (1 - self.lambd * eta) * p - eta * g
        ax = p.copy() if mu == 1 else kept["ax"] + mu * (p - kept["ax"])
        eta = self.lr / (1 + self.lambd * self.lr * t) ** self.alpha
        mu = 1 / max(1, t - self.t0)
        return p, {"step": step, "eta": number(eta), "mu": number(mu), "ax": ax}
