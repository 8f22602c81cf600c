"""Twins of the batch normalisations."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, accepts, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

_CLAIMS = (
    Claim(
        "It normalises by the biased variance (÷ n), and keeps the unbiased one (÷ (n - 1)).",
        lambda ask: (
            same(_two(ask, eps=3.0).y, [[-0.5], [0.5]])
            and same(_two(ask, momentum=0.125).updates["running_var"], [0.875 * 1 + 0.125 * 2])
        ),
    ),
    Claim(
        "momentum is the share of the new batch: running ← (1 - momentum) running + momentum new.",
        lambda ask: same(_two(ask, momentum=0.25).updates["running_mean"], [0.25]),
    ),
    Claim(
        "eps is added to the variance, inside of the root.",
        lambda ask: same(_two(ask, eps=8.0).y, [[-1 / 3], [1 / 3]]),
    ),
    Claim(
        "With momentum=None the running statistics are the average over all batches so far.",
        lambda ask: same(_two(ask, momentum=None, seen=3).updates["running_mean"], [0.25]),
    ),
    Claim(
        "In evaluation the statistics are constants: no term of the gradient goes through them.",
        lambda ask: same(_two(ask, training=False, eps=0.0, dy=[[1.0], [5.0]]).dx, [[1.0], [5.0]]),
    ),
)


def _two(ask: Ask, dy: Any = None, seen: int = 0, **config: Any) -> Told:
    """Answers for one channel with the values 0 and 2, and running statistics of 0 and 1."""
    state: dict[str, Any] = {
        "weight": [1.0],
        "bias": [0.0],
        "running_mean": [0.0],
        "running_var": [1.0],
        "num_batches_tracked": seen,
    }
    return ask([[0.0], [2.0]], state=state, dy=dy, num_features=1, **config)


def _config(pick: Pick, module: type[nn.Module]) -> dict[str, Any]:
    config = {
        "num_features": pick.size("num_features"),
        "eps": pick.option("eps", 2.0**-17, 2.0**-10, 1.0),
        "momentum": pick.option("momentum", 0.125, None, 0.5, None, 1.0),
        "affine": pick.option("affine", True, False),
        "track_running_stats": pick.option("track_running_stats", True, False),
        "training": pick.option("training", True, True, False),
    }
    if accepts(module, "bias"):
        config["bias"] = pick.option("bias", True, False)
    return config


def _batch(pick: Pick, config: dict[str, Any], rest: tuple[int, ...]) -> int:
    """At least two values per channel where statistics are taken of the batch: torch asks that."""
    batch: int = pick.option("batch", 3, 2, 1, 4, 5, 0)
    own = config["training"] or not config["track_running_stats"]
    size = batch
    for n in rest:
        size *= n
    return batch + 1 if own and size == 1 else batch


def _batched(config: Config) -> bool:
    return config["momentum"] is not None  # torch reads the number of batches as a number then


@spec(nn.BatchNorm1d, positive={"running_var"}, batched=_batched, claims=_CLAIMS)
def BatchNorm1d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm1d)
    rest = pick.option("length", (), (3,), (1,), (2,))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)


@spec(nn.BatchNorm2d, positive={"running_var"}, batched=_batched)
def BatchNorm2d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm2d)
    rest = pick.option("image", (2, 2), (1, 1), (1, 3), (3, 2))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)


@spec(nn.BatchNorm3d, positive={"running_var"}, batched=_batched)
def BatchNorm3d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm3d)
    rest = pick.option("volume", (2, 1, 2), (1, 1, 1), (2, 2, 2), (1, 3, 1))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)
