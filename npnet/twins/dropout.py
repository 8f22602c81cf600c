"""Twins of dropout, by element and by channel."""

from math import prod
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.activation import anything
from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.case import Config
from npnet.verify.claim import Ask, Told
from npnet.verify.spec import Drawn

# with channels in number, so that masks of a candidate's own can be judged by their rate
_PAIR = ((2, 3), (33, 1), (1, 4), (0, 3), (3, 0), (17, 2))
_SEQUENCES = ((2, 3, 4), (1, 17, 2), (4, 1, 3), (0, 3, 2), (2, 2, 1), (3, 2, 0), (5, 33, 2))
_IMAGES = ((2, 3, 2, 2), (1, 17, 1, 3), (3, 1, 2, 1), (0, 2, 2, 2), (4, 33, 1, 2))
_VOLUMES = ((2, 3, 2, 1, 2), (1, 17, 1, 2, 2), (3, 1, 2, 2, 1), (0, 2, 1, 1, 2), (4, 33, 1, 2, 1))


def _draws(config: Config) -> bool:
    return True


def _batched(config: Config) -> bool:
    return False


def _config(pick: Pick) -> dict[str, Any]:
    return {
        "p": pick.option("p", 0.25, 0.875, 0.25, 0.5, 0.0, 0.875, 1.0),
        "inplace": False,
        "training": pick.option("training", True, True, False),
    }


