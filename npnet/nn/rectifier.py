"""Rectifiers: the positive part of x as it is, the negative part reduced."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._blocks import in_blocks
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class ReLU:
    """y = max(x, 0).

    x, y: any shape

    dx = dy where x > 0, else 0

    At 0 the gradient is 0. A nan stays nan, and lets the gradient pass. `inplace` is accepted and
    does nothing.

    Raises DtypeError.
    Twin: torch.nn.ReLU.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        blocked = x <= 0  # false for nan

        def vjp(dy: Array) -> Grads:
            return Grads((dy * ~blocked,))

        return Forward(np.clip(x, 0, np.inf), vjp)  # which keeps -0.0, unlike np.maximum


@dataclass(frozen=True)
class LeakyReLU:
    """y = x where x > 0, else negative_slope · x.

    x, y: any shape

    dx = dy where x > 0, else negative_slope · dy

    0 belongs to the negative side. `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.LeakyReLU. Source: Maas et al. (2013), ICML workshop.
    """

    negative_slope: float = 0.01
    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _leaky(x, x.dtype.type(self.negative_slope))


def _leaky(x: Array, slope: Array) -> Forward:
    """x where x > 0, else slope · x; the slope may be an array that broadcasts with x."""
    factor = _factor(x, slope)
    return Forward(x * factor, lambda dy: Grads((dy * factor,)))


def _factor(x: Array, slope: Array) -> Array:
    """1 where x > 0, else the slope; several times as fast as np.where, and as exact."""
    negative = x <= 0
    factor: Array = slope * negative + ~negative
    return factor


@dataclass(frozen=True)
class RReLU:
    """y = x where x > 0, else r · x.

    x, y: any shape

    dx = dy where x > 0, else r · dy

    Training: every element has a slope r of its own, which is drawn from [lower, upper] as
    `lower + (upper - lower) * rng.random(x.shape)`. Evaluation (training=False):
    r = (lower + upper) / 2. 0 belongs to the negative side. `inplace` is accepted and does nothing.

    Raises ConfigError, also where slopes have to be drawn and there is no `rng`; DtypeError.
    Twin: torch.nn.RReLU. Source: Xu et al. (2015), arXiv:1505.00853.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if not -np.inf < self.lower <= self.upper < np.inf:
            raise ConfigError(f"RReLU needs finite bounds with lower <= upper, but got {self}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the slopes."""
        require_floats(self, x, state)
        if not self.training:
            return _leaky(x, x.dtype.type((self.lower + self.upper) / 2))
        if rng is None:
            raise ConfigError(
                f"{self} draws slopes in training, but got rng=None. You might need "
                "rng=np.random.default_rng(seed), or training=False."
            )
        r = self.lower + (self.upper - self.lower) * rng.random(x.shape)
        return _leaky(x, np.asarray(r, x.dtype))


