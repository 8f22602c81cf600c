"""npnet's own layers and optimizers, all of them, by the one table of specs."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn as torch_nn

from npnet import nn, optim
from npnet.autograd import Tensor
from npnet.optim import lr_scheduler
from npnet.twins import SPECS
from npnet.twins.spec import accepts
from npnet.verify import run
from npnet.verify.coverage import Coverage
from npnet.verify.finding import Verdict
from npnet.verify.settings import Settings
from npnet.verify.targets import build, native
from npnet.verify.trial import Trial

LAYERS = [name for name in SPECS if "." not in name]
OPTIMIZERS = [name for name in SPECS if name.startswith("optim.")]
SCHEDULES = [name for name in SPECS if name.startswith("lr_scheduler.")]
OPERATIONS = [name for name in SPECS if name.startswith("autograd.")]
NO_OPERATIONS = {"backward", "receive", "requires_grad_", "retain_grad", "zero_grad"}
NO_OPERATIONS |= {"detach", "item", "numpy"}
LEFT_OUT = {"device", "dtype", "params", "foreach", "fused", "capturable", "differentiable"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", SPECS)
def test_agrees_with_its_twin(name, dtype):
    report = run(
        name, examples=12 if name in ("RNN", "LSTM", "GRU") else 25, dtypes=(dtype,), seed=7
    )

    wrong = [f for f in report.findings if f.verdict is not Verdict.INSUFFICIENT]
    assert not wrong, [f"{f.quantity}: {f.verdict}: {f.message}" for f in wrong]
    assert report.layers[0].outcomes[dtype].fallbacks == ()


def test_every_layer_has_a_spec_and_every_spec_a_layer():
    classes = {n: v for n, v in vars(nn).items() if isinstance(v, type) and hasattr(v, "init")}
    layers = {n for n in classes if hasattr(torch_nn, n)}
    optimizers = {f"optim.{n}" for n, v in vars(optim).items() if hasattr(v, "step")}
    optimizers = {n for n in optimizers if not n.endswith("State")} - {"optim.Groups"}

    schedules = {f"lr_scheduler.{n}" for n, v in vars(lr_scheduler).items() if isinstance(v, type)}
    schedules -= {"lr_scheduler.PlateauState"}

    methods = {f"autograd.{n}" for n, v in vars(Tensor).items() if inspect.isfunction(v)}
    operations = {n for n in methods if not n.removeprefix("autograd.").startswith("_")}
    operations -= {f"autograd.{n}" for n in NO_OPERATIONS}

    assert operations == set(OPERATIONS)
    assert layers == set(LAYERS)
    assert optimizers == set(OPTIMIZERS)
    assert schedules == set(SCHEDULES)


def arguments(function):
    """name -> default of a constructor, less what npnet leaves out; functions by their names."""
    found = {}
    for name, p in inspect.signature(function).parameters.items():
        if name not in LEFT_OUT | {"self", "training"}:
            found[name] = p.default.__name__ if inspect.isfunction(p.default) else p.default
    return found


def states_its_arguments(name):
    """torch's recurrent layers and its activations without options take *args."""
    kinds = [
        p.kind for p in inspect.signature(getattr(torch_nn, name).__init__).parameters.values()
    ]
    return inspect.Parameter.VAR_POSITIONAL not in kinds


