"""What is said of planted mistakes: one for every suspicion, and none where nothing is known."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.special import softmax

from npnet.contract import Forward, Grads
from npnet.nn import CrossEntropyLoss
from npnet.verify import Verdict, candidate, run
from npnet.verify.aside import Died, aside
from npnet.verify.coverage import Coverage
from npnet.verify.diagnose import Diagnosis, related
from npnet.verify.diagnose.condition import Seen, only_when
from npnet.verify.diagnose.place import axis_names
from npnet.verify.diagnose.reading import Reading, Readings
from npnet.verify.finding import Explanation
from npnet.verify.settings import Settings
from npnet.verify.targets import native, specs
from npnet.verify.trial import Trial
from tests.candidates import autograd_tensor, channels_last, dense_rmsprop, layer_class
from tests.studies.mutants import all_mutants

PLANTED = [
    # relation
    ("Linear", "forgets db", "contract", "there is no gradient"),
    ("BatchNorm1d", "gives the bias no gradient", "zero", "it is 0 everywhere"),
    ("GELU", "lets dy through", "passed", "passed through as it is"),
    ("BatchNorm1d", "does not count the batch", "passed", "is left as it was"),
    ("LayerNorm", "averages the weight's gradient", "factor", "1 / the"),
    ("BatchNorm1d", "the weight's gradient contains the weight", "axis factor", "weight"),
    ("Sigmoid", "forgets 1 - y", "axis factor", "the factor `1 - y` is missing"),
    ("ChannelShuffle", "reverses the groups", "order", "are permuted"),
    ("Unflatten", "fills column by column", "order", "in other places"),
    ("Conv2d", "flips the kernel", "order", "weight is flipped in its positions"),
    ("LSTMCell", "returns (c, h)", "swapped", "it is torch's y 1"),
    ("Linear", "sums db over the features too", "reduction", "summed over axis 0 too"),
    # terms
    ("LayerNorm", "forgets that the mean depends on x", "term", "the mean of dy is not taken out"),
    ("BatchNorm1d", "holds the batch's statistics for constants", "statistics", "for constants"),
    (
        "BatchNorm1d",
        "differentiates through the running statistics in evaluation",
        "statistics",
        "differentiated as if they were those of the batch",
    ),
    ("BatchNorm1d", "adds eps outside of the root", "option", "√var + eps"),
    ("LayerNorm", "normalises over the batch", "reduction", "not over normalized_shape"),
    ("Softmax", "sums over everything", "reduction", "over everything"),
    ("Identity", "drops what is negative", "term", "minus min(x, 0)"),
    # other questions
    ("Conv2d", "pads with zeros in every mode", "option", "padding_mode were 'zeros'"),
    ("BatchNorm1d", "forgets eps in evaluation", "option", "eps is ignored"),
    ("Linear", "forgets the bias", "ignored", "bias is ignored"),
    ("Linear", "goes back through the transpose where W is square", "order", "is transposed"),
    ("ReLU", "forgets dy", "upstream", "as if dy were 1"),
    ("ReLU", "lets only positive dy through", "upstream", "only what is positive"),
    ("Conv2d", "the weight's gradient comes from the first sample", "reduction", "first sample"),
    # places
    ("ReLU", "has slope 1/2 at 0", "dialect", "1/2"),
    # protocol
    ("ReLU", "writes y into x before it looks at x", "protocol", "writes into what it is given"),
    ("LayerNorm", "eps is a float64 scalar", "contract", "precision of its inputs"),
    # dialects
    ("optim.RMSprop", "adds eps under the root", "dialect", "inside"),
]

pytestmark = pytest.mark.usefixtures("patience")


def trial(candidate, twin, examples=40, dtype="float64"):
    asked = Settings(examples=examples, dtypes=(dtype,), seed=1)
    return Trial(candidate, specs()[twin], dtype, asked, lambda event: None, Coverage(), None)


def explained(candidate, twin, **how):
    found = []
    for dtype in ("float64", "float32"):
        if not found:
            t = trial(candidate, twin, dtype=dtype, **how)
            found = t.findings(shrunk=False)
    return t.explained(found)


def leading(candidate, twin, **how):
    return explained(candidate, twin, **how)[0]


@pytest.mark.parametrize(
    ("layer", "mistake", "kind", "words"), PLANTED, ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_planted_mistake_is_named(layer, mistake, kind, words):
    mutant = next(m for m in all_mutants() if m.layer == layer and mistake in m.mistake)

    first = leading(native(layer, mutant.build()), layer).explanations[0]

    assert (first.kind, first.certain) == (kind, True), first
    assert words in first.text


STRANGERS = [
    (channels_last, "overlapping averages overwrite", "reduction", "only the last one counts"),
    (layer_class, "not divided by the batch", "factor", "times torch's"),
    (layer_class, "derivative of the output", "constant", "takes the sigmoid of input 0 first"),
    (layer_class, "log of a little more", "term", "the logarithm of p + 1e-7"),
    (dense_rmsprop, "diagonal of the Jacobian only", "term", "diagonal"),
    (autograd_tensor, "repeated rows lost", "reduction", "repeated indices"),
    (autograd_tensor, "gradient left out", "upstream", "as if dy were 1"),
]


@pytest.mark.parametrize(
    ("file", "mistake", "kind", "words"), STRANGERS, ids=[s[1] for s in STRANGERS]
)
def test_a_strangers_mistake_is_named(file, mistake, kind, words):
    wrong, _ = file.WRONG[mistake]

    first = leading(wrong, wrong.twin).explanations[0]

    assert (first.kind, first.certain) == (kind, True), first
    assert words in first.text


def logarithm_of_more(small, target, reduction):
    """A cross-entropy of p + small, with npnet's own gradients."""
    only = {
        "target": st.just(target),
        "class weights": st.just(False),
        "label_smoothing": st.just(0.0),
        "ignored targets": st.just(False),
        "ignore_index": st.just(-100),
        "size_average": st.just(None),
        "reduce": st.just(None),
        "reduction": st.just(reduction),
        "batch": st.sampled_from([(3,), (2,)]),
        "trailing axes": st.sampled_from([(), (2,)]),
    }
    right = native("CrossEntropyLoss", CrossEntropyLoss)

    @candidate("CrossEntropyLoss", only=only)
    def loss(case):
        x, t = case.inputs
        p = np.moveaxis(softmax(x, axis=1), 1, -1)
        share = (
            np.eye(p.shape[-1], dtype=x.dtype)[t] if t.dtype.kind == "i" else np.moveaxis(t, 1, -1)
        )
        each = -(share * np.log(p + x.dtype.type(small))).sum(-1)
        y = {"mean": each.mean, "sum": each.sum, "none": lambda: each}[reduction]()
        return Forward(np.asarray(y), right(case).vjp)

    return loss


