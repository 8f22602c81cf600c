"""The verifier itself: every check has a planted mistake that it, and only it, catches."""

import sys
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from npnet.contract import ConfigError, Forward, Grads
from npnet.verify import Case, Verdict, candidate, run
from npnet.verify.ask import _collecting
from npnet.verify.coverage import Coverage
from npnet.verify.engine import run_all
from npnet.verify.examine import Examiner
from npnet.verify.finding import Diverged
from npnet.verify.precision import PRECISIONS
from npnet.verify.settings import Settings
from npnet.verify.spec import Answer, Expected
from npnet.verify.targets import own_function, specs
from npnet.verify.trial import Trial


def right(case: Case) -> Forward:
    """A correct Linear, from which every mistake below departs."""
    (x,), W, b = case.inputs, case.state["weight"], case.state.get("bias")
    y = x @ W.T if b is None else x @ W.T + b

    def vjp(dy):
        rows = dy.reshape(-1, dy.shape[-1])
        params = {"weight": rows.T @ x.reshape(-1, x.shape[-1])}
        if b is not None:
            params["bias"] = rows.sum(0)
        return Grads((dy @ W,), params)

    return Forward(y, vjp)


def changed(change):
    """The correct Linear with its gradients (inputs, params) passed through `change`."""

    def call(case):
        forward = right(case)

        def vjp(dy):
            grads = forward.vjp(dy)
            return change(case, dy, grads)

        return Forward(forward.y, vjp)

    return call


# ---- one mistake per check ---------------------------------------------------------------------


def mean_for_sum(case, dy, g):
    if "bias" in g.params and dy.size:
        g.params["bias"] = dy.reshape(-1, dy.shape[-1]).mean(0)
    return g


def transposed(case, dy, g):
    W = g.params["weight"]
    return Grads(g.inputs, {**g.params, "weight": W.T.copy()})


def double_precision(case, dy, g):
    return Grads((g.inputs[0].astype(np.float64),), g.params)


def no_gradient(case, dy, g):
    return Grads((None,), g.params)


def missing_weight(case, dy, g):
    return Grads(g.inputs, {k: v for k, v in g.params.items() if k != "weight"})


def own_names(case, dy, g):
    return Grads(g.inputs, {"wieght": g.params["weight"]})


def two_inputs(case, dy, g):
    return Grads((*g.inputs, g.inputs[0]), g.params)


def a_list(case, dy, g):
    return Grads((g.inputs[0].tolist(),), g.params)


def nothing(case, dy, g):
    return None


def writes_dy(case, dy, g):
    dy *= 2
    return g


def writes_input(case):
    forward = right(case)
    case.inputs[0][...] = 0
    return forward


def writes_state(case):
    forward = right(case)
    case.state["weight"][...] *= 2
    return forward


def nan_for_zero(case, dy, g):
    with np.errstate(all="ignore"):
        return Grads((g.inputs[0] * (dy.sum() / dy.sum()),), g.params)


def stale_cache():
    last = {}

    def call(case):
        forward = last["forward"] = right(case)
        return Forward(forward.y, lambda dy: last["forward"].vjp(dy))

    return call


def accumulates(case):
    forward, total = right(case), {}

    def vjp(dy):
        g = forward.vjp(dy)
        total["W"] = total.get("W", 0) + g.params["weight"]
        return Grads(g.inputs, {**g.params, "weight": total["W"].copy()})

    return Forward(forward.y, vjp)


def view_of_a_cache():
    buffers = {}

    def call(case):
        forward = right(case)
        buffer = buffers.setdefault((forward.y.shape, forward.y.dtype), np.empty_like(forward.y))
        buffer[...] = forward.y
        return Forward(buffer, forward.vjp)

    return call


def counts_its_calls():
    calls = [0]

    def call(case):
        forward = right(case)
        calls[0] += 1
        return Forward(forward.y * (1 + (calls[0] % 5 == 0) * 2.0**-52), forward.vjp)

    return call


def assumes_contiguous(case):
    forward = right(case)
    (x,), W = case.inputs, case.state["weight"]
    flat = x.ravel(order="K").reshape(x.shape)  # the order in memory, not of the axes
    y = flat @ W.T if "bias" not in case.state else flat @ W.T + case.state["bias"]
    return Forward(y, forward.vjp)


