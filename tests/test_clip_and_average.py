"""Gradient clipping and averages of parameters, beside torch's own."""

import math

import numpy as np
import pytest
import torch
from torch.optim import swa_utils

from npnet import optim
from npnet.contract import ConfigError

U = 2.0**-53
SHAPES = {"a": (3, 4), "b": (5,), "c": (), "d": (0,)}


def drawn(seed, scale=1.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {n: np.asarray(scale * rng.standard_normal(s)).astype(dtype) for n, s in SHAPES.items()}


def parameters(arrays):
    found = {
        n: torch.nn.Parameter(torch.zeros(a.shape, dtype=torch.float64)) for n, a in arrays.items()
    }
    for n, p in found.items():
        p.grad = torch.from_numpy(arrays[n].copy())
    return found


def near(a, b, roundings):
    """Equal but for so many roundings of float64."""
    with np.errstate(invalid="ignore"):
        off = np.abs(np.asarray(a) - np.asarray(b)) <= roundings * U * np.abs(b)
    return bool((off | (np.asarray(a) == b) | (np.isnan(a) & np.isnan(b))).all())


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_clipping_by_norm_is_torchs(norm_type, max_norm, scale):
    grads = drawn(3, scale) | {"e": None}
    if math.isinf(norm_type):
        del grads["d"]  # of an empty tensor torch has no largest element
    mine, norm = optim.clip_grad_norm(grads, max_norm, norm_type)
    theirs = parameters({n: g for n, g in grads.items() if g is not None})
    want = torch.nn.utils.clip_grad_norm_(theirs.values(), max_norm, norm_type)

    assert mine["e"] is None
    assert near(norm, want.item(), 64)
    for name, p in theirs.items():
        assert near(mine[name], p.grad.numpy(), 64), name


def test_what_is_clipped_ends_below_max_norm():
    mine, norm = optim.clip_grad_norm({"a": np.array([3.0, 4.0])}, 1.0)

    assert norm == 5.0
    assert near(mine["a"], np.array([3.0, 4.0]) / 5.000001, 4)


def test_clipping_keeps_the_dtype_and_its_argument():
    grads = drawn(1, dtype=np.float32)
    before = {n: g.copy() for n, g in grads.items()}
    mine, _ = optim.clip_grad_norm(grads, 0.25)
    values = optim.clip_grad_value(grads, 0.25)

    assert {g.dtype for g in [*mine.values(), *values.values()]} == {np.dtype(np.float32)}
    assert all(np.array_equal(grads[n], before[n]) for n in grads)


def test_a_norm_that_is_not_finite():
    grads = {"a": np.array([1.0, np.inf])}
    mine, norm = optim.clip_grad_norm(grads, 1.0)

    assert norm == np.inf
    assert np.array_equal(mine["a"], [0.0, np.nan], equal_nan=True)
    with pytest.raises(ConfigError, match="finite norm"):
        optim.clip_grad_norm(grads, 1.0, error_if_nonfinite=True)
    assert optim.clip_grad_norm({"a": None}, 1.0) == ({"a": None}, 0.0)


def test_clipping_by_value_is_torchs():
    grads = drawn(3) | {"e": None}
    mine = optim.clip_grad_value(grads, 0.75)
    theirs = parameters({n: g for n, g in grads.items() if g is not None})
    torch.nn.utils.clip_grad_value_(theirs.values(), 0.75)

    assert mine["e"] is None
    assert all(np.array_equal(mine[n], p.grad.numpy()) for n, p in theirs.items())


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3).double()


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0.75, 1.0])
def test_averages_are_torchs(use_buffers, decay):
    theirs = Network()
    fn = None if decay is None else swa_utils.get_ema_avg_fn(decay)
    want = swa_utils.AveragedModel(theirs, avg_fn=fn, use_buffers=use_buffers)
    ours = optim.AveragedModel(None if decay is None else optim.get_ema_avg_fn(decay), use_buffers)
    rng, state = np.random.default_rng(0), None
    for step in range(6):
        with torch.no_grad():
            for t in theirs.state_dict().values():
                t.copy_(torch.from_numpy(np.asarray(7 * step + 2 * rng.standard_normal(t.shape))))
        arrays = {n: t.numpy().copy() for n, t in theirs.state_dict().items()}
        params = {n: a for n, a in arrays.items() if n.endswith(("weight", "bias"))}
        buffers = {n: a for n, a in arrays.items() if n not in params}
        state = ours.init(params, buffers) if state is None else state
        state = ours.update(params, state, buffers)
        want.update_parameters(theirs)
        for name, t in want.module.state_dict().items():
            mine = {**state.params, **state.buffers}[name]
            assert mine.dtype == t.numpy().dtype
            assert near(mine, t.numpy(), 16), (step, name)
    assert state.n_averaged == int(want.n_averaged) == 6


def test_a_decay_is_a_share():
    with pytest.raises(ConfigError, match="0 <= decay <= 1"):
        optim.get_ema_avg_fn(1.5)
