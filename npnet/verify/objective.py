"""A function to be minimised that both sides can compute, for optimizers that take a closure."""

from collections.abc import Mapping
from typing import Any

Vectors = Mapping[str, Any]
"""Arrays or tensors by parameter: what is written here holds for both."""


def objective(params: Vectors, a: Vectors, c: Vectors, valley: bool) -> tuple[Any, dict[str, Any]]:
    """f = Σ a (x - c)² / 2, and with valley Σ (x_{j+1} - x_j²)² over neighbours; (f, gradients).

    The second is Rosenbrock's: a curved valley, in which a quadratic model is right nowhere.
    Neighbours are those in the flattened parameter. With valley, every element of a gradient is

    a (x_j - c) + 2 e_{j-1} - 4 x_j e_j,    e_j = x_{j+1} - x_j²
    """
    loss: Any = 0
    grads: dict[str, Any] = {}
    for name, x in params.items():
        away = x - c[name]
        slope = a[name] * away
        loss = loss + (slope * away).sum() / 2
        if valley and x.ndim:
            flat, slopes = x.reshape(-1), 1 * slope.reshape(-1)
            e = flat[1:] - flat[:-1] * flat[:-1]
            loss = loss + (e * e).sum()
            slopes[1:] += 2 * e
            slopes[:-1] -= 4 * flat[:-1] * e
            slope = slopes.reshape(x.shape)
        grads[name] = slope
    return loss, grads