def leftover_rows():
    """A workspace that is only ever enlarged: rows of an earlier, larger batch stay in it."""
    work = {}

    def call(case):
        forward, (x,) = right(case), case.inputs

        def vjp(dy):
            g = forward.vjp(dy)
            if x.ndim < 2 or case.state["weight"].size < 6:
                return g
            key = (case.state["weight"].shape, x.shape[1:], x.dtype, case.state["weight"].tobytes())
            rows = work.setdefault(key, np.zeros_like(g.params["weight"]))
            if x.shape[0] > work.get((key, "n"), 0):
                work[key, "n"] = x.shape[0]
                rows[...] = g.params["weight"]
            elif x.shape[0] < work.get((key, "n"), 0):
                return Grads(g.inputs, {**g.params, "weight": rows.copy()})
            return g

        return Forward(forward.y, vjp)

    return call


def inexact(case):
    """Right to a rounding error, which a bilinear layer need not make on small integers."""
    forward = right(case)
    return Forward(forward.y * forward.y.dtype.type(1 + np.finfo(forward.y.dtype).eps), forward.vjp)


def raises(case):
    raise KeyError("W")


def exits(case):
    raise SystemExit(0)


def memory(case):
    raise MemoryError


def hangs(case):
    while True:
        time.sleep(0.01)


def returns_none(case):
    return None


def two_outputs(case):
    forward = right(case)
    return Forward((forward.y, forward.y), forward.vjp)


def unknown_update(case):
    return right(case)._replace(updates={"wieght": case.state["weight"]})


def changes_weight(case):
    return right(case)._replace(updates={"weight": case.state["weight"] + 1})


C = Verdict.CONTRACT
MISTAKES = [
    # mistake, quantity blamed, verdict, words of the message
    (changed(mean_for_sum), "gradient of bias", Verdict.WRONG, "elements; worst at"),
    (changed(nan_for_zero), "gradient of input 0", Verdict.NONFINITE, "got nan"),
    (changed(transposed), "gradient of weight", None, ""),
    (changed(double_precision), "gradient of input 0", C, "must be float32"),
    (changed(no_gradient), "gradient of input 0", C, "is missing (None)"),
    (changed(missing_weight), "gradient of weight", C, "is missing (None)"),
    (changed(own_names), "gradient of wieght", C, "Did you mean 'weight'?"),
    (changed(two_inputs), "gradient of input 0", C, "must return 1 gradients of inputs"),
    (changed(a_list), "gradient of input 0", C, "must be a NumPy array, but is list"),
    (changed(nothing), "gradient of input 0", C, "must return Grads(inputs, params)"),
    (changed(writes_dy), "dy", C, "was written into"),
    (writes_input, "input 0", C, "was written into"),
    (writes_state, "state weight", C, "was written into"),
    (stale_cache(), "gradient of input 0", C, "stale cache"),
    (accumulates, "gradient of weight", C, "is not 2 vjp(dy)"),
    (view_of_a_cache(), "y", C, "changed on a later call"),
    (counts_its_calls(), "y", C, "another result the second time"),
    (assumes_contiguous, "y", C, "not contiguous in memory"),
    (leftover_rows(), "gradient of weight", None, ""),
    (inexact, "y", Verdict.WRONG, "elements; worst at"),
    (raises, "forward", Verdict.CRASH, "KeyError: 'W'"),
    (exits, "forward", Verdict.CRASH, "SystemExit"),
    (memory, "forward", Verdict.OUT_OF_MEMORY, "MemoryError"),
    (hangs, "forward", Verdict.TIMEOUT, "no answer within"),
    (returns_none, "y", C, "must return Forward(y, vjp), but returned None"),
    (two_outputs, "y", C, "torch returns 1 tensors, but the candidate 2"),
    (unknown_update, "next wieght", C, "Did you mean 'weight'?"),
    (changes_weight, "next weight", Verdict.WRONG, "torch leaves it as it is"),
]
NAMES = [
    "mean_for_sum nan_for_zero transposed double_precision no_gradient missing_weight own_names",
    "two_inputs a_list nothing writes_dy writes_input writes_state stale_cache accumulates",
    "view_of_a_cache counts_its_calls assumes_contiguous leftover_rows inexact raises exits memory",
    "hangs returns_none two_outputs unknown_update changes_weight",
]


