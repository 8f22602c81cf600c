"""Transposed convolutions: the adjoint of a convolution as a layer of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._correlation import Correlation
from npnet.nn._guards import require_floats
from npnet.nn._windows import per_axis
from npnet.nn.conv import check_channels, uniform


@dataclass(frozen=True)
class ConvTranspose1d:
    """y[n, o, j] = bias[o] + Σ_{c, p, k} weight[c, o, k] · x[n, c, p], all p, k that lead to j.

    x: (N, C, L) or (C, L)    y: (N, O, L') or (O, L')
    weight: (C, O / groups, kernel_size)    bias: (O,)    C = in_channels, O = out_channels
    L' = (L - 1)·stride - 2·padding + dilation·(kernel_size - 1) + output_padding + 1

    j = stride·p + dilation·k - padding; everything else is as in ConvTranspose2d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConvTranspose1d.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int]
    stride: int | tuple[int] = 1
    padding: int | tuple[int] = 0
    output_padding: int | tuple[int] = 0
    groups: int = 1
    bias: bool = True
    dilation: int | tuple[int] = 1
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=1)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(O / groups · number of k)."""
        channels = (self.in_channels, self.out_channels // self.groups)
        return uniform(self, channels, rng, axes=1)

    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, output_size, axes=1)


@dataclass(frozen=True)
class ConvTranspose2d:
    """y[n, o, j] = bias[o] + Σ_{c, p, k} weight[c, o, k] · x[n, c, p], all p, k that lead to j.

    x: (N, C, H, W) or (C, H, W)    y: (N, O, H', W') or (O, H', W')
    weight: (C, O / groups, kH, kW)    bias: (O,)    C = in_channels, O = out_channels
    H' = (H - 1)·stride - 2·padding + dilation·(kernel_size - 1) + output_padding + 1, and W' alike

    dx[n, c, p] = Σ_{o, k} weight[c, o, k] · dy[n, o, stride·p + dilation·k - padding]
    dweight[c, o, k] = Σ_{n, p} x[n, c, p] · dy[n, o, stride·p + dilation·k - padding]
    dbias[o] = Σ_{n, j} dy[n, o, j], where dy is 0 outside of the image

    p, k and j = stride·p + dilation·k - padding have one component per spatial axis, and so may the
    arguments. It does to x what the backward pass of a Conv2d with the same arguments does to its
    dy, and backwards to dy what that Conv2d does to its x.

    padding cuts pixels off on each side, and output_padding (smaller than stride or than dilation)
    adds some, which are computed like all others, after the last; `output_size`, of the image or of
    y, may say instead how large y is to be. The weight has the inputs first, unlike Conv2d's. Each
    of the groups connects C / groups inputs, in order, with O / groups outputs; the o of weight
    counts within the group. padding_mode can be nothing but "zeros".

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConvTranspose2d. Source: Dumoulin & Visin (2016), arXiv:1603.07285.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    output_padding: int | tuple[int, int] = 0
    groups: int = 1
    bias: bool = True
    dilation: int | tuple[int, int] = 1
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=2)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(O / groups · number of k)."""
        channels = (self.in_channels, self.out_channels // self.groups)
        return uniform(self, channels, rng, axes=2)

    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, output_size, axes=2)


@dataclass(frozen=True)
class ConvTranspose3d:
    """y[n, o, j] = bias[o] + Σ_{c, p, k} weight[c, o, k] · x[n, c, p], all p, k that lead to j.

    x: (N, C, D, H, W) or (C, D, H, W)    y: (N, O, D', H', W') or (O, D', H', W')
    weight: (C, O / groups, kD, kH, kW)    bias: (O,)    C = in_channels, O = out_channels
    D' = (D - 1)·stride - 2·padding + dilation·(kernel_size - 1) + output_padding + 1, …

    j = stride·p + dilation·k - padding; everything else is as in ConvTranspose2d.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.ConvTranspose3d.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] = 1
    padding: int | tuple[int, int, int] = 0
    output_padding: int | tuple[int, int, int] = 0
    groups: int = 1
    bias: bool = True
    dilation: int | tuple[int, int, int] = 1
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        _check(self, axes=3)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-b, b) with b = 1 / √(O / groups · number of k)."""
        channels = (self.in_channels, self.out_channels // self.groups)
        return uniform(self, channels, rng, axes=3)

    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, output_size, axes=3)


_ConvTranspose: TypeAlias = ConvTranspose1d | ConvTranspose2d | ConvTranspose3d


def _convolve(
    layer: _ConvTranspose, state: State, x: Array, output_size: Sequence[int] | None, axes: int
) -> Forward:
    require_floats(layer, x, state)
    channels, size = layer.in_channels, x.shape[-axes:]
    if x.ndim - axes not in (1, 2) or x.shape[-axes - 1] != channels or min(size) < 1:
        raise ShapeError(
            f"{layer} needs x of shape (N, {channels}, *image) or ({channels}, *image), with "
            f"{axes} axes of the image, none of them empty, but got {x.shape}."
        )
    kernel, stride, dilation = (
        per_axis(layer, name, axes, least=1) for name in ("kernel_size", "stride", "dilation")
    )
    padding = per_axis(layer, "padding", axes, least=0)
    least = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(size, stride, padding, dilation, kernel, strict=True)
    )
    out = _outputs(layer, x, least, stride, output_size)

    correlation = Correlation(layer.groups, out, size, kernel, stride, dilation, padding)
    images = x.reshape(math.prod(x.shape[: -axes - 1]), channels, *size)
    W, rows = state["weight"], correlation.lay_out_small(images)
    y = correlation.up(rows, W)
    if layer.bias:
        y += state["bias"].reshape(-1, *[1] * axes)

    def vjp(dy: Array) -> Grads:
        dy = dy.reshape(y.shape)
        dy_rows = correlation.lay_out_large(dy)
        params = {"weight": correlation.weight(dy_rows, rows)}
        if layer.bias:
            params["bias"] = dy.sum((0, *range(2, axes + 2)))
        return Grads((correlation.down(dy_rows, W).reshape(x.shape),), params)

    return Forward(y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)


def _outputs(
    layer: _ConvTranspose,
    x: Array,
    least: tuple[int, ...],
    stride: tuple[int, ...],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:
    """The size of the image y: output_padding more than the least, or the one asked for."""
    axes = len(least)
    if output_size is None:
        more = per_axis(layer, "output_padding", axes, least=0)
        out = tuple(n + m for n, m in zip(least, more, strict=True))
    else:
        out = tuple(output_size[-axes:])
        fits = all(n <= o < n + s for n, o, s in zip(least, out, stride, strict=True))
        if len(output_size) not in (axes, x.ndim) or not fits:
            raise ShapeError(
                f"{layer} needs output_size to be the size of the image of y, or the shape of y, "
                f"from {least} to less than stride more, but got {tuple(output_size)}."
            )
    if min(out) < 1:
        raise ShapeError(
            f"{layer} needs an image of which the padding leaves something, but got {x.shape}."
        )
    return out


def _check(layer: _ConvTranspose, axes: int) -> None:
    name = type(layer).__name__
    _, stride, dilation = (
        per_axis(layer, field, axes, least=1) for field in ("kernel_size", "stride", "dilation")
    )
    per_axis(layer, "padding", axes, least=0)
    more = per_axis(layer, "output_padding", axes, least=0)
    check_channels(layer)
    if layer.padding_mode != "zeros":
        raise ConfigError(f"{name} needs padding_mode='zeros', but got {layer.padding_mode!r}.")
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ConfigError(
            f"{name} needs output_padding to be smaller than stride or than dilation, but got "
            f"{layer}."
        )
