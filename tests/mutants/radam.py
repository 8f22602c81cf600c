from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_EARLY = (_FIRST, "state exp_avg after step 1")  # a decay may be too small to show in a step
_SIXTH = "params after step 6"
_LENGTH = "length = longest - 2 * t * b2**t / (1 - b2**t)"
_R = "r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)"
_CORRECTED = "step_size *= (r * (1 - b2**t)) ** 0.5"
_STEP = "(m / (np.sqrt(v) + self.eps))"
_DECAY = "g = g + self.weight_decay * p"

_RADAM = [
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
        "takes decoupled_weight_decay for granted",
        {"if self.decoupled_weight_decay:": "if True:"},
        _EARLY,
    ),
    ("ignores decoupled_weight_decay", {"if self.decoupled_weight_decay:": "if False:"}, _EARLY),
    ("forgets the bias of m", {"step_size = self.lr / (1 - b1**t)": "step_size = self.lr"}, _FIRST),
    ("divides by √v from the start", {"if length <= 5:": "if False:"}, (_FIRST, "forward")),
    ("never divides by √v", {"if length <= 5:": "if True:"}, _SIXTH),
    ("forgets the factor 2 t", {_LENGTH: "length = longest - 2 * b2**t / (1 - b2**t)"}, _SECOND),
    ("takes no root of r", {_CORRECTED: "step_size *= r * (1 - b2**t) ** 0.5"}, _SIXTH),
    ("turns r upside down", {_CORRECTED: "step_size *= ((1 - b2**t) / r) ** 0.5"}, _SIXTH),
    (
        "exchanges ρ and ρ∞ in r",
        {
            _R: "r = (longest - 4) * (longest - 2) * length"
            " / ((length - 4) * (length - 2) * longest)"
        },
        _SIXTH,
    ),
    ("forgets the bias of v", {_CORRECTED: "step_size *= r**0.5"}, _SIXTH),
    ("adds eps under the root", {_STEP: "(m / np.sqrt(v + self.eps))"}, _SIXTH),
    (
        "adds eps after the correction, as Adam",
        {
            _CORRECTED: "c = (1 - b2**t) ** 0.5\n        step_size *= r**0.5",
            _STEP: "(m / (np.sqrt(v) / c + self.eps))",
        },
        _SIXTH,
    ),
    (
        "waits for ρ > 4, as the paper",
        {"if length <= 5:": "if length <= 4:"},
        "params after step 5",
    ),
]

MUTANTS = [Mutant("optim.RAdam", mistake, edits, blames=q) for mistake, edits, q in _RADAM]
