"""Losses over classes by one-hot labels, and the divergence with its terms apart."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._losses import gathered, how, reduced


@dataclass(frozen=True)
class CrossEntropyLoss(nn.CrossEntropyLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        axis = 0 if prediction.ndim < 2 else 1
        x = np.moveaxis(prediction, axis, -1)
        classes, dtype = x.shape[-1], x.dtype
        w = np.ones(classes, dtype) if self.weight is None else state["weight"]
        labelled = target.shape != prediction.shape
        if labelled:
            one_hot = (target[..., None] == np.arange(classes)).astype(dtype)
            one_hot *= (target != self.ignore_index)[..., None]
            used = one_hot.sum(-1, keepdims=True)
            n = (one_hot @ w).sum()
        else:
            one_hot, used = np.moveaxis(target, axis, -1), dtype.type(1)
            n = dtype.type(x.size // classes)
        uniform = np.full(classes, self.label_smoothing / classes, dtype)
        q = (one_hot - self.label_smoothing * one_hot + used * uniform) * w
        z = x - x.max(-1, keepdims=True, initial=-np.inf)
        e = np.exp(z)
        logp = z - np.log(np.einsum("...c->...", e))[..., None]
        y, scale = reduced(self, -np.asarray(np.einsum("...c,...c->...", q, logp)), n)

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(dy * scale, x.shape[:-1])[..., None]
            if labelled:
                g = np.where(used > 0, g, dtype.type(0))
            p = e / np.einsum("...c->...", e)[..., None]
            dlogp = -g * q
            dx = dlogp - p * np.einsum("...c->...", dlogp)[..., None]
            dx = np.moveaxis(dx, -1, axis)
            if labelled:
                return Grads((dx, None))
            return Grads((dx, np.moveaxis(-g * w * (1 - self.label_smoothing) * logp, -1, axis)))

        return Forward(y, vjp)


@dataclass(frozen=True)
class NLLLoss(nn.NLLLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        axis = 0 if prediction.ndim < 2 else 1
        x = np.moveaxis(prediction, axis, -1)
        classes, dtype = x.shape[-1], x.dtype
        w = np.ones(classes, dtype) if self.weight is None else state["weight"]
        used = (target != self.ignore_index)[..., None]
        one_hot = np.where(used & (target[..., None] == np.arange(classes)), w, dtype.type(0))
        y, scale = reduced(self, -np.einsum("...c,...c->...", one_hot, x), one_hot.sum())

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(dy * scale, x.shape[:-1])[..., None]
            dx = np.where(one_hot != 0, -(g * one_hot), dtype.type(0))
            return Grads((np.moveaxis(dx, -1, axis), None))

        return Forward(y, vjp)


@dataclass(frozen=True)
class KLDivLoss(nn.KLDivLoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        x, t = np.broadcast_arrays(prediction, target)
        n = None
        if how(self) == "batchmean":
            n = prediction.shape[0] if prediction.ndim else 1
        if self.log_target:
            p, log_p = np.exp(t), t
        else:
            p, log_p = t, np.log(t)
        losses = np.where(p == 0, p, p * (log_p - x))
        y, scale = reduced(self, losses, n)

        def vjp(dy: Array) -> Grads:
            g = dy * scale
            dt = g * (log_p - x) + g
            if self.log_target:
                dt = dt * p
            return Grads((gathered(prediction, -(g * p), x), gathered(target, dt, x)))

        return Forward(y, vjp)


ALTERNATIVES = {
    "CrossEntropyLoss": CrossEntropyLoss,
    "NLLLoss": NLLLoss,
    "KLDivLoss": KLDivLoss,
}
