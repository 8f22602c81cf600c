"""Initialisers: shape, dtype, bounds, moments and distribution, beside torch's own."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest, truncnorm
from torch.nn import init as torch_init

from npnet.contract import ConfigError, ShapeError
from npnet.nn import init

# no right initialiser comes below: one in 10^9 tests would
LEVEL = 1e-9

DRAWN = [
    ("uniform", (200, 50), {}),
    ("uniform", (100, 50), {"a": -2.0, "b": 0.5}),
    ("normal", (200, 50), {}),
    ("normal", (100, 50), {"mean": 3.0, "std": 0.5}),
    ("trunc_normal", (200, 50), {}),
    ("trunc_normal", (100, 50), {"mean": 1.0, "std": 2.0, "a": -1.0, "b": 0.5}),
    ("trunc_normal", (100, 50), {"mean": 0.0, "std": 1.0, "a": 1.5, "b": 4.0}),
    ("xavier_uniform", (60, 40, 3, 3), {"gain": 2.0}),
    ("xavier_uniform", (90, 70), {}),
    ("xavier_normal", (30, 40, 5), {"gain": 0.5}),
    ("kaiming_uniform", (60, 40, 3), {}),
    ("kaiming_uniform", (60, 40), {"a": math.sqrt(5)}),
    ("kaiming_uniform", (60, 20, 2, 2, 2), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal", (60, 40, 3), {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("kaiming_normal", (60, 40, 3), {"a": 0.5}),
    ("orthogonal", (60, 40), {"gain": 3.0}),
    ("sparse", (200, 30), {"sparsity": 0.25, "std": 0.5}),
]


@pytest.mark.parametrize(("name", "shape", "options"), DRAWN)
def test_draws_from_the_distribution_of_torch(name, shape, options):
    torch.manual_seed(1)
    mine = getattr(init, name)(np.random.default_rng(1), shape, **options)
    theirs = getattr(torch_init, f"{name}_")(torch.empty(shape), **options).numpy()

    assert mine.shape == shape
    assert mine.dtype == np.float32
    assert ks_2samp(mine.ravel(), theirs.ravel()).pvalue > LEVEL
    spread = theirs.std() / math.sqrt(mine.size)
    assert abs(mine.mean() - theirs.mean()) < 10 * spread
    assert abs(mine.std() / theirs.std() - 1) < 10 / math.sqrt(mine.size)


def test_a_wrong_bound_would_be_noticed():
    """The test above can fail: a bound of √3 · gain / fan in the place of its root."""
    right = init.kaiming_uniform(np.random.default_rng(1), (60, 40, 3))
    wrong = right * 0.8

    assert ks_2samp(right.ravel(), wrong.ravel()).pvalue < LEVEL


@pytest.mark.parametrize("name", ["uniform", "xavier_uniform", "kaiming_uniform"])
def test_bounds_are_kept_and_reached(name):
    torch.manual_seed(0)
    mine = getattr(init, name)(np.random.default_rng(0), (300, 100))
    theirs = getattr(torch_init, f"{name}_")(torch.empty(300, 100)).numpy()

    assert abs(np.abs(mine).max() / np.abs(theirs).max() - 1) < 1e-2


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, 8.0, 9.0), (0.0, 1.0, -60.0, -50.0), (5.0, 0.01, -1.0, 1.0), (0.0, 2.0, -1.0, 7.0)],
)
def test_a_far_tail_has_its_shape(mean, std, a, b):
    drawn = init.trunc_normal(np.random.default_rng(0), (4000,), mean, std, a, b, dtype=np.float64)
    exact = truncnorm((a - mean) / std, (b - mean) / std, mean, std)

    assert a <= drawn.min() <= drawn.max() <= b
    if math.isfinite(exact.cdf((a + b) / 2)):
        assert kstest(drawn, exact.cdf).pvalue > LEVEL


def test_float16_stays_within_the_bounds():
    drawn = init.trunc_normal(np.random.default_rng(0), (500,), 0.0, 1.0, -0.1, 0.1, dtype="f2")

    assert drawn.dtype == np.float16
    assert np.abs(drawn).max() <= np.float16(0.1)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3), (0, 3)])
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_orthogonal_is(shape, gain):
    Q = init.orthogonal(np.random.default_rng(0), shape, gain, dtype=np.float64)
    Q = Q.reshape(shape[0], -1) / gain if shape[0] else Q
    product = Q @ Q.T if Q.shape[0] <= Q.shape[1] else Q.T @ Q

    assert np.abs(product - np.eye(len(product))).max(initial=0.0) < 1e-14


def test_orthogonal_is_uniform():
    """Without the signs taken out, the first column would have one sign only."""
    rng = np.random.default_rng(0)
    firsts = [init.orthogonal(rng, (3, 3), dtype=np.float64)[0, 0] for _ in range(2000)]

    assert kstest(firsts, lambda x: (np.asarray(x) + 1) / 2).pvalue > LEVEL  # Archimedes


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 1.0])
def test_sparse_columns_have_so_many_zeros(sparsity):
    weight = init.sparse(np.random.default_rng(0), (7, 5), sparsity)

    assert ((weight == 0).sum(0) == math.ceil(sparsity * 7)).all()


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("ones", (2, 3), {}),
        ("zeros", (2, 3), {}),
        ("constant", (2, 3), {"val": 0.25}),
        ("eye", (2, 3), {}),
        ("eye", (3, 2), {}),
        ("dirac", (4, 2, 3), {}),
        ("dirac", (4, 2, 3, 2), {"groups": 2}),
        ("dirac", (2, 5, 1, 2, 4), {}),
    ],
)
def test_what_fills_is_torchs(name, shape, options):
    mine = getattr(init, name)(np.random.default_rng(0), shape, **options)
    theirs = getattr(torch_init, f"{name}_")(torch.empty(shape), **options).numpy()

    assert mine.dtype == np.float32
    assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (3, 4, 5, 6), (3, 4, 5, 6, 7)])
def test_fans_are_torchs(shape):
    assert init.fans(shape) == torch_init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [
        ("linear", None),
        ("conv_transpose3d", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.5),
        ("selu", None),
    ],
)
def test_gains_are_torchs(nonlinearity, param):
    assert init.calculate_gain(nonlinearity, param) == torch_init.calculate_gain(
        nonlinearity, param
    )


def test_every_initialiser_of_torch_is_there():
    theirs = {name.rstrip("_") for name in vars(torch_init) if name.endswith("_")}
    theirs = {name for name in theirs if name and not name.startswith("_")}

    assert theirs == {name for name in theirs if hasattr(init, name)}
    assert len(theirs) == 14


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ConfigError, lambda rng: init.calculate_gain("gelu")),
        (ShapeError, lambda rng: init.fans((3,))),
        (ShapeError, lambda rng: init.eye(rng, (3,))),
        (ShapeError, lambda rng: init.dirac(rng, (3, 2))),
        (ShapeError, lambda rng: init.dirac(rng, (3, 2, 1), groups=2)),
        (ShapeError, lambda rng: init.orthogonal(rng, (3,))),
        (ShapeError, lambda rng: init.sparse(rng, (3,), 0.5)),
        (ShapeError, lambda rng: init.xavier_normal(rng, (3,))),
        (ConfigError, lambda rng: init.kaiming_normal(rng, (3, 2), mode="fan")),
        (ConfigError, lambda rng: init.trunc_normal(rng, (3,), a=1.0, b=1.0)),
    ],
)
def test_what_makes_no_sense_is_refused(error, call):
    with pytest.raises(error, match=r"need|needs"):
        call(np.random.default_rng(0))