@pytest.mark.parametrize("target", ["indices", "probabilities"])
@pytest.mark.parametrize(
    ("small", "reduction"), [(1e-5, "mean"), (1e-8, "sum"), (1e-12, "none"), (1e-10, "mean")]
)
def test_a_small_number_in_a_logarithm_is_named(small, target, reduction):
    first = leading(logarithm_of_more(small, target, reduction), "CrossEntropyLoss")

    assert (first.quantity, first.explanations[0].kind) == ("y", "term"), first
    assert first.explanations[0].text == (
        f"it takes the logarithm of p + {small:.0e}, torch that of p".replace("e-0", "e-")
    )


def test_another_number_in_a_logarithm_is_not_taken_for_a_known_one():
    first = leading(logarithm_of_more(3e-7, "indices", "mean"), "CrossEntropyLoss")

    assert not any("logarithm" in e.text for e in first.explanations), first


def linear(wrong):
    """A Linear whose gradients pass through `wrong`."""

    @candidate("Linear")
    def affine(case):
        (x,), W = case.inputs, case.state["weight"]
        lead = tuple(range(x.ndim - 1))

        def vjp(dy):
            dW = np.einsum("ri,rj->ij", dy.reshape(-1, len(W)), x.reshape(-1, W.shape[1]))
            params = {"weight": dW} | ({"bias": dy.sum(lead)} if case.config["bias"] else {})
            return wrong(Grads((dy @ W,), params), case, dy)

        y = x @ W.T
        return Forward(y + case.state["bias"] if case.config["bias"] else y, vjp)

    return affine


