"""Standardising, and its adjoint: the mathematics that all normalisations share.

    x̂ = (x - E[x]) · rstd,    rstd = 1 / √(Var[x] + eps),    Var the biased variance (÷ n)
    dx = rstd · (g - E[g] - x̂ E[g x̂]),    where g is the gradient of x̂

What E is taken over is an argument, a `Mean`. Sums are products with a vector of ones, several
times faster than `sum`; those of float16 are taken in float32, where they cannot overflow.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from npnet.contract import Array


class Mean(Protocol):
    """E[v], or E[v w], in a shape that broadcasts against v; 0 where there is nothing to sum."""

    def __call__(self, v: Array, w: Array | None = None, /) -> Array:
        """The mean of the elements, or of the products."""
        ...


class Standard(NamedTuple):
    """x̂ and what it was made with."""

    xhat: Array
    rstd: Array
    mu: Array
    var: Array


def standardise(x: Array, mean: Mean, eps: float) -> Standard:
    """x̂ in the shape of x; rstd, E[x] and Var[x] in that of the means."""
    mu = mean(x)
    centred = x - mu
    var = mean(centred, centred)
    rstd = 1 / np.sqrt(var + eps)
    centred *= rstd
    return Standard(centred, rstd, mu, var)


def adjoint(g: Array, xhat: Array, rstd: Array, mean: Mean) -> Array:
    """dx from the gradient of x̂, without the two directions that standardising removes."""
    dx = xhat * -mean(g, xhat)
    dx += g
    dx -= mean(g)
    dx *= rstd
    return dx


def row_means(v: Array, w: Array | None = None, /) -> Array:
    """Over the last axis of (rows, n): (rows, 1)."""
    n, wide = v.shape[-1], _wide(v)
    total = v @ np.ones(n, wide) if w is None else np.vecdot(v, w, dtype=wide)
    e: Array = (total / max(n, 1)).astype(v.dtype, copy=False)
    return e[:, np.newaxis]


class Channels:
    """(N, C, *rest) as a matrix, whose columns belong to channels, and sums over them.

    A row of it holds several samples where they are short: NumPy works along rows, and pays for
    each. Every number of a channel is spread over its columns once.
    """

    def __init__(self, N: int, C: int, each: int) -> None:
        samples = math.gcd(N, 2 ** max(0, 12 - (C * each).bit_length()))
        self.n = N * each
        self.shape = (N // samples, samples * C * each)
        self._columns = (samples, C, each)

    def spread(self, per_channel: Array) -> Array:
        """(C,) -> one number per column."""
        return np.broadcast_to(per_channel[:, np.newaxis], self._columns).reshape(-1)

    def pick(self, columns: Array) -> Array:
        """One number per column -> (C,): the inverse of spread."""
        return columns.reshape(self._columns)[0, :, 0]

    def sums(self, v: Array, w: Array | None = None) -> Array:
        """Σ v, or Σ v w, for each channel; of float16 as float32."""
        wide = _wide(v)
        if w is None:
            columns = np.ones(len(v), wide) @ v
        else:
            columns = np.einsum("nm,nm->m", v, w, dtype=wide)
        total: Array = columns.reshape(self._columns).sum((0, 2))
        return total

    def mean(self, v: Array, w: Array | None = None, /) -> Array:
        """E over all that a channel holds, spread over its columns."""
        e = self.sums(v, w) / max(self.n, 1)
        return self.spread(e.astype(v.dtype, copy=False))


Adjoint = Callable[[Array], tuple[Array, dict[str, Array]]]


def affine(
    xhat: Array, weight: Array | None, bias: Array | None, channels: Channels
) -> tuple[Array, Adjoint]:
    """y = x̂ · weight + bias, and dy -> (g, {"weight": dweight, "bias": dbias}).

    x̂, y, dy, g: of the shape of the channels    weight, bias: of any shape, or missing

    g = dy · weight    dweight = Σ dy x̂    dbias = Σ dy, each for its channel
    """
    factor = 1 if weight is None else channels.spread(weight.ravel())
    y = xhat * factor
    if bias is not None:
        y += channels.spread(bias.ravel())

    def vjp(dy: Array) -> tuple[Array, dict[str, Array]]:
        params = {}
        if weight is not None:
            dweight = channels.sums(dy, xhat)
            params["weight"] = dweight.astype(dy.dtype).reshape(weight.shape)
        if bias is not None:
            dbias = channels.sums(dy)
            params["bias"] = dbias.astype(dy.dtype).reshape(bias.shape)
        return dy * factor, params

    return y, vjp


def _wide(v: Array) -> np.dtype[Any]:
    """The dtype of sums: float32 for float16, else that of v."""
    return np.result_type(v, np.float32)
