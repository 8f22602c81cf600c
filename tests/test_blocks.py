"""Large arrays go block by block, which is no other result than in one piece."""

import numpy as np
import pytest

from npnet import nn
from npnet.nn import _blocks

LAYERS = [
    nn.Sigmoid(),
    nn.Tanh(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Softplus(2.0, 1.0),
    nn.LogSigmoid(),
    nn.Softsign(),
    nn.Tanhshrink(),
    nn.ELU(2.0),
    nn.SELU(),
    nn.CELU(0.5),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.GLU(0),
    nn.GLU(1),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_blocks_change_nothing(layer, order, dtype, monkeypatch):
    rng = np.random.default_rng(1)
    x = np.asarray(3 * rng.standard_normal((4, 26)), dtype, order=order)

    def answers():
        forward = layer({}, x)
        dy = np.asarray(np.random.default_rng(2).standard_normal(forward.y.shape), dtype, order)
        return forward.y, forward.vjp(dy).inputs[0]

    whole = answers()
    for block in (1, 7, 52, 64, 1000):
        monkeypatch.setattr(_blocks, "_BLOCK", block)
        for got, want in zip(answers(), whole, strict=True):
            assert got.shape == want.shape
            assert got.dtype == want.dtype == dtype
            # where a block ends, a vectorised exp may round otherwise
            assert np.abs(got - want).max() <= 16 * np.finfo(dtype).eps * np.abs(want).max()
