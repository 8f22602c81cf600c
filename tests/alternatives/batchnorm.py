"""BatchNorm with Welford's variance, and the backward pass in one fraction."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._welford import mean_and_variance


def _normalise(
    layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, state: State, x: Array
) -> Forward:
    samples = np.moveaxis(x, 1, -1)
    shape, n = samples.shape, x.size // layer.num_features
    samples = samples.reshape(n, layer.num_features)
    of_the_batch = layer.training or not layer.track_running_stats

    if of_the_batch:
        mean, variance = mean_and_variance(samples)
    else:
        mean, variance = state["running_mean"], state["running_var"]
    updates = {}
    if layer.training and layer.track_running_stats:
        updates["num_batches_tracked"] = state["num_batches_tracked"] + 1
        m = layer.momentum
        if m is None:
            m = 1 / int(updates["num_batches_tracked"])
        if n > 1:
            unbiased = variance * n / (n - 1)
            for name, now in {"running_mean": mean, "running_var": unbiased}.items():
                updates[name] = state[name] * (1 - m) + now * m

    deviation = np.sqrt(variance + layer.eps)
    xhat = (samples - mean) / deviation
    weight = state["weight"] if layer.affine else np.ones(layer.num_features, x.dtype)
    y = xhat * weight
    if layer.affine and layer.bias:
        y = y + state["bias"]

    def vjp(dy: Array) -> Grads:
        g = np.moveaxis(dy, 1, -1).reshape(samples.shape)
        dbias, dweight = np.einsum("nc->c", g), np.einsum("nc,nc->c", g, xhat)
        dx = g
        if of_the_batch:
            dx = g - (dbias + xhat * dweight) / max(n, 1)
        dx = dx * (weight / deviation)
        params = {}
        if layer.affine:
            params["weight"] = dweight
            if layer.bias:
                params["bias"] = dbias
        return Grads((np.moveaxis(dx.reshape(shape), -1, 1),), params)

    return Forward(np.moveaxis(y.reshape(shape), -1, 1), vjp, updates)


@dataclass(frozen=True)
class BatchNorm1d(nn.BatchNorm1d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x)


@dataclass(frozen=True)
class BatchNorm2d(nn.BatchNorm2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x)


@dataclass(frozen=True)
class BatchNorm3d(nn.BatchNorm3d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x)


ALTERNATIVES = {
    "BatchNorm1d": BatchNorm1d,
    "BatchNorm2d": BatchNorm2d,
    "BatchNorm3d": BatchNorm3d,
}
