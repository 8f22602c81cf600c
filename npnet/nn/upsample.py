"""Interpolation on a grid of another size, axis by axis; every mode, any number of axes.

Along an axis each output is a weighted sum of a few inputs, its taps. The gradient is the
transposed map, which is made of taps as well: those outputs that an input goes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats

_AXES = {"linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,)}
_ALIGNING = tuple(_AXES)
_MODES = ("nearest", "nearest-exact", "area", *_ALIGNING)
_CUBIC = -0.75  # the parameter a of the cubic convolution kernel; other libraries have -0.5


@dataclass(frozen=True)
class Upsample:
    """y[o] = Σ over i of w(o, i) x[i], along every axis after the channels.

    x: (N, C, *sizes)    y: (N, C, *new sizes), 1 to 3 axes; 1 for "linear", 2 for "bilinear" and
    "bicubic", 3 for "trilinear"

    dx[i] = Σ over o of w(o, i) dy[o], along every axis: the transposed map

    The new sizes are `size`, or ⌊size of x · scale_factor⌋; both may be one number for all axes.
    Output o lies at t in the input, where s is 1/scale_factor if that is given, and else, or with
    recompute_scale_factor=True, the size of x / the new size; by mode:

        "nearest"               t = s·o, rounded down, and w = 1 there
        "nearest-exact"         t = s·(o + ½), rounded down, and w = 1 there
        (bi-, tri-)linear       t = s·(o + ½) - ½, not below 0, w = 1 - |t - i| at two neighbours
        "bicubic"               t = s·(o + ½) - ½, four neighbours, those outside are the edge's;
                                with d = |t - i| and a = -¾, w = (a + 2)d³ - (a + 3)d² + 1 for
                                d ≤ 1, else ad³ - 5ad² + 8ad - 4a
        align_corners=True      t = o·(size of x - 1)/(new size - 1) for these: ends meet ends
        (bi-, tri-)linear       t = o where the size stays the same, whatever the scale_factor
        "area"                  the mean of x from ⌊o·s⌋ up to before ⌈(o + 1)·s⌉, s recomputed

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Upsample. Source: Keys (1981), doi:10.1109/TASSP.1981.1163711 (bicubic).
    """

    size: int | tuple[int, ...] | None = None
    scale_factor: float | tuple[float, ...] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def __post_init__(self) -> None:
        _check(self)
        if self.mode not in _MODES:
            raise ConfigError(f"Upsample needs a mode of {_MODES}, but got {self.mode!r}.")
        if self.align_corners is not None and self.mode not in _ALIGNING:
            raise ConfigError(f"Upsample needs align_corners=None for the mode {self.mode!r}.")
        if self.recompute_scale_factor and self.size is not None:
            raise ConfigError("Upsample needs a scale_factor where it is to recompute it.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        recompute = bool(self.recompute_scale_factor)
        return _interpolate(self, x, self.mode, bool(self.align_corners), recompute)


@dataclass(frozen=True)
class UpsamplingNearest2d:
    """y[o] = x[⌊o · s⌋], along every axis after the channels: Upsample with mode="nearest".

    x: (N, C, H, W)    y: (N, C, H', W')

    dx[i] = Σ dy[o], over the o that read x[i]

    The new sizes are `size`, or ⌊size of x · scale_factor⌋; s is 1/scale_factor if that is given,
    and else the size of x / the new size.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.UpsamplingNearest2d.
    """

    size: int | tuple[int, int] | None = None
    scale_factor: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _interpolate(self, x, "nearest")


@dataclass(frozen=True)
class UpsamplingBilinear2d:
    """y[o] = Σ over i of (1 - |t - i|) x[i], along both axes, over the two neighbours i of t.

    x: (N, C, H, W)    y: (N, C, H', W')

    dx[i] = Σ over o of (1 - |t - i|) dy[o], along both axes, over the o that read x[i]

    The new sizes are `size`, or ⌊size of x · scale_factor⌋. Along each axis output o lies at
    t = o · (size of x - 1)/(new size - 1), or 0 for a new size of 1: the corners of y are those of
    x, as with mode="bilinear" and align_corners=True of Upsample.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.UpsamplingBilinear2d.
    """

    size: int | tuple[int, int] | None = None
    scale_factor: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        return _interpolate(self, x, "bilinear", align=True)


class _Taps(NamedTuple):
    """out[o] = Σ over k of weights[k, o] · in[sources[k, o]], for one axis; None: all are 1."""

    sources: Array
    weights: Array | None


def _interpolate(
    layer: Any, x: Array, mode: str, align: bool = False, recompute: bool = False
) -> Forward:
    require_floats(layer, x, {})
    axes = x.ndim - 2
    if axes not in _AXES.get(mode, (1, 2, 3)) or 0 in x.shape[1:]:
        raise ShapeError(
            f"{layer} needs x of shape (N, C, *sizes) with {_AXES.get(mode, '1 to 3')} sizes, and "
            f"only N may be 0, but got {x.shape}."
        )
    old = x.shape[2:]
    new, scales = _sizes(layer, old)
    if recompute:
        scales = (None,) * axes
    forward = [
        _taps(mode, align, n, m, s, x.dtype) for n, m, s in zip(old, new, scales, strict=True)
    ]
    backward = [_transposed(taps, n) for taps, n in zip(forward, old, strict=True)]

    y = x
    for axis in reversed(range(axes)):  # the last axis first: it costs most, and is smallest then
        y = _apply(forward[axis], y, axis + 2)

    def vjp(dy: Array) -> Grads:
        dx = dy
        for axis in range(axes):
            dx = _apply(backward[axis], dx, axis + 2)
        return Grads((dx,))

    return Forward(y, vjp)


def _apply(taps: _Taps, x: Array, axis: int) -> Array:
    total: Array = x.take(taps.sources[0], axis)
    if taps.weights is None:
        return total
    weights = taps.weights.reshape(*taps.weights.shape, *(1,) * (x.ndim - 1 - axis))
    total *= weights[0]
    for sources, weight in zip(taps.sources[1:], weights[1:], strict=True):
        part = x.take(sources, axis)
        part *= weight
        total += part
    return total


def _taps(
    mode: str, align: bool, n: int, m: int, scale: float | None, dtype: np.dtype[Any]
) -> _Taps:
    """From n inputs to m outputs."""
    o = np.arange(m)
    if mode.startswith("nearest"):
        # torch's own arithmetic: s in the dtype of x, float32 at least, and t always in float32
        wide = np.result_type(dtype, np.float32).type
        s = wide(1 / scale) if scale else wide(n) / wide(m)
        t = (o + 0.5 if mode == "nearest-exact" else o) * s
        return _Taps(np.minimum(np.floor(t.astype(np.float32)).astype(int), n - 1)[None], None)
    if mode == "area":
        first, last = o * n // m, -(-(o + 1) * n // m)
        k = np.arange((last - first).max())[:, None]
        inside = first + k < last
        return _Taps(np.where(inside, first + k, first), (inside / (last - first)).astype(dtype))

    if align:
        t = o * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        t = (o + 0.5) * (1 / scale if scale else n / m) - 0.5
    if mode == "bicubic":
        i, k = np.floor(t).astype(int), np.arange(-1, 3)[:, None]
        return _Taps(np.clip(i + k, 0, n - 1), _cubic(np.abs(t - i - k)).astype(dtype))
    if m == n:
        return _Taps(o[None], None)
    t = np.maximum(t, 0.0)
    i = np.minimum(np.floor(t).astype(int), n - 1)
    w = t - i
    return _Taps(np.stack([i, np.minimum(i + 1, n - 1)]), np.stack([1 - w, w]).astype(dtype))


def _cubic(d: Array) -> Array:
    """The weight of an input at a distance d < 2."""
    a = _CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, far)


def _transposed(taps: _Taps, n: int) -> _Taps:
    """The taps of the transposed map, back to n: for each input the outputs that read it."""
    sources = taps.sources.ravel()
    outputs = np.tile(np.arange(taps.sources.shape[1]), len(taps.sources))
    order = np.argsort(sources, kind="stable")
    counts = np.bincount(sources, minlength=n)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    back = np.zeros((counts.max(), n), int)
    back[place, sources[order]] = outputs[order]
    if taps.weights is None and counts.min() == counts.max() == 1:
        return _Taps(back, None)
    dtype = np.float16 if taps.weights is None else taps.weights.dtype  # 0 and 1 are exact in all
    weights = np.zeros(back.shape, dtype)
    weights[place, sources[order]] = 1 if taps.weights is None else taps.weights.ravel()[order]
    return _Taps(back, weights)


def _sizes(layer: Any, old: Sequence[int]) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The new sizes, and the scale factors, or None for each."""
    axes = len(old)
    given = layer.size if layer.size is not None else layer.scale_factor
    each = tuple(given) if isinstance(given, Sequence) else (given,) * axes
    if len(each) != axes:
        raise ShapeError(f"{layer} needs x with {len(each)} axes after the channels, not {axes}.")
    if layer.size is not None:
        new, scales = each, (None,) * axes
    else:
        new, scales = tuple(int(n * s) for n, s in zip(old, each, strict=True)), each
    if min(new) < 1:
        raise ShapeError(
            f"{layer} needs an x that leaves sizes of 1 or more, but {old} gives {new}."
        )
    return new, scales


def _check(layer: Any) -> None:
    if (layer.size is None) == (layer.scale_factor is None):
        raise ConfigError(
            f"{type(layer).__name__} needs one of size and scale_factor, but got {layer.size} and "
            f"{layer.scale_factor}."
        )
