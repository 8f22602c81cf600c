"""Whole networks held against torch: right ones agree, and a planted mistake is named."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn as tnn

from npnet import nn, optim
from npnet.autograd import Tensor
from npnet.contract import ConfigError, Forward, Grads
from npnet.report.text import render
from npnet.train import Model
from npnet.twins.whole.stepper import clipped
from npnet.verify import Network, TrainingRun, adapt, model
from npnet.verify.finding import Verdict
from npnet.verify.precision import PRECISIONS
from tests.networks import PLANTED, RIGHT, STEPS, batches, seeded, shared


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_network_agrees_in_every_layer_and_step(name):
    report = RIGHT[name].verify()

    assert report.findings == []
    assert report.exit_code == 0
    for trace in report.traces:
        states = {cell.state for cells in trace.layers.values() for cell in cells}
        assert states <= {"ok", "fresh", "unknown"}
        assert all(cells[0].state == "ok" for cells in trace.layers.values())


@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.name)
def test_the_layer_and_the_step_of_a_planted_mistake_are_named(planted):
    report = planted.training.verify()

    first = report.findings[0]
    assert (first.layer, first.step) == (planted.layer, planted.step)
    assert first.quantity.startswith(planted.quantity)
    assert {f.layer for f in report.findings} == {planted.layer}
    assert report.exit_code == 1


# ---- what a candidate may be ---------------------------------------------------------------------


def gradients(case):
    """A network of two layers in one function, with its loss."""
    x, t = case.inputs
    W1, b1 = case.state["0.weight"], case.state["0.bias"]
    W2, b2 = case.state["2.weight"], case.state["2.bias"]
    h = np.maximum(x @ W1.T + b1, 0)
    z = h @ W2.T + b2
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    rows = np.arange(len(t))

    def vjp(dy):
        dz = p.copy()
        dz[rows, t] -= 1
        dz *= dy / len(t)
        dh = dz @ W2 * (h > 0)
        return Grads(
            (None, None),
            {
                "0.weight": dh.T @ x,
                "0.bias": dh.sum(0),
                "2.weight": dz.T @ h,
                "2.bias": dz.sum(0),
            },
        )

    return Forward(-np.log(p[rows, t]).mean().astype(x.dtype), vjp)


def two_layers():
    return seeded(lambda: tnn.Sequential(tnn.Linear(6, 8), tnn.ReLU(), tnn.Linear(8, 3)))


def test_a_function_that_is_the_whole_network_with_its_loss():
    asked = (two_layers(), batches(), optim.SGD(lr=0.125))

    report = model(Network(whole=gradients, has_loss=True), *asked, loss=tnn.CrossEntropyLoss())

    assert report.exit_code == 0
    assert {r.layer for r in report.layers} == {"optimizer", "network"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_first_wrong_gradient_of_a_whole_network_is_named_by_its_layer(dtype):
    def wrong(case):
        right = gradients(case)

        def vjp(dy):
            found = dict(right.vjp(dy).params)
            found["0.weight"] = found["0.weight"] * 2
            return Grads((None, None), found)

        return Forward(right.y, vjp)

    report = model(
        Network(whole=wrong, has_loss=True),
        two_layers(),
        batches(),
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
        dtypes=(dtype,),
    )

    (finding,) = report.findings
    assert (finding.layer, finding.quantity, finding.step) == ("0", "gradient of weight", 1)
    assert "2.weight" not in finding.quantity
    assert "gradient of bias of 2" in finding.explanations[0].text


def test_torch_optimizers_groups_and_rates_are_taken_over():
    module = two_layers()
    groups = [
        {"params": list(module[0].parameters())},
        {"params": list(module[2].parameters()), "lr": 0.25},
    ]
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)]

    report = model(
        layers,
        module,
        batches(),
        torch.optim.SGD(groups, lr=0.125, momentum=0.5),
        loss=tnn.CrossEntropyLoss(),
        lr=lambda step: 0.5 ** (step + 2),
    )

    assert report.findings == []


def test_an_object_with_forward_and_backward_is_a_layer():
    class Relu:
        def forward(self, x):
            self.mask = x > 0
            return x * self.mask

        def backward(self, dy):
            return dy * self.mask

    layers = [nn.Linear(6, 8), Relu(), nn.Linear(8, 3)]

    report = model(
        layers, two_layers(), batches(), optim.SGD(lr=0.125), loss=tnn.CrossEntropyLoss()
    )

    assert report.exit_code == 0


def test_a_module_that_has_no_twin_is_asked_as_it_is():
    class Scaled(tnn.Module):
        def __init__(self):
            super().__init__()
            self.scale = tnn.Parameter(torch.full((3,), 1.5))

        def forward(self, x):
            return x * self.scale**2

    def scaled(case, slip=1.0):
        x, s = case.inputs[0], case.state["scale"]

        def vjp(dy):
            return Grads((dy * s**2,), {"scale": (slip * 2 * dy * x * s).sum(0)})

        return Forward(x * s**2, vjp)

    module = seeded(lambda: tnn.Sequential(tnn.Linear(6, 3), Scaled()))
    asked = (module, batches(), optim.SGD(lr=0.125))
    loss = tnn.CrossEntropyLoss()

    assert model([nn.Linear(6, 3), scaled], *asked, loss=loss).exit_code == 0
    report = model([nn.Linear(6, 3), partial(scaled, slip=0.5)], *asked, loss=loss)
    assert [(f.layer, f.quantity) for f in report.findings] == [("1", "gradient of scale")]


def test_tied_parameters_get_one_gradient_of_both_uses():
    class Tied(tnn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = tnn.Linear(6, 6, bias=False), tnn.Linear(6, 6, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    def wired(call, x):
        return call("second", call("first", x).tanh())

    layers = {n: nn.Linear(6, 6, bias=False) for n in ("first", "second")}

    report = model(
        Network(layers, wired),
        seeded(Tied),
        batches(classes=6),
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
    )

    assert report.findings == []


# ---- chaos, breakdowns, what is carried ----------------------------------------------------------


def test_where_rounding_may_have_done_anything_it_says_so_and_fails_nobody():
    long = replace(RIGHT["residual"], batches=batches() * 4)

    report = long.verify(dtypes=("float32",))

    (trace,) = report.traces
    assert report.exit_code == 0
    assert trace.comparable is not None
    assert all(cells[-1].state == "fresh" for cells in trace.layers.values())
    assert f"no longer comparable from step {trace.comparable}" in render(report)


def test_a_mistake_of_a_late_step_is_found_where_the_run_says_nothing():
    def forgets(config, params, grads, lr):
        found, v = [], {n: np.zeros_like(p) for n, p in params.items()}
        for k, (g, rate) in enumerate(zip(grads, lr, strict=True)):
            v = {n: (0 if k == 14 else config["momentum"]) * v[n] + g[n] for n in v}
            params = {n: params[n] - rate * v[n] for n in v}
            found.append(params)
        return found

    own = Network(RIGHT["shared"].candidate.layers, shared, optimizer=adapt.optimizer(forgets))
    report = replace(RIGHT["shared"], candidate=own, batches=batches() * 4).verify()

    assert (report.findings[0].layer, report.findings[0].step) == ("optimizer", 15)


def test_a_layer_that_breaks_down_is_named():
    def broken(case):
        raise ZeroDivisionError("no such row")

    layers = [nn.Linear(6, 8), broken, nn.Linear(8, 3)]

    report = model(
        layers, two_layers(), batches(), optim.SGD(lr=0.125), loss=tnn.CrossEntropyLoss()
    )

    assert report.exit_code == 3
    assert [f.layer for f in report.findings] == ["1"]
    assert "no such row" in report.findings[0].message


def test_a_wiring_that_breaks_down_is_named():
    def wired(call, x):
        return call("out", call("fc", x) + np.zeros((5, 5)))

    own = Network(RIGHT["shared"].candidate.layers, wired)

    report = replace(RIGHT["shared"], candidate=own).verify(dtypes=("float64",))

    assert report.exit_code == 3
    assert [f.layer for f in report.findings] == ["wiring"]


def test_what_is_kept_between_the_steps_of_the_whole_run_is_found():
    calls = []

    def wired(call, x):
        calls.append(1)
        late = len(calls) == STEPS + 3  # after every step by itself: the third of the run
        return call("2", call("1", call("0", x * (1.5 if late else 1.0))))

    layers = {"0": nn.Linear(6, 8), "1": nn.ReLU(), "2": nn.Linear(8, 3)}
    report = model(
        Network(layers, wired),
        two_layers(),
        batches(),
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
        dtypes=("float64",),
    )

    (finding,) = report.findings
    assert (finding.protocol, finding.step, finding.quantity) == ("carried", 3, "input 0 of 0")


# ---- what cannot be held together ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"candidate": {"fc": nn.Linear(6, 8)}}, "the candidate has a layer 'fc'"),
        ({"candidate": [nn.Linear(6, 8), nn.ReLU()]}, "'2.weight' belongs to none"),
        ({"candidate": 3}, "a network must be"),
        ({"candidate": []}, "needs either layers"),
        ({"module": 3}, "must be a torch.nn.Module"),
        ({"loss": 3}, "must be a module of torch"),
        ({"loss": None}, "which without loss= is all of a batch"),
        ({"optimizer": None}, "needs an optimizer"),
        ({"optimizer": optim.LBFGS()}, "that steps by dense gradients"),
        ({"batches": []}, "at least one batch"),
        ({"lr": [0.5]}, "a rate for each of 4 steps"),
        ({"loss": tnn.CrossEntropyLoss(reduction="none")}, "the loss must be one number"),
    ],
)
def test_what_cannot_be_held_together_is_refused(change, says):
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)]
    right = TrainingRun(
        layers, two_layers(), batches(), optim.SGD(lr=0.125), loss=tnn.CrossEntropyLoss()
    )

    with pytest.raises(ConfigError, match=re.escape(says)):
        replace(right, **change).verify()


def test_an_optimizer_of_other_parameters_is_refused():
    other = torch.optim.SGD(two_layers().parameters(), lr=0.125)
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)]

    with pytest.raises(ConfigError, match="must step the parameters of the module"):
        model(layers, two_layers(), batches(), other, loss=tnn.CrossEntropyLoss())


def test_a_layer_of_a_wrong_name_in_the_wiring_is_refused():
    def wired(call, x):
        return call("fc9", x)

    own = Network(RIGHT["shared"].candidate.layers, wired)

    with pytest.raises(ConfigError, match="no layer 'fc9'"):
        replace(RIGHT["shared"], candidate=own).verify()


# ---- clipping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [{"clip_norm": 0.125}, {"clip_value": 0.03}])
def test_clipped_gradients_are_held_against_torchs(clip):
    right = replace(RIGHT["residual"], **clip)

    assert right.verify().findings == []

    def wrong(grads):
        norm = max(float(np.sqrt((g**2).sum())) for g in grads.values())  # of each by itself
        return {n: g * min(1.0, 0.0625 / (norm + 1e-6)) for n, g in grads.items()}

    own = replace(right.candidate, clip=wrong)
    first = replace(right, candidate=own).verify(dtypes=("float64",)).findings[0]
    assert first.quantity.startswith("clipped gradient of ")
    assert first.step == 1


def test_clipping_is_torchs():
    grads = {n: torch.randn(3, 2, dtype=torch.float64) for n in "ab"}
    params = {n: torch.nn.Parameter(torch.zeros_like(g)) for n, g in grads.items()}
    for n, p in params.items():
        p.grad = grads[n].clone()
    torch.nn.utils.clip_grad_value_(params.values(), 0.75)
    torch.nn.utils.clip_grad_norm_(params.values(), 0.5)

    found = clipped(grads, 0.75, 0.5, PRECISIONS["float64"])

    for n, p in params.items():
        torch.testing.assert_close(found[n], p.grad)


# ---- constants that a format does not have -------------------------------------------------------


def padded(value):
    module = seeded(
        lambda: tnn.Sequential(
            tnn.ConstantPad1d(1, 0.1),
            tnn.Hardtanh(-0.3, 0.7),
            tnn.Softshrink(0.1),
            tnn.Linear(8, 3),
        )
    )
    layers = [
        nn.ConstantPad1d(1, value),
        nn.Hardtanh(-0.3, 0.7),
        nn.Softshrink(0.1),
        nn.Linear(8, 3),
    ]
    optimizer = optim.Adam(lr=0.003, betas=(0.9, 0.999))
    return TrainingRun(layers, module, batches(), optimizer, loss=tnn.CrossEntropyLoss())


def test_a_constant_that_a_format_does_not_have_raises_no_alarm():
    assert padded(0.1).verify().findings == []


def test_a_constant_that_is_another_does():
    assert padded(0.1 + 1e-5).verify(dtypes=("float32",)).findings[0].layer == "0"


# ---- the adapters --------------------------------------------------------------------------------


class TwoLayer:
    """A whole network as courses have it: two layers with ReLU, scores, gradients on itself."""

    def __init__(self, W1, b1, W2, b2):
        self.W1, self.b1, self.W2, self.b2 = W1, b1, W2, b2

    def forward(self, x):
        self.x = x
        self.h = np.maximum(x @ self.W1 + self.b1, 0)
        return self.h @ self.W2 + self.b2

    def backward(self, dy):
        self.dW2, self.db2 = self.h.T @ dy, dy.sum(0)
        dh = dy @ self.W2.T * (self.h > 0)
        self.dW1, self.db1 = self.x.T @ dh, dh.sum(0)
        return dh @ self.W1.T


class Overwritten(TwoLayer):
    """The same, with some of the second gradient of a bias in the first."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.db1 = self.db1 + self.db2.max()
        return dx


