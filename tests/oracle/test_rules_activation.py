"""The rules of the activations, held against NumPy in more and in fewer digits; and far from 0."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS
from tests.oracle import test_rules as checks
from tests.oracle.test_rules import TWO, Case, V, aten, sigmoid, wide


def beside(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers up to 4 either way, each some way from every multiple of a quarter."""
    return rng.integers(-16, 16, shape) / 4 + rng.uniform(0.25, 0.75, shape) / 4


def tail(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers up to 9 either way: e to these is no overflow in any precision."""
    return rng.uniform(-9, 9, shape)


def elu(x, alpha=1.0, scale=1.0, sharpness=1.0):
    t = x.dtype.type
    return np.where(
        x > 0, t(scale) * x, t(scale * alpha) * np.expm1(np.minimum(x, 0) * t(sharpness))
    )


def elu_backward(dy, x, alpha=1.0, scale=1.0, sharpness=1.0):
    t = x.dtype.type
    low = t(scale * alpha) * t(sharpness) * np.exp(np.minimum(x, 0) * t(sharpness))
    return dy * np.where(x > 0, t(scale), low)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def mish_backward(dy, x):
    t = np.tanh(softplus(x))
    return dy * (t + x * sigmoid(x) * (1 - t * t))


def glu_backward(dy, x):
    a, s = x[:, :2], sigmoid(x[:, 2:])
    return np.concatenate((dy * s, dy * a * s * (1 - s)), 1)


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def silu_backward(dy, x):
    return dy * sigmoid(x) * (1 + x * sigmoid(-x))


def softplus_backward(dy, x):
    return np.where(x * 2 > 3, dy, dy * sigmoid(2 * x))


def prelu_backward(dy, x, w):
    return dy * np.where(x > 0, x.dtype.type(1), w), dy * np.minimum(x, 0)


def hardswish_backward(dy, x):
    line = x / 3 + x.dtype.type(0.5)
    return dy * np.where(x <= -3, 0 * x, np.where(x >= 3, 0 * x + 1, line))


CASES = [
    Case("elu", lambda x: F.elu(x, 0.75), lambda x: elu(x, 0.75), V, wide),
    Case("celu", lambda x: F.celu(x, 2.0), lambda x: elu(x, 2.0, 1.0, 0.5), V, wide),
    Case("elu backward", lambda dy, x: aten.elu_backward(dy, 0.75, 2.0, 1.0, False, x),
         lambda dy, x: elu_backward(dy, x, 0.75, 2.0), TWO, beside),
    Case("silu", F.silu, lambda x: x * sigmoid(x), V, tail),
    Case("silu backward", aten.silu_backward, silu_backward, TWO, tail),
    Case("mish", F.mish, lambda x: x * np.tanh(softplus(x)), V, wide),
    Case("mish backward", aten.mish_backward, mish_backward, TWO, tail),
    Case("softplus", lambda x: F.softplus(x, 2.0, 3.0),
         lambda x: np.where(x * 2 > 3, x, softplus(2 * x) / 2), V, beside),
    Case("softplus backward", lambda dy, x: aten.softplus_backward(dy, x, 2.0, 3.0),
         softplus_backward, TWO, beside),
    Case("log_sigmoid backward", lambda dy, x: aten.log_sigmoid_backward(dy, x, x),
         lambda dy, x: dy * sigmoid(-x), TWO, tail),
    Case("glu", lambda x: F.glu(x, 1), lambda x: x[:, :2] * sigmoid(x[:, 2:]), V),
    Case("glu backward", lambda dy, x: aten.glu_backward(dy, x, 1), glu_backward,
         ((3, 2), (3, 4))),
    Case("softsign", F.softsign, lambda x: x / (1 + abs(x)), V, wide),
    Case("hardtanh", lambda x: F.hardtanh(x, -0.5, 2.0), lambda x: np.clip(x, -0.5, 2), V,
         beside, rounds=False),
    Case("hardtanh backward", lambda dy, x: aten.hardtanh_backward(dy, x, -0.5, 2.0),
         lambda dy, x: dy * ((x > -0.5) & (x < 2)), TWO, beside, rounds=False),
    Case("hardsigmoid", F.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6, V, beside),
    Case("hardsigmoid backward", aten.hardsigmoid_backward,
         lambda dy, x: dy * (abs(x) < 3) / 6, TWO, beside, kinked=True),
    Case("hardswish", F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6, V, beside),
    Case("hardswish backward", aten.hardswish_backward, hardswish_backward, TWO, beside),
    Case("hardshrink", lambda x: F.hardshrink(x, 0.5), lambda x: x * (abs(x) > 0.5), V, beside,
         rounds=False),
    Case("softshrink", lambda x: F.softshrink(x, 0.5), lambda x: x - np.clip(x, -0.5, 0.5), V,
         beside, rounds=False),
    Case("threshold", lambda x: F.threshold(x, 0.5, 2.0),
         lambda x: np.where(x > 0.5, x, x.dtype.type(2)), V, beside, rounds=False),
    Case("leaky_relu", lambda x: F.leaky_relu(x, 0.75), lambda x: leaky(x, x.dtype.type(0.75)), V),
    Case("prelu", aten._prelu_kernel, leaky, TWO),
    Case("prelu backward", aten._prelu_kernel_backward, prelu_backward,
         ((3, 4), (3, 4), (3, 4)), beside),
]  # fmt: skip
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@cases
def test_moved_within_their_errors_inputs_give_results_within_the_bound(case, precision):
    checks.test_moved_within_their_errors_inputs_give_results_within_the_bound(case, precision)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@cases
def test_what_a_low_precision_makes_of_it_is_within_the_bound(case, dtype):
    checks.test_what_a_low_precision_makes_of_it_is_within_the_bound(case, dtype)


ACTIVATIONS: dict[str, Any] = {
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
}


def value_and_gradient(f: Any, x: torch.Tensor) -> tuple[Any, Any]:
    x.requires_grad_()
    y = f(x)
    ones = torch.ones(y.shape, dtype=y.dtype)
    (g,) = torch.autograd.grad(y, x, Bounded(ones) if isinstance(x, Bounded) else ones)
    return y, g


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_far_from_0_the_bound_is_as_small_as_the_value_is_certain(name, dtype):
    """torch in the dtype itself is within it, and it is no larger than a few roundings."""
    p = PRECISIONS[dtype]
    far = torch.tensor([-100.0, -40.0, 100.0, 5000.0, -5000.0], dtype=getattr(torch, dtype))
    theirs = value_and_gradient(ACTIVATIONS[name], far.clone())
    with using(Setting(p)):
        ours = value_and_gradient(ACTIVATIONS[name], Bounded(far.double()))
        for got, want in zip(theirs, ours, strict=True):
            error = error_of(want)
            off = (got.detach().double() - want.value).abs()
            assert (off <= error).all()
            limit = 150 * p.u * (want.value.abs() + 1) + 10 * p.eta * far.abs() + 1e-8
            assert (error <= limit).all(), (error / limit).max()


@pytest.mark.parametrize("name", ["softplus", "hardshrink", "hardsigmoid", "hardswish", "elu"])
def test_an_exact_x_at_a_threshold_leaves_no_doubt(name):
    f = {"softplus": lambda x: F.softplus(x, 2.0, 1.0), "elu": lambda x: F.elu(x, 2.0)}
    x = torch.tensor([0.5, -0.5, 3.0, -3.0, 0.0], dtype=torch.float64)
    _, plain = value_and_gradient(f.get(name, ACTIVATIONS[name]), x.clone())
    with using(Setting(PRECISIONS["float32"])):
        _, g = value_and_gradient(f.get(name, ACTIVATIONS[name]), Bounded(x.clone()))
        _, doubtful = value_and_gradient(
            f.get(name, ACTIVATIONS[name]), Bounded(x.clone(), torch.full_like(x, 1e-6))
        )
    assert (g.value == plain).all() or (g.value - plain).abs().max() < 1e-15
    assert error_of(g).max() < 1e-5
    assert error_of(doubtful).max() > 0.1


@pytest.mark.parametrize("training", [True, False])
def test_rrelu_draws_from_the_generator_of_the_setting(training):
    x = torch.tensor([-1.0, 0.0, 2.0, -4.0], dtype=torch.float64)
    with using(Setting(PRECISIONS["float32"], rng=np.random.default_rng(5))):
        y, g = value_and_gradient(lambda x: F.rrelu(x, 0.25, 0.5, training), Bounded(x.clone()))
    drawn = 0.25 + 0.25 * np.random.default_rng(5).random(4) if training else np.full(4, 0.375)
    factor = np.where(x.numpy() > 0, 1, drawn)
    assert np.array_equal(g.value.numpy(), factor)
    assert np.array_equal(y.value.numpy(), factor * x.numpy())
    assert (error_of(y).numpy() <= 1e-6).all()
    assert error_of(y)[2] == 0
