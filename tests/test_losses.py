"""What losses refuse, and where they are defined though torch's are not."""

import numpy as np
import pytest

from npnet import nn
from npnet.contract import ConfigError, DomainError, DtypeError, IndexRangeError, ShapeError

X = np.array([[0.25, 0.5, 0.75], [0.5, 0.25, 0.0]])
LABELS = np.array([2, 0])


@pytest.mark.parametrize(
    ("loss", "inputs", "error", "words"),
    [
        (nn.L1Loss(), (X, X[:, :2]), ShapeError, r"shapes that broadcast.*\(2, 3\), \(2, 2\)"),
        (nn.L1Loss(), (LABELS, LABELS), DtypeError, "astype"),
        (nn.HuberLoss(), (X, LABELS[:1]), DtypeError, "int64"),
        (nn.BCELoss(), (X * 2, X), DomainError, r"1\.5.*BCEWithLogitsLoss"),
        (nn.BCELoss(), (X, X[0]), ShapeError, "one shape"),
        (nn.GaussianNLLLoss(), (X, X, -X), DomainError, r"-0\.25.*np\.exp"),
        (nn.GaussianNLLLoss(), (X, X, X[:, :2]), ShapeError, "last axis may be left out"),
        (nn.NLLLoss(), (X, LABELS + 1), IndexRangeError, "0 to 2.*got 3"),
        (nn.NLLLoss(), (X, X[:, 0]), DtypeError, "int64 or uint8"),
        (nn.NLLLoss(), (X, LABELS[:1]), ShapeError, r"shape \(2,\)"),
        (nn.MultiMarginLoss(), (X, LABELS[:1]), ShapeError, "2 labels"),
        (nn.MultiLabelMarginLoss(), (X, LABELS), ShapeError, "-1"),
        (nn.MultiLabelMarginLoss(), (X, np.full((2, 3), 3)), IndexRangeError, "not 3"),
        (nn.MarginRankingLoss(), (X, X, X[0]), ShapeError, "number of axes"),
        (nn.CosineEmbeddingLoss(), (X, X, X), ShapeError, r"\(N, D\)"),
        (nn.TripletMarginLoss(), (X, X, X[0]), ShapeError, "number of axes"),
        (nn.CosineSimilarity(dim=2), (X, X), IndexRangeError, "dim=-1"),
        (nn.PairwiseDistance(np.inf), (X[:, :0], X[:, :0]), ShapeError, "one element or more"),
        (nn.MultiLabelSoftMarginLoss(), (X[0, 0], X[0, 0]), (ShapeError, DtypeError), "needs"),
    ],
)
def test_an_error_names_what_is_needed_and_what_was_given(loss, inputs, error, words):
    with pytest.raises(error, match=words):
        loss({}, *(np.asarray(x) for x in inputs))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.L1Loss(reduction="average"), "'none', 'mean' or 'sum'"),
        (lambda: nn.KLDivLoss(reduction="average"), "'batchmean'"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), "beta"),
        (lambda: nn.HuberLoss(delta=0.0), "delta above 0"),
        (lambda: nn.MultiMarginLoss(p=3), "p=1 or 2"),
        (lambda: nn.TripletMarginLoss(margin=0.0), "margin above 0"),
        (lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0), "margin above 0"),
    ],
)
def test_a_configuration_without_meaning_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_no_target_is_too_improbable():
    """torch's gradients are nan here."""
    zero = np.zeros(1)
    counts = nn.PoissonNLLLoss(full=True)({}, np.ones(1), zero).vjp(np.ones(()))
    shares = nn.KLDivLoss()({}, np.ones(1), zero).vjp(np.ones(()))

    assert counts.inputs[1] == -1
    assert shares.inputs[1] == -np.inf


def test_no_prediction_is_too_wrong():
    """torch's loss is inf in float32, and its gradient nan."""
    forward = nn.SoftMarginLoss()({}, np.float32([-100.0]), np.float32([1.0]))

    assert forward.y == 100
    assert forward.vjp(np.ones((), np.float32)).inputs[0] == -1


def test_losses_over_nothing():
    """torch 2.13 leaves these two uninitialised."""
    none = np.zeros((0, 3))
    labels = np.zeros(0, np.int64)

    assert np.isnan(nn.MultiMarginLoss()({}, none, labels).y)
    assert nn.MultiMarginLoss(reduction="sum")({}, none, labels).y == 0
    assert nn.MultiLabelMarginLoss(reduction="sum")({}, none, none.astype(np.int64)).y == 0


@pytest.mark.parametrize("p", [1.25, 1.5, 1.75])
def test_the_slope_of_a_distance_keeps_its_digits_beside_a_large_component(p):
    """|d| / y is denormal there: its root showed what that had lost."""
    from mpmath import mp, mpf

    x1, x2 = np.array([[1.25, 0.0]]), np.array([[0.0, 9.729129459513e-312]])
    layer = nn.PairwiseDistance(p, eps=0.0)
    dx = layer({}, x1, x2).vjp(np.ones(1)).inputs[0]

    with mp.workdps(60):
        size, length = mpf(float(x2[0, 1])), mpf(1.25)
        want = -((size / length) ** (mpf(p) - 1))
        assert abs(mpf(float(dx[0, 1])) - want) <= abs(want) * mpf(2) ** -48
