"""Losses: how far a prediction is from its target, as one number or one number per sample.

Every loss is a layer whose inputs are (prediction, target), and whose last step is the reduction:
"none" leaves the losses alone, "sum" adds them, "mean" divides their sum by a number n, which is
nan for an empty sum. The deprecated size_average and reduce overrule it as in torch: where one of
them is given, reduce=False means "none", else size_average=False means "sum", else "mean".
"""

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
from npnet.nn.activation import sigmoid
from npnet.nn.softmax import log_softmax


@dataclass(frozen=True)
class _Reduction:
    """What becomes of the losses, and of the gradient on its way back."""

    name: str

    @classmethod
    def of(cls, size_average: bool | None, reduce: bool | None, name: str) -> "_Reduction":
        if name not in ("none", "mean", "sum"):
            raise ConfigError(f"a loss needs reduction='none', 'mean' or 'sum', but got {name!r}.")
        if size_average is None and reduce is None:
            return cls(name)
        if reduce is False:
            return cls("none")
        return cls("sum" if size_average is False else "mean")

    def __call__(self, losses: Array, n: float) -> Array:
        if self.name == "none":
            return losses
        return self._divided(losses.sum(), n)

    def back(self, dy: Array, n: float) -> Array:
        """dL/dlosses, which is one number for all of them where they were added up."""
        return self._divided(dy, n)

    def _divided(self, total: Array, n: float) -> Array:
        if self.name != "mean":
            return total
        with np.errstate(divide="ignore", invalid="ignore"):  # an empty mean is nan
            quotient: Array = total / n
        return quotient


