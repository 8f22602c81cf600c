"""Operations that draw: their numbers come from the generator of the setting, in the order asked.

A keep mask is rng.random(shape) >= p with p the probability of dropping, the way in which layers
of this package draw theirs. torch asks for its masks by the probability of keeping.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from npnet.contract import ConfigError
from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    overwrite,
    parts,
    rounded,
    rule,
    setting,
)
from npnet.twins.oracle.rules.comparison import comparison
from npnet.twins.oracle.rules.elementwise import div, mul
from npnet.twins.oracle.rules.piecewise import leaky_relu, leaky_relu_backward
from npnet.twins.oracle.rules.view import where


def uniform(shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """The generator's next numbers from [0, 1)."""
    rng = setting().rng
    if rng is None:
        raise ConfigError(
            "a twin that draws needs the generator that its masks come from; received rng=None; "
            "set Setting(rng=numpy.random.default_rng(seed))"
        )
    return np.asarray(rng.random(tuple(shape)))


def keep_mask(shape: Sequence[int], drop: float) -> Tensor:
    """Ones where an element is kept, zeros where it is dropped, in float64."""
    return torch.from_numpy(np.asarray(uniform(shape) >= drop, dtype=np.float64))


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


@rule("rrelu_with_noise")
def rrelu_with_noise(
    x: Any,
    noise: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> Bounded:
    """x where x > 0, else r·x, with slopes r that are drawn; the factors go into `noise`."""
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    drawn = torch.from_numpy(uniform(x.shape)).mul_(upper - lower)
    # the difference of the bounds, its product and the sum round, and so does the number drawn
    doubt = drawn.abs().mul_(3.0).add_(abs(lower)).mul_(setting().precision.u)
    slope = rounded(drawn + lower, doubt)
    negative = comparison(torch.le)(x, 0.0)
    overwrite(noise, *parts(where(negative, slope, 1.0)))
    return where(negative, mul(x, slope), x)


@rule("rrelu_with_noise_backward")
def rrelu_with_noise_backward(
    dy: Any, x: Any, noise: Any, lower: float, upper: float, training: bool, of_result: bool
) -> Bounded:
    """dy times the factors of the forward pass."""
    if training:
        return mul(dy, noise)
    return leaky_relu_backward(dy, x, (lower + upper) / 2)
