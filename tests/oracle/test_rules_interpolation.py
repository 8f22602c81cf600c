"""Interpolation, adaptive means and GroupNorm: torch's own low precisions lie within the bounds."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS
from tests.alternatives.upsample import _apply, _matrix

GRIDS = [
    ("nearest", None, (5,), {"size": (7,)}),
    ("nearest", None, (3, 4), {"size": (7, 2)}),
    ("nearest", None, (2, 3, 2), {"scale_factor": (1.5, 2.0, 3.0)}),
    ("nearest-exact", None, (5,), {"scale_factor": (1.3,)}),
    ("nearest-exact", None, (3, 4), {"size": (7, 2)}),
    ("nearest-exact", None, (2, 3, 2), {"size": (1, 5, 3)}),
    ("linear", False, (5,), {"scale_factor": (1.3,)}),
    ("linear", True, (33,), {"size": (66,)}),
    ("bilinear", False, (3, 4), {"size": (7, 2)}),
    ("bilinear", True, (3, 4), {"size": (7, 1)}),
    ("bicubic", False, (3, 4), {"scale_factor": (2.5, 1.3)}),
    ("bicubic", True, (5, 4), {"size": (7, 3)}),
    ("trilinear", False, (2, 3, 4), {"scale_factor": (1.5, 1.25, 2.0)}),
    ("area", None, (5,), {"size": (3,)}),
    ("area", None, (3, 4), {"size": (7, 3)}),
    ("area", None, (2, 3, 5), {"size": (3, 2, 2)}),
]
grids = pytest.mark.parametrize(("mode", "align", "old", "how"), GRIDS, ids=str)
low = pytest.mark.parametrize("dtype", [np.float32, np.float16])


def both_ways(mode: str, align: Any, how: Any, x: Any, dy: Any) -> tuple[Any, Any]:
    x = x.requires_grad_()
    y = F.interpolate(x, mode=mode, align_corners=align, **how)
    return y.detach(), torch.autograd.grad(y, x, dy)[0]


def bounds(dtype: Any, mode: str, align: Any, how: Any, x: Any, dy: Any) -> list[Any]:
    setting = Setting(PRECISIONS[np.dtype(dtype).name])
    with using(setting):
        pairs = both_ways(
            mode, align, how, *(Bounded(torch.tensor(a, dtype=torch.float64)) for a in (x, dy))
        )
    assert not setting.fallbacks
    return [(p.value.detach().numpy(), error_of(p).detach().numpy()) for p in pairs]


def arrays(old: Any, new: Any, dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    shapes = (2, 3, *old), (2, 3, *new)
    return tuple(
        (rng.standard_normal(s) * 2.0 ** rng.integers(-4, 5, s)).astype(dtype) for s in shapes
    )


def new_sizes(old: Any, how: Any) -> Any:
    return how.get("size") or tuple(
        int(n * s) for n, s in zip(old, how["scale_factor"], strict=True)
    )


@low
@grids
def test_torch_in_a_low_precision_is_within_the_bound(mode, align, old, how, dtype):
    x, dy = arrays(old, new_sizes(old, how), dtype)
    want = bounds(dtype, mode, align, how, x, dy)
    got = both_ways(mode, align, how, torch.tensor(x), torch.tensor(dy))
    for (value, error), a in zip(want, got, strict=True):
        assert (abs(value - a.numpy().astype(np.float64)) <= error).all()


@low
@grids
def test_weights_in_a_low_precision_are_within_the_bound(mode, align, old, how, dtype):
    new = new_sizes(old, how)
    x, dy = arrays(old, new, dtype)
    want = bounds(dtype, mode, align, how, x, dy)
    scales = how.get("scale_factor", (None,) * len(old))
    matrices = [
        _matrix(mode, bool(align), n, m, s, np.dtype(dtype))
        for n, m, s in zip(old, new, scales, strict=True)
    ]
    got = _apply(x, matrices), _apply(dy, [w.T for w in matrices])
    for (value, error), a in zip(want, got, strict=True):
        assert a.dtype == dtype
        assert (abs(value - a.astype(np.float64)) <= error).all()


@grids
def test_the_bound_is_not_slack(mode, align, old, how):
    """It is some hundred roundings of the largest input, and none where elements only move."""
    x, dy = arrays(old, new_sizes(old, how), np.float32)
    (value, error), _ = bounds(np.float32, mode, align, how, x, dy)
    if mode.startswith("nearest"):
        assert not error.any()
    limit = 1000 * PRECISIONS["float32"].u * abs(x).max()
    assert np.median(error) <= limit
    assert np.median(error / np.maximum(abs(value), 1e-3)) < 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 4), (1, 6, 2, 3), (2, 2, 64)])
@pytest.mark.parametrize("offset", [0.0, 8.0])
def test_group_norm_of_torch_is_within_the_bound(shape, dtype, offset):
    rng = np.random.default_rng(4)
    C = shape[1]
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    x = (x + offset).astype(dtype)
    w, b = (rng.standard_normal(C).astype(dtype) for _ in range(2))

    def passes(*tensors: Any) -> Any:
        x, w, b = (t.requires_grad_() for t in tensors[:3])
        y = F.group_norm(x, 2, w, b, 2.0**-10)
        return y.detach(), *torch.autograd.grad(y, [x, w, b], tensors[3])

    setting = Setting(PRECISIONS[np.dtype(dtype).name])
    with using(setting):
        pairs = passes(*(Bounded(torch.tensor(a, dtype=torch.float64)) for a in (x, w, b, dy)))
    got = passes(*(torch.tensor(a) for a in (x, w, b, dy)))
    assert not setting.fallbacks
    for p, a in zip(pairs, got, strict=True):
        off = abs(p.value.detach().numpy() - a.numpy().astype(np.float64))
        assert (off <= setting.precision.k * error_of(p).detach().numpy()).all()
