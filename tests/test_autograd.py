"""The autograd tensor: every operation against torch's, and the record that it keeps."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from npnet import nn
from npnet.autograd import Tensor, no_grad
from npnet.autograd.graph import GoneError
from npnet.contract import ConfigError, DtypeError, ShapeError

RTOL = 1e-12  # of a comparison between two float64 computations of a few operations


def arrays(shapes, seed=0, positive=False):
    rng = np.random.default_rng(seed)
    found = [rng.standard_normal(shape) for shape in shapes]
    return [np.abs(a) + 0.5 if positive else a for a in found]


def agree(f, *given, g=None):
    """Hold f's value and gradients on tensors of npnet against those on tensors of torch."""
    ours = [Tensor(a.copy(), requires_grad=True) for a in given]
    theirs = [torch.tensor(a, requires_grad=True) for a in given]
    y, want = f(*ours), g(*theirs) if g else f(*theirs)
    assert y.shape == tuple(want.shape)
    np.testing.assert_allclose(y.data, want.detach().numpy(), rtol=RTOL, atol=1e-14)
    dy = np.random.default_rng(9).standard_normal(y.shape)
    y.backward(dy)
    want.backward(torch.tensor(dy))
    for one, other in zip(ours, theirs, strict=True):
        assert one.grad.dtype == one.data.dtype
        np.testing.assert_allclose(one.grad, other.grad.numpy(), rtol=RTOL, atol=1e-14)


# ---- operations ----------------------------------------------------------------------------------

BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=30, deadline=None)
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4))
def test_arithmetic_broadcasts_as_torch_does(name, shapes):
    agree(BINARY[name], *arrays(shapes.input_shapes, positive=name in ("pow", "div")))


@pytest.mark.parametrize("name", BINARY)
def test_a_number_keeps_the_format(name):
    x = Tensor(np.array([1.5, 2.0], np.float32), requires_grad=True)
    for y in (BINARY[name](x, 2.0), BINARY[name](2, x)):
        assert y.dtype == np.float32
        y.sum().backward()
    want = torch.tensor([1.5, 2.0], requires_grad=True)
    for y in (BINARY[name](want, 2.0), BINARY[name](2, want)):
        y.sum().backward()
    np.testing.assert_allclose(x.grad, want.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", [*BINARY, "matmul"])
def test_of_two_formats_every_gradient_has_that_of_its_tensor(name):
    operation = BINARY.get(name, lambda a, b: a @ b)
    x = Tensor(np.array([1.5, 2.0], np.float32), requires_grad=True)
    w = Tensor(np.array([3.0, 2.0]), requires_grad=True)
    whole = Tensor(np.array([2, 1]))
    for y in (operation(x, w), operation(x, whole)):
        assert y.dtype == np.float64
        y.sum().backward()

    assert (x.grad.dtype, w.grad.dtype, whole.grad) == (np.float32, np.float64, None)
    np.testing.assert_array_equal(operation(x, whole).data, operation(x.data, whole.data))


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]], ids=["plain", "weighted"])
def test_cross_entropy_takes_class_weights(weight):
    (x,) = arrays([(4, 3)])
    labels = np.array([0, 2, 1, 2])
    options = {"label_smoothing": 0.25}
    theirs = options | ({} if weight is None else {"weight": torch.tensor(weight).double()})
    agree(
        lambda a: a.cross_entropy(labels, **options, weight=weight and np.array(weight)),
        x,
        g=lambda a: torch.nn.functional.cross_entropy(a, torch.tensor(labels), **theirs),
    )


def test_a_pole_is_infinite_or_nan_and_no_warning():
    x = Tensor([1.0, -1.0, 0.0], requires_grad=True)
    np.testing.assert_array_equal((x / 0.0).data, [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(x.log().data, [0.0, np.nan, -np.inf])
    np.testing.assert_array_equal((x**-1).data, [1.0, -1.0, np.inf])
    nothing = Tensor(np.zeros((2, 0)), requires_grad=True)
    np.testing.assert_array_equal(nothing.mean(1).data, [np.nan, np.nan])
    for y in (x / 0.0, x.log(), x**-1, nothing.mean()):
        x.zero_grad()
        y.backward(np.ones(y.shape))


@pytest.mark.parametrize("a", [0.0, 2.0])
@pytest.mark.parametrize("b", [0.0, 1.0, 2.0, 0.5])
def test_powers_of_0_and_to_the_0(a, b):
    agree(BINARY["pow"], np.array([a]), np.array([b]))


MATMULS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", MATMULS, ids=str)
def test_matmul(shapes):
    agree(lambda a, b: a @ b, *arrays(shapes))


def test_unary():
    (x,) = arrays([(3, 4)])
    agree(lambda a: -a, x)
    agree(lambda a: a.exp(), x)
    agree(lambda a: a.log(), np.abs(x))
    agree(lambda a: a.sigmoid(), x)
    agree(lambda a: a.tanh(), x)
    agree(lambda a: a.relu(), np.where(x > 1, 0.0, x))
    agree(lambda a: a.softmax(1), x, g=lambda a: a.softmax(1))
    agree(lambda a: a.softmax(0), x, g=lambda a: a.softmax(0))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(axis, keepdims):
    (x,) = arrays([(2, 3, 4)])
    dims = axis if axis is not None else (0, 1, 2)
    for name, twin in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)):
        ours = {"axis": axis, "keepdims": keepdims}
        agree(
            lambda a, name=name, ours=ours: getattr(a, name)(**ours),
            x,
            g=lambda a, twin=twin: twin(a, dim=dims, keepdim=keepdims),
        )


