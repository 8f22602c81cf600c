"""Every dialect is recognised by name, and none where a candidate is right or wrong otherwise."""

from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed

from npnet.contract import ConfigError
from npnet.report.text import render
from npnet.twins.dialects import DIALECTS
from npnet.verify import candidate, run
from npnet.verify.diagnose.dialects import recognise
from npnet.verify.examine import Examiner
from npnet.verify.precision import PRECISIONS
from npnet.verify.spec import examples
from npnet.verify.targets import native, resolve, specs
from tests.spoken import SPOKEN
from tests.studies.mutants import all_mutants

DECLARED = (
    ("optim.RMSprop", "tensorflow"),
    ("optim.SGD", "sutskever"),
    ("BatchNorm1d", "keras"),
    ("LSTMCell", "gates-ifog"),
    ("GRUCell", "chung"),
    ("RNNCell", "only-bias_ih"),
    ("MaxPool1d", "ties-to-all"),
    ("Linear", "in-out"),
    ("Conv1d", "channels-last"),
    ("Dropout", "evaluation-scales"),
    ("MSELoss", "half"),
)

DIALECTS_AMONG_MUTANTS = {
    ("optim.RMSprop", "adds eps under the root"): "eps-inside",
    ("optim.RMSprop", "decouples weight_decay"): "decoupled",
    ("optim.Adagrad", "adds eps under the root"): "tensorflow",
    ("optim.Adam", "adds eps under the root"): "eps-inside",
    ("optim.Adam", "adds eps before the correction"): "tensorflow",
    ("optim.Adam", "takes decoupled_weight_decay for granted"): "decoupled",
    ("optim.AdamW", "adds eps under the root"): "eps-inside",
    ("optim.AdamW", "adds eps before the correction"): "tensorflow",
    ("optim.AdamW", "adds the decay to the gradient"): "l2",
    ("optim.SGD", "puts the rate into the buffer"): "tensorflow",
    **{
        (f"{kind}{n}d", "exchanges momentum and 1 - momentum"): "tensorflow"
        for kind in ("BatchNorm", "InstanceNorm")
        for n in (1, 2, 3)
    },
    **{(f"BatchNorm{n}d", "keeps the biased variance"): "biased-variance" for n in (1, 2, 3)},
    **{(f"Conv{n}d", "padding='same' puts the odd pixel first"): "same-lower" for n in (1, 2, 3)},
    **{(f"MaxPool{n}d", "the last of equal maxima wins"): "ties-to-last" for n in (1, 2, 3)},
    **{(f"AvgPool{n}d", "never counts the padding"): "tensorflow" for n in (1, 2, 3)},
    **{
        (twin, "adds one bias of two"): "only-bias_ih"
        for twin in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
    },
    **{
        (twin, "takes the last axis whatever dim says"): "last-axis"
        for twin in ("Softmax", "LogSoftmax", "Softmin")
    },
    **{
        (twin, "takes the sum for the mean"): "sum"
        for twin in ("BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss", "MSELoss")
    },
    **{
        (twin, "divides by the batch size only"): "batch-mean"
        for twin in ("BCEWithLogitsLoss", "L1Loss", "MSELoss")
    },
    ("KLDivLoss", "divides by the batch size for the mean"): "batch-mean",
    ("GELU", "takes the tanh form whatever approximate says"): "tanh",
    ("Dropout", "does not make up for what it drops"): "unscaled",
    ("Hardsigmoid", "has a slope at the thresholds"): "slope-at-ends",
    ("MultiMarginLoss", "has a gradient at the margin"): "one-at-margin",
    ("ReLU", "has slope 1 at 0"): "one-at-zero",
    ("ReLU", "has slope 1/2 at 0"): "half-at-zero",
    ("LeakyReLU", "0 is on the positive side"): "one-at-zero",
    ("PReLU", "0 is on the positive side"): "one-at-zero",
    ("ELU", "has slope 1 at 0"): "one-at-zero",
    ("SELU", "has the slope scale at 0"): "right-at-zero",
    ("Threshold", "x stays as it is at the threshold"): "passes-at-threshold",
}
"""The planted mistakes that are a dialect, forwards and backwards; no other one is."""


