"""Recorded answers: what is kept of torch judges code without it, and a program in C as well."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from npnet.contract import ConfigError, Forward, Grads
from npnet.twins import SPECS
from npnet.verify import candidate, run
from npnet.verify.finding import Verdict
from npnet.verify.recorded import read, record, write
from npnet.verify.recorded.choose import rounded_up
from npnet.verify.store import FileFormatError
from tests.commands import AFFINE, npnet_

REFERENCE = Path(__file__).parents[1] / "reference"
PROGRAM = Path(__file__).parent / "programs" / "linear.c"
WITHOUT_TORCH = """
import sys


class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")


sys.meta_path.insert(0, Blocked())
from npnet.cli import main
main()
"""


def verify(*targets, **settings):
    return run([*targets], device="recorded", reference=REFERENCE, **settings)


def affine(case, cast=np.asarray, scale=1):
    (x,), weight = case.inputs, case.state["weight"]
    y = cast(x) @ cast(weight).T + cast(case.state.get("bias", np.zeros(1, x.dtype)))

    def vjp(dy):
        flat, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        bias = {"bias": scale * flat.sum(0)} if "bias" in case.state else {}
        return Grads((dy @ weight,), {"weight": flat.T @ rows, **bias})

    return Forward(y.astype(x.dtype), vjp)


# ---- what is recorded ----------------------------------------------------------------------------


def test_every_twin_is_recorded_in_less_than_12_mb():
    assert {p.parent.name for p in REFERENCE.glob("*/cpu.json")} == set(SPECS)
    assert sum(p.stat().st_size for p in REFERENCE.rglob("*") if p.is_file()) < 12e6


@pytest.mark.parametrize("name", ["Linear", "Dropout", "optim.SGD", "lr_scheduler.StepLR"])
def test_the_same_bytes_are_written_twice(name, tmp_path):
    for place in ("first", "second"):
        write(record(SPECS[name], "cpu", {"torch": "any"}), tmp_path / place)

    for file in ("cpu.json", "cpu.safetensors"):
        one, two = (tmp_path / place / name / file for place in ("first", "second"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", ["Linear", "Dropout", "BatchNorm2d", "CTCLoss", "optim.Adam"])
def test_what_is_read_is_what_was_recorded(name, tmp_path):
    made = record(SPECS[name], "cpu", {"torch": "any"})
    write(made, tmp_path)
    back = read(tmp_path, name, "cpu")

    assert back.universe == made.universe
    assert back.masks == made.masks
    for a, b in zip(made.questions, back.questions, strict=True):
        assert (a.name, a.dtype, a.protocol) == (b.name, b.dtype, b.protocol)
        assert repr(a.example.config) == repr(b.example.config)
        assert list(a.example.arrays) == list(b.example.arrays)
        for given in a.example.arrays:
            np.testing.assert_array_equal(a.example.arrays[given], b.example.arrays[given])
        for quantity, e in a.answer.expected.items():
            kept = b.answer.expected[quantity]
            np.testing.assert_array_equal(e.value, kept.value)
            assert e.dtype == kept.dtype
            if e.error is not None:
                assert (kept.error >= e.error).all()
                assert (kept.error <= e.error * (1 + 2**-22) + 2e-45).all()


def test_boundary_cases_come_first():
    families = [q.example.themes[0] for q in read(REFERENCE, "ReLU", "cpu").questions]

    assert families[0] in ("ties", "rows", "integers") or families.index("normal") > 0


def test_optimizers_are_asked_five_steps_at_the_least():
    for q in read(REFERENCE, "optim.Adam", "cpu").questions:
        assert len(q.example.kwargs["lr"]) >= 5
        assert any(name.startswith("params after step 5") for name in q.answer.expected)


def test_a_bound_is_never_rounded_down():
    errors = np.array([0.0, 1e-50, 1e-3, 0.1, 1e39, np.inf])
    kept = rounded_up(errors, "float32")

    assert kept.dtype == np.float32
    assert (kept.astype(np.float64) >= errors).all()
    assert kept[0] == 0


# ---- verdicts ------------------------------------------------------------------------------------


def without_torch(folder, *arguments):
    """The command `npnet` where torch cannot be imported, with the recorded answers."""
    recorded = ("--device", "recorded", "--reference", str(REFERENCE))
    command = [sys.executable, "-c", WITHOUT_TORCH, "verify", *recorded, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_npnets_own_are_verified_without_torch(tmp_path):
    names = ("Linear", "Conv2d", "BatchNorm*", "*Dropout*", "LSTM", "optim.*", "lr_scheduler.*")
    done = without_torch(tmp_path, *names)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "torch as recorded in" in done.stdout
    assert " layers verified in " in done.stdout


def test_a_file_of_candidates_is_judged_without_torch(tmp_path):
    wrong = 'wrong = candidate("Linear")(lambda case: affine(case, 2.0))\n'
    (tmp_path / "mine.py").write_text(AFFINE + 'right = candidate("Linear")(affine)\n' + wrong)
    done = without_torch(tmp_path, "mine.py")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "torch as recorded in" in done.stdout
    assert re.search(r"2 times torch's|takes twice that for `dy`", done.stdout)
    assert done.stdout.count("DIVERGED") == 1


def test_the_right_code_passes_and_wrong_code_has_the_verdict_that_torch_gives_it():
    def rounded(case):
        return affine(case, cast=lambda a: np.asarray(a, np.float32))

    def mutating(case):
        case.inputs[0][...] = 0
        return affine(case)

    for function, verdict in (
        (affine, None),
        (lambda case: affine(case, scale=3), Verdict.WRONG),
        (rounded, Verdict.WRONG),
        (mutating, Verdict.CONTRACT),
    ):
        c = candidate("Linear", name="mine")(function)
        verdicts = [f.verdict for f in verify(c).findings]
        assert verdicts[:1] == ([] if verdict is None else [verdict])
        live = [f.verdict for f in run(c, examples=30).findings]
        assert verdicts[:1] == live[:1]


def test_lost_digits_are_told_from_a_wrong_formula():
    def unstable(case):
        (x,), axes = case.inputs, tuple(range(-np.ndim(case.state["weight"]), 0))
        mean = x.mean(axes, keepdims=True)
        var = (x * x).mean(axes, keepdims=True) - mean * mean  # cancels
        y = (x - mean) / np.sqrt(np.abs(var) + x.dtype.type(case.config["eps"]))
        y = y * case.state["weight"] + case.state["bias"]
        return Forward(y, lambda dy: Grads((dy,)))

    only = {"elementwise_affine": st.just(True), "bias": st.just(True)}
    c = candidate("LayerNorm", only=only, name="unstable")(unstable)
    found = verify(c, only=("forward",), dtypes=("float32",)).findings

    assert [f.verdict for f in found] == [Verdict.UNSTABLE]


def test_only_leaves_the_questions_that_it_draws():
    def without_bias(case):
        assert not case.config["bias"]
        return affine(case)

    c = candidate("Linear", only={"bias": st.just(False)}, name="mine")(without_bias)
    report = verify(c)
    assert [f.verdict for f in report.findings] == [Verdict.INSUFFICIENT]
    assert "recorded questions are of that kind" in report.findings[0].message
    assert 0 < report.layers[0].outcomes["float64"].examples < 8

    c = candidate("Linear", only={"bais": st.just(False)}, name="mine")(affine)
    assert "narrows ['bais']" in verify(c).findings[0].message


def dropout(case, rng=None, scale=1.0):
    (x,), p = case.inputs, case.config["p"]
    keep = np.ones(x.shape, x.dtype)
    if case.config["training"]:
        keep = (rng or case.rng).random(x.shape) >= p
        keep = (scale * keep / max(1 - p, 2**-20)).astype(x.dtype)
    return Forward(x * keep, lambda dy: Grads((dy * keep,)))


def test_masks_of_ones_own_are_left_out_and_blame_nobody():
    own = np.random.default_rng(7)
    report = verify(candidate("Dropout", name="mine")(lambda case: dropout(case, own)))
    assert {f.verdict for f in report.findings} == {Verdict.INSUFFICIENT}
    assert "it draws masks in a way of its own" in report.findings[0].message
    assert report.layers[0].outcomes["float64"].not_judged > 0


def test_masks_drawn_as_the_twin_draws_them_are_judged():
    assert verify(candidate("Dropout", name="mine")(dropout)).ok
    found = verify(candidate("Dropout", name="mine")(lambda case: dropout(case, scale=1.5)))
    assert {f.quantity for f in found.findings} == {"y", "gradient of input 0"}


def test_a_dialect_needs_torch_itself():
    c = candidate("RMSprop", dialect="tensorflow", name="mine")
    c = candidate("optim.RMSprop", dialect="tensorflow", name="mine")(lambda case: [])

    with pytest.raises(ConfigError, match=r"what is recorded is torch's own convention"):
        verify(c)


# ---- files that are not right --------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(REFERENCE / "Linear", tmp_path / "reference" / "Linear")
    return tmp_path / "reference"


def test_damaged_files_are_named(copied):
    document = copied / "Linear" / "cpu.json"
    told = json.loads(document.read_text())

    document.write_text(json.dumps({**told, "schema": "npnet-reference/9"}))
    with pytest.raises(FileFormatError, match=r"must have the schema 'npnet-reference/1'"):
        read(copied, "Linear", "cpu")
    document.write_text(json.dumps({**told, "sha256": "0"}))
    with pytest.raises(FileFormatError, match=r"its arrays are others than those"):
        read(copied, "Linear", "cpu")
    document.write_text(json.dumps({n: v for n, v in told.items() if n != "questions"}))
    with pytest.raises(FileFormatError, match=r"'questions' is missing"):
        read(copied, "Linear", "cpu")
    document.write_text("{")
    with pytest.raises(FileFormatError, match=r"is damaged"):
        read(copied, "Linear", "cpu")
    with pytest.raises(FileFormatError, match=r"npnet record ReLU"):
        read(copied, "ReLU", "cpu")


def test_where_nothing_is_recorded_it_is_said(folder):
    done = npnet_("verify", "Linear", "--device", "recorded")
    assert done.exit_code == 2
    assert "the folder reference, which does not exist" in done.output
    (folder / "reference").mkdir()
    done = npnet_("verify", "Linear", "--device", "recorded")
    assert done.exit_code == 2
    assert "holds no answers that were recorded on cpu" in done.output
    done = npnet_("record", "Linar")
    assert done.exit_code == 2
    assert "Did you mean 'Linear'?" in done.output


def test_the_command_records_and_verifies(folder):
    done = npnet_("record", "Identity", "lr_scheduler.StepLR")
    assert done.exit_code == 0, done.output
    assert "2 recorded in reference" in done.output
    done = npnet_("verify", "--device", "recorded")
    assert done.exit_code == 0, done.output
    assert "2 layers verified" in done.output
    done = npnet_("verify", "--device", "recorded", "--require", "cuda")
    assert done.exit_code == 4


# ---- a program in another language ---------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The program in C, and the same with a mistake."""
    place = tmp_path_factory.mktemp("programs")
    for name, flags in (("right", ()), ("wrong", ("-DMISTAKE",))):
        command = ["cc", "-O2", "-Wall", "-Werror", *flags, "-o", str(place / name), str(PROGRAM)]
        subprocess.run(command, check=True)
    return place


