"""Twins of the pooling layers."""

from torch import nn

from npnet.twins.conv import images, pair
from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn

_KERNELS = (3, 2, (3, 2), 3, (1, 2), 1)


def _padding(pick: Pick, kernel: tuple[int, int]) -> object:
    """torch refuses a padding of more than half the kernel."""
    padding = pick.option("padding", 1, 0, (0, 1), 1)
    if any(2 * p > k for p, k in zip(pair(padding), kernel, strict=True)):
        padding = pick.instead("padding", 0, because="kernel_size")
    return padding


@spec(nn.MaxPool2d)
def MaxPool2d(pick: Pick) -> Drawn:
    kernel = pick.option("kernel_size", *_KERNELS)
    dilation = pick.option("dilation", 1, 2, (2, 1))
    padding = _padding(pick, pair(kernel))
    config = {
        "kernel_size": kernel,
        "stride": pick.option("stride", 2, None, (2, 1), 1, 3),
        "padding": padding,
        "dilation": dilation,
        "return_indices": pick.option("return_indices", False, True),
        "ceil_mode": pick.option("ceil_mode", True, False),
    }
    # no window may lie in the padding altogether: torch answers -inf there, with a wild index
    least = [
        max(1, d, d * (k - 1) + 1 - 2 * p)
        for k, d, p in zip(pair(kernel), pair(dilation), pair(padding), strict=True)
    ]
    shape = images(pick, pick.size("channels"), (least[0], least[1]))
    return config, (pick.values("x", shape, kinks=(0.0, 1.0)),)


@spec(nn.AvgPool2d, split=lambda example: example.arrays["input 0"].ndim == 5)
def AvgPool2d(pick: Pick) -> Drawn:
    kernel = pick.option("kernel_size", *_KERNELS)
    padding = _padding(pick, pair(kernel))
    config = {
        "kernel_size": kernel,
        "stride": pick.option("stride", 2, None, (2, 1), 1, 3),
        "padding": padding,
        "ceil_mode": pick.option("ceil_mode", True, False),
        "count_include_pad": pick.option("count_include_pad", True, False),
        "divisor_override": pick.option("divisor_override", None, None, 3, None, 1),
    }
    least = [max(1, k - 2 * p) for k, p in zip(pair(kernel), pair(padding), strict=True)]
    shape = images(pick, pick.size("channels"), (least[0], least[1]))
    return config, (pick.values("x", shape),)
