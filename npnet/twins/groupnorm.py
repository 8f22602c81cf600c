"""Twin of the group normalisation."""

from math import prod
from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, accepts, refuses, same, spec
from npnet.verify.spec import Drawn


def _four(ask: Any, groups: int, x: Any = None, **config: Any) -> Any:
    """Four channels, by default of one value each, in two samples."""
    x = [[0.0, 2.0, 5.0, 9.0], [1.0, 3.0, 0.0, 4.0]] if x is None else x
    return ask(x, num_groups=groups, num_channels=4, affine=False, **config)


_CLAIMS = (
    Claim(
        "A group is channels in a row: of four in two groups, 0 and 1, then 2 and 3.",
        lambda ask: same(
            _four(ask, 2, eps=0.0).y, [[-1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]]
        ),
    ),
    Claim(
        "It normalises by the biased variance, and eps is added to it, inside of the root.",
        lambda ask: same(_four(ask, 2, eps=3.0).y[0][:2], [-0.5, 0.5]),
    ),
    Claim(
        "num_groups is the number of groups, not their size, and has to divide the channels.",
        lambda ask: (
            same(_four(ask, 4, [[[1.0, 3.0]] * 4], eps=0.0).y[0, 0], [-1.0, 1.0])
            and refuses(lambda: _four(ask, 3))
        ),
    ),
    Claim(
        "Samples are normalised one by one: there are no running statistics, and evaluation is no "
        "other thing.",
        lambda ask: same(
            _four(ask, 1, eps=0.0, x=[[0.0, 2.0, 0.0, 2.0], [8.0, 9.0, 9.0, 8.0]]).y,
            [[-1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, 1.0, -1.0]],
        ),
    ),
    Claim(
        "weight and bias hold one number per channel, not one per group.",
        lambda ask: same(
            ask(
                [[0.0, 2.0]],
                state={"weight": [1.0, 10.0], "bias": [0.0, 100.0]},
                num_groups=1,
                num_channels=2,
                eps=0.0,
            ).y,
            [[-1.0, 110.0]],
        ),
    ),
)


@spec(nn.GroupNorm, claims=_CLAIMS)
def GroupNorm(pick: Pick) -> Drawn:
    groups = pick.option("num_groups", 2, 1, 3)
    channels = groups * pick.size("channels per group")
    config: dict[str, Any] = {
        "num_groups": groups,
        "num_channels": channels,
        "eps": pick.option("eps", 2.0**-17, 2.0**-10, 1.0),
        "affine": pick.option("affine", True, False),
    }
    if accepts(nn.GroupNorm, "bias"):
        config["bias"] = pick.option("bias", True, False)
    # an axis of size 0 behind the channels: torch's gradient of weight is nan, a sum of nothing
    kind = pick.option("rest", "none", "line", "image", "1", "volume")
    rest = {"none": (), "1": (1,), "image": (2, 2), "volume": (2, 1, 2)}.get(kind)
    if rest is None:
        rest = (pick.size("length"),)
    batch = pick.option("batch", 3, 1, 2, 0, 4)
    if batch * channels // groups * prod(rest) == 1:
        batch = pick.instead("batch", 2, because="rest")
    return config, (pick.values("x", (batch, channels, *rest)),)
