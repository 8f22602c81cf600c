from tests.mutants import Mutant

_DX = "gradient of input 0"
_SHIFT = "x - x.max(axis, keepdims=True, initial=-np.inf)"
_NONE = "return 0 if ndim in (0, 1, 3) else 1"
_DIM = "    return dim\n"

_BOTH = [
    ("does not subtract the largest x", {_SHIFT: "x"}, "y"),
    ("subtracts the largest x of all rows", {_SHIFT: "x - x.max(initial=-np.inf)"}, "y"),
    ("takes dim=None for the last axis", {_NONE: "return -1"}, "y"),
    ("takes dim=None for the axis 0", {_NONE: "return 0"}, "y"),
    ("takes dim=-1 for the axis 1", {_DIM: "    return min(abs(dim), axes - 1)\n"}, "y"),
    ("takes the last axis whatever dim says", {_DIM: "    return -1\n"}, "y"),
    (
        "subtracts the largest x in place",
        {_SHIFT: "np.subtract(x, x.max(axis, keepdims=True, initial=-np.inf), out=x)"},
        "input 0",
    ),
]

_E = "e = np.exp(_shifted(np.atleast_1d(x), axis))"
_Y = "y = e / e.sum(axis, keepdims=True)"
_BACK = "dx = y * (dy - (dy * y).sum(axis, keepdims=True))"

_OF_SOFTMAX = [
    ("forgets the sum", {_BACK: "dx = y * dy"}, _DX),
    ("has the slope of the sigmoid", {_BACK: "dx = dy * y * (1 - y)"}, _DX),
    ("forgets y in front", {_BACK: "dx = dy - (dy * y).sum(axis, keepdims=True)"}, _DX),
    ("forgets y under the sum", {_BACK: "dx = y * (dy - dy.sum(axis, keepdims=True))"}, _DX),
    ("takes the mean, not the sum", {_BACK: _BACK.replace(".sum(", ".mean(")}, _DX),
    ("adds the sum", {_BACK: _BACK.replace("(dy - ", "(dy + ")}, _DX),
    ("sums over everything", {_BACK: "dx = y * (dy - (dy * y).sum())"}, _DX),
    ("forgets dy", {_BACK: "dx = y * (1 - y) + 0 * dy"}, _DX),
    (
        "writes into dy",
        {_BACK: "dy -= (dy * y).sum(axis, keepdims=True)\n        dx = y * dy"},
        "dy",
    ),
    ("sums in float64", {_Y: "y = e / e.sum(axis, keepdims=True, dtype=np.float64)"}, "y"),
    ("normalises over everything", {_Y: "y = e / e.sum()"}, "y"),
    ("divides by the mean", {_Y: "y = e / e.mean(axis, keepdims=True)"}, "y"),
    ("adds 1e-8 to the sum", {_Y: "y = e / (e.sum(axis, keepdims=True) + 1e-8)"}, "y"),
    ("exponentiates -x", {_E: "e = np.exp(_shifted(-np.atleast_1d(x), axis))"}, "y"),
]

_MIN = "softmax = _softmax(-x, _axis(self, self.dim, x.ndim))"

_SOFTMIN = [
    ("is the softmax", {_MIN: _MIN.replace("-x", "x")}, "y"),
    (
        "is 1 - softmax",
        {"return Forward(softmax.y, vjp)": "return Forward(1 - softmax.y, vjp)"},
        "y",
    ),
    ("forgets the minus backwards", {"(-minus_dx,)": "(minus_dx,)"}, _DX),
    (
        "has the gradient of the softmax",
        {"softmax.vjp(dy)": "_softmax(x, _axis(self, self.dim, x.ndim)).vjp(-dy)"},
        _DX,
    ),
]

_2D = "return _softmax(x, -3)"

