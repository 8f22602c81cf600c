"""The guide's pages: what they are made of, and that they say nothing that is not so."""

import inspect
import json
from dataclasses import replace

import pytest
from rich.console import Console

from npnet.contract import ConfigError, Forward, Grads
from npnet.guide import check, claims, docstrings, evidence, signature, source
from npnet.guide import page as pages
from npnet.guide.blocks import Bullets, Code, Fold, Page, Section, Table, Text
from npnet.guide.example import candidate, entries_of, example
from npnet.guide.markdown import document, escaped
from npnet.guide.terminal import show
from npnet.report import catalogue
from npnet.twins import SPECS
from npnet.verify.claim import Claim
from tests.commands import npnet_

NAMES = source.names()
EVERY = pytest.mark.parametrize("name", NAMES)


# ---- every page ----------------------------------------------------------------------------------


def test_there_is_a_page_of_everything_that_npnet_has_of_torch():
    left_out = {*catalogue.missing(), *catalogue.left_out()}
    torch = {pages.words.in_torch(n) for n in NAMES}

    assert torch == {pages.words.in_torch(n) for n in catalogue._of_torch()} - left_out


@EVERY
def test_nothing_is_to_complain_of(name):
    assert list(check.complaints(name)) == []


@EVERY
def test_a_page_has_what_a_porter_needs(name):
    sections = {s.title: s for s in pages.page(name).sections}

    wanted = {"Formula, and npnet's own code", "Conventions", "Signatures", "Side by side"}
    assert wanted | {"Common mistakes", "What was verified"} <= {*sections}
    assert ("Tensors" in sections) >= bool(entries_of(name))


@pytest.mark.parametrize("name", ["LSTM", "BatchNorm2d", "Conv2d", "optim.RMSprop"])
def test_the_whole_backward_pass_is_shown(name):
    code = source.code(name)
    text = "\n".join(s.text for s in (code.own, *code.called))

    assert ("def vjp" in text or "def back" in text) == ("." not in name)
    assert "raise ConfigError" not in code.own.text
    assert not {"known", "require_floats"} & {s.name for s in code.called}


# ---- source --------------------------------------------------------------------------------------


def test_docstrings_refer_to_others_as_deep_as_it_goes():
    assert docstrings.references("LSTM") == ["RNN", "Dropout"]
    assert docstrings.references("AdaptiveMaxPool2d")[:2] == ["AdaptiveMaxPool1d", "MaxPool1d"]
    assert docstrings.references("optim.AdamW") == ["optim.Adam"]


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["a " * 46 + "word", "longer than that"], 1),
        (["short", "longer than that"], 2),
        (["a " * 46 + "word", "", "longer"], 3),
        (["dx = " + "a " * 44, "dweight[o] = b"], 2),
        (["a " * 46 + "word", "weight: (O, C)"], 2),
        (["x: (N,)" + " " * 80 + "y: (N,)", "longer than that"], 2),
        (["a " * 46 + "word", "    indented"], 2),
        (["    " + "a " * 44 + "word", "back again"], 2),
        (["a " * 46 + "word", "momentum:  θ ← θ"], 2),
    ],
)
def test_lines_of_prose_are_joined_and_no_others(lines, joined):
    assert len(docstrings._joined("\n".join(lines)).split("\n")) == joined


def test_the_digest_is_that_of_code(monkeypatch):
    before = source.digest("Linear")
    original = inspect.getsource

    def edited(old, new):
        source._bare.cache_clear()
        monkeypatch.setattr(
            source.inspect,
            "getsource",
            lambda m: original(m).replace(old, new) if "linear" in m.__name__ else original(m),
        )
        return source.digest("Linear")

    try:
        assert edited("y = rows @ W.T", "y = rows @ W.T  # a remark") == before
        assert edited('"""Linear', '"""More. Linear') == before
        assert edited("y = rows @ W.T", "y = W @ rows.T") != before
    finally:
        source._bare.cache_clear()


def test_layers_inside_have_pages_of_their_own():
    assert {"MultiheadAttention", "LayerNorm", "Dropout"} <= {
        *source.code("TransformerEncoderLayer").layers
    }
    assert "lr_scheduler.MultiplicativeLR" in source.code("lr_scheduler.SequentialLR").layers


# ---- signatures ----------------------------------------------------------------------------------


def test_every_parameter_of_torch_is_explained():
    assert {n: signature.unnamed(n) for n in NAMES if signature.unnamed(n)} == {}


def test_a_new_parameter_of_torch_is_noticed(monkeypatch):
    import torch

    class Newer(torch.nn.Linear):
        def __init__(self, in_features, out_features, bias=True, gain=1.0):
            super().__init__(in_features, out_features, bias)

        def forward(self, input, scale=None):
            return super().forward(input)

    monkeypatch.setattr(signature, "_torch_class", lambda name: Newer)

    assert signature.unnamed("Linear") == ["gain", "scale"]
    assert [c for c in check.complaints("Linear") if "'gain'" in c]


