"""Dialects of the losses: what they are divided by, and the half square."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from npnet.twins.dialects._made import Naming
from npnet.verify.case import Config, Example
from npnet.verify.dialect import Dialect

Tensor = torch.Tensor


def _one_by_one(config: Config) -> bool:
    return False


_LOSSES: dict[type[nn.Module], dict[str, Any]] = {
    nn.MSELoss: {},
    nn.L1Loss: {},
    nn.SmoothL1Loss: {},
    nn.HuberLoss: {},
    nn.BCELoss: {"batched": _one_by_one},
    nn.BCEWithLogitsLoss: {"batched": _one_by_one},
    nn.CrossEntropyLoss: {},
    nn.NLLLoss: {},
    nn.PoissonNLLLoss: {},
    nn.GaussianNLLLoss: {"batched": _one_by_one},
    nn.SoftMarginLoss: {"batched": _one_by_one, "constants": ("input 1",)},
    nn.HingeEmbeddingLoss: {"either": True},
    nn.MarginRankingLoss: {"either": True},
}
"""The losses that are reduced over elements or samples, and how each is asked."""

_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss)


def _effective(config: Config) -> str:
    """The reduction that is meant: the two deprecated arguments overrule the third."""
    size_average, reduce = (config.get(name) for name in ("size_average", "reduce"))
    if size_average is None and reduce is None:
        return str(config["reduction"])
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _instead_of_mean(reduction: str) -> Callable[[Config, Example], Config]:
    def change(config: Config, example: Example) -> Config:
        if _effective(config) != "mean":
            return config
        plain = {name: None for name in ("size_average", "reduce") if name in config}
        return {**config, **plain, "reduction": reduction}

    return change


def _divided(base: type[nn.Module], count: Callable[..., int]) -> type[nn.Module]:
    class Divided(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """The sum over `count(prediction, target)` in the place of the mean."""

        reduction: str

        def forward(self, x: Tensor, t: Tensor, *more: Any) -> Any:
            if self.reduction != "mean":
                return super().forward(x, t, *more)
            self.reduction = "sum"
            try:
                return super().forward(x, t, *more) / float(count(x, t))
            finally:
                self.reduction = "mean"

    return Divided


def _samples(x: Tensor, t: Tensor) -> int:
    """The size of the first axis of what is reduced."""
    common = torch.broadcast_shapes(x.shape, t.shape)
    return common[0] if common else 1


def _rows(x: Tensor, t: Tensor) -> int:
    """The size of the batch, where the classes are an axis."""
    return x.shape[0] if x.dim() > 1 else 1


def _labels(x: Tensor, t: Tensor) -> int:
    """The number of targets, ignored ones too; of probabilities, without the axis of classes."""
    if t.is_floating_point():
        return t.numel() // x.shape[1 if x.dim() > 1 else 0]
    return t.numel()


class _Half(nn.MSELoss):
    """(x - t)²/2, reduced."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return super().forward(x, t) / 2


class _HalfSum(nn.MSELoss):
    """Σ (x - t)²/2 in the place of the mean."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        reduction = "sum" if self.reduction == "mean" else self.reduction
        return F.mse_loss(x, t, reduction=reduction) / 2


class _HalfBatch(nn.MSELoss):
    """Σ (x - t)²/(2N) in the place of the mean, with N samples."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if self.reduction != "mean":
            return F.mse_loss(x, t, reduction=self.reduction) / 2
        return F.mse_loss(x, t, reduction="sum") / float(2 * _samples(x, t))


def _reductions(loss: type[nn.Module], how: dict[str, Any]) -> Iterator[Dialect]:
    name = loss.__name__
    if loss in _CLASSES:
        yield Naming(
            "tensorflow",
            "TensorFlow, Keras",
            "the mean divides by the number of targets; torch divides by the weights of those that "
            "are not ignored",
        ).restated(name, _divided(loss, _labels), **how)
    yield Naming(
        "sum",
        "textbooks",
        "the loss is summed and not divided; torch divides it by the number of terms",
    ).configured(name, _instead_of_mean("sum"))
    yield Naming(
        "batch-mean",
        "hand-written code",
        "the loss is divided by the number of samples, the first axis; torch divides by the number "
        "of all terms",
    ).restated(name, _divided(loss, _rows if loss in _CLASSES else _samples), **how)


FAMILY = (
    *(dialect for loss, how in _LOSSES.items() for dialect in _reductions(loss, how)),
    Naming(
        "batch-mean",
        "torch's own batchmean",
        "the loss is divided by the number of samples, the first axis; torch's mean divides by the "
        "number of elements",
    ).configured("KLDivLoss", _instead_of_mean("batchmean")),
    Naming(
        "sum",
        "textbooks",
        "the loss is summed and not divided; torch divides it by the number of elements",
    ).configured("KLDivLoss", _instead_of_mean("sum")),
    *(
        Naming(name, "textbooks", f"{text}; torch has the mean of (x - t)²").restated(
            "MSELoss", module
        )
        for name, text, module in (
            ("half", "the square is halved, (x - t)²/2", _Half),
            ("half-sum", "the squares are halved and summed, Σ (x - t)²/2", _HalfSum),
            ("half-batch-mean", "Σ (x - t)²/(2N), where N counts the samples", _HalfBatch),
        )
    ),
)
