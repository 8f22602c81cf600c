"""Twins of fractional max pooling."""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.pooling import Sizes, each
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Config, Example
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

_KERNELS: dict[int, tuple[Any, ...]] = {2: (2, 3, (1, 2), 1), 3: (2, (1, 3, 2), 1)}
_OUTPUTS: dict[int, tuple[Any, ...]] = {2: (3, 2, (4, 3), 1), 3: (3, 2, (2, 1, 3))}
_RATIOS: dict[int, tuple[Any, ...]] = {
    2: (0.5, (0.25, 0.625), 0.75),
    3: (0.5, (0.625, 0.75, 0.25)),
}


def _outputs(config: Config, size: Sequence[int]) -> Sizes:
    if config["output_size"] is not None:
        return each(config["output_size"], len(size))
    ratio = config["output_ratio"]
    ratios = ratio if isinstance(ratio, tuple) else (ratio,) * len(size)
    return tuple(int(n * r) for n, r in zip(size, ratios, strict=True))


def _pool(pick: Pick, axes: int) -> Drawn:
    config = {
        "kernel_size": pick.option("kernel_size", *_KERNELS[axes]),
        "output_size": None,
        "output_ratio": None,
        "return_indices": pick.option("return_indices", False, True),
        "_random_samples": None,
    }
    if pick.option("asked", "output_size", "output_ratio") == "output_size":
        config["output_size"] = pick.option("output_size", *_OUTPUTS[axes])
    else:
        config["output_ratio"] = pick.option("output_ratio", *_RATIOS[axes])
    kernel = each(config["kernel_size"], axes)

    def fits(n: int, axis: int) -> bool:
        """torch asks for one element more than the windows of FractionalMaxPool3d need."""
        out = _outputs(config, (n,) * axes)[axis]
        return n >= kernel[axis] and n >= out + kernel[axis] - 1 + (axes == 3)

    size = []
    for axis, spare in enumerate(((1, 0, 2, 4), (2, 0, 1, 3), (1, 0, 2))[:axes]):
        enough = [n for n in range(1, 16) if fits(n, axis)]
        size.append(enough[pick.option(f"spare on axis {axis}", *spare)])
    batch = pick.option("batch", (2,), (), (1,), (3,), (0,))
    channels = pick.option("channels", 2, 1, 3)
    samples = pick.option("samples", "given", "drawn", "more than needed", "drawn")
    if samples != "drawn":
        given = (*(batch or (1,)), channels, axes)
        if samples == "more than needed":
            given = (given[0] + 1, *given[1:])
        config["_random_samples"] = pick.values("_random_samples", given, kind="sixteenths")
    return config, (pick.values("x", (*batch, channels, *size), kinks=(0.0, 1.0)),)


def _settled(example: Example) -> bool:
    """Whether no window begins elsewhere where the sums are rounded, to the digits of float16.

    Given samples are odd sixteenths, which no sum takes near to an integer.
    """
    if not example.draws:
        return True
    config, x = example.config, example.arrays["input 0"]
    axes = 2 if example.spec == "FractionalMaxPool2d" else 3
    batch, size = (x.shape[1] if x.ndim == axes + 3 else 1), x.shape[-axes:]
    samples = np.random.default_rng(example.seed).random((batch, x.shape[-axes - 1], axes))
    if axes == 2:
        samples = samples[..., ::-1]
    kernel = each(config["kernel_size"], axes)
    for i, (n, k, o) in enumerate(zip(size, kernel, _outputs(config, size), strict=True)):
        if o > 1 and n > k:
            alpha = (n - k) / (o - 1)
            reached = (np.arange(o - 1) + samples[..., i, np.newaxis]) * alpha
            if (np.abs(reached - np.rint(reached)) < 2.0**-9 * (n - k)).any():
                return False
    return True


def _draws(config: Config) -> bool:
    return config["_random_samples"] is None


