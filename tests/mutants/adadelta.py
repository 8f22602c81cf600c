from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_EARLY = (_FIRST, "state square_avg after step 1")  # a decay may be too small to show in a step
_V = 'v = self.rho * kept["square_avg"] + (1 - self.rho) * g * g'
_DELTA = "delta = np.sqrt(a + self.eps) / np.sqrt(v + self.eps) * g"
_A = "a = self.rho * a + (1 - self.rho) * delta * delta"
_STEP = "p - self.lr * delta"
_DECAY = "g = g + self.weight_decay * p"

_ADADELTA = [
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("lets the weights grow", {_DECAY: "g = g - self.weight_decay * p"}, _EARLY),
    (
        "maximizes the decay too",
        {_DECAY: "g = g + (-1 if self.maximize else 1) * self.weight_decay * p"},
        _EARLY,
    ),
    (
        "adds the decay to the gradient in place",
        {_DECAY: "g += self.weight_decay * p"},
        _GRAD,
    ),
    (
        "adds eps outside of the roots",
        {_DELTA: "delta = (np.sqrt(a) + self.eps) / (np.sqrt(v) + self.eps) * g"},
        _FIRST,
    ),
    ("forgets eps above", {_DELTA: "delta = np.sqrt(a) / np.sqrt(v + self.eps) * g"}, _FIRST),
    (
        "turns the quotient upside down",
        {_DELTA: "delta = np.sqrt(v + self.eps) / np.sqrt(a + self.eps) * g"},
        _FIRST,
    ),
    ("forgets the roots", {_DELTA: "delta = (a + self.eps) / (v + self.eps) * g"}, _FIRST),
    ("weighs g² by ρ", {_V: 'v = (1 - self.rho) * kept["square_avg"] + self.rho * g * g'}, _FIRST),
    (
        "averages g² after the step",
        {_DELTA: 'delta = np.sqrt(a + self.eps) / np.sqrt(kept["square_avg"] + self.eps) * g'},
        _FIRST,
    ),
    (
        "averages g² for Δ²",
        {_A: "a = self.rho * a + (1 - self.rho) * g * g"},
        (_SECOND, "state acc_delta after step 1"),
    ),
    (
        "puts the rate into Δ",
        {_A: "a = self.rho * a + (1 - self.rho) * (self.lr * delta) ** 2"},
        (_SECOND, "state acc_delta after step 1"),
    ),
    ("has no rate, as the paper", {_STEP: "p - delta"}, _FIRST),
    (
        "updates the averages in place",
        {_A: "a *= self.rho\n        a += (1 - self.rho) * delta * delta"},
        ("params after step 1", "state acc_delta after step 1", "forward"),
    ),
]

MUTANTS = [Mutant("optim.Adadelta", mistake, edits, blames=q) for mistake, edits, q in _ADADELTA]
