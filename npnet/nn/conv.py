"""Convolutions of any number of spatial axes, as matrix products."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._windows import per_axis, taps

_NUMPY_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


@dataclass(frozen=True)
class Conv2d:
    """y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] · x̃[n, c, stride·p + dilation·k].

    x: (N, C, H, W) or (C, H, W)    y: (N, O, H', W') or (O, H', W')
    weight: (O, C / groups, *kernel_size)    bias: (O,)
    H' = ⌊(H + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, and W' alike

    p and k have one component per spatial axis; x̃ is x with `padding` more pixels on each side.
    With X the matrix that holds each window, of one n and one p, as a column:

        Y = W X + b    dW = dY Xᵀ    dX = Wᵀ dY    db = dY 1

    and dx adds up, for every pixel, the entries of dX that are copies of it.

    The kernel is not flipped (cross-correlation). Each of the groups connects C / groups inputs, in
    order, with O / groups outputs. padding="same" needs stride 1 and puts the odd pixel last
    (below, on the right); "valid" is none. padding_mode: "zeros", "reflect" (without the border
    itself), "replicate" (nothing but the border) or "circular".

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
        return _init(self, rng, axes=2)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        return _convolve(self, state, x, axes=2)


def _convolve(layer: Conv2d, state: State, x: Array, axes: int) -> Forward:
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
    x, pads, fold = _extend(x, pads, layer.padding_mode)
    size = x.shape[-axes:]
    out = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(size, pads, dilation, kernel, stride, strict=True)
    )
    before = (p[0] for p in pads)
    windows = list(itertools.product(*map(taps, size, out, kernel, stride, before, dilation)))

    *batch, C = x.shape[:-axes]
    N, K, L = math.prod(batch), math.prod(kernel), math.prod(out)
    G, O = layer.groups, layer.out_channels
    images = x.reshape(N, C, *size).swapaxes(0, 1)
    X = np.zeros((C, K, N, *out), x.dtype)
    for k, window in enumerate(windows):
        outputs, inputs = zip(*window, strict=True)
        X[:, k, :, *outputs] = images[:, :, *inputs]
    X = X.reshape(G, C // G * K, N * L)
    W = state["weight"].reshape(G, O // G, C // G * K)

    Y = (W @ X).reshape(O, N * L)
    if layer.bias:
        Y += state["bias"][:, None]

    def vjp(dy: Array) -> Grads:
        dY = dy.reshape(N, O, L).swapaxes(0, 1).reshape(G, O // G, N * L)
        params = {"weight": (dY @ X.swapaxes(1, 2)).reshape(state["weight"].shape)}
        if layer.bias:
            params["bias"] = dY.reshape(O, N * L).sum(1)

        dX = (W.swapaxes(1, 2) @ dY).reshape(C, K, N, *out)
        dx = np.zeros((C, N, *size), dX.dtype)
        for k, window in enumerate(windows):
            outputs, inputs = zip(*window, strict=True)
            dx[:, :, *inputs] += dX[:, k, :, *outputs]
        return Grads((fold(dx.swapaxes(0, 1).reshape(x.shape)),), params)

    return Forward(Y.reshape(O, N, *out).swapaxes(0, 1).reshape(*batch, O, *out), vjp)


def _pads(
    layer: Conv2d, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    """How many pixels come before and after, for each axis."""
    if layer.padding == "valid":
        return [(0, 0)] * len(kernel)
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(p, p) for p in per_axis(layer, "padding", len(kernel), least=0)]


def _extend(
    x: Array, pads: list[tuple[int, int]], mode: str
) -> tuple[Array, list[tuple[int, int]], Callable[[Array], Array]]:
    """x with copies of its pixels around it, the pads still to come, and the adjoint of copying."""
    if mode == "zeros":
        return x, pads, lambda dx: dx
    sources = [
        np.pad(np.arange(n), p, _NUMPY_MODES[mode])
        for n, p in zip(x.shape[-len(pads) :], pads, strict=True)
    ]
    for axis, source in enumerate(sources, start=-len(pads)):
        x = x.take(source, axis)

    def fold(dx: Array) -> Array:
        for axis, source in enumerate(sources, start=-len(pads)):
            order = np.argsort(source, kind="stable")  # all copies of a pixel, side by side
            first = np.searchsorted(source[order], np.arange(source.max() + 1))
            dx = np.add.reduceat(dx.take(order, axis), first, axis)
        return dx

    return x, [(0, 0)] * len(pads), fold


def _check(layer: Conv2d, axes: int) -> None:
    name = type(layer).__name__
    for field in ("kernel_size", "stride", "dilation"):
        per_axis(layer, field, axes, least=1)
    C, O, G = layer.in_channels, layer.out_channels, layer.groups
    if min(C, O, G) < 1 or C % G or O % G:
        raise ConfigError(
            f"{name} needs in_channels and out_channels to be positive multiples of groups, but "
            f"got in_channels={C}, out_channels={O}, groups={G}."
        )
    if layer.padding_mode not in ("zeros", *_NUMPY_MODES):
        raise ConfigError(
            f"{name} needs padding_mode to be 'zeros', 'reflect', 'replicate' or 'circular', "
            f"but got {layer.padding_mode!r}."
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


def _check_size(
    layer: Conv2d,
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
        largest = {"reflect": n - 1, "circular": n}.get(layer.padding_mode)
        if largest is not None and max(p) > largest:
            raise ShapeError(
                f"{layer} needs an image that is larger than its padding, but got {size}."
            )


def _init(layer: Conv2d, rng: np.random.Generator, axes: int) -> dict[str, Array]:
    kernel = per_axis(layer, "kernel_size", axes, least=1)
    shape = (layer.out_channels, layer.in_channels // layer.groups, *kernel)
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    state = {"weight": rng.uniform(-bound, bound, shape).astype(np.float32)}
    if layer.bias:
        state["bias"] = rng.uniform(-bound, bound, layer.out_channels).astype(np.float32)
    return state
