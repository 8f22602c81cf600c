"""Mistakes of all optimizers that go through the parameters one by one."""

from tests.mutants import Mutant

_EACH = (
    "SGD",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Rprop",
    "ASGD",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Adamax",
    "Adafactor",
    "Muon",
)
_NONE = "        if g is None:\n            continue\n"
_SPARSE = "            if g is None:\n                continue\n"
_NO_PLACE = "SparseGrad(np.zeros((1, 0), int), np.zeros((0, *p.shape[1:]), p.dtype), p.shape)"
_ANY = tuple(f"{what} after step {k}" for what in ("params", "state step") for k in (1, 2, 3))

MUTANTS = [
    *(
        Mutant(
            f"optim.{name}",
            "takes no gradient for zeros",
            {_NONE: "        if g is None:\n            g = np.zeros_like(p)\n"},
            blames=_ANY,
        )
        for name in _EACH
    ),
    Mutant(
        "optim.SparseAdam",
        "takes no gradient for zeros",
        {_SPARSE: f"            if g is None:\n                g = {_NO_PLACE}\n"},
        blames=_ANY,
    ),
]
