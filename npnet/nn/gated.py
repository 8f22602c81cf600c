"""Gated linear units: one half of x opens and closes the other."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, Forward, Grads, IndexRangeError, ShapeError, State
from npnet.nn._blocks import in_blocks
from npnet.nn._guards import require_floats
from npnet.nn.activation import sigmoid


@dataclass(frozen=True)
class GLU:
    """y = a σ(b), where a and b are the first and the second half of x along the axis dim.

    x: any shape, of even size along dim    y: the same, half as large along dim

    dx = (da, db) along dim    da = dy · σ(b)    db = dy · a σ(b) (1 - σ(b))

    Raises DtypeError; IndexRangeError where x has no axis dim; ShapeError where it is odd.
    Twin: torch.nn.GLU. Source: Dauphin et al. (2016), arXiv:1612.08083.
    """

    dim: int = -1

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        if not -x.ndim <= self.dim < x.ndim:
            raise IndexRangeError(
                f"{self} needs x to have an axis {self.dim}, but got x of shape {x.shape}."
            )
        if x.shape[self.dim] % 2:
            raise ShapeError(
                f"{self} needs x to be of even size along the axis {self.dim}, but got {x.shape}."
            )
        a, b = np.split(x, 2, self.dim)
        gate = in_blocks(sigmoid, b)

        def vjp(dy: Array) -> Grads:
            da = dy * gate
            db = da * a * (1 - gate)
            return Grads((np.concatenate((da, db), self.dim),))

        return Forward(a * gate, vjp)
