"""Dialects of the activations: other functions of the same name, and other subgradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from npnet.twins.dialects._made import Naming, setting
from npnet.verify.case import Config, Example
from npnet.verify.dialect import Dialect

Tensor = torch.Tensor


def _module(base: type[nn.Module], function: Callable[..., Tensor]) -> type[nn.Module]:
    class Restated(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """The module with this function of itself and of its inputs."""

        def forward(self, *inputs: Tensor) -> Tensor:
            return function(self, *inputs)

    return Restated


# ---- other functions -----------------------------------------------------------------------------


def _sigmoid_gelu(layer: Any, x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _keras_hard_sigmoid(layer: Any, x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


def _keras_hard_swish(layer: Any, x: Tensor) -> Tensor:
    return x * (0.2 * x + 0.5).clamp(0.0, 1.0)


def _axis(which: Callable[[int], int]) -> Callable[[Config, Example], Config]:
    def change(config: Config, example: Example) -> Config:
        axes = example.arrays["input 0"].ndim - 1
        return {**config, "dim": which(max(axes, 1))}

    return change


def _unsaid(quantity: str, config: Config) -> bool:
    """With dim=None, whose axis is torch's own invention."""
    return config["dim"] is None


def _over(name: str, origin: str, axis: str) -> Naming:
    return Naming(name, origin, f"it is over the {axis}, whatever dim says; torch's dim says which")


_AXES: tuple[tuple[Naming, Callable[[int], int]], ...] = (
    (_over("last-axis", "TensorFlow, Keras, JAX", "last axis"), lambda axes: -1),
    (_over("axis-1", "code for rows of logits", "axis 1"), lambda axes: min(1, axes - 1)),
    (_over("axis-0", "code for columns, Ng's courses", "axis 0"), lambda axes: 0),
)
_GELU = "; torch has the exact x Φ(x) unless told otherwise"
_OTHERS = (
    Naming("tanh", "BERT, GPT-2, JAX", f"the approximation with tanh{_GELU}").configured(
        "GELU", setting(approximate="tanh")
    ),
    Naming("sigmoid", "CLIP, quick GELU", f"the approximation x σ(1.702 x){_GELU}").restated(
        "GELU", _module(nn.GELU, _sigmoid_gelu)
    ),
    Naming(
        "keras",
        "Keras before version 3, Theano",
        "the straight line is 0.2 x + 0.5, from -2.5 to 2.5; torch's is x/6 + 0.5, from -3 to 3",
    ).restated("Hardsigmoid", _module(nn.Hardsigmoid, _keras_hard_sigmoid)),
    Naming(
        "keras",
        "Keras' hard sigmoid before version 3",
        "x (0.2 x + 0.5), from -2.5 to 2.5; torch has x (x/6 + 0.5), from -3 to 3",
    ).restated("Hardswish", _module(nn.Hardswish, _keras_hard_swish)),
    *(
        naming.without(naming.configured(twin, _axis(which)), _unsaid)
        for twin in ("Softmax", "LogSoftmax", "Softmin")
        for naming, which in _AXES
    ),
)


# ---- subgradients --------------------------------------------------------------------------------


def _kink(
    base: type[nn.Module], name: str, text: str, function: Callable[..., Tensor], **how: Any
) -> Dialect:
    naming = Naming(name, "another choice of subgradient", text)
    return naming.restated(base.__name__, _module(base, function), **how)


def _relu_one(layer: Any, x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, 0.0)


def _relu_half(layer: Any, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x < 0, 0.0, x / 2))


def _leaky(layer: Any, x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, layer.negative_slope * x)


def _prelu(layer: Any, x: Tensor) -> Tensor:
    channels = (-1,) + (1,) * max(x.dim() - 2, 0)
    slope = layer.weight.reshape(channels) if x.dim() > 1 else layer.weight.sum()
    return torch.where(x >= 0, x, slope * x)


def _elu(layer: Any, x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, layer.alpha * torch.expm1(x.clamp(max=0.0)))


def _selu(layer: Any, x: Tensor) -> Tensor:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return torch.where(x >= 0, scale * x, scale * alpha * torch.expm1(x.clamp(max=0.0)))


