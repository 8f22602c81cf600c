"""Gradient clipping: pure functions of the gradients of all parameters."""

import math
from collections.abc import Mapping

import numpy as np

from npnet.contract import Array, ConfigError

Gradients = Mapping[str, Array | None]


def clip_grad_norm(
    grads: Gradients, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> tuple[dict[str, Array | None], float]:
    """(g · min(1, max_norm / (norm + 1e-6)) for every gradient g, norm).

    norm: the norm_type-norm of all gradients together, inf for the largest magnitude. 1e-6 is added
    to the norm, so that what is clipped ends a little below max_norm. A gradient of None stays.

    Raises ConfigError where the norm is not finite and error_if_nonfinite.
    Twin: torch.nn.utils.clip_grad_norm_, which writes into the gradients and returns the norm.
    """
    norms = [_norm(g, norm_type) for g in grads.values() if g is not None]
    norm = _norm(np.array(norms), norm_type) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(norm):
        raise ConfigError(
            f"clip_grad_norm needs gradients of a finite norm, but got {norm}. "
            "error_if_nonfinite=False scales by it all the same."
        )
    with np.errstate(invalid="ignore"):  # inf times 0 is nan
        factor = np.minimum(1.0, max_norm / (np.float64(norm) + 1e-6))
        clipped = {n: None if g is None else g * g.dtype.type(factor) for n, g in grads.items()}
    return clipped, norm


def _norm(v: Array, p: float) -> float:
    """The p-norm of all elements, in float64."""
    size = np.abs(v.astype(np.float64))
    if math.isinf(p):
        return float(size.max(initial=0.0) if p > 0 else size.min(initial=math.inf))
    if p == 0:
        return float(np.count_nonzero(size))
    return float(np.sum(size**p) ** (1 / p))


def clip_grad_value(grads: Gradients, clip_value: float) -> dict[str, Array | None]:
    """Every element of every gradient, kept between -clip_value and clip_value.

    Twin: torch.nn.utils.clip_grad_value_, which writes into the gradients.
    """
    return {
        name: None if g is None else np.clip(g, g.dtype.type(-clip_value), g.dtype.type(clip_value))
        for name, g in grads.items()
    }
