"""Rprop: resilient backpropagation."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class RpropState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch), the
    gradient of the last step (0 where it changed its sign), the length of the next step.
    """

    step: State
    prev: State
    step_size: State


@dataclass(frozen=True)
class Rprop:
    """θ ← θ - sign(g) · s, where s grows while g keeps its sign, and shrinks when that changes.

    s ← min(max(s · η, step_sizes[0]), step_sizes[1]), where η is etas[1] if g · g_prev > 0,
    etas[0] if g · g_prev < 0 and 1 if it is 0; s starts at lr, which matters for nothing else.

    g is the gradient, its sign changed with maximize. Where g · g_prev < 0, g becomes 0: the
    element is not moved, and the next step neither grows nor shrinks. What counts is the product as
    it is computed: where it underflows to 0, s stays.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Rprop. Source: Riedmiller & Braun (1993), doi:10.1109/ICNN.1993.298623;
    without going back: Igel & Hüsken (2003), doi:10.1016/S0925-2312(01)00700-7, iRprop-.
    """

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50)
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr)
        if not 0 < self.etas[0] < 1 < self.etas[1]:
            raise ConfigError(f"Rprop needs 0 < etas[0] < 1 < etas[1], but got {self.etas}.")

    def init(self, params: State) -> RpropState:
        """Nothing kept of any parameter."""
        return RpropState({}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        return {"step": number(0), "prev": np.zeros_like(p), "step_size": np.full_like(p, self.lr)}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: RpropState
    ) -> tuple[State, RpropState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g

        _, step = counted(kept)
        (shrink, grow), turn = self.etas, g * kept["prev"]
        eta = (
            1 + (grow - 1) * (turn > 0).astype(p.dtype) + (shrink - 1) * (turn < 0).astype(p.dtype)
        )
        s = np.clip(kept["step_size"] * eta, *self.step_sizes)
        g = np.where(turn < 0, p.dtype.type(0), g)
        return p - np.sign(g) * s, {"step": step, "prev": g, "step_size": s}
