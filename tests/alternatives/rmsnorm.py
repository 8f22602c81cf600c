"""RMSNorm by the norm, and its gradient by the derivative of the root."""

import math
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class RMSNorm(nn.RMSNorm):
    def __call__(self, state: State, x: Array) -> Forward:
        shape = np.empty(self.normalized_shape).shape
        n, batch = math.prod(shape), x.shape[: x.ndim - len(shape)]
        columns = x.reshape(math.prod(batch), n).T
        eps = self.eps
        if eps is None:
            eps = 2.0**-52 if x.dtype == np.float64 else 2.0**-23
        root = np.sqrt(np.einsum("nb,nb->b", columns, columns) / max(n, 1) + eps)
        weight = state["weight"].reshape(n, 1) if self.elementwise_affine else 1
        y = columns / root * weight

        def vjp(dy: Array) -> Grads:
            g = dy.reshape(math.prod(batch), n).T
            dxhat = g * weight
            xhat = columns / root
            dx = (dxhat - xhat * (np.einsum("nb,nb->b", dxhat, xhat) / max(n, 1))) / root
            params = {}
            if self.elementwise_affine:
                params["weight"] = np.einsum("nb,nb->n", g, xhat).reshape(shape)
            return Grads((dx.T.reshape(x.shape),), params)

        return Forward(y.T.reshape(x.shape), vjp)


ALTERNATIVES = {"RMSNorm": RMSNorm}
