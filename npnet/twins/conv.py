"""Twins of the convolutions and of their transposes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Example
from npnet.verify.claim import Ask, Told
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


def _along(axes: int, config: dict[str, Any]) -> dict[str, Any]:
    """Options of one axis as those of an image that has no extent along the others."""
    rest = {"padding": 0, "output_padding": 0}
    return {
        name: (*(rest.get(name, 1),) * (axes - 1), value)
        if isinstance(value, int) and name not in ("in_channels", "out_channels", "groups")
        else value
        for name, value in config.items()
    }


def _row(ask: Ask, axes: int, x: list[float], weight: list[float], **config: Any) -> Any:
    """y of one channel; an image, and a kernel, of one row."""
    lead = (1,) * (axes - 1)
    state: dict[str, Any] = {"weight": np.reshape(weight, (1, 1, *lead, -1)), "bias": [0.0]}
    kwargs = None
    if "output_size" in config:
        kwargs = {"output_size": (*lead, config.pop("output_size"))}
    config = _along(axes, {"kernel_size": len(weight), **config})
    config = {"in_channels": 1, "out_channels": 1, **config}
    return ask(np.reshape(x, (1, 1, *lead, len(x))), state=state, kwargs=kwargs, **config).y.ravel()


def _points(
    ask: Ask, axes: int, x: list[float], weight: Any, out: int, groups: int = 1, dy: Any = None
) -> Told:
    """Answers for images of one pixel, one number of x for each channel, by kernels of one."""
    ones = (1,) * axes
    weight = np.asarray(weight, float)
    return ask(
        np.reshape(x, (1, len(x), *ones)),
        state={"weight": weight.reshape(*weight.shape, *ones), "bias": np.zeros(out)},
        dy=None if dy is None else np.reshape(dy, (1, out, *ones)),
        in_channels=len(x),
        out_channels=out,
        kernel_size=1,
        groups=groups,
    )


def _claims(axes: int) -> tuple[Claim, ...]:
    def row(ask: Ask, x: list[float], weight: list[float], **config: Any) -> Any:
        return _row(ask, axes, x, weight, **config)

    return (
        Claim(
            "The kernel is not flipped: it is a correlation.",
            lambda ask: same(row(ask, [1.0, 2.0, 3.0], [1.0, 10.0]), [21.0, 32.0]),
        ),
        Claim(
            "weight is (out_channels, in_channels / groups, *kernel_size); that of Keras has the "
            "kernel first.",
            lambda ask: same(
                _points(ask, axes, [1.0, 2.0], [[1.0, 10.0], [100.0, 1000.0]], out=2).y.ravel(),
                [21.0, 2100.0],
            ),
        ),
        Claim(
            "Group g connects the g-th C / groups inputs with the g-th O / groups outputs.",
            lambda ask: same(
                _points(
                    ask, axes, [1.0, 2.0, 3.0, 4.0], [[1.0, 10.0], [1.0, 100.0]], out=2, groups=2
                ).y.ravel(),
                [21.0, 403.0],
            ),
        ),
        Claim(
            "dilation is how far apart the taps of the kernel are: 1 is none.",
            lambda ask: same(row(ask, [1.0, 2.0, 3.0, 4.0], [1.0, 10.0], dilation=2), [31.0, 42.0]),
        ),
        Claim(
            "Pixels at the end that stride does not reach are left out: the size is rounded down.",
            lambda ask: same(
                row(ask, [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 10.0], stride=2), [21.0, 43.0]
            ),
        ),
        Claim(
            "padding is how many pixels come before, and as many behind.",
            lambda ask: same(row(ask, [1.0, 2.0], [1.0, 10.0], padding=1), [10.0, 21.0, 2.0]),
        ),
        Claim(
            "padding='same' puts the odd pixel last.",
            lambda ask: same(row(ask, [1.0, 2.0], [1.0, 10.0], padding="same"), [21.0, 2.0]),
        ),
        Claim(
            "padding='same' with a stride raises an error, where TensorFlow pads by the stride.",
            lambda ask: (
                same(row(ask, [1.0, 2.0], [1.0, 10.0], padding="same", stride=1), [21.0, 2.0])
                and refuses(lambda: row(ask, [1.0, 2.0], [1.0, 10.0], padding="same", stride=2))
            ),
        ),
        Claim(
            "padding_mode='reflect' leaves the border itself out, and 'circular' starts anew.",
            lambda ask: (
                same(
                    row(ask, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0], padding=1, padding_mode="reflect"),
                    [2.0, 1.0, 2.0],
                )
                and same(
                    row(ask, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0], padding=1, padding_mode="circular"),
                    [3.0, 1.0, 2.0],
                )
            ),
        ),
        *_image_claims(axes, transposed=False),
    )


def _image_claims(axes: int, transposed: bool) -> tuple[Claim, ...]:
    """Of a single image, and of the order of several axes."""
    one = Claim(
        "An image without a batch, of one axis less, is answered without one.",
        lambda ask: (
            ask(np.ones((2, *(3,) * axes)), in_channels=2, out_channels=3, kernel_size=1).y.shape
            == (3, *(3,) * axes)
        ),
    )
    if axes == 1:
        return (one,)
    lead = (1,) * (axes - 2)

    def rows(ask: Ask) -> Any:
        """A kernel of two rows and one column, two rows apart, on an image of three rows."""
        return ask(
            np.reshape([1.0, 2.0, 3.0] if not transposed else [1.0], (1, 1, *lead, -1, 1)),
            state={"weight": np.reshape([1.0, 10.0], (1, 1, *lead, 2, 1)), "bias": [0.0]},
            in_channels=1,
            out_channels=1,
            kernel_size=(*lead, 2, 1),
            dilation=(*lead, 2, 1),
        ).y

    want = np.reshape([1.0, 0.0, 10.0] if transposed else [31.0], (1, 1, *lead, -1, 1))
    return (
        one,
        Claim(
            "Of several numbers the last is the columns', as in the image's shape.",
            lambda ask: same(rows(ask), want),
        ),
    )


@spec(nn.Conv1d, exact=True, split=_batched(1), claims=_claims(1))
def Conv1d(pick: Pick) -> Drawn:
    return _conv(pick, axes=1)


@spec(nn.Conv2d, exact=True, split=_batched(2), claims=_claims(2))
def Conv2d(pick: Pick) -> Drawn:
    return _conv(pick, axes=2)


@spec(nn.Conv3d, exact=True, split=_batched(3), claims=_claims(3))
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


def _grouped(ask: Ask, axes: int) -> Told:
    """Four inputs, and four outputs, in two groups."""
    x, weight = [1.0, 2.0, 3.0, 4.0], [[1.0, 10.0]] * 4
    return _points(ask, axes, x, weight, out=4, groups=2, dy=x)


def _transposed_claims(axes: int) -> tuple[Claim, ...]:
    def row(ask: Ask, x: list[float], weight: list[float], **config: Any) -> Any:
        return _row(ask, axes, x, weight, **config)

    return (
        Claim(
            "Every input puts the kernel, as it stands, stride pixels further; overlaps add up.",
            lambda ask: same(
                row(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2), [1.0, 2.0, 13.0, 20.0, 30.0]
            ),
        ),
        Claim(
            "weight is (in_channels, out_channels / groups, *kernel_size): the inputs come first, "
            "other than in a convolution.",
            lambda ask: same(
                _points(ask, axes, [1.0, 2.0], [[1.0, 10.0], [100.0, 1000.0]], out=2).y.ravel(),
                [201.0, 2010.0],
            ),
        ),
        Claim(
            "Group g connects the g-th C / groups inputs with the g-th O / groups outputs.",
            lambda ask: (
                same(_grouped(ask, axes).y.ravel(), [3.0, 30.0, 7.0, 70.0])
                and same(_grouped(ask, axes).dx.ravel(), [21.0, 21.0, 43.0, 43.0])
            ),
        ),
        Claim(
            "dilation is how far apart the taps of the kernel are: 1 is none.",
            lambda ask: same(row(ask, [1.0, 2.0], [1.0, 10.0], dilation=2), [1.0, 2.0, 10.0, 20.0]),
        ),
        Claim(
            "padding cuts pixels off at both ends.",
            lambda ask: same(
                row(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2, padding=1), [2.0, 13.0, 20.0]
            ),
        ),
        Claim(
            "output_padding cuts less off at the end, and pixels that no input reaches are the "
            "bias.",
            lambda ask: (
                same(
                    row(ask, [1.0, 10.0], [1.0, 2.0, 3.0], stride=2, padding=1, output_padding=1),
                    [2.0, 13.0, 20.0, 30.0],
                )
                and same(row(ask, [1.0], [5.0], stride=2, output_padding=1), [5.0, 0.0])
            ),
        ),
        Claim(
            "output_size replaces output_padding.",
            lambda ask: same(
                row(ask, [1.0], [5.0], stride=2, output_padding=1, output_size=1), [5.0]
            ),
        ),
        *_image_claims(axes, transposed=True),
    )


@spec(nn.ConvTranspose1d, exact=True, split=_batched(1), claims=_transposed_claims(1))
def ConvTranspose1d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=1)


@spec(nn.ConvTranspose2d, exact=True, split=_batched(2), claims=_transposed_claims(2))
def ConvTranspose2d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=2)


@spec(nn.ConvTranspose3d, exact=True, split=_batched(3), claims=_transposed_claims(3))
def ConvTranspose3d(pick: Pick) -> Drawn:
    return _conv_transpose(pick, axes=3)
