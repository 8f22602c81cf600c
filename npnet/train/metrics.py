"""Metrics: functions of a prediction and its target that come to a mean over the samples."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, ShapeError

Metric = Callable[[Any, Any], float]


def accuracy(prediction: Array, target: Array) -> float:
    """The part of the labels that the largest score stands at.

    prediction: (N, C, *rest), scores of C classes    target: (N, *rest), labels
    """
    if prediction.ndim < 2 or prediction.shape[:1] + prediction.shape[2:] != target.shape:
        raise ShapeError(
            "accuracy needs a prediction of shape (N, C, *rest) and labels of shape (N, *rest), "
            f"but got {prediction.shape} and {target.shape}."
        )
    return float(np.mean(prediction.argmax(1) == target))


def binary_accuracy(prediction: Array, target: Array) -> float:
    """The part of the targets, 0 or 1, that a logit of more than 0 says rightly to be 1."""
    if prediction.shape != target.shape:
        raise ShapeError(
            "binary_accuracy needs a prediction and a target of one shape, but got "
            f"{prediction.shape} and {target.shape}."
        )
    return float(np.mean((prediction > 0) == (target > 0.5)))


def mean_absolute_error(prediction: Array, target: Array) -> float:
    """mean |prediction - target|."""
    return float(np.mean(np.abs(prediction - target)))


KNOWN: dict[str, Metric] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "mean_absolute_error": mean_absolute_error,
}


def resolved(metrics: Any) -> dict[str, Metric]:
    """Metrics by name, of a mapping, or of a sequence of functions and names. ConfigError."""
    if isinstance(metrics, Mapping):
        found = dict(metrics)
    elif isinstance(metrics, str):
        found = {metrics: _known(metrics)}
    else:
        found = {}
        for metric in metrics:
            named = isinstance(metric, str)
            name = metric if named else getattr(metric, "__name__", type(metric).__name__)
            found[name] = _known(metric) if named else metric
    for name, metric in found.items():
        if not callable(metric) or name == "loss":
            raise ConfigError(
                "a metric needs to be a function of prediction and target, and not to be called "
                f"'loss', but {name!r} is {metric!r}."
            )
    return found


def _known(name: str) -> Metric:
    if name not in KNOWN:
        near = get_close_matches(name, KNOWN, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(KNOWN)}."
        raise ConfigError(
            f"a metric needs to be a function, or one that is known, but is {name!r}. {hint}"
        )
    return KNOWN[name]
