from tests.mutants import Mutant

_DX = "gradient of input 0"

# the derivative of each layer, as an expression and where it stands
_RELU = "return Grads((dy * ~blocked,))"
_SIGMOID = "dx = dy * y * (1 - y)\n            return Grads((dx,))"
_TANH = "return Grads((dy * slope,))"
_GELU = "return Grads((dy * (cdf + z * pdf),))"


def _reused(old: str, dx: str) -> dict[str, str]:
    """Every gradient of one shape in the same array."""
    buffer = "out = _KEPT.setdefault((dy.shape, dy.dtype), np.empty_like(dy))"
    new = f"{buffer}\n            out[...] = {dx}\n            return Grads((out,))"
    return {old: new, '"""Activations:': '_KEPT = {}\n"""Activations:'}


def _common(layer: str, old: str, slope: str) -> list[Mutant]:
    """Mistakes that are made in any function of one element."""
    cases = [
        ("lets dy through", {old: "return Grads((dy,))"}, _DX),
        ("forgets dy", {old: f"return Grads((({slope}) + 0 * dy,))"}, _DX),
        ("ignores the sign of dy", {old: f"return Grads((np.abs(dy) * ({slope}),))"}, _DX),
        (
            "lets only positive dy through",
            {old: f"return Grads((dy * (dy > 0) * ({slope}),))"},
            _DX,
        ),
        ("writes dx into dy", {old: f"dy *= {slope}\n            return Grads((dy,))"}, "dy"),
        ("returns the same array every time", _reused(old, f"dy * ({slope})"), _DX),
        ("computes the slope in float64", {old: f"return Grads((dy * np.float64({slope}),))"}, _DX),
        ("has no gradient", {old: "return Grads((None,))"}, _DX),
    ]
    return [Mutant(layer, mistake, edits, blames=q) for mistake, edits, q in cases]


_CLIP = "np.clip(x, 0, np.inf)"
_BLOCKED = "blocked = x <= 0  # false for nan"

_RELU_MUTANTS = [
    ("has slope 1 at 0", {_BLOCKED: "blocked = x < 0"}, _DX),
    (
        "has slope 1/2 at 0",
        {_RELU: "return Grads((dy * np.heaviside(x, x.dtype.type(0.5)),))"},
        _DX,
    ),
    ("blocks what is positive", {_BLOCKED: "blocked = x > 0"}, _DX),
    ("takes y for its slope", {_RELU: f"return Grads((dy * {_CLIP},))"}, _DX),
    ("leaks", {_CLIP: "np.maximum(x, 0.01 * x)"}, "y"),
    ("is |x|", {_CLIP: "np.abs(x)"}, "y"),
    ("stops at 6", {_CLIP: "np.clip(x, 0, 6)"}, "y"),
    ("is min(x, 0)", {_CLIP: "np.clip(x, -np.inf, 0)"}, "y"),
    ("writes y into x", {_CLIP: "np.clip(x, 0, np.inf, out=x)"}, "input 0"),
    (
        "writes y into x before it looks at x",
        {_BLOCKED: f"np.clip(x, 0, np.inf, out=x)\n        {_BLOCKED}"},
        "input 0",
    ),
]

_SIGMOID_FORWARD = "y = sigmoid(x)"
_SLOPE = "dx = dy * y * (1 - y)"

_SIGMOID_MUTANTS = [
    ("forgets 1 - y", {_SLOPE: "dx = dy * y"}, _DX),
    ("forgets y", {_SLOPE: "dx = dy * (1 - y)"}, _DX),
    ("adds y", {_SLOPE: "dx = dy * y * (1 + y)"}, _DX),
    ("has the slope of tanh", {_SLOPE: "dx = dy * (1 - y * y)"}, _DX),
    ("takes x for y in the slope", {_SLOPE: "dx = dy * x * (1 - x)"}, _DX),
    (
        "takes the slope at y, not at x",
        {_SLOPE: "dx = dy * sigmoid(y) * (1 - sigmoid(y))"},
        _DX,
    ),
    ("subtracts from 1 in float64", {_SLOPE: "dx = dy * y * (np.float64(1) - y)"}, _DX),
    ("forgets the minus", {"1 / (1 + np.exp(-x))": "1 / (1 + np.exp(x))"}, "y"),
    ("is tanh(x / 2)", {_SIGMOID_FORWARD: "y = np.tanh(x / 2)"}, "y"),
    ("is piecewise linear", {_SIGMOID_FORWARD: "y = np.clip(x / 6 + 0.5, 0, 1)"}, "y"),
    ("overflows", {"1 / (1 + np.exp(-x))": "np.exp(x) / (1 + np.exp(x))"}, "y"),
    ("is off by a half", {_SIGMOID_FORWARD: "y = sigmoid(x) - 0.5"}, "y"),
]

_TANH_FORWARD = "y = np.tanh(x)"

