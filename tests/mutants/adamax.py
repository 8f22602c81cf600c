from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_EARLY = (_FIRST, "state exp_avg after step 1")  # a decay may be too small to show in a step
_U = 'u = np.maximum(b2 * kept["exp_inf"], np.abs(g) + self.eps)'
_STEP = "p - self.lr / (1 - b1**t) * (m / u)"
_DECAY = "g = g + self.weight_decay * p"

_ADAMAX = [
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
    ("forgets eps", {_U: 'u = np.maximum(b2 * kept["exp_inf"], np.abs(g))'}, _FIRST),
    (
        "adds eps to the denominator",
        {
            _U: 'u = np.maximum(b2 * kept["exp_inf"], np.abs(g))',
            _STEP: "p - self.lr / (1 - b1**t) * (m / (u + self.eps))",
        },
        "state exp_inf after step 1",
    ),
    (
        "lets the largest never decay",
        {_U: _U.replace("b2 * ", "")},
        (_SECOND, "state exp_inf after step 2"),
    ),
    ("takes the largest of g, not of |g|", {_U: _U.replace("np.abs(g)", "g")}, _FIRST),
    ("takes the smallest", {_U: _U.replace("maximum", "minimum")}, _FIRST),
    ("averages |g|", {_U: 'u = b2 * kept["exp_inf"] + (1 - b2) * (np.abs(g) + self.eps)'}, _FIRST),
    ("forgets the bias of m", {_STEP: "p - self.lr * (m / u)"}, _FIRST),
    ("corrects by β₂", {_STEP: _STEP.replace("b1**t", "b2**t")}, _FIRST),
    ("steps by g, not by m", {_STEP: _STEP.replace("(m / u)", "(g / u)")}, _FIRST),
]

MUTANTS = [Mutant("optim.Adamax", mistake, edits, blames=q) for mistake, edits, q in _ADAMAX]
