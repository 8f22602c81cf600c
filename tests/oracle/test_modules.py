"""Whole twins, forward and backward: within the bounds, the same in a batch, no fallbacks."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS
from tests.oracle.passes import TWINS, Twin, bounded, drawn, run

twins = pytest.mark.parametrize("twin", TWINS, ids=lambda t: t.name)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # dropout=… with one layer, padding="same" with even kernels
        yield


def in_float32(a: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(a, np.float32))


def in_float64(a: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(a))


@twins
def test_values_are_torchs_and_its_float32_is_within_the_bounds(twin: Twin) -> None:
    rng = np.random.default_rng(3)
    for scale in twin.scales:
        data = drawn(twin, rng, np.float32, scale)
        with using(Setting(PRECISIONS["float32"], rng=np.random.default_rng(7))) as setting:
            ours = run(twin, data, bounded)
        assert not setting.fallbacks
        if "Dropout" in twin.name or "all" in twin.name:
            return  # plain torch draws its own masks
        exact, theirs = run(twin, data, in_float64), run(twin, data, in_float32)
        for y, want, got in zip(ours, exact, theirs, strict=True):
            assert (y is None) == (got is None)
            if not isinstance(y, Bounded):
                assert y is None or torch.equal(y, got)
                continue
            error = error_of(y)
            finite = y.value.isfinite()
            assert torch.equal(finite, got.isfinite())
            assert ((error >= 0) & ~error.isnan())[finite].all()
            assert ((y.value - want).abs() <= 1e-6 * error + 1e-300)[finite].all()
            assert ((y.value - got.double()).abs() <= error)[finite].all()


@pytest.mark.parametrize("twin", [t for t in TWINS if not t.loops], ids=lambda t: t.name)
def test_a_batch_has_the_values_and_bounds_of_its_members(twin: Twin) -> None:
    data = drawn(twin, np.random.default_rng(4), np.float64)
    with using(Setting()) as setting:
        alone = run(twin, data, bounded)
        together = run(twin, data, bounded, batch=3)
    assert not setting.fallbacks
    for one, all_ in zip(alone, together, strict=True):
        assert (one is None) == (all_ is None)
        if not isinstance(one, Bounded):
            continue
        error, errors = error_of(one), error_of(all_)
        finite = one.value.isfinite()
        for value, bound in zip(all_.value, errors, strict=True):
            assert value.shape == one.value.shape
            off = (value - one.value).abs()
            assert (off <= error)[finite].all()
            ratio = (bound / error)[(error > 0) & finite]
            assert (ratio <= twin.like).all(), ratio.max()
            assert (ratio >= 1 / twin.like).all(), ratio.min()


@pytest.mark.parametrize("name", ["Linear (5, 3)", "LayerNorm (5, 4)", "LSTM "])
def test_a_pass_watches_the_largest_magnitude(name: str) -> None:
    twin = next(t for t in TWINS if t.name == name)
    with using(Setting(watching=True)) as setting:
        found = run(twin, drawn(twin, np.random.default_rng(4), np.float64), bounded)
    assert setting.largest >= max(float(y.value.abs().max()) for y in found if y is not None) * 0.99


def test_masks_come_from_the_generator_in_the_order_asked() -> None:
    twin = next(t for t in TWINS if t.name == "Dropout 0.25")
    data = drawn(twin, np.random.default_rng(4), np.float64)
    with using(Setting(rng=np.random.default_rng(11))):
        y, dx = run(twin, data, bounded)
    mask = np.random.default_rng(11).random((4, 3)) >= 0.25
    (x,) = data.inputs
    np.testing.assert_allclose(y.value, x * mask / 0.75, rtol=1e-15)
    np.testing.assert_allclose(dx.value, data.cotangents[0] * mask / 0.75, rtol=1e-15)
    assert (error_of(y) <= 4 * 2.0**-53 * y.value.abs() + 1e-300).all()
