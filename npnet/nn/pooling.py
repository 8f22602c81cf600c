"""Pooling over windows of an image: the largest element of each, or the mean."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._windows import along, per_axis, taps


@dataclass(frozen=True)
class MaxPool2d:
    """y[p] = max over k of x[stride·p + dilation·k - padding], in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    H' = ⌊(H + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, and W' alike

    p and k have one component per axis. stride=None: kernel_size. Padding never wins. ceil_mode:
    ⌈…⌉ for ⌊…⌋, less a last window that would begin behind the input. return_indices: y is (y,
    indices), the positions of the maxima in their plane, H and W flattened.

    The gradient goes to the maximum: the first of equal ones. NaN is larger than every number, and
    of several NaNs the last one wins.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.MaxPool2d.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        _check(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, or (y, indices), and the gradient of x."""
        kernel, stride, padding = _geometry(self)
        dilation = per_axis(self, "dilation", 2, least=1)
        size = _image(self, x)
        out = _outputs(self, size, dilation)
        if max(dilation) > 1:
            self._check_windows(size, out, dilation)
        windows = [*map(taps, size, out, kernel, stride, padding, dilation)]

        y = x
        for axis, n, pairs in zip((-2, -1), out, windows, strict=True):
            rows, y = y, np.full(_resized(y, axis, n), -np.inf, x.dtype)
            for outputs, inputs in pairs:
                best = y[along(axis, outputs)]
                np.maximum(best, rows[along(axis, inputs)], out=best)

        def indices() -> Array:
            """Where, in its plane, each maximum is."""
            K, nan = math.prod(kernel), bool(np.isnan(y).any())
            rank = np.ones(y.shape, np.int32)  # the first equal one ranks highest: K, …, 1
            for k, ((rows, of_x), (columns, in_x)) in enumerate(itertools.product(*windows)):
                rank_k, x_k = rank[..., rows, columns], x[..., of_x, in_x]
                np.maximum(rank_k, (x_k == y[..., rows, columns]) * np.int32(K - k), out=rank_k)
                if nan:  # and the last NaN above all: K + 1, …, 2K
                    np.maximum(rank_k, np.isnan(x_k) * np.int32(K + 1 + k), out=rank_k)
            winner = np.where(rank > K, rank - K - 1, K - rank)

            W = size[1]
            first = np.add.outer(
                (np.arange(out[0]) * stride[0] - padding[0]) * W,
                np.arange(out[1]) * stride[1] - padding[1],
            )
            step = np.add.outer(
                np.arange(kernel[0]) * dilation[0] * W, np.arange(kernel[1]) * dilation[1]
            )
            return first + step.ravel()[winner]

        def vjp(dy: Array | tuple[Array, None]) -> Grads:
            dy = dy[0] if isinstance(dy, tuple) else dy
            where = indices()
            planes = np.arange(math.prod(x.shape[:-2])).reshape(*x.shape[:-2], 1, 1)
            where = planes * math.prod(size) + where
            dx = np.bincount(where.ravel(), dy.ravel(), minlength=x.size)
            return Grads((dx.reshape(x.shape).astype(x.dtype),))

        kept = y.copy()  # the caller's own; vjp reads y
        return Forward((kept, indices()) if self.return_indices else kept, vjp)

    def _check_windows(
        self, size: Sequence[int], out: Sequence[int], dilation: Sequence[int]
    ) -> None:
        """No window lies in the padding as a whole, which only the gaps of a dilation allow."""
        for n, o, k, s, p, d in zip(size, out, *_geometry(self), dilation, strict=True):
            at = s * np.arange(o)[:, None] + d * np.arange(k) - p
            if not ((at >= 0) & (at < n)).any(1).all():
                raise ShapeError(
                    f"{self} needs an image that every window meets, but got an image of {size}. "
                    "You might need less padding or dilation."
                )


@dataclass(frozen=True)
class AvgPool2d:
    """y[p] = Σ over k of x[stride·p + k - padding] / (number of k), in each plane by itself.

    x: (N, C, H, W) or (C, H, W)    y: (N, C, H', W') or (C, H', W')
    H' = ⌊(H + 2·padding - kernel_size) / stride⌋ + 1, and W' alike

    p and k have one component per axis. stride=None: kernel_size. Padding adds 0 to the sum, and
    counts in the divisor if count_include_pad. ceil_mode: ⌈…⌉ for ⌊…⌋, less a last window that
    would begin behind the input; what a window covers behind the right padding never counts.
    divisor_override replaces the divisor.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.AvgPool2d.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        _check(self)
        if self.divisor_override == 0:
            raise ConfigError("AvgPool2d needs a divisor_override other than 0.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        kernel, stride, padding = _geometry(self)
        size = _image(self, x)
        out = _outputs(self, size, dilation=(1, 1))
        windows = [*map(taps, size, out, kernel, stride, padding, (1, 1))]
        divisor = self._divisor(size, out).astype(x.dtype)

        y = x
        for axis, n, pairs in zip((-2, -1), out, windows, strict=True):
            rows, y = y, np.zeros(_resized(y, axis, n), x.dtype)
            for outputs, inputs in pairs:
                y[along(axis, outputs)] += rows[along(axis, inputs)]

        def vjp(dy: Array) -> Grads:
            dx = dy / divisor
            for axis, n, pairs in zip((-2, -1), size, windows, strict=True):
                rows, dx = dx, np.zeros(_resized(dx, axis, n), dx.dtype)
                for outputs, inputs in pairs:
                    dx[along(axis, inputs)] += rows[along(axis, outputs)]
            return Grads((dx,))

        return Forward(y / divisor, vjp)

    def _divisor(self, size: Sequence[int], out: Sequence[int]) -> Array:
        """By what to divide the sum of each window."""
        if self.divisor_override is not None:
            return np.full((1, 1), self.divisor_override)
        counts = []
        for n, o, k, s, p in zip(size, out, *_geometry(self), strict=True):
            first = np.arange(o) * s - p
            last = np.minimum(first + k, n + p)
            if not self.count_include_pad:
                first, last = np.maximum(first, 0), np.minimum(last, n)
            counts.append(last - first)
        return np.multiply.outer(*counts)


_Pool: TypeAlias = MaxPool2d | AvgPool2d


def _geometry(layer: _Pool) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, stride and padding, each as a pair."""
    kernel = per_axis(layer, "kernel_size", 2, least=1)
    stride = kernel if layer.stride is None else per_axis(layer, "stride", 2, least=1)
    return kernel, stride, per_axis(layer, "padding", 2, least=0)


def _check(layer: _Pool) -> None:
    kernel, _, padding = _geometry(layer)
    if isinstance(layer, MaxPool2d):
        per_axis(layer, "dilation", 2, least=1)
    if any(p > k // 2 for k, p in zip(kernel, padding, strict=True)):
        raise ConfigError(
            f"{type(layer).__name__} needs a padding of at most half of kernel_size, but got "
            f"padding={layer.padding} and kernel_size={layer.kernel_size}."
        )


def _image(layer: _Pool, x: Array) -> tuple[int, int]:
    """Height and width of x, which is guarded."""
    require_floats(layer, x, {})
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ShapeError(
            f"{layer} needs x of shape (N, C, H, W) or (C, H, W), where only N may be 0, "
            f"but got {x.shape}."
        )
    return x.shape[-2], x.shape[-1]


def _outputs(layer: _Pool, size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Height and width of y."""
    out = []
    for n, k, s, p, d in zip(size, *_geometry(layer), dilation, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        o = (-(-span // s) if layer.ceil_mode else span // s) + 1
        if layer.ceil_mode and (o - 1) * s >= n + p:
            o -= 1
        out.append(o)
    if min(out) < 1:
        raise ShapeError(
            f"{layer} needs an image that, with its padding, holds at least one window, "
            f"but got an image of {size}."
        )
    return tuple(out)


def _resized(x: Array, axis: int, n: int) -> tuple[int, ...]:
    """The shape of x, with n entries on one axis."""
    shape = list(x.shape)
    shape[axis] = n
    return tuple(shape)