def test_correct_code_passes_in_every_dtype():
    report = run(candidate("Linear")(right), examples=150, dtypes=("float64", "float32", "float16"))

    assert report.ok, report.findings
    assert {o.verdict for o in report.layers[0].outcomes.values()} == {Verdict.PASS}


@pytest.mark.parametrize(
    ("mistake", "quantity", "verdict", "words"), MISTAKES, ids=" ".join(NAMES).split()
)
def test_planted_mistake_is_found_and_named(mistake, quantity, verdict, words):
    report = run(candidate("Linear")(mistake), examples=60)

    found = {f.quantity: f for f in report.findings}
    assert quantity in found, report.findings
    assert verdict in (None, found[quantity].verdict)
    assert words in found[quantity].message
    assert report.exit_code == (
        3
        if found[quantity].verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY)
        else 1
    )


def protocols_that_see(mistake, dtype="float64"):
    """The protocols under which single examples of a mistaken Linear fail."""
    spec = specs()["Linear"]
    seen = {}
    drawn = []
    trial = Trial(
        candidate("Linear")(right), spec, dtype, Settings(examples=25), print, Coverage(), None
    )
    trial._given(lambda x: drawn.append(x.example), shrinks=False)
    drawn = list({e.seed: e for e in drawn}.values())  # no two with the same weights
    for protocol in ("plain", "again", "strided", "interleaved", "split"):
        examiner = Examiner(candidate("Linear")(mistake()), spec, PRECISIONS[dtype])
        for example in drawn:
            n = example.arrays["input 0"].shape[1:2]
            if protocol == "split" and not (spec.split(example) and n >= (2,)):
                continue
            for s in range(example.sets):
                for failure in examiner(example.pick(s), protocols=(protocol,)):
                    seen.setdefault(protocol, failure.message)
    return seen


@pytest.mark.parametrize(
    ("mistake", "only"),
    [
        (stale_cache, "interleaved"),
        (lambda: accumulates, "again"),
        (lambda: assumes_contiguous, "strided"),
        (leftover_rows, "split"),
    ],
    ids=["interleaved", "again", "strided", "split"],
)
def test_only_its_own_protocol_sees_the_mistake(mistake, only):
    seen = protocols_that_see(mistake)

    assert set(seen) == {only}, seen


def test_exactness_is_what_finds_a_rounding_error_in_a_bilinear_layer(monkeypatch):
    loose = replace(specs()["Linear"], exact=False)
    monkeypatch.setitem(specs(), "Linear", loose)

    assert run(candidate("Linear")(inexact), examples=60, dtypes=("float64",)).ok


def test_rounding_is_told_apart_from_a_wrong_formula():
    def one_pass_variance(case):
        from npnet.nn import LayerNorm

        forward = LayerNorm(**case.config)(case.state, *case.inputs)
        (x,), shape = case.inputs, case.config["normalized_shape"]
        axes = tuple(range(-(1 if isinstance(shape, int) else len(shape)), 0))
        mean = x.mean(axes, keepdims=True)
        var = np.maximum((x * x).mean(axes, keepdims=True) - mean * mean, 0)
        y = (x - mean) / np.sqrt(var + case.config["eps"])
        y = y * case.state.get("weight", 1) + case.state.get("bias", 0)
        return Forward(y.astype(x.dtype), forward.vjp)

    report = run(candidate("LayerNorm")(one_pass_variance), examples=60, dtypes=("float32",))

    assert [f.verdict for f in report.findings] == [Verdict.UNSTABLE]


def test_softmax_without_the_shift_overflows():
    def unshifted(case):
        from npnet.nn import Softmax

        forward = Softmax(**case.config)(case.state, *case.inputs)
        (x,), dim = case.inputs, case.config["dim"]
        axis = -1 if dim is None else dim
        e = np.exp(x) if x.ndim else np.ones_like(x)
        y = e / e.sum(axis, keepdims=True) if x.ndim else e
        return Forward(np.asarray(y), forward.vjp)

    report = run(
        candidate("Softmax", only={"dim": st.just(-1)})(unshifted),
        examples=100,
        dtypes=("float32",),
    )

    assert {f.quantity for f in report.findings} == {"y"}
    assert report.findings[0].verdict in (Verdict.NONFINITE, Verdict.UNSTABLE)