def test_equal_maxima_share_the_gradient():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    agree(lambda a: a.max(1), x, g=lambda a: torch.amax(a, 1))
    agree(lambda a: a.max(), x, g=lambda a: torch.amax(a, (0, 1)))


def test_shapes():
    (x,) = arrays([(2, 1, 3)])
    agree(lambda a: a.reshape(3, 2), x)
    agree(lambda a: a.reshape((-1,)), x)
    agree(lambda a: a.transpose(2, 0, 1), x, g=lambda a: a.permute(2, 0, 1))
    agree(lambda a: a.transpose(), x, g=lambda a: a.permute(2, 1, 0))
    agree(lambda a: a.expand(4, 2, 5, -1), x)
    agree(lambda a: a.expand(2, 3, 3), x)
    agree(lambda a: a.T, arrays([(2, 3)])[0])


AT = [
    1, -1, slice(1, None), (slice(None), 0), (Ellipsis, slice(None, None, 2)), (None, 0),
    np.array([0, 2, 0, 0]), (np.array([0, 1, 0]), np.array([1, 1, 1])),
    (slice(None), np.array([2, 2])), np.array([True, False, True]),
]  # fmt: skip


@pytest.mark.parametrize("at", AT, ids=str)
def test_indexing(at):
    (x,) = arrays([(3, 4)])
    as_torch = tuple(torch.tensor(p) if isinstance(p, np.ndarray) else p
                     for p in (at if isinstance(at, tuple) else (at,)))  # fmt: skip
    agree(lambda a: a[at], x, g=lambda a: a[as_torch])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_index_select_sums_what_is_taken_twice(axis):
    (x,), chosen = arrays([(3, 4)]), [2, 0, 2, 2]
    agree(
        lambda a: a.index_select(axis, chosen),
        x,
        g=lambda a: a.index_select(axis, torch.tensor(chosen)),
    )


@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"label_smoothing": 0.25}], ids=str)
def test_cross_entropy(options):
    (x,), target = arrays([(5, 3)]), np.array([0, 2, 1, 1, 0])
    twin = torch.nn.CrossEntropyLoss(**options)
    agree(
        lambda a: a.cross_entropy(target, **options),
        x,
        g=lambda a: twin(a, torch.tensor(target)),
    )


# ---- the record ----------------------------------------------------------------------------------


def test_it_says_what_it_was_made_from():
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0])
    y = a * b

    assert y.creators == (a, b)
    assert y.creation_op == "mul"
    assert y.requires_grad
    assert not (b + b).requires_grad
    assert (b + b).creators == ()


def test_gradients_add_up_over_every_use():
    def network(a, b):
        c = a * b  # a diamond: c is used twice, and so is what comes of it
        d = c.tanh()
        e = c.sigmoid() * d
        return (e + d) @ c + a.sum() * a.sum()

    agree(network, *arrays([(4,), (4,)]))
    agree(lambda a: a + a, arrays([(3,)])[0])
    agree(lambda a: a * a * a, arrays([(3,)])[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99), st.integers(0, 99)), max_size=12))
def test_graphs_of_any_form(steps):
    def network(*leaves):
        made = list(leaves)
        for kind, i, j in steps:
            a, b = made[i % len(made)], made[j % len(made)]
            made.append((a + b, a * b, (a - b).tanh())[kind])
        total = made[0] * 0
        for t in made:
            total = total + t.tanh()
        return total

    agree(network, *arrays([(2,), (2,), (2,)]))


def test_a_chain_of_100000_operations():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0

    y = x
    for _ in range(100_000):
        y = y + 1.0
    del y  # which is let go of without recursion, too


def test_gradients_add_up_over_several_passes():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    x.zero_grad()
    assert x.grad is None


def test_gradients_are_arrays_of_their_own():
    a, b = (Tensor([1.0, 2.0], requires_grad=True) for _ in "ab")
    dy = np.ones(2)
    (a + b).backward(dy)
    a.grad += 5

    np.testing.assert_array_equal(b.grad, [1.0, 1.0])
    np.testing.assert_array_equal(dy, [1.0, 1.0])


