"""Channels to pixels and back, and channels among themselves: elements only move."""

from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State


@dataclass(frozen=True)
class PixelShuffle:
    """y[c, h·r + i, w·r + j] = x[c·r² + i·r + j, h, w], where r = upscale_factor.

    x: (*batch, C·r², H, W)    y: (*batch, C, H·r, W·r)

    dx[c·r² + i·r + j, h, w] = dy[c, h·r + i, w·r + j]

    The r² channels of one output channel stand in a row (in TensorFlow's depth_to_space they lie C
    apart).

    Raises ConfigError, ShapeError.
    Twin: torch.nn.PixelShuffle. Source: Shi et al. (2016), arXiv:1609.05158.
    """

    upscale_factor: int

    def __post_init__(self) -> None:
        _check(self, "upscale_factor", self.upscale_factor)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        r = self.upscale_factor
        if x.ndim < 3 or x.shape[-3] % r**2:
            raise ShapeError(
                f"{self} needs x of shape (*batch, C, H, W), where C is a multiple of {r**2}, but "
                f"got {x.shape}."
            )
        return Forward(_to_pixels(x, r), lambda dy: Grads((_to_channels(dy, r),)))


@dataclass(frozen=True)
class PixelUnshuffle:
    """y[c·r² + i·r + j, h, w] = x[c, h·r + i, w·r + j], where r = downscale_factor.

    x: (*batch, C, H·r, W·r)    y: (*batch, C·r², H, W)

    dx[c, h·r + i, w·r + j] = dy[c·r² + i·r + j, h, w]

    The inverse of PixelShuffle.

    Raises ConfigError, ShapeError.
    Twin: torch.nn.PixelUnshuffle. Source: Shi et al. (2016), arXiv:1609.05158.
    """

    downscale_factor: int

    def __post_init__(self) -> None:
        _check(self, "downscale_factor", self.downscale_factor)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        r = self.downscale_factor
        if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
            raise ShapeError(
                f"{self} needs x of shape (*batch, C, H, W), where H and W are multiples of {r}, "
                f"but got {x.shape}."
            )
        return Forward(_to_channels(x, r), lambda dy: Grads((_to_pixels(dy, r),)))


def _to_pixels(x: Array, r: int) -> Array:
    *batch, channels, H, W = x.shape
    blocks = x.reshape(*batch, channels // r**2, r, r, H, W)  # c, i, j, h, w
    blocks = np.moveaxis(blocks, (-4, -3), (-3, -1))  # c, h, i, w, j
    return blocks.reshape(*batch, channels // r**2, H * r, W * r)


def _to_channels(y: Array, r: int) -> Array:
    *batch, C, height, width = y.shape
    blocks = y.reshape(*batch, C, height // r, r, width // r, r)  # c, h, i, w, j
    blocks = np.moveaxis(blocks, (-3, -1), (-4, -3))  # c, i, j, h, w
    return blocks.reshape(*batch, C * r**2, height // r, width // r)


def _check(layer: object, name: str, factor: int) -> None:
    if factor < 1:
        raise ConfigError(f"{type(layer).__name__} needs {name} >= 1, but got {factor}.")


@dataclass(frozen=True)
class ChannelShuffle:
    """y[k·groups + g] = x[g·K + k]: the channels of the groups take turns, K to a group.

    x, y: (N, C, *rest), where C = groups·K, with one axis or more after the channels

    dx[g·K + k] = dy[k·groups + g]: dy is shuffled in K groups

    Raises ConfigError, ShapeError.
    Twin: torch.nn.ChannelShuffle. Source: Zhang et al. (2018), arXiv:1707.01083.
    """

    groups: int

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ConfigError(f"ChannelShuffle needs groups >= 1, but got {self.groups}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        if x.ndim < 3 or x.shape[1] % self.groups:
            raise ShapeError(
                f"{self} needs x of shape (N, C, …) with three axes or more, where C is a multiple "
                f"of {self.groups}, but got {x.shape}."
            )
        per_group = x.shape[1] // self.groups
        return Forward(
            _shuffle(x, self.groups), lambda dy: Grads((_shuffle(dy, max(per_group, 1)),))
        )


def _shuffle(x: Array, groups: int) -> Array:
    N, C, *rest = x.shape
    return x.reshape(N, groups, C // groups, *rest).swapaxes(1, 2).reshape(x.shape)
