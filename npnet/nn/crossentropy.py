"""Losses over classes: cross entropy, of logits and of log-probabilities, and divergence."""

from dataclasses import dataclass, field

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._labels import Labels, class_axis, require_weights
from npnet.nn._reduction import (
    REDUCTIONS,
    Reduction,
    require_broadcast,
    require_one_dtype,
    summed_to,
)
from npnet.nn.softmax import log_softmax


@dataclass(frozen=True)
class CrossEntropyLoss:
    """y = -Σ_c q_c w_c log p_c, reduced, where p = softmax(prediction) over the classes.

    prediction: (N, C, *rest), or (C,) for one sample    weight w: (C,), 1 for every class if None
    target: labels from 0 to C - 1, (N, *rest) or ();
        or probabilities in the shape of prediction, which is what tells them apart
    y: (), or (N, *rest) with "none"

    dprediction = (p Σ_c q_c w_c - q w) dy/n    dtarget = -(1 - ε) w log(p) dy/n, of probabilities

    q mixes the target's distribution (1 at the label, or the given probabilities) with the uniform
    one: q = (1 - ε) target + ε / C, where ε = label_smoothing. weight is an entry of the state, and
    like labels it has no gradient.

    For the mean over labels n is the sum of the weights of the labels in use, over probabilities
    the number of samples, those of the axes in rest too; the reductions are as in MSELoss. Labels
    equal to ignore_index are not in use: their loss and their gradient are 0. A mean over none is
    nan.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a label that is no class.
    Twin: torch.nn.CrossEntropyLoss. Source, of label smoothing: Szegedy et al. (2015),
    arXiv:1512.00567.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)
        if not 0 <= self.label_smoothing <= 1:
            raise ConfigError(
                "CrossEntropyLoss needs label_smoothing from 0 to 1, but got "
                f"{self.label_smoothing}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight, where there is one."""
        return {} if self.weight is None else {"weight": self.weight.copy()}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and of a target of probabilities."""
        axis = class_axis(self, prediction)
        weight = _weights(self, self.weight is not None, state, prediction, axis)
        if target.shape == prediction.shape:
            return self._of_probabilities(prediction, target, weight, axis)
        return self._of_labels(prediction, target, weight, axis)

    def _of_labels(self, prediction: Array, target: Array, weight: Array, axis: int) -> Forward:
        labels = Labels.of(self, prediction, target, weight, axis, self.ignore_index)
        logp = log_softmax(prediction, axis)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        uniform = self.label_smoothing / len(weight)
        w = _along(axis, prediction.ndim, weight)

        n = labels.weight.sum()
        losses = -(1 - self.label_smoothing) * labels.weight * labels.pick(logp)
        if uniform:
            losses -= uniform * np.where(labels.kept, (w * logp).sum(axis), 0)

        def vjp(dy: Array) -> Grads:
            g = np.where(labels.kept, reduced.back(dy, n), 0)
            at_label = (1 - self.label_smoothing) * labels.weight * g
            everywhere = uniform * g
            total = at_label + everywhere * weight.sum()
            dx = np.exp(logp) * np.expand_dims(total, axis)
            if uniform:
                dx -= w * np.expand_dims(everywhere, axis)
            labels.add(dx, -at_label)
            return Grads((dx, None))

        return Forward(reduced(losses, n), vjp)

    def _of_probabilities(
        self, prediction: Array, target: Array, weight: Array, axis: int
    ) -> Forward:
        require_one_dtype(self, prediction, {"target": target})
        if self.ignore_index >= 0:
            raise ConfigError(
                f"{self} cannot ignore a label where targets are probabilities, as one in the "
                "shape of prediction is. You might need ignore_index=-100."
            )
        logp = log_softmax(prediction, axis)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        w = _along(axis, prediction.ndim, weight)
        smoothing = self.label_smoothing
        qw = ((1 - smoothing) * target + smoothing / len(weight)) * w
        losses = -(qw * logp).sum(axis)
        samples = losses.size

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(reduced.back(dy, samples), losses.shape)
            g = np.expand_dims(g, axis)
            dx = (np.exp(logp) * qw.sum(axis, keepdims=True) - qw) * g
            dtarget = -(1 - smoothing) * w * logp * g
            return Grads((dx, dtarget))

        return Forward(reduced(losses, samples), vjp)


@dataclass(frozen=True)
class NLLLoss:
    """y = -w[target] prediction[target], reduced; prediction holds log-probabilities.

    prediction: (N, C, *rest), or (C,) for one sample    weight w: (C,), 1 for every class if None
    target: labels from 0 to C - 1, (N, *rest) or ()     y: (), or (N, *rest) with "none"

    dprediction = -w[target] dy/n at the label, else 0. For the mean n is the sum of the weights of
    the labels in use; the reductions are as in MSELoss. Labels equal to ignore_index are not in
    use: their loss and their gradient are 0. A mean over none is nan. weight is an entry of the
    state without a gradient.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a label that is no class.
    Twin: torch.nn.NLLLoss.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight, where there is one."""
        return {} if self.weight is None else {"weight": self.weight.copy()}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradient of prediction."""
        axis = class_axis(self, prediction)
        weight = _weights(self, self.weight is not None, state, prediction, axis)
        labels = Labels.of(self, prediction, target, weight, axis, self.ignore_index)
        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)
        total = labels.weight.sum()
        losses = -labels.weight * labels.pick(prediction)

        def vjp(dy: Array) -> Grads:
            dlosses = np.where(labels.kept, reduced.back(dy, total), 0)
            dx = np.zeros_like(prediction)
            labels.add(dx, -labels.weight * dlosses)
            return Grads((dx, None))

        return Forward(reduced(losses, total), vjp)