def test_only_what_is_asked_for_keeps_a_gradient():
    x = Tensor([1.0], requires_grad=True)
    c = x * 2
    d = (c * 3).retain_grad()
    d.sum().backward()

    assert c.grad is None
    np.testing.assert_array_equal(d.grad, [1.0])
    np.testing.assert_array_equal(x.grad, [6.0])


def test_the_record_is_let_go_of_unless_it_is_kept():
    x = Tensor([1.0, 2.0], requires_grad=True)
    c = x.exp()
    y = c.sum()
    big = weakref.ref(c)
    y.backward(keep=True)
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp([1.0, 2.0]))
    with pytest.raises(GoneError, match=r"backward\(keep=True\)"):
        y.backward()
    with pytest.raises(GoneError, match="has let go"):
        (c * 2).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp([1.0, 2.0]))  # nothing was changed

    del c
    gc.collect()
    assert big() is None


def test_no_grad_records_nothing_in_its_own_thread():
    x = Tensor([1.0], requires_grad=True)
    seen = []
    with no_grad():
        y = x * 2
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert not y.requires_grad
    assert seen == [True]
    assert (x * 2).requires_grad
    assert not x.detach().requires_grad


# ---- layers and functions ------------------------------------------------------------------------


def started(layer):
    """The state of a layer, in float64."""
    state = layer.init(np.random.default_rng(0))
    return {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in state.items()}


def test_a_layer_with_its_state():
    x, weight, bias = arrays([(5, 3), (4, 3), (4,)])

    def ours(x, weight, bias):
        return Tensor.apply(nn.Linear(3, 4), x, state={"weight": weight, "bias": bias}).tanh()

    agree(ours, x, weight, bias, g=lambda x, w, b: torch.nn.functional.linear(x, w, b).tanh())


def test_a_layer_with_several_inputs_and_outputs():
    layer = nn.LSTM(3, 2)
    state = started(layer)
    twin = torch.nn.LSTM(3, 2).double()
    twin.load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    x, h, c = arrays([(4, 5, 3), (1, 5, 2), (1, 5, 2)])

    def ours(x, h, c):
        y, h, c = Tensor.apply(layer, x, (h, c), state=state)
        return y.sum(0) * h + c.tanh()

    def theirs(x, h, c):
        y, (h, c) = twin(x, (h, c))
        return y.sum(0) * h + c.tanh()

    agree(ours, x, h, c, g=theirs)
    agree(lambda *t: Tensor.apply(layer, t[0], t[1:], state=state)[2] * 1,
          x, h, c, g=lambda x, h, c: twin(x, (h, c))[1][1] * 1)  # fmt: skip


def test_what_a_pass_changes_is_handed_over():
    layer = nn.BatchNorm1d(3)
    state = started(layer)
    changed = {}
    Tensor.apply(layer, Tensor(arrays([(5, 3)])[0]), state=state, updates=changed)

    assert changed["num_batches_tracked"] == 1
    assert changed["running_mean"].any()


def test_a_function_of_ones_own():
    def cube(x):
        return x**3, lambda dy: 3 * x**2 * dy

    agree(lambda a: Tensor.apply(cube, a), arrays([(3,)])[0], g=lambda a: a**3)


def test_random_layers_take_a_generator():
    x = Tensor(np.ones(100), requires_grad=True)
    y = Tensor.apply(nn.Dropout(0.5), x, state={}, rng=np.random.default_rng(0))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


# ---- what is refused -----------------------------------------------------------------------------


def test_errors_say_what_is_needed():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(DtypeError, match="only floating-point data has a gradient"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(DtypeError, match=r"this is int64. Use data.astype\(np.float64\)"):
        Tensor(np.arange(3), requires_grad=True)
    with pytest.raises(ConfigError, match="requires_grad=True"):
        (Tensor(np.arange(3)) * 2).sum().backward()
    with pytest.raises(DtypeError, match="needs numbers"):
        Tensor(["a"])
    with pytest.raises(ShapeError, match=r"needs one number, but this has shape \(1, 2\)"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"must have the tensor's shape \(1, 2\), but has \(2,\)"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(ConfigError, match="requires_grad=True"):
        Tensor([1.0]).backward()
    with pytest.raises(DtypeError, match="index_select needs integers"):
        x.index_select(0, [0.5])


def test_a_gradient_may_be_asked_for_later():
    x, y = Tensor([1.0, 2.0]).requires_grad_(), Tensor([3.0, 4.0])
    y.requires_grad = True
    (x * y).sum().backward()

    assert np.array_equal(x.grad, [3.0, 4.0])
    assert np.array_equal(y.grad, [1.0, 2.0])
    x.requires_grad_(False)
    assert not (x * 2).requires_grad
    with pytest.raises(DtypeError, match="only floating-point data"):
        Tensor([1, 2]).requires_grad_()
    with pytest.raises(ConfigError, match="follows from what it was made of"):
        (y * 2).requires_grad_(False)
