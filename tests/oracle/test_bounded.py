"""The pair itself: views share memory, updates in place reach all, nothing else is shared."""

import numpy as np
import pytest
import torch

import npnet.twins.oracle.rules  # noqa: F401
from npnet.contract import ConfigError
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, setting, using


def exact(*shape: int) -> Bounded:
    return Bounded(torch.arange(float(np.prod(shape)), dtype=torch.float64).reshape(shape))


def inexact(*shape: int) -> Bounded:
    return Bounded(exact(*shape).value, torch.full(shape, 0.25, dtype=torch.float64))


VIEWS = {
    "slice": lambda x: x[1:, ::2],
    "select": lambda x: x[1],
    "transposed": lambda x: x.t(),
    "flat": lambda x: x.view(-1)[2:5],
    "unsqueezed": lambda x: x.unsqueeze(1),
    "expanded twice": lambda x: x.unsqueeze(0).squeeze(0)[0:2],
}


@pytest.mark.parametrize("make", [exact, inexact])
@pytest.mark.parametrize("name", VIEWS)
def test_what_is_written_to_a_view_reaches_the_whole_and_its_other_views(name, make) -> None:
    whole = make(3, 4)
    before, other, view = whole.clone(), whole.t(), VIEWS[name](whole)
    view.add_(inexact(*view.shape))
    plain = before.value.clone()
    VIEWS[name](plain).add_(inexact(*view.shape).value)
    assert torch.equal(whole.value, plain)
    touched = torch.zeros(3, 4, dtype=torch.bool)
    VIEWS[name](touched).fill_(True)
    assert torch.equal(error_of(whole) > error_of(before), touched)
    assert torch.equal(error_of(other), error_of(whole).t())
    assert torch.equal(error_of(view), VIEWS[name](error_of(whole)))


@pytest.mark.parametrize("name", ["neg", "abs", "clone", "relu", "sigmoid"])
def test_a_result_shares_no_memory_with_its_operand(name: str) -> None:
    x = inexact(2, 2)
    y = getattr(x, name)()
    y.mul_(3.0)
    assert torch.equal(error_of(x), error_of(inexact(2, 2)))
    assert torch.equal(x.value, exact(2, 2).value)


def test_axes_dropped_in_place_are_dropped_from_the_wrapper_too() -> None:
    x = inexact(3, 1)
    assert torch.ops.aten.squeeze_.dim(x, 1).shape == (3,)
    assert x.unsqueeze_(0).shape == x.value.shape == error_of(x).shape == (1, 3)
    assert x.t_().shape == error_of(x).shape == (3, 1)


def test_an_exact_tensor_takes_no_inexact_value() -> None:
    with pytest.raises(NotImplementedError, match="wrap it in Bounded"):
        torch.zeros(2, dtype=torch.float64).copy_(inexact(2))


def test_an_operation_without_rule_says_what_to_do() -> None:
    with using(Setting()), pytest.raises(NotImplementedError, match=r"no rule for aten\._fft_r2c"):
        torch.ops.aten._fft_r2c.default(exact(4), [0], 0, True)


def test_a_decomposition_is_noted() -> None:
    with using(Setting()) as new:
        torch.ops.aten.rad2deg.default(exact(2))
        assert new.fallbacks == {"aten.rad2deg.default"}
    assert setting() is not new


def test_drawing_without_a_generator_is_refused() -> None:
    with using(Setting()), pytest.raises(ConfigError, match="rng=None"):
        torch.nn.functional.dropout(exact(3), 0.5)


def test_a_bias_that_is_added_first_is_one_term_more() -> None:
    a, b, c = exact(1, 9), Bounded(torch.full((9, 1), 2.0**-30).double()), exact(1) + 1000.0
    later = error_of(a @ b + c)
    assert float(later) >= 9 * 2.0**-53 * 1000


def test_empty_tensors_pass() -> None:
    x = Bounded(torch.zeros(0, 3, dtype=torch.float64))
    for y in (x.sum(), x.sum(0), x.mean(0), x @ exact(3, 2), x.t() @ x, x.softmax(1), x.amax(1)):
        assert not error_of(y).isnan().any() or y.value.isnan().all()
