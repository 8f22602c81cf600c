"""Power-average pooling: the p-norm of each window of a plane."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, State
from npnet.nn._windows import Pooling, plane
from npnet.nn.avgpool import counts, shared, summed
from npnet.nn.maxpool import maxima, sliding, spread, winners


@dataclass(frozen=True)
class LPPool1d:
    """y[j] = (Σ over k of x[stride·j + k]^p)^(1/p), where p = norm_type, in each plane by itself.

    x: (N, C, L) or (C, L)    y: (N, C, L') or (C, L')
    L' = ⌊(L - kernel_size) / stride⌋ + 1

    dx[i] = Σ dy[j] y[j]^(1 - p) · x[i]^(p - 1), over the windows j that hold i

    Powers of x and not of |x|: with an odd p a negative sum gives nan, and with a p that is no
    integer a negative x does. A sum of 0 has the gradient 0. norm_type=inf: the largest |x|, -inf:
    the smallest, and dy · sign(x) goes to the first of equal ones. stride=None: kernel_size.
    ceil_mode: ⌈…⌉ for ⌊…⌋; a window that the input does not fill counts as if it did, with the
    mean of its powers times the size of the kernel, and so does its term of dx.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LPPool1d.
    """

    norm_type: float
    kernel_size: int
    stride: int | tuple[int] | None = None
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        _check(self, 1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _lp_pool(self, x, axes=1)


@dataclass(frozen=True)
class LPPool2d:
    """y[j] = (Σ over k of x[stride·j + k]^p)^(1/p), where p = norm_type, in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')

    j and k have one component per axis, and so may kernel_size and stride.
    All else is as in LPPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LPPool2d.
    """

    norm_type: float
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        _check(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _lp_pool(self, x, axes=2)


@dataclass(frozen=True)
class LPPool3d:
    """y[j] = (Σ over k of x[stride·j + k]^p)^(1/p), where p = norm_type, in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')

    j and k have one component per axis, and so may kernel_size and stride.
    All else is as in LPPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.LPPool3d.
    """

    norm_type: float
    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] | None = None
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        _check(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _lp_pool(self, x, axes=3)


_LPPool: TypeAlias = LPPool1d | LPPool2d | LPPool3d


def _lp_pool(layer: _LPPool, x: Array, axes: int) -> Forward:
    """The forward pass in any number of axes."""
    size = plane(layer, x, axes)
    pooling = Pooling.of(layer, axes)
    out = pooling.outputs(layer, size)
    p = float(layer.norm_type)
    if math.isinf(p):
        return _extreme(x, math.copysign(1.0, p), pooling, out)

    pairs = pooling.taps(size, out)
    scale = math.prod(pooling.kernel) / counts(pooling, size, out, include_padding=False)
    scale = scale.astype(x.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = summed(x**p, out, pairs) * scale
        y = total ** (1 / p)

    def vjp(dy: Array) -> Grads:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(total == 0, 0, dy * total ** (1 / p - 1) * scale)
            dx = shared(share.astype(x.dtype), size, pairs) * x ** (p - 1)
        return Grads((dx,))

    return Forward(y, vjp)


def _extreme(x: Array, sign: float, pooling: Pooling, out: tuple[int, ...]) -> Forward:
    """The largest |x| of each window, or the smallest where sign is -1."""
    windows = sliding(pooling, x.shape[-len(out) :], out)
    levels = maxima(sign * np.abs(x), windows)
    sizes = [z.shape for z in levels]

    def vjp(dy: Array) -> Grads:
        dx = spread(dy, winners(levels, windows), sizes, windows) * np.sign(x)
        return Grads((dx,))

    return Forward(sign * levels[-1], vjp)


def _check(layer: _LPPool, axes: int) -> None:
    Pooling.of(layer, axes)
    if layer.norm_type == 0 or math.isnan(layer.norm_type):
        raise ConfigError(
            f"{type(layer).__name__} needs a norm_type other than 0, but got {layer.norm_type}."
        )
