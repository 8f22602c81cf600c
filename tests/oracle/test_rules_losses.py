"""The rules that losses and distances brought: beside NumPy, torch in float32, and by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS
from tests.oracle import test_modules, test_rules
from tests.oracle.passes import Twin, indices, weights
from tests.oracle.test_rules import Case, positive, unit, wide

aten = torch.ops.aten
PAIR = ((4, 3), (4, 3))
TRIPLE = ((4, 3), (4, 3), (4, 3))
LABELS = torch.tensor([2, 0, 1, 1])
NAMED = torch.tensor([[2, 0, -1], [-1, 0, 1], [1, -1, 0], [1, 1, -1]])


def huber(x, t):
    d = np.abs(x - t)
    return np.where(d < 1, d * d / 2, d - x.dtype.type(0.5))


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def bce(p, t):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def norm(p):
    return lambda x: (np.abs(x) ** x.dtype.type(p)).sum(-1) ** (1 / x.dtype.type(p))


def multi_margin(p):
    def f(x):
        z = 1 - x[np.arange(4), LABELS.numpy()][:, None] + x
        z[np.arange(4), LABELS.numpy()] = 0
        return (np.maximum(z, 0) ** p).sum(1) / 3

    return f


def multilabel_margin(x):
    losses = np.zeros(4, x.dtype)
    for i, row in enumerate(NAMED.tolist()):
        labels = row[: row.index(-1)] if -1 in row else row
        for t in labels:
            for c in set(range(3)) - set(labels):
                losses[i] += max(1 - x[i, t] + x[i, c], 0)
    return losses / x.dtype.type(3)


CASES = [
    Case("huber", lambda x, t: aten.huber_loss(x, t, 0, 1.0), huber, PAIR),
    Case(
        "smooth_l1",
        lambda x, t: aten.smooth_l1_loss(x, t, 0, 0.5),
        lambda x, t: np.where(abs(x - t) < 0.5, (x - t) ** 2, abs(x - t) - x.dtype.type(0.25)),
        PAIR,
    ),
    Case(
        "huber backward",
        lambda dy, x, t: aten.huber_loss_backward(dy, x, t, 0, 1.0),
        lambda dy, x, t: dy * np.clip(x - t, -1, 1),
        TRIPLE,
    ),
    Case(
        "smooth_l1 backward",
        lambda dy, x, t: aten.smooth_l1_loss_backward(dy, x, t, 0, 0.5),
        lambda dy, x, t: dy * np.clip((x - t) * 2, -1, 1),
        TRIPLE,
    ),
    Case("xlogy", torch.xlogy, lambda x, y: x * np.log(y), PAIR, positive),
    Case("logit", torch.logit, lambda p: np.log(p / (1 - p)), ((4, 3),), unit),
    Case("bce", lambda p, t: aten.binary_cross_entropy(p, t, None, 0), bce, PAIR, unit),
    Case(
        "bce backward",
        lambda dy, p, t: aten.binary_cross_entropy_backward(dy, p, t, None, 0),
        lambda dy, p, t: dy * (p - t) / (p * (1 - p)),
        TRIPLE,
        unit,
    ),
    Case(
        "log_sigmoid backward",
        lambda dy, x: aten.log_sigmoid_backward(dy, x, x),
        lambda dy, x: dy / (1 + np.exp(x)),
        PAIR,
    ),
    Case(
        "soft_margin",
        lambda x, t: aten.soft_margin_loss(x, t, 0),
        lambda x, t: softplus(-x * t),
        PAIR,
    ),
    Case(
        "soft_margin backward",
        lambda dy, x, t: aten.soft_margin_loss_backward(dy, x, t, 0),
        lambda dy, x, t: -t * dy / (1 + np.exp(t * x)),
        TRIPLE,
        slack=32.0,
    ),
    *(
        Case(
            f"norm {p}", lambda x, p=p: torch.linalg.vector_norm(x, p, -1), norm(p), ((4, 3),), wide
        )
        for p in (3.0, 1.5, 0.5, -1.0)
    ),
    Case(
        "multi_margin",
        lambda x: aten.multi_margin_loss(x, LABELS, 1, 1.0, None, 0),
        multi_margin(1),
        ((4, 3),),
        wide,
    ),
    Case(
        "multi_margin squared",
        lambda x: aten.multi_margin_loss(x, LABELS, 2, 1.0, None, 0),
        multi_margin(2),
        ((4, 3),),
        wide,
    ),
    Case(
        "multilabel_margin",
        lambda x: aten.multilabel_margin_loss_forward(x, NAMED, 0)[0],
        multilabel_margin,
        ((4, 3),),
        wide,
    ),
]
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@cases
def test_moved_inputs_give_results_within_the_bound(case, precision):
    test_rules.test_moved_within_their_errors_inputs_give_results_within_the_bound(case, precision)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@cases
def test_what_a_low_precision_makes_of_it_is_within_the_bound(case, dtype):
    test_rules.test_what_a_low_precision_makes_of_it_is_within_the_bound(case, dtype)


MODERATE = (1.0, 0.01)  # where nothing overflows in float32

TWINS = [
    Twin("L1Loss", nn.L1Loss, PAIR),
    Twin("SmoothL1Loss", lambda: nn.SmoothL1Loss(beta=0.5), PAIR),
    Twin("HuberLoss", lambda: nn.HuberLoss("none", 2.0), PAIR, loops=True),
    Twin("PoissonNLLLoss", nn.PoissonNLLLoss, ((4, 3), indices(5, 4, 3)), scales=MODERATE),
    Twin("NLLLoss", lambda: nn.NLLLoss(weights(3)), ((4, 3), indices(3, 4))),
    Twin("NLLLoss of images", nn.NLLLoss, ((2, 3, 4), indices(3, 2, 4))),
    Twin(
        "KLDivLoss",
        lambda: nn.KLDivLoss(reduction="batchmean", log_target=True),
        PAIR,
        scales=MODERATE,
        like=2.0,
    ),
    Twin(
        "KLDivLoss of probabilities",
        lambda: nn.KLDivLoss(reduction="sum"),
        PAIR,
        like=3.1,
        target="probabilities",
    ),
    Twin("MultiLabelSoftMarginLoss", nn.MultiLabelSoftMarginLoss, PAIR, target="probabilities"),
    Twin("MarginRankingLoss", lambda: nn.MarginRankingLoss(0.5), TRIPLE, like=1.7),
    Twin("HingeEmbeddingLoss", nn.HingeEmbeddingLoss, ((4, 3), indices(2, 4, 3))),
    Twin("MultiMarginLoss", nn.MultiMarginLoss, ((4, 3), indices(3, 4)), loops=True),
    Twin(
        "MultiMarginLoss squared",
        lambda: nn.MultiMarginLoss(2, 0.5, weights(3)),
        ((4, 3), indices(3, 4)),
        loops=True,
    ),
    Twin("MultiLabelMarginLoss", nn.MultiLabelMarginLoss, ((4, 3), indices(3, 4, 3)), loops=True),
    Twin("CosineSimilarity", lambda: nn.CosineSimilarity(eps=2.0**-20), PAIR),
    Twin("CosineSimilarity of columns", lambda: nn.CosineSimilarity(0, 0.5), ((4, 3), (3,))),
    *(
        Twin(f"PairwiseDistance {p}", lambda p=p: nn.PairwiseDistance(p, 2.0**-20), PAIR)
        for p in (2.0, 1.0, torch.inf, -torch.inf, 3.0, 1.5, 0.5)
    ),
    Twin(
        "TripletMarginLoss", lambda: nn.TripletMarginLoss(eps=2.0**-20, swap=True), TRIPLE, like=1.2
    ),
    Twin("CosineEmbeddingLoss", nn.CosineEmbeddingLoss, ((4, 3), (4, 3), indices(2, 4))),
]
twins = pytest.mark.parametrize("twin", TWINS, ids=lambda t: t.name)


@twins
@pytest.mark.filterwarnings("ignore")  # the mean of KLDivLoss
def test_values_are_torchs_and_its_float32_is_within_the_bounds(twin):
    test_modules.test_values_are_torchs_and_its_float32_is_within_the_bounds(twin)


@pytest.mark.parametrize("twin", [t for t in TWINS if not t.loops], ids=lambda t: t.name)
@pytest.mark.filterwarnings("ignore")
def test_a_batch_has_the_values_and_bounds_of_its_members(twin):
    test_modules.test_a_batch_has_the_values_and_bounds_of_its_members(twin)


def gradient(f, *values, error=None):
    x = torch.tensor(values, dtype=torch.float64)
    x = Bounded(x, None if error is None else torch.full_like(x, error)).requires_grad_()
    (g,) = torch.autograd.grad(f(x), x)
    return g


def test_a_single_largest_element_has_the_gradient_for_certain():
    g = gradient(lambda x: torch.linalg.vector_norm(x, torch.inf), 1.0, -4.0, 2.0, error=2.0**-40)
    assert g.value.tolist() == [0.0, -1.0, 0.0]
    assert (error_of(g) < 2.0**-40).all()


def test_elements_that_may_be_the_largest_may_have_the_gradient():
    g = gradient(lambda x: x.amax(), 1.0, 4.0, 4.0, 4.0 - 2.0**-40, error=2.0**-40)
    assert (error_of(g)[1:] >= 0.5).all()


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_a_vector_of_zeros_has_no_gradient(p):
    g = gradient(lambda x: torch.linalg.vector_norm(x, p), 0.0, 0.0)
    assert g.value.tolist() == [0.0, 0.0]
    assert (error_of(g) <= PRECISIONS["float64"].eta).all()  # what a product may lose


def test_an_exact_tie_may_go_either_way_where_versions_of_torch_differ():
    def slope(x):
        return torch.clamp_min(x, 0.0).sum()

    assert error_of(gradient(slope, 0.0, 1.0)).tolist() == [0.0, 0.0]
    with using(Setting(either=True)):
        assert error_of(gradient(slope, 0.0, 1.0)).tolist() == [1.0, 0.0]


def test_a_floor_of_float32_stands_for_its_decimal():
    single = float(np.float32(1e-12))
    x = Bounded(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert error_of(x + single)[0] >= abs(single - 1e-12)
    assert error_of(x + 2.0**-40)[0] < 1e-27


def test_a_power_in_place_is_no_power_of_a_constant():
    x = Bounded(torch.tensor([2.0, 3.0], dtype=torch.float64))
    x.pow_(2.0)
    assert x.value.tolist() == [4.0, 9.0]


def test_powers_that_no_format_holds_change_with_their_exponent():
    with using(Setting(PRECISIONS["float32"])):
        x = Bounded(torch.tensor([1e30], dtype=torch.float64))
        y = x ** (1 / 3)
    off = abs(1e30 ** float(np.float32(1 / 3)) - y.value.item())
    assert 0 < off <= error_of(y).item()
