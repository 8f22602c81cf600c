"""A model and its training: held against torch step by step, and what is refused."""

import math
import weakref
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from npnet import nn, optim
from npnet.contract import ConfigError, DtypeError, IndexRangeError, ShapeError
from npnet.optim import lr_scheduler
from npnet.train import EarlyStopping, Model, NonFiniteLossError, networks, text
from npnet.train.metrics import accuracy, binary_accuracy
from npnet.twins import to_torch

RTOL = 1e-9  # between two float64 computations of a few steps


def rng(seed=0):
    return np.random.default_rng(seed)


def in_float64(model, seed=0):
    model.init(rng(seed))
    model.state = {
        n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in model.state.items()
    }
    return model


def twin_of(model):
    """The layers as a torch module with the same names and state."""
    module = torch.nn.Sequential(
        OrderedDict((name, to_torch(layer, {})) if not layer.init(rng()) else
                    (name, to_torch(layer, _part(model.state, name)))
                    for name, layer in model.layers.items())
    )  # fmt: skip
    module.load_state_dict({n: torch.tensor(a) for n, a in model.state.items()})
    return module


def _part(state, name):
    return {n.removeprefix(f"{name}."): a for n, a in state.items() if n.startswith(f"{name}.")}


def agree(state, module):
    theirs = module.state_dict()
    assert list(state) == list(theirs)
    for name, t in theirs.items():
        assert state[name].dtype == t.numpy().dtype
        np.testing.assert_allclose(state[name], t.numpy(), rtol=RTOL, atol=1e-12, err_msg=name)


def follow(model, module, optimizer, batches, forward=None, clip=lambda parameters: None):
    """Train both on the same batches: every loss and, at the end, every number is the same."""
    loss_of = torch.nn.CrossEntropyLoss()
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_of((forward or module)(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        clip(module.parameters())
        optimizer.step()
        assert model.step(x, y, rng()) == pytest.approx(loss.item(), rel=RTOL)
    agree(model.state, module)


def images(count, shape=(1, 8, 8), steps=4, classes=10):
    draw = rng(1)
    for _ in range(steps):
        yield draw.standard_normal((count, *shape)), draw.integers(0, classes, count)


# ---- the same numbers as torch -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_networks_follow_torch(name):
    model = in_float64(networks.classifier(name, 8, 8, 10, lr=1e-3))
    module = twin_of(model)
    optimizer = getattr(torch.optim, networks.RECIPES[name].optimizer.__name__)
    follow(model, module, optimizer(module.parameters(), lr=1e-3), images(7))


def test_lstm_follows_torch():
    characters = text.Characters.of(text.zen())
    x, y = text.windows(characters.numbers(text.zen()), 12, 100)
    model = in_float64(networks.reader(len(characters.known), lr=5e-3))
    module = torch.nn.ModuleDict({n: to_torch(layer, _part(model.state, n))
                                  for n, layer in model.layers.items()})  # fmt: skip

    def forward(x):
        return module["fc"](module["lstm"](module["embedding"](x))[0]).transpose(1, 2)

    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    follow(model, module, optimizer, [(x, y)] * 4, forward, lambda p: clip_grad_norm_(p, 1.0))


def test_a_network_with_buffers_follows_torch():
    """Running statistics follow, and no optimizer touches them: weight_decay would."""
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 4)]
    sgd = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    model = in_float64(Model(layers, nn.CrossEntropyLoss(), optim.SGD(**sgd), clip_value=0.05))
    module = twin_of(model)
    follow(
        model, module, torch.optim.SGD(module.parameters(), **sgd), images(5, classes=4),
        clip=lambda p: clip_grad_value_(p, 0.05),
    )  # fmt: skip
    assert model.state["1.num_batches_tracked"] == 4
    assert set(model.optimizer_state.momentum_buffer) == {n for n, _ in module.named_parameters()}

    module.eval()
    (x, y), *_ = images(5, classes=4)
    np.testing.assert_allclose(model.predict(x), module(torch.tensor(x)).detach().numpy(), RTOL)
    loss = torch.nn.CrossEntropyLoss()(module(torch.tensor(x)), torch.tensor(y))
    assert model.evaluate(x, y)["loss"] == pytest.approx(loss.item(), rel=RTOL)


