"""Rules of pooling and of powers: maxima in doubt, means, zeros, poles; what torch draws."""

import numpy as np
import pytest
import torch
from torch import nn

import npnet.twins.oracle.rules  # noqa: F401
from npnet.nn.fractional_pool import starts
from npnet.twins import SPECS
from npnet.twins.oracle import Uniform
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.coverage import Coverage
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings
from npnet.verify.targets import native
from npnet.verify.trial import Trial

aten = torch.ops.aten
SAMPLES = torch.tensor([[[0.3, 0.8, 0.1], [0.6, 0.2, 0.9]]], dtype=torch.float64)

MAXIMA = {
    "max_pool3d": (nn.MaxPool3d(2, stride=1), (2, 3, 2, 4)),
    "max_pool3d, padded and dilated": (nn.MaxPool3d(2, 1, 1, 2), (2, 3, 3, 3)),
    "adaptive_max_pool1d": (nn.AdaptiveMaxPool1d(3), (2, 5)),
    "adaptive_max_pool2d": (nn.AdaptiveMaxPool2d((2, 5)), (2, 3, 4)),
    "adaptive_max_pool3d": (nn.AdaptiveMaxPool3d(2), (2, 3, 2, 5)),
    "fractional_max_pool2d": (
        nn.FractionalMaxPool2d(2, 3, _random_samples=SAMPLES[..., :2]), (2, 5, 6),
    ),
    "fractional_max_pool3d": (nn.FractionalMaxPool3d(1, 2, _random_samples=SAMPLES), (2, 3, 4, 3)),
    "max_unpool2d": (
        lambda x: nn.MaxUnpool2d(2)(x, torch.tensor([[[0, 5], [10, 15]]])), (1, 2, 2),
    ),
}  # fmt: skip


def both(module, x, dy=None):
    y = module(x)
    if dy is None:
        dy = torch.from_numpy(np.random.default_rng(1).standard_normal(tuple(y.shape)))
        dy = Bounded(dy) if type(x) is Bounded else dy
    return y, torch.autograd.grad(y, x, dy)[0]


@pytest.mark.parametrize("name", MAXIMA)
def test_whatever_the_errors_allow_is_within_the_bound_of_a_maximum_and_its_gradient(name):
    module, shape = MAXIMA[name]
    rng = np.random.default_rng(0)
    for _ in range(10):
        value = rng.integers(-2, 3, shape) + 1e-3 * rng.standard_normal(shape)
        error = 10.0 ** rng.uniform(-4, -2, shape)
        x = Bounded(torch.from_numpy(value), torch.from_numpy(error)).requires_grad_()
        with using(Setting(PRECISIONS["float64"])):
            ours = both(module, x)
        for _ in range(20):
            moved = torch.from_numpy(value + error * rng.uniform(-0.999, 0.999, shape))
            for mine, theirs in zip(ours, both(module, moved.requires_grad_()), strict=True):
                off = (mine.value - theirs).abs().detach()
                assert (off <= error_of(mine) * (1 + 1e-9)).all()


def test_a_decided_maximum_inherits_the_error_of_its_element_alone():
    x = Bounded(
        torch.tensor([[[1.0, 50.0, 2.0]]]).double(), torch.tensor([[[0.5, 0.125, 0.5]]]).double()
    )
    y = aten.adaptive_max_pool2d(x, [1, 1])[0]

    assert y.value.item() == 50.0
    assert y.error.item() == 0.125


