"""Margin losses: a hinge max(z, 0) that asks of scores to differ by a margin."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import (
    Array,
    ConfigError,
    DtypeError,
    Forward,
    Grads,
    IndexRangeError,
    ShapeError,
    State,
)
from npnet.nn._labels import require_labels, require_weights
from npnet.nn._reduction import (
    Reduction,
    in_dtype_of,
    is_counted,
    require_axes,
    require_broadcast,
    require_one_dtype,
    summed_to,
)


@dataclass(frozen=True)
class MarginRankingLoss:
    """y = max(z, 0), reduced, where z = margin - t (x1 - x2); t = 1 wants x1 to be the larger.

    input1 x1, input2 x2, target t: shapes that broadcast, with the same number of axes
    y: (), or their common shape with "none"

    dx1 = -t dy/n, dx2 = t dy/n, dt = -(x1 - x2) dy/n where z ≥ 0, else 0 (at z = 0, torch 2.14 has
    0). Gradients are summed over the axes that were broadcast; a target of integers has none. n and
    the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MarginRankingLoss.
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
        """y, and the gradients of input1, input2 and target."""
        require_one_dtype(self, input1, {"input2": input2})
        t = in_dtype_of(self, input1, target)
        require_axes(self, input1=input1, input2=input2, target=target)
        require_broadcast(self, input1=input1, input2=input2, target=target)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        difference = input1 - input2
        z = self.margin - t * difference
        n = z.size

        def vjp(dy: Array) -> Grads:
            g = (z >= 0) * reduced.back(dy, n)
            d1 = summed_to(input1.shape, -t * g)
            d2 = summed_to(input2.shape, t * g)
            dt = None if is_counted(target) else summed_to(t.shape, -difference * g)
            return Grads((d1, d2, dt))

        return Forward(reduced(np.maximum(z, 0), n), vjp)