@dataclass(frozen=True)
class MSELoss:
    """y = (prediction - target)², reduced; the mean is over all elements.

    prediction, target: shapes that broadcast    y: (), or their common shape with "none"

    dprediction = 2 (prediction - target) dy/n, summed over the axes that were broadcast, and
    dtarget = -2 (prediction - target) dy/n likewise; None for a target of integers.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MSELoss.
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        _Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        counted = np.issubdtype(target.dtype, np.integer)
        _require_one_dtype(self, prediction, {} if counted else {"target": target})
        try:
            np.broadcast_shapes(prediction.shape, target.shape)
        except ValueError:
            raise ShapeError(
                f"{self} needs prediction and target of shapes that broadcast, but got "
                f"{prediction.shape} and {target.shape}."
            ) from None

        reduced = _Reduction.of(self.size_average, self.reduce, self.reduction)
        difference = prediction - target.astype(prediction.dtype, copy=False)
        n = difference.size

        def vjp(dy: Array) -> Grads:
            d = 2 * difference * reduced.back(dy, max(n, 1))
            dtarget = None if counted else _summed_to(target.shape, -d)
            return Grads((_summed_to(prediction.shape, d), dtarget))

        return Forward(reduced(difference * difference, n), vjp)


def _summed_to(shape: tuple[int, ...], d: Array) -> Array:
    """The gradient of an array of this shape that was broadcast to the shape of d."""
    if d.shape == shape:
        return d
    d = d.sum(tuple(range(d.ndim - len(shape))))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1)
    dx: Array = d.sum(stretched, keepdims=True)
    return dx


@dataclass(frozen=True)
class CrossEntropyLoss:
    """y = -Σ_c q_c w_c log p_c, reduced, where p = softmax(prediction) over the classes.

    prediction: (N, C, *rest), or (C,) for one sample    weight w: (C,)
    target: labels from 0 to C - 1, (N, *rest) or ();
        or probabilities in the shape of prediction, which is what tells them apart
    y: (), or (N, *rest) with "none"

    q mixes the target's distribution (1 at the label, or the given probabilities) with the uniform
    one: q = (1 - ε) target + ε / C, where ε = label_smoothing. Then

        dprediction = (p Σ_c q_c w_c - q w) dy/n    dprobabilities = -(1 - ε) w log(p) dy/n

    The mean over labels divides by the sum of the weights of the labels in use, that over
    probabilities by the number of samples. Labels equal to ignore_index are not in use: their loss
    and their gradient are 0. A mean over none is nan.

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
        _Reduction.of(self.size_average, self.reduce, self.reduction)
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
        axis = 0 if prediction.ndim < 2 else 1  # of the classes
        classes = prediction.shape[axis] if prediction.ndim else 0
        if not classes:
            raise ShapeError(
                f"{self} needs a prediction of shape (C,) or (N, C, *rest) with one class or more, "
                f"but got {prediction.shape}."
            )
        weight = np.ones(classes, prediction.dtype) if self.weight is None else state["weight"]
        _require_one_dtype(self, prediction, {"weight": weight})
        if weight.shape != (classes,):
            raise ShapeError(
                f"{self} needs a weight for each of the {classes} classes, but got weight of "
                f"shape {weight.shape}."
            )
        if target.shape == prediction.shape:
            return self._of_probabilities(prediction, target, weight, axis)
        return self._of_labels(prediction, target, weight, axis)

    def _of_labels(self, prediction: Array, target: Array, weight: Array, axis: int) -> Forward:
        kept = self._kept(prediction, target, axis)
        labels = np.where(kept, target, 0)
        at = np.expand_dims(labels, axis)
        logp = log_softmax(prediction, axis)
        reduced = _Reduction.of(self.size_average, self.reduce, self.reduction)
        uniform = self.label_smoothing / len(weight)
        w = _along(axis, prediction.ndim, weight)

        w_label = np.where(kept, weight[labels], 0)
        n = w_label.sum()
        logp_label = np.take_along_axis(logp, at, axis).squeeze(axis)
        losses = -(1 - self.label_smoothing) * w_label * np.where(kept, logp_label, 0)
        if uniform:
            losses -= uniform * np.where(kept, (w * logp).sum(axis), 0)

        def vjp(dy: Array) -> Grads:
            g = np.where(kept, reduced.back(dy, n), 0)
            at_label = (1 - self.label_smoothing) * w_label * g
            everywhere = uniform * g
            total = at_label + everywhere * weight.sum()
            dx = np.exp(logp) * np.expand_dims(total, axis)
            if uniform:
                dx -= w * np.expand_dims(everywhere, axis)
            dx_label = np.take_along_axis(dx, at, axis) - np.expand_dims(at_label, axis)
            np.put_along_axis(dx, at, dx_label, axis)
            return Grads((dx, None))

        return Forward(reduced(losses, n), vjp)

    def _of_probabilities(
        self, prediction: Array, target: Array, weight: Array, axis: int
    ) -> Forward:
        _require_one_dtype(self, prediction, {"target": target})
        if self.ignore_index >= 0:
            raise ConfigError(
                f"{self} cannot ignore a label where targets are probabilities, as one in the "
                "shape of prediction is. You might need ignore_index=-100."
            )
        logp = log_softmax(prediction, axis)
        reduced = _Reduction.of(self.size_average, self.reduce, self.reduction)
        w = _along(axis, prediction.ndim, weight)
        smoothing = self.label_smoothing
        qw = ((1 - smoothing) * target + smoothing / len(weight)) * w
        losses = -(qw * logp).sum(axis)
        samples = losses.size

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(reduced.back(dy, max(samples, 1)), losses.shape)
            g = np.expand_dims(g, axis)
            dx = (np.exp(logp) * qw.sum(axis, keepdims=True) - qw) * g
            dtarget = -(1 - smoothing) * w * logp * g
            return Grads((dx, dtarget))

        return Forward(reduced(losses, samples), vjp)

    def _kept(self, prediction: Array, target: Array, axis: int) -> Array:
        """Where labels are in use; all of those are classes."""
        shape = prediction.shape[:axis] + prediction.shape[axis + 1 :]
        if target.shape != shape:
            raise ShapeError(
                f"{self} needs labels of shape {shape}, or probabilities of shape "
                f"{prediction.shape}, for a prediction of that shape, but got {target.shape}."
            )
        if target.dtype not in (np.int64, np.uint8):
            raise DtypeError(
                f"{self} needs labels of dtype int64 or uint8, but got {target.dtype}. "
                "You might need target.astype(np.int64)."
            )
        kept: Array = target != self.ignore_index
        classes = prediction.shape[axis]
        bad = target[kept & ((target < 0) | (target >= classes))]
        if bad.size:
            raise IndexRangeError(
                f"{self} needs labels from 0 to {classes - 1}, or ignore_index="
                f"{self.ignore_index}, but got {bad[0]}."
            )
        return kept