class Wired(torch.nn.Module):
    def __init__(self, parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        h = self.norm(self.inwards(x))
        h = self.norm(h + self.shared(h).tanh())  # norm sees two batches a step
        return self.outwards(h + self.shared(h))


def wired(call, x):
    h = call("norm", call("inwards", x))
    h = call("norm", h + call("shared", h).tanh())
    return call("outwards", h + call("shared", h))


def test_shared_layers_and_skip_connections_follow_torch():
    layers = {
        "inwards": nn.Linear(5, 6),
        "norm": nn.BatchNorm1d(6),
        "shared": nn.Linear(6, 6),
        "outwards": nn.Linear(6, 3),
    }
    model = in_float64(Model(layers, nn.CrossEntropyLoss(), optim.AdamW(), forward=wired))
    module = Wired({n: to_torch(part, _part(model.state, n)) for n, part in layers.items()})
    optimizer = torch.optim.AdamW(module.parameters())
    follow(model, module, optimizer, images(4, (5,), classes=3))
    assert model.state["norm.num_batches_tracked"] == 8


def test_groups_and_a_table_whose_rows_are_cut_short_follow_torch():
    """max_norm changes the weight in the pass: its step begins from there."""
    layers = {"table": nn.Embedding(9, 4, max_norm=1.0), "out": nn.Linear(4, 9)}
    groups = optim.Groups(
        optim.SGD(lr=0.1), ({"params": ("table.weight",)},
                            {"params": ("out.weight", "out.bias"), "lr": 0.5}),
    )  # fmt: skip
    model = in_float64(Model(layers, nn.CrossEntropyLoss(), groups))
    module = twin_of(model)
    optimizer = torch.optim.SGD(
        [{"params": module.table.parameters()}, {"params": module.out.parameters(), "lr": 0.5}], 0.1
    )
    draw = rng()
    follow(model, module, optimizer, [draw.integers(0, 9, (2, 5)) for _ in range(3)])


def test_a_loss_with_weights_of_its_own():
    weight = np.array([1.0, 2.0, 3.0])
    model = in_float64(Model([nn.Linear(4, 3)], nn.CrossEntropyLoss(weight), optim.SGD(lr=0.1)))
    (x, y), *_ = images(6, (4,), classes=3)
    want = torch.nn.CrossEntropyLoss(torch.tensor(weight))(
        torch.nn.functional.linear(*(torch.tensor(a) for a in (x, model.state["0.weight"],
                                                               model.state["0.bias"]))),
        torch.tensor(y),
    )  # fmt: skip
    assert model.step(x, y) == pytest.approx(want.item(), rel=RTOL)
    np.testing.assert_array_equal(model.state["loss.weight"], weight)


def test_several_inputs_and_targets():
    def forward(call, a, b):
        return call("one", a), call("one", b)

    model = in_float64(Model({"one": nn.Linear(3, 2)}, nn.MarginRankingLoss(), optim.SGD(lr=0.1),
                             forward=forward))  # fmt: skip
    a, b, sign = rng().standard_normal((6, 3)), rng(1).standard_normal((6, 3)), np.ones((6, 2))
    history = model.fit((a, b), sign, epochs=3, batch_size=4, rng=0)
    assert history["loss"][2] < history["loss"][0]
    assert [y.shape for y in model.predict((a, b), batch_size=4)] == [(6, 2), (6, 2)]


# ---- a step --------------------------------------------------------------------------------------


def test_loss_and_grads_is_pure():
    model = in_float64(networks.classifier("cnn", 8, 8, 10, lr=1e-3))
    (x, y), *_ = images(3)
    before = {n: a.copy() for n, a in model.state.items()}
    first = model.loss_and_grads(model.state, x, y)
    again = model.loss_and_grads(model.state, x, y)
    assert first[0] == again[0]
    assert first[1].keys() == model.state.keys()
    for n, a in before.items():
        np.testing.assert_array_equal(model.state[n], a)
        np.testing.assert_array_equal(first[1][n], again[1][n])


def test_only_parameters_have_gradients_and_only_buffers_are_updated():
    model = Model([nn.Linear(3, 4), nn.BatchNorm1d(4)], nn.MSELoss(), optim.SGD())
    model.init(rng())
    x = rng().standard_normal((5, 3)).astype(np.float32)
    _, grads, updates, prediction = model.loss_and_grads(model.state, x, np.zeros_like(x[:, :1]))
    assert list(grads) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(updates) == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert prediction.shape == (5, 4)
    assert {a.dtype for a in grads.values()} == {np.dtype(np.float32)}


def test_what_layers_have_made_is_let_go_of_unless_it_is_kept():
    """The record holds no data: between two layers only the second may need it, or a wiring."""
    made = {}

    def forward(call, x):
        for name in ("0", "1", "2"):
            x = call(name, x)
            made[name] = weakref.ref(x) if name == "0" else x.retain_grad()
        return x + made["1"] * 2

    model = in_float64(
        Model([nn.Linear(4, 3), nn.Tanh(), nn.ReLU()], nn.MSELoss(), optim.SGD(), forward=forward)
    )
    (x, _), *_ = images(5, (4,))
    alive = []
    model.loss = type("Watched", (), {
        "init": lambda self, rng: {},
        "__call__": lambda self, *given: alive.append(made["0"]()) or nn.MSELoss()(*given),
    })()  # fmt: skip
    _, grads, _, y = model.loss_and_grads(model.state, x, np.zeros((5, 3)))
    assert alive == [None]
    d = 2 * y / y.size
    np.testing.assert_allclose(made["2"].grad, d)
    inner = d * (2 + (made["1"].data > 0))
    np.testing.assert_allclose(made["1"].grad, inner)
    slope = inner * (1 - made["1"].data ** 2)
    np.testing.assert_allclose(grads["0.weight"], slope.T @ x)


def test_layers_that_draw_get_the_generator():
    model = Model([nn.Linear(4, 50), nn.Sequential(nn.Dropout(0.5))], nn.MSELoss(), optim.SGD())
    model.init(rng())
    x, y = np.ones((3, 4), np.float32), np.zeros((3, 50), np.float32)
    losses = [model.loss_and_grads(model.state, x, y, rng(seed))[0] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert (model.predict(x) != 0).all()  # nothing is dropped, nested as it is


def test_evaluation_reaches_the_layers_inside_of_others():
    block = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.9)
    layers = [nn.TransformerEncoder(block, 2), nn.LSTM(4, 4, 2, dropout=0.9)]
    model = Model(layers, nn.MSELoss(), optim.SGD(),
                  forward=lambda call, x: call("1", call("0", x))[0])  # fmt: skip
    model.init(rng())
    x = rng().standard_normal((5, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x), model.predict(x))


def test_the_names_are_those_of_torch_sequential():
    layers = [nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1))]
    for given in (layers, tuple(layers), nn.Sequential(*layers)):
        model = Model(given, nn.MSELoss(), optim.SGD())
        model.init(rng())
        assert list(model.state) == ["0.weight", "0.bias", "1.1.weight", "1.1.bias"]