LAYOUT = {
    "W1": "0.weight: o i -> i o",
    "b1": "0.bias",
    "W2": "2.weight: o i -> i o",
    "b2": "2.bias",
}


@pytest.mark.parametrize(("build", "named"), [(TwoLayer, []), (Overwritten, [("0", "bias")])])
def test_a_class_that_is_the_whole_network_goes_through_its_adapter(build, named):
    whole = Network(whole=adapt.stateful(build, LAYOUT))

    report = model(
        whole, two_layers(), batches(), optim.Adam(lr=0.0625), loss=tnn.CrossEntropyLoss()
    )

    assert [(f.layer, f.quantity) for f in report.findings] == [
        (layer, f"gradient of {name}") for layer, name in named
    ]


def affine_forward(x, w, b):
    return x @ w.T + b, (x, w)


def affine_backward(dy, cache):
    x, w = cache
    return dy @ w, dy.T @ x, dy.sum(0)


def test_layers_in_every_style_make_one_network():
    layers = [
        adapt.pair(affine_forward, affine_backward, {"w": "weight", "b": "bias"}),
        adapt.tensors(lambda x: x.relu(), partial(Tensor, requires_grad=True)),
        adapt.torch_function(tnn.Linear(8, 3)),
    ]

    report = model(
        layers, two_layers(), batches(), optim.SGD(lr=0.125), loss=tnn.CrossEntropyLoss()
    )

    assert report.findings == []


