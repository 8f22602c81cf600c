"""Normalisation over groups of channels, sample by sample."""

import math
from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._standardise import Channels, adjoint, affine, row_means, standardise


@dataclass(frozen=True)
class GroupNorm:
    """y = x̂ · weight + bias, where x̂ = (x - E[x]) / √(Var[x] + eps) in each group of a sample.

    x, y: (N, C, *rest), where C = num_channels
    weight, bias: (C,), one number per channel, not per group

    dx = rstd · (g - E[g] - x̂ E[g x̂]), where g = dy · weight and rstd = 1 / √(Var[x] + eps)
    dweight = Σ dy x̂    dbias = Σ dy, over all axes but C

    A group is num_channels / num_groups channels in a row, with all that they hold in one sample.
    Var is the biased variance (÷ n), and training and evaluation are the same.
    affine=False: there is neither weight nor bias; bias=False: there is no bias.

    Raises ConfigError, DtypeError; ShapeError, also where there is one value per group and N = 1.
    Twin: torch.nn.GroupNorm. Source: Wu & He (2018), arXiv:1803.08494.
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True
    bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ConfigError(
                "GroupNorm needs num_channels to be a multiple of num_groups, but got "
                f"{self.num_channels} and {self.num_groups}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight = 1, bias = 0."""
        state = {}
        if self.affine:
            state["weight"] = np.ones(self.num_channels, np.float32)
            if self.bias:
                state["bias"] = np.zeros(self.num_channels, np.float32)
        return state

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        require_floats(self, x, state)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"{self} needs x of shape (N, {self.num_channels}, …), not {x.shape}.")
        N, C, *rest = x.shape
        each = math.prod(rest)
        groups, channels = (N * self.num_groups, C // self.num_groups * each), Channels(N, C, each)
        if N * groups[1] == 1:
            raise ShapeError(
                f"{self} needs more than one value per group, but got x of shape {x.shape}."
            )

        xhat, rstd, _, _ = standardise(x.reshape(groups), row_means, self.eps)
        weight = state["weight"] if self.affine else None
        bias = state["bias"] if self.affine and self.bias else None
        y, affine_vjp = affine(xhat.reshape(channels.shape), weight, bias, channels)

        def vjp(dy: Array) -> Grads:
            g, params = affine_vjp(dy.reshape(channels.shape))
            dx = adjoint(g.reshape(groups), xhat, rstd, row_means)
            return Grads((dx.reshape(x.shape),), params)

        return Forward(y.reshape(x.shape), vjp)