def _line(ask: Ask, axes: int, x: list[float], sample: float, out: int) -> Told:
    """Rows that are alike, of which the last one is read, by windows of two."""
    given: Config = {"_random_samples": np.full((1, 1, axes), sample)}
    lead = (1,) * (axes - 1)
    plane = np.broadcast_to(x, (1, *(2 * n for n in lead), len(x)))
    return ask(plane, state=given, kernel_size=(*lead, 2), output_size=(*lead, out), **given)


def _claims(axes: int) -> tuple[Claim, ...]:
    return (
        Claim(
            "The first window begins with the plane, and the last one ends with it, whatever the "
            "random sample.",
            lambda ask: all(
                same(
                    _line(ask, axes, [1.0, 9.0, 2.0, 3.0, 4.0, 8.0, 7.0], u, 2).y.ravel(),
                    [9.0, 8.0],
                )
                for u in (0.0625, 0.9375)
            ),
        ),
        Claim(
            "The gradient goes to the first of equal maxima, and a nan is larger than any number.",
            lambda ask: same(
                _line(ask, axes, [5.0, 5.0, 1.0, nan, 0.0], 0.5, 2).dx.reshape(-1, 5)[-1],
                [1.0, 0.0, 0.0, 1.0, 0.0],
            ),
        ),
        Claim(
            "Windows may overlap: what they share has the sum of their gradients.",
            lambda ask: same(
                _line(ask, axes, [0.0, 1.0, 0.0, 5.0, 2.0], 0.5, 3).dx.reshape(-1, 5)[-1],
                [0.0, 1.0, 0.0, 2.0, 0.0],
            ),
        ),
        Claim(
            "output_ratio is a share of the size, rounded down; exactly one of it and output_size "
            "is given.",
            lambda ask: (
                ask(np.ones((1, *(7,) * axes)), kernel_size=1, output_ratio=0.5).y.shape
                == (1, *(3,) * axes)
                and refuses(
                    lambda: ask(
                        np.ones((1, *(7,) * axes)), kernel_size=1, output_ratio=0.5, output_size=3
                    )
                )
            ),
        ),
    )


def _six(ask: Ask, samples: Sequence[float]) -> Told:
    """Three of the rows and columns of a plane of 6 by 6, by windows of one element."""
    given: Config = {"_random_samples": np.array([[samples]])}
    x = np.arange(36.0).reshape(1, 6, 6)
    return ask(x, state=given, kernel_size=1, output_size=3, **given)


@spec(
    nn.FractionalMaxPool2d,
    draws=_draws,
    settled=_settled,
    batched=lambda config: False,
    claims=(
        Claim(
            "The first random sample of a plane belongs to its width, the second to its height.",
            lambda ask: same(
                _six(ask, (0.0625, 0.25)).y,
                [[[0.0, 2.0, 5.0], [18.0, 20.0, 23.0], [30.0, 32.0, 35.0]]],
            ),
        ),
        *_claims(2),
    ),
)
def FractionalMaxPool2d(pick: Pick) -> Drawn:
    return _pool(pick, 2)


def _volume(ask: Ask) -> Told:
    given: Config = {"_random_samples": np.array([[[0.0625, 0.25, 0.25]]])}
    x = np.arange(7.0 * 7 * 7).reshape(1, 7, 7, 7)
    return ask(x, state=given, kernel_size=2, output_size=3, **given)


@spec(
    nn.FractionalMaxPool3d,
    draws=_draws,
    settled=_settled,
    batched=lambda config: False,
    claims=(
        Claim(
            "The random samples of a volume belong to its depth, height and width, in this order.",
            lambda ask: (
                same(_volume(ask).y[0, :, 0, 0], [57.0, 2 * 49 + 57.0, 5 * 49 + 57.0])
                and same(_volume(ask).y[0, 0, 0], [57.0, 60.0, 62.0])
            ),
        ),
        *_claims(3),
    ),
)
def FractionalMaxPool3d(pick: Pick) -> Drawn:
    return _pool(pick, 3)
