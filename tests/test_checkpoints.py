"""Checkpoints: a training that was killed goes on to the same numbers, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npnet import nn, optim
from npnet.contract import ConfigError, NpnetError
from npnet.optim import lr_scheduler
from npnet.train import Checkpoint, EarlyStopping, Model, files

EPOCHS, BATCH = 4, 8
BATCHES = 7  # in an epoch: 54 of 60 samples, 6 held out


def model():
    """Whatever has a memory: buffers, masks, moments, momentum, a plateau, the best state."""
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)]
    plateau = lr_scheduler.ReduceLROnPlateau(0.05, patience=0, factor=0.5)
    return Model(layers, nn.CrossEntropyLoss(), optim.NAdam(), ["accuracy"], schedule=plateau)


def data():
    x = np.random.default_rng(3).standard_normal((60, 4)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int64)


def fit(path, *callbacks, epochs=EPOCHS, resume=None, seed=0, batch_size=BATCH, every=2):
    trained = model()
    trained.fit(
        *data(), epochs, batch_size, 0.1,
        [*callbacks, EarlyStopping(patience=3), Checkpoint(path, every)], seed, resume=resume,
    )  # fmt: skip
    return trained


def numbers(trained):
    """All that a training comes to."""
    optimizer = optim.state_dict(trained.optimizer_state)
    arrays = trained.state | {f"optimizer {n}": a for n, a in optimizer.items()}
    found = {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
    return found, trained.history, trained.plateau_state, trained.steps, trained.epochs


class At:
    """Does something after some step, once."""

    def __init__(self, step, does):
        self.step, self.does = step, does

    def on_step(self, training):
        if training.model.steps == self.step:
            self.does()


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_while_writing():
    """From now on, what is written is on disk in half when the process is killed."""

    def fsync(handle):
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
        kill()

    files.os.fsync = fsync


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The numbers of a training that nothing interrupts."""
    return numbers(fit(tmp_path_factory.mktemp("whole") / "c.npz"))


def killed(path, does, step):
    """A training in a process of its own, to its death."""
    code = f"from tests import test_checkpoints as t; t.fit({str(path)!r}, t.At({step}, t.{does}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize(
    ("does", "step", "reached"),
    [
        ("kill", 11, 10),  # in the middle of an epoch
        ("kill", 15, 14),  # after the end of one
        ("kill_while_writing", 10, 8),  # in the middle
        ("kill_while_writing", 13, 12),  # at the end
    ],
)
def test_a_killed_training_goes_on_to_the_same_numbers(tmp_path, whole, does, step, reached):
    path = tmp_path / "c.npz"
    killed(path, does, step)
    assert files.load_tree(path)["steps"] == reached
    assert numbers(fit(path, resume=path, seed=99)) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]  # what was half written is gone


def test_ctrl_c_ends_after_the_step_and_keeps_it(tmp_path, whole):
    path = tmp_path / "c.npz"
    interrupted = model()
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(
            *data(), EPOCHS, BATCH, 0.1,
            [At(BATCHES + 3, lambda: os.kill(os.getpid(), signal.SIGINT)),
             EarlyStopping(patience=3), Checkpoint(path)], 0,
        )  # fmt: skip
    assert len(interrupted.history) == 1
    assert len(interrupted.history.steps) == files.load_tree(path)["steps"] == BATCHES + 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert numbers(fit(path, resume=path)) == whole


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def press():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "c.npz", At(BATCHES + 2, press), every=None)
    assert files.load_tree(tmp_path / "c.npz")["steps"] == BATCHES  # nothing from within a step


def test_more_epochs_may_follow(tmp_path, whole):
    path = tmp_path / "c.npz"
    fit(path, epochs=2)
    assert numbers(fit(path, resume=path)) == whole


def test_a_training_that_was_stopped_stays_stopped(tmp_path):
    path = tmp_path / "c.npz"

    def enough(training):
        training.stop = "enough" if training.epoch == 2 else None

    stopped = numbers(fit(path, enough))
    assert numbers(fit(path, enough, resume=path)) == stopped


def test_the_state_of_a_checkpoint_is_under_its_names(tmp_path):
    trained = fit(tmp_path / "c.npz", epochs=1)
    with np.load(tmp_path / "c.npz") as file:
        for name, a in trained.state.items():
            np.testing.assert_array_equal(file[f"state/{name}"], a)


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": np.random.Generator(np.random.MT19937(0))}, "generator of the kind .* PCG64"),
        ({"batch_size": 9}, "batch_size was 8, and now it is 9"),
        ({"callbacks": ()}, "EarlyStopping, but got none"),
        ({"optimizer": optim.SGD(momentum=0.9)}, "momentum_buffer of the parameters"),
        ({"layers": [nn.Linear(4, 2)]}, "'1.weight' is unknown"),
        ({"layers": [nn.Linear(4, 9), *list(model().layers.values())[1:]]}, r"shape \(9, 4\)"),
        ({"y": 1 - data()[1]}, "fingerprint was"),
        ({"x": data()[0][:50], "y": data()[1][:50]}, "samples was 54, and now it is 45"),
        ({"validation": None}, "samples was 54, and now it is 60"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    path = tmp_path / "c.npz"
    fit(path, epochs=1)
    x, y = data()
    other = model()
    other.layers = Model(change.get("layers", other.layers), other.loss, other.optimizer).layers
    other.optimizer = change.get("optimizer", other.optimizer)
    with pytest.raises(NpnetError, match=message):
        other.fit(
            change.get("x", x), change.get("y", y), EPOCHS, change.get("batch_size", BATCH),
            change.get("validation", 0.1), change.get("callbacks", [EarlyStopping()]),
            change.get("seed", 0), resume=path,
        )  # fmt: skip
    assert other.state is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-40], "needs to be a checkpoint of npnet.train, but cannot be read"),
        (lambda data: b"", "needs to be a checkpoint"),
        (lambda data: b"no zip", "needs to be a checkpoint"),
        (lambda data: data.replace(b'"format": 1', b'"format": 7'), "cannot be read as one"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage, message):
    path = tmp_path / "c.npz"
    fit(path, epochs=1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=message):
        fit(path, resume=path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a checkpoint needs to be there, but .* is not"):
        fit(tmp_path / "c.npz", resume=tmp_path / "nothing.npz")
    files.save_tree(tmp_path / "new.npz", {"format": 2})
    with pytest.raises(ConfigError, match="format 1, but has 2"):
        fit(tmp_path / "c.npz", resume=tmp_path / "new.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ConfigError, match="needs to be a checkpoint"):
        fit(tmp_path / "c.npz", resume=tmp_path / "other.npz")
    with pytest.raises(ConfigError, match=r"You might need .*checkpoint\.npz"):
        Checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="every >= 1"):
        Checkpoint(tmp_path / "c.npz", every=0)
