"""Twins of the shuffles of pixels and of channels."""

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn


def _batch(pick: Pick, name: str, factor: int) -> tuple[int, ...]:
    batch: tuple[int, ...] = pick.option("batch", (2,), (), (1,), (2, 3), (0,), (3, 1, 2))
    if batch == (0,) and factor > 1:
        # torch's backward passes raise: "returned an invalid gradient at index 0"
        batch = pick.instead("batch", (1,), because=name)
    return batch


@spec(
    nn.PixelShuffle,
    claims=(
        Claim(
            "The channels of one output channel stand in a row; the first moves down by row.",
            lambda ask: same(
                ask([[[float(c)]] for c in range(8)], upscale_factor=2).y,
                [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]],
            ),
        ),
        Claim(
            "A pixel's channels become a square of r by r pixels next to each other.",
            lambda ask: same(
                ask([[[10.0 * c, 10.0 * c + 1]] for c in range(4)], upscale_factor=2).y,
                [[[0.0, 10.0, 1.0, 11.0], [20.0, 30.0, 21.0, 31.0]]],
            ),
        ),
    ),
)
def PixelShuffle(pick: Pick) -> Drawn:
    r = pick.option("upscale_factor", 2, 3, 1)
    C, H, W = (pick.size(name) for name in ("C", "H", "W"))
    shape = (*_batch(pick, "upscale_factor", r), C * r**2, H, W)
    return {"upscale_factor": r}, (pick.values("x", shape),)


@spec(
    nn.PixelUnshuffle,
    claims=(
        Claim(
            "It undoes PixelShuffle: the channels that come of one channel stand in a row.",
            lambda ask: same(
                ask([[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]], downscale_factor=2).y,
                [[[float(c)]] for c in range(8)],
            ),
        ),
    ),
)
def PixelUnshuffle(pick: Pick) -> Drawn:
    r = pick.option("downscale_factor", 2, 3, 1)
    C, H, W = (pick.size(name) for name in ("C", "H", "W"))
    shape = (*_batch(pick, "downscale_factor", r), C, H * r, W * r)
    return {"downscale_factor": r}, (pick.values("x", shape),)


@spec(
    nn.ChannelShuffle,
    claims=(
        Claim(
            "The groups take turns: 0 1 2 | 3 4 5 becomes 0 3 1 4 2 5.",
            lambda ask: same(
                ask([[[float(c)] for c in range(6)]], groups=2).y,
                [[[0.0], [3.0], [1.0], [4.0], [2.0], [5.0]]],
            ),
        ),
    ),
)
def ChannelShuffle(pick: Pick) -> Drawn:
    groups = pick.option("groups", 2, 3, 1)
    channels = groups * pick.size("channels per group")
    rest = pick.option("rest", (2,), (1,), (2, 3), (3, 1, 2), (0,))
    batch = pick.option("batch", 2, 1, 3, 0)
    return {"groups": groups}, (pick.values("x", (batch, channels, *rest)),)