# ---- fit -----------------------------------------------------------------------------------------


def toy(count=60, seed=3):
    draw = rng(seed)
    x = draw.standard_normal((count, 4)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int64)


def small(**options):
    layers = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)]
    options.setdefault("optimizer", optim.SGD(lr=0.1))
    return Model(layers, nn.CrossEntropyLoss(), metrics=["accuracy"], **options)


def test_fit_learns_and_tells_of_it():
    model = small()
    x, y = toy()
    history = model.fit(x, y, epochs=20, batch_size=16, validation=0.2, rng=0)
    assert history is model.history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert len(history) == 20
    assert len(history.steps) == 20 * 3  # of 48 samples
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert model.evaluate(x, y)["accuracy"] > 0.9
    assert (model.steps, model.epochs) == (60, 20)


def test_a_seed_decides_everything():
    runs = [small() for _ in range(3)]
    for model, seed in zip(runs, (0, 0, 1), strict=True):
        model.fit(*toy(), epochs=2, batch_size=16, validation=0.1, rng=seed)
    assert runs[0].history == runs[1].history != runs[2].history


def test_values_are_means_over_samples_whatever_the_batches():
    model = small()
    model.init(rng())
    x, y = toy(50)
    whole = model.evaluate(x, y, batch_size=50)
    for size in (1, 7, 49):
        assert model.evaluate(x, y, size) == pytest.approx(whole, rel=1e-5)
        np.testing.assert_allclose(model.predict(x, size), model.predict(x), rtol=1e-4, atol=1e-6)
    model.optimizer = optim.SGD(lr=0.0)
    history = model.fit(x, y, batch_size=7, validation=(x, y), rng=0)
    assert history["loss"][0] == pytest.approx(whole["loss"], rel=1e-5)
    assert history["val_accuracy"][0] == history["accuracy"][0] == whole["accuracy"]