_TANH_MUTANTS = [
    ("forgets to square y", {"slope = 1 - y * y": "slope = 1 - y"}, _DX),
    ("adds y²", {"slope = 1 - y * y": "slope = 1 + y * y"}, _DX),
    ("has the slope of the sigmoid", {"slope = 1 - y * y": "slope = y * (1 - y)"}, _DX),
    ("takes x for y in the slope", {"slope = 1 - y * y": "slope = 1 - x * x"}, _DX),
    (
        "takes the slope at y, not at x",
        {"slope = 1 - y * y": "slope = 1 - np.tanh(y) ** 2"},
        _DX,
    ),
    ("forgets to square 1 / cosh", {"slope = 1 - y * y": "slope = np.sqrt(1 - y * y)"}, _DX),
    (
        "squares y where it stands",
        {"slope = 1 - y * y": "slope = 1 - np.multiply(y, y, out=np.asarray(y)[...])"},
        _DX,
    ),
    ("halves x", {_TANH_FORWARD: "y = np.tanh(x / 2)"}, "y"),
    ("is the sigmoid", {_TANH_FORWARD: "y = sigmoid(x)"}, "y"),
    ("is clipped x", {_TANH_FORWARD: "y = np.clip(x, -1, 1)"}, "y"),
    (
        "overflows",
        {_TANH_FORWARD: "y = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))"},
        "y",
    ),
    ("is tan", {_TANH_FORWARD: "y = np.tan(x)"}, "y"),
]

_TANH_FORM = 'if self.approximate == "tanh":\n            t = '
_TANH_FORM_BACK = 'if self.approximate == "tanh":\n                du = '
_PDF = "pdf = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)"
_DU = "du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)"

_GELU_MUTANTS = [
    ("forgets that Φ depends on x", {"dy * (cdf + z * pdf)": "dy * cdf"}, _DX),
    ("forgets Φ", {"dy * (cdf + z * pdf)": "dy * (z * pdf)"}, _DX),
    ("forgets x before the density", {"dy * (cdf + z * pdf)": "dy * (cdf + pdf)"}, _DX),
    ("subtracts the density's part", {"dy * (cdf + z * pdf)": "dy * (cdf - z * pdf)"}, _DX),
    ("forgets the half in the density", {_PDF: _PDF.replace(" / 2)", ")")}, _DX),
    ("forgets √(2π)", {_PDF: "pdf = np.exp(-z * z / 2)"}, _DX),
    ("divides by √π", {_PDF: _PDF.replace("2 * math.pi", "math.pi")}, _DX),
    ("divides by a NumPy float64", {_PDF: _PDF.replace("math", "np")}, _DX),
    ("forgets the 3 of the cube", {_DU: _DU.replace("3 * 0", "0")}, _DX),
    ("forgets the slope of the cube", {_DU: "du = math.sqrt(2 / math.pi)"}, _DX),
    ("forgets to square tanh", {"(1 - t * t)": "(1 - t)"}, _DX),
    (
        "takes the tanh form's slope for the exact one",
        {
            _TANH_FORM_BACK: "t = np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))\n"
            "            if True:\n                du = "
        },
        _DX,
    ),
    (
        "is exact whatever approximate says",
        {
            _TANH_FORM: _TANH_FORM.replace('self.approximate == "tanh"', "False"),
            _TANH_FORM_BACK: _TANH_FORM_BACK.replace('self.approximate == "tanh"', "False"),
        },
        "y",
    ),
    (
        "takes the tanh form whatever approximate says",
        {
            _TANH_FORM: _TANH_FORM.replace('self.approximate == "tanh"', "True"),
            _TANH_FORM_BACK: _TANH_FORM_BACK.replace('self.approximate == "tanh"', "True"),
        },
        "y",
    ),
    ("misplaces the point in 0.044715", {"(z + 0.044715 *": "(z + 0.44715 *"}, "y"),
    ("is x σ(1.702 x)", {"cdf = _normal_cdf(z)": "cdf = sigmoid(1.702 * z)"}, "y"),
    (
        "forgets the √2 under erf",
        {"cdf = _normal_cdf(z)": "cdf = _normal_cdf(math.sqrt(2) * z)"},
        "y",
    ),
    ("is Φ(x)", {"return Forward(x * cdf, vjp)": "return Forward(cdf, vjp)"}, "y"),
]

MUTANTS = [
    *(Mutant("ReLU", mistake, edits, blames=q) for mistake, edits, q in _RELU_MUTANTS),
    *_common("ReLU", _RELU, "~blocked"),
    *(Mutant("Sigmoid", mistake, edits, blames=q) for mistake, edits, q in _SIGMOID_MUTANTS),
    *_common("Sigmoid", _SIGMOID, "y * (1 - y)"),
    *(Mutant("Tanh", mistake, edits, blames=q) for mistake, edits, q in _TANH_MUTANTS),
    *_common("Tanh", _TANH, "slope"),
    *(Mutant("GELU", mistake, edits, blames=q) for mistake, edits, q in _GELU_MUTANTS),
    *_common("GELU", _GELU, "cdf + z * pdf"),
]
