"""What the studies found: each a false alarm, or a bound that said too much, once."""

import numpy as np
import pytest
import torch

from npnet import nn
from npnet.twins import SPECS
from npnet.twins.oracle.bounded import Bounded, Setting, using, value_of
from npnet.verify import Verdict, run
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings
from npnet.verify.targets import native
from npnet.verify.trial import Trial

F64, F32 = PRECISIONS["float64"], PRECISIONS["float32"]


def bounded(*numbers, error=None):
    value = torch.tensor(numbers, dtype=torch.float64)
    return Bounded(value, None if error is None else torch.full_like(value, error))


def test_a_denormal_times_a_huge_number_is_rounded_in_the_product():
    """|a|·u of a denormal a is nothing at all, unless the product is formed first."""
    with using(Setting(F64)):
        y = torch.mm(bounded(5e-312).reshape(1, 1), bounded(1e60).reshape(1, 1))

    assert float(y.error) >= 5e-252 * F64.u


def test_lr_times_a_denormal_gradient_loses_what_underflows():
    with using(Setting(F32)):
        p = torch.add(bounded(0.0), bounded(1e-40), alpha=-0.3)

    assert float(p.error) >= F32.eta


def test_a_root_of_what_may_be_negative_says_nothing():
    """sqrt(v - m²) of centered RMSprop is nan where rounding makes it negative."""
    with using(Setting(F32)):
        root = torch.sqrt(bounded(1e-9, error=1e-8))
        fine = torch.sqrt(bounded(0.0, error=2 * F32.eta))  # underflow makes nothing negative

    assert float(root.error) == np.inf
    assert np.isfinite(float(fine.error))


def test_a_quotient_may_be_formed_after_the_rate():
    """(value·b)/c loses eta/|c| where b/c would not have."""
    with using(Setting(F32)):
        p = torch.addcdiv(bounded(0.0), bounded(1e-40), bounded(2.0**-27), value=-0.3)

    assert float(p.error) >= F32.eta * 2**27


def test_the_form_of_bilinear_may_underflow_before_a_large_factor():
    a, b, c = (bounded(x) for x in (1e-200, 1e-200, 1e100))
    with using(Setting(F64)):
        y = torch._trilinear(
            a.reshape(1, 1, 1), b.reshape(1, 1, 1), c.reshape(1, 1, 1), [], [], [], [2]
        )

    assert float(y.error) >= F64.eta * 1e100


def test_layer_norm_of_one_element_may_be_computed_with_the_mean_times_rstd():
    """torch's own kernel does, and is off by a rounding error where the textbook is exact."""
    found = run("LayerNorm", examples=150, seed=575, dtypes=("float64",)).findings

    assert not [f for f in found if f.verdict is Verdict.ORACLE_DISAGREES]


@pytest.mark.parametrize(("layer", "power"), [("Embedding", 2), ("BatchNorm1d", 1)])
def test_what_overflows_inside_of_a_norm_is_watched(layer, power):
    """A sum of squares, or of products with x, overflows before the result would."""
    setting = Setting(PRECISIONS["float16"], watching=True)
    with using(setting):
        if layer == "Embedding":
            weight = Bounded(torch.full((1, 4), 400.0, dtype=torch.float64))
            torch.embedding_renorm_(weight, torch.tensor([0]), 1.0, 2.0)
        else:
            x = Bounded(torch.tensor([[300.0], [900.0]], dtype=torch.float64)).requires_grad_()
            y = torch.nn.functional.batch_norm(x, None, None, training=True)
            dy = torch.tensor([[100.0], [-100.0]], dtype=torch.float64)
            torch.autograd.grad(y, x, Bounded(dy))

    assert setting.largest > PRECISIONS["float16"].fmax / 8


def test_options_are_not_copied_between_places():
    """Hypothesis copies values between draws that look alike: no two of ours may."""
    from npnet.verify.coverage import Coverage

    seen = []
    trial = Trial(
        native("optim.Adam"),
        SPECS["optim.Adam"],
        "float64",
        Settings(examples=200, seed=1),
        lambda event: None,
        Coverage(),
        None,
    )
    trial._given(lambda question: seen.append(repr(question.example.choices)), shrinks=False)

    assert len(set(seen)) > 190


def test_a_quotient_may_overflow_before_it_is_divided_by_the_number_of_elements():
    """BCELoss in float16, as torch has it: 2,199 is the 33rd part of what no float16 holds."""
    p = bounded(*[2.0**-11] * 33).requires_grad_()
    setting = Setting(PRECISIONS["float16"], watching=True)
    with using(setting):
        torch.nn.functional.binary_cross_entropy(p, bounded(*[1.0] * 33)).backward(bounded(35.0)[0])

    assert setting.largest > 65504


def test_the_slope_of_a_power_may_underflow_where_the_power_does_not():
    """s^-2 of CrossMapLRN2d with s = 1e117: s^-3 is nothing at all."""
    with using(Setting(F64)):
        power = torch.pow(bounded(1e117, error=1e104), -2.0)

    assert float(power.error) >= 2e-247


def test_a_number_is_denied_where_it_is_0():
    """TransformerEncoder takes logical_not of a padding mask of numbers."""
    with using(Setting(F64)):
        denied = torch.logical_not(bounded(0.0, -np.inf, 2.0))

    assert value_of(denied).tolist() == [True, False, False]


def test_a_tiny_difference_keeps_its_digits_under_a_root():
    """|d|^(p-1) with d = 2^-20, in float16: the quotient d / norm is denormal."""
    d = np.array([[0.0, 1.0, 3.0]], np.float16)
    layer = nn.PairwiseDistance(p=0.5, eps=2.0**-20)
    dx = layer({}, d, 0 * d).vjp(np.ones(1, np.float16)).inputs[0]
    exact = layer({}, d.astype(float), 0 * d.astype(float)).vjp(np.ones(1)).inputs[0]

    assert abs(dx - exact).max() < 2.0**-7 * abs(exact).max()


def test_an_eps_that_float16_has_not_is_no_division_by_zero():
    zeros = np.zeros((1, 3), np.float16)
    forward = nn.CosineSimilarity(eps=2.0**-27)({}, zeros, zeros)

    assert forward.y == 0
    assert not forward.vjp(np.zeros(1, np.float16)).inputs[0].any()


def test_a_denormal_slope_of_the_cosine_is_divided_before_it_is_multiplied():
    x1, x2 = np.zeros((1, 3), np.float32), np.array([[0, 0, 2e-10]], np.float32)
    forward = nn.CosineEmbeddingLoss(reduction="sum")({}, x1, x2, np.ones(1, np.float32))

    assert forward.vjp(np.float32(9e-40)).inputs[0][0, 2] < 0