def test_every_sample_is_seen_once_an_epoch():
    seen = []

    def forward(call, x):
        seen.append(x.data[:, 0].copy())
        return call("one", x)

    model = Model({"one": nn.Linear(1, 1)}, nn.MSELoss(), optim.SGD(lr=0.0), forward=forward)
    x = np.arange(10, dtype=np.float32)[:, None]
    model.fit(x, x, epochs=2, batch_size=4, rng=0)
    rehearsal, *steps = seen
    assert len(rehearsal) == 2
    first, second = np.concatenate(steps[:3]), np.concatenate(steps[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_rates_of_a_schedule():
    by_epoch = small(schedule=lr_scheduler.StepLR(0.1, step_size=1, gamma=0.5))
    history = by_epoch.fit(*toy(), epochs=3, batch_size=20, rng=0)
    assert history["lr"] == [0.1, 0.05, 0.025]

    moments = []
    cycle = lr_scheduler.OneCycleLR(0.4, total_steps=6)
    by_step = small(optimizer=optim.SGD(lr=9.0, momentum=0.5), schedule=cycle, schedule_by="step")
    by_step.fit(
        *toy(), epochs=2, batch_size=20, rng=0,
        callbacks=[type("Watch", (), {"on_step": lambda self, t: moments.append(
            (t.model.lr, t.model._scheduled().momentum))})()],
    )  # fmt: skip
    assert moments == [(cycle(t), cycle.momentum(t)) for t in range(1, 7)]


def test_a_scheduled_training_follows_torch():
    model = in_float64(small(schedule=lr_scheduler.ExponentialLR(0.1, 0.5), schedule_by="step"))
    module = twin_of(model)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    follow(model, module, optimizer, images(5, (4,), classes=2))


def test_a_plateau_lowers_the_rate():
    plateau = lr_scheduler.ReduceLROnPlateau(1e-9, patience=0, factor=0.5, eps=0.0)
    model = small(schedule=plateau)
    history = model.fit(*toy(), epochs=3, batch_size=60, rng=0)
    assert history["lr"][0] == 1e-9
    assert history["lr"][2] < 1e-9


def test_early_stopping_ends_and_restores_the_best():
    x, y = toy()
    wrong = (x[:10], 1 - y[:10])  # becomes worse with every epoch
    stopping = EarlyStopping(patience=3)
    states = []
    model = small()
    history = model.fit(
        x, y, epochs=50, batch_size=20, validation=wrong, rng=0,
        callbacks=[stopping, lambda t: states.append(t.model.state)],
    )  # fmt: skip
    assert stopping.best_epoch == 1 + int(np.argmin(history["val_loss"]))
    assert len(history) == stopping.best_epoch + 3
    assert model.state == states[stopping.best_epoch - 1]


def test_a_function_may_stop():
    def enough(training):
        training.stop = "enough" if training.epoch == 2 else None

    assert len(small().fit(*toy(), epochs=9, callbacks=[enough], rng=0)) == 2


def test_a_loss_that_is_not_finite_ends_the_training():
    x, y = toy()
    model = small(optimizer=optim.SGD(lr=1e30))
    with pytest.raises(NonFiniteLossError, match=r"in epoch 1, step \d of 3.*lower rate than lr="):
        model.fit(x, y, epochs=9, batch_size=20, rng=0)
    assert math.isfinite(model.history.steps[-1])

    x[17, 2] = np.nan
    model = small()
    with pytest.raises(NonFiniteLossError, match="The batch itself holds nan or inf"):
        model.fit(x, y, epochs=9, batch_size=20, rng=0)
    assert all(np.isfinite(a).all() for a in model.state.values())


# ---- metrics -------------------------------------------------------------------------------------


def test_metrics():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(scores, np.array([1, 0, 0])) == 2 / 3
    assert accuracy(np.stack([scores, scores], 2), np.array([[1, 1], [0, 0], [0, 1]])) == 5 / 6
    assert binary_accuracy(np.array([-1.0, 2.0]), np.array([0.0, 0.0])) == 0.5
    with pytest.raises(ShapeError, match=r"but got \(3, 2\) and \(2,\)"):
        accuracy(scores, np.array([1, 0]))
    own = Model([nn.Linear(2, 1)], nn.MSELoss(), optim.SGD(), {"bias": lambda p, t: (p - t).mean()})
    assert list(own.fit(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))) == [
        "loss", "bias",
    ]  # fmt: skip


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": np.zeros(59, np.int64)}, ShapeError, "x has 60, y has 59"),
        ({"y": np.full(60, 2)}, IndexRangeError, "labels from 0 to 1.*but got 2"),
        ({"y": np.zeros(60, np.int32)}, DtypeError, r"target.astype\(np.int64\)"),
        ({"y": np.zeros(60)}, DtypeError, "labels of dtype int64"),
        ({"x": np.zeros((60, 5), np.float32)}, ShapeError, "You might need in_features=5"),
        ({"x": np.zeros((60, 4))}, DtypeError, "x and its state in one dtype"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, np.int64)}, ConfigError, "one sample or more"),
        ({"x": "abc"}, ConfigError, "array of numbers with the samples along its first axis"),
        ({"epochs": 0}, ConfigError, "epochs needs to be a whole number >= 1, but is 0"),
        ({"batch_size": 2.5}, ConfigError, "batch_size needs to be a whole number >= 1.*2.5"),
        ({"validation": 1.5}, ConfigError, "more than none and less than all of them, but is 1.5"),
        ({"validation": 0.001}, ConfigError, "part of the 60 samples that is more than none"),
        ({"validation": "x"}, ConfigError, r"validation needs to be \(x, y\), or a part"),
        ({"validation": (1, 2, 3)}, ConfigError, "has 3 entries"),
        (
            {"validation": (np.zeros((2, 4), np.float32), np.array([0, 7]))},
            IndexRangeError,
            "but got 7",
        ),
        ({"callbacks": [EarlyStopping]}, ConfigError, r"You might need EarlyStopping\(…\)"),
        ({"callbacks": ["bar"]}, ConfigError, "a callback needs to be a function, or to have one"),
        (
            {"callbacks": [type("Mine", (), {"on_epoch_end": print})()]},
            ConfigError,
            r"which has on_epoch_end \(on_epoch\?\)",
        ),
        ({"callbacks": [EarlyStopping()]}, ConfigError, r"'val_loss'.*You might need validation="),
    ],
)  # fmt: skip
def test_fit_says_what_it_needs(change, error, message):
    x, y = toy()
    with pytest.raises(error, match=message):
        small().fit(**{"x": x, "y": y, "rng": 0, **change})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Model([], nn.MSELoss(), optim.SGD()), "one layer or more, but got"),
        (lambda: Model(nn.ReLU(), nn.MSELoss(), optim.SGD()), r"You might need \[layer\]"),
        (lambda: Model([nn.ReLU], nn.MSELoss(), optim.SGD()), r"You might need ReLU\(\)"),
        (lambda: Model([nn.ReLU()], nn.MSELoss, optim.SGD()), "the loss needs to be a layer"),
        (lambda: Model({"loss": nn.ReLU()}, nn.MSELoss(), optim.SGD()), "may be called 'loss'"),
        (lambda: Model([nn.ReLU()], nn.MSELoss(), optim.LBFGS()), "LBFGS asks for many"),
        (lambda: small(clip_norm=0.0), "clip_norm needs to be more than 0"),
        (lambda: small(schedule_by="batch"), "'epoch' or 'step', but is 'batch'"),
        (lambda: Model([nn.ReLU()], nn.MSELoss(), optim.SGD(), ["acuracy"]), "mean 'accuracy'"),
        (lambda: Model([nn.ReLU()], nn.MSELoss(), optim.SGD(), {"loss": max}), "called 'loss'"),
        (lambda: EarlyStopping(patience=0), "patience >= 1"),
        (lambda: small().step(*toy()), r"model.init\(np.random.default_rng\(0\)\)"),
        (lambda: small().predict(toy()[0]), "a model with a state"),
    ],
)
def test_a_model_says_what_it_needs(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_wiring_says_which_layer_there_is_not():
    model = Model({"first": nn.Linear(4, 2)}, nn.CrossEntropyLoss(), optim.SGD(),
                  forward=lambda call, x: call("frist", x))  # fmt: skip
    with pytest.raises(ConfigError, match=r"no layer 'frist'\. Did you mean 'first'\?"):
        model.fit(*toy(), rng=0)


def test_a_loss_must_come_to_one_number():
    model = Model([nn.Linear(4, 2)], nn.CrossEntropyLoss(reduction="none"), optim.SGD())
    with pytest.raises(ConfigError, match=r"come to one number.*reduction='mean'"):
        model.fit(*toy(), rng=0)


def test_an_entry_of_no_layer_is_named():
    model = small()
    model.init(rng())
    model.state["fc.weight"] = model.state.pop("0.weight")
    with pytest.raises(ConfigError, match=r"\(0, 1, 2, loss\), but one is 'fc.weight'"):
        model.step(*toy())


# ---- safetensors, there and back -----------------------------------------------------------------


def test_what_is_saved_is_loaded_by_torch(tmp_path):
    import safetensors.torch

    model = Model([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)], nn.MSELoss(), optim.SGD())
    model.init(rng())
    model.step(np.ones((2, 1, 5, 5), np.float32), np.ones((2, 2, 3, 3), np.float32))
    model.save(tmp_path / "deep" / "model.safetensors")
    module = twin_of(model)
    for tensor in module.state_dict().values():
        tensor.zero_()
    module.load_state_dict(safetensors.torch.load_file(tmp_path / "deep" / "model.safetensors"))
    agree(model.state, module)


