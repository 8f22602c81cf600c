from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_P = "p = (1 - self.lambd * eta) * p - eta * g"
_AX = 'ax = p.copy() if mu == 1 else kept["ax"] + mu * (p - kept["ax"])'
_ETA = "eta = self.lr / (1 + self.lambd * self.lr * t) ** self.alpha"
_MU = "mu = 1 / max(1, t - self.t0)"
_AX_STATE = (
    "state ax after step 1",
    "state ax after step 2",
    "state ax after step 3",
    "state ax after step 4",
)
_DECAY = "g = g + self.weight_decay * p"

_ASGD = [
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("lets the weights grow", {_DECAY: "g = g - self.weight_decay * p"}, _FIRST),
    (
        "maximizes the decay too",
        {_DECAY: "g = g + (-1 if self.maximize else 1) * self.weight_decay * p"},
        _FIRST,
    ),
    (
        "adds the decay to the gradient in place",
        {_DECAY: "g += self.weight_decay * p"},
        _GRAD,
    ),
    ("decays after the step", {_P: "p = (1 - self.lambd * eta) * (p - eta * g)"}, _FIRST),
    ("forgets the rate in the decay", {_P: "p = (1 - self.lambd) * p - eta * g"}, _FIRST),
    ("ignores lambd in the parameters", {_P: "p = p - eta * g"}, _FIRST),
    ("steps by the new rate", {_P: "p = (1 - self.lambd * self.lr) * p - self.lr * g"}, _SECOND),
    (
        "ignores alpha",
        {_ETA: "eta = self.lr / (1 + self.lambd * self.lr * t)"},
        (_SECOND, "state eta after step 1"),
    ),
    (
        "counts from 0 in the rate",
        {_ETA: _ETA.replace("* t)", "* (t - 1))")},
        (_SECOND, "state eta after step 1"),
    ),
    (
        "forgets the rate in the rate",
        {_ETA: _ETA.replace("self.lambd * self.lr * t", "self.lambd * t")},
        (_SECOND, "state eta after step 1"),
    ),
    ("never averages", {_AX: "ax = p.copy()"}, _AX_STATE),
    (
        "averages from zero",
        {_AX: 'ax = kept["ax"] + mu * (p - kept["ax"]) if mu == 1 else kept["ax"] + mu * p'},
        _AX_STATE,
    ),
    (
        "averages the parameters before the step",
        {"ax = p.copy() if mu": "ax = (p + eta * g) if mu"},
        _AX_STATE,
    ),
    ("ignores t0", {_MU: "mu = 1 / t"}, ("state mu after step 2", *_AX_STATE)),
    (
        "returns the average",
        {'return p, {"step"': 'return ax, {"step"'},
        (_SECOND, "params after step 3", "params after step 4"),
    ),
]

MUTANTS = [Mutant("optim.ASGD", mistake, edits, blames=q) for mistake, edits, q in _ASGD]
