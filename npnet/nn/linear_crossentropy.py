"""A linear layer and the cross entropy of its logits, which need never exist all at once."""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn.crossentropy import CrossEntropyLoss
from npnet.nn.linear import Linear


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How LinearCrossEntropyLoss goes through a batch: in chunks, to save memory.

    batch_chunk_size: samples per chunk; None: all of them, or what chunking_method says
    chunking_method: "aspect_ratio:k" takes the power of two at or above N in_features /
        num_classes, divided by k; "auto" is k = 2 where batch_chunk_size is None, else None
    acc_dtype: the dtype to compute in; None: float32 for float16, else that of x
    acc_policy, allow_retain_graph: accepted, and decide nothing here

    Raises ConfigError.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ConfigError(
                "LinearCrossEntropyOptions needs acc_policy='auto', 'accurate', 'balanced' or "
                f"'compact', but got {self.acc_policy!r}."
            )
        if self.batch_chunk_size is not None and self.batch_chunk_size < 1:
            raise ConfigError(
                "LinearCrossEntropyOptions needs batch_chunk_size >= 1, or None, but got "
                f"{self.batch_chunk_size}."
            )
        if self.chunking_method not in (None, "auto"):
            self._parts()

    def chunk(self, samples: int, in_features: int, classes: int) -> int:
        """How many samples are looked at together."""
        size = self.batch_chunk_size
        if self.chunking_method is None or (self.chunking_method == "auto" and size is not None):
            return samples if size is None else size
        ratio = -(-classes // in_features)
        target = -(-samples // ratio)
        computed = (1 << max(target - 1, 0).bit_length()) // self._parts()
        if size is not None and size != computed:
            raise ConfigError(
                f"{self} asks for two chunk sizes: batch_chunk_size={size}, and {computed} by "
                "chunking_method. You might need to leave one of them out."
            )
        return computed

    def _parts(self) -> int:
        name, colon, parts = (self.chunking_method or "").partition(":")
        if self.chunking_method == "auto":
            return 2
        if name != "aspect_ratio" or (colon and not (parts.isdigit() and int(parts) > 0)):
            raise ConfigError(
                "LinearCrossEntropyOptions needs chunking_method='auto', 'aspect_ratio', "
                f"'aspect_ratio:k' with k >= 1, or None, but got {self.chunking_method!r}."
            )
        return int(parts) if colon else 1


@dataclass(frozen=True)
class LinearCrossEntropyLoss:
    """y = cross_entropy(x Wᵀ + b, target), by the conventions of Linear and CrossEntropyLoss.

    x: (N, in_features), or (in_features,) for one sample
    linear.weight W: (num_classes · D, in_features), where D = ∏ out_features
    linear.bias b: (num_classes · D,)    weight: of every class, (num_classes,)
    target: labels, (N, *out_features) or (); or probabilities, (N, num_classes, *out_features) or
        (num_classes,)
    y: (), or (N, *out_features) or () with "none"

    dx = dlogits W    dW = dlogitsᵀ x    db = Σ dlogits, over the samples

    The logits are x Wᵀ + b in the shape (N, num_classes, *out_features). dlogits is the dprediction
    of the loss, which, like dtarget, weight, reduction and label_smoothing, is
    as in CrossEntropyLoss.

    bias=False is the default, other than in Linear. ignore_index=None ignores the label -100; a
    label to be ignored is refused beside probabilities. With `options` the samples are taken in
    chunks, forwards and once more backwards, and at no time are there more logits than those of one
    chunk; without effect beside probabilities.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a label that is no class.
    Twin: torch.nn.LinearCrossEntropyLoss.
    """

    in_features: int
    num_classes: int
    _: KW_ONLY
    out_features: tuple[int, ...] = ()
    bias: bool = False
    reduction: str = "mean"
    weight: Array | None = field(default=None, repr=False, compare=False)
    ignore_index: int | None = None
    label_smoothing: float = 0.0
    options: LinearCrossEntropyOptions | None = None

    def __post_init__(self) -> None:
        self._cross_entropy(self.reduction)
        if self.weight is not None and self.weight.shape != (self.num_classes,):
            raise ConfigError(
                f"LinearCrossEntropyLoss needs weight of shape ({self.num_classes},), one for each "
                f"class, but got {self.weight.shape}."
            )

    @property
    def _linear(self) -> Linear:
        return Linear(self.in_features, self.num_classes * math.prod(self.out_features), self.bias)

    def _cross_entropy(self, reduction: str) -> CrossEntropyLoss:
        return CrossEntropyLoss(
            self.weight,
            ignore_index=-100 if self.ignore_index is None else self.ignore_index,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """A copy of weight where there is one; linear.weight and linear.bias as in Linear."""
        state = {f"linear.{name}": a for name, a in self._linear.init(rng).items()}
        return state if self.weight is None else {"weight": self.weight.copy(), **state}

    def __call__(self, state: State, x: Array, target: Array) -> Forward:
        """y, and the gradients of x, linear.weight, linear.bias and a target of probabilities."""
        require_floats(self, x, state)
        if x.ndim not in (1, 2) or (x.ndim == 1 and self.out_features):
            only = "" if self.out_features else f" or ({self.in_features},)"
            raise ShapeError(
                f"{self} needs x of shape (N, {self.in_features}){only}, but got {x.shape}."
            )
        logits = (*x.shape[:-1], self.num_classes, *self.out_features)
        if target.shape == logits and self.ignore_index is not None:
            raise ConfigError(
                f"{self} cannot ignore a label where targets are probabilities, as one in the "
                "shape of the logits is. You might need ignore_index=None."
            )
        if self.options and x.ndim == 2 and target.shape == (len(x), *self.out_features):
            return self._in_chunks(state, x, target)
        return self._at_once(state, x, target, self.reduction)

    def _at_once(self, state: State, x: Array, target: Array, reduction: str) -> Forward:
        linear: Any = self._linear(_linear_part(state), x)
        logits = linear.y.reshape(*x.shape[:-1], self.num_classes, *self.out_features)
        loss = self._cross_entropy(reduction)(state, logits, target)

        def vjp(dy: Array) -> Grads:
            dlogits, dtarget = loss.vjp(dy).inputs
            (dx,), params = linear.vjp(dlogits.reshape(linear.y.shape))
            return Grads((dx, dtarget), {f"linear.{name}": d for name, d in params.items()})

        return Forward(loss.y, vjp)

    def _in_chunks(self, state: State, x: Array, target: Array) -> Forward:
        assert self.options is not None
        classes = self.num_classes * math.prod(self.out_features)
        size = max(1, self.options.chunk(len(x), self.in_features, classes))
        dtype = np.dtype(self.options.acc_dtype or np.promote_types(x.dtype, np.float32))
        wide = {name: a.astype(dtype, copy=False) for name, a in state.items()}

        def chunks() -> Iterator[tuple[slice, Forward]]:
            for first in range(0, max(len(x), 1), size):
                part = slice(first, first + size)
                rows = x[part].astype(dtype, copy=False)
                yield part, self._at_once(wide, rows, target[part], "none")

        losses = np.concatenate([forward.y for _, forward in chunks()])
        n = self._divisor(wide, target, dtype)
        with np.errstate(divide="ignore", invalid="ignore"):  # the mean over nothing is nan
            y = losses if self.reduction == "none" else losses.sum() / n

        def vjp(dy: Array) -> Grads:
            with np.errstate(divide="ignore", invalid="ignore"):
                dlosses = np.broadcast_to(dy.astype(dtype, copy=False) / n, target.shape)
            dx = np.empty_like(x)
            sums = {name: np.zeros(a.shape, dtype) for name, a in wide.items() if name != "weight"}
            for part, forward in chunks():
                (dx[part], _), params = forward.vjp(dlosses[part])
                for name, d in params.items():
                    sums[name] += d
            return Grads((dx, None), {k: d.astype(x.dtype, copy=False) for k, d in sums.items()})

        return Forward(np.asarray(y, x.dtype), vjp)

    def _divisor(self, state: State, target: Array, dtype: DTypeLike) -> Array:
        """What the sum of the losses is divided by: the weights in use for a mean."""
        if self.reduction != "mean":
            return np.ones((), dtype)
        ignored = -100 if self.ignore_index is None else self.ignore_index
        labels = target[target != ignored]
        used = np.ones(labels.shape, dtype) if self.weight is None else state["weight"][labels]
        return np.asarray(used.sum())


def _linear_part(state: State) -> dict[str, Array]:
    return {n.removeprefix("linear."): a for n, a in state.items() if n.startswith("linear.")}
