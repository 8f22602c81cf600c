"""Optimizers beyond their steps: torch's state_dict both ways, groups, blocks, messages."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch

from npnet import optim
from npnet.contract import ConfigError, DtypeError, IndexRangeError, ShapeError, SparseGrad
from npnet.optim import groups as groups_module
from npnet.optim._each import BLOCK
from npnet.twins import SPECS, optimizer_from_torch, optimizer_to_torch
from npnet.twins.convert_optimizer import arrays_of, tensors_of
from npnet.verify.candidate import candidate
from npnet.verify.case import OptimizerCase
from npnet.verify.coverage import Coverage
from npnet.verify.objective import objective
from npnet.verify.settings import Settings
from npnet.verify.targets import native
from npnet.verify.trial import Trial
from tests.mutants import edited

OPTIMIZERS = [name for name in SPECS if name.startswith("optim.")]


def cases(name, dtype="float32", count=25):
    """Drawn cases of moderate numbers, and the optimizer of each."""
    drawn = []
    settings = Settings(examples=count, dtypes=(dtype,))
    trial = Trial(native(name), SPECS[name], dtype, settings, print, Coverage(), None)
    trial._given(lambda question: drawn.append(question.example), shrinks=False)
    cls = getattr(optim, name.removeprefix("optim."))
    for example in drawn:
        case = example.optimizer_case(example.one(0))
        plain = cls(**case.config)
        yield case, optim.Groups(plain, case.groups) if case.groups else plain


def given(case, k):
    return case.grads[k] if case.closure is None else case.closure


def torch_step(theirs, tensors, case, k):
    def closure():
        loss, grads = case.closure({n: p.detach().numpy().copy() for n, p in tensors.items()})
        for n, p in tensors.items():
            p.grad = torch.from_numpy(grads[n].copy())
        return torch.as_tensor(loss)

    if case.closure is not None:
        theirs.step(closure)
        return
    for n, p in tensors.items():
        g = case.grads[k][n]
        if isinstance(g, SparseGrad):
            parts = torch.from_numpy(g.indices.copy()), torch.from_numpy(g.values.copy())
            p.grad = torch.sparse_coo_tensor(*parts, g.shape, check_invariants=True)
        else:
            p.grad = None if g is None else torch.from_numpy(g.copy())
    theirs.step()


def same_state(a, b):
    for kind, of in a._asdict().items():
        other = getattr(b, kind)
        assert list(of) == list(other), kind
        for name, x in of.items():
            y = other[name]
            assert (x.shape, x.dtype) == (y.shape, y.dtype), kind
            assert x.tobytes() == y.tobytes(), kind


def near(a, b):
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    return bool((np.abs(a - b) <= 1e-4 * scale).all())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_goes_to_torch_and_back_bit_for_bit_and_both_go_on_alike(name, dtype):
    for case, optimizer in cases(name, dtype, 12):
        params, state = case.params, optimizer.init(case.params)
        params, state = optimizer.step(params, given(case, 0), state)
        theirs, tensors = optimizer_to_torch(optimizer, params, state)
        back, arrays, again = optimizer_from_torch(theirs, tensors)

        same_state(again, state)
        assert type(back) is type(optimizer)
        if case.groups:
            want = [(o, names) for o, names in optimizer.parts()]
            assert [(o, names) for o, names in back.parts()] == want
        elif name != "optim.LBFGS":  # whose max_eval torch fills in
            assert back == optimizer
        for n, p in params.items():
            assert arrays[n].tobytes() == p.tobytes()

        torch_step(theirs, tensors, case, 1)
        params, state = back.step(params, given(case, 1), again)
        if np.isfinite(np.concatenate([p.reshape(-1) for p in params.values()])).all():
            for n, p in params.items():
                # v - a² of centered RMSprop cancels, and a bit of bfloat16 is a percent of a step
                if not case.config.get("centered") and (name != "optim.Muon" or p.size < 40):
                    assert near(p, tensors[n].detach().numpy()), (case.config, n)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_torch_goes_on_in_npnet(name):
    for case, optimizer in cases(name, "float32", 12):
        theirs, tensors = optimizer_to_torch(optimizer, case.params, optimizer.init(case.params))
        torch_step(theirs, tensors, case, 0)
        torch_step(theirs, tensors, case, 1)
        ours, params, state = optimizer_from_torch(theirs, tensors)
        saved = optim.torch_state_dict(ours, params, state)
        theirs_saved = arrays_of(theirs.state_dict())

        assert list(saved["state"]) == list(theirs_saved["state"])
        for mine, want in zip(saved["param_groups"], theirs_saved["param_groups"], strict=True):
            assert {k: want[k] for k in mine} == mine
        torch_step(theirs, tensors, case, 0)
        params, _ = ours.step(params, given(case, 0), state)
        if not case.config.get("centered"):
            for n, p in params.items():
                assert near(p, tensors[n].detach().numpy()), (case.config, n)


def test_tensors_and_arrays_of_a_state_dict():
    saved = {"state": {0: {"ro": [np.ones(2)], "step": 3, "buffer": None}}, "param_groups": []}
    there = tensors_of(saved)

    assert isinstance(there["state"][0]["ro"][0], torch.Tensor)
    assert arrays_of(there)["state"][0]["ro"][0].tolist() == [1, 1]
    assert arrays_of(there)["state"][0]["step"] == 3


def test_what_is_no_optimizer_of_both_is_refused():
    class Own(torch.optim.SGD):
        pass

    p = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ConfigError, match="an optimizer of torch"):
        optimizer_from_torch(Own([p], lr=0.1), {"p": p})
    with pytest.raises(ConfigError, match="name of every parameter"):
        optimizer_from_torch(torch.optim.SGD([p], lr=0.1), {})
    sgd = optim.SGD()
    saved = optim.torch_state_dict(sgd, {"p": np.ones(1)}, sgd.init({}))
    with pytest.raises(ConfigError, match="need to hold"):
        optim.load_torch_state_dict(sgd, {"p": np.ones(1), "q": np.ones(1)}, saved)
    adam = optim.torch_state_dict(optim.Adam(), {}, optim.Adam().init({}))
    with pytest.raises(ConfigError, match="decays apart"):
        optim.load_torch_state_dict(optim.AdamW(), {}, adam)


# ---- groups --------------------------------------------------------------------------------------

GROUPS = ({"params": ("a",)}, {"params": ("b",), "lr": 0.25, "weight_decay": 0.5})


def test_groups_step_with_their_own_hyper_parameters():
    optimizer = optim.Groups(optim.SGD(lr=0.5), GROUPS)
    params = {"a": np.ones(1), "b": np.ones(1)}
    stepped, _ = optimizer.step(params, params, optimizer.init(params))

    assert (stepped["a"], stepped["b"]) == (0.5, 1 - 0.25 * 1.5)
    slower = optim.with_lr(optimizer, 0.25)
    assert [o.lr for o, _ in slower.parts()] == [0.25, 0.125]
    assert optim.with_lr(optim.SGD(lr=1.0), 0.5) == optim.SGD(lr=0.5)


def test_groups_that_make_no_sense_are_refused():
    sgd, ones = optim.SGD(), np.ones(1)
    for bad in (
        [{"params": ("a",)}, {"params": ("a",)}],
        [{"params": ("a", "a")}],
        [{"params": "ab"}],
        [{"params": ("a",), "beta": 1}],
        [{"lr": 1.0}],
    ):
        with pytest.raises(ConfigError):
            optim.Groups(sgd, bad)
    with pytest.raises(ConfigError, match="no parameter groups"):
        optim.Groups(optim.LBFGS(), [])
    only = optim.Groups(sgd, [{"params": ("a",)}])
    with pytest.raises(ConfigError, match="needs a group"):
        only.step({"a": ones, "b": ones}, {"b": ones}, only.init({}))
    params = {"a": ones, "b": ones}
    assert only.step(params, {"a": ones, "b": None}, only.init({}))[0]["b"] is ones


WRONG_GROUPS = {
    "takes the defaults for every group": {"replace(self.optimizer, **own)": "self.optimizer"},
    "lets a schedule change the defaults alone": {'{**group, "lr": group["lr"] * factor}': "group"},
    "sets every group to the rate of a schedule": {'group["lr"] * factor': "lr"},
    "steps the first group alone": {
        "for optimizer, names in parts:": "for optimizer, names in parts[:1]:"
    },
    "steps all parameters with every group": {
        "own = {name: params[name] for name in names}": "own = stepped",
        "theirs = {name: grads.get(name) for name in names}": "theirs = grads",
    },
    "exchanges the groups": {
        "for optimizer, names in parts:": "turned = parts[::-1]\n"
        "        for (optimizer, _), (_, names) in zip(turned, parts, strict=True):"
    },
    "forgets the state of all but the last group": {
        "moved, state = optimizer.step(own, theirs, state)": "first = names == parts[0][1]\n"
        "            moved, state = optimizer.step(own, theirs, state if first else self.init({}))"
    },
}


@pytest.mark.parametrize("mistake", WRONG_GROUPS)
def test_wrong_groups_are_found(mistake):
    wrong = edited(groups_module, WRONG_GROUPS[mistake], f"groups, {mistake!r}")

    @candidate("optim.SGD")
    def sgd(case: OptimizerCase):
        optimizer = optim.SGD(**case.config)
        if case.groups:
            optimizer = wrong.Groups(optimizer, case.groups)
        params, state = case.params, optimizer.init(case.params)
        found = []
        for grads, lr in zip(case.grads, case.lr, strict=True):
            params, state = wrong.with_lr(optimizer, lr).step(params, grads, state)
            found.append(params)
        return found

    settings = Settings(examples=200, dtypes=("float64",), seed=1)
    trial = Trial(sgd, SPECS["optim.SGD"], "float64", settings, print, Coverage(), None)
    found = trial.first()
    assert found is not None
    assert found[0] <= 40


# ---- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n in OPTIMIZERS if n not in ("optim.LBFGS", "optim.Muon", "optim.SparseAdam")]
)
def test_blocks_are_the_whole(name):
    """A parameter of many blocks steps as its parts do, strided or not."""
    optimizer = getattr(optim, name.removeprefix("optim."))()
    if name == "optim.Adafactor":
        return
    rng = np.random.default_rng(0)
    n = 2 * BLOCK + 77
    p, g = (rng.standard_normal(2 * n).astype(np.float32)[::2] for _ in range(2))
    whole, state = {"p": p}, optimizer.init({})
    parts = {str(i): p[i::2] for i in range(2)}
    other = optimizer.init({})
    for _ in range(3):
        whole, state = optimizer.step(whole, {"p": g}, state)
        parts, other = optimizer.step(parts, {str(i): g[i::2] for i in range(2)}, other)
    for i in range(2):
        assert whole["p"][i::2].tobytes() == parts[str(i)].tobytes()
    for kind, of in state._asdict().items():
        for a in of.values():
            want = getattr(other, kind)["0"]
            assert (a[::2] if a.ndim else a).tobytes() == want.tobytes(), kind


def test_an_objective_s_gradient_is_its_derivative():
    rng = np.random.default_rng(0)
    for valley in (False, True):
        x, a, c = ({"p": torch.tensor(rng.standard_normal((2, 3)))} for _ in range(3))
        x["p"].requires_grad_()
        loss, _ = objective(x, a, c, valley)
        (want,) = torch.autograd.grad(loss, x["p"])
        _, grads = objective({"p": x["p"].detach()}, a, c, valley)
        assert (grads["p"] - want).abs().max() < 1e-12


def test_lbfgs_finds_the_minimum_of_rosenbrock():
    def rosenbrock(params):
        x, y = params["x"]
        g = np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, {"x": g}

    optimizer = optim.LBFGS(
        line_search_fn="strong_wolfe", max_iter=100, history_size=10, tolerance_change=1e-20
    )
    params = {"x": np.array([-1.5, 2.0])}
    params, state = optimizer.step(params, rosenbrock, optimizer.init(params))
    assert np.abs(params["x"] - 1).max() < 1e-6
    assert state.func_evals["x"] < 100


STEPS: list[tuple[Callable[[], object], type[Exception]]] = [
    (
        lambda: optim.Muon().step({"p": np.ones(2)}, {"p": np.ones(2)}, optim.Muon().init({})),
        ShapeError,
    ),
    (lambda: optim.Muon(adjust_lr_fn="other"), ConfigError),
    (lambda: optim.Muon(ns_steps=100), ConfigError),
    (lambda: optim.Rprop(etas=(1.5, 1.2)), ConfigError),
    (lambda: optim.Adadelta(rho=1.5), ConfigError),
    (lambda: optim.Adafactor(d=0.5), ConfigError),
    (lambda: optim.Adafactor(beta2_decay=0.5), ConfigError),
    (lambda: optim.Adafactor(eps=(-1.0, 1.0)), ConfigError),
    (lambda: optim.NAdam(betas=(1.0, 0.5)), ConfigError),
    (lambda: optim.SparseAdam(lr=0.0), ConfigError),
    (lambda: optim.LBFGS(line_search_fn="armijo"), ConfigError),
    (lambda: optim.LBFGS().step({}, lambda p: (0.0, {}), optim.LBFGS().init({})), ShapeError),
    (lambda: lbfgs({"q": np.ones(2)}), ConfigError),
    (lambda: lbfgs({"p": np.ones(3)}), ShapeError),
    (lambda: lbfgs({"p": np.ones(2, np.float32)}), DtypeError),
    (lambda: sparse(np.ones((2, 2))), DtypeError),
    (lambda: sparse(SparseGrad(np.array([[2]]), np.ones((1, 2)), (2, 2))), IndexRangeError),
    (lambda: sparse(SparseGrad(np.array([[0]]), np.ones((1, 3)), (2, 2))), ShapeError),
    (lambda: sparse(SparseGrad(np.array([[0]]), np.ones((1, 2), np.float32), (2, 2))), DtypeError),
    (
        lambda: optim.Adam().step(
            {"p": np.ones((2, 2))},
            {"p": SparseGrad(np.array([[0]]), np.ones((1, 2)), (2, 2))},  # type: ignore[dict-item]
            optim.Adam().init({}),
        ),
        DtypeError,
    ),
]


def lbfgs(grads):
    optimizer = optim.LBFGS()
    return optimizer.step({"p": np.ones(2)}, lambda p: (0.0, grads), optimizer.init({}))


def sparse(grad):
    optimizer = optim.SparseAdam()
    return optimizer.step({"p": np.ones((2, 2))}, {"p": grad}, optimizer.init({}))


@pytest.mark.parametrize(("call", "error"), STEPS)
def test_what_makes_no_sense_is_refused(call, error):
    with pytest.raises(error):
        call()


def test_a_missing_gradient_is_zeros_to_lbfgs():
    params = {"p": np.ones(2), "q": np.ones(1)}
    optimizer = optim.LBFGS(max_iter=1)
    stepped, _ = optimizer.step(params, lambda p: (1.0, {"p": np.ones(2)}), optimizer.init(params))

    assert stepped["q"] == 1
    assert (stepped["p"] < 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_entry_of_a_state_is_one_that_is_declared(name):
    """entries() says names, shapes and dtypes of what a step leaves behind."""
    for case, optimizer in cases(name, "float32", 10):
        if case.groups:
            continue
        params, state = optimizer.step(case.params, given(case, 0), optimizer.init(case.params))
        flat = optim.state_dict(state)
        same_state(optim.load_state_dict(optimizer, params, flat), state)
        for key in list(flat)[:1]:
            with pytest.raises(DtypeError):
                optim.load_state_dict(optimizer, params, flat | {key: flat[key].astype(np.int8)})
            with pytest.raises(ShapeError):
                optim.load_state_dict(optimizer, params, flat | {key: flat[key][None]})
        assert all(f.name != "entries" for f in fields(optimizer))
