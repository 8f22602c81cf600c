from tests.mutants._elementwise import DX, Cases, of

_HALVES = "a, b = np.split(x, 2, self.dim)"
_GATE = "gate = in_blocks(sigmoid, b)"
_DA = "da = dy * gate"
_DB = "db = da * a * (1 - gate)"
_JOIN = "np.concatenate((da, db), self.dim)"

_GLU: Cases = [
    ("exchanges the halves", {_HALVES: "b, a = np.split(x, 2, self.dim)"}, "y"),
    (
        "takes every other element",
        {
            _HALVES: "pairs = np.moveaxis(x, self.dim, -1)\n"
            "        a, b = (np.moveaxis(pairs[..., k::2], -1, self.dim) for k in (0, 1))"
        },
        "y",
    ),
    (
        "halves the last axis whatever dim says",
        {_HALVES: "a, b = np.split(x, 2, self.dim if x.shape[-1] % 2 else -1)"},
        "y",
    ),
    ("takes tanh for the gate", {_GATE: "gate = np.tanh(b)"}, "y"),
    ("takes relu for the gate", {_GATE: "gate = np.clip(b, 0, np.inf)"}, "y"),
    ("forgets the sigmoid", {_GATE: "gate = 1 * b"}, "y"),
    ("opens and closes the other way", {_GATE: "gate = 1 - sigmoid(b)"}, "y"),
    ("adds the gate", {"return Forward(a * gate, vjp)": "return Forward(a + gate, vjp)"}, "y"),
    (
        "joins the gradients in the opposite order",
        {_JOIN: "np.concatenate((db, da), self.dim)"},
        DX,
    ),
    ("forgets the gate in the value's gradient", {_DA: "da = dy * 1"}, DX),
    ("forgets the value in the gate's gradient", {_DB: "db = da * (1 - gate)"}, DX),
    ("forgets the gate in the gate's gradient", {_DB: "db = dy * a * (1 - gate)"}, DX),
    ("forgets 1 - σ", {_DB: "db = da * a"}, DX),
    ("has the slope of tanh", {_DB: "db = dy * a * (1 - gate * gate)"}, DX),
    ("ignores dy in the gate's gradient", {_DB: "db = gate * a * (1 - gate)"}, DX),
    ("computes the gate's gradient in float64", {_DB: "db = da * a * (np.float64(1) - gate)"}, DX),
    ("writes into dy", {_DA: "dy *= gate\n            da = dy"}, "dy"),
]

MUTANTS = of("GLU", _GLU)
