"""Twins of the instance normalisations."""

from math import nan, prod
from typing import Any

import numpy as np
from torch import nn

from npnet.twins._planes import line
from npnet.twins.spec import Claim, Pick, accepts, refuses, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn


def _one(ask: Ask, x: Any, axes: int, **config: Any) -> Told:
    """Answers for one channel, and running statistics of 0 and 1 where there are some."""
    state: dict[str, Any] = {}
    if config.get("track_running_stats"):
        state = {"running_mean": [0.0], "running_var": [1.0], "num_batches_tracked": 3}
    return ask(line(x, axes), state=state, num_features=1, **config)


_PAIR = [[[0.0, 2.0]], [[4.0, 8.0]]]  # two samples: means 1 and 6, variances 1 and 4, or 2 and 8
_TRACKED: dict[str, Any] = {"momentum": 0.25, "track_running_stats": True}


def _claims(axes: int) -> tuple[Claim, ...]:
    """The conventions of the instance norm of so many axes."""
    return (
        Claim(
            "By default there is no weight and no bias, and the sample's statistics hold in "
            "evaluation too.",
            lambda ask: (
                same(
                    _one(ask, _PAIR, axes, eps=0.0, training=False).y,
                    line([[[-1.0, 1.0]]] * 2, axes),
                )
                and not _one(ask, _PAIR, axes).params
            ),
        ),
        Claim(
            "It normalises by the biased variance (÷ n), with eps inside of the root.",
            lambda ask: same(
                _one(ask, [[[0.0, 2.0]]], axes, eps=3.0).y, line([[[-0.5, 0.5]]], axes)
            ),
        ),
        Claim(
            "The running statistics follow the average over the samples, with the unbiased "
            "variance.",
            lambda ask: (
                same(_one(ask, _PAIR, axes, **_TRACKED).updates["running_mean"], [0.25 * 3.5])
                and same(
                    _one(ask, _PAIR, axes, **_TRACKED).updates["running_var"],
                    [0.75 * 1.0 + 0.25 * 5.0],
                )
            ),
        ),
        Claim(
            "With track_running_stats=True evaluation normalises by them, and its gradient does "
            "not go through any statistics.",
            lambda ask: (
                same(
                    _one(ask, _PAIR, axes, eps=3.0, track_running_stats=True, training=False).y,
                    line([[[0.0, 1.0]], [[2.0, 4.0]]], axes),
                )
                and same(
                    _one(ask, _PAIR, axes, eps=3.0, track_running_stats=True, training=False).dx,
                    line([[[0.5, 0.5]]] * 2, axes),
                )
            ),
        ),
        Claim(
            "momentum=None leaves the running statistics alone (BatchNorm averages then).",
            lambda ask: same(
                _one(ask, _PAIR, axes, momentum=None, track_running_stats=True).updates.get(
                    "running_mean", [0.0]
                ),
                [0.0],
            ),
        ),
        Claim(
            "num_batches_tracked is there, and never counted.",
            lambda ask: same(
                _one(ask, _PAIR, axes, track_running_stats=True).updates.get(
                    "num_batches_tracked", 3
                ),
                3,
            ),
        ),
        Claim(
            "One value per channel and sample is refused, however many samples there are.",
            lambda ask: refuses(lambda: _one(ask, [[[1.0]], [[2.0]]], axes)),
        ),
        Claim(
            "A batch of 0 makes the running statistics nan.",
            lambda ask: same(
                _one(ask, np.zeros((0, 1, 2)), axes, **_TRACKED).updates["running_var"], [nan]
            ),
        ),
    )


def _draw(pick: Pick, module: type[nn.Module], sizes: tuple[tuple[int, ...], ...]) -> Drawn:
    config: dict[str, Any] = {
        "num_features": pick.size("num_features"),
        "eps": pick.option("eps", 2.0**-17, 2.0**-10, 1.0),
        "momentum": pick.option("momentum", 0.125, 0.5, None, 1.0),
        "affine": pick.option("affine", True, False),
        "track_running_stats": pick.option("track_running_stats", True, False),
        "training": pick.option("training", True, True, False),
    }
    if accepts(module, "bias"):
        config["bias"] = pick.option("bias", True, False)
    rest = pick.option("sizes", *sizes)
    own = config["training"] or not config["track_running_stats"]
    if own and prod(rest) == 1:
        because = "training" if config["training"] else "track_running_stats"
        rest = pick.instead("sizes", sizes[0], because)
    batch = pick.option("batch", 2, None, 3, 1, 0)
    if batch == 0 and config["affine"]:
        batch = pick.instead("batch", 1, because="affine")  # torch raises an IndexError
    channels = pick.option("channels", "num_features", "others")
    for because in ("affine", "track_running_stats"):
        if config[because] and channels == "others":
            channels = pick.instead("channels", "num_features", because)
    C = config["num_features"] + (channels == "others")
    return config, (pick.values("x", (*(() if batch is None else (batch,)), C, *rest)),)


@spec(nn.InstanceNorm1d, positive={"running_var"}, claims=_claims(1))
def InstanceNorm1d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm1d, ((3,), (2,), (1,), (5,), (33,)))


@spec(nn.InstanceNorm2d, positive={"running_var"}, claims=_claims(2))
def InstanceNorm2d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm2d, ((2, 2), (1, 3), (1, 1), (3, 2)))


@spec(nn.InstanceNorm3d, positive={"running_var"}, claims=_claims(3))
def InstanceNorm3d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm3d, ((2, 1, 2), (1, 3, 1), (1, 1, 1), (2, 2, 2)))