def test_another_default_is_told():
    found = {p.name: p for p in signature.constructor("Linear")}
    assert {p.status for p in found.values()} == {"same", "not supported"}
    assert found["dtype"].note


def test_a_default_that_differs_is_told(monkeypatch):
    import torch

    class Other(torch.nn.Linear):
        def __init__(self, in_features, out_features, bias=False):
            super().__init__(in_features, out_features, bias)

    monkeypatch.setattr(signature, "_torch_class", lambda name: Other)
    bias = next(p for p in signature.constructor("Linear") if p.name == "bias")

    assert (bias.status, bias.note) == ("differs", "bias=False in torch")


# ---- claims and evidence -------------------------------------------------------------------------


def test_only_claims_that_passed_are_printed(monkeypatch):
    spec = SPECS["Linear"]
    wrong = Claim("Rows are columns.", lambda ask: False)
    monkeypatch.setitem(SPECS, "Linear", replace(spec, claims=(*spec.claims, wrong)))

    assert "Rows are columns." in claims.failing("Linear")
    complaints = [c for c in check.complaints("Linear") if "Rows are columns." in c]
    assert len(complaints) == 1
    assert "Rows are columns." not in str(pages.page("Linear"))


def test_a_claim_that_was_not_in_the_run_is_not_printed(monkeypatch):
    spec = SPECS["Linear"]
    new = Claim("Something new.", lambda ask: True)
    monkeypatch.setitem(SPECS, "Linear", replace(spec, claims=(*spec.claims, new)))

    assert "no passing check in the attached run" in " ".join(check.complaints("Linear"))
    assert "Something new." not in str(pages.page("Linear"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"code": "0" * 16}, "older than the layer"),
        ({"mistakes": ()}, "shows no mistakes"),
        ({"claims": ()}, "no passing check"),
    ],
)
def test_a_page_that_is_older_than_its_layer_is_complained_of(monkeypatch, change, complaint):
    found = evidence.read("Linear")
    monkeypatch.setattr(evidence, "read", lambda name: replace(found, **change))

    assert any(complaint in c for c in check.complaints("Linear"))


def test_a_layer_that_was_not_verified_is_complained_of(monkeypatch):
    found = evidence.read("Linear")
    worse = {d: replace(a, verdict="INSUFFICIENT") for d, a in found.asked.items()}
    monkeypatch.setattr(evidence, "read", lambda name: replace(found, asked=worse))
    assert any("not verified in float32, float64" in c for c in check.complaints("Linear"))

    monkeypatch.setattr(evidence, "read", lambda name: None)
    assert list(check.complaints("Linear")) == [
        "it was never verified. You might need make evidence."
    ]


def test_evidence_is_kept_as_it_was(tmp_path):
    found = evidence.read("Linear")
    evidence.write("Linear", found, tmp_path)
    assert evidence.read("Linear", tmp_path) == found

    place = evidence.path("Linear", tmp_path)
    place.write_text(json.dumps({"code": "1"}))
    with pytest.raises(ConfigError, match=r"must hold the evidence of Linear.*make evidence"):
        evidence.read("Linear", tmp_path)


# ---- code that runs ------------------------------------------------------------------------------


def test_sides_that_disagree_are_complained_of(monkeypatch):
    from npnet import nn

    right = nn.Tanh.__call__

    def wrong(self, state, x):
        forward = right(self, state, x)
        return Forward(forward.y, lambda dy: Grads((2 * forward.vjp(dy).inputs[0],)))

    monkeypatch.setattr(nn.Tanh, "__call__", wrong)

    assert any("print different numbers" in c for c in check.complaints("Tanh"))
    assert "print the same numbers" not in str(pages.page("Tanh"))


def test_code_that_does_not_run_is_complained_of(monkeypatch):
    from npnet.guide import example as package

    monkeypatch.setattr(package, "of_layer", lambda name, spec: ("1 / 0", "", ""))
    with pytest.raises(ConfigError, match="must run, but raises ZeroDivisionError"):
        example("Tanh")
    assert any("ZeroDivisionError" in c for c in check.complaints("Tanh"))


def test_what_is_drawn_differs_and_evaluation_agrees(monkeypatch):
    assert example("Dropout").note
    assert example("Dropout").agree

    from npnet import nn

    right = nn.Dropout.__call__
    monkeypatch.setattr(
        nn.Dropout,
        "__call__",
        lambda self, state, x, rng=None: (
            right(self, state, x, rng=rng)
            if self.training
            else Forward(2 * x, lambda dy: Grads((dy,)))
        ),
    )
    assert any("print different numbers" in c for c in check.complaints("Dropout"))