def answered(programs, name, folder):
    answers = folder / f"{name}.safetensors"
    questions = REFERENCE / "Linear" / "cpu.safetensors"
    subprocess.run([programs / name, questions, answers], check=True)
    return answers


def judge(answers, *more):
    return npnet_("judge", str(answers), "--reference", str(REFERENCE), *more)


def test_a_program_in_c_is_verified(programs, folder):
    done = judge(answered(programs, "right", folder))

    assert done.exit_code == 0, done.output
    assert "1 layer verified" in done.output
    assert "not answered" not in done.output


def test_its_mistake_is_found_and_explained(programs, folder):
    done = judge(answered(programs, "wrong", folder))

    assert done.exit_code == 1, done.output
    assert "gradient of bias" in done.output
    assert "takes the mean, not the sum" in done.output
    assert "gradient of weight ok" in done.output


def test_questions_without_an_answer_are_told(programs, folder):
    answers = answered(programs, "right", folder)
    kept = {name: a for name, a in load_file(answers).items() if not name.startswith("float32-0/")}
    save_file(kept, answers, {"layer": "Linear"})
    done = judge(answers)
    assert done.exit_code == 0, done.output
    assert "float32 1 recorded questions (not answered)" in " ".join(done.output.split())

    half = {name: a for name, a in kept.items() if name != "float64-0/gradient of weight"}
    save_file(half, answers, {"layer": "Linear"})
    done = judge(answers)
    assert done.exit_code == 1
    assert "gradient of weight is missing" in done.output


