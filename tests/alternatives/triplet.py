"""Losses of embeddings on other distances, and the cosine as one quotient."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, reduced
from tests.alternatives.distance import PairwiseDistance


@dataclass(frozen=True)
class TripletMarginLoss(nn.TripletMarginLoss):
    def __call__(self, state: State, anchor: Array, positive: Array, negative: Array) -> Forward:
        distance = PairwiseDistance(self.p, self.eps)
        forwards = [
            distance({}, anchor, positive),
            distance({}, anchor, negative),
            distance({}, positive, negative),
        ]
        near, far, other = np.broadcast_arrays(*(np.asarray(f.y) for f in forwards))
        smaller = np.where(other < far, other, far) if self.swap else far
        z = near.dtype.type(self.margin) + (near - smaller)
        y, scale = reduced(self, np.where(z > 0, z, 0))

        def vjp(dy: Array) -> Grads:
            g = np.where(z > 0, dy * scale, 0)
            mine = np.where(other < far, 0, np.where(other == far, z.dtype.type(0.5), 1))
            parts = (g, -g * mine, g * mine - g) if self.swap else (g, -g, 0 * g)

            def of(f: Forward, part: Array) -> tuple[Array, ...]:
                return f.vjp(gathered(np.asarray(f.y), part, z)).inputs

            (a1, p1), (a2, n1), (p2, n2) = (
                of(f, part) for f, part in zip(forwards, parts, strict=True)
            )
            return Grads((a1 + a2, p1 + p2, n1 + n2))

        return Forward(y, vjp)


@dataclass(frozen=True)
class CosineEmbeddingLoss(nn.CosineEmbeddingLoss):
    def __call__(self, state: State, input1: Array, input2: Array, target: Array) -> Forward:
        x1, x2 = input1, input2
        tiny = np.maximum(x1.dtype.type(1e-12), np.finfo(x1.dtype).smallest_subnormal)
        m1 = np.einsum("...i,...i->...", x1, x1)[..., None] + tiny
        m2 = np.einsum("...i,...i->...", x2, x2)[..., None] + tiny
        r1, r2 = 1 / np.sqrt(m1), 1 / np.sqrt(m2)
        products = x1 * x2
        c = (products * r1 * r2).sum(-1)
        t = np.broadcast_to(target, np.broadcast_shapes(target.shape, c.shape))
        z = c - x1.dtype.type(self.margin)
        losses = np.where(t == 1, 1 - c, np.where((t == -1) & (z > 0), z, 0))
        y, scale = reduced(self, losses)

        def vjp(dy: Array) -> Grads:
            g = np.where(t == 1, -dy * scale, np.where((t == -1) & (z > 0), dy * scale, 0))
            g = gathered(c, g, t)[..., None]
            e = c[..., None]
            d1 = gathered(x1, g * (x2 * r1 * r2), products)
            d2 = gathered(x2, g * (x1 * r1 * r2), products)
            rows1, rows2 = g * e * (x1 * r1 * r1), g * e * (x2 * r2 * r2)
            return Grads((d1 - gathered(x1, rows1, rows1), d2 - gathered(x2, rows2, rows2), None))

        return Forward(y, vjp)


ALTERNATIVES = {
    "TripletMarginLoss": TripletMarginLoss,
    "CosineEmbeddingLoss": CosineEmbeddingLoss,
}
