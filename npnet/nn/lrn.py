"""Local response normalisation: each channel is divided by what its neighbours hold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class LocalResponseNorm:
    """y = x / s^beta, where s = k + alpha/size · Σ x² over a window of channels.

    x, y: (N, C, *rest), with one axis or more after the channels

    dx = dy / s^beta - 2·alpha·beta/size · x · Σ dy y / s, over the windows that hold c

    The window of channel c has `size` channels, from c - ⌊size/2⌋ to c + ⌊(size - 1)/2⌋: with an
    even size it reaches further down than up. What lies outside of the input is 0, but counts:
    alpha is divided by size at the edges too.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LocalResponseNorm. Source: Krizhevsky, Sutskever & Hinton (2012), NIPS 25.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"LocalResponseNorm needs size >= 1, but got {self.size}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        if x.ndim < 3:
            raise ShapeError(
                f"{self} needs x of shape (N, C, …) with three axes or more, but got {x.shape}."
            )
        below, above = self.size // 2, (self.size - 1) // 2
        return _normalise(
            self, x, lambda v: _window(v, below, above), lambda v: _window(v, above, below)
        )


@dataclass(frozen=True)
class CrossMapLRN2d:
    """y = x / s^beta, where s = k + alpha/size · Σ x² over a window of channels.

    x, y: (N, C, H, W)

    dx = dy / s^beta - 2·alpha·beta/size · x · Σ dy y / s,
    over the channels from c - ⌊(size + 1)/2⌋ to c + ⌊size/2⌋ - 1

    The window of channel c has c and the ⌊(size - 1)/2⌋ channels on either side of it. This is
    meant to be LocalResponseNorm, but torch's code is not, and here it is followed:

    - x[0]² never leaves the running sum: every window holds channel 0;
    - the gradient is that of other windows, so that it is not the derivative of y.

    For a network of your own take LocalResponseNorm.

    Raises ConfigError, also for size=1, of which torch has no gradient; ShapeError, DtypeError.
    Twin: torch.nn.CrossMapLRN2d. Source: Krizhevsky, Sutskever & Hinton (2012), NIPS 25.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ConfigError(
                f"CrossMapLRN2d needs size >= 2, but got {self.size}. You might need "
                "LocalResponseNorm."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and torch's gradient of x."""
        require_floats(self, x, state)
        if x.ndim != 4 or x.shape[1] == 0:
            raise ShapeError(f"{self} needs x of shape (N, C, H, W) with C > 0, not {x.shape}.")
        size, r = self.size, (self.size - 1) // 2

        def sums(v: Array) -> Array:
            s = _window(v, r, r)
            s[:, r + 1 :] += v[:, :1]
            return s

        return _normalise(self, x, sums, lambda v: _window(v, (size + 1) // 2, size // 2 - 1))


def _normalise(
    layer: LocalResponseNorm | CrossMapLRN2d,
    x: Array,
    sums: Callable[[Array], Array],
    sums_back: Callable[[Array], Array],
) -> Forward:
    """Both layers, given the sums over the windows and those of the gradient."""
    share, beta = layer.alpha / layer.size, layer.beta
    s = sums(x * x)
    s *= share
    s += layer.k
    factor = s**-beta
    y = x * factor

    def vjp(dy: Array) -> Grads:
        dx = sums_back(dy * x * factor / s)
        dx *= -2 * share * beta
        dx *= x
        dx += dy * factor
        return Grads((dx,))

    return Forward(y, vjp)


def _window(v: Array, below: int, above: int) -> Array:
    """Σ v over the channels from c - below to c + above, for every channel c."""
    C = v.shape[1]
    total = np.zeros_like(v)
    for step in range(max(-below, 1 - C), min(above, C - 1) + 1):
        total[:, max(0, -step) : C - max(0, step)] += v[:, max(0, step) : C + min(0, step)]
    return total
