"""Dialects of pooling: which of equal maxima learns, what padding counts, and where it lies."""

from collections.abc import Sequence
from itertools import product
from math import ceil, prod
from typing import Any

import torch
from torch import nn

from npnet.twins.dialects._made import Naming, setting
from npnet.twins.pooling import each

Tensor = torch.Tensor


class _Windows:
    """The elements that every window of a pooling layer reads, in a plane that is flattened."""

    def __init__(self, layer: Any, size: Sequence[int], same: bool) -> None:
        axes = len(size)
        kernel, padding, dilation = (
            each(v, axes) for v in (layer.kernel_size, layer.padding, layer.dilation)
        )
        stride = each(layer.stride, axes)
        lines: list[list[list[int | None]]] = []
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
            reach = d * (k - 1)
            steps = (n + 2 * p - reach - 1) / s
            out = (ceil(steps) if layer.ceil_mode else int(steps // 1)) + 1
            if layer.ceil_mode and (out - 1) * s >= n + p:
                out -= 1
            before = p
            if same and s > 1 and 2 * p == reach and not layer.ceil_mode:
                before = max((out - 1) * s + reach + 1 - n, 0) // 2
            places = [[i * s - before + j * d for j in range(k)] for i in range(out)]
            lines.append([[x if 0 <= x < n else None for x in window] for window in places])
        self.size = tuple(len(line) for line in lines)
        outside = prod(size)
        self.table = torch.tensor(
            [
                [_flat(place, size, outside) for place in product(*windows)]
                for windows in product(*lines)
            ]
        )


def _flat(place: Sequence[int | None], size: Sequence[int], outside: int) -> int:
    flat = 0
    for x, n in zip(place, size, strict=True):
        if x is None:
            return outside
        flat = flat * n + x
    return flat


def _max_pool(base: type[nn.Module], axes: int, ties: str, same: bool = False) -> type[nn.Module]:
    class Pool(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """The largest of each window; of equal ones the first, the last or all get the gradient."""

        def forward(self, x: Tensor) -> Any:
            lead, size = x.shape[:-axes], tuple(x.shape[-axes:])
            windows = _Windows(self, size, same)
            plane = torch.cat([x.flatten(-axes), x.new_full((*lead, 1), -torch.inf)], -1)
            flat = windows.table.flatten()
            seen = plane.index_select(-1, flat).unflatten(-1, windows.table.shape)
            now = seen.detach()
            largest = now == now.amax(-1, keepdim=True)
            order = torch.arange(windows.table.shape[1])
            if ties == "last":
                chosen = torch.where(largest, order, -1).amax(-1, keepdim=True)
            else:
                chosen = torch.where(largest, order, len(order)).amin(-1, keepdim=True)
            y = seen.gather(-1, chosen)
            if ties == "all":
                equal = largest & (order != chosen)
                y = y + torch.where(equal, seen - now.detach(), 0.0).sum(-1, keepdim=True)
            elif ties == "shared":
                share = 1 / largest.to(torch.float64).sum(-1, keepdim=True)
                equal = torch.where(largest, seen - now.detach(), 0.0) * share
                y = y.detach() + equal.sum(-1, keepdim=True)
            y = y.squeeze(-1).reshape(*lead, *windows.size)
            if not self.return_indices:
                return y
            where = windows.table.expand(*lead, *windows.table.shape).gather(-1, chosen)
            return y, where.squeeze(-1).reshape(*lead, *windows.size)

    return Pool


_MAX = ((nn.MaxPool1d, 1), (nn.MaxPool2d, 2), (nn.MaxPool3d, 3))
_FIRST = "torch gives it to the first"

FAMILY = (
    *(
        Naming(name, origin, text).restated(
            base.__name__, _max_pool(base, axes, ties, same=name == "tensorflow")
        )
        for base, axes in _MAX
        for name, ties, origin, text in (
            (
                "ties-to-all",
                "all",
                "CS231n, Ng's courses (x == max(x) as a mask)",
                f"each of equal maxima gets the whole gradient; {_FIRST}",
            ),
            (
                "ties-to-last",
                "last",
                "code that compares with >=",
                f"the last of equal maxima gets the gradient; {_FIRST}",
            ),
            (
                "ties-shared",
                "shared",
                "JAX's max, torch's amax",
                f"equal maxima share the gradient; {_FIRST}",
            ),
            (
                "tensorflow",
                "first",
                "TensorFlow, Keras (padding='same')",
                "padding of half the kernel is as much as the stride needs, the odd part of it at "
                "the end; torch pads both ends alike",
            ),
        )
    ),
    *(
        Naming(
            "tensorflow",
            "TensorFlow, Keras",
            "padding never counts in the divisor; torch's does unless count_include_pad=False",
        ).configured(name, setting(count_include_pad=False))
        for name in ("AvgPool1d", "AvgPool2d", "AvgPool3d")
    ),
)
