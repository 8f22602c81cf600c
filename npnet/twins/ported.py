"""Code that was printed, run: what it calls `model`, with a state."""

import warnings
from typing import Any

import numpy as np
from torch import nn

from npnet.contract import ConfigError, State
from npnet.twins.checkpoints import tensor

TAKEN = frozenset(dir(nn.Sequential()))
"""What a module inside of another cannot be called."""


def run(source: str, state: State) -> nn.Module:
    """The module that the code builds, loaded with the state. Raises ConfigError."""
    namespace: dict[str, Any] = {"__name__": "ported"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch has to say to such arguments
            exec(compile(source, "<ported>", "exec"), namespace)  # npnet has written it
        module: nn.Module = namespace["model"]
        for a in state.values():
            if a.dtype.kind == "f":
                module = module.to(tensor(np.zeros(0, a.dtype)).dtype)
                break
        module.load_state_dict({n: tensor(np.asarray(a)) for n, a in state.items()})
    except Exception as error:
        raise ConfigError(f"the code for torch does not run: {error}\n\n{source}") from error
    return module
