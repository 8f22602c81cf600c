"""npnet: hand-written backward passes, held against PyTorch.

`npnet.nn` and `npnet.optim` are NumPy implementations of torch's layers, losses and optimizers;
`npnet.verify` holds such code, npnet's own or yours, against its torch twin. Subpackages load on
first use, so that `import npnet` costs no more than NumPy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_SUBPACKAGES = ("autograd", "contract", "nn", "optim", "report", "train", "twins", "verify")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"npnet.{name}")
    raise AttributeError(f"module 'npnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBPACKAGES])
