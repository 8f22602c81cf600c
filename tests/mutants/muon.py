from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_B = 'b = self.momentum * kept["momentum_buffer"] + (1 - self.momentum) * g'
_X = "x = (1 - self.momentum) * g + self.momentum * b if self.nesterov else b"
_NORM = "norm = bfloat16(np.sqrt(np.vdot(x, x)))"
_POLY = "polynomial = bfloat16(b * gram + c * (gram @ gram))"
_RATE = "rate = self.lr * self._adjustment(*p.shape)"

_MUON = [
    (
        "adds gradients up, as SGD",
        {_B: 'b = self.momentum * kept["momentum_buffer"] + g'},
        (_FIRST, "state momentum_buffer after step 1"),
    ),
    (
        "ignores nesterov",
        {_X: "x = b"},
        (_FIRST, _SECOND, "params after step 3", "params after step 4"),
    ),
    (
        "takes nesterov for granted",
        {_X: _X.replace(" if self.nesterov else b", "")},
        (_FIRST, _SECOND, "params after step 3", "params after step 4"),
    ),
    ("does not orthogonalize", {"direction = self._orthogonalized(x)": "direction = x"}, _FIRST),
    ("forgets the norm", {"/ np.maximum(norm,": "/ np.maximum(0 * norm + 1,"}, _FIRST),
    ("divides by the square of the norm", {_NORM: "norm = bfloat16(np.vdot(x, x))"}, _FIRST),
    ("exchanges the coefficients", {"a, b, c = map(": "a, c, b = map("}, _FIRST),
    ("forgets the square", {_POLY: "polynomial = bfloat16(b * gram + c * gram)"}, _FIRST),
    (
        "forgets the linear term",
        {"x = bfloat16(a * x + polynomial @ x)": "x = bfloat16(polynomial @ x)"},
        _FIRST,
    ),
    ("does one turn less", {"in range(self.ns_steps)": "in range(self.ns_steps - 1)"}, _FIRST),
    (
        "scales the decay by the shape",
        {"(1 - self.lr * self.weight_decay) * p": "(1 - rate * self.weight_decay) * p"},
        _FIRST,
    ),
    ("ignores the shape", {_RATE: "rate = self.lr"}, _FIRST),
    ("exchanges rows and columns in the factor", {"max(1, n / m)": "max(1, m / n)"}, _FIRST),
    (
        "takes the smaller side for match_rms_adamw",
        {"math.sqrt(max(n, m))": "math.sqrt(min(n, m))"},
        _FIRST,
    ),
    ("forgets to decay", {"(1 - self.lr * self.weight_decay) * p": "p"}, _FIRST),
    (
        "forgets the rate in the decay",
        {"(1 - self.lr * self.weight_decay) * p": "(1 - self.weight_decay) * p"},
        _FIRST,
    ),
]

MUTANTS = [Mutant("optim.Muon", mistake, edits, blames=q) for mistake, edits, q in _MUON]
