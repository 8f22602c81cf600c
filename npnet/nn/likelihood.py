"""Losses that are negative log likelihoods of a distribution whose parameters are predicted."""

import math
from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, DomainError, Forward, Grads, ShapeError, State
from npnet.nn._reduction import (
    Reduction,
    in_dtype_of,
    is_counted,
    require_broadcast,
    require_one_dtype,
    summed_to,
)


@dataclass(frozen=True)
class PoissonNLLLoss:
    """y = eˣ - t x, or x - t log(x + eps) with log_input=False, reduced; x = prediction.

    prediction, target t: shapes that broadcast    y: (), or their common shape with "none"

    dx = (eˣ - t) dy/n, or (1 - t / (x + eps)) dy/n        dt = -x dy/n, or -log(x + eps) dy/n

    With full=True, Stirling's t log t - t + log(2πt)/2 is added where t > 1 (at 1, nothing is), and
    log t + 1/(2t) to the derivative by t. All gradients are summed over the axes that were
    broadcast; a target of integers has none. n and the reductions are as in MSELoss. eps does
    nothing with log_input=True.

    With full=True torch's gradient of a target of 0 or less is nan; here Stirling's term has none.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.PoissonNLLLoss.
    """

    log_input: bool = True
    full: bool = False
    size_average: bool | None = None
    eps: float = 1e-8
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        x, t = prediction, in_dtype_of(self, prediction, target)
        n = math.prod(require_broadcast(self, prediction=prediction, target=target))
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        if self.log_input:
            rate, log_rate = np.exp(x), x
            losses = rate - t * x
        else:
            rate, log_rate = x + self.eps, np.log(x + self.eps)
            losses = x - t * log_rate
        many = t > 1
        k = np.where(many, t, 1)
        if self.full:
            losses = losses + many * (k * np.log(k) - k + 0.5 * np.log(2 * math.pi * k))

        def vjp(dy: Array) -> Grads:
            g = reduced.back(dy, n)
            # t / rate by itself may overflow
            dx = (rate - t) * g if self.log_input else g - t * g / rate
            dt = -log_rate * g
            if self.full:
                dt = dt + many * (np.log(k) + 0.5 / k) * g
            dtarget = None if is_counted(target) else _broadcast_back(t, dt, dx.shape)
            return Grads((_broadcast_back(x, dx, dx.shape), dtarget))

        return Forward(reduced(losses, n), vjp)


def _broadcast_back(x: Array, dx: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of x from one per element of the common shape."""
    return summed_to(x.shape, np.broadcast_to(dx, shape))


@dataclass(frozen=True)
class GaussianNLLLoss:
    """y = (log v + (x - t)² / v) / 2, reduced; v = max(var, eps), x = prediction, t = target.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"
    var: a number, or an array in the shape of prediction, of which the last axis may be left out,
        or one axis may be 1

    dx = (x - t) / v dy/n        dt = -dx        dvar = (1 - (x - t)² / v) / (2v) dy/n

    The gradient of var does not see the maximum: it is that of v, where var is below eps too. With
    full=True the constant log(2π)/2 is added. Gradients are summed over the axes that were
    broadcast; a target of integers has none, nor has a number as var. n and the reductions are
    as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError; DomainError for a variance below 0.
    Twin: torch.nn.GaussianNLLLoss. Source: Nix & Weigend (1994), doi:10.1109/ICNN.1994.374138.
    """

    full: bool = field(default=False, kw_only=True)
    eps: float = field(default=1e-6, kw_only=True)
    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        Reduction.of(None, None, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, prediction: Array, target: Array, var: Array | float
    ) -> Forward:
        """y, and the gradients of prediction, target and var."""
        x, t = prediction, in_dtype_of(self, prediction, target)
        variance = np.asarray(var, x.dtype) if isinstance(var, float) else var
        require_one_dtype(self, x, {"var": variance})
        column = self._column(x, variance, isinstance(var, float))
        n = math.prod(require_broadcast(self, prediction=x, target=t, var=column))
        reduced = Reduction.of(None, None, self.reduction)

        v = np.maximum(column, self.eps)
        d = x - t
        z = d * d / v
        losses = (np.log(v) + z) / 2
        if self.full:
            losses = losses + math.log(2 * math.pi) / 2

        def vjp(dy: Array) -> Grads:
            g = reduced.back(dy, n)
            dx = d / v * g
            dv = (1 - z) / (2 * v) * g
            dtarget = None if is_counted(target) else summed_to(t.shape, -dx)
            dvar = None if isinstance(var, float) else summed_to(column.shape, dv)
            if dvar is not None:
                dvar = dvar.reshape(variance.shape)
            return Grads((summed_to(x.shape, dx), dtarget, dvar))

        return Forward(reduced(losses, n), vjp)

    def _column(self, x: Array, var: Array, is_number: bool) -> Array:
        """The variance in a shape that broadcasts to that of x."""
        if (var < 0).any():
            raise DomainError(
                f"{self} needs var of 0 or more, but got {var[var < 0].flat[0]}. You might need "
                "np.exp(var), if it is the logarithm of a variance."
            )
        if is_number or var.shape == x.shape:
            return var
        if var.shape == x.shape[:-1]:
            return var[..., np.newaxis]
        ones = [m for n, m in zip(x.shape, var.shape, strict=False) if n != m]
        if var.ndim != x.ndim or sum(ones) != 1:
            raise ShapeError(
                f"{self} needs var of shape {x.shape}, as prediction, of which the last axis may "
                f"be left out, or one axis may be 1, but got {var.shape}."
            )
        return var
