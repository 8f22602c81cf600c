"""Code in the styles in which it is taught: what is right passes, and every mistake is found."""

import numpy as np
import pytest

from npnet.verify import run
from npnet.verify.candidate import Candidate
from tests.candidates import (
    autograd_tensor,
    channels_last,
    dense_rmsprop,
    layer_class,
    operation_objects,
)

FILES = (layer_class, operation_objects, channels_last, autograd_tensor, dense_rmsprop)


def _label(file, name):
    return f"{file.__name__.rpartition('.')[2]}: {name}"


RIGHT = {
    _label(file, name): value
    for file in FILES
    for name, value in vars(file).items()
    if isinstance(value, Candidate)
}
WRONG = {_label(file, name): pair for file in FILES for name, pair in file.WRONG.items()}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name):
    run(RIGHT[name], examples=40, dtypes=("float64", "float32")).raise_if_diverged()


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found_and_blamed(name):
    wrong, quantity = WRONG[name]
    report = run(wrong, examples=40, dtypes=("float64",))
    assert report.exit_code == 1
    assert report.findings[0].quantity == quantity


@pytest.mark.parametrize("name", WRONG)
def test_a_finding_points_into_the_file_of_the_candidate(name):
    wrong, quantity = WRONG[name]
    source = wrong.source(quantity)
    assert source is not None
    assert f"candidates/{name.partition(':')[0]}.py" in source.file


def test_the_network_of_dense_rmsprop_learns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4))
    labels = (x @ rng.standard_normal((4, 3))).argmax(axis=1)
    network = dense_rmsprop.Network((4, 16, 3), rng, dense_rmsprop.RMSprop(learning_rate=0.01))
    losses = [network.train_step(x, labels) for _ in range(200)]
    assert losses[-1] < 0.1 * losses[0]
