from tests.mutants import Mutant

_FIRST, _SECOND = "params after step 1", "params after step 2"
_GRAD = ("grad 1 p0", "grad 1 p1", "grad 1 p2")  # by the groups that decay
_DECAY = "g = g + self.weight_decay * p"
_PLAIN = "return p - self.lr * g, {}"
_STEP = "return p - self.lr * direction, "
_BUFFER = 'b = self.momentum * kept["momentum_buffer"] + (1 - self.dampening) * g'
_NESTEROV = "direction = g + self.momentum * b if self.nesterov else b"

_SGD = [
    (
        "climbs",
        {_PLAIN: _PLAIN.replace("p - ", "p + "), _STEP: _STEP.replace("p - ", "p + ")},
        _FIRST,
    ),
    ("ignores maximize", {"if self.maximize:": "if False:"}, _FIRST),
    ("ignores weight_decay", {"if self.weight_decay:": "if False:"}, _FIRST),
    ("lets the weights grow", {_DECAY: "g = g - self.weight_decay * p"}, _FIRST),
    (
        "decays by sign, as of |θ|",
        {
            _DECAY: "g = g + self.weight_decay * np.sign(p)",
            "from typing": "import numpy as np\nfrom typing",
        },
        _FIRST,
    ),
    (
        "maximizes the decay too",
        {_DECAY: "g = g + (-1 if self.maximize else 1) * self.weight_decay * p"},
        _FIRST,
    ),
    ("dampens the first step", {"b = g.copy()": "b = (1 - self.dampening) * g"}, _FIRST),
    ("starts with a buffer of 0", {"b = g.copy()": "b = 0 * g"}, _FIRST),
    ("ignores nesterov", {_NESTEROV: "direction = b"}, _FIRST),
    (
        "takes the buffer before its update for nesterov",
        {_NESTEROV: _NESTEROV.replace("* b", '* kept.get("momentum_buffer", 0)')},
        _FIRST,
    ),
    ("forgets g in nesterov", {_NESTEROV: _NESTEROV.replace("g + self", "self")}, _FIRST),
    (
        "steps by a float64",
        {
            _PLAIN: "return p - np.float64(self.lr) * g, {}",
            _STEP: "return p - np.float64(self.lr) * direction, ",
            "from typing": "import numpy as np\nfrom typing",
        },
        "forward",  # the second step refuses the dtype that the first left
    ),
    ("ignores momentum", {"if not self.momentum:": "if True:"}, _SECOND),
    ("ignores dampening", {_BUFFER: _BUFFER.replace("(1 - self.dampening) * g", "g")}, _SECOND),
    (
        "takes momentum for an average",
        {_BUFFER: _BUFFER.replace("(1 - self.dampening)", "(1 - self.momentum)")},
        _SECOND,
    ),
    (
        "squares momentum",
        {_BUFFER: _BUFFER.replace("self.momentum *", "self.momentum**2 *")},
        _SECOND,
    ),
    (
        "puts the rate into the buffer",
        {
            "b = g.copy()": "b = self.lr * g",
            _BUFFER: _BUFFER.replace(") * g", ") * self.lr * g"),
            _NESTEROV: _NESTEROV.replace("g + ", "self.lr * g + "),
            _STEP: "return p - direction, ",
        },
        "state momentum_buffer after step 1",
    ),
    (
        "keeps the first buffer",
        {'{"momentum_buffer": b}': '{"momentum_buffer": kept.get("momentum_buffer", b)}'},
        "state momentum_buffer after step 2",
    ),
    (
        "updates the buffer in place",
        {
            _BUFFER: 'b = kept["momentum_buffer"]\n            b *= self.momentum\n'
            "            b += (1 - self.dampening) * g"
        },
        "state momentum_buffer after step 1",
    ),
    (
        "updates the parameters in place",
        {
            _PLAIN: "p -= self.lr * g\n            return p, {}",
            _STEP: "p -= self.lr * direction\n        return p, ",
        },
        "param p0",
    ),
    (
        "adds the decay to the gradient in place",
        {_DECAY: "g += self.weight_decay * p"},
        _GRAD,
    ),
]

MUTANTS = [Mutant("optim.SGD", mistake, edits, blames=q) for mistake, edits, q in _SGD]
