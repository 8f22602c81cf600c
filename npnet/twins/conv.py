"""Twins of the convolutions and of their transposes."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Example
from npnet.verify.spec import Drawn

_SPARE = ("spare layers", "spare rows", "spare columns")


def pair(value: Any) -> tuple[int, int]:
    """An int stands for both axes."""
    return (value, value) if isinstance(value, int) else value


def on_axes(value: Any, axes: int) -> tuple[int, ...]:
    """An int stands for every axis."""
    return (value,) * axes if isinstance(value, int) else value


def images(pick: Pick, channels: int, least: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image batch, or of one image, at least so large."""
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    spare = [
        pick.option(name, 1, 0, 2, 4 if name == "spare columns" else 3)
        for name in _SPARE[-len(least) :]
    ]
    return (*batch, channels, *(n + more for n, more in zip(least, spare, strict=True)))


def _batched(axes: int) -> Any:
    def split(example: Example) -> bool:
        return example.arrays["input 0"].ndim == axes + 3  # value sets, N, C

    return split


_KERNELS = {
    1: (2, 3, (2,), 1, 4),
    2: (2, 3, 2, 1, (1, 3), (3, 2)),
    3: (2, (1, 2, 3), 2, 1, (3, 1, 2)),
}
_STRIDES = {
    1: (1, 2, 3, (2,)),
    2: (1, 2, 3, (1, 2), (3, 1)),
    3: (1, 2, (1, 2, 3), (3, 1, 2)),
}
_DILATIONS = {1: (1, 2, (2,), 3), 2: (1, (1, 3), 2, (2, 1)), 3: (1, (1, 2, 3), 2, (2, 1, 1))}
_PADDINGS = {
    1: (1, "same", 0, 2, (1,), "same", "valid"),
    2: (1, "same", 0, 2, (1, 0), (0, 2), "same", "valid"),
    3: (1, "same", 0, (1, 0, 2), (0, 2, 1), "same", "valid"),
}


def _conv(pick: Pick, axes: int) -> Drawn:
    groups = pick.option("groups", 1, 2, 3)
    kernel = pick.option("kernel_size", *_KERNELS[axes])
    padding = pick.option("padding", *_PADDINGS[axes])
    stride = pick.option("stride", *_STRIDES[axes])
    if padding == "same" and stride != 1:
        stride = pick.instead("stride", 1, because="padding")
    dilation = pick.option("dilation", *_DILATIONS[axes])
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
    least = [
        _least(k, d, p, padding, mode)
        for k, d, p in zip(
            on_axes(kernel, axes),
            on_axes(dilation, axes),
            on_axes(0 if isinstance(padding, str) else padding, axes),
            strict=True,
        )
    ]
    return config, (pick.values("x", images(pick, config["in_channels"], least)),)


def _least(kernel: int, dilation: int, pad: int, padding: Any, mode: str) -> int:
    """The smallest image that a window fits in, and that has enough to reflect or to wrap."""
    reach = dilation * (kernel - 1)
    if padding == "same":
        pad = (reach + 1) // 2
        fits = 1
    else:
        fits = max(1, reach + 1 - 2 * pad)
    return max(fits, pad + 1) if mode == "reflect" else max(fits, pad) if mode != "zeros" else fits


def _row(ask: Any, x: list[float], weight: list[float], **config: Any) -> Any:
    """y of one channel."""
    state = {"weight": [[weight]], "bias": [0.0]}
    config = {"in_channels": 1, "out_channels": 1, "kernel_size": len(weight), **config}
    return ask([[x]], state=state, **config).y[0, 0]


_CLAIMS = (
    Claim(
        "The kernel is not flipped: it is a correlation.",
        lambda ask: same(_row(ask, [1.0, 2.0, 3.0], [1.0, 10.0]), [21.0, 32.0]),
    ),
    Claim(
        "padding='same' puts the odd pixel last.",
        lambda ask: same(_row(ask, [1.0, 2.0], [1.0, 10.0], padding="same"), [21.0, 2.0]),
    ),
    Claim(
        "padding_mode='reflect' leaves the border itself out, and 'circular' starts anew.",
        lambda ask: (
            same(_row(ask, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0], padding=1, padding_mode="reflect"),
                 [2.0, 1.0, 2.0])
            and same(
                _row(ask, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0], padding=1, padding_mode="circular"),
                [3.0, 1.0, 2.0])
        ),
    ),
    Claim(
        "Group g connects the g-th C / groups inputs with the g-th O / groups outputs.",
        lambda ask: same(
            ask(
                [[[1.0], [2.0]]],
                state={"weight": [[[1.0]], [[10.0]], [[1.0]], [[10.0]]], "bias": [0.0] * 4},
                in_channels=2, out_channels=4, kernel_size=1, groups=2,
            ).y,
            [[[1.0], [10.0], [2.0], [20.0]]],
        ),
    ),
)  # fmt: skip


@spec(nn.Conv1d, exact=True, split=_batched(1), claims=_CLAIMS)
def Conv1d(pick: Pick) -> Drawn:
    return _conv(pick, axes=1)


