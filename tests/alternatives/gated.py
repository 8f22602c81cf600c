"""The gated linear unit by the hyperbolic tangent."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class GLU(nn.GLU):
    def __call__(self, state: State, x: Array) -> Forward:
        n = x.shape[self.dim] // 2
        x = np.moveaxis(x, self.dim, 0)
        t = np.tanh(x[n:] / 2)
        y = x[:n] * ((1 + t) / 2)

        def vjp(dy: Array) -> Grads:
            g = np.moveaxis(dy, self.dim, 0)
            dx = np.concatenate((g * ((1 + t) / 2), g * (x[:n] * ((1 + t) / 2 * ((1 - t) / 2)))))
            return Grads((np.moveaxis(dx, 0, self.dim),))

        return Forward(np.moveaxis(y, 0, self.dim), vjp)


ALTERNATIVES = {"GLU": GLU}
