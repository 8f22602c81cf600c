"""npnet trace and npnet compare: the commands, their files, dumps that other programs write."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from npnet.report import html, jsonl, traced
from npnet.report.merge import merge, read
from npnet.verify import compare
from npnet.verify.finding import Verdict
from npnet.verify.store import FileFormatError
from npnet.verify.whole.dumps import dump, named
from tests.commands import AFFINE, npnet_
from tests.networks import PLANTED, RIGHT

NETS = """
from tests.networks import PLANTED, RIGHT

good = RIGHT["residual"]
bad = next(p.training for p in PLANTED if "no way back" in p.name)
"""


@pytest.fixture
def nets(folder: Path) -> Path:
    """A folder with nets.py, which holds two trainings."""
    (folder / "nets.py").write_text(NETS)
    return folder


# ---- npnet trace ---------------------------------------------------------------------------------


def test_a_network_that_agrees_exits_0_and_shows_every_layer_and_step(nets):
    result = npnet_("trace", "nets.py::good", "--report-dir", "out")

    assert result.exit_code == 0, result.output
    assert "optim.Adam" in result.output
    assert "step 4" in result.output
    assert "out/index.html" in result.output


def test_a_mistake_exits_1_and_is_told_with_its_step(nets):
    result = npnet_("trace", "nets.py::bad", "--report-dir", "out")

    assert result.exit_code == 1
    assert "wiring · gradient of y of fc1 · step 1 · float64" in result.output
    assert "a path is lost on the way back" in " ".join(result.output.split())
    events = [e["event"] for e in jsonl.read(Path("out/results.jsonl"))]
    assert events.count("trace") == 2
    assert events[-1] == "end"


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("nets.py", 2, "holds several: good, bad"),
        ("nets.py::goood", 2, "holds no TrainingRun 'goood'. Did you mean 'good'?"),
        ("net.py", 2, "there is no file net.py. Did you mean nets.py?"),
        ("nothing.here", 2, "there is no file or module 'nothing.here'"),
        ("empty.py", 2, "holds no npnet.verify.TrainingRun"),
        ("broken.py", 3, "broken.py could not be loaded"),
    ],
)
def test_what_cannot_be_traced_is_said(nets, target, code, says):
    Path("empty.py").write_text("")
    Path("broken.py").write_text("1 / 0")

    result = npnet_("trace", target)

    assert result.exit_code == code
    assert says in result.output


def test_a_run_that_is_read_back_has_the_same_traces(nets):
    npnet_("trace", "nets.py::bad", "--report-dir", "out")
    report, cut_off = merge([read(Path("out"))])

    assert not cut_off
    assert [t.dtype for t in report.traces] == ["float64", "float32"]
    assert report.findings[0].step == 1
    assert npnet_("report", "out", "--report-dir", "again").exit_code == 1
    assert "Layers and steps" in Path("again/index.html").read_text()


def test_a_dump_of_both_sides_gives_the_same_first_divergence(nets):
    npnet_("trace", "nets.py::bad", "--report-dir", "out", "--dump", "dumped", "--steps", "2")
    result = npnet_("compare", "dumped/own.safetensors", "dumped/torch.safetensors")

    assert result.exit_code == 1
    assert "fc1 · gradient of y · step 1 · float64" in result.output
    assert npnet_("trace", "nets.py::good", "--dump", "fine").exit_code == 0
    assert npnet_("compare", "fine/own.safetensors", "fine/torch.safetensors").exit_code == 0


def test_a_page_marks_what_is_wrong_by_itself_and_what_inherits():
    report = PLANTED[0].training.verify()
    page = html.page(report)

    assert "npnet trace" in page
    rows = [r for r in page.split("<tr>") if r.startswith('<th scope="row">3</th><td class="dim"')]
    assert len(rows) == 2  # in both formats
    assert all("✕" in row for row in rows)
    assert "↳" in page
    assert page.count("<figure>") >= 2


def test_many_steps_are_shown_in_part_with_the_first_that_is_wrong():
    report = RIGHT["shared"].verify(dtypes=("float64",))
    (trace,) = report.traces
    cells = trace.layers["fc"]
    wrong = type(cells[0])("wrong", 5.0, "y")
    long = type(trace)("float64", 40, {"fc": (*cells[:1] * 17, wrong, *cells[:1] * 22)}, {"fc": ""})

    shown = traced.columns(long)

    assert len(shown) <= 8
    assert {0, 17, 39} <= set(shown)
    assert "✕ 5.00" in traced.text(long)


def test_a_stored_failure_of_a_layer_is_asked_again(folder):
    affine = (
        AFFINE
        + """
