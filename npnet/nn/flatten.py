"""Flatten: several axes in a row become one."""

import math
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, Forward, Grads, IndexRangeError, ShapeError, State


@dataclass(frozen=True)
class Flatten:
    """y = x, with the axes from start_dim to end_dim, the last one included, made into one.

    x: (*before, *axes, *after)    y: (*before, product of axes, *after)

    The last axis varies fastest, as in C. A scalar counts as an array of one element. y may be a
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
        start, end = (self._axis(dim, len(shape)) for dim in (self.start_dim, self.end_dim))
        if end < start:
            raise ShapeError(
                f"{self} needs start_dim not to come after end_dim, but for x of shape {x.shape} "
                f"they are the axes {start} and {end}."
            )
        size = math.prod(shape[start : end + 1])

        def vjp(dy: Array) -> Grads:
            return Grads((dy.reshape(x.shape),))

        return Forward(x.reshape(*shape[:start], size, *shape[end + 1 :]), vjp)

    def _axis(self, dim: int, axes: int) -> int:
        if not -axes <= dim < axes:
            raise IndexRangeError(
                f"{self} needs axes from {-axes} to {axes - 1} for an x of {axes} axes, but got "
                f"{dim}. You might need start_dim=0, or a batch axis."
            )
        return dim % axes
