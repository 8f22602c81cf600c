"""GroupNorm as torch's own kernel does it: y = x·a + b, and dx = c1·dy + c2·x + c3."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class GroupNorm(nn.GroupNorm):
    def __call__(self, state: State, x: Array) -> Forward:
        N, C, G = len(x), self.num_channels, self.num_groups
        grouped = x.reshape(N, G, C // G, int(np.prod(x.shape[2:])))
        n = max(grouped.shape[2] * grouped.shape[3], 1)
        weight = state["weight"] if self.affine else np.ones(C, x.dtype)
        w = weight.reshape(G, C // G, 1)

        mu = grouped.sum((2, 3), keepdims=True) / n
        var = np.square(grouped - mu).sum((2, 3), keepdims=True) / n
        rstd = np.reciprocal(np.sqrt(var + self.eps))
        scale = w * rstd
        shift = -mu * scale
        if self.affine and self.bias:
            shift = shift + state["bias"].reshape(G, C // G, 1)
        y = grouped * scale + shift

        def vjp(dy: Array) -> Grads:
            g = dy.reshape(grouped.shape)
            along = (g * (grouped - mu)).sum(3, keepdims=True) * rstd  # of every channel
            constant = g.sum(3, keepdims=True)
            c2 = -(along * w).sum((2, 3), keepdims=True) * rstd * rstd / n
            c3 = -(constant * w).sum((2, 3), keepdims=True) * rstd / n
            dx = scale * g + (c2 * (grouped - mu) + c3)
            params = {}
            if self.affine:
                params["weight"] = along.sum(0).reshape(C)
                if self.bias:
                    params["bias"] = constant.sum(0).reshape(C)
            return Grads((dx.reshape(x.shape),), params)

        return Forward(y.reshape(x.shape), vjp)


ALTERNATIVES = {"GroupNorm": GroupNorm}
