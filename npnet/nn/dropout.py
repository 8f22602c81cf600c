"""Dropout: random zeros, drawn from a generator that is an input."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class Dropout:
    """y = x · keep, where each entry of keep is 0 with probability p, and 1 / (1 - p) otherwise.

    x, y: any shape

    Evaluation (training=False) and p=0: y = x. p=1: y = 0 · x. The mask is drawn as
    `rng.random(x.shape) >= p`, and only where 0 < p < 1. `inplace` is accepted and does nothing.

    Raises ConfigError, also where a mask has to be drawn and there is no `rng`; DtypeError.
    Twin: torch.nn.Dropout. Source: Srivastava et al. (2014), JMLR 15, 1929-1958.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ConfigError(f"Dropout needs 0 <= p <= 1, but got p={self.p}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        require_floats(self, x, state)
        if not self.training or self.p == 0:
            return Forward(x, lambda dy: Grads((dy,)))

        keep = keep_factors(self, x.shape, self.p, rng).astype(x.dtype)

        def vjp(dy: Array) -> Grads:
            return Grads((dy * keep,))

        return Forward(x * keep, vjp)


def keep_factors(
    layer: object, shape: tuple[int, ...], p: float, rng: np.random.Generator | None
) -> Array:
    """0 with probability p, and 1 / (1 - p) otherwise; float64."""
    if p == 1:
        return np.zeros(shape)
    if rng is None:
        raise ConfigError(
            f"{layer} draws a mask in training, but got rng=None. You might need "
            "rng=np.random.default_rng(seed), or training=False."
        )
    return (rng.random(shape) >= p) / (1 - p)