# ---- one's own -----------------------------------------------------------------------------------


@EVERY
def test_the_place_for_ones_own_is_python(name):
    compile(candidate(name), name, "exec")


@pytest.mark.parametrize("name", ["Linear", "LSTM", "BatchNorm2d", "optim.Adam"])
def test_the_place_for_ones_own_is_asked(folder, name):
    (folder / "mine.py").write_text(candidate(name))
    result = npnet_("verify", "mine.py", "--examples", "5", "--dtype", "float64", "--in-process")

    assert result.exit_code in (1, 3), result.output
    assert name in result.output


def test_what_is_borrowed_from_another_docstring_is_what_is_missing():
    assert "tanh(W_ih" not in docstrings.borrowed("LSTM", "RNN")
    assert "_reverse" in docstrings.borrowed("LSTM", "RNN")
    assert "reduction:" in docstrings.borrowed("CrossEntropyLoss", "MSELoss")
    assert "(prediction - target)" not in docstrings.borrowed("CrossEntropyLoss", "MSELoss")
    assert "dx = rstd" in docstrings.borrowed("BatchNorm2d", "BatchNorm1d")


def test_what_computes_comes_first():
    called = [s.name for s in source.code("BatchNorm2d").called]
    assert called.index("adjoint") < called.index("Standard")
    assert "Correlation" in [s.name for s in source.code("Conv2d").called][:3]


# ---- as text -------------------------------------------------------------------------------------


def test_nothing_in_plain_text_is_markup():
    assert escaped("a*b*c_d_ <b> [x](y) `code * x`") == (r"a\*b\*c\_d\_ \<b\> \[x\](y) `code * x`")


def test_markdown_of_every_block():
    blocks = (
        Text("a * b"),
        Text("- no list"),
        Text("1. no list"),
        Bullets(("one", "two")),
        Table(("x", "y"), (("a|b", "c"),), code=(0,)),
        Fold("more", (Code("```", "caption"),)),
    )
    page = Page("Linear", "npnet.nn.Linear", "torch.nn.Linear", (Section("S", blocks),))
    text = document(page, lambda name: None)

    assert r"a \* b" in text
    assert "\n\\- no list" in text
    assert "\n1\\. no list" in text
    assert r"| `a\|b` | c |" in text
    assert "````{code-block} python" in text
    assert ":::{dropdown} more" in text


def test_the_terminal_fits(capsys):
    for width in (60, 100, 200):
        console = Console(width=width, record=True)
        show(pages.page("Linear"), console, full=True)
        assert max(map(len, console.export_text().splitlines())) <= width


def test_the_command_shows_a_page_by_any_case():
    result = npnet_("guide", "batchnorm2d")

    assert result.exit_code == 0
    assert "÷ n" in result.output
    assert "torch.nn.BatchNorm2d" in result.output
    more = npnet_("guide", "-v", "BatchNorm2d").output
    assert "def adjoint" in more
    assert len(more) > len(result.output)


def test_a_short_name_is_an_optimizer():
    assert "torch.optim.RMSprop" in npnet_("guide", "rmsprop").output
    assert "torch.optim.lr_scheduler.StepLR" in npnet_("guide", "StepLR").output


def test_a_name_that_has_no_page_is_refused():
    result = npnet_("guide", "Batchnorm2")

    assert result.exit_code == 2
    assert "Did you mean 'BatchNorm2d'?" in result.output


def test_without_a_name_the_pages_are_listed():
    output = npnet_("guide").output

    assert all(name in output for name in NAMES)


def test_the_check_of_some_pages():
    result = npnet_("guide", "--check", "Linear", "ReLU")

    assert result.exit_code == 0, result.output
    assert "2 pages checked, nothing to complain of." in result.output


def test_the_check_fails(monkeypatch):
    monkeypatch.setattr(evidence, "read", lambda name: None)
    result = npnet_("guide", "--check", "Linear")

    assert result.exit_code == 1
    assert "Linear: it was never verified." in result.output


def test_the_check_and_the_site_are_two_commands():
    result = npnet_("guide", "--check", "--build", "site")

    assert result.exit_code == 2
    assert "two commands" in result.output


@pytest.mark.parametrize("place", ["afile/site", "afile"])
def test_a_place_where_no_site_can_be_is_refused_at_once(folder, place):
    (folder / "afile").write_text("a file")
    result = npnet_("guide", "--build", place)

    assert result.exit_code == 2
    assert "Give another one." in result.output.replace("\n", " ")


def test_a_directory_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    result = npnet_("guide", "--build", str(tmp_path))

    assert result.exit_code == 2
    assert "holds other things" in result.output.replace("\n", " ")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
