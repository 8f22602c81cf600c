"""Muon: momentum, orthogonalized."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError, State
from npnet.optim._each import Entries, require_not_negative, step_each


class MuonState(NamedTuple):
    """The moving average of the gradient, by parameter; absent before its first step."""

    momentum_buffer: State


@dataclass(frozen=True)
class Muon:
    """θ ← (1 - lr · weight_decay) θ - lr · a · NS(b), for matrices θ (n, m).

    b ← momentum · b + (1 - momentum) g, starting at 0; nesterov orthogonalizes
    (1 - momentum) g + momentum · b in the place of b.

    NS brings the singular values near 1: X ← X / max(‖X‖, eps), then ns_steps times
    X ← k₁ X + (k₂ A + k₃ A²) X with A = X Xᵀ and k = ns_coefficients, where X is the matrix,
    transposed if n > m. It is computed in bfloat16 whatever the dtype of θ, as torch does: every
    product is summed in float32 and rounded to 8 bits. NumPy has no bfloat16: here float32 numbers
    are rounded so. Results equal torch's but where a sum lies next to a rounding boundary, which
    the order of summation then decides; one such bit may change the step by a percent.

    The factor a, by adjust_lr_fn: None or "original": √max(1, n/m); "match_rms_adamw":
    0.2 √max(n, m). It does not enter the decay, which is 0.1 by default.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.Muon. Source: Jordan et al. (2024), kellerjordan.github.io/posts/muon; of
    "match_rms_adamw": Liu et al. (2025), arXiv:2502.16982.
    """

    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    def __post_init__(self) -> None:
        require_not_negative(
            self, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum
        )
        if self.adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ConfigError(
                "Muon needs adjust_lr_fn to be None, 'original' or 'match_rms_adamw', but got "
                f"{self.adjust_lr_fn!r}."
            )
        if self.ns_steps >= 100:
            raise ConfigError(f"Muon needs ns_steps < 100, but got {self.ns_steps}.")

    def init(self, params: State) -> MuonState:
        """Nothing kept of any parameter."""
        return MuonState({})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        return {"momentum_buffer": np.zeros_like(p)}

    def step(
        self, params: State, grads: Mapping[str, Array | None], state: MuonState
    ) -> tuple[State, MuonState]:
        """The parameters and the state after one step."""
        return step_each(self._rule, params, grads, state, elementwise=False)

    def _rule(self, p: Array, g: Array, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        if p.ndim != 2:
            raise ShapeError(
                f"Muon needs matrices, but a parameter has shape {p.shape}. Vectors and tables are "
                "usually left to AdamW."
            )
        b = self.momentum * kept["momentum_buffer"] + (1 - self.momentum) * g
        x = (1 - self.momentum) * g + self.momentum * b if self.nesterov else b
        direction = self._orthogonalized(x)
        rate = self.lr * self._adjustment(*p.shape)
        p = (1 - self.lr * self.weight_decay) * p - rate * direction.astype(p.dtype)
        return p, {"momentum_buffer": b}

    def _orthogonalized(self, matrix: Array) -> Array:
        """NS of the matrix, as float32 numbers of 8 bits."""
        a, b, c = map(np.float32, self.ns_coefficients)
        tall = matrix.shape[0] > matrix.shape[1]
        x = bfloat16(matrix.T if tall else matrix)
        norm = bfloat16(np.sqrt(np.vdot(x, x)))
        x = bfloat16(x / np.maximum(norm, bfloat16(np.float32(self.eps))))
        for _ in range(self.ns_steps):
            gram = bfloat16(x @ x.T)
            polynomial = bfloat16(b * gram + c * (gram @ gram))
            x = bfloat16(a * x + polynomial @ x)
        return x.T if tall else x

    def _adjustment(self, n: int, m: int) -> float:
        """The factor of the rate that makes steps of all shapes alike."""
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(n, m))
        return math.sqrt(max(1, n / m))


def bfloat16(x: Array | np.generic) -> Array:
    """Rounded to 8 bits, ties to even: the upper half of a float32's bits."""
    bits = np.asarray(x, np.float32, order="C").view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    y: Array = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return y
