"""Softmax, of x and of -x, and its logarithm."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, Forward, Grads, IndexRangeError, ShapeError, State
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class Softmax:
    """y = eˣ / Σ eˣ along the axis dim.

    x, y: any shape

    dx = y (dy - Σ dy y), summed along dim

    The largest x is subtracted first, which changes nothing but keeps eˣ from overflowing; where
    all x are -inf, y is nan. dim=None: the axis 0 of an array with 0, 1 or 3 axes, else the axis 1
    (which torch deprecates). A scalar counts as an array of one element.

    Raises DtypeError; IndexRangeError where x has no axis dim.
    Twin: torch.nn.Softmax.
    """

    dim: int | None = None

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        return _softmax(x, _axis(self, self.dim, x.ndim))


def _softmax(x: Array, axis: int) -> Forward:
    """eˣ / Σ eˣ along an axis."""
    e = np.exp(_shifted(np.atleast_1d(x), axis))
    y = e / e.sum(axis, keepdims=True)

    def vjp(dy: Array) -> Grads:
        dy = dy.reshape(y.shape)
        dx = y * (dy - (dy * y).sum(axis, keepdims=True))
        return Grads((dx.reshape(x.shape),))

    return Forward(y.reshape(x.shape), vjp)


@dataclass(frozen=True)
class Softmin:
    """y = e⁻ˣ / Σ e⁻ˣ along the axis dim: the softmax of -x.

    x, y: any shape

    dx = -y (dy - Σ dy y), summed along dim

    dim=None, scalars and infinities are as in Softmax.

    Raises DtypeError; IndexRangeError where x has no axis dim.
    Twin: torch.nn.Softmin.
    """

    dim: int | None = None

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        softmax = _softmax(-x, _axis(self, self.dim, x.ndim))

        def vjp(dy: Array) -> Grads:
            (minus_dx,) = softmax.vjp(dy).inputs
            return Grads((-minus_dx,))

        return Forward(softmax.y, vjp)


@dataclass(frozen=True)
class Softmax2d:
    """y = eˣ / Σ eˣ over the channels of every pixel by itself.

    x, y: (N, C, H, W) or (C, H, W)

    dx = y (dy - Σ dy y), summed over the channels

    Raises DtypeError, ShapeError.
    Twin: torch.nn.Softmax2d.
    """

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"{self} needs x of shape (N, C, H, W) or (C, H, W), but got {x.shape}."
            )
        return _softmax(x, -3)


@dataclass(frozen=True)
class LogSoftmax:
    """y = x - log Σ eˣ along the axis dim.

    x, y: any shape

    dx = dy - eʸ Σ dy, summed along dim

    The largest x is subtracted first: log softmax(x) would be -inf where eˣ underflows. dim=None
    and scalars are as in Softmax.

    Raises DtypeError; IndexRangeError where x has no axis dim.
    Twin: torch.nn.LogSoftmax.
    """

    dim: int | None = None

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        axis = _axis(self, self.dim, x.ndim)
        y = log_softmax(np.atleast_1d(x), axis)

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(y.shape)
            dx = dy - np.exp(y) * dy.sum(axis, keepdims=True)
            return Grads((dx.reshape(x.shape),))

        return Forward(y.reshape(x.shape), vjp)


def log_softmax(x: Array, axis: int) -> Array:
    """x - log Σ eˣ along an axis."""
    z = _shifted(x, axis)
    with np.errstate(divide="ignore"):  # of an axis of size 0; else the sum is 1 or more
        y: Array = z - np.log(np.exp(z).sum(axis, keepdims=True))
    return y


def _shifted(x: Array, axis: int) -> Array:
    """x less its largest element along an axis; of size 0 too."""
    z: Array = x - x.max(axis, keepdims=True, initial=-np.inf)
    return z


def _axis(layer: object, dim: int | None, ndim: int) -> int:
    if dim is None:
        return 0 if ndim in (0, 1, 3) else 1
    axes = max(ndim, 1)
    if not -axes <= dim < axes:
        raise IndexRangeError(
            f"{layer} needs dim to be from {-axes} to {axes - 1} for an x of {ndim} axes, "
            f"but got dim={dim}."
        )
    return dim
