"""Guards that several layers share."""

import numpy as np

from npnet.contract import Array, DtypeError, State


def require_floats(layer: object, x: Array, state: State) -> None:
    """x has a floating dtype, and the entries of the state have the same, or an integer one."""
    if not np.issubdtype(x.dtype, np.floating):
        raise DtypeError(
            f"{layer} needs x of a floating dtype, but got {x.dtype}. "
            "You might need x.astype(np.float32)."
        )
    for name, entry in state.items():
        if entry.dtype != x.dtype and np.issubdtype(entry.dtype, np.inexact):
            raise DtypeError(
                f"{layer} needs x and its state in one dtype, but got x of {x.dtype} and {name} "
                f"of {entry.dtype}. You might need x.astype({name}.dtype)."
            )