def test_what_was_found_before_an_interruption_is_told():
    asked = []

    def interrupted(case):
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return nn.ReLU()(case.state, *case.inputs)

    def wrong(case):
        right = nn.Linear(6, 8)(case.state, *case.inputs)
        return Forward(right.y * 2, right.vjp)

    report = model(
        [wrong, interrupted, nn.Linear(8, 3)],
        two_layers(),
        batches(),
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
    )

    assert [(f.layer, f.quantity) for f in report.findings] == [("0", "y")]
    assert any("interruption" in text for text in report.not_verified)


# ---- npnet's own models --------------------------------------------------------------------------


def small(**options):
    layers = {"fc1": nn.Linear(6, 5), "act": nn.Tanh(), "fc2": nn.Linear(5, 3)}
    found = Model(layers, nn.CrossEntropyLoss(), optim.Adam(lr=0.0625), **options)
    found.init(np.random.default_rng(0))
    return found


def test_a_model_brings_its_twin_its_loss_and_its_optimizer():
    report = model(small(), None, batches())

    assert report.findings == []
    assert [r.layer for r in report.layers] == [
        "fc1", "act", "fc2", "loss", "optimizer", "wiring"
    ]  # fmt: skip


def test_what_is_verified_is_what_a_model_does_when_it_trains():
    schedule = optim.lr_scheduler.ExponentialLR(lr=0.0625, gamma=0.5)
    options = {"clip_norm": 0.25, "schedule": schedule, "schedule_by": "step"}
    own = small(**options)
    own.state = {name: a.astype("float64") for name, a in own.state.items()}
    steps = {}

    def note(event):
        if event["event"] == "step" and event["dtype"] == "float64":
            steps[event["step"]] = event["own"].state

    model(small(**options), None, batches(), dtypes=("float64",), on_event=note)

    for k, (x, y) in enumerate(batches(), start=1):
        own.step(x, y)
        for name, a in own.state.items():
            assert np.array_equal(steps[k][name], a), (k, name)


