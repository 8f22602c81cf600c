"""torch's optimizers on bounded parameters: its own float32 steps stay within the bounds."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS

OPTIMIZERS: list[tuple[type[optim.Optimizer], dict[str, Any]]] = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.5}),
    (optim.SGD, {"momentum": 0.75, "nesterov": True, "maximize": True}),
    *(
        (kind, dict(betas=(0.875, 0.96875), eps=2.0**-20, **options))
        for kind in (optim.Adam, optim.AdamW)
        for options in ({}, {"amsgrad": True, "weight_decay": 0.5, "maximize": True})
    ),
    (optim.RMSprop, {"alpha": 0.875, "eps": 2.0**-20}),
    (optim.RMSprop, {"alpha": 0.875, "eps": 2.0**-20, "centered": True, "momentum": 0.5}),
    (optim.RMSprop, {"alpha": 0.875, "eps": 2.0**-20, "weight_decay": 0.5, "maximize": True}),
]
Array = np.ndarray


def steps(kind: Any, options: dict[str, Any], start: Array, grads: Array, wrap: Any) -> list[Any]:
    parameter = nn.Parameter(wrap(start.copy()))
    optimizer = kind([parameter], lr=0.25, foreach=False, **options)
    seen = []
    for g in grads:
        parameter.grad = wrap(g.copy())
        optimizer.step()
        seen.append(parameter.detach().clone())
    return seen


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS, ids=str)
def test_its_float32_steps_are_within_the_bounds(kind: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(6)
    nearest = 0.0
    for _ in range(5):
        start = rng.standard_normal((3, 4)).astype(np.float32).astype(np.float64)
        grads = (rng.standard_normal((4, 3, 4)) * 10.0 ** rng.uniform(-3, 3, (3, 4))).astype(
            np.float32
        )
        if options.get("centered"):
            # Σg²/n - (Σg/n)² cancels where the gradients differ little: allow some room
            grads = grads * rng.choice([-1, 1], grads.shape).astype(np.float32)
        with using(Setting(PRECISIONS["float32"])) as setting:
            ours = steps(
                kind, options, start, grads.astype(np.float64), lambda a: Bounded(torch.tensor(a))
            )
        assert not setting.fallbacks
        exact = steps(kind, options, start, grads.astype(np.float64), torch.tensor)
        theirs = steps(kind, options, start.astype(np.float32), grads, torch.tensor)
        for y, want, got in zip(ours, exact, theirs, strict=True):
            error = error_of(y)
            assert not error.isnan().any()
            assert ((y.value - want).abs() <= 1e-6 * error).all()
            off = (y.value - got.double()).abs()
            assert (off <= error).all()
            nearest = max(nearest, float((off / error).max()))
    assert nearest > 1 / 16
