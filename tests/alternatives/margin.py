"""Margin losses sample by sample and pair by pair."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, reduced


@dataclass(frozen=True)
class MarginRankingLoss(nn.MarginRankingLoss):
    def __call__(self, state: State, input1: Array, input2: Array, target: Array) -> Forward:
        a, b, t = np.broadcast_arrays(input1, input2, target.astype(input1.dtype))
        z = t * (b - a) + input1.dtype.type(self.margin)
        y, scale = reduced(self, np.where(z > 0, z, 0))

        def vjp(dy: Array) -> Grads:
            g = np.where(z > 0, dy * scale, 0)
            dt = None if target.dtype.kind != "f" else gathered(target, g * (b - a), z)
            return Grads((gathered(input1, -(g * t), z), gathered(input2, g * t, z), dt))

        return Forward(y, vjp)


@dataclass(frozen=True)
class HingeEmbeddingLoss(nn.HingeEmbeddingLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        x, t = np.broadcast_arrays(prediction, target)
        hinge = np.where(x < self.margin, x.dtype.type(self.margin) - x, 0)
        losses = np.where(t == 1, x, np.where(t == -1, hinge, x + hinge))
        y, scale = reduced(self, losses)

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(dy * scale, x.shape)
            inside = np.where(x < self.margin, -g, 0)  # 0 at the margin: torch 2.14
            dx = np.where(t == 1, g, np.where(t == -1, inside, g + inside))
            return Grads((gathered(prediction, dx, x), None))

        return Forward(y, vjp)


@dataclass(frozen=True)
class MultiMarginLoss(nn.MultiMarginLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        x = np.atleast_2d(prediction)
        n, classes = x.shape
        margin, one = x.dtype.type(self.margin), x.dtype.type(1)
        losses, dxs = np.zeros(n, x.dtype), np.zeros(x.shape, x.dtype)
        for i, label in enumerate(target.reshape(-1)):
            w = (one if self.weight is None else state["weight"][label]) / classes
            for c in range(classes):
                z = x[i, c] - x[i, label] + margin
                if c != label and z > 0:
                    losses[i] += z**self.p * w
                    dxs[i, c] += self.p * z ** (self.p - 1) * w
                    dxs[i, label] -= self.p * z ** (self.p - 1) * w
        y, scale = reduced(self, losses.reshape(target.shape), n)

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to((dy * scale).reshape(-1, 1), (n, 1))
            return Grads(((g * dxs).reshape(prediction.shape), None))

        return Forward(y, vjp)


@dataclass(frozen=True)
class MultiLabelMarginLoss(nn.MultiLabelMarginLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        x = np.atleast_2d(prediction)
        n, classes = x.shape
        losses, counts = np.zeros(n, x.dtype), np.zeros(x.shape, x.dtype)
        for i, row in enumerate(target.reshape(x.shape).tolist()):
            labels = row[: row.index(-1)] if -1 in row else row
            for label in labels:
                for c in set(range(classes)) - set(labels):
                    z = x[i, c] - x[i, label] + 1
                    if z > 0:
                        losses[i] += z
                        counts[i, c] += 1
                        counts[i, label] -= 1
        y, scale = reduced(self, (losses / classes).reshape(prediction.shape[:-1]), n)

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to((dy * scale).reshape(-1, 1), (n, 1))
            return Grads(((counts * g / classes).reshape(prediction.shape), None))

        return Forward(y, vjp)


ALTERNATIVES = {
    "MarginRankingLoss": MarginRankingLoss,
    "HingeEmbeddingLoss": HingeEmbeddingLoss,
    "MultiMarginLoss": MultiMarginLoss,
    "MultiLabelMarginLoss": MultiLabelMarginLoss,
}