def test_a_wiring_of_its_own_needs_its_module():
    own = small(forward=lambda call, x: call("fc2", call("act", call("fc1", x))))

    with pytest.raises(ConfigError, match="a wiring of its own"):
        model(own, None, batches())


def test_a_schedule_by_epochs_needs_rates():
    own = small(schedule=optim.lr_scheduler.ExponentialLR(lr=0.0625, gamma=0.5))

    with pytest.raises(ConfigError, match="Give lr="):
        model(own, None, batches())
    assert model(own, None, batches(), lr=[0.5, 0.25, 0.125, 0.0625]).findings == []


def test_a_layer_of_which_nothing_can_be_said_is_no_pass():
    class Last(tnn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = tnn.LSTM(3, 64, num_layers=2), tnn.Linear(64, 3)

        def forward(self, x):
            return self.out(self.lstm(x)[0][-1])

    layers = {"lstm": nn.LSTM(3, 64, num_layers=2), "out": nn.Linear(64, 3)}
    own = Network(layers, lambda call, x: call("out", call("lstm", x)[0][-1]))
    rng = np.random.default_rng(0)
    long = [(rng.standard_normal((60, 4, 3)), rng.integers(0, 3, 4))]
    report = model(
        own,
        seeded(Last),
        long,
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
        dtypes=("float32",),
    )

    assert report.exit_code == 4
    assert [(f.layer, f.verdict) for f in report.findings] == [("lstm", Verdict.INSUFFICIENT)]


# ---- right networks that are written in other ways -----------------------------------------------


def small_net(*, build=None, own=None, loss=None, data=None, optimizer=None, **more):
    """A run of a small network; what is not given is right."""
    layers = {"0": nn.Linear(6, 4), "1": nn.Tanh(), "2": nn.Linear(4, 3)}
    made = build or (lambda: tnn.Sequential(tnn.Linear(6, 4), tnn.Tanh(), tnn.Linear(4, 3)))
    return TrainingRun(
        own or layers,
        seeded(made),
        batches() if data is None else data,
        optimizer or optim.SGD(lr=0.125),
        loss=loss or tnn.CrossEntropyLoss(),
        **more,
    )


def floats():
    rng = np.random.default_rng(4)
    return [(x, rng.standard_normal((len(x), 3))) for x, _ in batches()]


def squares(case):
    p, t = case.inputs
    n = p.dtype.type(p.size)
    return Forward(((p - t) ** 2).mean(), lambda d: Grads((d * 2 * (p - t) / n, None)))


def test_a_loss_need_not_go_back_to_its_target():
    own = Network(small_net().candidate, loss=squares)

    assert small_net(own=own, loss=tnn.MSELoss(), data=floats()).verify().findings == []


class InPlace(tnn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.o = tnn.Linear(6, 4), tnn.Linear(4, 3)

    def forward(self, x):
        h = self.e(x)
        h += 1
        return self.o(h)


def test_what_is_written_into_a_layers_output_is_not_the_layers():
    layers = {"e": nn.Linear(6, 4), "o": nn.Linear(4, 3)}
    own = Network(layers, lambda call, x: call("o", call("e", x) + 1))

    assert small_net(build=InPlace, own=own).verify().findings == []


def test_a_dropout_with_numbers_of_its_own_is_said_to_have_a_stand_in():
    chance = np.random.default_rng(7)

    class Drop:
        def forward(self, x):
            self.m = ((chance.random(x.shape) > 0.5) * 2.0).astype(x.dtype)
            return x * self.m

        def backward(self, dy):
            return dy * self.m

    run = small_net(
        build=lambda: tnn.Sequential(tnn.Linear(6, 4), tnn.Dropout(0.5), tnn.Linear(4, 3)),
        own=[nn.Linear(6, 4), Drop(), nn.Linear(4, 3)],
    )
    report = run.verify()

    assert report.findings == []
    assert any("numbers of its own" in text for text in report.not_verified)


@pytest.mark.parametrize(
    "loss", [tnn.CrossEntropyLoss(weight=torch.tensor([0.1, 0.5, 0.7])), tnn.CrossEntropyLoss(
        reduction="sum", label_smoothing=0.1)]
)  # fmt: skip
def test_losses_with_weights(loss):
    assert small_net(loss=loss).verify().findings == []


def head_only(config, params, grads, lr):
    found = []
    for g, rate in zip(grads, lr, strict=True):
        params = {n: p - p.dtype.type(rate) * g[n] for n, p in params.items()}
        found.append(params)
    return found


def test_an_optimizer_of_some_parameters_leaves_the_others_alone():
    run = small_net()
    some = torch.optim.SGD(run.module[2].parameters(), lr=0.125)
    own = Network(run.candidate, optimizer=head_only)

    assert replace(run, optimizer=some, candidate=own).verify().findings == []


def test_an_optimizer_that_forgets_a_parameter_is_named():
    def forgets(config, params, grads, lr):
        return [{n: a for n, a in step.items() if n != "0.weight"}
                for step in head_only(config, params, grads, lr)]  # fmt: skip

    report = small_net(own=Network(small_net().candidate, optimizer=forgets)).verify()

    assert {f.layer for f in report.findings} == {"optimizer"}


@pytest.mark.parametrize("make", [torch.optim.Adagrad, torch.optim.NAdam, torch.optim.Adamax])
def test_a_new_optimizer_of_torch_has_not_stepped(make):
    run = small_net()

    assert replace(run, optimizer=make(run.module.parameters())).verify().findings == []
    stepped = make(run.module.parameters())
    for p in run.module.parameters():
        p.grad = torch.ones_like(p)
    stepped.step()
    with pytest.raises(ConfigError, match="has stepped before"):
        replace(run, optimizer=stepped).verify()


@pytest.mark.parametrize("lr", [0.25, np.linspace(0.1, 0.01, 4), [0.0, 0.1, 0.2, 0.1]])
def test_learning_rates_may_be_any_numbers(lr):
    assert small_net(lr=lr, optimizer=optim.SGD(lr=np.float64(0.1))).verify().findings == []


def test_layers_may_be_called_by_keywords():
    class Named(InPlace):
        def forward(self, x):
            return self.o(input=self.e(input=x))

    layers = {"e": nn.Linear(6, 4), "o": nn.Linear(4, 3)}

    assert small_net(build=Named, own=layers).verify().findings == []


def test_one_output_is_the_first_of_several():
    class Attends(tnn.Module):
        def __init__(self):
            super().__init__()
            self.att, self.o = tnn.MultiheadAttention(6, 2), tnn.Linear(6, 3)

        def forward(self, x):
            h = x.reshape(4, 3, 6)
            return self.o(self.att(h, h, h)[0].reshape(12, 6))

    def wired(call, x):
        h = x.reshape(4, 3, 6)
        return call("o", call("att", h, h, h)[0].reshape(12, 6))

    layers = {"att": nn.MultiheadAttention(6, 2), "o": nn.Linear(6, 3)}

    assert small_net(build=Attends, own=Network(layers, wired)).verify().findings == []


def test_layers_of_torch_and_an_optimizer_of_npnet_are_taken_as_they_are():
    own = Network(
        {"0": tnn.Linear(6, 4), "1": nn.Tanh(), "2": nn.Linear(4, 3)},
        optimizer=optim.SGD(lr=0.125),
    )

    assert small_net(own=own).verify().findings == []
    wrong = Network(small_net().candidate, optimizer=optim.SGD(lr=0.125, momentum=0.5))
    assert small_net(own=wrong).verify().findings[0].layer == "optimizer"


def test_a_sequential_and_a_single_layer_are_networks():
    whole = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))

    assert small_net(own=whole).verify().findings == []
    one = small_net(own=nn.Linear(6, 3), build=lambda: tnn.Linear(6, 3))
    assert one.verify().findings == []