# ---- nothing vacuous ---------------------------------------------------------------------------


def test_an_oracle_that_sees_nothing_is_insufficient(monkeypatch):
    """With infinite bounds everything passes; the canaries do not let that count as a PASS."""
    spec = specs()["Linear"]

    def blind(example, precision, single=False):
        answer = spec.answer(example, precision, single=single)
        rows = {
            name: replace(e, error=np.full(e.value.shape, np.inf))
            for name, e in answer.expected.items()
        }
        return replace(answer, expected=rows)

    monkeypatch.setitem(specs(), "Linear", replace(spec, answer=blind, exact=False))
    report = run(candidate("Linear")(right), examples=20)

    assert {f.verdict for f in report.findings} == {Verdict.INSUFFICIENT}
    assert "planted mistake was not noticed" in report.findings[0].message
    assert report.exit_code == 4


def test_asking_for_a_section_without_quantities_is_insufficient():
    report = run(candidate("Linear")(right), examples=10, only=("state",))

    assert report.exit_code == 4
    assert "nothing was judged" in report.findings[0].message


def test_a_twin_that_contradicts_itself_is_not_blamed_on_the_candidate(monkeypatch):
    spec = specs()["Linear"]

    def torn(example, precision, single=False) -> Answer:
        return replace(spec.answer(example, precision, single=single), disagreement="y at [0]")

    monkeypatch.setitem(specs(), "Linear", replace(spec, answer=torn))
    report = run(candidate("Linear")(right), examples=5)

    assert {f.verdict for f in report.findings} == {Verdict.ORACLE_DISAGREES}
    assert report.exit_code == 4


def test_batching_of_the_value_sets_is_checked(monkeypatch):
    """An answer that changes when the sets are asked together is the oracle's fault."""
    spec = specs()["Linear"]

    def mixed_up(example, precision, single=False):
        answer = spec.answer(example, precision, single=single)
        if example.sets == 1:
            return answer
        y = answer.expected["y"]
        wrong = Expected(y.value + 1, y.error, y.dtype)
        return replace(answer, expected={**answer.expected, "y": wrong})

    monkeypatch.setitem(specs(), "Linear", replace(spec, answer=mixed_up))
    report = run(candidate("Linear")(right), examples=5)

    assert {f.verdict for f in report.findings} == {Verdict.ORACLE_DISAGREES}


# ---- the run -----------------------------------------------------------------------------------


def test_the_same_seed_asks_the_same_and_another_seed_asks_something_else():
    def asked(seed):
        seen = []

        def spy(case):
            seen.append(case.inputs[0].tobytes())
            return right(case)

        run(candidate("Linear")(spy), examples=10, seed=seed, dtypes=("float64",))
        return seen

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


def test_findings_are_small_and_carry_a_dense_probe():
    report = run(candidate("Linear")(changed(mean_for_sum)), examples=60, dtypes=("float64",))

    (finding,) = report.findings
    assert finding.case is not None
    assert sum(a.size for a in finding.case.arrays.values()) <= 16
    assert set(np.unique(finding.case.arrays["dy"])) <= {0.0, 1.0, 2.0, -1.0}
    assert finding.probe is not None
    assert finding.probe.want.size >= finding.smallest.want.size
    assert finding.worst.ratio > 1e6
    assert set(finding.agrees) == {"y", "gradient of input 0", "gradient of weight"}


def test_all_broken_quantities_are_reported():
    def both(case, dy, g):
        params = {k: v * 2 for k, v in g.params.items()}
        return Grads(g.inputs, params)

    report = run(candidate("Linear")(changed(both)), examples=40)

    assert [f.quantity for f in report.findings] == ["gradient of weight", "gradient of bias"]


def test_sections_can_be_asked_alone():
    report = run(candidate("Linear")(changed(mean_for_sum)), examples=30, only=("forward",))

    assert report.ok


def test_a_candidate_may_cover_a_part_of_its_twin():
    def with_bias(case):
        assert case.config["bias"]
        assert len(case.inputs[0].shape) == 2
        return right(case)

    narrow = candidate("Linear", only={"bias": st.just(True), "batch": st.just((3,))})(with_bias)

    assert run(narrow, examples=30).ok


