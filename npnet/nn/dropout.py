"""Dropout: random zeros, drawn from a generator that is an input, by element or by channel."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats

_SATURATION = 1.7580993408473766  # λ α of SELU, which goes to -λ α far below 0


@dataclass(frozen=True)
class Dropout:
    """y = x · keep, where each entry of keep is 0 with probability p, and 1 / (1 - p) otherwise.

    x, y: any shape

    dx = dy · keep

    Evaluation (training=False) and p=0: y = x. p=1: y = 0 · x. The mask is drawn as
    `rng.random(x.shape) >= p`, and only where 0 < p < 1. `inplace` is accepted and does nothing.

    Raises ConfigError, also where a mask has to be drawn and there is no `rng`; DtypeError.
    Twin: torch.nn.Dropout. Source: Srivastava et al. (2014), JMLR 15, 1929-1958.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        return _dropped(self, x, x.shape, rng)


@dataclass(frozen=True)
class Dropout1d:
    """y = x · keep, one entry of keep for a whole channel: 0 with probability p, else 1 / (1 - p).

    x, y: (N, C, L) or (C, L)    mask: (N, C, 1) or (C, 1)

    Everything else is as in Dropout.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Dropout1d. Source: Tompson et al. (2015), arXiv:1411.4280.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        _require_axes(self, x, x.ndim in (2, 3), "(N, C, L) or (C, L)")
        return _dropped(self, x, _channels(x, x.ndim - 1), rng)


@dataclass(frozen=True)
class Dropout2d:
    """y = x · keep, one entry of keep for a whole channel: 0 with probability p, else 1 / (1 - p).

    x, y: (N, C, H, W)    mask: (N, C, 1, 1)

    An x with 3 axes is one of (N, C, L), not of (C, H, W), and has a mask of (N, C, 1); with 2 or
    with more than 4, the first two are N and C as well (all of which torch deprecates).
    Everything else is as in Dropout.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Dropout2d. Source: Tompson et al. (2015), arXiv:1411.4280.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        _require_axes(self, x, x.ndim >= 2, "(N, C, H, W)")
        return _dropped(self, x, _channels(x, 2), rng)


@dataclass(frozen=True)
class Dropout3d:
    """y = x · keep, one entry of keep for a whole channel: 0 with probability p, else 1 / (1 - p).

    x, y: (N, C, D, H, W) or (C, D, H, W)    mask: (N, C, 1, 1, 1) or (C, 1, 1, 1)

    With any other number of axes the first one is C (which torch deprecates).
    Everything else is as in Dropout.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Dropout3d. Source: Tompson et al. (2015), arXiv:1411.4280.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        _require_axes(self, x, x.ndim >= 1, "(N, C, D, H, W) or (C, D, H, W)")
        return _dropped(self, x, _channels(x, 2 if x.ndim == 5 else 1), rng)


@dataclass(frozen=True)
class AlphaDropout:
    """y = a (x where kept, -λα where dropped) + b, which leaves mean 0 and variance 1 as they are.

    x, y: any shape
    a = 1 / √((1 - p) (1 + p (λα)²))    b = a p λα    λα = alpha · scale of SELU = 1.7581

    dx = a dy where kept, 0 where dropped

    An element is dropped with probability p: what SELU makes of -∞ takes its place. The mask, the
    cases that draw none, and `inplace` are as in Dropout; p=1 is y = 0 · x.

    Raises ConfigError, also where a mask has to be drawn and there is no `rng`; DtypeError.
    Twin: torch.nn.AlphaDropout. Source: Klambauer et al. (2017), arXiv:1706.02515.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        return _dropped(self, x, x.shape, rng, saturates=True)


@dataclass(frozen=True)
class FeatureAlphaDropout:
    """y = a (x where kept, -λα where dropped) + b, a channel at a time.

    x, y: (N, C, *rest)    mask: (N, C, 1, …)

    Everything else is as in AlphaDropout.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.FeatureAlphaDropout. Source: Klambauer et al. (2017), arXiv:1706.02515.
    """

    p: float = 0.5
    inplace: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, and the gradient of x; `rng` draws the mask."""
        _require_axes(self, x, x.ndim >= 2, "(N, C, *rest)")
        return _dropped(self, x, _channels(x, 2), rng, saturates=True)


_Dropout: TypeAlias = (
    Dropout | Dropout1d | Dropout2d | Dropout3d | AlphaDropout | FeatureAlphaDropout
)


def _dropped(
    layer: _Dropout,
    x: Array,
    mask: tuple[int, ...],
    rng: np.random.Generator | None,
    saturates: bool = False,
) -> Forward:
    """What a mask of this shape makes of x; where it saturates, what is dropped is -λα, not 0."""
    require_floats(layer, x, {})
    p = layer.p
    if not layer.training or p == 0:
        return Forward(x, lambda dy: Grads((dy,)))

    keep = keep_factors(layer, mask, p, rng)
    shift: Array = np.zeros(())
    if saturates and p < 1:
        kept = keep > 0
        a = 1 / math.sqrt((1 - p) * (1 + p * _SATURATION**2))
        keep, shift = a * kept, a * _SATURATION * (p - ~kept)
    keep = keep.astype(x.dtype)
    y = x * keep
    if saturates:
        y += shift.astype(x.dtype)

    def vjp(dy: Array) -> Grads:
        return Grads((dy * keep,))

    return Forward(y, vjp)


def keep_factors(
    layer: object, shape: tuple[int, ...], p: float, rng: np.random.Generator | None
) -> Array:
    """0 with probability p, and 1 / (1 - p) otherwise; float64."""
    if p == 1:
        return np.zeros(shape)
    if rng is None:
        raise ConfigError(
            f"{layer} draws a mask in training, but got rng=None. You might need "
            "rng=np.random.default_rng(seed), or training=False."
        )
    return (rng.random(shape) >= p) / (1 - p)


def _channels(x: Array, axes: int) -> tuple[int, ...]:
    """The shape of a mask that differs along so many axes."""
    return x.shape[:axes] + (1,) * (x.ndim - axes)


def _check(layer: _Dropout) -> None:
    if not 0 <= layer.p <= 1:
        raise ConfigError(f"{type(layer).__name__} needs 0 <= p <= 1, but got p={layer.p}.")


def _require_axes(layer: _Dropout, x: Array, met: bool, shape: str) -> None:
    if not met:
        raise ShapeError(
            f"{layer} needs x of shape {shape}, but got {x.shape}. "
            "You might need Dropout, which drops single elements."
        )
