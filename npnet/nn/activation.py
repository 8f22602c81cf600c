"""Smooth activations: one function, applied to every element."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._blocks import in_blocks
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class Sigmoid:
    """y = σ(x) = 1 / (1 + e⁻ˣ).

    x, y: any shape

    dx = dy · y (1 - y)

    Raises DtypeError.
    Twin: torch.nn.Sigmoid.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = in_blocks(sigmoid, x)

        def vjp(dy: Array) -> Grads:
            dx = in_blocks(lambda y, dy: dy * y * (1 - y), y, dy)
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

    x, y: any shape

    dx = dy · (1 - y²)

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
            dx = in_blocks(lambda y, dy: dy * (1 - y * y), y, dy)
            return Grads((dx,))

        return Forward(y, vjp)


@dataclass(frozen=True)
class GELU:
    """y = x Φ(x), where Φ is the distribution function of the normal distribution.

    x, y: any shape

    dx = dy · (Φ(x) + x Φ'(x))

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
        cdf = in_blocks(_tanh_cdf if self.approximate == "tanh" else _normal_cdf, x)
        density = _tanh_density if self.approximate == "tanh" else _normal_density

        def vjp(dy: Array) -> Grads:
            dx = in_blocks(lambda x, cdf, dy: dy * (cdf + density(x, cdf)), x, cdf, dy)
            return Grads((dx,))

        return Forward(x * cdf, vjp)


_FAR = 100  # beyond, Φ is 0 or 1 in every format, and x³ might overflow


def _tanh_cdf(x: Array) -> Array:
    """Φ(x) by a hyperbolic tangent."""
    z = np.clip(x, -_FAR, _FAR)
    cdf: Array = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
    return cdf


def _tanh_density(x: Array, cdf: Array) -> Array:
    """x Φ'(x) of that: (1 - t²) / 2 is 2 Φ (1 - Φ)."""
    z = np.clip(x, -_FAR, _FAR)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)
    density: Array = z * (2 * cdf * (1 - cdf) * du)
    return density


def _normal_density(x: Array, cdf: Array) -> Array:
    """x Φ'(x) = x e^(-x²/2) / √(2π)."""
    z = np.clip(x, -_FAR, _FAR)
    density: Array = z * np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
    return density


def _normal_cdf(x: Array) -> Array:
    """Φ(x) = (1 + erf(x / √2)) / 2."""
    if x.dtype.itemsize > 4:
        exact: Array = special.ndtr(x)
        return exact.astype(x.dtype, copy=False)
    # For float32, (1 + tanh(z N(z²) / D(z²))) / 2, with polynomials fitted to be off by less than
    # 2e-9 up to |z| = 6, where it is 0 or 1, takes a tenth of the time of ndtr.
    z = np.clip(x.astype(np.float32, copy=False), -6, 6)
    s = z * z
    N = _polynomial(s, 1.915741285e-4, 7.522930554e-3, 9.891075471e-2, 0.7978845796)
    D = _polynomial(s, 4.03334668e-5, 5.903249185e-3, 7.842644973e-2, 1)
    cdf: Array = (1 + np.tanh(z * N / D)) / 2
    return cdf.astype(x.dtype, copy=False)


def _polynomial(s: Array, *coefficients: float) -> Array:
    """The coefficient of the highest power comes first."""
    highest, *rest, last = coefficients
    p = s * highest
    for c in rest:
        p += c
        p *= s
    p += last
    return p