@dataclass(frozen=True)
class HingeEmbeddingLoss:
    """y = x where t = 1, max(margin - x, 0) where t = -1, their sum for any other t; reduced.

    prediction x, target t: shapes that broadcast    y: (), or their common shape with "none"

    dx = dy/n where t = 1, -dy/n where t = -1 and x ≤ margin (at the margin, torch 2.14 has 0), the
    sum of both for any other t; summed over the axes that were broadcast. The target has no
    gradient. n and the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.HingeEmbeddingLoss.
    """

    margin: float = 1.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradient of prediction."""
        x, t = prediction, in_dtype_of(self, prediction, target)
        require_broadcast(self, prediction=prediction, target=target)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        z = self.margin - x
        pulls, pushes = t != -1, t != 1
        losses = pulls * x + pushes * np.maximum(z, 0)
        n = losses.size

        def vjp(dy: Array) -> Grads:
            slope = pulls.astype(x.dtype) - (pushes & (z >= 0))
            return Grads((summed_to(x.shape, slope * reduced.back(dy, n)), None))

        return Forward(reduced(losses, n), vjp)


@dataclass(frozen=True)
class MultiMarginLoss:
    """y = w[t] Σ_c max(z_c, 0)ᵖ / C over c ≠ t, reduced; z_c = margin - x_t + x_c.

    prediction x: (N, C), or (C,) for one sample    weight w: (C,)
    target t: labels from 0 to C - 1, (N,) or ()    y: (), or the shape of target with "none"

    dx_c = w[t] p max(z_c, 0)ᵖ⁻¹ / C dy/n (0 at z = 0), and dx_t is minus their sum. The sum over
    classes is divided by C, the label's own included, and the mean by n = N, whatever the weights;
    the reductions are as in MSELoss. weight is an entry of the state without a gradient.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a label that is no class.
    Twin: torch.nn.MultiMarginLoss. Source: Crammer & Singer (2001), JMLR 2:265.
    """

    p: int = 1
    margin: float = 1.0
    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)
        if self.p not in (1, 2):
            raise ConfigError(f"MultiMarginLoss needs p=1 or 2, but got {self.p}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight, where there is one."""
        return {} if self.weight is None else {"weight": self.weight.copy()}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradient of prediction."""
        x = _rows(self, prediction)
        n, classes = x.shape
        if target.ndim > 1 or target.size != n:
            raise ShapeError(f"{self} needs {n} labels, but got a target of shape {target.shape}.")
        weight = np.ones(classes, x.dtype) if self.weight is None else state["weight"]
        require_one_dtype(self, x, {"weight": weight})
        require_weights(self, weight, classes)
        t = target.reshape(n, 1)
        require_labels(self, t, classes, np.ones_like(t, bool))

        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        others = t != np.arange(classes)
        w = weight[t] / classes
        z = self.margin - np.take_along_axis(x, t, 1) + x
        hinge = others * np.maximum(z, 0)
        losses = (w * hinge**self.p).sum(1)

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(reduced.back(dy, n).reshape(-1, 1), (n, 1))
            slope = 2 * hinge if self.p == 2 else others * (z > 0)
            dx = slope * (w * g)
            np.put_along_axis(dx, t, -dx.sum(1, keepdims=True), 1)
            return Grads((dx.reshape(prediction.shape), None))

        return Forward(reduced(losses.reshape(target.shape), n), vjp)


@dataclass(frozen=True)
class MultiLabelMarginLoss:
    """y = Σ_t Σ_c max(z_tc, 0) / C over labels t and classes c that are none; z_tc = 1 - x_t + x_c.

    prediction x: (N, C), or (C,) for one sample
    target: labels from 0 to C - 1 in the shape of prediction; what follows the first -1 is no label
    y: (), or (N,) with "none"; reduced over the samples

    dx_c = (number of labels with z_tc > 0) / C dy/n, and dx_t is minus the number of classes with
    z_tc > 0, / C dy/n. A label that is named twice counts twice. For the mean n = N; the reductions
    are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a label that is no class.
    Twin: torch.nn.MultiLabelMarginLoss.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradient of prediction."""
        x = _rows(self, prediction)
        n, classes = x.shape
        self._require_targets(prediction, target, classes)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        labels = target.reshape(x.shape)
        is_label = np.logical_and.accumulate(labels != -1, axis=1)[..., np.newaxis]
        at = is_label & (labels[..., np.newaxis] == np.arange(classes))  # (N, label, class)
        pairs = is_label & ~at.any(1, keepdims=True)
        z = 1 - np.take_along_axis(x, labels, 1)[..., np.newaxis] + x[:, np.newaxis]
        losses = (pairs * np.maximum(z, 0)).sum((1, 2)) / classes

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(reduced.back(dy, n).reshape(-1, 1), (n, 1)) / classes
            active = (pairs & (z > 0)).astype(x.dtype)
            per_label = active.sum(2, keepdims=True)
            dx = (active.sum(1) - (per_label * at).sum(1)) * g
            return Grads((dx.reshape(prediction.shape), None))

        return Forward(reduced(losses.reshape(prediction.shape[:-1]), n), vjp)

    def _require_targets(self, prediction: Array, target: Array, classes: int) -> None:
        if target.shape != prediction.shape:
            raise ShapeError(
                f"{self} needs prediction and target of one shape, with -1 in the place of labels "
                f"that are missing, but got {prediction.shape} and {target.shape}."
            )
        if target.dtype != np.int64:
            raise DtypeError(f"{self} needs labels of dtype int64, but got {target.dtype}.")
        bad = target[(target < -1) | (target >= classes)]
        if bad.size:
            raise IndexRangeError(f"{self} needs labels from -1 to {classes - 1}, not {bad[0]}.")


def _rows(loss: object, prediction: Array) -> Array:
    """A prediction as an array of samples and classes."""
    require_one_dtype(loss, prediction, {})
    if prediction.ndim > 2 or 0 in prediction.shape[-1:]:
        raise ShapeError(
            f"{loss} needs a prediction of shape (N, C) or (C,) with one class or more, but got "
            f"{prediction.shape}."
        )
    return np.atleast_2d(prediction)
