"""Convolutions as the definition has them: pixel by pixel, on an image that is padded for real."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * axes


def _windows(
    layer: Any, size: Sequence[int], out: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """For every pixel of the small image, which pixels of the padded large one its window has."""
    axes = len(size)
    kernel, stride, dilation = (
        _each(getattr(layer, name), axes) for name in ("kernel_size", "stride", "dilation")
    )
    return [
        (
            p,
            tuple(
                slice(i * s, i * s + d * (k - 1) + 1, d)
                for i, k, s, d in zip(p, kernel, stride, dilation, strict=True)
            ),
        )
        for p in np.ndindex(*out)
    ]


def _convolution(layer: Any, state: State, x: Array, axes: int) -> Forward:
    image = x.shape[-axes:]
    kernel, stride, dilation = (
        _each(getattr(layer, name), axes) for name in ("kernel_size", "stride", "dilation")
    )
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(layer.padding, str):
        same = layer.padding == "same"
        pads = [(same * r // 2, same * (r - r // 2)) for r in reach]
    else:
        pads = [(p, p) for p in _each(layer.padding, axes)]

    def sources(n: int, pad: tuple[int, int]) -> list[int | None]:
        """For each pixel of the padded axis, which pixel it is a copy of."""
        if layer.padding_mode == "zeros":
            return [None] * pad[0] + [*range(n)] + [None] * pad[1]
        copies: list[int] = np.pad(np.arange(n), pad, _MODES[layer.padding_mode]).tolist()
        return [*copies]

    pixels = [
        tuple(zip(*pixel, strict=True))
        for pixel in itertools.product(*map(enumerate, map(sources, image, pads)))
    ]
    pixels = [(at, of) for at, of in pixels if None not in of]
    C, O, G = layer.in_channels, layer.out_channels, layer.groups
    N = int(np.prod(x.shape[: -axes - 1]))
    images = x.reshape(N, C, *image)
    W = state["weight"].reshape(G, O // G, C // G, *kernel)
    a = "xyz"[:axes]

    size = [n + sum(p) for n, p in zip(image, pads, strict=True)]
    padded = np.zeros((N, C, *size), x.dtype)
    for at, of in pixels:
        padded[:, :, *at] = images[:, :, *of]
    padded = padded.reshape(N, G, C // G, *size)

    out = [(n - r - 1) // s + 1 for n, r, s in zip(size, reach, stride, strict=True)]
    windows = _windows(layer, size, out)
    y = np.empty((N, O, *out), x.dtype)
    for p, window in windows:
        y[:, :, *p] = np.einsum(f"ngc{a},goc{a}->ngo", padded[:, :, :, *window], W).reshape(N, O)
        if layer.bias:
            y[:, :, *p] += state["bias"]

    def vjp(dy: Array) -> Grads:
        dy = dy.reshape(y.shape)
        dW, dpadded, dx = np.zeros_like(W), np.zeros_like(padded), np.zeros_like(images)
        for p, window in windows:
            g = dy[:, :, *p].reshape(N, G, O // G)
            dW += np.einsum("ngo,ngc...->goc...", g, padded[:, :, :, *window])
            dpadded[:, :, :, *window] += np.einsum("ngo,goc...->ngc...", g, W)
        dpadded = dpadded.reshape(N, C, *size)
        for at, of in pixels:
            dx[:, :, *of] += dpadded[:, :, *at]
        params = {"weight": dW.reshape(state["weight"].shape)}
        if layer.bias:
            params["bias"] = np.einsum(f"no{a}->o", dy)
        return Grads((dx.reshape(x.shape),), params)

    return Forward(y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)


def _transposed(
    layer: Any, state: State, x: Array, output_size: Sequence[int] | None, axes: int
) -> Forward:
    image = x.shape[-axes:]
    kernel, stride, dilation, padding, more = (
        _each(getattr(layer, name), axes)
        for name in ("kernel_size", "stride", "dilation", "padding", "output_padding")
    )
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(image, stride, dilation, kernel, strict=True)
    ]
    out = [n - 2 * p + m for n, p, m in zip(full, padding, more, strict=True)]
    if output_size is not None:
        out = [*output_size][-axes:]
    size = [max(n, p + o) for n, p, o in zip(full, padding, out, strict=True)]
    kept = tuple(slice(p, p + o) for p, o in zip(padding, out, strict=True))
    C, O, G = layer.in_channels, layer.out_channels, layer.groups
    N = int(np.prod(x.shape[: -axes - 1]))
    images = x.reshape(N, G, C // G, *image)
    W = state["weight"].reshape(G, C // G, O // G, *kernel)
    a = "xyz"[:axes]

    windows = _windows(layer, size, image)
    large = np.zeros((N, G, O // G, *size), x.dtype)
    for p, window in windows:
        large[:, :, :, *window] += np.einsum("ngc,gco...->ngo...", images[:, :, :, *p], W)
    y = large.reshape(N, O, *size)[:, :, *kept].copy()
    if layer.bias:
        y += state["bias"].reshape(-1, *[1] * axes)

    def vjp(dy: Array) -> Grads:
        dy = dy.reshape(y.shape)
        dlarge = np.zeros((N, O, *size), x.dtype)
        dlarge[:, :, *kept] = dy
        dlarge = dlarge.reshape(large.shape)
        dW, dx = np.zeros_like(W), np.zeros_like(images)
        for p, window in windows:
            g = dlarge[:, :, :, *window]
            dx[:, :, :, *p] = np.einsum(f"ngo{a},gco{a}->ngc", g, W)
            dW += np.einsum("ngc,ngo...->gco...", images[:, :, :, *p], g)
        params = {"weight": dW.reshape(state["weight"].shape)}
        if layer.bias:
            params["bias"] = np.einsum(f"no{a}->o", dy)
        return Grads((dx.reshape(x.shape),), params)

    return Forward(y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)


@dataclass(frozen=True)
class Conv1d(nn.Conv1d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _convolution(self, state, x, 1)


@dataclass(frozen=True)
class Conv2d(nn.Conv2d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _convolution(self, state, x, 2)


@dataclass(frozen=True)
class Conv3d(nn.Conv3d):
    def __call__(self, state: State, x: Array) -> Forward:
        return _convolution(self, state, x, 3)


@dataclass(frozen=True)
class ConvTranspose1d(nn.ConvTranspose1d):
    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        return _transposed(self, state, x, output_size, 1)


@dataclass(frozen=True)
class ConvTranspose2d(nn.ConvTranspose2d):
    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        return _transposed(self, state, x, output_size, 2)


@dataclass(frozen=True)
class ConvTranspose3d(nn.ConvTranspose3d):
    def __call__(self, state: State, x: Array, output_size: Sequence[int] | None = None) -> Forward:
        return _transposed(self, state, x, output_size, 3)


ALTERNATIVES = {
    "Conv1d": Conv1d,
    "Conv2d": Conv2d,
    "Conv3d": Conv3d,
    "ConvTranspose1d": ConvTranspose1d,
    "ConvTranspose2d": ConvTranspose2d,
    "ConvTranspose3d": ConvTranspose3d,
}
