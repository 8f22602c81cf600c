"""LayerNorm with Welford's variance, and the backward pass in one fraction."""

import math
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._welford import mean_and_variance


@dataclass(frozen=True)
class LayerNorm(nn.LayerNorm):
    def __call__(self, state: State, x: Array) -> Forward:
        shape = np.empty(self.normalized_shape).shape
        n, batch = math.prod(shape), x.shape[: x.ndim - len(shape)]
        columns = x.reshape(math.prod(batch), n).T
        mean, variance = mean_and_variance(columns)
        deviation = np.sqrt(variance + self.eps)
        xhat = (columns - mean) / deviation
        weight = np.ones((n, 1), x.dtype)
        if self.elementwise_affine:
            weight = state["weight"].reshape(n, 1)
        y = weight * xhat
        if self.elementwise_affine and self.bias:
            y = y + state["bias"].reshape(n, 1)

        def vjp(dy: Array) -> Grads:
            g = dy.reshape(math.prod(batch), n).T
            dxhat = g * weight
            along, constant = np.einsum("nb,nb->b", dxhat, xhat), np.einsum("nb->b", dxhat)
            dx = (dxhat - (constant + xhat * along) / max(n, 1)) / deviation
            params = {}
            if self.elementwise_affine:
                params["weight"] = np.einsum("nb,nb->n", g, xhat).reshape(shape)
                if self.bias:
                    params["bias"] = np.einsum("nb->n", g).reshape(shape)
            return Grads((dx.T.reshape(x.shape),), params)

        return Forward(y.T.reshape(x.shape), vjp)


ALTERNATIVES = {"LayerNorm": LayerNorm}