def _along(axis: int, axes: int, v: Array) -> Array:
    """A vector along one axis of so many."""
    return v.reshape(-1, *[1] * (axes - axis - 1))


@dataclass(frozen=True)
class BCEWithLogitsLoss:
    """y = w ((1 - t) softplus(x) + pos_weight t softplus(-x)), reduced; softplus(x) = log(1 + eˣ).

    prediction x, target t: the same shape    y: (), or that shape with "none"
    weight w, pos_weight: any shape that broadcasts to theirs

    This is -w (pos_weight t log σ(x) + (1 - t) log(1 - σ(x))), without its overflow. Then

        dx = w ((1 - t) σ(x) - pos_weight t σ(-x)) dy/n
        dt = w (pos_weight softplus(-x) - softplus(x)) dy/n, which is -w x dy/n without pos_weight

    The mean is over all elements, whatever their weights.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.BCEWithLogitsLoss.
    """

    weight: Array | None = field(default=None, repr=False, compare=False)
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _Reduction.of(self.size_average, self.reduce, self.reduction)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Copies of weight and pos_weight, where there are any."""
        given = {"weight": self.weight, "pos_weight": self.pos_weight}
        return {name: a.copy() for name, a in given.items() if a is not None}

    def __call__(self, state: State, prediction: Array, target: Array) -> Forward:
        """y, and the gradients of prediction and target."""
        x, t = prediction, target
        given = {"weight": self.weight, "pos_weight": self.pos_weight}
        weights = {name: state[name] for name, a in given.items() if a is not None}
        _require_one_dtype(self, x, {"target": t, **weights})
        self._require_shapes(x, t, weights)

        reduced = _Reduction.of(self.size_average, self.reduce, self.reduction)
        w = weights.get("weight", 1)
        positive = t * weights.get("pos_weight", 1)
        rest = np.log1p(np.exp(-np.abs(x)))
        losses = w * ((1 - t) * (np.maximum(x, 0) + rest) + positive * (np.maximum(-x, 0) + rest))
        n = x.size

        def vjp(dy: Array) -> Grads:
            g = w * reduced.back(dy, max(n, 1))
            dx = g * ((1 - t) * sigmoid(x) - positive * sigmoid(-x))
            if self.pos_weight is None:
                return Grads((dx, -x * g))
            dt = weights["pos_weight"] * (np.maximum(-x, 0) + rest) - (np.maximum(x, 0) + rest)
            return Grads((dx, dt * g))

        return Forward(reduced(losses, n), vjp)

    def _require_shapes(self, x: Array, t: Array, weights: State) -> None:
        if t.shape != x.shape:
            raise ShapeError(
                f"{self} needs prediction and target of one shape, but got {x.shape} and {t.shape}."
            )
        for name, a in weights.items():
            if not _broadcasts(a.shape, x.shape):
                raise ShapeError(
                    f"{self} needs {name} of a shape that broadcasts to {x.shape}, but got "
                    f"{a.shape}."
                )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of one shape broadcasts to another."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(a in (1, b) for a, b in pairs)


def _require_one_dtype(loss: object, prediction: Array, others: State) -> None:
    """prediction has a floating dtype, and the others have the same."""
    if not np.issubdtype(prediction.dtype, np.floating):
        raise DtypeError(
            f"{loss} needs prediction of a floating dtype, but got {prediction.dtype}. "
            "You might need prediction.astype(np.float32)."
        )
    for name, a in others.items():
        if a.dtype != prediction.dtype:
            raise DtypeError(
                f"{loss} needs {name} in the dtype of prediction, {prediction.dtype}, but got "
                f"{a.dtype}. You might need {name}.astype({prediction.dtype})."
            )
