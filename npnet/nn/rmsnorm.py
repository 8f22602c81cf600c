"""Normalisation by the root of the mean square, sample by sample."""

import math
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._standardise import Channels, affine, row_means


@dataclass(frozen=True)
class RMSNorm:
    """y = x̂ · weight, where x̂ = x / √(E[x²] + eps) over the trailing axes.

    x, y: (*batch, *normalized_shape)    weight: normalized_shape

    dx = rstd · (g - x̂ E[g x̂]), where g = dy · weight and rstd = 1 / √(E[x²] + eps)
    dweight = Σ dy x̂, over the batch

    No mean is subtracted, and there is no bias. normalized_shape: the sizes of the trailing axes,
    one number for one axis. elementwise_affine=False: there is no weight.

    eps=None: the distance from 1 to the next number of x's dtype; for float16 that of float32, in
    which torch computes then (torch's documentation has it otherwise).

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.RMSNorm. Source: Zhang & Sennrich (2019), arXiv:1910.07467.
    """

    normalized_shape: int | tuple[int, ...]
    eps: float | None = None
    elementwise_affine: bool = True

    def __post_init__(self) -> None:
        if not self._shape or min(self._shape) < 0:
            raise ConfigError(
                "RMSNorm needs normalized_shape to hold one size or more, none of them negative, "
                f"but got {self.normalized_shape}."
            )

    @property
    def _shape(self) -> tuple[int, ...]:
        shape = self.normalized_shape
        return (shape,) if isinstance(shape, int) else tuple(shape)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = 1."""
        return {"weight": np.ones(self._shape, np.float32)} if self.elementwise_affine else {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x and weight."""
        require_floats(self, x, state)
        axes = len(self._shape)
        if x.shape[-axes:] != self._shape:
            raise ShapeError(
                f"{self} needs x of shape (*batch, {', '.join(map(str, self._shape))}), "
                f"but got {x.shape}."
            )

        rows = (math.prod(x.shape[:-axes]), math.prod(self._shape))
        eps = self.eps
        if eps is None:
            eps = float(np.finfo(np.result_type(x, np.float32)).eps)
        x_ = x.reshape(rows)
        rstd = 1 / np.sqrt(row_means(x_, x_) + eps)
        xhat = x_ * rstd
        weight = state["weight"] if self.elementwise_affine else None
        places = Channels(*rows, each=1)
        y, affine_vjp = affine(xhat.reshape(places.shape), weight, None, places)

        def vjp(dy: Array) -> Grads:
            g, params = affine_vjp(dy.reshape(places.shape))
            g = g.reshape(rows)
            dx = xhat * -row_means(g, xhat)
            dx += g
            dx *= rstd
            return Grads((dx.reshape(x.shape),), params)

        return Forward(y.reshape(x.shape), vjp)
