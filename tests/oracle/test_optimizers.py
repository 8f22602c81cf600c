"""torch's optimizers on bounded parameters: its own float32 steps stay within the bounds."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim

import npnet.optim
import npnet.twins.oracle.rules
from npnet.twins import SPECS
from npnet.twins.oracle import stepping
from npnet.twins.oracle.bounded import Bounded, Setting, Undecided, error_of, using
from npnet.verify.case import Example
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
    *(
        (kind, dict(betas=(0.875, 0.96875), eps=2.0**-20, **options))
        for kind in (optim.NAdam, optim.RAdam, optim.Adamax)
        for options in ({}, {"weight_decay": 0.5, "maximize": True})
    ),
    (optim.Adagrad, {"lr_decay": 0.5, "eps": 2.0**-20, "initial_accumulator_value": 0.25}),
    (optim.Adadelta, {"rho": 0.875, "eps": 2.0**-20, "weight_decay": 0.5}),
    (optim.Rprop, {"etas": (0.5, 1.25), "step_sizes": (2.0**-10, 2.0)}),
    (optim.ASGD, {"lambd": 0.125, "t0": 1.0, "weight_decay": 0.5}),
    (optim.Adafactor, {"eps": (2.0**-20, 2.0**-10), "weight_decay": 0.5}),
    (optim.Adafactor, {"eps": (2.0**-20, 2.0**-10), "d": 1.5, "maximize": True}),
]
BOUNDED = {
    kind: getattr(stepping, kind.__name__)
    for kind in (optim.NAdam, optim.Rprop, optim.ASGD, optim.Adafactor)
}
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
                BOUNDED.get(kind, kind),
                options,
                start,
                grads.astype(np.float64),
                lambda a: Bounded(torch.tensor(a)),
            )
        assert not setting.fallbacks
        exact = steps(kind, options, start, grads.astype(np.float64), torch.tensor)
        theirs = steps(kind, options, start.astype(np.float32), grads, torch.tensor)
        for y, want, got in zip(ours, exact, theirs, strict=True):
            error = error_of(y)
            assert not error.isnan().any()
            # numbers that torch keeps as float32 are exact among bounded tensors
            apart = 1.0 if kind in (optim.NAdam, optim.ASGD) else 1e-6
            assert ((y.value - want).abs() <= apart * error).all()
            off = (y.value - got.double()).abs()
            assert (off <= error).all()
            nearest = max(nearest, float((off / error).max()))
    assert nearest > 1 / 16


def bounded(value: Any, error: Any) -> Bounded:
    return Bounded(torch.tensor(value, dtype=torch.float64), torch.tensor(error).double())


def test_a_branch_in_doubt_is_undecided_and_any_other_is_taken() -> None:
    near, far = bounded(1.0, 1e-3), bounded(2.0, 1e-3)
    with using(Setting(PRECISIONS["float32"], strict=True)):
        assert bool(far > 1.0)
        assert bool(near == near)  # the same number, however inexact
        with pytest.raises(Undecided):
            bool(near > 1.0)
    with using(Setting(PRECISIONS["float32"])):
        assert not bool(near > 1.0)


def test_a_bounded_factor_keeps_its_error_when_something_is_added_in_place() -> None:
    with using(Setting(PRECISIONS["float64"])):
        x = bounded([1.0, 2.0], [0.0, 0.0])
        x.add_(bounded([1.0, 1.0], [0.0, 0.0]), alpha=bounded(3.0, 0.5))
    assert x.value.tolist() == [4.0, 5.0]
    assert (error_of(x) >= 0.5).all()


def test_rounding_to_bfloat16_is_off_where_a_boundary_is_near() -> None:
    k = PRECISIONS["float32"].k
    step = 2.0**-7  # of bfloat16 from 1 on
    values = [1.0, 1 + step / 2 - 1e-5, 1 + step / 2 + 1e-5, 1 + step / 4]
    with using(Setting(PRECISIONS["float32"])):
        rounded = stepping.bfloat16(bounded(values, [1e-5 / 2] * 4))
    assert rounded.value.tolist() == [1.0, 1.0, 1 + step, 1.0]
    assert (error_of(rounded) * k).tolist() == [0.0, step, step, 0.0]


@pytest.mark.parametrize("shape", [(2, 3), (5, 2), (8, 8)])
def test_muon_in_bfloat16_and_exact_are_within_the_bound(shape: tuple[int, int]) -> None:
    muon = pytest.importorskip("torch.optim._muon")
    group = {"ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5, "eps": 2.0**-23}
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = torch.tensor(rng.standard_normal(shape))
        with using(Setting(PRECISIONS["float64"])):
            ours = stepping._orthogonalized(Bounded(x), group)
            exact = stepping._newton_schulz(Bounded(x), group, lambda y: y)
        theirs = muon._zeropower_via_newtonschulz(x, group["ns_coefficients"], 5, 2.0**-23)
        allowed = PRECISIONS["float64"].k * error_of(ours)
        assert ((ours.value - theirs.double()).abs() <= allowed).all()
        assert ((ours.value - exact.value).abs() <= allowed).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted({kind.__name__ for kind, _ in OPTIMIZERS} | {"Muon"}))
def test_a_parameter_that_gets_no_gradient_leaves_the_bounds_finite(name, dtype):
    """As behind a ReLU that is never on, with the hyper-parameters that everybody uses."""
    own = getattr(npnet.optim, name)()
    config = {f.name: getattr(own, f.name) for f in fields(own)}
    arrays = {"param w": np.ones((1, 2, 2))}
    arrays |= {f"grad {k} w": np.array([[[0.0, 1.0], [0.5, 0.0]]]) for k in range(1, 7)}
    kwargs = {"lr": (config["lr"],) * 6, "restart": None}
    example = Example(f"optim.{name}", config, arrays, 1, ("normal",), 0, (), kwargs)

    answer = SPECS[f"optim.{name}"].answer(example, PRECISIONS[dtype], single=True)

    assert np.isfinite(answer.largest)
    assert all(e.error is None or np.isfinite(e.error).all() for e in answer.expected.values())
