"""Adafactor."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, State
from npnet.optim._each import Entries, counted, number, require_not_negative, step_each


class AdafactorState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (a float32, as in torch), and
    moving averages: of g² over rows (…, n, 1) and over columns (…, 1, m) of a parameter with two
    axes or more, of g² itself for one with less.
    """

    step: State
    row_var: State
    col_var: State
    variance: State


@dataclass(frozen=True)
class Adafactor:
    """θ ← (1 - lr · weight_decay) θ - α · U / max(1, rms(U) / d), where U = g / √max(v, eps₁²).

    α = max(eps₂, rms(θ)) · min(lr, 1/√t), with θ before its decay
    β = 1 - t^beta2_decay; every average is a ← β a + (1 - β) · new, and starts at 0

    v is the average of g² for a parameter with less than two axes; for others it is estimated from
    averages over the last axis, r, and the last but one, c: v = r c / max(mean(r), eps₁), where the
    mean is over the rows. eps is (eps₁, eps₂); eps₁ of None is the spacing of the dtype at 1.

    g is the gradient, its sign changed with maximize. rms is the root mean square over the whole
    parameter. lr is an upper limit of the rate, and t counts the steps of each parameter. eps₁
    limits the mean of r by its value and v by its square. The paper adds eps₁ to g².

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Adafactor. Source: Shazeer & Stern (2018), arXiv:1804.04235, algorithm 5.
    """

    lr: float = 1e-2
    beta2_decay: float = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: float = 1.0
    weight_decay: float = 0.0
    _: KW_ONLY
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps1=self.eps[0] or 0,
            eps2=self.eps[1],
        )
        if self.beta2_decay > 0:
            raise ConfigError(f"Adafactor needs beta2_decay <= 0, but got {self.beta2_decay}.")
        if self.d < 1:
            raise ConfigError(f"Adafactor needs d >= 1, but got {self.d}.")

    def init(self, params: State) -> AdafactorState:
        """Nothing kept of any parameter."""
        return AdafactorState({}, {}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        if p.ndim < 2:
            return {"step": number(0), "variance": np.zeros_like(p)}
        return {
            "step": number(0),
            "row_var": np.zeros_like(p[..., :1]),
            "col_var": np.zeros_like(p[..., :1, :]),
        }

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: AdafactorState
    ) -> tuple[State, AdafactorState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state, elementwise=False)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if self.maximize:
            g = -g

        t, step = counted(kept)
        new = t**self.beta2_decay
        eps1 = float(np.finfo(p.dtype).eps) if self.eps[0] is None else self.eps[0]
        alpha = max(self.eps[1], _rms(p)) * min(self.lr, 1 / t**0.5)
        now = {"step": step}
        if p.ndim < 2:
            v = now["variance"] = (1 - new) * kept["variance"] + new * (g * g)
        else:
            rows, columns = _mean_squares(g)
            r = now["row_var"] = (1 - new) * kept["row_var"] + new * rows
            c = now["col_var"] = (1 - new) * kept["col_var"] + new * columns
            v = r * (c / np.maximum(r.mean(-2, keepdims=True), eps1))
        u = g / np.sqrt(np.maximum(v, eps1 * eps1))
        step_size = alpha / max(1, _rms(u) / self.d)
        return (1 - self.lr * self.weight_decay) * p - step_size * u, now


def _rms(x: Array) -> float:
    """The root mean square; nan of nothing."""
    flat = x.reshape(-1).astype(np.result_type(x, np.float32), copy=False)
    return float(np.sqrt(flat @ flat)) / x.size**0.5 if x.size else float("nan")


def _mean_squares(g: Array) -> tuple[Array, Array]:
    """The means of g² over the last axis and over the last but one, which keep a size of 1."""
    squares = g * g
    return squares.mean(-1, keepdims=True), squares.mean(-2, keepdims=True)
