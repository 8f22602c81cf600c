"""What a framework answers."""

from typing import NamedTuple

import numpy as np


class Reply(NamedTuple):
    """Outputs, gradients of real inputs and of tensors by name, and what the pass changed."""

    ys: list[np.ndarray]
    inputs: list[np.ndarray]
    tensors: dict[str, np.ndarray]
    changed: dict[str, np.ndarray]