from npnet.verify import TrainingRun
import torch
from npnet import optim

def run():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2))

import numpy as np
net = TrainingRun(
    [lambda case: affine(case, FACTOR)], run, [(np.ones((4, 3)), np.array([0, 1, 1, 0]))] * 2,
    optim.SGD(lr=0.1), loss=torch.nn.CrossEntropyLoss(),
)
"""
    )
    Path("nets.py").write_text(affine.replace("FACTOR", "2.0"))
    assert npnet_("trace", "nets.py", "--report-dir", "reports/one").exit_code == 1
    (failing,) = Path("reports/one/failures").iterdir()

    asked = npnet_("replay", str(failing))
    assert (asked.exit_code, "STILL DIVERGES" in asked.output) == (1, True)
    script = [sys.executable, str(failing / "repro.py")]
    shown = subprocess.run(script, capture_output=True, text=True, check=False)
    assert shown.returncode == 1, shown.stderr
    Path("nets.py").write_text(affine.replace("FACTOR", "1.0"))
    assert "FIXED" in npnet_("replay", str(failing)).output
    assert subprocess.run(script, capture_output=True, check=False).returncode == 0
    Path("nets.py").write_text("1 / 0")
    assert "could not be loaded" in npnet_("replay", str(failing)).output


# ---- npnet compare -------------------------------------------------------------------------------


def activations(**changed):
    rng = np.random.default_rng(0)
    found = {
        "layers.2/y": rng.standard_normal((3, 4)),
        "layers.10/y": rng.standard_normal((3, 5)),
        "layers.2/gradient of weight": rng.standard_normal((4, 4)),
        "layers.10/gradient of weight": rng.standard_normal((5, 4)),
    }
    return found | changed


def test_dumps_that_differ_by_rounding_agree():
    rng = np.random.default_rng(1)
    near = {n: a + 1e-12 * rng.standard_normal(a.shape) for n, a in activations().items()}
    report = compare(near, activations())

    assert report.exit_code == 0
    assert [r.layer for r in report.layers] == ["layers.2", "layers.10"]


def test_the_first_layer_that_differs_is_named_by_the_order_of_its_number(tmp_path):
    wrong = activations()
    wrong["layers.10/y"] = wrong["layers.10/y"] + 0.1
    wrong["layers.2/gradient of weight"] = wrong["layers.2/gradient of weight"] * 2
    save_file(wrong, tmp_path / "a.safetensors")
    np.savez(tmp_path / "b.npz", **activations())

    report = compare(tmp_path / "a.safetensors", tmp_path / "b.npz")

    (finding,) = report.findings
    assert (finding.layer, finding.quantity) == ("layers.10", "y")
    assert "1 more differ" in finding.explanations[0].text
    assert report.exit_code == 1


@pytest.mark.parametrize("cause", ["the last layer", "the first layer"])
def test_gradients_are_held_the_other_way_round(cause):
    wrong = activations()
    for name in wrong:
        if "gradient" in name and (cause == "the first layer") <= ("layers.2" in name):
            wrong[name] = -wrong[name]
    report = compare(wrong, activations())

    assert report.findings[0].layer == ("layers.10" if cause == "the last layer" else "layers.2")


def test_a_transposed_array_is_told_as_another_layout():
    name = "layers.10/gradient of weight"
    report = compare(activations(**{name: activations()[name].T.copy()}), activations())

    (finding,) = report.findings
    assert finding.verdict is Verdict.CONTRACT
    assert finding.explanations[0].text.startswith(
        "it is the same with its axes in the order (1, 0)"
    )


@pytest.mark.parametrize(
    ("dtype", "off", "agrees"),
    [
        ("float64", 1e-7, False),
        ("float64", 1e-9, True),
        ("float32", 1e-3, False),
        ("float32", 1e-5, True),
        ("float16", 0.1, False),
        ("float16", 0.01, True),
    ],
)
def test_half_of_the_digits_of_the_coarser_format_must_agree(dtype, off, agrees):
    a = np.linspace(0.0, 1.0, 7)
    report = compare({"fc/y": (a + off).astype(dtype)}, {"fc/y": a})

    assert (report.exit_code == 0) is agrees


def test_bounds_beside_the_arrays_decide():
    a, b = {"fc/y": np.array([1.0 + 1e-12])}, {"fc/y": np.array([1.0])}

    assert compare(a, b).exit_code == 0
    assert compare(a, b | {"fc/bound of y": np.array([1e-14])}).exit_code == 1
    assert compare(a, b | {"fc/bound of y": np.array([1e-12])}).exit_code == 0


def test_bfloat16_is_read(tmp_path):
    values = np.array([1.0, -2.5, 0.0, 3.0], "<f4")
    raw = (values.view("<u4") >> 16).astype("<u2").tobytes()
    head = json.dumps({"fc/y": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + raw)

    found = dump(tmp_path / "a.safetensors")

    assert np.array_equal(found.arrays["fc/y"], values)
    assert compare(tmp_path / "a.safetensors", {"fc/y": values * 1.01}).exit_code == 0
    assert compare(tmp_path / "a.safetensors", {"fc/y": values * 1.2}).exit_code == 1


@pytest.mark.parametrize(
    ("name", "step", "layer", "quantity"),
    [
        ("fc1/y", 1, "fc1", "y"),
        ("step 3/fc1/gradient of weight", 3, "fc1", "gradient of weight"),
        ("step_12/encoder/0/y", 12, "encoder/0", "y"),
        ("encoder.fc1.weight.grad", 1, "encoder.fc1", "gradient of weight"),
        ("encoder.fc1.weight", 1, "encoder.fc1", "weight"),
        ("logits", 1, "logits", "y"),
    ],
)
def test_names_are_read(name, step, layer, quantity):
    assert named(name) == (step, layer, quantity)


def test_what_is_in_one_dump_only_is_told(folder):
    a, b = activations(), activations()
    del a["layers.2/y"]
    b["extra/y"] = np.zeros(2)
    report = compare(a, b)

    assert "layers.2/y (only in the second)" in report.not_verified
    assert "extra/y (only in the second)" in report.not_verified


def test_an_integer_must_be_the_same():
    assert compare({"a/y": np.array([1, 2])}, {"a/y": np.array([1, 2])}).exit_code == 0
    assert compare({"a/y": np.array([1, 2])}, {"a/y": np.array([1, 3])}).exit_code == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read as one"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", "no name in common"),
        (b"PK\x03\x04rubbish", "cannot be read as npz"),
        (b"hello, this is no dump at all", "cannot be read as one"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(folder, content, says):
    Path("a.bin").write_bytes(content)
    np.savez("b.npz", **{"fc/y": np.zeros(3)})
    result = npnet_("compare", "a.bin", "b.npz")

    assert result.exit_code == 2
    assert says in result.output


def test_a_file_that_does_not_exist_is_refused():
    with pytest.raises(FileFormatError, match="cannot be read"):
        dump("nowhere.safetensors")


def test_steps_keep_the_numbers_that_they_have():
    good = {f"step {k}/a/y": np.ones(2) for k in (0, 2, 10)}
    report = compare(good | {"step 10/a/y": np.zeros(2)}, good)

    assert report.findings[0].step == 10
    (trace,) = report.traces
    assert trace.numbers == (0, 2, 10)
    assert "step 10" in traced.text(trace)
    assert "step 1 " not in traced.text(trace)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a/y": np.array(["x", "z"])}, "must hold real numbers"),
        ({"a/y": np.ones(2, complex)}, "must hold real numbers"),
        ({"a/y": np.ones(2), "a/bound of y": np.array([-1.0, 1.0])}, "must hold bounds"),
    ],
)
def test_what_cannot_be_compared_is_refused(arrays, says):
    with pytest.raises(FileFormatError, match=says):
        compare({"a/y": np.ones(2)}, arrays)


def test_an_empty_array_says_nothing():
    a = {"a/y": np.ones((0, 3)), "b/y": np.ones(2)}

    assert "a/y (empty)" in compare(a, a).not_verified
