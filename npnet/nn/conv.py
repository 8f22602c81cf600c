"""Convolutions of one, two or three spatial axes."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._correlation import Correlation
from npnet.nn._guards import require_floats
from npnet.nn._windows import per_axis
from npnet.nn.padding import padded

_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Conv1d:
    """y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] · x̃[n, c, stride·p + dilation·k].

    x: (N, C, L) or (C, L)    y: (N, O, L') or (O, L')
    weight: (O, C / groups, kernel_size)    bias: (O,)    C = in_channels, O = out_channels
    L' = ⌊(L + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1

    Everything else is as in Conv2d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Conv1d.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int]
    stride: int | tuple[int] = 1
    padding: str | int | tuple[int] = 0
    dilation: int | tuple[int] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(C / groups · number of k)."""
        channels = (self.out_channels, self.in_channels // self.groups)
        return uniform(self, channels, rng, axes=1)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, axes=1)


@dataclass(frozen=True)
class Conv2d:
    """y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] · x̃[n, c, stride·p + dilation·k].

    x: (N, C, H, W) or (C, H, W)    y: (N, O, H', W') or (O, H', W')
    weight: (O, C / groups, kH, kW)    bias: (O,)    C = in_channels, O = out_channels
    H' = ⌊(H + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, and W' alike

    dx̃[n, c, j] = Σ_{o, p, k} dy[n, o, p] · weight[o, c, k], all p, k with stride·p + dilation·k = j
    dweight[o, c, k] = Σ_{n, p} dy[n, o, p] · x̃[n, c, stride·p + dilation·k]
    dbias[o] = Σ_{n, p} dy[n, o, p]

    p and k have one component per spatial axis, and so may kernel_size, stride, padding, dilation;
    x̃ is x with `padding` more pixels on each side. dx̃ is dy's transposed convolution with the same
    kernel, and dx adds it up for all copies of a pixel.

    The kernel is not flipped (cross-correlation). Each of the groups connects C / groups inputs, in
    order, with O / groups outputs; the c of weight counts within the group. padding="same" needs
    stride 1, pads dilation · (kernel_size - 1) pixels in all, the odd one last (below, on the
    right), and keeps the size; "valid" is none. padding_mode says what stands at the pixel j
    outside of an axis of n: "zeros", "reflect" x[-j] and x[2n - 2 - j] (without the border
    itself), "replicate" x[0] and x[n - 1], "circular" x[j mod n].

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Conv2d. Source: Dumoulin & Visin (2016), arXiv:1603.07285.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: str | int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(C / groups · number of k)."""
        channels = (self.out_channels, self.in_channels // self.groups)
        return uniform(self, channels, rng, axes=2)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, axes=2)


@dataclass(frozen=True)
class Conv3d:
    """y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] · x̃[n, c, stride·p + dilation·k].

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, O, D', H', W') or (O, D', H', W')
    weight: (O, C / groups, kD, kH, kW)    bias: (O,)    C = in_channels, O = out_channels
    D' = ⌊(D + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, H' and W' alike

    p and k have one component per spatial axis; everything else is as in Conv2d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Conv3d.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] = 1
    padding: str | int | tuple[int, int, int] = 0
    dilation: int | tuple[int, int, int] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(C / groups · number of k)."""
        channels = (self.out_channels, self.in_channels // self.groups)
        return uniform(self, channels, rng, axes=3)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, axes=3)


_Conv: TypeAlias = Conv1d | Conv2d | Conv3d


def _convolve(layer: _Conv, state: State, x: Array, axes: int) -> Forward:
    require_floats(layer, x, state)
    if x.ndim not in (axes + 1, axes + 2) or x.shape[-axes - 1] != layer.in_channels:
        raise ShapeError(
            f"{layer} needs x of shape (N, {layer.in_channels}, *image) or ({layer.in_channels}, "
            f"*image), with {axes} axes of the image, but got {x.shape}."
        )
    kernel, stride, dilation = (
        per_axis(layer, name, axes, least=1) for name in ("kernel_size", "stride", "dilation")
    )
    pads = _pads(layer, kernel, dilation)
    _check_size(layer, x.shape[-axes:], pads, kernel, dilation)
    images = x.reshape(math.prod(x.shape[: -axes - 1]), *x.shape[-axes - 1 :])
    if layer.padding_mode != "zeros":
        images, adjoint = padded(layer, images, pads, layer.padding_mode)
        pads = [(0, 0)] * axes

    size = images.shape[2:]
    out = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(size, pads, dilation, kernel, stride, strict=True)
    )
    before = tuple(p[0] for p in pads)
    correlation = Correlation(layer.groups, size, out, kernel, stride, dilation, before)
    W, rows = state["weight"], correlation.lay_out_large(images)
    y = correlation.down(rows, W)
    if layer.bias:
        y += state["bias"].reshape(-1, *[1] * axes)
    x_shape, y_shape = x.shape, y.shape  # vjp needs neither x nor y

    def vjp(dy: Array) -> Grads:
        dy = dy.reshape(y_shape)
        dy_rows = correlation.lay_out_small(dy)
        params = {"weight": correlation.weight(rows, dy_rows)}
        if layer.bias:
            params["bias"] = dy_rows.reshape(layer.out_channels, dy_rows.shape[2]).sum(1)
        dx = correlation.up(dy_rows, W)
        if layer.padding_mode != "zeros":
            dx = adjoint(dx)
        return Grads((dx.reshape(x_shape),), params)

    return Forward(y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)


def _pads(
    layer: _Conv, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    """How many pixels come before and after, for each axis."""
    if layer.padding == "valid":
        return [(0, 0)] * len(kernel)
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(p, p) for p in per_axis(layer, "padding", len(kernel), least=0)]


def _check(layer: _Conv, axes: int) -> None:
    name = type(layer).__name__
    for field in ("kernel_size", "stride", "dilation"):
        per_axis(layer, field, axes, least=1)
    check_channels(layer)
    if layer.padding_mode not in _MODES:
        raise ConfigError(
            f"{name} needs padding_mode to be one of {_MODES}, but got {layer.padding_mode!r}."
        )
    if not isinstance(layer.padding, str):
        per_axis(layer, "padding", axes, least=0)
    elif layer.padding not in ("same", "valid"):
        raise ConfigError(
            f"{name} needs padding to be 'same', 'valid' or numbers, but got {layer.padding!r}."
        )
    elif layer.padding == "same" and max(per_axis(layer, "stride", axes, least=1)) > 1:
        raise ConfigError(
            f"{name} needs stride=1 with padding='same', but got stride={layer.stride}. "
            "You might give the padding as numbers."
        )


def check_channels(layer: Any) -> None:
    """The groups divide the channels, of any convolution; raises ConfigError."""
    C, O, G = layer.in_channels, layer.out_channels, layer.groups
    if min(C, O, G) < 1 or C % G or O % G:
        raise ConfigError(
            f"{type(layer).__name__} needs in_channels and out_channels to be positive multiples "
            f"of groups, but got in_channels={C}, out_channels={O}, groups={G}."
        )


def _check_size(
    layer: _Conv,
    size: tuple[int, ...],
    pads: list[tuple[int, int]],
    kernel: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    for n, p, k, d in zip(size, pads, kernel, dilation, strict=True):
        if n < 1 or n + sum(p) < d * (k - 1) + 1:
            raise ShapeError(
                f"{layer} needs an image that, with its padding, is as large as the dilated "
                f"kernel, but got an image of {size}."
            )


def uniform(
    layer: Any, channels: tuple[int, int], rng: np.random.Generator, axes: int
) -> dict[str, Array]:
    """weight (*channels, *kernel_size), bias ~ U(-b, b), b = 1 / √(channels[1] · number of k)."""
    shape = (*channels, *per_axis(layer, "kernel_size", axes, least=1))
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    state = {"weight": rng.uniform(-bound, bound, shape).astype(np.float32)}
    if layer.bias:
        state["bias"] = rng.uniform(-bound, bound, layer.out_channels).astype(np.float32)
    return state
