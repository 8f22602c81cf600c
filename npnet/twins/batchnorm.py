"""Twins of the batch normalisations."""

from typing import Any

import numpy as np
from torch import nn

from npnet.twins.spec import Claim, Pick, accepts, refuses, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn


def _claims(axes: int) -> tuple[Claim, ...]:
    def two(ask: Ask, x: Any = (0.0, 2.0), **asked: Any) -> Told:
        return _two(ask, axes, x, **asked)

    return (
        Claim(
            "It normalises by the biased variance (÷ n), and keeps the unbiased one (÷ (n - 1)).",
            lambda ask: (
                same(two(ask, eps=3.0).y.ravel(), [-0.5, 0.5])
                and same(two(ask, momentum=0.125).updates["running_var"], [0.875 * 1 + 0.125 * 2])
            ),
        ),
        Claim(
            "momentum is the share of the new batch, running ← (1 - momentum) running + momentum "
            "new, where that of Keras is the share of the old.",
            lambda ask: same(two(ask, momentum=0.25).updates["running_mean"], [0.25]),
        ),
        Claim(
            "eps is added to the variance, inside of the root; by default 1e-5, Keras has 1e-3.",
            lambda ask: (
                same(two(ask, eps=8.0).y.ravel(), [-1 / 3, 1 / 3])
                and same(two(ask, [0.0, 2e-3]).y.ravel(), [-1e-3 / 11e-6**0.5, 1e-3 / 11e-6**0.5])
            ),
        ),
        Claim(
            "E and Var are taken over every axis but the second one, that of the channels.",
            lambda ask: same(
                ask(
                    np.reshape([0.0, 2.0, 5.0, 9.0], (1, 2, *(1,) * (axes - 1), 2)),
                    state=_state(channels=2),
                    eps=2.0**-60,
                    num_features=2,
                ).y.ravel(),
                [-1.0, 1.0, -1.0, 1.0],
            ),
        ),
        Claim(
            "With momentum=None the running statistics are the average over all batches so far.",
            lambda ask: same(two(ask, momentum=None, seen=3).updates["running_mean"], [0.25]),
        ),
        Claim(
            "num_batches_tracked belongs to the state, and counts the batches of training.",
            lambda ask: int(two(ask, seen=3).updates["num_batches_tracked"]) == 4,
        ),
        Claim(
            "In evaluation the statistics are constants: no term of the gradient goes through "
            "them.",
            lambda ask: same(
                two(ask, training=False, eps=0.0, dy=[1.0, 5.0]).dx.ravel(), [1.0, 5.0]
            ),
        ),
        Claim(
            "track_running_stats=False: evaluation takes the batch's statistics, as training does.",
            lambda ask: same(
                two(ask, eps=3.0, training=False, track_running_stats=False).y.ravel(), [-0.5, 0.5]
            ),
        ),
        Claim(
            "One value per channel raises an error in training; in evaluation it does not.",
            lambda ask: (
                refuses(lambda: two(ask, [2.0]))
                and same(two(ask, [2.0], training=False, eps=3.0).y.ravel(), [1.0])
            ),
        ),
        Claim(
            "An empty batch is counted, and leaves the running statistics alone.",
            lambda ask: (
                same(two(ask, []).updates.get("running_var", [1.0]), [1.0])
                and int(two(ask, []).updates["num_batches_tracked"]) == 1
            ),
        ),
    )


def _state(channels: int = 1, seen: int = 0, track: bool = True) -> dict[str, Any]:
    state: dict[str, Any] = {"weight": [1.0] * channels, "bias": [0.0] * channels}
    if track:
        state |= {"running_mean": [0.0] * channels, "running_var": [1.0] * channels}
        state["num_batches_tracked"] = seen
    return state


def _two(ask: Ask, axes: int, x: Any, dy: Any = None, seen: int = 0, **config: Any) -> Told:
    """Answers for one channel with one value a sample, and running statistics of 0 and 1."""
    shape = (len(x), 1, *(1,) * axes)
    state = _state(seen=seen, track=config.get("track_running_stats", True))
    dy = None if dy is None else np.reshape(dy, shape)
    return ask(np.reshape(x, shape), state=state, dy=dy, num_features=1, **config)


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


@spec(nn.BatchNorm1d, positive={"running_var"}, batched=_batched, claims=_claims(1))
def BatchNorm1d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm1d)
    rest = pick.option("length", (), (3,), (1,), (2,))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)


@spec(nn.BatchNorm2d, positive={"running_var"}, batched=_batched, claims=_claims(2))
def BatchNorm2d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm2d)
    rest = pick.option("image", (2, 2), (1, 1), (1, 3), (3, 2))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)


@spec(nn.BatchNorm3d, positive={"running_var"}, batched=_batched, claims=_claims(3))
def BatchNorm3d(pick: Pick) -> Drawn:
    config = _config(pick, nn.BatchNorm3d)
    rest = pick.option("volume", (2, 1, 2), (1, 1, 1), (2, 2, 2), (1, 3, 1))
    shape = (_batch(pick, config, rest), config["num_features"], *rest)
    return config, (pick.values("x", shape),)