def _weights(loss: object, given: bool, state: State, prediction: Array, axis: int) -> Array:
    """The weight of every class: that of the state, or ones."""
    classes = prediction.shape[axis]
    weight = state["weight"] if given else np.ones(classes, prediction.dtype)
    require_one_dtype(loss, prediction, {"weight": weight})
    require_weights(loss, weight, classes)
    return weight


def _along(axis: int, axes: int, v: Array) -> Array:
    """A vector along one axis of so many."""
    return v.reshape(-1, *[1] * (axes - axis - 1))


@dataclass(frozen=True)
class KLDivLoss:
    """y = t (log t - x), reduced; x = prediction, a log-probability, and t = target.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dx = -t dy/n    dt = (log t - x + 1) dy/n

    With log_target=True the target is log t: y = eᵗ (t - x), dx = -eᵗ dy/n and
    dt = eᵗ (t - x + 1) dy/n. 0 log 0 is 0. n and the reductions are as in MSELoss; "batchmean"
    divides by the size of the first axis of prediction, and that is what gives the divergence of a
    batch of distributions. Gradients are summed over the axes that were broadcast.

    The gradient of a target of 0 is infinite here, as the limit is; torch has nan.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.KLDivLoss. Source: Kullback & Leibler (1951), doi:10.1214/aoms/1177729694.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    log_target: bool = False

    def __post_init__(self) -> None:
        self._reduction()

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        require_one_dtype(self, prediction, {"target": target})
        require_broadcast(self, prediction=prediction, target=target)
        x, t = prediction, target
        if self.log_target:
            p = np.exp(t)
            losses = p * (t - x)
        else:
            p = t
            losses = t * np.log(np.where(t == 0, 1, t)) - t * x
        reduced = self._reduction()
        n = losses.size
        if reduced.name == "batchmean":
            n = len(x) if x.ndim else 1

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(reduced.back(dy, n), losses.shape)
            if self.log_target:
                dt = p * (t - x + 1) * g
            else:
                with np.errstate(divide="ignore"):
                    dt = (np.log(t) - x + 1) * g
            return Grads((summed_to(x.shape, -p * g), summed_to(t.shape, dt)))

        return Forward(reduced(losses, n), vjp)

    def _reduction(self) -> Reduction:
        known = (*REDUCTIONS, "batchmean")
        return Reduction.of(self.size_average, self.reduce, self.reduction, known)
