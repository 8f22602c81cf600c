"""Normalisation over the trailing axes, sample by sample."""

import math
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._standardise import Channels, adjoint, affine, row_means, standardise


@dataclass(frozen=True)
class LayerNorm:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps) over the trailing axes.

    x, y: (*batch, *normalized_shape)    weight, bias: normalized_shape

    dx = rstd · (g - E[g] - x̂ E[g x̂]), where g = dy · weight and rstd = 1 / √(Var[x] + eps)
    dweight = Σ dy x̂    dbias = Σ dy, over the batch

    Var is the biased variance (÷ n). dx is g less two directions, the constant one and x̂ itself.
    normalized_shape: the sizes of the trailing axes, one number for one axis.
    elementwise_affine=False: there is neither weight nor bias; bias=False: there is no bias.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LayerNorm. Source: Ba, Kiros & Hinton (2016), arXiv:1607.06450.
    """

    normalized_shape: int | tuple[int, ...]
    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        if not self._shape or min(self._shape) < 0:
            raise ConfigError(
                "LayerNorm needs normalized_shape to hold one size or more, none of them negative, "
                f"but got {self.normalized_shape}."
            )

    @property
    def _shape(self) -> tuple[int, ...]:
        shape = self.normalized_shape
        return (shape,) if isinstance(shape, int) else tuple(shape)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = 1, bias = 0."""
        state = {}
        if self.elementwise_affine:
            state["weight"] = np.ones(self._shape, np.float32)
            if self.bias:
                state["bias"] = np.zeros(self._shape, np.float32)
        return state

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        require_floats(self, x, state)
        axes = len(self._shape)
        if x.shape[-axes:] != self._shape:
            raise ShapeError(
                f"{self} needs x of shape (*batch, {', '.join(map(str, self._shape))}), "
                f"but got {x.shape}."
            )

        rows = (math.prod(x.shape[:-axes]), math.prod(self._shape))
        places = Channels(*rows, each=1)
        xhat, rstd, _, _ = standardise(x.reshape(rows), row_means, self.eps)
        weight = state["weight"] if self.elementwise_affine else None
        bias = state["bias"] if self.elementwise_affine and self.bias else None
        y, affine_vjp = affine(xhat.reshape(places.shape), weight, bias, places)

        def vjp(dy: Array) -> Grads:
            g, params = affine_vjp(dy.reshape(places.shape))
            dx = adjoint(g.reshape(rows), xhat, rstd, row_means)
            return Grads((dx.reshape(x.shape),), params)

        return Forward(y.reshape(x.shape), vjp)