def test_what_nothing_reconstructs_is_not_explained():
    """Factors without a name in the gradient: where, and which pass; no cause."""

    def noisy(grads, case, dy):
        (dx,) = grads.inputs
        factors = 1 + 0.1 * np.random.default_rng(5).standard_normal(dx.shape)
        return grads._replace(inputs=(dx * factors,))

    found = leading(linear(noisy), "Linear")

    assert found.explanations
    assert not [e for e in found.explanations if e.certain], found.explanations
    assert any(e.kind == "backward" for e in found.explanations)


def test_a_shape_that_is_not_torchs_is_told_what_it_is():
    def unsummed(grads, case, dy):
        return grads._replace(
            params=grads.params | {"bias": dy} if case.config["bias"] else grads.params
        )

    found = explained(linear(unsummed), "Linear")
    first = next(f for f in found if f.quantity == "gradient of bias").explanations[0]

    assert first.kind == "reduction"
    assert "not summed over" in first.text


def test_a_gradient_that_is_right_for_a_wrong_y_has_the_cause_of_y():
    @candidate("Tanh")
    def tanh(case):
        (x,) = case.inputs
        y = np.tanh(1.25 * x)
        return Forward(y, lambda dy: Grads((1.25 * (1 - y * y) * dy,), {}))

    report = run(tanh, examples=40, dtypes=("float64",))

    y, dx = sorted(report.findings, key=lambda f: f.quantity, reverse=True)
    assert (y.quantity, dx.quantity) == ("y", "gradient of input 0")
    assert y.cause == dx.cause == y.id
    assert any(e.kind == "forward" for e in dx.explanations)


def test_findings_with_the_same_certain_explanation_are_one_cause():
    report = run(linear(lambda g, case, dy: Grads((2 * g.inputs[0],), g.params)), examples=30)
    f = report.findings[0]
    same = (Explanation("factor", "it is 2 times torch's", 0.0),)

    a, b, c = related(
        [
            replace(f, id="a", quantity="gradient of weight", explanations=same),
            replace(f, id="b", quantity="gradient of bias", explanations=same),
            replace(f, id="c", quantity="gradient of input 0", explanations=()),
        ]
    )

    assert (a.cause, b.cause, c.cause) == ("a", "a", "c")


def test_lower_precision_inside_is_named():
    def single(grads, case, dy):
        (dx,) = grads.inputs
        return grads._replace(inputs=(dx.astype(np.float32).astype(dx.dtype),))

    first = leading(linear(single), "Linear").explanations[0]

    assert (first.kind, first.certain) == ("precision", False)
    assert "float32" in first.text


def test_an_eps_of_ones_own_is_fitted():
    @candidate("RMSNorm", only={"eps": st.just(2.0**-10)})
    def rmsnorm(case):
        (x,) = case.inputs
        shape = case.config["normalized_shape"]
        axes = tuple(range(-len(np.atleast_1d(shape)), 0))
        rstd = 1 / np.sqrt((x * x).mean(axes, keepdims=True) + 3.7e-4)
        weight = case.state.get("weight", x.dtype.type(1))
        xhat = x * rstd

        def vjp(dy):
            g = dy * weight
            dx = rstd * (g - xhat * (g * xhat).mean(axes, keepdims=True))
            lead = tuple(range(x.ndim + min(axes)))
            params = {"weight": (dy * xhat).sum(lead)} if "weight" in case.state else {}
            return Grads((dx,), params)

        return Forward(xhat * weight, vjp)

    first = leading(rmsnorm, "RMSNorm").explanations[0]

    assert (first.kind, first.certain) == ("option", True), first
    assert "eps were 0.00037" in first.text


def test_an_overflow_is_said_to_be_one():
    @candidate("Softmax", name="softmax")
    def naive(case):
        (x,) = case.inputs
        dim = case.config["dim"]
        axis = dim if dim is not None else int(x.ndim not in (0, 1, 3))
        e = np.exp(x)
        y = e / e.sum(axis, keepdims=True)
        return Forward(y, lambda dy: Grads((y * (dy - (y * dy).sum(axis, keepdims=True)),), {}))

    found = leading(naive, "Softmax")

    assert found.explanations[0].kind == "unstable", found.explanations