def sums(x, out):
    """Adaptive means, one axis by the other, from the last window to the first."""
    for axis, o in enumerate(out, start=-len(out)):
        n = x.shape[axis]
        windows = [(p * n // o, -(-(p + 1) * n // o)) for p in range(o)]
        parts = [
            np.flip(x.take(range(a, b), axis), axis).cumsum(axis).take(-1, axis) for a, b in windows
        ]
        counts = np.array([b - a for a, b in windows], x.dtype)
        x = np.stack(parts, axis) / counts.reshape(-1, *(1,) * (-1 - axis))
    return x


MEANS = {
    "1": (nn.AdaptiveAvgPool1d(3), (3,), (2, 7)),
    "2": (nn.AdaptiveAvgPool2d((2, 3)), (2, 3), (2, 5, 4)),
    "3": (nn.AdaptiveAvgPool3d((2, 1, 4)), (2, 1, 4), (1, 3, 4, 3)),
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("axes", MEANS)
def test_an_adaptive_mean_in_a_low_precision_is_within_the_bound(axes, dtype):
    module, out, shape = MEANS[axes]
    rng = np.random.default_rng(0)
    nearest = 0.0
    for _ in range(20):
        x = rng.standard_normal(shape).astype(dtype)
        with using(Setting(PRECISIONS[dtype])):
            y = module(Bounded(torch.from_numpy(x.astype(np.float64))))
        ratio = np.abs(y.value.numpy() - sums(x, out)) / error_of(y).numpy()
        nearest = max(nearest, ratio.max())

    assert 1 / 32 < nearest <= 1


POWERS = {
    "the library's": lambda x, p: x ** x.dtype.type(p),
    "by a logarithm": lambda x, p: np.exp(np.log(x) * x.dtype.type(p)),
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("exponent", [1.5, 1 / 3, -2 / 3, 0.25, 2.5])
@pytest.mark.parametrize("how", POWERS)
def test_a_broken_power_in_a_low_precision_is_within_the_bound(how, exponent, dtype):
    spread = 40 if dtype == "float32" else 4
    x = np.ldexp(1 + np.arange(4000) / 4000, np.arange(4000) % (2 * spread) - spread).astype(dtype)
    with using(Setting(PRECISIONS[dtype])):
        y = Bounded(torch.from_numpy(x.astype(np.float64))) ** exponent
    off = np.abs(y.value.numpy() - POWERS[how](x, exponent).astype(np.float64))

    assert (off <= error_of(y).numpy()).all()


def test_a_root_of_almost_nothing_is_bounded_by_the_root_of_the_error():
    tiny = torch.full((3,), 2.0**-120, dtype=torch.float64)
    with using(Setting(PRECISIONS["float32"])):
        y = Bounded(torch.zeros(3, dtype=torch.float64), tiny) ** 0.25

    assert (error_of(y) >= 2.0**-30).all()
    assert (error_of(y) <= 2.0**-29).all()


def test_a_broken_power_of_a_negative_number_is_nan_for_certain_or_perhaps():
    value = torch.tensor([-1.0, 1e-3, 1.0], dtype=torch.float64)
    y = Bounded(value, torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)) ** 1.5

    assert y.value[0].isnan()
    assert error_of(y)[0] == 0
    assert error_of(y)[1] == torch.inf
    assert 0.5 < error_of(y)[2] < 1


def test_a_power_of_exactly_0_is_known_and_that_of_a_negative_number_for_an_exact_exponent():
    bases = torch.tensor([0.0, 0.0, 0.0, -2.0, -2.0, 0.0, -2.0], dtype=torch.float64)
    exponents = torch.tensor([2.0, 0.0, -1.0, 3.0, 0.5, 2.0, 3.0], dtype=torch.float64)
    off = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5], dtype=torch.float64)
    inf, nan = torch.inf, torch.nan
    want = torch.tensor([0.0, 1.0, inf, -8.0, nan, 0.0, -8.0], dtype=torch.float64)
    with using(Setting(PRECISIONS["float32"], watching=True)) as setting:
        y = torch.pow(Bounded(bases), Bounded(exponents, off))

    torch.testing.assert_close(y.value, want, rtol=0, atol=0, equal_nan=True)
    assert error_of(y)[[0, 1, 2, 4, 5]].count_nonzero() == 0
    assert 0 < error_of(y)[3] < 1e-4
    assert error_of(y)[6] == inf
    assert setting.poles


def test_zeros_stay_zeros_in_powers_and_means():
    zeros = Bounded(torch.zeros(1, 2, 4, dtype=torch.float64))
    for p in (1.5, 2, 3, 4, 0.5):
        y = nn.AvgPool1d(3)(zeros**p)
        assert y.value.count_nonzero() == 0
        assert error_of(y).count_nonzero() == 0


@pytest.mark.parametrize("p", [1.5, 2, 3, 4])
def test_the_pole_of_a_root_at_zero_is_no_overflow(p):
    x = Bounded(torch.tensor([[[0.0, 0.0, 3.0, 4.0]]], dtype=torch.float64)).requires_grad_()
    with using(Setting(PRECISIONS["float32"], watching=True)) as setting:
        _, dx = both(nn.LPPool1d(p, 2), x)

    assert dx.value[0, 0, :2].tolist() == [0.0, 0.0]
    assert (error_of(dx)[0, 0, :2] < 1e-30).all()
    assert setting.largest < 1e4


def test_an_overflow_is_watched_all_the_same():
    x = Bounded(torch.tensor([1e200], dtype=torch.float64))
    with using(Setting(PRECISIONS["float64"], watching=True)) as setting:
        _ = 1.0 / (x * x)

    assert setting.largest == torch.inf


def test_torch_draws_what_the_candidate_draws():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 7, 6)))
    with Uniform(np.random.default_rng(5)):
        drawn = nn.FractionalMaxPool2d(2, 3)(x)
    samples = torch.from_numpy(np.random.default_rng(5).random((2, 3, 2)))
    given = nn.FractionalMaxPool2d(2, 3, _random_samples=samples)(x)

    assert torch.equal(drawn, given)


@pytest.mark.parametrize("name", ["FractionalMaxPool2d", "FractionalMaxPool3d"])
def test_windows_that_are_drawn_are_the_same_in_every_precision(name):
    found = []
    trial = Trial(
        native(name), SPECS[name], "float64", Settings(examples=60), print, Coverage(), None
    )
    trial._given(lambda question: found.append(question.example), shrinks=False)
    assert any(e.draws for e in found)
    for example in found:
        axes = int(name[-2])
        x = example.arrays["input 0"][0]
        if example.draws:
            batch = x.shape[0] if x.ndim == axes + 2 else 1
            samples = np.random.default_rng(example.seed).random((batch, x.shape[-axes - 1], axes))
        else:
            samples = example.arrays["state _random_samples"][0]
        for i in range(axes):
            n, out = x.shape[i - axes], 3
            k = example.config["kernel_size"]
            k = k if isinstance(k, int) else k[i]
            out = example.config["output_size"]
            out = int(n * 0.5) if out is None else out if isinstance(out, int) else out[i]
            if example.config["output_ratio"] not in (None, 0.5):
                continue
            u = samples[..., axes - 1 - i if axes == 2 else i]
            exact = starts(u, n, k, out)
            for dtype in (np.float32, np.float16):
                assert np.array_equal(exact, starts(u.astype(dtype), n, k, out))
