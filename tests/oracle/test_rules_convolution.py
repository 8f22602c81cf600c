"""Rules of transposed convolutions, of folding, and of the gradients of several slices."""

import numpy as np
import pytest
import torch

from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.twins.oracle.rules.bilinear import forward_terms
from npnet.verify.precision import PRECISIONS

aten = torch.ops.aten
P = PRECISIONS["float32"]


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (3, 2, 2), (4, 6, 4), (4, 3, 2)]
)
def test_the_terms_of_a_transposed_convolution_are_counted(kernel, stride, dilation):
    x, weight = torch.ones(1, 2, 9, dtype=torch.float64), torch.ones(2, 1, kernel).double()
    y = torch.conv_transpose1d(x, weight, stride=stride, dilation=dilation)

    assert forward_terms(x, weight, [stride], [dilation], True, 1) == int(y.max())


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 2), (3, 1)])
def test_folding_in_any_order_is_within_the_bound(stride, dilation):
    rng = np.random.default_rng(1)
    size, kernel = (7, 6), (3, 2)
    options = (list(size), list(kernel), [dilation] * 2, [1, 0], [stride] * 2)
    ones = torch.ones(1, 1, *size, dtype=torch.float64)
    windows = aten.im2col.default(ones, *options[1:]).shape[2]
    for _ in range(20):
        columns = rng.standard_normal((1, 6, windows)).astype(np.float32)
        columns *= 2.0 ** rng.integers(-4, 5, columns.shape).astype(np.float32)
        with using(Setting(P)):
            y = aten.col2im.default(Bounded(torch.tensor(columns, dtype=torch.float64)), *options)
        got = np.zeros(size, np.float32)
        at = aten.im2col.default(
            torch.arange(1.0, 1 + 42).reshape(1, 1, *size).double(), *options[1:]
        )[0].long()
        for k, p in rng.permutation([*np.ndindex(6, windows)]):
            if at[k, p]:
                got.flat[int(at[k, p]) - 1] += columns[0, k, p]
        assert (abs(got - y.value[0, 0].numpy()) <= error_of(y)[0, 0].numpy()).all()


def test_gradients_of_several_slices_add_up_in_any_order():
    """1 + u + u + u is 1 one by one from the left, and 1 + 2u from the right."""
    terms = np.array([1.0, P.u, P.u, P.u])
    with using(Setting(P)):
        x = Bounded(torch.zeros(3, dtype=torch.float64)).requires_grad_()
        uses = [x[i : i + 1] for i in (1, 1, 1, 1)]
        dys = [Bounded(torch.tensor([t], dtype=torch.float64)) for t in terms]
        (dx,) = torch.autograd.grad(uses, [x], dys)
    total = dx.value[1].item()

    assert total == terms.sum()
    assert total - 1.0 <= error_of(dx)[1].item() <= 4 * P.u * total


def test_the_gradient_of_one_slice_is_exact():
    with using(Setting(P)):
        x = Bounded(torch.ones(3, dtype=torch.float64)).requires_grad_()
        (dx,) = torch.autograd.grad(
            x[1:], [x], Bounded(torch.tensor([0.5, 3.0], dtype=torch.float64))
        )

    assert error_of(dx).tolist() == [0.0, 0.0, 0.0]