def _channels(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    return shape[:axes] + (1,) * (len(shape) - axes)


def _alike(a: Any, axes: tuple[int, ...]) -> bool:
    """Whether the zeros of an array are the same all along these axes."""
    zero = np.asarray(a) == 0
    return bool((zero == zero.any(axes, keepdims=True)).all()) and 0 < zero.mean() < 1


def _ones(ask: Ask, *shape: int) -> Any:
    return ask(np.ones(shape), p=0.5, training=True).y


def _claims(*shape: int) -> tuple[Claim, ...]:
    """What holds of whatever drops to 0, asked of ones of a shape with many entries of a mask."""
    return (
        Claim(
            "Evaluation changes nothing: what training drops is made up for in training, by "
            "1 / (1 - p).",
            lambda ask: (
                same(ask(np.ones(shape), p=0.5, training=False).y, np.ones(shape))
                and set(np.unique(ask(np.ones(shape), p=0.75, training=True).y)) == {0.0, 4.0}
            ),
        ),
        *_mask_claims(*shape),
        Claim(
            "The gradient goes through the mask, and the factor, of the forward pass.",
            lambda ask: same(*_both(ask(np.ones(shape), p=0.25, training=True))),
        ),
        Claim(
            "With p=1 everything is 0, and the gradient too.",
            lambda ask: (
                same(ask(np.ones(shape), p=1.0, training=True).y, np.zeros(shape))
                and same(ask(np.ones(shape), p=1.0, training=True).dx, np.zeros(shape))
            ),
        ),
    )


def _mask_claims(*shape: int) -> tuple[Claim, ...]:
    return (
        Claim(
            "p is the share that is dropped, not the one that is kept, and lies in 0 … 1.",
            lambda ask: (
                0.75 < _share_of_least(ask(np.ones(shape), p=0.875, training=True).y) < 1
                and refuses(lambda: ask(np.ones(shape), p=1.5, training=True))
            ),
        ),
    )


def _both(told: Told) -> tuple[Any, Any]:
    return told.y, told.dx


def _share_of_least(y: Any) -> float:
    """Which share of the elements is the smallest there is."""
    return float((np.asarray(y) == np.min(y)).mean())


@spec(nn.Dropout, draws=_draws, batched=_batched, reads_mask=True, claims=_claims(20, 20))
def Dropout(pick: Pick) -> Drawn:
    return _config(pick), (anything(pick),)


@spec(
    nn.Dropout1d,
    draws=_draws,
    batched=_batched,
    reads_mask=lambda shape: _channels(shape, len(shape) - 1),
    claims=(
        *_claims(20, 20, 2),
        Claim(
            "A channel is dropped as a whole: (N, C, L) has a mask of (N, C, 1).",
            lambda ask: _alike(_ones(ask, 4, 5, 3), (2,)),
        ),
        Claim(
            "Two axes are channels and length, (C, L), without a batch.",
            lambda ask: _alike(_ones(ask, 20, 3), (1,)),
        ),
    ),
)
def Dropout1d(pick: Pick) -> Drawn:
    return _config(pick), (pick.values("x", pick.option("shape", *_SEQUENCES, *_PAIR)),)


@spec(
    nn.Dropout2d,
    draws=_draws,
    batched=_batched,
    reads_mask=lambda shape: _channels(shape, 2),
    claims=(
        *_claims(20, 20, 2, 1),
        Claim(
            "Three axes are (N, C, L), not (C, H, W): the mask is (N, C, 1).",
            lambda ask: (
                _alike(_ones(ask, 4, 5, 3), (2,)) and not _alike(_ones(ask, 4, 5, 3), (1, 2))
            ),
        ),
        Claim(
            "Four axes are (N, C, H, W), and a channel of one sample is dropped as a whole.",
            lambda ask: _alike(_ones(ask, 4, 5, 2, 3), (2, 3)),
        ),
    ),
)
def Dropout2d(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_IMAGES, *_SEQUENCES, *_PAIR[:2], _VOLUMES[0])
    return _config(pick), (pick.values("x", shape),)


@spec(
    nn.Dropout3d,
    draws=_draws,
    batched=_batched,
    reads_mask=lambda shape: _channels(shape, 2 if len(shape) == 5 else 1),
    claims=(
        *_claims(20, 20, 2, 1, 1),
        Claim(
            "Four axes are (C, D, H, W), without a batch: the mask is (C, 1, 1, 1).",
            lambda ask: _alike(_ones(ask, 20, 2, 2, 2), (1, 2, 3)),
        ),
        Claim(
            "Five axes are (N, C, D, H, W), and a channel of one sample is dropped as a whole.",
            lambda ask: _alike(_ones(ask, 4, 5, 2, 2, 2), (2, 3, 4)),
        ),
    ),
)
def Dropout3d(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_VOLUMES, *_IMAGES, _SEQUENCES[0], _PAIR[0], (3,))
    return _config(pick), (pick.values("x", shape),)


_SATURATION = 1.7580993408473766  # what SELU goes to far below 0


def _long(ask: Ask, *shape: int, p: float) -> Told:
    """Answers to numbers whose mean is 0 and whose variance is 1."""
    x = np.resize([1.0, -1.0], prod(shape)).reshape(shape)
    return ask(x, p=p, training=True)


def _levels(y: Any) -> list[float]:
    return sorted({round(float(v), 9) for v in np.unique(y)})


def _expected_levels(p: float) -> list[float]:
    """a x + b for x in {1, -1}, and a (-1.7581) + b where x was dropped."""
    a = 1 / np.sqrt((1 - p) * (1 + p * _SATURATION**2))
    b = a * p * _SATURATION
    return sorted(round(float(a * x + b), 9) for x in (1.0, -1.0, -_SATURATION))


_LEVELS = Claim(
    "What is dropped becomes what SELU makes of -inf, -1.7581, and then all of it goes through the "
    "affine map a x + b with a = 1/√((1 - p)(1 + p 1.7581²)) and b = 1.7581 a p.",
    lambda ask: _levels(_long(ask, 60, 3, p=0.25).y) == _expected_levels(0.25),
)


def _alpha_claims(*shape: int) -> tuple[Claim, ...]:
    return (
        Claim(
            "Evaluation changes nothing: there is no factor a, and no shift b.",
            lambda ask: same(ask(np.ones(shape), p=0.5, training=False).y, np.ones(shape)),
        ),
        *_mask_claims(*shape),
        Claim(
            "The gradient is a dy where x was kept, and 0 where it was dropped.",
            lambda ask: (
                _levels(ask(np.ones(shape), p=0.25, training=True).dx)
                == [0.0, round(1 / np.sqrt(0.75 * (1 + 0.25 * _SATURATION**2)), 9)]
            ),
        ),
        Claim(
            "With p=1 everything is 0, without the shift.",
            lambda ask: same(ask(np.ones(shape), p=1.0, training=True).y, np.zeros(shape)),
        ),
    )


@spec(
    nn.AlphaDropout,
    draws=_draws,
    batched=_batched,
    claims=(_LEVELS, *_alpha_claims(20, 20)),
)
def AlphaDropout(pick: Pick) -> Drawn:
    return _config(pick), (anything(pick),)


@spec(
    nn.FeatureAlphaDropout,
    draws=_draws,
    batched=_batched,
    claims=(
        _LEVELS,
        *_alpha_claims(20, 20, 2),
        Claim(
            "The first two axes are N and C whatever follows: (2, 3) has a mask of its own shape.",
            lambda ask: (
                len(_levels(ask(np.ones((1, 40)), p=0.5, training=True).y)) == 2
                and len(_levels(ask(np.ones((1, 1, 40)), p=0.5, training=True).y)) == 1
            ),
        ),
    ),
)
def FeatureAlphaDropout(pick: Pick) -> Drawn:
    shape = pick.option("shape", *_SEQUENCES, *_IMAGES, *_PAIR[:4], _VOLUMES[0])
    return _config(pick), (pick.values("x", shape),)
