from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_DECAY = "g = g + self.weight_decay * p"
_V = 'v = self.alpha * kept["square_avg"] + (1 - self.alpha) * g * g'
_A = 'self.alpha * kept["grad_avg"] + (1 - self.alpha) * g\n'
_ROOT = "denominator = np.sqrt(v) + self.eps"
_PLAIN = "return p - self.lr * (g / denominator), now"
_B = 'b = self.momentum * kept["momentum_buffer"] + g / denominator'
_STEP = "return p - self.lr * b, now"

_RMSPROP = [
    ("adds eps under the root", {_ROOT: "denominator = np.sqrt(v + self.eps)"}, _FIRST),
    ("forgets eps", {_ROOT: "denominator = np.sqrt(v)"}, _FIRST),
    ("forgets the root", {_ROOT: "denominator = v + self.eps"}, _FIRST),
    (
        "adds eps in float64",
        {_ROOT: "denominator = np.sqrt(v) + np.float64(self.eps)"},
        "forward",  # the second step refuses the dtype that the first left
    ),
    (
        "weighs g² by α",
        {_V: 'v = (1 - self.alpha) * kept["square_avg"] + self.alpha * g * g'},
        _FIRST,
    ),
    (
        "starts with v = g²",
        {_V: _V.replace('kept["square_avg"]', '(kept["square_avg"] if step > 1 else g * g)')},
        _FIRST,
    ),
    ("takes |g| for g²", {_V: _V.replace("g * g", "np.abs(g)")}, _FIRST),
    (
        "corrects the bias of v",
        {_ROOT: "denominator = np.sqrt(v / (1 - self.alpha ** float(step))) + self.eps"},
        _FIRST,
    ),
    ("ignores centered", {"v = v - a * a": "v = v * 1"}, _FIRST),
    ("adds the square of the mean", {"v = v - a * a": "v = v + a * a"}, _FIRST),
    ("subtracts the mean of v, not its square", {"v = v - a * a": "v = v - a"}, _FIRST),
    (
        "keeps the centered v",
        {"v = v - a * a": 'v = now["square_avg"] = v - a * a'},
        "state square_avg after step 1",
    ),
    (
        "averages g with α and 1 exchanged",
        {_A: 'kept["grad_avg"] + (1 - self.alpha) * g\n'},
        _SECOND,
    ),
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("ignores weight_decay", {"if self.weight_decay:": "if False:"}, _FIRST),
    ("decouples weight_decay", {_DECAY: "p = (1 - self.lr * self.weight_decay) * p"}, _FIRST),
    (
        "maximizes the decay too",
        {_DECAY: "g = g + (-1 if self.maximize else 1) * self.weight_decay * p"},
        _FIRST,
    ),
    (
        "climbs",
        {_PLAIN: _PLAIN.replace("p - ", "p + "), _STEP: _STEP.replace("p - ", "p + ")},
        _FIRST,
    ),
    ("dampens the momentum", {_B: _B.replace("+ g /", "+ (1 - self.momentum) * g /")}, _FIRST),
    ("takes g for its quotient in the buffer", {_B: _B.replace(" / denominator", "")}, _FIRST),
    ("ignores momentum", {"if not self.momentum:": "if True:"}, (_SECOND, "forward")),
    (
        "puts the rate into the buffer",
        {_B: _B.replace("+ g", "+ self.lr * g"), _STEP: "return p - b, now"},
        "state momentum_buffer after step 1",
    ),
    (
        "updates the parameters in place",
        {
            _PLAIN: "p -= self.lr * (g / denominator)\n            return p, now",
            _STEP: "p -= self.lr * b\n        return p, now",
        },
        "param p0",
    ),
    (
        "adds the decay to the gradient in place",
        {_DECAY: "g += self.weight_decay * p"},
        _GRAD,
    ),
]

MUTANTS = [Mutant("optim.RMSprop", mistake, edits, blames=q) for mistake, edits, q in _RMSPROP]
