"""Dialects of the convolutions: where the padding lies, and whether the kernel is flipped."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from npnet.twins.conv import on_axes
from npnet.twins.dialects._made import Naming

Tensor = torch.Tensor
_CONVOLUTIONS = ((nn.Conv1d, 1, F.conv1d), (nn.Conv2d, 2, F.conv2d), (nn.Conv3d, 3, F.conv3d))


def _padded(base: type[nn.Module], axes: int, conv: Any, lower: bool) -> type[nn.Module]:
    class Padded(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """Padding by hand: 'same' with the odd pixel first, or as much as the stride needs."""

        def forward(self, x: Tensor) -> Tensor:
            ends, given = [], 0 if self.padding in ("same", "valid") else self.padding
            for i, n in enumerate(x.shape[-axes:]):
                s, reach = self.stride[i], self.dilation[i] * (self.kernel_size[i] - 1)
                if self.padding == "same":
                    before = reach - reach // 2 if lower else reach // 2
                    after = reach - before
                else:
                    before = after = on_axes(given, axes)[i]
                    if not lower and s > 1 and 2 * before == reach:
                        total = max((-(-n // s) - 1) * s + reach + 1 - n, 0)
                        before, after = total // 2, total - total // 2
                ends.append((before, after))
            pads = [p for pair in reversed(ends) for p in pair]
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            one = x.dim() == axes + 1
            wide = F.pad(x.unsqueeze(0) if one else x, pads, mode) if any(pads) else x
            wide = wide.squeeze(0) if one and any(pads) else wide
            found: Tensor = conv(
                wide, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
            )
            return found

    return Padded


def _flipped(base: type[nn.Module], axes: int) -> type[nn.Module]:
    class Flipped(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """The kernel turned around in every axis of the image."""

        def forward(self, x: Tensor) -> Tensor:
            kernel = self.weight.flip(tuple(range(-axes, 0)))
            found: Tensor = self._conv_forward(x, kernel, self.bias)
            return found

    return Flipped


FAMILY = tuple(
    Naming(name, origin, text).restated(base.__name__, module)
    for base, axes, conv in _CONVOLUTIONS
    for name, origin, text, module in (
        (
            "tensorflow",
            "TensorFlow, Keras (padding='same' with a stride)",
            "padding of half the kernel is as much as the stride needs, the odd pixel of it at the "
            "end; torch pads both ends alike",
            _padded(base, axes, conv, lower=False),
        ),
        (
            "same-lower",
            "ONNX (SAME_LOWER)",
            "padding='same' puts the odd pixel first; torch puts it last",
            _padded(base, axes, conv, lower=True),
        ),
        (
            "flipped",
            "mathematics, scipy.signal.convolve",
            "the kernel is flipped; torch's is not: it is a correlation",
            _flipped(base, axes),
        ),
    )
)