def test_a_condition_is_what_all_failing_examples_meet():
    seen = [
        Seen({"stride": s, "bias": b}, ("normal",), {"y": ("normal",)} if s > 1 else {})
        for s in (1, 2, 3)
        for b in (True, False)
        for _ in range(4)
    ]

    found = only_when(seen, "y")

    assert found is not None
    assert found.text in ("stride is not 1", "stride >= 2")
    assert (found.failing, found.inside, found.outside) == (16, 16, 8)
    assert only_when([s for s in seen if s.failing], "y") is None


def test_a_condition_may_be_about_the_numbers():
    seen = [Seen({}, ("normal", "huge"), {"y": ("huge",)} if k % 2 else {}) for k in range(10)] + [
        Seen({}, ("integers", "integers"), {}) for _ in range(5)
    ]

    found = only_when(seen, "y")

    assert found is not None
    assert found.text == "the data have huge numbers"


def test_a_suspicion_must_explain_every_probe():
    def reading(key, cost):
        return Reading((key,), "factor", key, np.zeros(1), cost)

    readings = Readings()
    readings.add([(reading("always", 2.0), 0.1), (reading("once", 1.0), 0.1)])
    readings.add([(reading("always", 2.0), 0.5), (reading("once", 1.0), 7.0)])

    assert [e.text for _, e in readings.told()] == ["always"]


def test_a_suspicion_is_given_up_where_it_would_be_wrong_on_what_agrees():
    readings = Readings()
    reading = Reading(("a",), "ignored", "weight is ignored", np.zeros(1), 1.0)
    readings.add([(reading, 0.0)])
    readings.contradict([(reading, 1e9)])

    assert not list(readings.told())


def test_a_diagnosis_that_breaks_down_loses_no_finding(monkeypatch):
    def broken(self, finding):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Diagnosis, "explain", broken)
    report = run(linear(lambda g, case, dy: Grads((2 * g.inputs[0],), g.params)), examples=30)

    (found, *_) = report.findings
    assert found.verdict is Verdict.WRONG
    assert "broke down" in found.explanations[0].text
    assert not found.explanations[0].certain


def test_the_probe_has_the_names_of_its_axes_and_torchs_own_answer():
    wrong = linear(lambda g, case, dy: Grads((2 * g.inputs[0],), g.params))
    report = run(wrong, examples=60, dtypes=("float32",))

    probe = report.findings[0].probe
    assert probe.twin is not None
    assert probe.twin.shape == probe.want.shape
    assert probe.twin.dtype == np.float32
    assert axis_names({"in_channels": 2}, "y", 4) == ("batch", "channel", "height", "width")


def test_a_fragile_twin_is_asked_nothing_else():
    """EmbeddingBag reads memory that is not its own where a question does not suit it."""
    mutant = next(m for m in all_mutants() if m.layer == "EmbeddingBag" and "bag" in m.mistake)
    t = trial(native("EmbeddingBag", mutant.build()), "EmbeddingBag")
    found = t.findings(shrunk=False)
    t.spec = replace(t.spec, values=lambda example, dtype: os._exit(3))

    assert "broke down" not in t.explained(found)[0].explanations[0].text


def test_a_diagnosis_that_kills_its_process_loses_no_finding(monkeypatch):
    monkeypatch.setattr(Diagnosis, "explain", lambda self, finding: os.kill(os.getpid(), 9))
    report = run(linear(lambda g, case, dy: Grads((2 * g.inputs[0],), g.params)), examples=30)

    (found, *_) = report.findings
    assert found.verdict is Verdict.WRONG
    assert "broke down" in found.explanations[0].text


def test_a_diagnosis_that_hangs_is_given_up():
    with pytest.raises(Died, match="no answer"):
        aside(lambda: time.sleep(60), 0.2)


def test_what_is_computed_aside_comes_back():
    assert aside(lambda: {"a": [1, 2.5, None, "x" * 300_000]}, 10.0)["a"][3][-1] == "x"
