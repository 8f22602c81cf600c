"""Twins of the convolutions."""

from typing import Any

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.case import Example
from npnet.verify.spec import Drawn


def pair(value: Any) -> tuple[int, int]:
    """An int stands for both axes."""
    return (value, value) if isinstance(value, int) else value


def images(pick: Pick, channels: int, least: tuple[int, int]) -> tuple[int, ...]:
    """The shape of an image batch, or of one image, at least so large."""
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    height = least[0] + pick.option("spare rows", 1, 0, 2, 3)
    width = least[1] + pick.option("spare columns", 1, 0, 2, 4)
    return (*batch, channels, height, width)


def _batched(example: Example) -> bool:
    return example.arrays["input 0"].ndim == 5  # value sets, N, C, H, W


@spec(nn.Conv2d, exact=True, split=_batched)
def Conv2d(pick: Pick) -> Drawn:
    groups = pick.option("groups", 1, 2, 3)
    kernel = pick.option("kernel_size", 2, 3, 2, 1, (1, 3), (3, 2))
    padding = pick.option("padding", 1, "same", 0, 2, (1, 0), (0, 2), "same", "valid")
    stride = pick.option("stride", 1, 2, 3, (1, 2), (3, 1))
    if padding == "same" and stride != 1:
        stride = pick.instead("stride", 1, because="padding")
    dilation = pick.option("dilation", 1, (1, 3), 2, (2, 1))
    mode = pick.option("padding_mode", "zeros", "reflect", "replicate", "circular")
    config = {
        "in_channels": groups * pick.size("in_channels per group"),
        "out_channels": groups * pick.size("out_channels per group"),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": pick.option("bias", True, False),
        "padding_mode": mode,
    }
    least = tuple(
        _least(k, d, 0 if isinstance(padding, str) else p, padding, mode)
        for k, d, p in zip(
            pair(kernel),
            pair(dilation),
            (0, 0) if isinstance(padding, str) else pair(padding),
            strict=True,
        )
    )
    shape = images(pick, config["in_channels"], (least[0], least[1]))
    return config, (pick.values("x", shape),)


def _least(kernel: int, dilation: int, pad: int, padding: Any, mode: str) -> int:
    """The smallest image that a window fits in, and that has enough to reflect or to wrap."""
    reach = dilation * (kernel - 1)
    if padding == "same":
        pad = (reach + 1) // 2
        fits = 1
    else:
        fits = max(1, reach + 1 - 2 * pad)
    return max(fits, pad + 1) if mode == "reflect" else max(fits, pad) if mode != "zeros" else fits