# ---- mistakes that are easily missed -------------------------------------------------------------


class Returns(tnn.Module):
    def __init__(self):
        super().__init__()
        self.e = tnn.Linear(6, 3)

    def forward(self, x, t):
        return ((self.e(x) - t) ** 2).mean()


@pytest.mark.parametrize("more", [0.0, 5.0])
def test_a_loss_that_the_network_returns_is_compared(more):
    own = Network(
        {"e": nn.Linear(6, 3)}, lambda call, x, t: ((call("e", x) - t) ** 2).mean() + more
    )
    report = model(own, seeded(Returns), floats(), optim.SGD(lr=0.125))

    assert [(f.layer, f.quantity, f.step) for f in report.findings] == (
        [("wiring", "y of loss", 1)] if more else []
    )


def test_a_buffer_that_is_changed_once_too_often_is_found_in_its_step():
    def twice(call, x):
        h = call("0", x)
        y = call("1", h)
        call("1", h)
        return call("2", y)

    layers = {"0": nn.Linear(6, 4), "1": nn.BatchNorm1d(4), "2": nn.Linear(4, 3)}
    run = small_net(
        build=lambda: tnn.Sequential(tnn.Linear(6, 4), tnn.BatchNorm1d(4), tnn.Linear(4, 3)),
        own=Network(layers, twice),
    )
    first = run.verify(dtypes=("float64",)).findings[0]

    assert (first.layer, first.step) == ("wiring", 1)
    assert "after the step of 1" in first.quantity


