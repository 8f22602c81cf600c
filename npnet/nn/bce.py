"""Binary cross entropies: of probabilities, of logits, and their kin."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, DomainError, Forward, Grads, ShapeError, State
from npnet.nn._reduction import (
    Reduction,
    in_dtype_of,
    is_counted,
    require_broadcast,
    require_broadcast_to,
    require_one_dtype,
    summed_to,
)
from npnet.nn.activation import sigmoid


@dataclass(frozen=True)
class BCELoss:
    """y = -w (t log p + (1 - t) log(1 - p)), reduced; p = prediction, a probability, t = target.

    prediction, target: the same shape    weight w: any shape that broadcasts to theirs
    y: (), or their shape with "none"

    dp = w (p - t) / (p (1 - p)) dy/n    dt = w (log(1 - p) - log p) dy/n

    Logarithms are taken to be -100 where they are less, and p (1 - p) to be 1e-12; the gradient of
    the target does not see that: it is infinite where p is 0 or 1. weight is an entry of the state
    without a gradient. The mean is over all elements, whatever their weights: n and the reductions
    are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError; DomainError for a p that is no probability.
    Twin: torch.nn.BCELoss.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight, where there is one."""
        return {} if self.weight is None else {"weight": self.weight.copy()}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        p, t = prediction, target
        weights = {} if self.weight is None else {"weight": state["weight"]}
        require_one_dtype(self, p, {"target": t, **weights})
        _require_one_shape(self, p, t, weights)
        outside = p[~((p >= 0) & (p <= 1))]
        if outside.size:
            raise DomainError(
                f"{self} needs a prediction of probabilities, but got {outside[0]}. You might need "
                "BCEWithLogitsLoss, or a sigmoid before."
            )
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        w = weights.get("weight", 1)
        with np.errstate(divide="ignore"):
            log_p, log_q = np.log(p), np.log1p(-p)
        losses = -w * (t * np.maximum(log_p, -100) + (1 - t) * np.maximum(log_q, -100))
        n = p.size

        def vjp(dy: Array) -> Grads:
            g = w * reduced.back(dy, n)
            least = max(1e-12, np.finfo(p.dtype).smallest_subnormal)  # float16 has no 1e-12
            dp = g * (p - t) / np.maximum(p * (1 - p), least)
            with np.errstate(invalid="ignore"):  # of dy = 0 where p is 0 or 1
                dt = g * (log_q - log_p)
            return Grads((dp, dt))

        return Forward(reduced(losses, n), vjp)


def _require_one_shape(loss: object, x: Array, t: Array, weights: State) -> None:
    """Prediction and target have one shape, to which the weights broadcast."""
    if t.shape != x.shape:
        raise ShapeError(
            f"{loss} needs prediction and target of one shape, but got {x.shape} and {t.shape}."
        )
    require_broadcast_to(loss, x.shape, weights)


@dataclass(frozen=True)
class BCEWithLogitsLoss:
    """y = w ((1 - t) softplus(x) + pos_weight t softplus(-x)), reduced; softplus(x) = log(1 + eˣ).

    prediction x, target t: the same shape    y: (), or that shape with "none"
    weight w, pos_weight: any shape that broadcasts to theirs

    dx = w ((1 - t) σ(x) - pos_weight t σ(-x)) dy/n
    dt = w (pos_weight softplus(-x) - softplus(x)) dy/n, which is -w x dy/n without pos_weight

    y is -w (pos_weight t log σ(x) + (1 - t) log(1 - σ(x))), without its overflow. weight and
    pos_weight are entries of the state without a gradient. The mean is over all elements, whatever
    their weights: n and the reductions are as in MSELoss.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.BCEWithLogitsLoss.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Copies of weight and pos_weight, where there are any."""
        given = {"weight": self.weight, "pos_weight": self.pos_weight}
        return {name: a.copy() for name, a in given.items() if a is not None}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        x, t = prediction, target
        given = {"weight": self.weight, "pos_weight": self.pos_weight}
        weights = {name: state[name] for name, a in given.items() if a is not None}
        require_one_dtype(self, x, {"target": t, **weights})
        _require_one_shape(self, x, t, weights)

        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        w = weights.get("weight", 1)
        positive = t * weights.get("pos_weight", 1)
        rest = np.log1p(np.exp(-np.abs(x)))
        losses = w * ((1 - t) * (np.maximum(x, 0) + rest) + positive * (np.maximum(-x, 0) + rest))
        n = x.size

        def vjp(dy: Array) -> Grads:
            g = w * reduced.back(dy, n)
            dx = g * ((1 - t) * sigmoid(x) - positive * sigmoid(-x))
            if self.pos_weight is None:
                return Grads((dx, -x * g))
            dt = weights["pos_weight"] * (np.maximum(-x, 0) + rest) - (np.maximum(x, 0) + rest)
            return Grads((dx, dt * g))

        return Forward(reduced(losses, n), vjp)


@dataclass(frozen=True)
class MultiLabelSoftMarginLoss:
    """y = Σ_c w_c (t_c softplus(-x_c) + (1 - t_c) softplus(x_c)) / C, reduced over samples.

    prediction x, target t, weight w: shapes that broadcast, (*batch, C)
    y: (), or (*batch,) with "none"

    dx = w ((1 - t) σ(x) - t σ(-x)) dy/(n C)    dt = -w x dy/(n C)

    Every class is a BCEWithLogitsLoss, and the classes, the last axis, are averaged whatever the
    reduction. Gradients are summed over the axes that were broadcast; a target of integers has
    none. C and the place of its axis are those of prediction, also where target or weight have more
    classes or axes; over no classes y is nan. n, for the mean, is the number of samples; the
    reductions are as in MSELoss. weight is an entry of the state without a gradient.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MultiLabelSoftMarginLoss.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight, where there is one."""
        return {} if self.weight is None else {"weight": self.weight.copy()}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        x, t = prediction, in_dtype_of(self, prediction, target)
        w = np.ones((), x.dtype) if self.weight is None else state["weight"]
        require_one_dtype(self, x, {"weight": w})
        if not x.ndim:
            raise ShapeError(f"{self} needs a prediction of shape (*batch, C), but got ().")
        require_broadcast(self, prediction=x, target=t, weight=w)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        axis, classes = x.ndim - 1, x.shape[-1]

        rest = np.log1p(np.exp(-np.abs(x)))  # softplus(±x) = max(±x, 0) + rest
        each = w * (t * (np.maximum(-x, 0) + rest) + (1 - t) * (np.maximum(x, 0) + rest))
        with np.errstate(invalid="ignore"):  # of no classes
            losses = each.sum(axis) / classes
        n = losses.size

        def vjp(dy: Array) -> Grads:
            per_sample = np.broadcast_to(reduced.back(dy, n), losses.shape) / max(classes, 1)
            per_class = np.broadcast_to(np.expand_dims(per_sample, axis) * w, each.shape)
            dx = per_class * ((1 - t) * sigmoid(x) - t * sigmoid(-x))
            dt = None if is_counted(target) else summed_to(t.shape, -x * per_class)
            return Grads((summed_to(x.shape, dx), dt))

        return Forward(reduced(losses, n), vjp)


@dataclass(frozen=True)
class SoftMarginLoss:
    """y = log(1 + exp(-t x)), reduced; x = prediction, and the target t is 1 or -1.

    prediction: any shape    target: one that broadcasts to it    y: (), or that shape with "none"

    dx = -t σ(-t x) dy/n; the target has no gradient. n and the reductions are as in MSELoss. Where
    exp(-t x) overflows, y is -t x: torch's is inf there.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.SoftMarginLoss.
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
        t = in_dtype_of(self, prediction, target)
        require_broadcast_to(self, prediction.shape, {"target": target})
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        z = -t * prediction
        softplus = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
        size = prediction.size

        def vjp(dy: Array) -> Grads:
            return Grads((-t * sigmoid(z) * reduced.back(dy, size), None))

        return Forward(reduced(softplus, size), vjp)