def test_an_option_that_the_twin_does_not_draw_cannot_be_narrowed():
    odd = candidate("Linear", name="odd", only={"biass": st.just(True)})(right)
    good = candidate("Linear", name="good")(right)
    report = run([odd, good], examples=10)

    assert [f.layer for f in report.findings] == ["odd"]
    assert "narrows ['biass']" in report.findings[0].message
    assert [layer.layer for layer in report.layers] == ["good"]  # the run went on
    assert report.exit_code == 3


def test_a_value_of_only_that_the_twin_does_not_have_is_named_with_those_it_has():
    claim = candidate("GRUCell", only={"batch": st.just((2,))})(own_function("GRUCell"))

    (found,) = run(claim, examples=5).findings

    assert found.verdict is Verdict.CRASH
    assert "'batch' gives (2,), where GRUCell has 2, None, 1, 3, 0" in found.message


def test_a_value_of_only_that_the_twin_does_not_have_is_asked_where_that_can_be():
    claim = candidate("Dropout", only={"p": st.just(0.375)})(own_function("Dropout"))

    assert run(claim, examples=5).ok


def test_an_option_that_torch_refuses_is_told_and_the_run_goes_on():
    odd = candidate("GELU", name="odd", only={"approximate": st.just("tahn")})(right)
    report = run([odd, candidate("Linear", name="good")(right)], examples=10)

    assert "could not be asked" in report.findings[0].message
    assert "tahn" in report.findings[0].traceback + report.findings[0].message
    assert [layer.layer for layer in report.layers] == ["good"]


