"""InstanceNorm as one BatchNorm over N·C channels, and as LayerNorm over every plane."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State
from tests.alternatives._welford import mean_and_variance


def _normalise(
    layer: nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d,
    state: State,
    x: Array,
    axes: int,
) -> Forward:
    batch = x if x.ndim == axes + 2 else x[np.newaxis]
    N, C = batch.shape[:2]
    samples = batch.reshape(N * C, -1).T if batch.size else np.zeros((1, 0), x.dtype)
    n = max(len(samples), 1)
    own = layer.training or not layer.track_running_stats
    if own:
        mean, variance = mean_and_variance(samples)
    else:
        mean, variance = np.tile(state["running_mean"], N), np.tile(state["running_var"], N)
    updates = {}
    if layer.training and layer.track_running_stats:
        m = layer.momentum or 0.0
        for name, now in {
            "running_mean": mean,
            "running_var": variance * n / max(n - 1, 1),
        }.items():
            each = state[name] * (1 - m) + now.reshape(N, C) * m
            updates[name] = each.mean(0, dtype=x.dtype)
    deviation = np.sqrt(variance + layer.eps)
    xhat = (samples - mean) / deviation
    weight = np.tile(state["weight"], N) if layer.affine else np.ones(N * C, x.dtype)
    y = weight * xhat
    if layer.affine and layer.bias:
        y = y + np.tile(state["bias"], N)

    def vjp(dy: Array) -> Grads:
        g = dy.reshape(N * C, -1).T if batch.size else np.zeros_like(samples)
        along, constant = np.einsum("nc,nc->c", g, xhat), np.einsum("nc->c", g)
        dx = (g - (constant + xhat * along) / n if own else g) * (weight / deviation)
        params = {}
        if layer.affine:
            params["weight"] = along.reshape(N, C).sum(0)
            if layer.bias:
                params["bias"] = constant.reshape(N, C).sum(0)
        return Grads((dx.T.reshape(x.shape),), params)

    return Forward(y.T.reshape(x.shape), vjp, updates)


@dataclass(frozen=True)
class InstanceNorm1d(nn.InstanceNorm1d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x, 1)


@dataclass(frozen=True)
class InstanceNorm2d(nn.InstanceNorm2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x, 2)


@dataclass(frozen=True)
class InstanceNorm3d(nn.InstanceNorm3d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _normalise(self, state, x, 3)


ALTERNATIVES = {
    "InstanceNorm1d": InstanceNorm1d,
    "InstanceNorm2d": InstanceNorm2d,
    "InstanceNorm3d": InstanceNorm3d,
}