def test_answers_to_nothing_are_refused(folder):
    answers = folder / "answers.safetensors"
    save_file({"float64-0/gradient of wieght": np.zeros(3)}, answers, {"layer": "Linear"})
    done = judge(answers)
    assert done.exit_code == 2
    assert "Did you mean 'gradient of weight'?" in done.output

    save_file({"float64-99/y": np.zeros(3)}, answers)
    done = judge(answers)
    assert done.exit_code == 2
    assert 'must say in its metadata which "layer"' in done.output
    done = judge(answers, "--layer", "Linear")
    assert done.exit_code == 2
    assert "'float64-99' is not asked for" in done.output

    answers.write_bytes(b"nothing")
    done = judge(answers)
    assert done.exit_code == 2
    assert "is no safetensors file" in done.output
    done = judge(folder / "none.safetensors")
    assert done.exit_code == 2
    assert "there is no file" in done.output


def test_a_run_that_was_cut_off_is_taken_up_without_torch(tmp_path):
    first = without_torch(tmp_path, "Identity", "Tanh", "--report-dir", "cut")
    assert first.returncode == 0, first.stderr
    results = tmp_path / "cut" / "results.jsonl"
    lines = results.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"event": "layer"' in line)
    results.write_text("\n".join(lines[: at + 1]) + "\n")
    command = [sys.executable, "-c", WITHOUT_TORCH, "verify", "--resume", "cut"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 layers verified" in done.stdout
