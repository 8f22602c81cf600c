"""Binary cross entropies by log σ, with logarithms as textbooks have them."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, reduced


@dataclass(frozen=True)
class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        x, t = prediction, target
        one = x.dtype.type(1)
        w = one if self.weight is None else state["weight"]
        pos = one if self.pos_weight is None else state["pos_weight"]
        e = np.exp(-np.abs(x))
        log_sigma = np.minimum(x, 0) - np.log1p(e)
        scale_of_log = 1 + (pos - 1) * t
        losses = ((1 - t) * x - scale_of_log * log_sigma) * w
        y, scale = reduced(self, losses, x.dtype.type(x.size))

        def vjp(dy: Array) -> Grads:
            g = dy * scale * w
            sigma = np.where(x >= 0, one, e) / (1 + e)
            dx = (scale_of_log * sigma - pos * t) * g
            if self.pos_weight is None:
                return Grads((dx, -(x * g)))
            log_of_minus = -(np.maximum(x, 0) + np.log1p(e))
            return Grads((dx, (log_of_minus - pos * log_sigma) * g))

        return Forward(y, vjp)


@dataclass(frozen=True)
class BCELoss(nn.BCELoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        p, t = prediction, target
        one = p.dtype.type(1)
        w = one if self.weight is None else state["weight"]
        log_p, log_q = np.log(p), np.log(one - p)
        losses = (t - 1) * np.maximum(log_q, -100) - t * np.maximum(log_p, -100)
        y, scale = reduced(self, losses * w)

        def vjp(dy: Array) -> Grads:
            g = dy * scale * w
            variance = p - p * p
            least = np.maximum(p.dtype.type(1e-12), np.finfo(p.dtype).smallest_subnormal)
            variance = np.where(p > 0.5, p * (1 - p), variance)
            dp = (p - t) / np.where(variance < least, least, variance) * g
            return Grads((dp, (log_q - log_p) * g))

        return Forward(y, vjp)


@dataclass(frozen=True)
class MultiLabelSoftMarginLoss(nn.MultiLabelSoftMarginLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        one = prediction.dtype.type(1)
        weight = one if self.weight is None else state["weight"]
        t = target.astype(prediction.dtype)
        x, t, w = np.broadcast_arrays(prediction, t, weight)
        axis, classes = prediction.ndim - 1, prediction.shape[-1]
        e = np.exp(-np.abs(x))
        log_sigma = np.minimum(x, 0) - np.log1p(e)
        each = (t * x - x + log_sigma) * w  # log σ(-x) = log σ(x) - x
        y, scale = reduced(self, -np.moveaxis(each, axis, -1).sum(-1) / classes)

        def vjp(dy: Array) -> Grads:
            g = np.expand_dims(np.broadcast_to(dy * scale, each.sum(axis).shape), axis)
            g = g * w * (one / max(classes, 1))
            sigma = np.where(x >= 0, one, e) / (1 + e)
            dx = gathered(prediction, (sigma - t) * g, x)
            dt = None if target.dtype.kind != "f" else gathered(target, -(x * g), x)
            return Grads((dx, dt))

        return Forward(y, vjp)


@dataclass(frozen=True)
class SoftMarginLoss(nn.SoftMarginLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        z = prediction * target.astype(prediction.dtype)
        e = np.exp(-z)
        y, scale = reduced(self, np.log1p(e))

        def vjp(dy: Array) -> Grads:
            return Grads((-(dy * scale) * target.astype(z.dtype) / (1 + np.exp(z)), None))

        return Forward(y, vjp)


ALTERNATIVES = {
    "BCELoss": BCELoss,
    "BCEWithLogitsLoss": BCEWithLogitsLoss,
    "MultiLabelSoftMarginLoss": MultiLabelSoftMarginLoss,
    "SoftMarginLoss": SoftMarginLoss,
}