def test_a_gradient_where_torch_has_none_is_found():
    class Frozen(InPlace):
        def forward(self, x):
            with torch.no_grad():
                h = self.e(x)
            return self.o(h)

    layers = {"e": nn.Linear(6, 4), "o": nn.Linear(4, 3)}
    report = small_net(build=Frozen, own=layers).verify(dtypes=("float64",))

    assert [(f.layer, f.step) for f in report.findings] == [("wiring", 1)]
    assert report.findings[0].quantity.endswith("of e")


@pytest.mark.parametrize("what", ["inputs", "state", "dtype"])
def test_a_whole_function_is_held_to_the_contract(what):
    def breaks(case):
        right = gradients(case)
        y = right.y

        def vjp(dy):
            found = dict(right.vjp(dy).params)
            if what == "inputs":
                case.inputs[0][...] = 0
            if what == "state":
                case.state["0.weight"][...] -= found["0.weight"]
            if what == "dtype":
                found = {n: g.astype("float64") for n, g in found.items()}
            return Grads((None, None), found)

        return Forward(y, vjp)

    report = model(
        Network(whole=breaks, has_loss=True),
        two_layers(),
        batches(),
        optim.SGD(lr=0.125),
        loss=tnn.CrossEntropyLoss(),
    )

    assert report.exit_code == 1
    assert report.findings[0].verdict is Verdict.CONTRACT
    assert report.findings[0].step == 1


