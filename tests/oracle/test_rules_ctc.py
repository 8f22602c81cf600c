"""The rules of CTC and of bags against torch in single precision, and against all alignments."""

import itertools
from math import log

import numpy as np
import pytest
import torch

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS

F32 = PRECISIONS["float32"]


def both(f, *arrays, dy):
    """Values and gradients of float32 torch beside those with bounds."""
    plain = [torch.tensor(a, dtype=torch.float32).requires_grad_() for a in arrays]
    y = f(*plain)
    got = [y, *torch.autograd.grad(y, plain, torch.tensor(dy, dtype=torch.float32))]
    with using(Setting(F32)):
        exact = [t.detach().double() for t in plain]
        ours = [Bounded(x).requires_grad_() for x in exact]
        y = f(*ours)
        want = [y, *torch.autograd.grad(y, ours, Bounded(torch.tensor(dy).float().double()))]
    return list(zip(got, want, strict=True))


def within(got, want):
    a, b, e = got.detach().double(), want.value.detach(), error_of(want).detach()
    same = (a == b) | (a.isnan() & b.isnan())
    return bool((same | ((a - b).abs() <= 4 * e)).all())


@pytest.mark.parametrize("seed", range(8))
def test_float32_ctc_is_within_the_bound(seed):
    rng = np.random.default_rng(seed)
    T, N, C, S = 7, 3, 4, 3
    scores = rng.standard_normal((T, N, C)) * 10.0 ** rng.integers(-1, 2)
    targets = torch.tensor(rng.integers(1, C, (N, S)))
    lengths = ((7, 4, 2), (3, 2, int(rng.integers(0, 4))))

    def loss(x):
        logp = x.log_softmax(-1) if seed % 2 else x
        return torch.nn.functional.ctc_loss(logp, targets, *lengths, reduction="none")

    pairs = both(loss, scores, dy=rng.standard_normal(N))

    assert all(within(got, want) for got, want in pairs)
    finite = pairs[0][1].value.isfinite()
    steps = np.abs(loss(torch.tensor(scores)).numpy()[finite]) + np.abs(scores).max() * T
    assert (error_of(pairs[0][1])[finite].numpy() < 100 * F32.u * (T + steps)).all()


def test_ctc_sums_over_all_alignments():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 5)
    total = 0.0
    for path in itertools.product(range(3), repeat=5):
        merged = [c for c, _ in itertools.groupby(path)]
        if [c for c in merged if c] == [2, 2]:
            total += float(np.prod(p[range(5), path]))
    logp = torch.tensor(np.log(p))[:, None]
    y, alpha = torch.ops.aten._ctc_loss(Bounded(logp), torch.tensor([[2, 2]]), [5], [2])

    assert abs(float(y.value) + log(total)) < 1e-12
    assert alpha.shape == (1, 5, 5)


def test_what_is_impossible_is_certain():
    logp = torch.zeros((2, 1, 3), dtype=torch.float64)
    y, alpha = torch.ops.aten._ctc_loss(Bounded(logp), torch.tensor([[1, 1]]), [2], [2])

    assert float(y.value) == np.inf
    assert float(error_of(y)) == 0.0
    assert (error_of(alpha)[alpha.value == -np.inf] == 0).all()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_float32_bags_are_within_the_bound(mode, padding, weighted):
    if weighted and mode != "sum":
        mode, padding = "sum", None
    rng = np.random.default_rng(3)
    x = torch.tensor(rng.integers(0, 4, 12))
    offsets = torch.tensor([0, 0, 5, 6, 12])
    arrays = [rng.standard_normal((4, 3))] + ([rng.standard_normal(12)] if weighted else [])

    def bag(weight, w=None):
        return torch.nn.functional.embedding_bag(
            x, weight, offsets, mode=mode, padding_idx=padding, per_sample_weights=w
        )

    pairs = both(bag, *arrays, dy=rng.standard_normal((5, 3)))

    assert all(within(got, want) for got, want in pairs)
    size = bag(*(torch.tensor(abs(a)) for a in arrays))  # of six terms at most
    assert (error_of(pairs[0][1]) <= 10 * F32.u * size + F32.eta * 10).all()


def test_a_tie_of_rows_that_are_not_exact_leaves_the_gradient_in_doubt():
    with using(Setting(F32)):
        error = torch.full((3, 1), 1e-9, dtype=torch.float64)
        weight = Bounded(torch.tensor([[1.0], [1.0], [0.0]]).double(), error).requires_grad_()
        y = torch.nn.functional.embedding_bag(torch.tensor([[0, 1, 2]]), weight, mode="max")
        (g,) = torch.autograd.grad(y, weight, Bounded(torch.ones(1, 1).double()))

    assert g.value.ravel().tolist() == [1.0, 0.0, 0.0]
    assert (error_of(g).ravel()[:2] >= 1.0).all()
    same = weight.detach()
    with using(Setting(F32)):
        same.requires_grad_()
        y = torch.nn.functional.embedding_bag(torch.tensor([[0, 0, 2]]), same, mode="max")
        (g,) = torch.autograd.grad(y, same, Bounded(torch.ones(1, 1).double()))

    assert (error_of(g) < 1e-6).all()  # a row ties with itself only
