"""Shapes: several axes in a row become one, one becomes several, or nothing happens."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, IndexRangeError, ShapeError, State


@dataclass(frozen=True)
class Flatten:
    """y = x, with the axes from start_dim to end_dim, the last one included, made into one.

    x: (*before, *axes, *after)    y: (*before, product of axes, *after)

    dx = dy, in the shape of x

    The last axis varies fastest (C order). A scalar counts as an array of one element. y may be a
    view of x, and dx one of dy.

    Raises IndexRangeError where x has no such axes, ShapeError where end_dim comes first.
    Twin: torch.nn.Flatten.
    """

    start_dim: int = 1
    end_dim: int = -1

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        shape = x.shape or (1,)
        start, end = (_axis(self, dim, len(shape)) for dim in (self.start_dim, self.end_dim))
        if end < start:
            raise ShapeError(
                f"{self} needs start_dim not to come after end_dim, but for x of shape {x.shape} "
                f"they are the axes {start} and {end}."
            )
        size = math.prod(shape[start : end + 1])

        def vjp(dy: Array) -> Grads:
            return Grads((dy.reshape(x.shape),))

        return Forward(x.reshape(*shape[:start], size, *shape[end + 1 :]), vjp)


@dataclass(frozen=True)
class Unflatten:
    """y = x, with the axis dim made into several, of the sizes unflattened_size.

    x: (*before, n, *after)    y: (*before, *unflattened_size, *after)

    dx = dy, in the shape of x

    One of the sizes may be -1: what is left of n. The last axis varies fastest (C order). dim may
    be negative. y may be a view of x, and dx one of dy.

    Raises ConfigError; IndexRangeError where x has no such axis, ShapeError where the product of
    the sizes is not n.
    Twin: torch.nn.Unflatten.
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = self.unflattened_size
        if not sizes or min(sizes) < -1 or sizes.count(-1) > 1:
            raise ConfigError(
                "Unflatten needs unflattened_size to hold one size or more, none of them negative "
                f"but at most one -1, and got {sizes}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        axis, sizes = _axis(self, self.dim, x.ndim), self.unflattened_size
        n, known = x.shape[axis], math.prod(s for s in sizes if s != -1)
        if -1 in sizes:
            if known == 0 or n % known:
                raise ShapeError(f"{self} needs a size that {known} divides, but got {x.shape}.")
            sizes = tuple(n // known if s == -1 else s for s in sizes)
        elif known != n:
            raise ShapeError(
                f"{self} needs the sizes to multiply up to the size of axis {axis}, but for x of "
                f"shape {x.shape} they come to {known}."
            )

        def vjp(dy: Array) -> Grads:
            return Grads((dy.reshape(x.shape),))

        return Forward(x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]), vjp)


@dataclass(frozen=True, init=False)
class Identity:
    """y = x.

    x, y: any shape

    dx = dy

    Takes any arguments and keeps none: a placeholder in networks. y is x itself, and dx is dy.

    Twin: torch.nn.Identity.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return Forward(x, lambda dy: Grads((dy,)))


def _axis(layer: Flatten | Unflatten, dim: int, axes: int) -> int:
    """The axis that dim names, counted from the front."""
    if not -axes <= dim < axes:
        raise IndexRangeError(
            f"{layer} needs axes from {-axes} to {axes - 1} for an x of {axes} axes, but got "
            f"{dim}. You might need another dim, or a batch axis."
        )
    return dim % axes
