"""What second algorithms of losses share: means as products with a constant, sums by einsum."""

from typing import Any

import numpy as np

from npnet.contract import Array


def how(loss: Any) -> str:
    """The reduction that the arguments of a loss amount to."""
    old = getattr(loss, "reduce", None), getattr(loss, "size_average", None)
    if old[0] is False:
        return "none"
    if old[1] is False:
        return "sum"
    return str(loss.reduction) if old == (None, None) else "mean"


def reduced(loss: Any, losses: Array, n: Any = None) -> tuple[Array, Any]:
    """The losses reduced, and what dy is multiplied by on its way back."""
    losses = np.asarray(losses)
    kind = how(loss)
    one = losses.dtype.type(1)
    if kind == "none":
        return losses, one
    scale = one / losses.dtype.type(losses.size if n is None else n) if kind != "sum" else one
    return np.asarray(np.einsum("i->", losses.reshape(losses.size))) * scale, scale


def gathered(x: Array, d: Array, like: Array) -> Array:
    """The gradient of x, which was broadcast to the shape of `like`, element by element."""
    dx = np.zeros(x.shape, x.dtype)
    places = np.broadcast_to(np.arange(x.size).reshape(x.shape), like.shape)
    np.add.at(dx.reshape(-1), places.reshape(-1), np.broadcast_to(d, like.shape).reshape(-1))
    return dx
