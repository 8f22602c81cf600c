"""npnet train: what it leaves behind, how it is cut off and taken up again, what it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from npnet.cli import base
from npnet.train import Checkpoint, files, networks
from npnet.twins import to_torch
from tests.commands import npnet_
from tests.test_training_data import idx

LEFT = ["checkpoint.npz", "history.json", "model.safetensors", "training.png"]
QUICK = ("--epochs", "1")


def left(place):
    return sorted(p.name for p in Path(place).iterdir())


def state(place):
    return {n: t.numpy().tobytes() for n, t in load_file(Path(place) / LEFT[2]).items()}


@pytest.mark.parametrize("example", ["mlp", "cnn"])
def test_an_example_learns_and_leaves_its_results(folder, example):
    done = npnet_("train", example, "--epochs", "2")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"{example} on 1437 images of digits, 2 epochs, seed 0"
    assert lines[1].startswith("epoch 1/2  loss ")
    assert "held-out accuracy" in lines[2]
    assert lines[3].startswith("test: loss ")
    assert lines[3].endswith("% of 360 images")
    place = Path("trained") / example
    assert left(place) == LEFT
    assert (place / "training.png").read_bytes()[:4] == b"\x89PNG"
    history = json.loads((place / "history.json").read_text())
    assert history["finished"]
    assert list(history["epochs"]) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["epochs"]["loss"][1] < history["epochs"]["loss"][0]
    assert len(history["steps"]) == 2 * 11


def test_what_is_saved_is_torchs(folder):
    npnet_("train", "mlp", *QUICK)
    layers = networks.mlp()
    module = torch.nn.Sequential()
    for name, layer in layers.items():
        module.add_module(name, to_torch(layer, layer.init(np.random.default_rng(0))))
    module.load_state_dict(load_file("trained/mlp/model.safetensors"))


def test_a_seed_decides_the_result(folder):
    for seed, place in (("0", "a"), ("0", "b"), ("1", "c")):
        assert npnet_("train", "mlp", *QUICK, "--seed", seed, "--out", place).exit_code == 0
    assert state("a") == state("b") != state("c")


def test_the_lstm_goes_on_writing(folder):
    done = npnet_("train", "lstm", *QUICK)
    assert done.exit_code == 0, done.output
    assert "856 characters of the Zen of Python" in done.output
    assert "it goes on after 'The Zen of P':\n  The Zen of P" in done.output


def test_the_lstm_reads_a_text(folder):
    Path("mine.txt").write_text("abcd" * 250)
    done = npnet_("train", "lstm", "--data", "mine.txt", "--epochs", "3", "--lr", "0.02")
    assert done.exit_code == 0, done.output
    assert "1000 characters of mine.txt" in done.output
    assert "held-out loss" in done.output
    assert "abcdabcdabcdabcdabcd" in done.output


def test_mnist_from_a_folder(folder):
    Path("mnist").mkdir()
    draw = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        images = draw.integers(0, 256, (count, 28, 28), np.uint8)
        Path(f"mnist/{part}-images-idx3-ubyte").write_bytes(idx(images))
        Path(f"mnist/{part}-labels-idx1-ubyte").write_bytes(
            idx((np.arange(count) % 10).astype("u1"))
        )
    done = npnet_("train", "cnn", *QUICK, "--data", "mnist")
    assert done.exit_code == 0, done.output
    assert "cnn on 40 images of mnist, 1 epochs" in done.output
    Path("mnist/t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
    done = npnet_("train", "cnn", *QUICK, "--data", "mnist", "--out", "other")
    assert done.exit_code == 2
    assert "t10k-images-idx3-ubyte needs a header of 16 bytes, but ends after 6" in done.output
    assert not Path("other").exists()


# ---- cut off, and taken up again -----------------------------------------------------------------


def test_ctrl_c_and_resume(folder):
    """Pressed in a process of its own, in the middle of an epoch; then it is as if it never was."""
    command = [sys.executable, "-m", "npnet.cli", "train", "cnn", "--epochs", "40", "--out", "cut"]
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from npnet.cli import main; main()"
    root = str(Path(base.__file__).parents[2])
    process = subprocess.Popen(
        [command[0], "-c", code, root, *command[3:]],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not Path("cut/checkpoint.npz").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "to go on: npnet train cnn --epochs 40 --out cut --resume" in told
    assert "Traceback" not in told
    assert left("cut") == ["checkpoint.npz", "history.json", "training.png"]
    assert not json.loads(Path("cut/history.json").read_text())["finished"]
    reached = files.load_tree("cut/checkpoint.npz")["epoch"]
    assert reached < 39

    refused = npnet_("train", "cnn", "--out", "cut")
    assert refused.exit_code == 2
    assert "cut holds a run that was cut off. --resume goes on with it" in refused.output

    more = ("--epochs", str(reached + 1))
    assert npnet_("train", "cnn", *more, "--out", "cut", "--resume").exit_code == 0
    assert npnet_("train", "cnn", *more, "--out", "whole").exit_code == 0
    assert state("cut") == state("whole")
    ours, whole = (json.loads(Path(p, "history.json").read_text()) for p in ("cut", "whole"))
    assert ours == whole
    assert npnet_("train", "cnn", *QUICK, "--out", "cut").exit_code == 0  # it is finished now


def test_a_loss_that_is_not_finite_is_told_of(folder):
    done = npnet_("train", "mlp", "--lr", "1e38")
    assert done.exit_code == 1
    assert "the loss needs to be a finite number, but became" in done.output
    assert "Traceback" not in done.output


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mpl",), "there is no example 'mpl'. Did you mean 'mlp'?"),
        (("resnet",), "There are mlp, cnn, lstm."),
        (("mlp", "--epochs", "0"), "--epochs must be at least 1, but is 0"),
        (("mlp", "--epoch", "3"), "No such option"),
        (("mlp", "--seed", "-1"), "--seed must be at least 0, but is -1"),
        (("mlp", "--lr", "0"), "--lr must be more than 0, but is 0.0"),
        (("mlp", "--lr", "nan"), "--lr must be more than 0, but is nan"),
        (("mlp", "--data", "nowhere"), "the data need to be in a folder, but nowhere is none"),
        (("mlp", "--data", "empty"), "but holds nothing"),
        (("lstm", "--data", "nowhere"), "nowhere cannot be read: No such file"),
        (("lstm", "--data", "short"), "longer than a window of 48 characters, but has 5"),
        (("mlp", "--resume"), "there is no trained/mlp/checkpoint.npz"),
        (("mlp", "--resume", "--restart"), "only one of them can be given"),
        (("mlp", "--out", "short"), "--out must be a folder, but short is none"),
    ],
)
def test_2_and_one_clear_message(folder, arguments, message):
    Path("empty").mkdir()
    Path("short").write_text("hello")
    done = npnet_("train", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert not Path("trained").exists()


@pytest.mark.parametrize(
    ("module", "package"),
    [("sklearn", "scikit-learn"), ("matplotlib", "matplotlib"), ("safetensors", "safetensors")],
)
def test_what_is_not_installed_is_named(folder, monkeypatch, module, package):
    for name in [m for m in sys.modules if m.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    done = npnet_("train", "mlp")
    assert done.exit_code == 2, done.output
    assert f"needs {package}, which is not installed" in done.output
    assert "pip install 'npnet[train]'" in done.output


def test_a_run_that_was_cut_off_may_be_thrown_away(folder):
    files.save_tree(Path("trained/mlp/checkpoint.npz"), {})
    assert npnet_("train", "mlp", *QUICK).exit_code == 2
    assert npnet_("train", "mlp", *QUICK, "--restart").exit_code == 0
    assert left("trained/mlp") == LEFT
    assert Checkpoint(Path("trained/mlp/checkpoint.npz")).every is None


def test_a_refusal_needs_nothing_but_click(monkeypatch):
    """With the extra train alone there is neither hypothesis nor torch."""
    monkeypatch.setitem(sys.modules, "npnet.report.words", None)
    result = npnet_("train", "mpl")

    assert result.exit_code == 2
    assert "Did you mean 'mlp'?" in result.output
