"""Functions of single elements, block by block, for the sake of speed."""

from collections.abc import Callable

import numpy as np

from npnet.contract import Array

_BLOCK = 2**15


def in_blocks(f: Callable[..., Array], *xs: Array) -> Array:
    """f(*xs), where f takes arrays of one shape and treats every element by itself.

    Every operation in f makes an array of its own. A small one stays in the cache; a large one is
    memory fresh from the system, which costs more than the arithmetic: two to five times as much.
    """
    size = xs[0].size
    if size <= _BLOCK:
        return f(*xs)
    flat = [x.reshape(size) for x in xs]
    first = f(*(x[:_BLOCK] for x in flat))
    y = np.empty(size, first.dtype)
    y[:_BLOCK] = first
    for i in range(_BLOCK, size, _BLOCK):
        y[i : i + _BLOCK] = f(*(x[i : i + _BLOCK] for x in flat))
    return y.reshape(xs[0].shape)
