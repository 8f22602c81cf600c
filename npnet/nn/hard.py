"""Hard activations: pieces of straight lines and parabolas between thresholds."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._blocks import in_blocks
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class Hardtanh:
    """y = min(max(x, min_val), max_val).

    x, y: any shape

    dx = dy where min_val < x < max_val, else 0

    At both bounds the gradient is 0. A nan stays nan, and lets the gradient pass. min_value and
    max_value, where given, replace min_val and max_val (which torch deprecates). `inplace` is
    accepted and does nothing.

    Raises ConfigError, DtypeError.
    Twin: torch.nn.Hardtanh.
    """

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False
    min_value: float | None = None
    max_value: float | None = None

    def __post_init__(self) -> None:
        low, high = self._bounds
        if not low < high:
            raise ConfigError(f"Hardtanh needs min_val < max_val, but got {low} and {high}.")

    @property
    def _bounds(self) -> tuple[float, float]:
        low = self.min_val if self.min_value is None else self.min_value
        high = self.max_val if self.max_value is None else self.max_value
        return low, high

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _clipped(x, *self._bounds)


@dataclass(frozen=True)
class ReLU6:
    """y = min(max(x, 0), 6).

    x, y: any shape

    dx = dy where 0 < x < 6, else 0

    At 0 and at 6 the gradient is 0. `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.ReLU6.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _clipped(x, 0, 6)


def _clipped(x: Array, low: float, high: float) -> Forward:
    """x between two bounds."""
    blocked = (x <= low) | (x >= high)  # false for nan
    return Forward(np.clip(x, low, high), lambda dy: Grads((dy * ~blocked,)))


@dataclass(frozen=True)
class Hardsigmoid:
    """y = min(max(x + 3, 0), 6) / 6.

    x, y: any shape

    dx = dy / 6 where -3 < x < 3, else 0

    At -3 and at 3 the gradient is 0. `inplace` is accepted and does nothing.

    Raises DtypeError.
    Twin: torch.nn.Hardsigmoid, whose slope is float32(1/6) in every format: 5e-9 too large.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = in_blocks(lambda x: np.clip(x + 3, 0, 6) / 6, x)
        inside = np.abs(x) < 3

        def vjp(dy: Array) -> Grads:
            dx = in_blocks(lambda dy, inside: dy * inside / 6, dy, inside)
            return Grads((dx,))

        return Forward(y, vjp)


@dataclass(frozen=True)
class Hardswish:
    """y = x · min(max(x + 3, 0), 6) / 6.

    x, y: any shape

    dx = 0 where x <= -3, dy · (x / 3 + 1/2) in between, dy where x >= 3

    At -3 and at 3 the gradient is that of the straight line. `inplace` is accepted and does
    nothing.

    Raises DtypeError.
    Twin: torch.nn.Hardswish. Source: Howard et al. (2019), arXiv:1905.02244.
    """

    inplace: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)

        def gradient(x: Array, dy: Array) -> Array:
            inside = np.abs(x) < 3
            return dy * ((np.clip(x, -3, 3) / 3 + 0.5) * inside + (x >= 3))

        y = in_blocks(lambda x: x * (np.clip(x + 3, 0, 6) / 6), x)
        return Forward(y, lambda dy: Grads((in_blocks(gradient, x, dy),)))


@dataclass(frozen=True)
class Hardshrink:
    """y = x where |x| > lambd, else 0.

    x, y: any shape

    dx = dy where |x| > lambd, else 0

    A nan stays nan, and lets the gradient pass. A negative lambd lets everything pass.

    Raises DtypeError.
    Twin: torch.nn.Hardshrink.
    """

    lambd: float = 0.5

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        large = ~(np.abs(x) <= self.lambd)  # true for nan
        return Forward(x * large, lambda dy: Grads((dy * large,)))


@dataclass(frozen=True)
class Softshrink:
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0.

    x, y: any shape

    dx = dy where |x| > lambd, else 0

    A nan stays nan, and lets the gradient pass.

    Raises ConfigError, DtypeError.
    Twin: torch.nn.Softshrink.
    """

    lambd: float = 0.5

    def __post_init__(self) -> None:
        if self.lambd < 0:
            raise ConfigError(f"Softshrink needs lambd >= 0, but got lambd={self.lambd}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        y = x - np.clip(x, -self.lambd, self.lambd)
        far = ~(np.abs(x) <= self.lambd)  # true for nan
        return Forward(y, lambda dy: Grads((dy * far,)))
