"""Shuffles by strided assignment."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _up(x: Array, r: int) -> Array:
    *batch, C, H, W = x.shape
    y = np.empty((*batch, C // r**2, H * r, W * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r**2, :, :]
    return y


def _down(y: Array, r: int) -> Array:
    *batch, C, H, W = y.shape
    x = np.empty((*batch, C * r**2, H // r, W // r), y.dtype)
    for i in range(r):
        for j in range(r):
            x[..., i * r + j :: r**2, :, :] = y[..., i::r, j::r]
    return x


@dataclass(frozen=True)
class PixelShuffle(nn.PixelShuffle):
    def __call__(self, state: State, x: Array) -> Forward:
        r = self.upscale_factor
        return Forward(_up(x, r), lambda dy: Grads((_down(dy, r),)))


@dataclass(frozen=True)
class PixelUnshuffle(nn.PixelUnshuffle):
    def __call__(self, state: State, x: Array) -> Forward:
        r = self.downscale_factor
        return Forward(_down(x, r), lambda dy: Grads((_up(dy, r),)))


@dataclass(frozen=True)
class ChannelShuffle(nn.ChannelShuffle):
    def __call__(self, state: State, x: Array) -> Forward:
        order = np.arange(x.shape[1]).reshape(self.groups, -1).T.ravel()
        return Forward(x[:, order], lambda dy: Grads((dy[:, np.argsort(order)],)))


ALTERNATIVES = {
    "PixelShuffle": PixelShuffle,
    "PixelUnshuffle": PixelUnshuffle,
    "ChannelShuffle": ChannelShuffle,
}
