"""Distances and similarities of vectors."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, Forward, Grads, IndexRangeError, ShapeError, State
from npnet.nn._reduction import require_broadcast, require_one_dtype, summed_to


@dataclass(frozen=True)
class CosineSimilarity:
    """y = Σ a b along the axis dim, where a = x1 / max(‖x1‖, eps) and b = x2 / max(‖x2‖, eps).

    x1, x2: shapes that broadcast    y: their common shape without the axis dim

    dx1 = (b - y x1/‖x1‖) dy / max(‖x1‖, eps), and dx2 likewise; summed over the axes that were
    broadcast

    The gradient does not see the maximum: where ‖x1‖ is less than eps, x1/‖x1‖ is still a unit
    vector; it is 0 where x1 is. Norms are those of the vectors after they were broadcast.

    Raises ShapeError, DtypeError; IndexRangeError where the inputs have no axis dim.
    Twin: torch.nn.CosineSimilarity.
    """

    dim: int = 1
    eps: float = 1e-8

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        """y, and the gradients of x1 and x2."""
        require_one_dtype(self, x1, {"x2": x2})
        shape = require_broadcast(self, x1=x1, x2=x2)
        axes = max(len(shape), 1)
        if not -axes <= self.dim < axes:
            raise IndexRangeError(
                f"{self} needs inputs that have an axis {self.dim}, but got {x1.shape} and "
                f"{x2.shape}. You might need dim=-1."
            )
        v1, v2 = (np.atleast_1d(np.broadcast_to(x, shape)) for x in (x1, x2))
        norm1, norm2 = (np.linalg.norm(v, axis=self.dim, keepdims=True) for v in (v1, v2))
        least = max(self.eps, np.finfo(v1.dtype).smallest_subnormal)  # float16 has no 1e-8
        n1, n2 = np.maximum(norm1, least), np.maximum(norm2, least)
        a, b = v1 / n1, v2 / n2
        y = (a * b).sum(self.dim, keepdims=True)

        def vjp(dy: Array) -> Grads:
            g = dy.reshape(y.shape)
            d1 = (b - y * _unit(v1, norm1)) * (g / n1)
            d2 = (a - y * _unit(v2, norm2)) * (g / n2)
            return Grads((_gathered(x1, d1), _gathered(x2, d2)))

        return Forward(y.squeeze(self.dim), vjp)


def _unit(v: Array, norm: Array) -> Array:
    """v / ‖v‖, and 0 where v is."""
    unit: Array = v / np.where(norm == 0, 1, norm)
    return unit


def _gathered(x: Array, d: Array) -> Array:
    """The gradient of x from that of its broadcast; a scalar was a vector of one element."""
    return summed_to(x.shape, d) if x.ndim else d.sum()


@dataclass(frozen=True)
class PairwiseDistance:
    """y = ‖d‖ₚ = (Σ |d|ᵖ)^(1/p) along the last axis, where d = x1 - x2 + eps.

    x1, x2: shapes that broadcast    y: their common shape without the last axis, or with an axis
        of size 1 in its place, if keepdim

    dx1 = sign(d) (|d| / y)ᵖ⁻¹ dy, summed over the axes that were broadcast; dx2 is its opposite

    p = 0 counts what is not 0, and has no gradient; ∞ takes the largest |d| and -∞ the smallest,
    and spreads the gradient evenly over ties. Where y is 0, the gradient is 0. eps is added to
    every difference, so that the distance from x to x is not 0 but ‖eps‖.

    Raises ShapeError, DtypeError.
    Twin: torch.nn.PairwiseDistance.
    """

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        """y, and the gradients of x1 and x2."""
        require_one_dtype(self, x1, {"x2": x2})
        shape = require_broadcast(self, x1=x1, x2=x2)
        if 0 in shape[-1:] and (self.p < 0 or self.p == np.inf):
            raise ShapeError(f"{self} needs vectors of one element or more, but got {shape}.")
        d = np.atleast_1d(x1 - x2 + self.eps)
        with np.errstate(divide="ignore"):  # of a negative p
            y = np.linalg.norm(d, self.p, axis=-1, keepdims=True)

        def vjp(dy: Array) -> Grads:
            d1 = _slope_of_norm(d, y, self.p) * dy.reshape(y.shape)
            return Grads((_gathered(x1, d1), _gathered(x2, -d1)))

        kept = self.keepdim and len(shape) > 0
        return Forward(y if kept else y.squeeze(-1), vjp)


def _slope_of_norm(d: Array, y: Array, p: float) -> Array:
    """The derivative of y = ‖d‖ₚ by every element of d."""
    size = np.abs(d)
    if p == 0:
        return np.zeros_like(d)
    if np.isinf(p):
        top = (size == y).astype(d.dtype)
        even: Array = np.sign(d) * top / top.sum(-1, keepdims=True)
        return even
    inside = (size > 0) & (y > 0)
    size, length = np.where(inside, size, 1), np.where(inside, y, 1)
    # below 1, a quotient that is nearly 0 would be raised to a negative power
    power = (size / length) ** (p - 1) if p >= 1 else size ** (p - 1) * length ** (1 - p)
    if 1 < p < 2:  # a quotient that is nearly 0 has lost digits that its root would show
        root = size ** ((p - 1) / 2) * length ** ((1 - p) / 2)
        power = np.where(size / length < np.finfo(d.dtype).tiny, root * root, power)
    slope: Array = np.sign(d) * inside * power
    return slope