@spec(
    nn.Conv2d,
    exact=True,
    split=_batched(2),
    claims=(
        Claim(
            "With two numbers, the first is the rows', as in the image's shape.",
            lambda ask: (
                ask(
                    [[[[0.0] * 5] * 3]],
                    in_channels=1,
                    out_channels=1,
                    kernel_size=(1, 2),
                    padding=(1, 0),
                ).y.shape
                == (1, 1, 5, 4)
            ),
        ),
    ),
)
def Conv2d(pick: Pick) -> Drawn:
    return _conv(pick, axes=2)


@spec(nn.Conv3d, exact=True, split=_batched(3))
def Conv3d(pick: Pick) -> Drawn:
    return _conv(pick, axes=3)


_CUTS = {1: (0, 1, 2, (1,)), 2: (0, 1, (2, 0), (0, 1), 2), 3: (0, 1, (1, 0, 2), (0, 2, 1))}
_MORE = {1: (0, 1, 2, (1,)), 2: (0, 1, (0, 1), (2, 0)), 3: (0, 1, (0, 1, 2), (1, 0, 0))}


def _conv_transpose(pick: Pick, axes: int) -> Drawn:
    groups = pick.option("groups", 1, 2, 3)
    kernel = pick.option("kernel_size", *_KERNELS[axes])
    stride = pick.option("stride", *_STRIDES[axes])
    dilation = pick.option("dilation", *_DILATIONS[axes])
    padding = pick.option("padding", *_CUTS[axes])
    more = pick.option("output_padding", *_MORE[axes])
    k, s, d, p, m = (on_axes(v, axes) for v in (kernel, stride, dilation, padding, more))
    if any(m_ >= max(s_, d_) for m_, s_, d_ in zip(m, s, d, strict=True)):
        more = pick.instead("output_padding", 0, because="stride")
    config = {
        "in_channels": groups * pick.size("in_channels per group"),
        "out_channels": groups * pick.size("out_channels per group"),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "output_padding": more,
        "groups": groups,
        "bias": pick.option("bias", True, False),
        "dilation": dilation,
        "padding_mode": "zeros",
    }
    reach = [d_ * (k_ - 1) for d_, k_ in zip(d, k, strict=True)]
    # of the image, something must be left by the padding
    least = [max(1, -(-(2 * p_ - r) // s_) + 1) for p_, r, s_ in zip(p, reach, s, strict=True)]
    shape = images(pick, config["in_channels"], least)
    kwargs = {}
    asked = pick.option("output_size", None, "image", None, "shape")
    if asked:
        extra = pick.option("output_size beyond the least", 0, 1, 2)
        size = tuple(
            (n - 1) * s_ - 2 * p_ + r + 1 + min(extra, s_ - 1)
            for n, s_, p_, r in zip(shape[-axes:], s, p, reach, strict=True)
        )
        front = (*shape[: -axes - 1], config["out_channels"]) if asked == "shape" else ()
        kwargs["output_size"] = front + size
    return config, (pick.values("x", shape),), kwargs


def _one(ask: Any, x: list[float], weight: list[float], **config: Any) -> Any:
    """y of one channel; the weight's axes are those of a transposed convolution of it."""
    kwargs = {"output_size": config.pop("output_size")} if "output_size" in config else None
    state = {"weight": [[weight]], "bias": [0.0]}
    config = {"in_channels": 1, "out_channels": 1, "kernel_size": len(weight), **config}
    return ask([[x]], state=state, kwargs=kwargs, **config).y[0, 0]


_TRANSPOSED = (
    Claim(
        "Every input puts the kernel, as it stands, stride pixels further; overlaps add up.",
        lambda ask: same(
            _one(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2), [1.0, 2.0, 13.0, 20.0, 30.0]
        ),
    ),
    Claim(
        "padding cuts pixels off at both ends.",
        lambda ask: same(
            _one(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2, padding=1), [2.0, 13.0, 20.0]
        ),
    ),
    Claim(
        "output_padding cuts less off at the end, and pixels that no input reaches are the bias.",
        lambda ask: same(
            _one(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2, padding=1, output_padding=1),
            [2.0, 13.0, 20.0, 30.0],
        )
        and same(_one(ask, [1.0], [5.0], stride=2, output_padding=1), [5.0, 0.0]),
    ),
    Claim(
        "output_size replaces output_padding.",
        lambda ask: same(
            _one(ask, [1.0], [5.0], stride=2, output_padding=1, output_size=(1,)), [5.0]
        ),
    ),
)  # fmt: skip


@spec(nn.ConvTranspose1d, exact=True, split=_batched(1), claims=_TRANSPOSED)
def ConvTranspose1d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=1)


@spec(nn.ConvTranspose2d, exact=True, split=_batched(2))
def ConvTranspose2d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=2)


@spec(nn.ConvTranspose3d, exact=True, split=_batched(3))
def ConvTranspose3d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=3)
