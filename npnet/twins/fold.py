"""Twins of Fold and Unfold."""

from math import prod
from typing import Any

from torch import nn

from npnet.twins.conv import images, pair
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.spec import Drawn


def _windows(pick: Pick) -> tuple[dict[str, Any], tuple[int, int], Any]:
    """The arguments that both have, the smallest image, and how many windows an image has."""
    config = {
        "kernel_size": pick.option("kernel_size", 2, (1, 3), 3, (3, 2), 1),
        "dilation": pick.option("dilation", 1, (1, 2), 2, (2, 1)),
        "padding": pick.option("padding", 0, 1, (1, 0), (0, 2), 2),
        "stride": pick.option("stride", 1, 2, (1, 2), (3, 1)),
    }
    k, d, p, s = (pair(v) for v in config.values())
    reach = [d[i] * (k[i] - 1) + 1 - 2 * p[i] for i in (0, 1)]

    def count(size: tuple[int, ...]) -> int:
        return prod((size[i] - reach[i]) // s[i] + 1 for i in (0, 1))

    return config, (max(1, reach[0]), max(1, reach[1])), count


@spec(
    nn.Unfold,
    exact=True,
    split=lambda example: example.arrays["input 0"].ndim == 5,
    claims=(
        Claim(
            "The rows are (channel, position in the window), the columns the windows, row by row.",
            lambda ask: same(
                ask([[[1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0]]], kernel_size=(1, 2)).y,
                [[1.0, 2.0], [2.0, 3.0], [10.0, 20.0], [20.0, 30.0]],
            ),
        ),
        Claim(
            "The windows run along the rows: the last axis of the image varies fastest.",
            lambda ask: same(
                ask([[[1.0, 2.0], [3.0, 4.0]]], kernel_size=1).y, [[1.0, 2.0, 3.0, 4.0]]
            ),
        ),
        Claim(
            "padding is zeros, and windows that do not fit are left out.",
            lambda ask: same(
                ask([[[1.0, 2.0, 3.0, 4.0]]], kernel_size=(1, 2), padding=(0, 1), stride=(1, 3)).y,
                [[0.0, 3.0], [1.0, 4.0]],
            ),
        ),
        Claim(
            "dilation is how far apart the elements of a window are.",
            lambda ask: same(
                ask([[[1.0, 2.0, 3.0, 4.0]]], kernel_size=(1, 2), dilation=2).y,
                [[1.0, 2.0], [3.0, 4.0]],
            ),
        ),
    ),
)
def Unfold(pick: Pick) -> Drawn:
    config, least, _ = _windows(pick)
    return config, (pick.values("x", images(pick, pick.size("channels"), least)),)


@spec(
    nn.Fold,
    exact=True,
    split=lambda example: example.arrays["input 0"].ndim == 4,
    claims=(
        Claim(
            "Windows that overlap add up: Fold does not undo Unfold.",
            lambda ask: same(
                ask([[1.0, 2.0], [2.0, 3.0]], output_size=(1, 3), kernel_size=(1, 2)).y,
                [[[1.0, 4.0, 3.0]]],
            ),
        ),
        Claim(
            "It takes the rows as (channel, position in the window): the channel varies slowest.",
            lambda ask: same(
                ask([[1.0], [2.0], [3.0], [4.0]], output_size=(1, 2), kernel_size=(1, 2)).y,
                [[[1.0, 2.0]], [[3.0, 4.0]]],
            ),
        ),
        Claim(
            "output_size is without the padding, and says how many windows there have to be.",
            lambda ask: (
                same(
                    ask(
                        [[1.0, 3.0], [2.0, 4.0]],
                        output_size=(1, 2),
                        kernel_size=(1, 2),
                        padding=(0, 1),
                        stride=(1, 2),
                    ).y,
                    [[[2.0, 3.0]]],
                )
                and refuses(
                    lambda: ask([[1.0, 2.0, 3.0]] * 2, output_size=(1, 3), kernel_size=(1, 2))
                )
            ),
        ),
    ),
)
def Fold(pick: Pick) -> Drawn:
    config, least, count = _windows(pick)
    *batch, channels, height, width = images(pick, pick.size("channels"), least)
    size: Any = (height, width)
    if pick.option("output_size is one number", False, True):
        size = max(size)
    rows = channels * prod(pair(config["kernel_size"]))
    shape = (*batch, rows, count(pair(size)))
    return {"output_size": size, **config}, (pick.values("x", shape),)
