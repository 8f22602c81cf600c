from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_EARLY = (_FIRST, "state exp_avg after step 1")  # a decay may be too small to show in a step
_MU = "mu = b1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))"
_NEXT = "0.96 ** ((t + 1) * self.momentum_decay)"
_PRODUCT = 'product = number(float(kept["mu_product"] * np.float32(mu)))'
_BY_G = "by_g = self.lr * (1 - mu) / (1 - float(product))"
_BY_M = "by_m = self.lr * mu_next / (1 - float(product) * mu_next)"
_ROOT = "denominator = np.sqrt(v / (1 - b2**t)) + self.eps"
_DECAY = "g = g + self.weight_decay * p"

_NADAM = [
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
    ("forgets the half of the schedule", {_MU: _MU.replace("0.5 * ", "")}, _FIRST),
    ("takes β₁ for μ", {_MU: "mu = b1"}, _FIRST),
    ("looks no step ahead", {_NEXT: "0.96 ** (t * self.momentum_decay)"}, _FIRST),
    (
        "keeps no product",
        {_PRODUCT: "product = number(mu)"},
        ("state mu_product after step 2", _SECOND),
    ),
    (
        "keeps the product in float64",
        {_PRODUCT: 'product = np.float64(float(kept["mu_product"]) * mu)'},
        ("state mu_product after step 1", "forward"),  # what is restored must be a float32
    ),
    ("corrects g by β₁ᵗ", {_BY_G: "by_g = self.lr * (1 - mu) / (1 - b1**t)"}, (_FIRST, _SECOND)),
    (
        "corrects m by the product so far",
        {_BY_M: "by_m = self.lr * mu_next / (1 - float(product))"},
        _FIRST,
    ),
    ("averages g with μ", {"(1 - b1) * g": "(1 - mu) * g"}, _FIRST),
    ("steps by m alone, as Adam", {"(by_g * g + by_m * m)": "(by_g + by_m) * m"}, _FIRST),
    ("forgets the bias of v", {_ROOT: "denominator = np.sqrt(v) + self.eps"}, _FIRST),
    (
        "adds eps before the correction",
        {_ROOT: "denominator = (np.sqrt(v) + self.eps) / (1 - b2**t) ** 0.5"},
        _FIRST,
    ),
]

MUTANTS = [Mutant("optim.NAdam", mistake, edits, blames=q) for mistake, edits, q in _NADAM]
