"""Where a branch is decided by a computed value: both branches, and torch's own if it is exact."""

import pytest
import torch

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle.bounded import Bounded, error_of

E = 2.0**-40


def pair(values: list[float], error: float | None = E) -> Bounded:
    value = torch.tensor(values, dtype=torch.float64)
    return Bounded(value, None if error is None else torch.full_like(value, error))


def gradient(f: object, x: Bounded) -> Bounded:
    x.requires_grad_()
    y = f(x)  # type: ignore[operator]
    (g,) = torch.autograd.grad(y, x, Bounded(torch.ones(y.shape, dtype=torch.float64)))
    assert isinstance(g, Bounded)
    return g


@pytest.mark.parametrize(
    "f",
    [torch.relu, torch.abs, lambda x: x.clamp_min(0.0), lambda x: torch.where(x > 0, x, 0 * x)],
    ids=["relu", "abs", "clamp_min", "where"],
)
def test_near_the_kink_the_gradient_may_be_either(f: object) -> None:
    g = gradient(f, pair([0.0, E, -E, 3 * E, -3 * E, 1.0, -1.0]))
    assert (error_of(g)[:5] >= 1.0).all()
    assert (error_of(g)[5:] < 1e-9).all()


@pytest.mark.parametrize("f", [torch.relu, torch.abs], ids=["relu", "abs"])
def test_an_exact_tie_is_decided_as_in_torch(f: object) -> None:
    g = gradient(f, pair([0.0, -0.0], error=None))
    assert (g.value == 0).all()
    assert (error_of(g) < 1e-300).all()


def test_any_position_near_the_maximum_may_receive_its_gradient() -> None:
    x = pair([1.0, 1.0 + E, 0.0, 1.0 - 100 * E])
    g = gradient(lambda x: torch.max_pool1d(x.reshape(1, 1, 4), 4).reshape(1), x)
    assert (error_of(g) >= 1).tolist() == [True, True, False, False]
    exact = gradient(
        lambda x: torch.max_pool1d(x.reshape(1, 1, 4), 4).reshape(1),
        pair([1.0, 1.0, 0.0, 1.0], None),
    )
    assert exact.value.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert (error_of(exact) == 0).all()


def test_a_tie_of_exact_values_among_inexact_ones_is_decided() -> None:
    x = Bounded(torch.tensor([0.0, 0.0, -1.0, 5.0]).double(), torch.tensor([0, 0, E, E]).double())
    g = gradient(lambda x: torch.max_pool1d(x.reshape(1, 1, 4), 2).reshape(2), x)
    assert g.value.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert (error_of(g) < 1e-300).all()


def test_a_doubtful_comparison_marks_where() -> None:
    doubtful = pair([0.0, 1.0]) > 0
    assert doubtful.error.tolist() == [True, False]
    assert (~doubtful).error.tolist() == [True, False]
    assert (doubtful & torch.tensor([False, True])).error.tolist() == [True, False]
    certain = pair([0.5, 1.0]) > 0
    assert type(certain) is torch.Tensor
    product = pair([2.0, 2.0], None) * doubtful
    assert (error_of(product) >= 2).tolist() == [True, False]


def test_infinite_scores_leave_their_neighbours_alone() -> None:
    for error in (None, E):
        x = pair([0.0, -torch.inf, 1.0], error).requires_grad_()
        for f in (torch.softmax, torch.log_softmax):
            y = f(x, 0)
            dy = Bounded(torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64))
            (g,) = torch.autograd.grad(y, x, dy)
            finite = y.value.isfinite()
            assert (error_of(y)[finite] < 1e-9).all()
            assert (error_of(g) < 1e-9).all()


def test_nothing_can_be_said_is_infinite_and_not_nan() -> None:
    unknown = pair([1.0, 2.0]) / pair([0.0, E / 2])
    assert torch.equal(error_of(unknown), torch.full((2,), torch.inf, dtype=torch.float64))
    zeros = torch.zeros(2, 2, dtype=torch.float64)
    assert not error_of(unknown * 0.0).isnan().any()
    assert not error_of(unknown * pair([0.0, 0.0])).isnan().any()
    assert not error_of(unknown @ Bounded(zeros)).isnan().any()
    assert not error_of(torch.sigmoid(unknown)).isnan().any()
    assert not error_of(torch.exp(unknown)).isnan().any()
