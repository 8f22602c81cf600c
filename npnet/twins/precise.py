"""How torch is asked on a GPU: in full precision, and the same twice where it can be."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def precisely(random: bool, training: bool) -> Iterator[None]:
    """No TF32, no reduced sums, deterministic kernels where there are any.

    random: whether numbers are drawn; cuDNN draws masks of its own, and is left out then
    training: cuDNN has no backward of an LSTM in evaluation, and is left out then
    """
    matmul = torch.backends.cuda.matmul
    before = (
        matmul.allow_tf32,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    flags = torch.backends.cudnn.flags(
        enabled=training and not random, deterministic=True, benchmark=False, allow_tf32=False
    )
    with flags:
        matmul.allow_tf32 = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            matmul.allow_tf32 = before[0]
            torch.use_deterministic_algorithms(before[1], warn_only=before[2])
