"""Losses of embeddings, by how far they are from each other."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, Layer, ShapeError, State
from npnet.nn._reduction import (
    Reduction,
    in_dtype_of,
    require_axes,
    require_broadcast,
    require_one_dtype,
    summed_to,
)
from npnet.nn.distance import PairwiseDistance


@dataclass(frozen=True)
class TripletMarginLoss:
    """y = max(z, 0), reduced, where z = d(a, p) - d(a, n) + margin, with d = PairwiseDistance.

    anchor a, positive p, negative n: shapes that broadcast, (*batch, D), with the same number of
    axes    y: (), or (*batch,) with "none"

    g = dy/n where z ≥ 0, else 0 (at z = 0, torch 2.14 has 0)
    da = g (d₁(a, p) - d₁(a, n))    dp = g d₂(a, p)    dn = -g d₂(a, n), where d₁(u, v) and
    d₂(u, v) are the derivatives of d(u, v) by u and by v: dx1 and dx2 as in PairwiseDistance

    With swap=True, d(p, n) takes the place of d(a, n) where it is less; where they are equal, both
    get half of the gradient. p is the order of the norm, eps what is added to differences. n, for
    the mean, is the number of triplets; the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.TripletMarginLoss. Source: Balntas et al. (2016), doi:10.5244/C.30.119.
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)
        _require_margin(self, self.margin)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, anchor: Array, positive: Array, negative: Array) -> Forward:
        """y, and the gradients of anchor, positive and negative."""
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        distance = PairwiseDistance(self.p, self.eps)
        _require_embeddings(self, anchor, positive, negative)
        return _triplet(distance, self.margin, self.swap, reduced, anchor, positive, negative)


@dataclass(frozen=True)
class TripletMarginWithDistanceLoss:
    """y = max(z, 0), reduced, where z = d(a, p) - d(a, n) + margin, with d = distance_function.

    anchor a, positive p, negative n: what the distance takes, with the same number of axes
    y: (), or the shape of the distances with "none"
    distance_function: a layer without state, of two inputs; PairwiseDistance() if None

    Gradients, n and swap are as in TripletMarginLoss, with the derivatives of the distance.

    Raises ConfigError, ShapeError, DtypeError, and what the distance raises.
    Twin: torch.nn.TripletMarginWithDistanceLoss. Source: Balntas et al. (2016),
    doi:10.5244/C.30.119.
    """

    distance_function: Layer | None = field(default=None, kw_only=True)
    margin: float = field(default=1.0, kw_only=True)
    swap: bool = field(default=False, kw_only=True)
    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        Reduction.of(None, None, self.reduction)
        _require_margin(self, self.margin)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, anchor: Array, positive: Array, negative: Array) -> Forward:
        """y, and the gradients of anchor, positive and negative."""
        reduced = Reduction.of(None, None, self.reduction)
        distance = self.distance_function or PairwiseDistance()
        _require_embeddings(self, anchor, positive, negative)
        return _triplet(distance, self.margin, self.swap, reduced, anchor, positive, negative)


def _triplet(
    distance: Layer,
    margin: float,
    swap: bool,
    reduced: Reduction,
    anchor: Array,
    positive: Array,
    negative: Array,
) -> Forward:
    near, back_near = _asked(distance, anchor, positive)
    far, back_far = _asked(distance, anchor, negative)
    if swap:
        other, back_other = _asked(distance, positive, negative)
    z = near - (np.minimum(far, other) if swap else far) + margin
    n = z.size

    def vjp(dy: Array) -> Grads:
        g: Array = (z >= 0) * reduced.back(dy, n)
        da, dp = back_near(g)
        if not swap:
            da_far, dn = back_far(-g)
            return Grads((da + da_far, dp, dn))
        share = (1 + np.sign(other - far)) / 2  # of far in the smaller of both
        da_far, dn = back_far(-g * share)
        dp_other, dn_other = back_other(-g * (1 - share))
        return Grads((da + da_far, dp + dp_other, dn + dn_other))

    return Forward(reduced(np.maximum(z, 0), n), vjp)


def _asked(
    distance: Layer, x1: Array, x2: Array
) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
    """A distance, and its gradients by x1 and x2; the distance may be broadcast in between."""
    forward = distance({}, x1, x2)
    y = np.asarray(forward.y)
    return y, lambda g: forward.vjp(summed_to(y.shape, g)).inputs


def _require_margin(loss: object, margin: float) -> None:
    if not margin > 0:
        raise ConfigError(f"{type(loss).__name__} needs margin above 0, but got {margin}.")


def _require_embeddings(loss: object, anchor: Array, positive: Array, negative: Array) -> None:
    require_one_dtype(loss, anchor, {"positive": positive, "negative": negative})
    require_axes(loss, anchor=anchor, positive=positive, negative=negative)
    require_broadcast(loss, anchor=anchor, positive=positive, negative=negative)


@dataclass(frozen=True)
class CosineEmbeddingLoss:
    """y = 1 - c where t = 1, max(c - margin, 0) where t = -1, 0 for any other t; reduced.

    input1 x1, input2 x2: shapes that broadcast, (N, D), or (D,) for one pair
    target t: (N,), or () for one pair    y: (), or (N,) with "none"

    dx1 = dc (x2 / √(m1 m2) - c x1 / m1), summed over the axes that were broadcast; dx2 likewise
    dc = -dy/n where t = 1, dy/n where t = -1 and c ≥ margin (at the margin, torch 2.14 has 0)

    c = Σ x1 x2 / √(m1 m2), where m = Σ x² + 1e-12, is the cosine of x1 and x2; m is taken of an
    input as it is, before it is broadcast. The target has no gradient. n, for the mean, is the
    number of pairs; the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.CosineEmbeddingLoss.
    """

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, input1: Array, input2: Array, target: Array) -> Forward:
        """y, and the gradients of input1 and input2."""
        x1, x2 = input1, input2
        require_one_dtype(self, x1, {"input2": x2})
        t = in_dtype_of(self, x1, target)
        if not (x1.ndim == x2.ndim == target.ndim + 1 <= 2):
            raise ShapeError(
                f"{self} needs inputs of shape (N, D) and a target of shape (N,), or (D,) and (), "
                f"but got {x1.shape}, {x2.shape} and {target.shape}."
            )
        require_broadcast(self, input1=x1, input2=x2)
        tiny = max(1e-12, np.finfo(x1.dtype).smallest_subnormal)  # float16 has no 1e-12
        m1, m2 = ((x * x).sum(-1, keepdims=True) + tiny for x in (x1, x2))
        size = np.sqrt(m1) * np.sqrt(m2)
        cos = (x1 * x2).sum(-1, keepdims=True) / size
        c = cos.squeeze(-1)
        require_broadcast(self, pairs=c, target=target)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        alike, unlike = t == 1, t == -1
        losses = alike * (1 - c) + unlike * np.maximum(c - self.margin, 0)
        n = losses.size

        def vjp(dy: Array) -> Grads:
            slope = (unlike & (c >= self.margin)).astype(x1.dtype) - alike
            dc = summed_to(c.shape, slope * reduced.back(dy, n))[..., np.newaxis]
            d1 = summed_to(x1.shape, dc / size * x2) - summed_to(x1.shape, dc / m1 * cos * x1)
            d2 = summed_to(x2.shape, dc / size * x1) - summed_to(x2.shape, dc / m2 * cos * x2)
            return Grads((d1, d2, None))

        return Forward(reduced(losses, n), vjp)
