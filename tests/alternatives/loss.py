"""Cross entropy by one-hot labels, BCE by log σ, and means as products with a constant."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _how(loss: Any) -> str:
    if loss.reduce is False:
        return "none"
    if loss.size_average is False:
        return "sum"
    if loss.size_average is None and loss.reduce is None:
        return str(loss.reduction)
    return "mean"


def _reduced(loss: Any, losses: Array, n: Any) -> tuple[Array, Any]:
    """The losses reduced, and what dy is multiplied by on its way back."""
    how = _how(loss)
    if how == "none":
        return losses, losses.dtype.type(1)
    scale = losses.dtype.type(1) / n if how == "mean" else losses.dtype.type(1)
    return np.asarray(np.einsum("i->", losses.reshape(losses.size))) * scale, scale


@dataclass(frozen=True)
class MSELoss(nn.MSELoss):
    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        a, b = np.broadcast_arrays(prediction, target)
        d = a - b
        y, scale = _reduced(self, np.square(d), d.dtype.type(d.size))

        def vjp(dy: Array) -> Grads:
            g = np.where(d == 0, d, (dy + dy) * scale * d)

            def gathered(x: Array) -> Array:
                dx = np.zeros(x.shape, x.dtype)
                places = np.broadcast_to(np.arange(x.size).reshape(x.shape), g.shape)
                np.add.at(dx.reshape(-1), places.reshape(-1), g.reshape(-1))
                return dx

            return Grads((gathered(prediction), -gathered(target)))

        return Forward(y, vjp)


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
        y, scale = _reduced(self, -np.asarray(np.einsum("...c,...c->...", q, logp)), n)

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
        y, scale = _reduced(self, losses, x.dtype.type(x.size))

        def vjp(dy: Array) -> Grads:
            g = dy * scale * w
            sigma = np.where(x >= 0, one, e) / (1 + e)
            dx = (scale_of_log * sigma - pos * t) * g
            if self.pos_weight is None:
                return Grads((dx, -(x * g)))
            log_of_minus = -(np.maximum(x, 0) + np.log1p(e))
            return Grads((dx, (log_of_minus - pos * log_sigma) * g))

        return Forward(y, vjp)


ALTERNATIVES = {
    "MSELoss": MSELoss,
    "CrossEntropyLoss": CrossEntropyLoss,
    "BCEWithLogitsLoss": BCEWithLogitsLoss,
}
