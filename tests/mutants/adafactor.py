from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_ALPHA = "alpha = max(self.eps[1], _rms(p)) * min(self.lr, 1 / t**0.5)"
_NEW = "new = t**self.beta2_decay"
_MEAN = "r.mean(-2, keepdims=True)"
_V = "v = r * (c / np.maximum(r.mean(-2, keepdims=True), eps1))"
_U = "u = g / np.sqrt(np.maximum(v, eps1 * eps1))"
_SIZE = "step_size = alpha / max(1, _rms(u) / self.d)"
_STEP = "(1 - self.lr * self.weight_decay) * p - step_size * u"

_ADAFACTOR = [
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("does not scale by the parameter", {_ALPHA: "alpha = min(self.lr, 1 / t**0.5)"}, _FIRST),
    ("limits the rate from below", {_ALPHA: _ALPHA.replace("min(", "max(")}, _FIRST),
    ("limits the parameter's size from above", {_ALPHA: _ALPHA.replace("max(", "min(")}, _FIRST),
    ("scales by the norm, not by its mean", {"/ x.size**0.5 if x.size": "if x.size"}, _FIRST),
    ("keeps the averages from the first step on", {_NEW: "new = 1.0"}, _SECOND),
    ("exchanges the weights of the averages", {_NEW: "new = 1 - t**self.beta2_decay"}, _FIRST),
    (
        "exchanges rows and columns",
        {"rows, columns = _mean": "columns, rows = _mean"},
        (_FIRST, "forward"),
    ),
    ("forgets the mean of the rows", {_V: "v = r * c"}, _FIRST),
    (
        "divides by the sum over rows",
        {_MEAN: "r.sum(-2, keepdims=True)"},
        (_FIRST, _SECOND),
    ),
    (
        "sums over rows",
        {"squares.mean(-1, keepdims=True)": "squares.sum(-1, keepdims=True)"},
        (_FIRST, "state row_var after step 1"),
    ),
    ("divides by v", {_U: "u = g / np.maximum(v, eps1 * eps1)"}, _FIRST),
    ("limits v by eps₁, not by its square", {_U: _U.replace("eps1 * eps1", "eps1")}, _FIRST),
    ("adds eps₁ to v, as the paper", {_U: "u = g / np.sqrt(v + eps1)"}, _FIRST),
    ("clips nothing", {_SIZE: "step_size = alpha"}, (_SECOND, _FIRST, "params after step 3")),
    (
        "ignores d",
        {_SIZE: "step_size = alpha / max(1, _rms(u))"},
        (_SECOND, _FIRST, "params after step 3"),
    ),
    (
        "decays by weight_decay alone",
        {_STEP: "(1 - self.weight_decay) * p - step_size * u"},
        _FIRST,
    ),
    (
        "adds the decay to the gradient",
        {
            "t, step = counted(kept)": "t, step = counted(kept)\n"
            "        g = g + self.weight_decay * p",
            _STEP: "p - step_size * u",
        },
        _FIRST,
    ),
]

MUTANTS = [Mutant("optim.Adafactor", mistake, edits, blames=q) for mistake, edits, q in _ADAFACTOR]
