"""Losses of regression: functions of the difference d = prediction - target, element by element."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._reduction import (
    Reduction,
    in_dtype_of,
    is_counted,
    require_broadcast,
    require_one_dtype,
    summed_to,
)


@dataclass(frozen=True)
class L1Loss:
    """y = |prediction - target|, reduced; the mean is over all elements.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dprediction = sign(prediction - target) dy/n, which is 0 where they are equal; dtarget is its
    opposite. Both are summed over the axes that were broadcast. A target of integers has no
    gradient. n and the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.L1Loss.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        return _of_difference(
            self,
            prediction,
            target,
            reduced,
            losses=lambda d: np.abs(d),
            slope=lambda d: np.sign(d),
        )


@dataclass(frozen=True)
class MSELoss:
    """y = (prediction - target)², reduced; the mean is over all elements.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dprediction = 2 (prediction - target) dy/n; dtarget is its opposite. Both are summed over the
    axes that were broadcast. A target of integers has no gradient.

    reduction: "none" leaves the losses alone and "sum" adds them up, both with n = 1; "mean"
    divides their sum by n, the number of elements, and is nan where n is 0. Where size_average or
    reduce is given (torch deprecates both), they overrule it: reduce=False means "none", else
    size_average=False means "sum", else "mean".

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MSELoss.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        return _of_difference(
            self, prediction, target, reduced, losses=lambda d: d * d, slope=lambda d: 2 * d
        )


@dataclass(frozen=True)
class SmoothL1Loss:
    """y = d²/(2β) where |d| < β, else |d| - β/2, reduced; d = prediction - target, β = beta.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dprediction = (d clipped to ±β)/β dy/n; dtarget is its opposite. Both are summed over the axes
    that were broadcast. A target of integers has no gradient. This is HuberLoss(delta=β) divided by
    β, and L1Loss where β is 0. n and the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.SmoothL1Loss. Source: Girshick (2015), arXiv:1504.08083.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    beta: float = 1.0

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)
        if self.beta < 0:
            raise ConfigError(f"SmoothL1Loss needs beta of 0 or more, but got {self.beta}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        beta = self.beta

        def losses(d: Array) -> Array:
            if not beta:
                return np.abs(d)
            c = np.clip(d, -beta, beta)
            smooth: Array = c * (d - c / 2) / beta
            return smooth

        def slope(d: Array) -> Array:
            return np.clip(d, -beta, beta) / beta if beta else np.sign(d)

        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        return _of_difference(self, prediction, target, reduced, losses=losses, slope=slope)


@dataclass(frozen=True)
class HuberLoss:
    """y = d²/2 where |d| ≤ δ, else δ (|d| - δ/2), reduced; d = prediction - target, δ = delta.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dprediction = (d clipped to ±δ) dy/n; dtarget is its opposite. Both are summed over the axes
    that were broadcast. n and the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.HuberLoss. Source: Huber (1964), doi:10.1214/aoms/1177703732.
    """

    reduction: str = "mean"
    delta: float = 1.0

    def __post_init__(self) -> None:
        Reduction.of(None, None, self.reduction)
        if not self.delta > 0:
            raise ConfigError(f"HuberLoss needs delta above 0, but got {self.delta}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        require_one_dtype(self, prediction, {"target": target})

        def losses(d: Array) -> Array:
            c = np.clip(d, -self.delta, self.delta)
            huber: Array = c * (d - c / 2)
            return huber

        def slope(d: Array) -> Array:
            clipped: Array = np.clip(d, -self.delta, self.delta)
            return clipped

        reduced = Reduction.of(None, None, self.reduction)
        return _of_difference(self, prediction, target, reduced, losses=losses, slope=slope)


def _of_difference(
    loss: object,
    prediction: Array,
    target: Array,
    reduced: Reduction,
    losses: Callable[[Array], Array],
    slope: Callable[[Array], Array],
) -> Forward:
    """Losses of d = prediction - target, whose slope is their derivative by d."""
    t = in_dtype_of(loss, prediction, target)
    require_broadcast(loss, prediction=prediction, target=target)
    d = prediction - t
    n = d.size

    def vjp(dy: Array) -> Grads:
        g = slope(d) * reduced.back(dy, n)
        dtarget = None if is_counted(target) else summed_to(target.shape, -g)
        return Grads((summed_to(prediction.shape, g), dtarget))

    return Forward(reduced(losses(d), n), vjp)