@dataclass(frozen=True)
class SiLU:
    """y = x σ(x), with σ(x) = 1 / (1 + e⁻ˣ); it is also called swish.

    x, y: any shape

    dx = dy · σ(x) (1 + x (1 - σ(x)))

    `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.SiLU. Source: Elfwing et al. (2017), arXiv:1702.03118.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)

        def gradient(x: Array, dy: Array) -> Array:
            s = sigmoid(x)
            dx: Array = dy * s * (1 + x * (1 - s))
            return dx

        y = in_blocks(lambda x: x * sigmoid(x), x)
        return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


@dataclass(frozen=True)
class Mish:
    """y = x tanh(softplus(x)), with softplus(x) = log(1 + eˣ).

    x, y: any shape

    dx = dy · (t + x t')

    With n = eˣ (eˣ + 2) the logarithm and the tangent cancel:
    t = tanh(softplus(x)) = n / (n + 2)    t' = σ(x) (1 - t²) = 4 eˣ (1 + eˣ) / (n + 2)²

    `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.Mish. Source: Misra (2019), arXiv:1908.08681.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        far = math.log(np.finfo(x.dtype).max) / 2 - 1  # beyond, n might overflow, and t is 1

        def value(x: Array) -> Array:
            e = np.exp(np.clip(x, -np.inf, far))
            n = e * (e + 2)
            y: Array = x * (n / (n + 2))
            return y

        def gradient(x: Array, dy: Array) -> Array:
            z = np.clip(x, -np.inf, far)
            e = np.exp(z)
            n = e * (e + 2)
            dt = 4 * e * (1 + e) / (n + 2) / (n + 2)
            dx: Array = dy * (n / (n + 2) + z * dt)
            return dx

        y = in_blocks(value, x)
        return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


@dataclass(frozen=True)
class Softplus:
    """y = log(1 + e^(beta x)) / beta, and y = x where beta x > threshold.

    x, y: any shape

    dx = dy · σ(beta x), and dy where beta x > threshold

    Raises ConfigError, DtypeError.
    Twin: torch.nn.Softplus.
    """

    beta: float = 1.0
    threshold: float = 20.0

    def __post_init__(self) -> None:
        if self.beta == 0:
            raise ConfigError("Softplus needs a beta other than 0, by which it divides.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        beta, threshold = self.beta, self.threshold

        def value(x: Array) -> Array:
            z = beta * x
            return np.where(z > threshold, x, softplus(z) / beta)

        def gradient(x: Array, dy: Array) -> Array:
            z = beta * x
            return np.where(z > threshold, dy, dy * sigmoid(z))

        y = in_blocks(value, x)
        return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


def softplus(x: Array) -> Array:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|), in which nothing overflows."""
    y: Array = np.clip(x, 0, np.inf) + np.log1p(np.exp(-np.abs(x)))
    return y


@dataclass(frozen=True)
class LogSigmoid:
    """y = log σ(x) = -softplus(-x), with softplus(x) = log(1 + eˣ).

    x, y: any shape

    dx = dy · σ(-x)

    The logarithm of the sigmoid would be -inf where the sigmoid underflows; this is x there.

    Raises DtypeError.
    Twin: torch.nn.LogSigmoid.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = in_blocks(lambda x: -softplus(-x), x)

        def vjp(dy: Array) -> Grads:
            dx = in_blocks(lambda x, dy: dy * sigmoid(-x), x, dy)
            return Grads((dx,))

        return Forward(y, vjp)


@dataclass(frozen=True)
class Softsign:
    """y = x / (1 + |x|).

    x, y: any shape

    dx = dy / (1 + |x|)²

    Raises DtypeError.
    Twin: torch.nn.Softsign.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)

        def gradient(x: Array, dy: Array) -> Array:
            d: Array = 1 + np.abs(x)
            return dy / d / d  # d² might overflow

        y = in_blocks(lambda x: x / (1 + np.abs(x)), x)
        return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


@dataclass(frozen=True)
class Tanhshrink:
    """y = x - tanh(x).

    x, y: any shape

    dx = dy · tanh²(x)

    Raises DtypeError.
    Twin: torch.nn.Tanhshrink.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        t = np.tanh(x)

        def vjp(dy: Array) -> Grads:
            dx = in_blocks(lambda t, dy: dy * (t * t), t, dy)
            return Grads((dx,))

        return Forward(x - t, vjp)
