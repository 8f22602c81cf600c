"""The cosine as one quotient, and norms by powers."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered


@dataclass(frozen=True)
class CosineSimilarity(nn.CosineSimilarity):
    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        a, b = (np.atleast_1d(x) for x in np.broadcast_arrays(x1, x2))
        a, b = np.moveaxis(a, self.dim, -1), np.moveaxis(b, self.dim, -1)
        eps = a.dtype.type(self.eps)
        norms = [np.sqrt(np.einsum("...i,...i->...", v, v))[..., None] for v in (a, b)]
        n1, n2 = (np.where(n < eps, eps, n) for n in norms)
        y = np.einsum("...i,...i->...", a / n1, b / n2)

        def back(v: Array, norm: Array, low: Array, other: Array, dy: Array) -> Array:
            unit = np.where(norm > 0, v / norm, 0)
            g = dy[..., None] / low
            along = np.einsum("...i,...i->...", other, v / low)[..., None]
            return np.moveaxis(g * other - g * along * unit, -1, self.dim)

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(y.shape)
            d1 = back(a, norms[0], n1, b / n2, dy)
            d2 = back(b, norms[1], n2, a / n1, dy)
            shaped = d1.reshape(np.broadcast_shapes(x1.shape, x2.shape))
            return Grads(
                (gathered(x1, shaped, shaped), gathered(x2, d2.reshape(shaped.shape), shaped))
            )

        return Forward(y, vjp)


@dataclass(frozen=True)
class PairwiseDistance(nn.PairwiseDistance):
    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        p = self.p
        d = np.atleast_1d((x1 - x2) + x1.dtype.type(self.eps))
        size = np.abs(d)
        if p == 0:
            y = (size > 0).sum(-1, keepdims=True).astype(d.dtype)
        elif np.isinf(p):
            y = size.max(-1, keepdims=True) if p > 0 else size.min(-1, keepdims=True)
        elif p == 2:
            y = np.sqrt(np.einsum("...i,...i->...", d, d))[..., None]
        else:
            y = (size**p).sum(-1, keepdims=True) ** (1 / p)

        def vjp(dy: Array) -> Grads:
            g = dy.reshape(y.shape)
            if p == 0:
                dx = np.zeros_like(d)
            elif np.isinf(p):
                top = size == y
                dx = g / top.sum(-1, keepdims=True).astype(d.dtype) * np.sign(d) * top
            else:
                dx = g * np.sign(d) * size ** (p - 1) * y ** (1 - p)
                dx = np.where((size > 0) & (y > 0), dx, 0)
            dx = dx.reshape(np.broadcast_shapes(x1.shape, x2.shape))
            return Grads((gathered(x1, dx, dx), gathered(x2, -dx, dx)))

        kept = self.keepdim and max(x1.ndim, x2.ndim) > 0
        return Forward(y if kept else y[..., 0], vjp)


ALTERNATIVES = {"CosineSimilarity": CosineSimilarity, "PairwiseDistance": PairwiseDistance}
