from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_ETA = 'turn = self.etas, g * kept["prev"]'
_ZERO = "g = np.where(turn < 0, p.dtype.type(0), g)"
_S = 's = np.clip(kept["step_size"] * eta, *self.step_sizes)'
_STEP = "p - np.sign(g) * s"

_RPROP = [
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("exchanges the etas", {"(shrink, grow), turn": "(grow, shrink), turn"}, _SECOND),
    ("steps back where the sign changes", {_ZERO: "g = g * 1"}, _SECOND),
    (
        "forgets that it did not step",
        {_STEP: "p - np.sign(g) * s", '"prev": g': '"prev": -g if self.maximize else g'},
        (_SECOND, "state prev after step 1", "params after step 3"),
    ),
    (
        "keeps the gradient that changed its sign",
        {_ZERO: "now, g = g, np.where(turn < 0, p.dtype.type(0), g)", '"prev": g': '"prev": now'},
        ("state prev after step 2", "params after step 3"),
    ),
    (
        "grows where a gradient is zero",
        {"(turn > 0)": "(turn >= 0)"},
        (_FIRST, "state step_size after step 1"),
    ),
    ("knows no limits", {_S: 's = kept["step_size"] * eta'}, ("params after step 1", _SECOND)),
    (
        "ignores the lower limit",
        {_S: 's = np.minimum(kept["step_size"] * eta, self.step_sizes[1])'},
        (_FIRST, _SECOND, "params after step 3"),
    ),
    ("steps by g", {_STEP: "p - g * s"}, _FIRST),
    ("climbs", {_STEP: "p + np.sign(g) * s"}, _FIRST),
    ("starts with steps of 1", {"np.full_like(p, self.lr)": "np.ones_like(p)"}, _FIRST),
    (
        "steps before the size is changed",
        {_STEP: 'p - np.sign(g) * kept["step_size"]'},
        (_FIRST, _SECOND),
    ),
]

MUTANTS = [Mutant("optim.Rprop", mistake, edits, blames=q) for mistake, edits, q in _RPROP]
