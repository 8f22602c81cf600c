"""Twins of the batch normalisations."""

from typing import Any

from torch import nn

from npnet.twins.spec import Pick, accepts, spec
from npnet.verify.case import Config
from npnet.verify.spec import Drawn


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


@spec(nn.BatchNorm1d, positive={"running_var"}, batched=_batched)
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