def test_a_twin_that_torch_does_not_have_is_told_and_the_run_goes_on(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(
        "from npnet.verify import candidate\n"
        "from npnet import nn\n"
        "@candidate('Lineal')\ndef a(case): return None\n"
        "@candidate('ReLU')\ndef b(case): return nn.ReLU()(case.state, *case.inputs)\n"
    )
    report = run(str(file), examples=20)

    assert "Did you mean 'Linear'" in report.findings[0].message
    assert [layer.layer for layer in report.layers] == ["b"]
    assert report.exit_code == 3


def test_normwise_candidates_are_allowed_the_largest_bound():
    def rough(case):
        forward = right(case)
        scale = np.abs(forward.y).max(initial=0) * np.finfo(forward.y.dtype).eps / 4
        return Forward(forward.y + forward.y.dtype.type(scale), forward.vjp)

    asked = {"examples": 40, "dtypes": ("float32",)}
    assert run(candidate("Linear")(rough), **asked).exit_code == 1
    spec_exact_off = candidate("Linear", bound="normwise")(rough)
    findings = run(spec_exact_off, **asked).findings
    # small integers still have an exact answer, which a normwise bound does not loosen
    assert all(f.case.themes == ("integers",) for f in findings)


def test_ctrl_c_ends_with_what_was_found():
    def interrupts(case):
        raise KeyboardInterrupt

    wrong = candidate("Linear", name="wrong")(changed(mean_for_sum))
    stopper = candidate("Linear", name="stopper")(interrupts)
    later = candidate("Linear", name="later")(right)
    report = run_all([wrong, stopper, later], Settings(examples=30))

    assert [f.layer for f in report.findings] == ["wrong"]
    assert "the rest (interrupted)" in report.not_verified
    assert report.exit_code == 1


def test_ctrl_c_in_the_middle_of_a_candidate_keeps_its_findings():
    calls = [0]

    def wrong_then_interrupted(case):
        calls[0] += 1
        if calls[0] > 200:
            raise KeyboardInterrupt
        return changed(mean_for_sum)(case)

    report = run_all([candidate("Linear")(wrong_then_interrupted)], Settings(examples=100))

    assert [f.quantity for f in report.findings] == ["gradient of bias"]
    assert "the rest (interrupted)" in report.not_verified


def test_a_time_budget_that_is_spent_at_once_is_no_pass():
    report = run_all([candidate("Linear")(right)], Settings(examples=100, time_budget=1e-9))

    assert report.exit_code == 4


def test_quantities_that_are_not_claimed_are_not_judged_and_named():
    asked = candidate("Linear", without=("gradient of bias",))(changed(mean_for_sum))
    report = run(asked, examples=30)

    assert report.ok
    assert any("gradient of bias (not claimed)" in text for text in report.not_verified)


def test_candidates_that_a_file_only_imports_are_asked_elsewhere(tmp_path):
    source = "from npnet.verify import candidate\n@candidate('ReLU')\ndef {}(case): return None\n"
    (tmp_path / "base_layers.py").write_text(source.format("base"))
    (tmp_path / "more_layers.py").write_text(
        "from base_layers import base\n" + source.format("more")
    )
    report = run(str(tmp_path / "more_layers.py"), examples=3)

    assert [layer.layer for layer in report.layers] == ["more"]


def test_fail_fast_and_time_budget_stop_early():
    wrong = candidate("Linear", name="wrong")(changed(mean_for_sum))
    good = candidate("Linear", name="good")(right)

    stopped = run_all([wrong, good], Settings(examples=30, fail_fast=True))
    spent = run_all([good], Settings(examples=5000, time_budget=0.2))

    assert [r.layer for r in stopped.layers] == ["wrong"]
    assert "good" in stopped.not_verified
    assert any("time budget" in text for text in spent.not_verified)


def test_a_report_can_raise():
    report = run(candidate("Linear")(changed(mean_for_sum)), examples=30)

    with pytest.raises(Diverged, match="gradient of bias"):
        report.raise_if_diverged()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run("Liner"), "Did you mean 'Linear'"),
        (lambda: run("nosuch.py"), "there is no file nosuch.py"),
        (lambda: run("no_such.module:affine"), "there is no module"),
        (lambda: run(3), "a target must be a candidate or a name"),
        (lambda: run(candidate("Lineal")(right)), "Did you mean 'Linear'"),
        (lambda: run("Linear", dtypes=("float128",)), "float64, float32 or float16"),
        (lambda: run("Linear", only=("grads",)), "forward, grad, state, contract"),
        (lambda: run("Linear", examples=0), "at least 1"),
        (lambda: candidate(right), "needs the name of a torch layer"),
        (lambda: candidate("Linear", only={"bias": True}), r"st\.just\(True\)"),
        (lambda: candidate("Linear", bound="loose"), "elementwise"),
        (lambda: candidate("Linear")(3), "needs a function of a Case"),
    ],
)
def test_bad_input_is_told_what_to_do(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


# ---- dropout: candidates that draw their own masks ---------------------------------------------


def own_dropout(rate=None, scale=True):
    rng = np.random.default_rng(5)

    def call(case):
        (x,), p = case.inputs, case.config["p"]
        if not case.config["training"]:
            return Forward(x, lambda dy: Grads((dy,)))
        keep = rng.random(x.shape) >= (p if rate is None else rate)
        with np.errstate(all="ignore"):
            factor = keep / x.dtype.type(1 - p if scale and p < 1 else 1)
        factor = np.asarray(factor if p < 1 else np.zeros(x.shape), x.dtype)
        return Forward(x * factor, lambda dy: Grads((dy * factor,)))

    return candidate("Dropout", only={"p": st.sampled_from([0.25, 0.5])})(call)


def test_a_dropout_with_masks_of_its_own_is_judged_by_them():
    assert run(own_dropout(), examples=200, dtypes=("float64",)).ok


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(own_dropout(rate=0.125), "standard deviations"), (own_dropout(scale=False), "worst at")],
    ids=["rate", "scale"],
)
def test_a_dropout_with_masks_of_its_own_can_be_wrong(wrong, words):
    found = run(wrong, examples=200, dtypes=("float64",)).findings

    assert any(f.verdict is Verdict.WRONG and words in f.message for f in found), found


def test_what_underflows_need_not_double_to_the_bit():
    """A probability of almost 0 is denormal: twice its product is not the product with twice."""
    assert run("KLDivLoss", examples=60, dtypes=("float64",), seed=1).ok
    found = run("MultiheadAttention", examples=74, dtypes=("float64",), seed=20261271)
    assert found.ok, found.findings


def test_a_deadline_does_not_ring_where_an_exception_is_lost():
    """A callback of a WeakKeyDictionary may run at any moment; Python prints what it raises."""
    keys = weakref.WeakKeyDictionary()
    remove = keys._remove  # called when a key has died; its own frame is in weakref
    found = []

    class Watched(dict):
        def __delitem__(self, key):
            found.append(_collecting(sys._getframe()))

    keys.data = Watched()
    remove(weakref.ref(Case))

    assert found == [True]
    assert not _collecting(sys._getframe())
