"""torch on the GPU, as a candidate and beside the oracle. The CPU stands in where there is none."""

from dataclasses import replace
from itertools import cycle

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from npnet.report import html, text
from npnet.twins import SPECS
from npnet.twins.beside import beside, with_device
from npnet.twins.precise import precisely
from npnet.verify import adapt, candidate, engine, run
from npnet.verify.finding import BROKEN, DIVERGED, Verdict
from npnet.verify.isolate import isolate
from npnet.verify.recorded import read, record, write
from npnet.verify.targets import native
from tests.commands import npnet_

LAYERS = [name for name in SPECS if "." not in name]
ONLY = {"Embedding": {"sparse": st.just(False)}}
NORMWISE = (
    "Conv2d",
    "RNN",
    "LSTM",
    "GRU",
    "Sequential",
)  # cuDNN chooses among algorithms, Winograd's too
STANDING_IN = ("Linear", "BatchNorm2d", "Dropout", "LSTM", "Embedding", "optim.SparseAdam")

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device, and there is none"
)


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("name", LAYERS)
def test_torch_on_the_gpu_agrees_with_the_oracle(name):
    bound = "normwise" if name in NORMWISE else "elementwise"
    function = adapt.torch_function(getattr(nn, name), device="cuda")
    report = run(candidate(name, only=ONLY.get(name), bound=bound)(function), examples=15)

    found = [f for f in report.findings if f.verdict in DIVERGED | BROKEN]
    assert not found, f"{found[0].quantity}: {found[0].message}"


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("name", [name for name in SPECS if not name.startswith("lr_scheduler")])
def test_the_gpu_agrees_with_the_cpu(name):
    report = run(name, examples=15, device="cuda")

    assert not report.findings, report.findings[0].message
    assert all(o.beside for o in report.layers[0].outcomes.values()), report.not_verified


# ---- the CPU standing in -------------------------------------------------------------------------


def asked_beside(monkeypatch, name, spec=None, **settings):
    """A run with --device cuda whose second device is the CPU."""
    twins = beside("cpu", {**SPECS, name: spec or SPECS[name]})
    monkeypatch.setattr(engine, "specs", lambda device, reference: twins)
    return run(name, examples=10, device="cuda", **settings)


@pytest.mark.parametrize("name", STANDING_IN)
def test_a_second_device_is_held_against_the_first(monkeypatch, name):
    report = asked_beside(monkeypatch, name)

    assert not report.findings
    for outcome in report.layers[0].outcomes.values():
        integers = {"next num_batches_tracked"}
        assert outcome.beside.keys() == outcome.ratios.keys() - integers
        assert outcome.wavering == ()
    assert max(report.layers[0].outcomes["float32"].beside.values()) <= 1
    assert report.environment["device"] == "cuda"
    assert "torch on cuda in float32: worst err/bound" in text.render(report)
    assert "kernels on the second device in float32" in html.page(report)


def answering(change):
    """Linear whose numbers are changed on the second device."""

    def values(example, dtype, device, exact):
        return change(dict(SPECS["Linear"].values(example, dtype, device, exact)), exact)

    return replace(SPECS["Linear"], values=values)


def test_devices_that_differ_are_told_and_blame_nobody(monkeypatch):
    wrong = answering(lambda found, exact: {**found, "y": found["y"] * (1 + 1e-9)})
    report = asked_beside(monkeypatch, "Linear", wrong)

    assert [f.verdict for f in report.findings] == [Verdict.ORACLE_DISAGREES]
    assert "on the CPU" in report.findings[0].message
    assert report.exit_code == 4


def test_what_differs_from_run_to_run_is_measured_and_allowed(monkeypatch):
    signs = cycle((1, -1))

    def shaken(found, exact):
        return {**found, "y": found["y"] * (1 + 1e-6 * next(signs))}

    spec = answering(shaken)
    report = asked_beside(monkeypatch, "Linear", spec, dtypes=("float32",))
    assert not report.findings
    assert report.layers[0].outcomes["float32"].wavering == ("y",)


def test_a_kernel_that_is_missing_is_told(monkeypatch):
    def none(found, exact):
        raise NotImplementedError("no kernel of that name")

    report = asked_beside(monkeypatch, "Linear", answering(none))

    assert not report.findings
    assert any("no kernel of that name" in line for line in report.not_verified)


def test_full_precision_is_put_back():
    def now():
        matmul = torch.backends.cuda.matmul
        return matmul.allow_tf32, torch.are_deterministic_algorithms_enabled()

    before = now()
    with precisely(random=False, training=True):
        assert now() == (False, True)
        assert not torch.backends.cudnn.allow_tf32
    assert now() == before


def test_torch_code_goes_to_the_device_that_the_run_asks():
    c = candidate("Linear")(adapt.torch_function(nn.Linear))
    fixed = candidate("Linear")(adapt.torch_function(nn.Linear, device="cpu"))

    assert c.placed("meta").device == "meta"
    assert fixed.placed("meta").device == "cpu"
    assert native("Linear").placed("meta").device == "cpu"


def test_it_goes_there_in_a_process_of_its_own_too(folder):
    (folder / "mine.py").write_text(
        "import torch\nfrom npnet.verify import adapt, candidate\n\n\n"
        "def where(x, weight, bias=None):\n    raise ValueError(f'on {x.device.type}')\n\n\n"
        'linear = candidate("Linear")(adapt.torch_function('
        'where, {"weight": "weight", "bias": "bias"}))\n'
    )
    from npnet.verify.targets import resolve

    (c,), _ = resolve("mine.py")
    isolated = isolate(c.placed("meta"))
    assert isolated.function.device == "meta"
    isolated.function.close()


def test_a_device_is_recorded_under_its_own_name(tmp_path):
    spec = with_device(SPECS["Linear"], "cpu", own=True)
    write(record(spec, "cuda", {"device_name": "standing in"}), tmp_path)
    kept = read(tmp_path, "Linear", "cuda")

    assert kept.facts["device_name"] == "standing in"
    assert (tmp_path / "Linear" / "cuda.safetensors").exists()
    report = run("Linear", device="recorded:cuda", reference=tmp_path)
    assert report.ok


def test_without_a_gpu_the_commands_say_so(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments in (("verify", "Linear", "--device", "cuda"), ("record", "--device", "cuda")):
        done = npnet_(*arguments)
        assert done.exit_code == 4
        assert "--device cuda needs a CUDA device, but torch finds none" in done.output
    assert npnet_("verify", "Linear", "--examples", "30", "--device", "auto").exit_code == 0
