"""Twins of the interpolations."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

# Scale factors with which no rounding moves a nearest neighbour in any dtype, on inputs of these
# sizes; with 2.7 or 1.1 some do.
_SCALES = (2.0, 1.5, 0.5, 3.0, 0.75, 2.5, 1.0, 1.75)
_FEW = (1.25, 1.3, 2.25)  # that may leave a size as it is, or double it, without being 1 or 2
_OLD = (3, 2, 4, 1, 5, 3, 2, 4, 6, 33)
_NEW = (4, 3, 6, 1, 2, 5, 8, 7)
_NEW_OF_33 = (17, 66, 11, 34, 33, 1)

_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}

_LINE = [[[0.0, 1.0, 2.0, 3.0]]]


def _cubic(x: float) -> float:
    """The kernel of cubic convolution with a = -3/4."""
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)


_CLAIMS = (
    Claim(
        '"nearest" rounds s·o down, where the centre of o would lie at s·(o + ½) - ½; '
        '"nearest-exact" rounds that.',
        lambda ask: (
            same(ask(_LINE, size=2).y, [[[0.0, 2.0]]])
            and same(ask(_LINE, size=2, mode="nearest-exact").y, [[[1.0, 3.0]]])
        ),
    ),
    Claim(
        "By default corners are not aligned: pixels are squares, and the first output of twice as "
        "many lies a quarter before the first input, whose value it has.",
        lambda ask: same(ask([[[0.0, 4.0]]], size=4, mode="linear").y, [[[0.0, 1.0, 3.0, 4.0]]]),
    ),
    Claim(
        "align_corners=True puts the first and last outputs on the first and last inputs.",
        lambda ask: same(
            ask([[[0.0, 3.0]]], size=4, mode="linear", align_corners=True).y,
            [[[0.0, 1.0, 2.0, 3.0]]],
        ),
    ),
    Claim(
        "The cubic kernel has a = -0.75 (others have -0.5), and what lies outside of the image is "
        "its border.",
        lambda ask: same(
            ask([[[[0.0, 0.0, 1.0, 1.0]]]], size=(1, 8), mode="bicubic").y[0, 0, 0, 5:],
            [1.0 - _cubic(1.25), 1.0 - _cubic(1.75), 1.0],
        ),
    ),
    Claim(
        '"area" is the mean over all pixels that an output touches, as in AdaptiveAvgPool.',
        lambda ask: same(ask([[[0.0, 1.0, 5.0]]], size=2, mode="area").y, [[[0.5, 3.0]]]),
    ),
    Claim(
        "A scale_factor that is given is used as it is, though the size is rounded down; with "
        "recompute_scale_factor=True the ratio of the sizes is used.",
        lambda ask: (
            same(
                ask([[[0.0, 10.0, 20.0]]], scale_factor=2.5, mode="linear").y,
                [[[0.0, 1.0, 5.0, 9.0, 13.0, 17.0, 20.0]]],
            )
            and not same(
                ask(
                    [[[0.0, 10.0, 20.0]]],
                    scale_factor=2.5,
                    mode="linear",
                    recompute_scale_factor=True,
                ).y,
                [[[0.0, 1.0, 5.0, 9.0, 13.0, 17.0, 20.0]]],
            )
        ),
    ),
)


def _grid(pick: Pick, axes: int, scales: tuple[float, ...]) -> tuple[dict[str, Any], Values]:
    """size or scale_factor, for all axes or for each, and x."""
    config: dict[str, Any] = {"size": None, "scale_factor": None}
    by = pick.option("by", "size", "scale_factor")
    each = pick.option("given", "for all axes", "for each axis") == "for each axis"
    old = tuple(pick.choose(f"old size {i}", _OLD) for i in range(axes))
    if sum(n == 33 for n in old) > 1:
        old = (*(min(n, 3) for n in old[:-1]), old[-1])
    count = axes if each else 1
    if by == "size":
        news = [_NEW_OF_33 if n == 33 and each else _NEW for n in old]
        given = tuple(pick.choose(f"new size {i}", news[i]) for i in range(count))
    else:
        given = tuple(pick.choose(f"scale {i}", scales) for i in range(count))
        least = 2 if min(given) < 1 else 1
        old = tuple(max(n, least) for n in old)
    config[by] = given if each else given[0]
    batch = pick.option("batch", 2, 1, 3, 0)
    channels = pick.option("channels", 2, 1, 3)
    return config, pick.values("x", (batch, channels, *old))


def _torch_differs(config: dict[str, Any], old: tuple[int, ...]) -> bool:
    """Where torch's passes contradict each other, or its memory formats.

    "nearest" takes 1 for a scale_factor that leaves the size as it is, and 2 for one that doubles
    it, forwards with two axes and backwards always: for x = [1, 2] and a scale_factor of 1.25,
    y = [1, 1] with one axis, and dx = dy. "bicubic" does so backwards where no size changes.
    """
    if config["scale_factor"] is None or config["recompute_scale_factor"]:
        return False
    scales = config["scale_factor"]
    scales = scales if isinstance(scales, tuple) else (scales,) * len(old)
    pairs = [(n, int(n * s), s) for n, s in zip(old, scales, strict=True)]
    if config["mode"] == "nearest":
        return any(m in (n, 2 * n) and m != n * s for n, m, s in pairs)
    unchanged = all(n == m for n, m, _ in pairs) and any(s != 1 for s in scales)
    return config["mode"] == "bicubic" and not config["align_corners"] and unchanged


@spec(nn.Upsample, claims=_CLAIMS)
def Upsample(pick: Pick) -> Drawn:
    mode = pick.option(
        "mode", "nearest", "linear", "bilinear", "bicubic", "trilinear", "nearest-exact", "area"
    )
    axes = pick.option("axes", 1, 2, 3)
    if axes != _AXES.get(mode, axes):
        axes = pick.instead("axes", _AXES[mode], because="mode")
    align = pick.option("align_corners", None, True, False)
    if align is not None and mode not in _AXES:
        align = pick.instead("align_corners", None, because="mode")
    config, x = _grid(pick, axes, (*_SCALES, *_FEW))
    recompute = pick.option("recompute_scale_factor", None, True, False)
    if recompute and config["size"] is not None:
        recompute = pick.instead("recompute_scale_factor", False, because="by")
    config |= {"mode": mode, "align_corners": align, "recompute_scale_factor": recompute}
    if _torch_differs(config, x.shape[2:]):
        config["recompute_scale_factor"] = pick.instead(
            "recompute_scale_factor", True, because="mode"
        )
    return config, (x,)


@spec(
    nn.UpsamplingNearest2d,
    claims=(
        Claim(
            "It rounds s·o down, s being old size / new size: the left neighbour.",
            lambda ask: same(ask([[[[0.0, 1.0, 2.0]]]], size=(1, 2)).y, [[[[0.0, 1.0]]]]),
        ),
        Claim(
            "The new size is rounded down.",
            lambda ask: ask([[[[1.0, 2.0, 3.0]]]], scale_factor=1.5).y.shape == (1, 1, 1, 4),
        ),
    ),
)
def UpsamplingNearest2d(pick: Pick) -> Drawn:
    config, x = _grid(pick, 2, _SCALES)
    return config, (x,)


@spec(
    nn.UpsamplingBilinear2d,
    claims=(
        Claim(
            "Corners are aligned, as they are not in Upsample(mode='bilinear').",
            lambda ask: same(ask([[[[0.0, 3.0]]]], size=(1, 4)).y, [[[[0.0, 1.0, 2.0, 3.0]]]]),
        ),
    ),
)
def UpsamplingBilinear2d(pick: Pick) -> Drawn:
    config, x = _grid(pick, 2, (*_SCALES, *_FEW))
    return config, (x,)
