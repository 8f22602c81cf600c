"""Normalisation of every channel of every sample by itself; for every number of axes."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._standardise import Channels, adjoint, affine, row_means, standardise


@dataclass(frozen=True)
class InstanceNorm1d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), per channel and sample.

    x, y: (N, C, L) or (C, L), where C = num_features
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    dx = rstd · (g - E[g] - x̂ E[g x̂]), where g = dy · weight and rstd = 1 / √(Var[x] + eps)
    dweight = Σ dy x̂    dbias = Σ dy, over all axes but C

    By default there are no weight, no bias and no running statistics: E and Var, the biased one
    (÷ n), are those of the sample itself, in training and in evaluation. affine: there are weight
    and bias; with bias=False, weight alone.

    track_running_stats: in training they follow the mean over the samples of E, and of the unbiased
    variance (÷ (n - 1)):

        running ← (1 - m) · running + m · mean over N,    m = momentum, and 0 for None

    In evaluation they take the places of E and Var, and do not depend on x: dx = rstd · g.
    num_batches_tracked is never counted, and an empty batch makes the running statistics nan.
    num_features means nothing without weight and without running statistics; nor does it in torch.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel and sample.
    Twin: torch.nn.InstanceNorm1d. Source: Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = False
    track_running_stats: bool = False
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, axes=1)


@dataclass(frozen=True)
class InstanceNorm2d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), per channel and sample.

    x, y: (N, C, H, W) or (C, H, W)
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    Everything else is as in InstanceNorm1d.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel and sample.
    Twin: torch.nn.InstanceNorm2d. Source: Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = False
    track_running_stats: bool = False
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, axes=2)


@dataclass(frozen=True)
class InstanceNorm3d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), per channel and sample.

    x, y: (N, C, D, H, W) or (C, D, H, W)
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    Everything else is as in InstanceNorm1d.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel and sample.
    Twin: torch.nn.InstanceNorm3d. Source: Ulyanov, Vedaldi & Lempitsky (2016), arXiv:1607.08022.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = False
    track_running_stats: bool = False
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, axes=3)


_InstanceNorm: TypeAlias = InstanceNorm1d | InstanceNorm2d | InstanceNorm3d


def _normalise(layer: _InstanceNorm, state: State, x: Array, axes: int) -> Forward:
    require_floats(layer, x, state)
    channels = x.shape[-1 - axes] if x.ndim > axes else None
    counts = layer.affine or layer.track_running_stats
    if x.ndim not in (axes + 1, axes + 2) or (counts and channels != layer.num_features):
        raise ShapeError(
            f"{layer} needs x with {axes + 1} or {axes + 2} axes, of which that before the last "
            f"{axes} has size {layer.num_features}, but got {x.shape}."
        )
    N = len(x) if x.ndim == axes + 2 else 1
    C, each = x.shape[-1 - axes], math.prod(x.shape[-axes:])
    rows, channels = (N * C, each), Channels(N, C, each)
    of_the_sample = layer.training or not layer.track_running_stats
    if of_the_sample and each == 1:
        raise ShapeError(
            f"{layer} needs more than one value per channel and sample, but got {x.shape}."
        )

    updates: dict[str, Array] = {}
    if of_the_sample:
        xhat, rstd, mu, var = standardise(x.reshape(rows), row_means, layer.eps)
        if layer.track_running_stats:
            unbiased = var * (each / max(each - 1, 1))
            updates = _track(layer, state, mu.reshape(N, C), unbiased.reshape(N, C))
    else:
        rstd = channels.spread(1 / np.sqrt(state["running_var"] + layer.eps))
        xhat = x.reshape(channels.shape) - channels.spread(state["running_mean"])
        xhat *= rstd
    weight = state["weight"] if layer.affine else None
    bias = state["bias"] if layer.affine and layer.bias else None
    y, affine_vjp = affine(xhat.reshape(channels.shape), weight, bias, channels)

    def vjp(dy: Array) -> Grads:
        g, params = affine_vjp(dy.reshape(channels.shape))
        dx = adjoint(g.reshape(rows), xhat, rstd, row_means) if of_the_sample else g * rstd
        return Grads((dx.reshape(x.shape),), params)

    return Forward(y.reshape(x.shape), vjp, updates)


def _track(layer: _InstanceNorm, state: State, mu: Array, var: Array) -> dict[str, Array]:
    """The running statistics after a batch; mu and var are (N, C)."""
    m = layer.momentum if layer.momentum is not None else 0.0
    found = {}
    for name, now in (("running_mean", mu), ("running_var", var)):
        batch = now.mean(0) if len(now) else np.full(now.shape[1], np.nan, now.dtype)
        found[name] = (1 - m) * state[name] + m * batch
    return found


def _check(layer: _InstanceNorm) -> None:
    if layer.num_features < 0:
        name = type(layer).__name__
        raise ConfigError(f"{name} needs num_features >= 0, but got {layer.num_features}.")


def _init(layer: _InstanceNorm) -> dict[str, Array]:
    state: dict[str, Array] = {}
    if layer.affine:
        state["weight"] = np.ones(layer.num_features, np.float32)
        if layer.bias:
            state["bias"] = np.zeros(layer.num_features, np.float32)
    if layer.track_running_stats:
        state["running_mean"] = np.zeros(layer.num_features, np.float32)
        state["running_var"] = np.ones(layer.num_features, np.float32)
        state["num_batches_tracked"] = np.zeros((), np.int64)
    return state
