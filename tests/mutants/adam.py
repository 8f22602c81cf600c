from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_M = 'm = b1 * kept["exp_avg"] + (1 - b1) * g'
_V = 'v = b2 * kept["exp_avg_sq"] + (1 - b2) * g * g'
_T = "t, step = counted(kept)"
_SIZE = "step_size = self.lr / (1 - b1**t)"
_ROOT = "denominator = np.sqrt(v) / (1 - b2**t) ** 0.5 + self.eps"
_RETURN = "return p - step_size * (m / denominator), now"
_COUPLED = "g = g + self.weight_decay * p"
_DECOUPLED = "p = (1 - self.lr * self.weight_decay) * p"
_MAX = 'np.maximum(kept["max_exp_avg_sq"], v)'

_BOTH = [
    ("forgets the bias of m", {_SIZE: "step_size = self.lr"}, _FIRST),
    ("forgets the bias of v", {_ROOT: "denominator = np.sqrt(v) + self.eps"}, _FIRST),
    ("corrects both with β₁", {_ROOT: _ROOT.replace("b2**t", "b1**t")}, _FIRST),
    ("corrects √v by 1 - β₂ᵗ", {_ROOT: _ROOT.replace(" ** 0.5", "")}, _FIRST),
    (
        "adds eps under the root",
        {_ROOT: "denominator = np.sqrt(v / (1 - b2**t) + self.eps)"},
        _FIRST,
    ),
    (
        "adds eps before the correction",
        {_ROOT: "denominator = (np.sqrt(v) + self.eps) / (1 - b2**t) ** 0.5"},
        _FIRST,
    ),
    ("forgets eps", {_ROOT: _ROOT.replace(" + self.eps", " + 0")}, _FIRST),
    ("forgets the root", {_ROOT: "denominator = v / (1 - b2**t) + self.eps"}, _FIRST),
    (
        "corrects in float64",
        {_ROOT: _ROOT.replace("(1 - b2**t) ** 0.5", "np.sqrt(1 - b2**t)")},
        "forward",  # the second step refuses the dtype that the first left
    ),
    ("steps by g, not by m", {_RETURN: _RETURN.replace("(m /", "(g /")}, _FIRST),
    ("climbs", {_RETURN: _RETURN.replace("p - ", "p + ")}, _FIRST),
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("counts the steps from 2", {_T: f"{_T}\n        t += 1"}, _FIRST),
    ("takes the smallest v for amsgrad", {_MAX: _MAX.replace("maximum", "minimum")}, _FIRST),
    ("counts no steps", {_T: f"{_T}\n        t = 1"}, _SECOND),
    ("forgets the old m", {_M: "m = (1 - b1) * g"}, _SECOND),
    (
        "exchanges the betas",
        {"b1, b2 = self.betas": "b2, b1 = self.betas"},
        "state exp_avg after step 1",
    ),
    ("weighs g by β₁ in m", {_M: 'm = (1 - b1) * kept["exp_avg"] + b1 * g'}, _FIRST),
    ("takes |g| for g²", {_V: _V.replace("g * g", "np.abs(g)")}, _FIRST),
    ("adds g² up without β₂", {_V: 'v = kept["exp_avg_sq"] + (1 - b2) * g * g'}, _SECOND),
    (
        "keeps the corrected v",
        {'"exp_avg_sq": v}': '"exp_avg_sq": v / (1 - b2**t)}'},
        "state exp_avg_sq after step 1",
    ),
    (
        "takes the largest corrected v for amsgrad",
        {_MAX: 'np.maximum(kept["max_exp_avg_sq"], v / (1 - b2**t))'},
        _FIRST,
    ),
]

_DECAYED = "if self.decoupled_weight_decay:"

_ADAM = [
    (
        "updates the parameters in place",
        {_RETURN: "p -= step_size * (m / denominator)\n        return p, now"},
        "param p0",
    ),
    ("takes decoupled_weight_decay for granted", {_DECAYED: "if True:"}, _FIRST),
    ("ignores decoupled_weight_decay", {_DECAYED: "if False:"}, _FIRST),
    ("ignores weight_decay", {"elif self.weight_decay:": "elif False:"}, _FIRST),
    ("lets the weights grow", {_COUPLED: "g = g - self.weight_decay * p"}, _FIRST),
    (
        "maximizes the decay too",
        {_COUPLED: "g = g + (-1 if self.maximize else 1) * self.weight_decay * p"},
        _FIRST,
    ),
    (
        "adds the decay to the gradient in place",
        {_COUPLED: "g += self.weight_decay * p"},
        _GRAD,
    ),
]

_ADAMW = [
    (
        "adds the decay to the gradient",
        {"decoupled_weight_decay=True": "decoupled_weight_decay=False"},
        _FIRST,
    ),
    ("forgets the rate before the decay", {_DECOUPLED: "p = (1 - self.weight_decay) * p"}, _FIRST),
    ("decays twice", {_DECAYED: f"{_DECAYED}\n            g = g + self.weight_decay * p"}, _FIRST),
    ("lets the weights grow", {_DECOUPLED: _DECOUPLED.replace("(1 - ", "(1 + ")}, _FIRST),
    (
        "decays after the step",
        {
            _DECOUPLED: "p = p * 1",
            _RETURN: "q = p - step_size * (m / denominator)\n"
            "        return (1 - self.lr * self.weight_decay) * q, now",
        },
        _FIRST,
    ),
    (
        "hands on no betas",
        {"self.lr,\n            self.betas,": "self.lr,\n            (0.9, 0.999),"},
        "state exp_avg after step 1",
    ),
]

MUTANTS = [
    *(Mutant("optim.Adam", mistake, edits, blames=q) for mistake, edits, q in _BOTH + _ADAM),
    *(Mutant("optim.AdamW", mistake, edits, blames=q) for mistake, edits, q in _BOTH + _ADAMW),
]
