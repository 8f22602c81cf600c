"""What families of one, two and three axes share: the same question, for every number of axes."""

from typing import Any

import numpy as np

from npnet.contract import Array


def line(x: Any, axes: int) -> Array:
    """Planes, or volumes, of one line each: the last axis of x, behind others of size 1."""
    a = np.asarray(x)
    return a.reshape(*a.shape[:-1], *(1,) * (axes - 1), a.shape[-1])


def across(n: int, axes: int, other: int = 1) -> Any:
    """An argument that is n along the line, and `other` along the axes of size 1."""
    return n if axes == 1 else (*(other,) * (axes - 1), n)