@cache
def drawn(twin, dialect=None, dtype="float64"):
    """Examples of the domain of the twin, or of a candidate, the same ones every time."""
    found = []

    def keep(pair):
        if specs()[twin].known_bad(pair[0].config) is None:
            found.append(pair[0])

    only = SPOKEN[twin, dialect].only if dialect else {}
    settings(
        max_examples=40,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(with_seed(5)(given(examples(specs()[twin], only, dtype, 4))(keep)))()
    return found


def recognised(c, asked, dtype="float64"):
    """The dialect that some failing examples and two others show, and whether any failed."""
    ask = Examiner(c, specs()[c.twin], PRECISIONS[dtype])
    failing, agreeing = [], []
    for example in asked:
        (failing if ask(example) else agreeing).append(example)
        if len(failing) == 3:
            break
    found = recognise(c, specs()[c.twin], [*failing, *agreeing[:2]], PRECISIONS[dtype])
    return found and found.name, bool(failing)


def test_every_dialect_is_spoken_here():
    assert set(SPOKEN) == {(twin, d.name) for twin, known in DIALECTS.items() for d in known}


def test_names_are_unique_and_every_dialect_says_what_torch_does():
    for twin, known in DIALECTS.items():
        assert twin in specs()
        assert len({d.name for d in known}) == len(known)
        for d in known:
            assert d.twin == twin
            assert d.origin
            assert "torch" in d.text


@pytest.mark.parametrize("twin", DIALECTS)
def test_every_dialect_is_recognised_by_name(twin):
    for dialect in DIALECTS[twin]:
        c = SPOKEN[twin, dialect.name]
        asked = drawn(twin, dialect.name) if c.only else drawn(twin)
        assert recognised(c, asked) == (dialect.name, True)


@pytest.mark.parametrize(("twin", "dialect"), DECLARED)
def test_a_dialect_is_recognised_in_float32_too(twin, dialect):
    assert recognised(SPOKEN[twin, dialect], drawn(twin, None, "float32"), "float32")[0] == dialect


@pytest.mark.parametrize("twin", DIALECTS)
def test_what_is_right_is_in_no_dialect(twin):
    c = native(twin)
    assert recognise(c, specs()[twin], drawn(twin)[:8], PRECISIONS["float64"]) is None


@pytest.mark.parametrize("twin", DIALECTS)
def test_a_mistake_is_in_a_dialect_only_if_it_is_one(twin):
    mutants = [m for m in all_mutants() if m.layer == twin]
    sample = mutants[::10] + [m for m in mutants if (twin, m.mistake) in DIALECTS_AMONG_MUTANTS]
    for mutant in {m.mistake: m for m in sample}.values():
        name = DIALECTS_AMONG_MUTANTS.get((twin, mutant.mistake))
        asked = drawn(twin, name) if name and SPOKEN[twin, name].only else drawn(twin)
        assert recognised(native(twin, mutant.build()), asked)[0] == name, mutant.mistake


def test_the_mistakes_that_are_dialects_exist():
    planted = {(m.layer, m.mistake) for m in all_mutants()}
    assert set(DIALECTS_AMONG_MUTANTS) <= planted


def test_a_twin_without_dialects_is_left_alone():
    c = native("Identity")
    assert recognise(c, specs()["Identity"], drawn("Identity")[:3], PRECISIONS["float64"]) is None


# ---- dialects that are declared ------------------------------------------------------------------


def declared(twin, dialect, function, name="mine"):
    only = SPOKEN[twin, dialect].only if (twin, dialect) in SPOKEN else {}
    return candidate(twin, only=only, dialect=dialect, name=name)(function)


@pytest.mark.parametrize(("twin", "dialect"), DECLARED)
def test_what_declares_its_dialect_passes_and_the_report_says_so(twin, dialect):
    report = run(declared(twin, dialect, SPOKEN[twin, dialect].function), examples=40)
    report.raise_if_diverged()

    said = f"mine against torch itself (declared dialect: {dialect})"
    assert report.exit_code == 0
    assert report.not_verified[0] == said
    assert f"declared dialect: {dialect}" in " ".join(render(report).split())


@pytest.mark.parametrize(("twin", "dialect"), DECLARED)
def test_what_does_not_declare_it_diverges(twin, dialect):
    undeclared = candidate(twin, name="mine")(SPOKEN[twin, dialect].function)
    report = run(undeclared, examples=40, dtypes=("float64",))

    assert report.exit_code in (1, 3)
    assert not any("dialect" in line for line in report.not_verified)


@pytest.mark.parametrize(("twin", "dialect"), DECLARED)
def test_torch_itself_does_not_speak_a_dialect(twin, dialect):
    report = run(declared(twin, dialect, native(twin).function), examples=40, dtypes=("float64",))
    assert report.exit_code in (1, 3)


def test_an_unknown_dialect_is_refused_with_those_that_are_known():
    speaks = declared("optim.RMSprop", "klingon", native("optim.RMSprop").function)
    with pytest.raises(
        ConfigError, match=r"'klingon', which optim\.RMSprop does not have\. It has "
    ):
        resolve(speaks)
    with pytest.raises(ConfigError, match="'tensorflow', 'eps-inside', 'decoupled'"):
        run(speaks, examples=1)
    with pytest.raises(ConfigError, match="It has none"):
        resolve(declared("Identity", "tensorflow", native("Identity").function))


def test_a_dialect_is_a_name():
    with pytest.raises(ConfigError, match="dialect must be a name, but is 3"):
        candidate("Linear", dialect=3)
