from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_ANY = (
    *(
        f"{what} after step {k}"
        for k in (1, 2)
        for what in ("params", "state func_evals", "state n_iter", "state d")
    ),
    "forward",  # which breaks down where a search goes astray
)

_LBFGS = [
    (
        "takes max_iter for max_eval",
        {"self.max_iter * 5 // 4 if": "self.max_iter if"},
        _ANY,
    ),
    ("does not count the first evaluation", {"        evals = 1\n": "        evals = 0\n"}, _ANY),
    (
        "ignores tolerance_grad at the start",
        {"if _largest(g) <= self.tolerance_grad:": "if False:"},
        _ANY,
    ),
    (
        "ignores tolerance_grad on the way",
        {"or _largest(g) <= self.tolerance_grad\n": "or False\n"},
        _ANY,
    ),
    (
        "measures the gradient by its norm",
        {
            "if _largest(g) <=": "if np.linalg.norm(g) <=",
            "or _largest(g) <=": "or np.linalg.norm(g) <=",
        },
        _ANY,
    ),
    (
        "ignores a loss that stays",
        {"or abs(loss - last_loss) < self.tolerance_change": "or False"},
        _ANY,
    ),
    (
        "starts with a whole step",
        {"min(1.0, 1.0 / float(np.abs(g).sum())) * self.lr": "self.lr"},
        _ANY,
    ),
    (
        "scales every step by the gradient",
        {"ro, scale), float(self.lr)": "ro, scale), min(1.0, 1.0 / float(np.abs(g).sum()))"},
        _ANY,
    ),
    (
        "ignores lr after the first iteration",
        {"ss, ro, scale), float(self.lr)": "ss, ro, scale), 1.0"},
        _ANY,
    ),
    ("scales H by (y·y)/(y·s)", {"scale = product / (y @ y)": "scale = (y @ y) / product"}, _ANY),
    ("never scales H", {"scale = product / (y @ y)": "scale = 1"}, _ANY),
    (
        "remembers one pair too many",
        {"len(ys) == self.history_size": "len(ys) > self.history_size"},
        _ANY,
    ),
    (
        "forgets its history from step to step",
        {'d, t, scale = kept["d"]': 'n_iter = 0\n        d, t, scale = kept["d"]'},
        _ANY,
    ),
    ("goes through the pairs in one order", {"alphas.pop()": "alphas.pop(0)"}, _ANY),
    (
        "takes g for the difference of gradients",
        {"y, s = g - before, d * t": "y, s = g, d * t"},
        _ANY,
    ),
    ("forgets the step length in s", {"y, s = g - before, d * t": "y, s = g - before, d"}, _ANY),
    ("accepts any decrease", {"point.f > f + 1e-4 * point.t * slope": "point.f > f"}, _ANY),
    ("asks for a flatter slope", {"<= -0.9 * slope": "<= -0.1 * slope"}, _ANY),
    (
        "takes the slope with its sign",
        {"return abs(point.slope) <=": "return point.slope <="},
        _ANY,
    ),
    ("grows by half", {"new.t * 10)": "new.t * 1.5)"}, _ANY),
    (
        "halves the bracket",
        {"square = d1 * d1 - g1 * g2\n": "square = -1.0\n"},
        _ANY,
    ),
    ("forgets the factor 3 of the cubic", {"- 3 * np.float64": "- np.float64"}, _ANY),
    ("does not move inside", {"        if inside:": "        if False:"}, _ANY),
    ("evaluates after the last iteration", {"if iteration != self.max_iter:": "if True:"}, _ANY),
    (
        "tells the loss of the search nobody",
        {
            "x = x + t * d\n            else:": "x = x + t * d\n                loss = last_loss\n"
            "            else:"
        },
        _ANY,
    ),
]

MUTANTS = [Mutant("optim.LBFGS", mistake, edits, blames=q) for mistake, edits, q in _LBFGS]