@pytest.mark.parametrize("name", [n for n in LAYERS if states_its_arguments(n)])
def test_arguments_are_those_of_the_twin(name):
    ours, theirs = getattr(nn, name), getattr(torch_nn, name)
    mine, want = arguments(ours.__init__), arguments(theirs.__init__)
    if "bias" in mine and not accepts(theirs.__init__, "bias"):
        mine.pop("bias")  # newer than the installed torch

    assert list(mine) == list(want)
    assert list(mine.values()) == list(want.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_arguments_are_those_of_the_twin(name):
    name = name.removeprefix("optim.")
    mine = arguments(getattr(optim, name).__init__)
    want = arguments(getattr(torch.optim, name).__init__)

    assert set(mine) == set(want)
    assert {k: mine[k] for k in want} == want


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_arguments_are_those_of_the_twin(name):
    """Less last_epoch, as there is nothing to resume; the first rate stands for the optimizer."""
    name = name.removeprefix("lr_scheduler.")
    mine = arguments(getattr(lr_scheduler, name).__init__)
    want = arguments(getattr(torch.optim.lr_scheduler, name).__init__)
    left_out = {"optimizer", "last_epoch"}

    assert [n for n in mine if n != "lr"] == [n for n in want if n not in left_out]
    assert {n: mine[n] for n in want if n not in left_out} == {
        n: default for n, default in want.items() if n not in left_out
    }


def drawn(name, count):
    """Some examples of a twin."""
    found = []
    trial = Trial(
        native(name), SPECS[name], "float32", Settings(examples=count), print, Coverage(), None
    )
    trial._given(lambda question: found.append(question.example), shrinks=False)
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_init_draws_what_the_twin_has(name):
    for example in drawn(name, 12):
        config = example.case(example.one(0)).config
        state = build(name, config).init(np.random.default_rng(0))
        want = {n[6:]: a[0] for n, a in example.arrays.items() if n.startswith("state ")}

        assert list(state) == list(want)
        for key, value in state.items():
            assert value.shape == want[key].shape, key
            assert value.dtype == want[key].dtype, key


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Linear", {"in_features": 40, "out_features": 50}),
        ("Bilinear", {"in1_features": 9, "in2_features": 8, "out_features": 30}),
        ("Conv1d", {"in_channels": 8, "out_channels": 12, "kernel_size": 5, "groups": 2}),
        ("Conv2d", {"in_channels": 6, "out_channels": 12, "kernel_size": 3, "groups": 2}),
        ("Conv3d", {"in_channels": 6, "out_channels": 4, "kernel_size": 2}),
        ("ConvTranspose1d", {"in_channels": 8, "out_channels": 12, "kernel_size": 5}),
        ("ConvTranspose2d", {"in_channels": 6, "out_channels": 12, "kernel_size": 3, "groups": 2}),
        ("ConvTranspose3d", {"in_channels": 6, "out_channels": 4, "kernel_size": 2}),
        ("Embedding", {"num_embeddings": 60, "embedding_dim": 40, "padding_idx": 3}),
        ("EmbeddingBag", {"num_embeddings": 60, "embedding_dim": 40, "padding_idx": 3}),
        (
            "AdaptiveLogSoftmaxWithLoss",
            {"in_features": 40, "n_classes": 90, "cutoffs": (20, 50), "div_value": 2.0}
            | {"head_bias": True},
        ),
        ("LSTM", {"input_size": 20, "hidden_size": 24, "num_layers": 2, "proj_size": 5}),
        ("RNN", {"input_size": 20, "hidden_size": 24, "num_layers": 2, "bidirectional": True}),
        ("GRU", {"input_size": 20, "hidden_size": 24, "num_layers": 2}),
        ("RNNCell", {"input_size": 20, "hidden_size": 24}),
        ("LSTMCell", {"input_size": 20, "hidden_size": 24}),
        ("GRUCell", {"input_size": 20, "hidden_size": 24}),
        ("BatchNorm2d", {"num_features": 4}),
        ("InstanceNorm3d", {"num_features": 4, "affine": True, "track_running_stats": True}),
        ("GroupNorm", {"num_groups": 2, "num_channels": 6}),
        ("LayerNorm", {"normalized_shape": (3, 4)}),
        ("RMSNorm", {"normalized_shape": (3, 4)}),
        ("PReLU", {"num_parameters": 3, "init": 0.5}),
    ],
)
def test_init_has_the_distribution_of_reset_parameters(name, config):
    """Kolmogorov-Smirnov of two samples, at a level that no right initialiser reaches."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    ours = [build(name, config).init(rng) for _ in range(4)]
    twin = [getattr(torch_nn, name)(**config).state_dict() for _ in range(4)]
    for key in ours[0]:
        mine = np.concatenate([s[key].ravel() for s in ours])
        want = np.concatenate([s[key].numpy().ravel() for s in twin])
        if np.unique(want).size <= 2:
            assert set(np.unique(mine)) == set(np.unique(want)), key
        else:
            assert ks_2samp(mine, want).pvalue > 1e-6, key
            assert np.abs(mine).max() <= np.abs(want).max() * 1.1, key


@pytest.mark.parametrize("name", OPERATIONS)
def test_docstring_of_an_operation_opens_with_its_formula(name):
    assert getattr(Tensor, name.removeprefix("autograd.")).__doc__.startswith("y = ")


@pytest.mark.parametrize("name", [name for name in SPECS if name not in OPERATIONS])
def test_docstring_says_what_a_porter_needs(name):
    package = {"optim": optim, "lr_scheduler": lr_scheduler}.get(name.split(".")[0], nn)
    cls = getattr(package, name.split(".")[-1])

    assert "Twin: torch." in cls.__doc__
    assert cls.__dataclass_params__.frozen
    assert all(f.name != "state" for f in fields(cls))


def test_a_whole_network_keeps_its_precision():
    """float32 in, float32 everywhere: outputs, gradients and updates."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 5), nn.LayerNorm(5), nn.Dropout(0.25), nn.LogSoftmax(1),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    state = network.init(rng)
    x = rng.standard_normal((3, 1, 4, 4), dtype=np.float32)
    forward = network(state, x, rng=rng)
    grads = forward.vjp(rng.standard_normal(forward.y.shape, dtype=np.float32))
    arrays = [forward.y, *grads.inputs, *grads.params.values()]

    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert {forward.updates["1.running_var"].dtype} == {np.dtype(np.float32)}
