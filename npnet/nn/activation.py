"""Activations: one function, applied to every element."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class ReLU:
    """y = max(x, 0).

    x, y: any shape    dx = dy where x > 0, else 0

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
class Sigmoid:
    """y = σ(x) = 1 / (1 + e⁻ˣ).

    x, y: any shape    dx = dy · y (1 - y)

    Raises DtypeError.
    Twin: torch.nn.Sigmoid.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = sigmoid(x)

        def vjp(dy: Array) -> Grads:
            dx = dy * y * (1 - y)
            return Grads((dx,))

        return Forward(y, vjp)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ); where e⁻ˣ overflows, it is smaller than any normal number, and 0 here."""
    with np.errstate(over="ignore"):
        y: Array = 1 / (1 + np.exp(-x))
    return y


@dataclass(frozen=True)
class Tanh:
    """y = tanh(x).

    x, y: any shape    dx = dy · (1 - y²)

    Raises DtypeError.
    Twin: torch.nn.Tanh.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = np.tanh(x)

        def vjp(dy: Array) -> Grads:
            slope = 1 - y * y
            return Grads((dy * slope,))

        return Forward(y, vjp)


@dataclass(frozen=True)
class GELU:
    """y = x Φ(x), where Φ is the distribution function of the normal distribution.

    x, y: any shape    dx = dy · (Φ(x) + x Φ'(x))

    approximate="none":  Φ(x) = (1 + erf(x / √2)) / 2           Φ'(x) = e^(-x²/2) / √(2π)
    approximate="tanh":  Φ(x) = (1 + t) / 2                     Φ'(x) = (1 - t²) u' / 2
                         t = tanh(u), u = √(2/π) (x + 0.044715 x³), u' = √(2/π) (1 + 0.134145 x²)

    Raises ConfigError, DtypeError.
    Twin: torch.nn.GELU. Source: Hendrycks & Gimpel (2016), arXiv:1606.08415.
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise ConfigError(
                f"GELU needs approximate='none' or 'tanh', but got {self.approximate!r}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        z = np.clip(x, -100, 100)  # beyond, Φ is 0 or 1 in every format, and x³ might overflow
        if self.approximate == "tanh":
            t = np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))
            cdf = (1 + t) / 2
        else:
            cdf = _normal_cdf(z)

        def vjp(dy: Array) -> Grads:
            if self.approximate == "tanh":
                du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)
                pdf = (1 - t * t) * du / 2
            else:
                pdf = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            return Grads((dy * (cdf + z * pdf),))

        return Forward(x * cdf, vjp)


def _normal_cdf(x: Array) -> Array:
    """(1 + erf(x / √2)) / 2."""
    if x.dtype.itemsize > 4:
        exact: Array = special.ndtr(x)
        return exact.astype(x.dtype, copy=False)
    # For float32, (1 + tanh(z N(z²) / D(z²))) / 2, with polynomials fitted to be off by less than
    # 2e-9 up to |z| = 6, where it is 0 or 1, takes a tenth of the time of ndtr.
    z = np.clip(x.astype(np.float32), -6, 6)
    s = z * z
    N = ((1.915741285e-4 * s + 7.522930554e-3) * s + 9.891075471e-2) * s + 0.7978845796
    D = ((4.03334668e-5 * s + 5.903249185e-3) * s + 7.842644973e-2) * s + 1
    cdf: Array = (1 + np.tanh(z * N / D)) / 2
    return cdf.astype(x.dtype, copy=False)
