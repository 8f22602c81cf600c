"""torch on the GPU as a candidate: the oracle's bounds hold for its kernels as well."""

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from npnet.twins import SPECS
from npnet.verify import adapt, candidate, run
from npnet.verify.finding import BROKEN, DIVERGED

LAYERS = [name for name in SPECS if not name.startswith("optim.")]
ONLY = {"Embedding": {"sparse": st.just(False)}}
NORMWISE = (
    "Conv2d",
    "RNN",
    "LSTM",
    "GRU",
    "Sequential",
)  # cuDNN chooses among algorithms, Winograd's too


@pytest.fixture
def full_precision(monkeypatch):
    """No TF32, and the same answer twice."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
@pytest.mark.parametrize("name", LAYERS)
def test_torch_on_the_gpu_agrees_with_the_oracle(name, full_precision):
    bound = "normwise" if name in NORMWISE else "elementwise"
    function = adapt.torch_function(getattr(nn, name), device="cuda")
    report = run(candidate(name, only=ONLY.get(name), bound=bound)(function), examples=15)

    found = [f for f in report.findings if f.verdict in DIVERGED | BROKEN]
    assert not found, f"{found[0].quantity}: {found[0].message}"