_SOFTMAX2D = [
    ("shares over the last axis", {_2D: "return _softmax(x, -1)"}, "y"),
    ("shares over the rows", {_2D: "return _softmax(x, -2)"}, "y"),
    ("shares over the axis 1 without a batch", {_2D: "return _softmax(x, 1)"}, "y"),
    ("shares over the axis 0", {_2D: "return _softmax(x, 0)"}, "y"),
    (
        "shares over the image",
        {
            _2D: "z = _softmax(x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1]), -1)\n"
            "        return Forward(z.y.reshape(x.shape), lambda dy: Grads((z.vjp(dy.reshape("
            "z.y.shape)).inputs[0].reshape(x.shape),)))"
        },
        "y",
    ),
]

_LOG = "z - np.log(np.exp(z).sum(axis, keepdims=True))"
_LOG_BACK = "dx = dy - np.exp(y) * dy.sum(axis, keepdims=True)"

_LOG_SOFTMAX = [
    ("forgets the sum", {_LOG_BACK: "dx = dy + 0 * y"}, _DX),
    ("takes dy for its sum", {_LOG_BACK: "dx = dy - np.exp(y) * dy"}, _DX),
    ("takes log p for p", {_LOG_BACK: _LOG_BACK.replace("np.exp(y)", "y")}, _DX),
    ("takes p to be uniform", {_LOG_BACK: "dx = dy - dy.mean(axis, keepdims=True)"}, _DX),
    ("takes the mean, not the sum", {_LOG_BACK: _LOG_BACK.replace(".sum(", ".mean(")}, _DX),
    ("adds the sum", {_LOG_BACK: _LOG_BACK.replace("dy - ", "dy + ")}, _DX),
    ("sums over everything", {_LOG_BACK: "dx = dy - np.exp(y) * dy.sum()"}, _DX),
    (
        "has the gradient of the softmax",
        {_LOG_BACK: "p = np.exp(y)\n            dx = p * (dy - (dy * p).sum(axis, keepdims=True))"},
        _DX,
    ),
    (
        "takes the exponential of x",
        {_LOG_BACK: _LOG_BACK.replace("np.exp(y)", "np.exp(_shifted(np.atleast_1d(x), axis))")},
        _DX,
    ),
    (
        "writes into dy",
        {_LOG_BACK: "dy -= np.exp(y) * dy.sum(axis, keepdims=True)\n            dx = dy"},
        "dy",
    ),
    (
        "is the logarithm of the softmax",
        {_LOG: "np.log(np.exp(z) / np.exp(z).sum(axis, keepdims=True))"},
        "y",
    ),
    ("takes the logarithm to base 2", {_LOG: _LOG.replace("np.log(", "np.log2(")}, "y"),
    ("takes the mean in the logarithm", {_LOG: _LOG.replace(".sum(", ".mean(")}, "y"),
    ("forgets the logarithm", {_LOG: "z - np.exp(z).sum(axis, keepdims=True)"}, "y"),
    ("adds 1 to the sum", {_LOG: _LOG.replace("np.log(", "np.log1p(")}, "y"),
    ("sums in float64", {_LOG: _LOG.replace("keepdims=True", "keepdims=True, dtype=float")}, "y"),
]

_OF_DIM = [case for case in _BOTH if "dim" in case[0]]
_OTHERS = [case for case in _BOTH if "dim" not in case[0] and case[2] != "input 0"]

MUTANTS = [
    *(Mutant("Softmax", mistake, edits, blames=q) for mistake, edits, q in _OF_SOFTMAX + _BOTH),
    *(
        Mutant("Softmin", mistake, edits, blames=q)
        for mistake, edits, q in _SOFTMIN + _OF_SOFTMAX + _OF_DIM + _OTHERS
    ),
    *(
        Mutant("Softmax2d", mistake, edits, blames=q)
        for mistake, edits, q in _SOFTMAX2D + _OF_SOFTMAX + _OTHERS
    ),
    *(Mutant("LogSoftmax", mistake, edits, blames=q) for mistake, edits, q in _LOG_SOFTMAX + _BOTH),
]