def test_what_torch_has_saved_is_loaded(tmp_path):
    import safetensors.torch

    model = in_float64(small())
    module = twin_of(model)
    safetensors.torch.save_file(module.state_dict(), tmp_path / "m.safetensors")
    fresh = small()
    fresh.load(tmp_path / "m.safetensors")
    agree(fresh.state, module)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("0.bias"), ConfigError, "'0.bias' is missing"),
        (
            lambda s: s.update({"0.wieght": s.pop("0.weight")}),
            ConfigError,
            r"'0.weight' is missing \(it has '0.wieght'\)",
        ),
        (lambda s: s.update(more=s["0.bias"]), ConfigError, "'more' is unknown"),
        (
            lambda s: s.update({"2.bias": np.zeros(3, np.float32)}),
            ShapeError,
            r"'2.bias' to have shape \(2,\), but it has \(3,\)",
        ),
        (lambda s: s.update({"2.bias": np.zeros(2, np.int64)}), DtypeError, "but it is int64"),
        (
            lambda s: s.update({"2.bias": np.zeros(2)}),
            DtypeError,
            "floats of one dtype, but holds float32 and float64",
        ),
    ],
)
def test_a_file_of_another_model_is_refused(tmp_path, change, error, message):
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    model = small()
    model.init(rng())
    state = dict(model.state)
    change(state)
    save_file(state, path)
    before = model.state
    with pytest.raises(error, match=message):
        model.load(path)
    assert model.state is before


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ConfigError, match="needs to be a safetensors file"):
        small().load(tmp_path / "text")
    with pytest.raises(ConfigError, match="No such file"):
        small().load(tmp_path / "nothing")
    model = small()
    model.init(rng())
    with pytest.raises(ConfigError, match="a place to write to"):
        model.save(tmp_path / "text" / "below")