def test_a_cache_that_the_second_call_overwrites_is_told_as_that():
    class Act:
        def forward(self, x):
            self.y = np.tanh(x)
            return self.y

        def backward(self, dy):
            return dy * (1 - self.y**2)

    own = Network({**RIGHT["shared"].candidate.layers, "act": Act()}, shared)
    (first, *_) = replace(RIGHT["shared"], candidate=own).verify(dtypes=("float64",)).findings

    assert first.quantity == "gradient of input 0 of act"
    assert "the next one writes over" in first.explanations[0].text


def test_a_layer_that_is_never_called_is_told_as_that():
    own = Network(small_net().candidate, lambda call, x: call("2", call("0", x)))
    first = small_net(own=own).verify(dtypes=("float64",)).findings[0]

    assert first.explanations[0].text == "torch calls 1 here, and this network does not"


def test_what_breaks_down_over_a_wrong_layer_is_not_told_for_itself():
    def transposed(case):
        right = nn.Linear(6, 4)(case.state, *case.inputs)
        return Forward(right.y.T, lambda dy: right.vjp(dy.T))

    layers = {**small_net().candidate, "0": transposed}
    report = small_net(own=layers).verify()

    assert {f.layer for f in report.findings} == {"0"}
    swapped = {"2": nn.Linear(4, 3), "1": nn.Tanh(), "0": nn.Linear(6, 4)}
    (first,) = small_net(own=swapped).verify(dtypes=("float64",)).findings
    assert (first.layer, first.verdict) == ("wiring", Verdict.CRASH)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lr": "fast"}, "lr must be a number"),
        ({"lr": lambda k: None}, "lr must be a number"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"clip_norm": -1.0}, "clip_norm must be more than 0"),
        ({"batches": lambda: 1 / 0}, "batches() raised ZeroDivisionError"),
        ({"loss": tnn.BCELoss()}, "the loss BCELoss cannot be run"),
        (
            {"module": tnn.Sequential(tnn.Linear(6, 4), tnn.Tanh(), tnn.Linear(5, 3))},
            "cannot be run",
        ),
    ],
)
def test_what_torch_cannot_run_is_told_in_its_words(change, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        replace(small_net(), **change).verify()


def test_a_layer_must_not_have_the_name_of_a_part_of_the_run():
    class Named(tnn.Module):
        def __init__(self):
            super().__init__()
            self.loss = tnn.Linear(6, 3)

        def forward(self, x):
            return self.loss(x)

    with pytest.raises(ConfigError, match="must not be called 'loss'"):
        small_net(build=Named, own={"loss": nn.Linear(6, 3)}).verify()


def test_clipping_that_torch_does_not_do_is_refused():
    own = Network(small_net().candidate, clip=dict)

    with pytest.raises(ConfigError, match="torch would not"):
        small_net(own=own).verify()


def test_a_layer_that_changes_its_parameters_ahead_is_refused():
    def build():
        return tnn.Sequential(tnn.Embedding(5, 3, max_norm=0.5))

    words = [(np.arange(4), np.array([0, 1, 2, 0]))]

    with pytest.raises(ConfigError, match="with max_norm changes its parameters"):
        small_net(build=build, own=[nn.Embedding(5, 3, max_norm=0.5)], data=words).verify()
