"""-inf that is given, as masks do, is an exact number; -inf that comes of an overflow is not."""

import torch

from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS

MASK = torch.tensor([[0.0, -torch.inf, 0.5], [-torch.inf, -torch.inf, -torch.inf]]).double()


def scores():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).double()
    return Bounded(x, torch.full_like(x, 1e-12))


def test_a_masked_softmax_has_bounds():
    with using(Setting(watching=True)) as setting:
        y = torch.softmax(scores() + Bounded(MASK), -1)
    assert setting.largest < 100
    assert (error_of(y)[0] < 1e-11).all()
    assert y.value[0, 1] == 0
    assert y.value[1].isnan().all()


def test_a_masked_product_has_bounds():
    with using(Setting(watching=True)) as setting:
        y = torch.addmm(Bounded(MASK), scores(), Bounded(torch.eye(3).double()))
    assert setting.largest < 100
    assert torch.equal(error_of(y) < 1e-11, torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(y.value.isinf(), MASK.isinf())


def test_a_safe_softmax_is_0_where_nothing_is_left():
    with using(Setting()):
        y = torch.ops.aten._safe_softmax(scores() + Bounded(MASK), -1)
    assert (y.value[1] == 0).all()
    assert (error_of(y)[1] == 0).all()


def test_an_overflow_is_still_seen():
    huge = Bounded(torch.tensor([1e308, 1.0], dtype=torch.float64))
    with using(Setting(PRECISIONS["float32"], watching=True)) as setting:
        y = huge + huge
    assert setting.largest == torch.inf
    assert error_of(y)[0] == torch.inf


def test_what_has_overflowed_stays_unknown():
    huge = Bounded(torch.tensor([1e308], dtype=torch.float64))
    with using(Setting(PRECISIONS["float32"])):
        y = (huge + huge) - 1.0
    assert error_of(y)[0] == torch.inf


def test_a_mask_leaves_the_bounds_of_what_it_lets_through() -> None:
    q, k = (torch.arange(6.0).double().reshape(2, 3) - shift for shift in (1.25, 3.5))
    with using(Setting(PRECISIONS["float32"])):
        products = Bounded(q) @ Bounded(k).T
        masked, whole = (
            products + Bounded(torch.tensor([[0.5, last], [0.25, 0.5]]).double())
            for last in (-torch.inf, 0.5)
        )
        again = masked + products, whole + products

    seen = torch.isfinite(masked.value)
    for one, other in ((masked, whole), again):
        assert torch.equal(error_of(one)[seen], error_of(other)[seen])
