from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_EARLY = (_FIRST, "state sum after step 1")  # a decay may be too small to show in a step
_RATE = "rate = self.lr / (1 + (t - 1) * self.lr_decay)"
_SUM = 's = kept["sum"] + g * g'
_STEP = "p - rate * (g / (np.sqrt(s) + self.eps))"
_DECAY = "g = g + self.weight_decay * p"

_ADAGRAD = [
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
        "decays the rate from the first step on",
        {_RATE: "rate = self.lr / (1 + t * self.lr_decay)"},
        _FIRST,
    ),
    ("ignores lr_decay", {_RATE: "rate = self.lr"}, _SECOND),
    ("decays by powers", {_RATE: "rate = self.lr * (1 - self.lr_decay) ** (t - 1)"}, _SECOND),
    ("takes the last g² for the sum", {_SUM: "s = g * g"}, (_FIRST, _SECOND)),
    ("sums |g|", {_SUM: 's = kept["sum"] + np.abs(g)'}, _FIRST),
    ("averages", {_SUM: 's = kept["sum"] + (g * g - kept["sum"]) / t'}, (_FIRST, _SECOND)),
    (
        "ignores the initial value",
        {"np.full_like(p, self.initial_accumulator_value)": "np.zeros_like(p)"},
        _FIRST,
    ),
    ("adds eps under the root", {_STEP: "p - rate * (g / np.sqrt(s + self.eps))"}, _FIRST),
    ("forgets the root", {_STEP: "p - rate * (g / (s + self.eps))"}, _FIRST),
    (
        "divides by the sum before this step",
        {_STEP: 'p - rate * (g / (np.sqrt(kept["sum"]) + self.eps))'},
        _FIRST,
    ),
]

MUTANTS = [Mutant("optim.Adagrad", mistake, edits, blames=q) for mistake, edits, q in _ADAGRAD]
