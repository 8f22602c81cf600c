# DIVERGED  gelu · y · float64 · cpu  (gelu-y-ff8577)
# 3 of 3 elements; worst at [0]: got 0.841192, torch has 0.841345, err/bound 2e10
#
# Exits 1 while the two disagree, 0 once they agree.

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch

from npnet.contract import Forward, Grads
from npnet.verify.case import Case

FILE = Path('tests/studies/sample_candidates.py')  # run this where npnet verify was run
location = importlib.util.spec_from_file_location("candidates", FILE)
candidates = sys.modules["candidates"] = importlib.util.module_from_spec(location)
sys.path.insert(0, str(FILE.resolve().parent))
location.loader.exec_module(candidates)
candidate = getattr(candidates, 'gelu')


def complaint(got, want):
    """What is wrong with the type, the shape or the dtype, or None."""
    if not isinstance(got, (np.ndarray, np.generic)):
        return f"got {type(got).__name__} where torch has an array of shape {want.shape}"
    dtype = "float64" if want.dtype.kind == "f" else want.dtype.name
    if got.shape != want.shape or got.dtype.name != dtype:
        return f"got {got.dtype} of shape {got.shape}, torch has shape {want.shape} in {dtype}"
    return None


def differs(got, want, allowed):
    """Print both sides, and say whether they are further apart than allowed."""
    got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    with np.errstate(invalid="ignore"):
        difference = got - want
    print("got       ", got)
    print("torch     ", want)
    print("difference", difference)
    print("allowed   ", allowed)
    right = (abs(difference) <= allowed) | (got == want) | np.isnan(got) & np.isnan(want)
    return not np.all(right | np.isinf(allowed))


def forward(arrays):
    """The candidate's forward pass."""
    state = {}
    config = {'approximate': 'none'}
    inputs = (arrays['input 0'],)
    case = Case(config, state, inputs, {}, None)
    return Forward(*candidate(case))


arrays = {
    'input 0': np.array([1.0, 1.0, 1.0]),
    'dy': np.array([0.0, 0.0, 0.0]),
}
# how far a right implementation may be from torch's float64
allowed = np.array([9.387761516707223e-15, 9.387761516707223e-15,
    9.387761516707223e-15])

# ---- torch, in float64
t = {
    name: torch.tensor(a, dtype=torch.float64 if a.dtype.kind == "f" else None)
    for name, a in arrays.items()
}
module = torch.nn.GELU(approximate='none')
module = module.double().train(True)
t['input 0'].requires_grad_()
y = module(t['input 0'])
want = y.detach().numpy()

# ---- the candidate
handed = {name: a.copy() for name, a in arrays.items()}
y, vjp, updates = forward(handed)
grads = Grads(*vjp(handed['dy']))
got = y

# ---- compared
wrong = complaint(got, want)
print(wrong) if wrong else None
wrong = wrong or differs(got, want, allowed)
sys.exit(1 if wrong else 0)
