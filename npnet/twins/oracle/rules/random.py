"""Operations that draw: their masks come from the generator of the setting, in the order asked.

A keep mask is rng.random(shape) >= p with p the probability of dropping, the way in which layers
of this package draw theirs. torch asks for its masks by the probability of keeping.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from npnet.contract import ConfigError
from npnet.twins.oracle.bounded import Bounded, Tensor, overwrite, rule, setting
from npnet.twins.oracle.rules.elementwise import div, mul


def keep_mask(shape: Sequence[int], drop: float) -> Tensor:
    """Ones where an element is kept, zeros where it is dropped, in float64."""
    rng = setting().rng
    if rng is None:
        raise ConfigError(
            "a twin that draws needs the generator that its masks come from; received rng=None; "
            "set Setting(rng=numpy.random.default_rng(seed))"
        )
    return torch.from_numpy(np.asarray(rng.random(tuple(shape)) >= drop, dtype=np.float64))


@rule("bernoulli_.float")
def bernoulli_(target: Any, p: float = 0.5, *, generator: Any = None) -> Any:
    """Ones with probability p, in place."""
    overwrite(target, keep_mask(target.shape, 1.0 - p), None)
    return target


@rule("bernoulli.p")
def bernoulli(x: Any, p: float, *, generator: Any = None) -> Bounded:
    """Ones with probability p."""
    return Bounded(keep_mask(x.shape, 1.0 - p))


@rule("native_dropout")
def native_dropout(x: Any, p: float, train: bool | None) -> tuple[Bounded, Tensor]:
    """x·mask/(1 - p), and the mask."""
    if train is False or p == 0.0:
        return mul(x, 1.0), torch.ones(x.shape, dtype=torch.bool)
    mask = keep_mask(x.shape, p)
    kept = mul(x, mask)
    return (kept if p == 1.0 else div(kept, 1.0 - p)), mask.to(torch.bool)


@rule("native_dropout_backward")
def native_dropout_backward(dy: Any, mask: Any, scale: float) -> Bounded:
    """dy·mask·scale."""
    return mul(mul(dy, mask), scale)
