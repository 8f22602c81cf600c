"""Twins of the instance normalisations."""

from math import prod
from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, accepts, same, spec
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn


def _two(ask: Ask, x: Any, **config: Any) -> Told:
    """Answers for one channel, and running statistics of 0 and 1 where there are some."""
    state: dict[str, Any] = {}
    if config.get("track_running_stats"):
        state = {"running_mean": [0.0], "running_var": [1.0], "num_batches_tracked": 3}
    return ask(x, state=state, num_features=1, **config)


_PAIR = [[[0.0, 2.0]], [[4.0, 8.0]]]  # two samples: means 1 and 6, variances 1 and 4, or 2 and 8

_CLAIMS = (
    Claim(
        "By default there is no weight and no bias, and the sample's statistics hold in "
        "evaluation too.",
        lambda ask: same(_two(ask, _PAIR, eps=0.0, training=False).y, [[[-1.0, 1.0]]] * 2),
    ),
    Claim(
        "The running statistics follow the average over the samples, with the unbiased variance.",
        lambda ask: (
            same(
                _two(ask, _PAIR, momentum=0.5, track_running_stats=True).updates["running_mean"],
                [0.5 * 3.5],
            )
            and same(
                _two(ask, _PAIR, momentum=0.5, track_running_stats=True).updates["running_var"],
                [0.5 * 1.0 + 0.5 * 5.0],
            )
        ),
    ),
    Claim(
        "momentum=None leaves the running statistics alone (BatchNorm averages then).",
        lambda ask: same(
            _two(ask, _PAIR, momentum=None, track_running_stats=True).updates.get(
                "running_mean", [0.0]
            ),
            [0.0],
        ),
    ),
    Claim(
        "num_batches_tracked is there, and never counted.",
        lambda ask: same(
            _two(ask, _PAIR, track_running_stats=True).updates.get("num_batches_tracked", 3), 3
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


@spec(nn.InstanceNorm1d, positive={"running_var"}, claims=_CLAIMS)
def InstanceNorm1d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm1d, ((3,), (2,), (1,), (5,), (33,)))


@spec(nn.InstanceNorm2d, positive={"running_var"})
def InstanceNorm2d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm2d, ((2, 2), (1, 3), (1, 1), (3, 2)))


@spec(nn.InstanceNorm3d, positive={"running_var"})
def InstanceNorm3d(pick: Pick) -> Drawn:
    return _draw(pick, nn.InstanceNorm3d, ((2, 1, 2), (1, 3, 1), (1, 1, 1), (2, 2, 2)))
