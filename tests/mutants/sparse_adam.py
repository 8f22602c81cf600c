from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_M = "here_m + (1 - b1) * (g - here_m)"
_V = "here_v + (1 - b2) * (g * g - here_v)"
_SIZE = "step_size = self.lr * (1 - b2**t) ** 0.5 / (1 - b1**t)"
_STEP = "q[places] -= step_size * (here_m / (np.sqrt(here_v) + self.eps))"
_SUM = "np.add.reduceat(values, first, axis=0)"

_SPARSEADAM = [
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("forgets the bias of m", {_SIZE: "step_size = self.lr * (1 - b2**t) ** 0.5"}, _FIRST),
    ("forgets the bias of v", {_SIZE: "step_size = self.lr / (1 - b1**t)"}, _FIRST),
    (
        "adds eps after the correction, as Adam",
        {
            _SIZE: "c = (1 - b2**t) ** 0.5\n        step_size = self.lr / (1 - b1**t)",
            _STEP: "q[places] -= step_size * (here_m / (np.sqrt(here_v) / c + self.eps))",
        },
        _FIRST,
    ),
    (
        "adds eps under the root",
        {_STEP: _STEP.replace("(np.sqrt(here_v) + self.eps)", "np.sqrt(here_v + self.eps)")},
        _FIRST,
    ),
    (
        "takes the last of several values",
        {_SUM: "values[np.append(first[1:], len(values)) - 1]"},
        _FIRST,
    ),
    (
        "takes the mean of several values",
        {
            _SUM: "(np.add.reduceat(values, first, axis=0).T"
            " / np.diff(np.append(first, len(values)))).T.astype(values.dtype)"
        },
        _FIRST,
    ),
    ("forgets the old m", {_M: "(1 - b1) * g"}, (_SECOND, "params after step 3")),
    ("weighs g² by β₂", {_V: "here_v + b2 * (g * g - here_v)"}, _FIRST),
    ("takes |g| for g²", {_V: "here_v + (1 - b2) * (np.abs(g) - here_v)"}, _FIRST),
    (
        "lets every element's average decay",
        {"    step_size = self.lr": "    m *= 1 if t < 2 else b1\n        step_size = self.lr"},
        ("state exp_avg after step 2", _SECOND),
    ),
    (
        "counts no empty gradient",
        {'t = int(kept["step"]) + 1': 't = max(1, int(kept["step"]) + (len(grad.values) > 0))'},
        ("state step after step 2", "params after step 3"),
    ),
    ("steps by g, not by m", {_STEP: _STEP.replace("here_m / (", "g / (")}, _FIRST),
    ("climbs", {_STEP: _STEP.replace("-=", "+=")}, _FIRST),
]

MUTANTS = [
    Mutant("optim.SparseAdam", mistake, edits, blames=q) for mistake, edits, q in _SPARSEADAM
]
