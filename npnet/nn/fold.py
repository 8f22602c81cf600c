"""Windows of an image as the columns of a matrix, and back."""

import itertools
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from npnet.contract import Array, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn._windows import Pair, per_axis, taps


@dataclass(frozen=True)
class Unfold:
    """y[n, (c, k), p] = x[n, c, stride·p + dilation·k - padding], and 0 outside of the image.

    x: (N, C, H, W) or (C, H, W)    y: (N, C·K, L) or (C·K, L)
    K: the number of k, elements of a window    L: the number of p, windows, over both axes the
    product of ⌊(size + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1

    dx[n, c, j] = Σ_{k, p} dy[n, (c, k), p], all k, p with stride·p + dilation·k - padding = j

    That is Fold of dy. j, k and p have two components, and so may every argument; (c, k) and p are
    flattened, the last axis fastest. The arguments come in another order than a convolution's.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Unfold.
    """

    kernel_size: int | tuple[int, int]
    dilation: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    stride: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        _geometry(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
            raise ShapeError(
                f"{self} needs x of shape (N, C, H, W) or (C, H, W), where only N may be 0, "
                f"but got {x.shape}."
            )
        size = x.shape[-2:]
        out, windows = _windows(self, size)

        def vjp(dy: Array) -> Grads:
            return Grads((_fold(dy, size, out, windows),))

        return Forward(_unfold(x, out, windows), vjp)


@dataclass(frozen=True)
class Fold:
    """y[n, c, j] = Σ_{k, p} x[n, (c, k), p], all k, p with stride·p + dilation·k - padding = j.

    x: (N, C·K, L) or (C·K, L)    y: (N, C, *output_size) or (C, *output_size)
    K: the number of k, elements of a window    L: the number of p, windows that the image has,
    for an image of output_size as in Unfold

    dx[n, (c, k), p] = dy[n, c, stride·p + dilation·k - padding], and 0 outside of the image

    That is Unfold of dy: Fold does not undo Unfold but is its adjoint, and adds up windows that
    overlap. j, k and p have two components, and so may every argument; (c, k) and p are flattened,
    the last axis fastest.

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Fold.
    """

    output_size: int | tuple[int, int]
    kernel_size: int | tuple[int, int]
    dilation: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    stride: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        per_axis(self, "output_size", 2, least=1)
        _geometry(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradient of x."""
        require_floats(self, x, state)
        size = per_axis(self, "output_size", 2, least=1)
        out, windows = _windows(self, size)
        K, L = len(windows), math.prod(out)
        if x.ndim not in (2, 3) or x.shape[-1] != L or x.shape[-2] % K or not x.shape[-2]:
            raise ShapeError(
                f"{self} needs x of shape (N, C·{K}, {L}) or (C·{K}, {L}): {K} elements in each of "
                f"{L} windows, but got {x.shape}."
            )

        def vjp(dy: Array) -> Grads:
            return Grads((_unfold(dy, out, windows),))

        return Forward(_fold(x, size, out, windows), vjp)


_Folding: TypeAlias = Unfold | Fold
_Windows: TypeAlias = list[tuple[Pair, ...]]


def _unfold(image: Array, out: tuple[int, ...], windows: _Windows) -> Array:
    """The columns (*batch, C·K, L) of images (*batch, C, H, W)."""
    *batch, C = image.shape[:-2]
    columns = np.zeros((*batch, C, len(windows), *out), image.dtype)
    for k, window in enumerate(windows):
        at, of = zip(*window, strict=True)  # where in y, and which pixels of x
        columns[..., k, *at] = image[..., *of]
    return columns.reshape(*batch, C * len(windows), math.prod(out))


def _fold(columns: Array, size: tuple[int, ...], out: tuple[int, ...], windows: _Windows) -> Array:
    """The images (*batch, C, H, W) that columns (*batch, C·K, L) add up to."""
    *batch, rows, _ = columns.shape
    C = rows // len(windows)
    columns = columns.reshape(*batch, C, len(windows), *out)
    image = np.zeros((*batch, C, *size), columns.dtype)
    for k, window in enumerate(windows):
        at, of = zip(*window, strict=True)
        image[..., *of] += columns[..., k, *at]
    return image


def _geometry(layer: _Folding) -> tuple[tuple[int, ...], ...]:
    """Kernel, stride, padding and dilation, each as a pair."""
    kernel, stride, dilation = (
        per_axis(layer, name, 2, least=1) for name in ("kernel_size", "stride", "dilation")
    )
    return kernel, stride, per_axis(layer, "padding", 2, least=0), dilation


def _windows(layer: _Folding, size: tuple[int, ...]) -> tuple[tuple[int, ...], _Windows]:
    """How many windows an image has along each axis; for every k, where it is read and put."""
    geometry = _geometry(layer)
    out = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, *geometry, strict=True)
    )
    if min(out) < 1:
        raise ShapeError(
            f"{layer} needs an image that, with its padding, holds at least one window, but got "
            f"an image of {size}."
        )
    return out, [*itertools.product(*map(taps, size, out, *geometry))]
