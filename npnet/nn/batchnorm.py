"""Normalisation over the batch, channel by channel; one implementation for every number of axes."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._standardise import Channels, adjoint, affine, standardise


@dataclass(frozen=True)
class BatchNorm1d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), for each channel by itself.

    x, y: (N, C) or (N, C, L), where C = num_features
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    dx = rstd · (g - E[g] - x̂ E[g x̂]), where g = dy · weight and rstd = 1 / √(Var[x] + eps)
    dweight = Σ dy x̂    dbias = Σ dy, over all axes but C

    Training: E and Var are those of the batch, over all axes but C, and Var is the biased variance
    (÷ n). The running statistics follow them, and running_var receives the unbiased variance
    (÷ (n - 1)):

        running ← (1 - m) · running + m · batch,    m = momentum

    momentum=None: m = 1 / num_batches_tracked (after counting this batch), the average so far.
    An empty batch is counted, but leaves the running statistics alone.

    Evaluation (training=False): E and Var are the running statistics, which do not depend on x:
    dx = rstd · g. track_running_stats=False: there are none, and the batch's are used in evaluation
    too. affine=False: there is neither weight nor bias; bias=False: there is no bias.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel in training.
    Twin: torch.nn.BatchNorm1d. Source: Ioffe & Szegedy (2015), arXiv:1502.03167.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, dims=(2, 3))


@dataclass(frozen=True)
class BatchNorm2d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), for each channel by itself.

    x, y: (N, C, H, W)
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    Everything else is as in BatchNorm1d.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel in training.
    Twin: torch.nn.BatchNorm2d. Source: Ioffe & Szegedy (2015), arXiv:1502.03167.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, dims=(4,))


@dataclass(frozen=True)
class BatchNorm3d:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps), for each channel by itself.

    x, y: (N, C, D, H, W)
    weight, bias, running_mean, running_var: (C,)    num_batches_tracked: ()

    Everything else is as in BatchNorm1d.

    Raises ConfigError, DtypeError; ShapeError, also for one value per channel in training.
    Twin: torch.nn.BatchNorm3d. Source: Ioffe & Szegedy (2015), arXiv:1502.03167.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = field(default=True, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = running_var = 1, bias = running_mean = num_batches_tracked = 0."""
        return _init(self)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradients of x, weight and bias, and in training the next running statistics."""
        return _normalise(self, state, x, dims=(5,))


_BatchNorm: TypeAlias = BatchNorm1d | BatchNorm2d | BatchNorm3d


def _normalise(layer: _BatchNorm, state: State, x: Array, dims: tuple[int, ...]) -> Forward:
    require_floats(layer, x, state)
    if x.ndim not in dims or x.shape[1] != layer.num_features:
        raise ShapeError(
            f"{layer} needs x with {' or '.join(map(str, dims))} axes, the second of them of size "
            f"{layer.num_features}, but got {x.shape}."
        )
    N, C, *rest = x.shape
    channels = Channels(N, C, math.prod(rest))
    n = channels.n
    of_the_batch = layer.training or not layer.track_running_stats
    if of_the_batch and n == 1:
        raise ShapeError(
            f"{layer} needs more than one value per channel, but got {x.shape}. You might need a "
            "larger batch, or the running statistics (training=False)."
        )

    updates: dict[str, Array] = {}
    if of_the_batch:
        xhat, rstd, mu, var = standardise(x.reshape(channels.shape), channels.mean, layer.eps)
        if layer.training and layer.track_running_stats:
            updates = _track(layer, state, channels.pick(mu), channels.pick(var), n)
    else:
        rstd = channels.spread(1 / np.sqrt(state["running_var"] + layer.eps))
        xhat = x.reshape(channels.shape) - channels.spread(state["running_mean"])
        xhat *= rstd
    weight = state["weight"] if layer.affine else None
    bias = state["bias"] if layer.affine and layer.bias else None
    y, affine_vjp = affine(xhat, weight, bias, channels)

    def vjp(dy: Array) -> Grads:
        g, params = affine_vjp(dy.reshape(channels.shape))
        dx = adjoint(g, xhat, rstd, channels.mean) if of_the_batch else g * rstd
        return Grads((dx.reshape(x.shape),), params)

    return Forward(y.reshape(x.shape), vjp, updates)


def _track(layer: _BatchNorm, state: State, mu: Array, var: Array, n: int) -> dict[str, Array]:
    """The running statistics after a batch of n values per channel; var is the biased variance."""
    seen = state["num_batches_tracked"] + 1
    if n == 0:
        return {"num_batches_tracked": seen}
    m = layer.momentum if layer.momentum is not None else 1 / int(seen)
    return {
        "running_mean": (1 - m) * state["running_mean"] + m * mu,
        "running_var": (1 - m) * state["running_var"] + m * (var * (n / (n - 1))),
        "num_batches_tracked": seen,
    }


def _check(layer: _BatchNorm) -> None:
    name = type(layer).__name__
    if layer.num_features < 1:
        raise ConfigError(f"{name} needs num_features >= 1, but got {layer.num_features}.")
    if layer.eps < 0:
        raise ConfigError(f"{name} needs eps >= 0, but got {layer.eps}.")
    if layer.eps == 0 and (layer.training or not layer.track_running_stats):
        raise ConfigError(f"{name} needs eps > 0 where it uses the batch's variance, but got 0.")


def _init(layer: _BatchNorm) -> dict[str, Array]:
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
