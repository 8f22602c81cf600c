# DIVERGED  lstm · gradient of bias_hh_l0 · float64 · cpu  (lstm-bias_hh_l0-a501c8)
# 4 of 8 elements; worst at [6]: got 0.75, torch has 0, err/bound 2e306
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
candidate = getattr(candidates, 'lstm')


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
    state = {'weight_ih_l0': arrays['state weight_ih_l0'], 'weight_hh_l0': arrays['state weight_hh_l0'], 'bias_ih_l0': arrays['state bias_ih_l0'], 'bias_hh_l0': arrays['state bias_hh_l0']}
    config = {'input_size': 2, 'hidden_size': 2, 'num_layers': 1, 'bias': True, 'batch_first': False, 'dropout': 0.0, 'bidirectional': False, 'training': True, 'proj_size': 0}
    inputs = (arrays['input 0'],)
    case = Case(config, state, inputs, {}, None)
    return Forward(*candidate(case))


arrays = {
    'input 0': np.array([[[0.0, 0.0]], [[0.0, 0.0]]]),
    'state weight_ih_l0': np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0,
        0.0], [0.0, 0.0], [0.0, 0.0]]),
    'state weight_hh_l0': np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0,
        0.0], [0.0, 0.0], [0.0, 0.0]]),
    'state bias_ih_l0': np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    'state bias_hh_l0': np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    'dy 0': np.array([[[0.0, 0.0]], [[0.0, 0.0]]]),
    'dy 1': np.array([[[0.0, 0.0]]]),
    'dy 2': np.array([[[1.0, 1.0]]]),
}
# how far a right implementation may be from torch's float64
allowed = np.array([1.3127935765192526e-306, 1.3127935765192526e-306,
    8.232773276476664e-307, 8.232773276476664e-307, 1.3322676295501893e-14,
    1.3322676295501893e-14, 4.450147717014405e-307, 4.450147717014405e-307])

# ---- torch, in float64
t = {
    name: torch.tensor(a, dtype=torch.float64 if a.dtype.kind == "f" else None)
    for name, a in arrays.items()
}
module = torch.nn.LSTM(input_size=2, hidden_size=2, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, proj_size=0)
module = module.double().train(True)
module.load_state_dict({'weight_ih_l0': t['state weight_ih_l0'], 'weight_hh_l0': t['state weight_hh_l0'], 'bias_ih_l0': t['state bias_ih_l0'], 'bias_hh_l0': t['state bias_hh_l0']})
t['input 0'].requires_grad_()
y = module(t['input 0'])
y = [part for x in y for part in (x if isinstance(x, tuple) else (x,))]
dys = (t['dy 0'], t['dy 1'], t['dy 2'],)
pairs = [(a, dy) for a, dy in zip(y, dys) if dy is not None and a.requires_grad]
torch.autograd.backward([a for a, _ in pairs], [dy for _, dy in pairs])
parameter = dict(module.named_parameters()).get('bias_hh_l0')
grad = None if parameter is None else parameter.grad
want = np.zeros(arrays['state bias_hh_l0'].shape) if grad is None else grad.numpy()

# ---- the candidate
handed = {name: a.copy() for name, a in arrays.items()}
y, vjp, updates = forward(handed)
grads = Grads(*vjp((handed['dy 0'], handed['dy 1'], handed['dy 2'])))
got = grads.params.get('bias_hh_l0')
if got is None and grad is None:
    got = want  # no gradient on either side

# ---- compared
wrong = None if grad is None else complaint(got, want)
print(wrong) if wrong else None
wrong = wrong or differs(got, want, allowed)
sys.exit(1 if wrong else 0)