class _Start(float):
    """The slope that PReLU starts with: torch's name for it is the name of a layer's method.

    So that `layer.init` is a number, as in torch, and `layer.init(rng)` a state, as elsewhere.
    """

    size: int

    def __call__(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = this number, once for every parameter."""
        return {"weight": np.full(self.size, self, np.float32)}


@dataclass(frozen=True)
class PReLU:
    """y = x where x > 0, else w · x, with a slope w that is learnt.

    x, y: (N, C, *), or any shape for num_parameters=1    weight w: (num_parameters,)

    dx = dy where x > 0, else w · dy    dw = Σ dy · x over x <= 0, for each channel by itself

    One slope for everything, or one for each of the C channels, which are the axis 1. 0 belongs to
    the negative side. `init` is the slope at the start.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.PReLU. Source: He et al. (2015), arXiv:1502.01852.
    """

    num_parameters: int = 1
    init: Any = 0.25  # a float, which _Start makes callable

    def __post_init__(self) -> None:
        if self.num_parameters < 0:
            raise ConfigError(
                f"PReLU needs num_parameters >= 0, but got num_parameters={self.num_parameters}."
            )
        start = _Start(self.init)
        start.size = self.num_parameters
        object.__setattr__(self, "init", start)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x and weight."""
        require_floats(self, x, state)
        n = self.num_parameters
        w = state.get("weight")
        if w is None or w.shape != (n,):
            raise ShapeError(
                f"{self} needs its state to hold weight of shape {(n,)}, but got "
                f"{'no such entry' if w is None else w.shape}."
            )
        if n != 1 and (x.ndim < 2 or x.shape[1] != n):
            raise ShapeError(
                f"{self} needs x of shape (N, {n}, *), but got {x.shape}. "
                f"You might need num_parameters={x.shape[1] if x.ndim > 1 else 1}."
            )
        rest = (1,) * (x.ndim - 2)
        slope = w.reshape(()) if n == 1 else w.reshape(1, n, *rest)
        factor = _factor(x, slope)

        def vjp(dy: Array) -> Grads:
            dw = dy * np.clip(x, -np.inf, 0)
            other = None if n == 1 else (0, *range(2, x.ndim))
            return Grads((dy * factor,), {"weight": np.sum(dw, other).reshape(w.shape)})

        return Forward(x * factor, vjp)


@dataclass(frozen=True)
class ELU:
    """y = x where x > 0, else alpha (eˣ - 1).

    x, y: any shape

    dx = dy where x > 0, else dy · alpha eˣ

    0 belongs to the negative side: the gradient is alpha there. `inplace` is accepted and does
    nothing.

    Raises DtypeError.
    Twin: torch.nn.ELU. Source: Clevert et al. (2015), arXiv:1511.07289.
    """

    alpha: float = 1.0
    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _exponential(x, alpha=self.alpha)


@dataclass(frozen=True)
class SELU:
    """y = scale · x where x > 0, else scale · alpha (eˣ - 1).

    x, y: any shape

    dx = dy · scale where x > 0, else dy · scale · alpha eˣ

    alpha = 1.6732632423543772 and scale = 1.0507009873554805 are the numbers for which mean 0 and
    variance 1 reproduce themselves. 0 belongs to the negative side: the gradient is scale · alpha
    there. `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.SELU. Source: Klambauer et al. (2017), arXiv:1706.02515.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _exponential(x, alpha=1.6732632423543772, scale=1.0507009873554805)


@dataclass(frozen=True)
class CELU:
    """y = x where x > 0, else alpha (e^(x / alpha) - 1).

    x, y: any shape

    dx = dy where x > 0, else dy · e^(x / alpha)

    Unlike that of ELU, the gradient is continuous: 1 at 0. `inplace` is accepted and does nothing.

    Raises ConfigError, DtypeError.
    Twin: torch.nn.CELU. Source: Barron (2017), arXiv:1704.07483.
    """

    alpha: float = 1.0
    inplace: bool = False

    def __post_init__(self) -> None:
        if self.alpha == 0:
            raise ConfigError("CELU needs an alpha other than 0, by which it divides.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _exponential(x, alpha=self.alpha, length=self.alpha)


def _exponential(x: Array, alpha: float, length: float = 1, scale: float = 1) -> Forward:
    """scale · x where x > 0, else scale · alpha (e^(x / length) - 1)."""

    def value(x: Array) -> Array:
        z = np.clip(x, -np.inf, 0) / length
        return scale * (np.clip(x, 0, np.inf) + alpha * np.expm1(z))

    def gradient(x: Array, dy: Array) -> Array:
        z = np.clip(x, -np.inf, 0) / length
        return dy * (scale * _factor(x, alpha / length * np.exp(z)))

    y = in_blocks(value, x)
    return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


@dataclass(frozen=True)
class Threshold:
    """y = x where x > threshold, else value.

    x, y: any shape

    dx = dy where x > threshold, else 0

    A nan stays nan, and lets the gradient pass. `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.Threshold.
    """

    threshold: float
    value: float
    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        below = x <= self.threshold  # false for nan
        kept = np.clip(x, self.threshold, np.inf) * ~below  # never -inf times 0
        y = kept + x.dtype.type(self.value) * below
        return Forward(y, lambda dy: Grads((dy * ~below,)))