def _threshold(layer: Any, x: Tensor) -> Tensor:
    return torch.where(x >= layer.threshold, x, layer.value)


def _within(x: Tensor, low: float, high: float, inside: Tensor, right: Any, left: Any) -> Tensor:
    """`inside` from low to high, both included."""
    return torch.where(x < low, left, torch.where(x > high, right, inside))


def _hardtanh(layer: Any, x: Tensor) -> Tensor:
    return _within(x, layer.min_val, layer.max_val, x, layer.max_val, layer.min_val)


def _hardsigmoid(layer: Any, x: Tensor) -> Tensor:
    return _within(x, -3.0, 3.0, x / 6 + 0.5, 1.0, 0.0)


def _hardswish(layer: Any, x: Tensor) -> Tensor:
    return _within(x, -3.0, 3.0, x * (x + 3.0) / 6, x, 0.0)


def _absolute(at_zero: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def loss(layer: Any, x: Tensor, t: Tensor) -> Tensor:
        d = x - t
        losses = torch.where(at_zero(d), d, -d)
        if layer.reduction == "none":
            return losses
        return losses.mean() if layer.reduction == "mean" else losses.sum()

    return loss


def _hinge(layer: Any, x: Tensor, t: Tensor) -> Tensor:
    """multi_margin_loss with the gradient of a positive hinge at the margin."""
    rows, labels = x.reshape(-1, x.shape[-1]), t.reshape(-1, 1)
    other = torch.arange(rows.shape[1]) != labels
    excess = (layer.margin - rows.gather(1, labels)) + rows
    hinges = torch.where((excess >= 0) & other, excess, 0.0)
    if layer.p == 2:
        hinges = hinges * hinges
    if layer.weight is not None:
        hinges = hinges * layer.weight[labels]
    losses = hinges.sum(1) / rows.shape[1]
    if layer.reduction == "none":
        return losses.reshape(t.shape)
    return losses.mean() if layer.reduction == "mean" else losses.sum()


_ENDS = "at both ends the gradient is that of the straight line between; torch's is 0"
_ZERO = "at 0 the gradient is 1; torch's is "
_KINKS = (
    _kink(nn.ReLU, "one-at-zero", f"{_ZERO}0", _relu_one),
    _kink(nn.ReLU, "half-at-zero", "at 0 the gradient is 1/2; torch's is 0", _relu_half),
    _kink(nn.LeakyReLU, "one-at-zero", f"{_ZERO}the slope", _leaky),
    _kink(nn.PReLU, "one-at-zero", f"{_ZERO}the slope", _prelu),
    _kink(nn.ELU, "one-at-zero", f"{_ZERO}alpha", _elu),
    _kink(nn.SELU, "right-at-zero", "at 0 the gradient is scale; torch's is scale · alpha", _selu),
    _kink(
        nn.Threshold,
        "passes-at-threshold",
        "an x at the threshold passes, with its gradient; torch replaces it",
        _threshold,
    ),
    _kink(nn.Hardtanh, "one-at-ends", _ENDS, _hardtanh),
    _kink(nn.ReLU6, "one-at-ends", _ENDS, _hardtanh),
    _kink(nn.Hardsigmoid, "slope-at-ends", _ENDS, _hardsigmoid),
    _kink(
        nn.Hardswish,
        "inside-at-ends",
        "at -3 and 3 the gradient is that of the parabola, -1/2 and 3/2; torch's is 0 and 1",
        _hardswish,
    ),
    _kink(
        nn.L1Loss,
        "one-at-zero",
        "where the two are equal the gradient of the prediction is 1; torch's is 0",
        _absolute(lambda d: d >= 0),
    ),
    _kink(
        nn.L1Loss,
        "minus-one-at-zero",
        "where the two are equal the gradient of the prediction is -1; torch's is 0",
        _absolute(lambda d: d > 0),
    ),
    _kink(
        nn.MultiMarginLoss,
        "one-at-margin",
        "at the margin the gradient is that of a positive hinge; torch's is 0",
        _hinge,
        batched=lambda config: False,
    ),
)


FAMILY = (*_OTHERS, *_KINKS)
