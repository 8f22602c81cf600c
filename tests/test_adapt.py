"""The adapters by themselves, against torch: values, gradients, updates, complaints."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from npnet.contract import ConfigError
from npnet.twins import SPECS
from npnet.verify import Case, OptimizerCase, adapt, candidate, run
from npnet.verify.adapt.layout import Axes
from npnet.verify.finding import BROKEN, DIVERGED
from tests.studies.soak import correct

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def linear_case(n=3, i=4, o=2, *, bias=True, batch=None):
    shape = (n,) if batch is None else batch
    state = {"weight": normal(o, i)} | ({"bias": normal(o)} if bias else {})
    config = {"in_features": i, "out_features": o, "bias": bias}
    return Case(config, state, (normal(*shape, i),))


def close(a, b):
    assert np.shape(a) == np.shape(b)
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def check_linear(function, case):
    forward = function(case)
    (x,), W, b = case.inputs, case.state["weight"], case.state.get("bias", 0.0)
    close(forward.y, x @ W.T + b)
    for _ in range(2):
        dy = normal(*forward.y.shape)
        dxs, params = forward.vjp(dy)
        close(dxs[0], dy @ W)
        rows = dy.reshape(-1, W.shape[0])
        close(params["weight"], rows.T @ x.reshape(-1, W.shape[1]))
        if "bias" in case.state:
            close(params["bias"], rows.sum(0))
        assert params.keys() == case.state.keys()


# ---- layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "mine"),
    [
        ("o i -> i o", (2, 3), (3, 2)),
        ("o i->o i", (2, 3), (2, 3)),
        ("n c h w -> n h w c", (2, 3, 4, 5), (2, 4, 5, 3)),
        ("o -> 1 o", (3,), (1, 3)),
        ("o -> 1 1 1 o", (3,), (1, 1, 1, 3)),
        ("o -> o (1)", (3,), (3, 1)),
        ("o c h w -> (c h w) o", (2, 3, 4, 5), (60, 2)),
        ("... i -> (...) i", (2, 3, 4), (6, 4)),
        ("... i -> (...) i", (4,), (1, 4)),
        ("... i -> (...) i", (0, 2, 4), (0, 4)),
        ("... i -> i ...", (2, 3, 4), (4, 2, 3)),
        ("... i -> i ...", (4,), (4,)),
        ("n ... -> (... n)", (2, 3, 4), (24,)),
        ("n c -> c n", (0, 3), (3, 0)),
    ],
)
def test_a_layout_leads_there_and_back(text, shape, mine):
    axes, a = Axes.parse(text), normal(*shape)
    there = axes.to_mine(a)
    assert there.shape == mine
    np.testing.assert_array_equal(axes.to_theirs(there, axes.sizes(shape)), a)


def test_a_layout_puts_axes_in_the_order_that_it_says():
    a = normal(2, 3, 4, 5)
    there = Axes.parse("o c h w -> (h w c) o").to_mine(a)
    np.testing.assert_array_equal(there, a.transpose(2, 3, 1, 0).reshape(60, 2))


def test_a_layout_without_joined_axes_copies_nothing():
    a = normal(2, 3)
    assert np.shares_memory(Axes.parse("o i -> i o").to_mine(a), a)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("o i", "needs one arrow"),
        ("o -> i -> o", "needs one arrow"),
        ("o i -> i", "on both sides, but o stands on one only"),
        ("o o -> o", "names o twice"),
        ("o -> o o", "names o twice"),
        ("(o i) -> o i", "left of the arrow"),
        ("1 o -> o", "left of the arrow"),
        ("o i -> (o i", "parentheses"),
        ("o i -> o i)", "parentheses"),
        ("o i -> ((o) i)", "parentheses"),
        ("o, i -> i o", "cannot be read at ', i'"),
        ("2 i -> i 2", "cannot be read at '2 i'"),
    ],
)
def test_a_bad_layout_is_told_with_the_expected_form(text, complaint):
    with pytest.raises(ConfigError) as raised:
        Axes.parse(text)
    assert complaint in str(raised.value)
    assert '"o i -> i o"' in str(raised.value)


def test_another_number_of_axes_is_told_with_the_shape():
    with pytest.raises(ConfigError, match=r"for 4 axes, but input 0 has 3: shape \(3, 5, 5\)"):
        Axes.parse("n c h w -> n h w c").sizes((3, 5, 5), "input 0")
    with pytest.raises(ConfigError, match="for at least 2 axes"):
        Axes.parse("... h w -> h w ...").sizes((3,))


def test_what_does_not_have_my_axes_is_left_to_the_engine():
    axes = Axes.parse("o i -> i o")
    a = normal(3)
    assert axes.to_theirs(a, axes.sizes((2, 3))) is a
    joined = Axes.parse("o i -> (o i)")
    assert joined.to_theirs(a, joined.sizes((2, 3))) is a


def test_joined_axes_of_an_output_need_an_input_that_names_them():
    with pytest.raises(ConfigError, match="no input says how large h is"):
        Axes.parse("n h w -> n (h w)").to_theirs(normal(2, 6), {})


# ---- stateful -----------------------------------------------------------------------------------


class Affine:
    def __init__(self, W, b=0.0):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, dy.sum(0)
        return dy @ self.W.T


LAYOUT = {"W": "weight: o i -> i o", "b": "bias"}


class ByAttribute(Affine):
    def __init__(self):
        super().__init__(None, None)


class ByDict(Affine):
    def __init__(self):
        self.params, self.grads = {"W": None, "b": 0.0}, {}

    def forward(self, x):
        self.W, self.b = self.params["W"], self.params["b"]
        return super().forward(x)

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads = {"W": self.dW, "b": self.db}
        self.grad_list = [self.dW, self.db]
        self.grad_W, self.grad_b = self.dW, self.db
        return dx


class ByList(ByDict):
    def __init__(self, in_features, out_features):
        self.params, self.grads = [np.empty((in_features, out_features)), None], [None, None]

    def forward(self, x):
        self.W, self.b = self.params
        return Affine.forward(self, x)

    def backward(self, dy):
        dx = Affine.backward(self, dy)
        self.grads = [self.dW, self.db]
        return dx


class Returning(Affine):
    def backward(self, dy):
        return super().backward(dy), self.dW, self.db


class Adding(Affine):
    def __init__(self, W, b):
        super().__init__(W, b)
        self.gW, self.gb = np.zeros_like(W), np.zeros_like(b)

    def zero(self):
        self.gW[...], self.gb[...] = 0, 0

    def backward(self, dy):
        dx = super().backward(dy)
        self.gW += self.dW
        self.gb += self.db
        return dx


class OtherNames(Affine):
    def __call__(self, x):
        return super().forward(x)

    def grad(self, dy):
        return super().backward(dy)


@pytest.mark.parametrize(
    "adapted",
    [
        adapt.stateful(Affine, LAYOUT),
        adapt.stateful(Affine, LAYOUT, shared=True),
        adapt.stateful(lambda W, b: Affine(W, b), LAYOUT),
        adapt.stateful(ByAttribute, LAYOUT),
        adapt.stateful(
            ByDict, {"params.W": "weight: o i -> i o", "params.b": "bias"}, grads="grads.{}"
        ),
        adapt.stateful(
            ByDict, {"params.W": "weight: o i -> i o", "params.b": "bias"}, grads="grad_{}"
        ),
        adapt.stateful(
            ByDict, {"params.W": "weight: o i -> i o", "params.b": "bias"}, grads="grads"
        ),
        adapt.stateful(
            ByDict, {"params.W": "weight: o i -> i o", "params.b": "bias"}, grads="grad_list"
        ),
        adapt.stateful(
            ByDict,
            {"params.W": "weight: o i -> i o", "params.b": "bias"},
            grads={"params.W": "grad_W", "params.b": "grads.b"},
        ),
        adapt.stateful(
            ByList, {"params.0": "weight: o i -> i o", "params.1": "bias"}, grads="grads.{}"
        ),
        adapt.stateful(Returning, LAYOUT, grads="return"),
        adapt.stateful(Adding, LAYOUT, grads="g{}", zero_grad="zero"),
        adapt.stateful(OtherNames, LAYOUT, forward="__call__", backward="grad"),
    ],
)
def test_stateful_knows_where_parameters_and_gradients_are(adapted):
    check_linear(adapted, linear_case())


def test_a_parameter_that_a_case_does_not_have_is_not_handed_over():
    check_linear(adapt.stateful(Affine, LAYOUT), linear_case(bias=False))
    with pytest.raises(ConfigError, match=r"missing a required argument: 'b'.*only="):
        adapt.stateful(Adding, LAYOUT)(linear_case(bias=False))


def test_batch_axes_can_be_joined():
    adapted = adapt.stateful(
        Affine, LAYOUT, inputs={"x": "... i -> (...) i"}, outputs="... o -> (...) o"
    )
    for batch in ((), (3,), (2, 3), (0, 2)):
        check_linear(adapted, linear_case(batch=batch))


def test_columns_in_place_of_rows():
    class Columns(Affine):
        def forward(self, x):
            return super().forward(x.T).T

        def backward(self, dy):
            return super().backward(dy.T).T

    check_linear(adapt.stateful(Columns, LAYOUT, inputs="n i -> i n"), linear_case())


def test_the_object_may_write_into_its_own_parameters():
    class Reckless(Affine):
        def forward(self, x):
            y = super().forward(x)
            self.W = self.W + 0.0
            return y

        def __init__(self, W, b):
            W += 1
            W -= 1
            super().__init__(W, b)

    case = linear_case()
    before = case.state["weight"].copy()
    adapt.stateful(Reckless, LAYOUT)(case)
    np.testing.assert_array_equal(case.state["weight"], before)


def test_gradients_written_in_place_are_kept_as_copies():
    class InPlace(Adding):
        def backward(self, dy):
            self.zero()
            return super().backward(dy)

    forward = adapt.stateful(InPlace, LAYOUT, grads="g{}")(linear_case())
    first = forward.vjp(normal(3, 2)).params["weight"]
    kept = first.copy()
    forward.vjp(normal(3, 2))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("shared", [False, True])
def test_a_shared_object_shows_a_cache_that_is_overwritten(shared):
    adapted = adapt.stateful(Affine, LAYOUT, shared=shared)
    case = linear_case()
    dy = normal(3, 2)
    forward = adapted(case)
    adapted(Case(case.config, case.state, (normal(3, 4),)))
    same = np.allclose(forward.vjp(dy).params["weight"], dy.T @ case.inputs[0])
    assert same is not shared


def test_configuration_is_handed_over_by_name_mapping_or_function():
    class Scale:
        def __init__(self, out_features=None, factor=None):
            self.factor = factor or out_features

        def forward(self, x):
            return x * self.factor

        def backward(self, dy):
            return dy * self.factor

    case = linear_case(o=7)
    for config in (
        None,
        {"factor": "out_features"},
        {"factor": 7},
        {"factor": lambda c: c["in_features"] + 3},
        lambda c: {"factor": c["in_features"] + 3},
    ):
        forward = adapt.stateful(Scale, config=config)(case)
        close(forward.y, 7 * case.inputs[0])
    with pytest.raises(ConfigError, match=r"'out_feature', which does not exist.*'out_features'"):
        adapt.stateful(Scale, config={"factor": "out_feature"})(case)
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'size'"):
        adapt.stateful(Scale, config={"size": "out_features"})(case)


def test_forward_gets_the_configuration_that_only_it_has_a_name_for():
    class Dropout:
        def __init__(self, p):
            self.p = p

        def forward(self, x, training, rng):
            self.keep = (rng.random(x.shape) >= self.p) / (1 - self.p) if training else 1.0
            return x * self.keep

        def backward(self, dy):
            return dy * self.keep

    x = normal(50)
    for training in (True, False):
        case = Case({"p": 0.5, "training": training}, {}, (x,), rng=np.random.default_rng(1))
        forward = adapt.stateful(Dropout)(case)
        keep = (np.random.default_rng(1).random(50) >= 0.5) / 0.5 if training else np.ones(50)
        close(forward.y, x * keep)
        close(forward.vjp(x).inputs[0], x * keep)


class BatchNorm:
    def __init__(self, eps, momentum):
        self.eps, self.momentum = eps, momentum
        self.gamma = self.beta = self.mean = self.var = self.count = None

    def forward(self, x):
        mean, var = x.mean(0), x.var(0)
        self.mean *= 1 - self.momentum  # in place, on purpose
        self.mean += self.momentum * mean
        self.var = (1 - self.momentum) * self.var + self.momentum * x.var(0, ddof=1)
        self.count = self.count + 1
        self.rstd = 1 / np.sqrt(var + self.eps)
        self.xhat = (x - mean) * self.rstd
        return self.xhat * self.gamma + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.xhat).sum(0), dy.sum(0)
        dxhat = dy * self.gamma
        return self.rstd * (dxhat - dxhat.mean(0) - self.xhat * (dxhat * self.xhat).mean(0))


def test_what_forward_changes_in_buffers_is_an_update():
    module = nn.BatchNorm1d(3).double()
    state = {name: t.numpy().copy() for name, t in module.state_dict().items()}
    x = normal(5, 3)
    adapted = adapt.stateful(
        BatchNorm,
        {"gamma": "weight", "beta": "bias"},
        buffers={
            "mean": "running_mean",
            "var": "running_var",
            "count": "num_batches_tracked",
        },
    )
    case = Case({"eps": 1e-5, "momentum": 0.1, "training": True}, state, (x,))
    forward = adapted(case)
    t = torch.tensor(x, requires_grad=True)
    y = module(t)
    close(forward.y, y.detach().numpy())
    assert forward.updates.keys() == {"running_mean", "running_var", "num_batches_tracked"}
    for name, after in forward.updates.items():
        close(after, module.state_dict()[name].numpy())
    dy = normal(5, 3)
    y.backward(torch.tensor(dy))
    grads = forward.vjp(dy)
    close(grads.inputs[0], t.grad.numpy())
    assert grads.params.keys() == {"weight", "bias"}


class Squares:
    """A loss of two inputs whose backward takes no argument."""

    def forward(self, prediction, target):
        self.d = prediction - target
        return (self.d**2).mean()

    def backward(self):
        return 2 * self.d / self.d.size


def test_a_loss_without_dy_is_scaled_and_the_target_has_no_gradient():
    x, t = normal(3, 2), normal(3, 2)
    forward = adapt.stateful(Squares)(Case({}, {}, (x, t)))
    dx, dt = forward.vjp(np.array(2.5)).inputs
    close(dx, 2.5 * 2 * (x - t) / 6)
    assert dt is None


def test_a_loss_without_dy_must_be_a_scalar():
    class Elementwise(Squares):
        def forward(self, prediction, target):
            super().forward(prediction, target)
            return self.d**2

    forward = adapt.stateful(Elementwise)(Case({}, {}, (normal(3), normal(3))))
    with pytest.raises(ConfigError, match="no scalar"):
        forward.vjp(np.ones(3))


def test_several_outputs_take_as_many_cotangents():
    class Split:
        def forward(self, x):
            return x[:1], x[1:]

        def backward(self, da, db):
            return np.concatenate([da, 3 * db])

    x = normal(4)
    forward = adapt.stateful(Split)(Case({}, {}, (x,)))
    assert len(forward.y) == 2
    close(forward.vjp((x[:1], x[1:])).inputs[0], np.concatenate([x[:1], 3 * x[1:]]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dtypes_pass_through(dtype):
    case = linear_case()
    small = Case(
        case.config,
        {n: a.astype(dtype) for n, a in case.state.items()},
        tuple(x.astype(dtype) for x in case.inputs),
    )
    forward = adapt.stateful(Affine, LAYOUT)(small)
    grads = forward.vjp(forward.y)
    assert {forward.y.dtype, grads.inputs[0].dtype, grads.params["weight"].dtype} == {
        np.dtype(dtype)
    }


@pytest.mark.parametrize(
    ("adapted", "complaint"),
    [
        (
            lambda: adapt.stateful(Affine, LAYOUT, grads="grad_{}"),
            "after backward(dy) the Affine has no attribute 'grad_W' for the gradient of 'W' "
            "(no grad_W); it has W, b, x, dW, db. Set grads=",
        ),
        (
            lambda: adapt.stateful(Affine, {"W": "wieght: o i -> i o", "b": "bias"}),
            "names 'wieght', which the twin's state_dict does not have. Did you mean 'weight'?",
        ),
        (
            lambda: adapt.stateful(ByAttribute, {"V": "weight: o i -> i o", "b": "bias"}),
            "ByAttribute has neither a constructor argument nor an attribute 'V'",
        ),
        (
            lambda: adapt.stateful(Affine, {"W": "weight: o c i -> i c o", "b": "bias"}),
            "is for 3 axes, but weight has 2: shape (2, 4)",
        ),
        (lambda: adapt.stateful(Affine, {"W": "o i -> i o"}), "must begin with torch's name"),
        (lambda: adapt.stateful(Affine, {"W": "weight: o i"}), "needs one arrow"),
        (lambda: adapt.stateful(Affine, ["weight"]), "layout must map your names to torch's"),
        (lambda: adapt.stateful(Affine, {"W": 3}), "but has 'W': 3"),
        (lambda: adapt.stateful(Affine, LAYOUT, config=3), "config must map your arguments"),
        (lambda: adapt.stateful(Affine, LAYOUT, inputs=(3,)), "inputs must be layouts"),
        (lambda: adapt.stateful(Affine, LAYOUT, inputs="n c i -> i n c"), "but input 0 has 2"),
        (lambda: adapt.stateful(Affine, LAYOUT, backward="bprop"), "has no method 'bprop'"),
        (
            lambda: adapt.stateful(Affine, LAYOUT, buffers={"m": "bias"}),
            "Affine has neither a constructor argument nor an attribute 'm'",
        ),
        (lambda: adapt.stateful(Returning, LAYOUT), "If gradients of parameters come with them"),
        (
            lambda: adapt.stateful(ByDict, {"params.W": "weight: o i -> i o"}, grads="grad_list"),
            "holds 2 gradients, but the layout names ['params.W']",
        ),
        (
            lambda: adapt.stateful(Affine, LAYOUT, grads="return"),
            "returned 1 gradients, but the case has 1 inputs and the parameters ['W', 'b']",
        ),
    ],
)
def test_a_mistake_in_the_arguments_is_told(adapted, complaint):
    with pytest.raises(ConfigError) as raised:
        adapted()(linear_case()).vjp(normal(3, 2))
    assert complaint in str(raised.value)


# ---- operation, pair, tensors -------------------------------------------------------------------


class Multiply:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.param_grad = self.x.T @ dy
        return dy @ self.W.T


class Add:
    def __init__(self, b):
        self.b = b

    def forward(self, x):
        return x + self.b

    def backward(self, dy):
        self.param_grad = dy.sum(0, keepdims=True)
        return dy


def test_operations_in_a_row():
    layout = {"W": "weight: o i -> i o", "b": "bias: o -> 1 o"}
    check_linear(adapt.operation(lambda W, b: [Multiply(W), Add(b)], layout), linear_case())
    check_linear(adapt.operation(Multiply, {"W": layout["W"]}), linear_case(bias=False))


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)


@pytest.mark.parametrize("names", ["wb", "WB"])
def test_pair_hands_parameters_over_by_name_or_in_order(names):
    layout = {names[0]: "weight: o i -> i o", names[1]: "bias"}
    check_linear(adapt.pair(affine_forward, affine_backward, layout), linear_case())


def test_pair_leaves_out_what_a_case_does_not_have():
    def forward(x, w, b=None):
        return x @ w + (0 if b is None else b), (x, w)

    for layout in (LAYOUT, {"w": "weight: o i -> i o", "b": "bias"}):
        check_linear(adapt.pair(forward, affine_backward, layout), linear_case(bias=False))


def test_pair_of_a_loss_that_returns_its_gradient():
    def loss(x, t):
        return ((x - t) ** 2).sum(), 2 * (x - t)

    x, t = normal(3), normal(3)
    for adapted in (
        adapt.pair(loss),
        adapt.pair(loss, lambda cache: cache),
        adapt.pair(loss, lambda dy, cache: dy * cache),
    ):
        forward = adapted(Case({}, {}, (x, t)))
        close(forward.y, ((x - t) ** 2).sum())
        dx, dt = forward.vjp(np.array(3.0)).inputs
        close(dx, 6 * (x - t))
        assert dt is None


def test_pair_complains_of_what_is_no_pair():
    with pytest.raises(ConfigError, match=r"must return \(y, cache\), but returned ndarray"):
        adapt.pair(lambda x: x, lambda dy, c: dy)(Case({}, {}, (normal(3),)))
    forward = adapt.pair(affine_forward, lambda dy, c: dy, {"w": "weight: o i -> i o", "b": "bias"})
    with pytest.raises(ConfigError, match="returned 1 gradients"):
        forward(linear_case()).vjp(normal(3, 2))


@pytest.mark.parametrize("joined", [False, True])
def test_channels_last(joined):
    def forward(x, W):  # a convolution with kernel 1
        y = x.reshape(-1, x.shape[-1]) @ W
        return (y if joined else y.reshape(*x.shape[:-1], -1)), (x, W)

    def backward(dy, cache):
        x, W = cache
        rows = dy.reshape(-1, W.shape[1])
        return (rows @ W.T).reshape(x.shape), x.reshape(-1, W.shape[0]).T @ rows

    outputs = "n o h w -> (n h w) o" if joined else None
    adapted = adapt.pair(
        forward,
        backward,
        {"W": "weight: o c kh kw -> (c kh kw) o"},
        inputs={"x": "n c h w -> n h w c"},
        outputs=outputs,
    )
    x, W, dy = normal(2, 3, 4, 5), normal(6, 3, 1, 1), normal(2, 6, 4, 5)
    found = adapted(Case({}, {"weight": W}, (x,)))
    a, b = (torch.tensor(v, requires_grad=True) for v in (x, W))
    y = nn.functional.conv2d(a, b)
    y.backward(torch.tensor(dy))
    close(found.y, y.detach().numpy())
    grads = found.vjp(dy)
    close(grads.inputs[0], a.grad.numpy())
    close(grads.params["weight"], b.grad.numpy())


class Scalarish:
    """A tensor whose backward starts at a scalar, without an argument."""

    def __init__(self, data, parents=()):
        self.data, self.parents, self.grad = data, parents, None

    def __mul__(self, other):
        return Scalarish(
            self.data * other.data,
            ((self, lambda g: g * other.data), (other, lambda g: g * self.data)),
        )

    def matmul(self, other):
        return Scalarish(
            self.data @ other.data,
            ((self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g)),
        )

    def __add__(self, other):
        return Scalarish(self.data + other.data, ((self, lambda g: g), (other, lambda g: g.sum(0))))

    def sum(self):
        return Scalarish(self.data.sum(), ((self, lambda g: g * np.ones_like(self.data)),))

    def backward(self):
        self._back(np.ones_like(self.data))

    def _back(self, g):
        self.grad = g if self.grad is None else self.grad + g
        for parent, function in self.parents:
            parent._back(function(g))


def test_tensors_whose_backward_has_no_argument():
    adapted = adapt.tensors(lambda x, W, b: x.matmul(W) + b, Scalarish, LAYOUT)
    check_linear(adapted, linear_case())
    ordered = adapt.tensors(
        lambda x, *p: x.matmul(p[0]) + p[1],
        Scalarish,
        LAYOUT,
        seed=lambda y, dy: (y * dy).sum().backward(),
    )
    check_linear(ordered, linear_case())
    with pytest.raises(ConfigError, match="returned a float"):
        adapt.tensors(lambda x: 1.0, Scalarish)(Case({}, {}, (normal(3),)))


# ---- optimizers ---------------------------------------------------------------------------------


def sgd(config, params, grads_per_step, lr=None):
    found = []
    for k, grads in enumerate(grads_per_step):
        rate = config["lr"] if lr is None else lr[k]
        params = {n: p if grads[n] is None else p - rate * grads[n] for n, p in params.items()}
        found.append(params)
    return found


class Descent:
    def __init__(self, lr):
        self.lr = lr

    def update(self, params, grads):
        for name in params:
            params[name] -= self.lr * grads[name]


class Pure(Descent):
    def update(self, params, grads):
        return {name: p - self.lr * grads[name] for name, p in params.items()}


@pytest.mark.parametrize("f", [sgd, Descent, Pure])
def test_optimizers(f):
    params = {"a": normal(3), "b": normal()}
    grads = tuple({"a": normal(3), "b": None if k == 1 else normal()} for k in range(3))
    case = OptimizerCase({"lr": 0.5}, params, grads, (0.5, 0.25, 0.125))
    before = {n: p.copy() for n, p in params.items()}
    steps = adapt.optimizer(f)(case)
    assert len(steps) == 3
    for step, g, lr in zip(steps, grads, case.lr, strict=True):
        params = {n: p if g[n] is None else p - lr * g[n] for n, p in params.items()}
        for name in params:
            close(step[name], params[name])
    for name, p in before.items():
        np.testing.assert_array_equal(case.params[name], p)


def test_a_function_without_lr_takes_the_configuration_alone():
    def constant(config, params, grads_per_step):
        return sgd(config, params, grads_per_step)

    case = OptimizerCase({"lr": 0.5}, {"a": np.ones(1)}, ({"a": np.ones(1)},) * 2, (0.5, 0.5))
    close(adapt.optimizer(constant)(case)[1]["a"], np.zeros(1))
    with pytest.raises(ConfigError, match="for classes"):
        adapt.optimizer(constant, config={"lr": "lr"})


# ---- torch --------------------------------------------------------------------------------------


class LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, W, b=None):
        ctx.save_for_backward(x, W)
        ctx.has_bias = b is not None
        y = x @ W
        return y if b is None else y + b

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        return dy @ W.T, x.T @ dy, dy.sum(0) if ctx.has_bias else None


class NewLinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(x, W, b=None):
        y = x @ W
        return y if b is None else y + b

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, W, b = inputs
        ctx.save_for_backward(x, W)
        ctx.has_bias = b is not None

    backward = LinearFunction.backward


class MyLinear(nn.Module):
    def __init__(self, in_features, out_features, bias):
        super().__init__()
        self.W = nn.Parameter(torch.empty(in_features, out_features))
        self.b = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x):
        return LinearFunction.apply(x, self.W, self.b)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("f", "layout"),
    [
        (nn.Linear, None),
        (nn.Linear(4, 2), None),
        (MyLinear, LAYOUT),
        (LinearFunction, LAYOUT),
        (NewLinearFunction, LAYOUT),
        (nn.functional.linear, {"weight": "weight", "bias": "bias"}),
        (lambda x, W, b=0.0: x @ W + b, LAYOUT),
        (lambda x, *p: x @ p[0] + (p[1] if p[1] is not None else 0), LAYOUT),
    ],
)
def test_torch_functions_and_modules(f, layout, bias):
    if isinstance(f, nn.Module) and not bias:
        f = nn.Linear(4, 2, bias=False)
    check_linear(adapt.torch_function(f, layout), linear_case(bias=bias))


def test_a_module_with_other_names_needs_a_layout():
    with pytest.raises(ConfigError, match="Say in a layout which is which"):
        adapt.torch_function(MyLinear)(linear_case())
    with pytest.raises(ConfigError, match="torch_function needs an"):
        adapt.torch_function(3)


def test_an_instance_is_not_changed():
    module = nn.Linear(4, 2)
    before = module.weight.detach().clone()
    adapt.torch_function(module)(linear_case())
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, before)


def test_masks_of_a_fused_dropout_come_from_the_case():
    def fused(x, p):
        return torch.native_dropout(x, p, True)[0]

    x, dy = normal(50), normal(50)
    case = Case({"p": 0.25, "training": True}, {}, (x,), rng=np.random.default_rng(1))
    keep = (np.random.default_rng(1).random(50) >= 0.25) / 0.75
    forward = adapt.torch_function(fused)(case)
    close(forward.y, x * keep)
    close(forward.vjp(dy).inputs[0], dy * keep)


@pytest.mark.parametrize("name", [n for n, spec in SPECS.items() if not spec.schedule])
def test_torch_itself_never_diverges_from_its_twin(name):
    report = run(correct("torch", name), examples=15)
    found = [f for f in report.findings if f.verdict in DIVERGED | BROKEN]
    assert not found, found[0].message


# ---- where things stand -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapted", "forward", "backward"),
    [
        (adapt.stateful(Affine, LAYOUT), "Affine.forward", "Affine.backward"),
        (
            adapt.stateful(OtherNames, LAYOUT, forward="__call__", backward="grad"),
            "OtherNames.__call__",
            "OtherNames.grad",
        ),
        (adapt.pair(affine_forward, affine_backward), "affine_forward", "affine_backward"),
        (adapt.operation(Multiply, LAYOUT), "Multiply.forward", "Multiply.backward"),
        (adapt.optimizer(Descent), "Descent.update", "Descent.update"),
        (adapt.optimizer(sgd), "sgd", "sgd"),
        (adapt.torch_function(LinearFunction), "LinearFunction.forward", "LinearFunction.backward"),
        (adapt.torch_function(MyLinear), "MyLinear.forward", "MyLinear.forward"),
    ],
)
def test_sources_are_the_users_own_lines(adapted, forward, backward):
    c = candidate("Linear")(adapted)
    assert (c.sources["forward"].function, c.sources["backward"].function) == (forward, backward)
    with open(c.sources["forward"].file) as file:
        line = file.read().splitlines()[c.sources["forward"].line - 1]
    assert line.strip().startswith(("def ", "@staticmethod"))


def test_the_class_behind_a_function_is_found_with_the_first_call():
    adapted = adapt.stateful(lambda W, b: Affine(W, b), LAYOUT)
    c = candidate("Linear")(adapted)
    assert "lambda" in c.sources["forward"].function
    c(linear_case())
    assert c.sources["backward"].function == "Affine.backward"
    tensors = adapt.tensors(lambda x, W, b: x.matmul(W) + b, Scalarish, LAYOUT)
    tensors(linear_case())
    assert tensors.sources["backward"].function == "Scalarish.backward"


def test_a_candidate_has_the_name_of_the_code():
    assert candidate("Linear")(adapt.stateful(Affine, LAYOUT)).name == "Affine"
    assert candidate("Linear")(adapt.pair(affine_forward, affine_backward)).name == "affine_forward"
    assert candidate("Linear")(adapt.torch_function(MyLinear)).name == "MyLinear"


def test_adapters_load_no_torch():
    code = "import sys, npnet.verify.adapt; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = adapt.nothing
