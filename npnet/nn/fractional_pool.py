"""Fractional max pooling: windows at random steps, so that sizes shrink by any factor.

Five to seven times as slow as torch's: every plane has windows of its own, so that their elements
are gathered by index, where other pooling takes slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._windows import per_axis, plane
from npnet.nn.maxpool import Windows, maxima, positions, scattered, winners


@dataclass(frozen=True)
class FractionalMaxPool2d:
    """y[p] = max over k of x[start(p) + k] on each axis, in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    (H', W') = output_size, or ⌊output_ratio · (H, W)⌋: exactly one of the two is given

    dx[j] = Σ dy[p], over the windows p whose maximum is x[j]

    On an axis of n inputs and n' outputs, start(p) = ⌊α (p + u)⌋ - ⌊α u⌋, where
    α = (n - kernel_size) / (n' - 1), and start(n' - 1) = n - kernel_size. The arithmetic is that of
    the dtype of x. u is uniform in [0, 1), one for each plane and axis: _random_samples if given,
    of shape (N or more, C, 2), else `rng.random((N, C, 2))`, where N = 1 without a batch axis. The
    first of the two belongs to W, the second to H. It draws in evaluation too.

    k runs over 0 … kernel_size - 1. return_indices, and who wins, are as in MaxPool1d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.FractionalMaxPool2d. Source: Graham (2014), arXiv:1412.6071.
    """

    kernel_size: int | tuple[int, int]
    output_size: int | tuple[int, int] | None = None
    output_ratio: float | tuple[float, float] | None = None
    return_indices: bool = False
    _random_samples: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self, 2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """_random_samples, if given."""
        return _given(self)

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        samples = _samples(self, state, x, 2, rng)
        return _fractional_pool(self, x, samples[..., ::-1])  # of W, then of H


@dataclass(frozen=True)
class FractionalMaxPool3d:
    """y[p] = max over k of x[start(p) + k] on each axis, in each volume by itself.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, C, D', H', W') or (C, D', H', W')
    (D', H', W') = output_size, or ⌊output_ratio · (D, H, W)⌋: exactly one of the two is given

    The last axis of _random_samples, or of `rng.random((N, C, 3))`, is that of D, H and W, in this
    order. All else is as in FractionalMaxPool2d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.FractionalMaxPool3d. Source: Graham (2014), arXiv:1412.6071.
    """

    kernel_size: int | tuple[int, int, int]
    output_size: int | tuple[int, int, int] | None = None
    output_ratio: float | tuple[float, float, float] | None = None
    return_indices: bool = False
    _random_samples: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self, 3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """_random_samples, if given."""
        return _given(self)

    def __call__(
        self, state: State, x: Array, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        return _fractional_pool(self, x, _samples(self, state, x, 3, rng))


_FractionalPool: TypeAlias = FractionalMaxPool2d | FractionalMaxPool3d


def _fractional_pool(layer: _FractionalPool, x: Array, samples: Array) -> Forward:
    """The forward pass in as many axes as there are samples for each plane."""
    axes = samples.shape[-1]
    windows = []
    kernel, out = _geometry(layer, x.shape[-axes:])
    for i, (n, k, o) in enumerate(zip(x.shape[-axes:], kernel, out, strict=True)):
        # of each plane its own, on this axis, for all positions on the others
        shape = (*samples.shape[:-1], *(o if j == i else 1 for j in range(axes)))
        first = starts(samples[..., i], n, k, o).reshape(shape)
        taps = [(slice(None), first + t) for t in range(k)]
        windows.append(Windows(i - axes, o, taps, apart=False))
    levels = maxima(x, windows)

    def indices() -> Array:
        return positions(winners(levels, windows), levels, windows)

    def vjp(dy: Array | tuple[Array, None]) -> Grads:
        dy = dy[0] if isinstance(dy, tuple) else dy
        return Grads((scattered(dy, indices(), x, axes),))

    y = levels[-1].copy()  # the caller's own; vjp reads the other
    return Forward((y, indices()) if layer.return_indices else y, vjp)


def starts(samples: Array, n: int, kernel: int, out: int) -> Array:
    """Where the windows of an axis begin, in a further axis; the samples' dtype does the sums."""
    first = np.full((*samples.shape, out), n - kernel)
    if out > 1:
        dtype = samples.dtype.type
        alpha = dtype(n - kernel) / dtype(out - 1)
        p = np.arange(out - 1).astype(dtype)
        u = samples[..., np.newaxis]
        first[..., :-1] = ((p + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
    return first


def _samples(
    layer: _FractionalPool, state: State, x: Array, axes: int, rng: np.random.Generator | None
) -> Array:
    """A number in [0, 1) for every plane of x and every axis, in torch's order of axes."""
    plane(layer, x, axes)
    batch, channels = (x.shape[0] if x.ndim == axes + 2 else 1), x.shape[-axes - 1]
    if layer._random_samples is None:
        if rng is None:
            raise ConfigError(
                f"{layer} draws where its windows begin and needs rng, a numpy.random.Generator, "
                "or _random_samples. You might need rng=np.random.default_rng()."
            )
        samples = rng.random((batch, channels, axes)).astype(x.dtype)
    else:
        require_floats(layer, x, state)
        samples = state["_random_samples"]
        if len(samples) < batch or samples.shape[1:] != (channels, axes):
            raise ShapeError(
                f"{type(layer).__name__} needs _random_samples of shape ({batch} or more, "
                f"{channels}, {axes}), but got {samples.shape}."
            )
    return samples[:batch] if x.ndim == axes + 2 else samples[0]


def _geometry(layer: _FractionalPool, size: Sequence[int]) -> tuple[tuple[int, ...], list[int]]:
    """(kernel_size, output_size), each as a sequence."""
    axes = len(size)
    kernel = per_axis(layer, "kernel_size", axes, least=1)
    if layer.output_size is not None:
        out = [*per_axis(layer, "output_size", axes, least=0)]
    else:
        out = [int(n * r) for n, r in zip(size, _ratios(layer, axes), strict=True)]
    if any(o + k - 1 > n for n, k, o in zip(size, kernel, out, strict=True)):
        raise ShapeError(
            f"{type(layer).__name__} needs planes with room for windows of {kernel} at {out} "
            f"places on its axes, but got planes of {tuple(size)}."
        )
    return kernel, out


def _ratios(layer: _FractionalPool, axes: int) -> tuple[float, ...]:
    ratio = layer.output_ratio
    return tuple(ratio) if isinstance(ratio, tuple | list) else (ratio or 0.0,) * axes


def _given(layer: _FractionalPool) -> dict[str, Array]:
    samples = layer._random_samples
    return {} if samples is None else {"_random_samples": np.array(samples)}


def _check(layer: _FractionalPool, axes: int) -> None:
    name = type(layer).__name__
    per_axis(layer, "kernel_size", axes, least=1)
    if (layer.output_size is None) == (layer.output_ratio is None):
        raise ConfigError(
            f"{name} needs one of output_size and output_ratio, but got {layer.output_size} and "
            f"{layer.output_ratio}."
        )
    if layer.output_size is not None:
        per_axis(layer, "output_size", axes, least=0)
    else:
        ratios = _ratios(layer, axes)
        if len(ratios) != axes or not all(0 < r < 1 for r in ratios):
            raise ConfigError(
                f"{name} needs output_ratio to be a number between 0 and 1, or {axes} of them, but "
                f"got {layer.output_ratio}."
            )
