from tests.mutants._elementwise import DX, Cases, common, of

_DOC = '"""Smooth activations:'

_SIGMOID_DX = "dy * y * (1 - y)"
_SIGMOID_Y = "y = in_blocks(sigmoid, x)"

_SIGMOID: Cases = [
    ("forgets 1 - y", {_SIGMOID_DX: "dy * y"}, DX),
    ("forgets y", {_SIGMOID_DX: "dy * (1 - y)"}, DX),
    ("adds y", {_SIGMOID_DX: "dy * y * (1 + y)"}, DX),
    ("has the slope of tanh", {_SIGMOID_DX: "dy * (1 - y**2)"}, DX),
    ("takes x for y in the slope", {f"{_SIGMOID_DX}, y, dy": f"{_SIGMOID_DX}, x, dy"}, DX),
    ("takes the slope at y, not at x", {_SIGMOID_DX: "dy * sigmoid(y) * (1 - sigmoid(y))"}, DX),
    ("subtracts from 1 in float64", {_SIGMOID_DX: "dy * y * (np.float64(1) - y)"}, DX),
    ("forgets the minus", {"1 / (1 + np.exp(-x))": "1 / (1 + np.exp(x))"}, "y"),
    ("is tanh(x / 2)", {_SIGMOID_Y: "y = np.tanh(x / 2)"}, "y"),
    ("is piecewise linear", {_SIGMOID_Y: "y = np.clip(x / 6 + 0.5, 0, 1)"}, "y"),
    ("overflows", {"1 / (1 + np.exp(-x))": "np.exp(x) / (1 + np.exp(x))"}, "y"),
    ("is off by a half", {_SIGMOID_Y: "y = sigmoid(x) - 0.5"}, "y"),
]

_TANH_DX = "dy * (1 - y * y)"
_TANH_Y = "y = np.tanh(x)"

_TANH: Cases = [
    ("forgets to square y", {_TANH_DX: "dy * (1 - y)"}, DX),
    ("adds y²", {_TANH_DX: "dy * (1 + y * y)"}, DX),
    ("has the slope of the sigmoid", {_TANH_DX: "dy * (y * (1 - y))"}, DX),
    ("takes x for y in the slope", {f"{_TANH_DX}, y, dy": f"{_TANH_DX}, x, dy"}, DX),
    ("takes the slope at y, not at x", {_TANH_DX: "dy * (1 - np.tanh(y) ** 2)"}, DX),
    ("forgets to square 1 / cosh", {_TANH_DX: "dy * np.sqrt(1 - y * y)"}, DX),
    (
        "squares y where it stands",
        {_TANH_DX: "dy * (1 - np.multiply(y, y, out=np.asarray(y)[...]))"},
        DX,
    ),
    ("halves x", {_TANH_Y: "y = np.tanh(x / 2)"}, "y"),
    ("is the sigmoid", {_TANH_Y: "y = sigmoid(x)"}, "y"),
    ("is clipped x", {_TANH_Y: "y = np.clip(x, -1, 1)"}, "y"),
    (
        "overflows",
        {_TANH_Y: "y = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))"},
        "y",
    ),
    ("is tan", {_TANH_Y: "y = np.tan(x)"}, "y"),
]

_GELU_DX = "dy * (cdf + density(x, cdf))"
_PDF = "z * np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))"
_DU = "du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)"
_CDF = 'cdf = in_blocks(_tanh_cdf if self.approximate == "tanh" else _normal_cdf, x)'
_DENSITY = 'density = _tanh_density if self.approximate == "tanh" else _normal_density'

_GELU: Cases = [
    ("forgets that Φ depends on x", {_GELU_DX: "dy * cdf"}, DX),
    ("forgets Φ", {_GELU_DX: "dy * density(x, cdf)"}, DX),
    ("forgets x before the density", {_GELU_DX: "dy * (cdf + density(x, cdf) / x)"}, DX),
    ("subtracts the density's part", {_GELU_DX: "dy * (cdf - density(x, cdf))"}, DX),
    ("forgets the half in the density", {_PDF: _PDF.replace("-0.5 * z", "-z")}, DX),
    ("forgets √(2π)", {_PDF: "z * np.exp(-0.5 * z * z)"}, DX),
    ("divides by √π", {_PDF: _PDF.replace("2 * math.pi", "math.pi")}, DX),
    ("divides by a NumPy float64", {_PDF: _PDF.replace("math", "np")}, DX),
    ("forgets the 3 of the cube", {_DU: _DU.replace("3 * 0", "0")}, DX),
    ("forgets the slope of the cube", {_DU: "du = math.sqrt(2 / math.pi)"}, DX),
    ("forgets to square tanh", {"(2 * cdf * (1 - cdf) * du)": "((1 - cdf) * du)"}, DX),
    (
        "takes the tanh form's slope for the exact one",
        {_DENSITY: "density = _tanh_density"},
        DX,
    ),
    (
        "is exact whatever approximate says",
        {_CDF: "cdf = _normal_cdf(x)", _DENSITY: "density = _normal_density"},
        "y",
    ),
    (
        "takes the tanh form whatever approximate says",
        {_CDF: "cdf = _tanh_cdf(x)", _DENSITY: "density = _tanh_density"},
        "y",
    ),
    ("misplaces the point in 0.044715", {"(z + 0.044715 *": "(z + 0.44715 *"}, "y"),
    ("is x σ(1.702 x)", {_CDF: "cdf = sigmoid(1.702 * x)"}, "y"),
    ("forgets the √2 under erf", {_CDF: "cdf = _normal_cdf(math.sqrt(2) * x)"}, "y"),
    ("is Φ(x)", {"return Forward(x * cdf, vjp)": "return Forward(cdf, vjp)"}, "y"),
]

_SILU_DX = "dy * s * (1 + x * (1 - s))"
_SILU_Y = "lambda x: x * sigmoid(x), x"

_SILU: Cases = [
    ("forgets that the sigmoid depends on x", {_SILU_DX: "dy * s"}, DX),
    ("forgets x in the slope", {_SILU_DX: "dy * s * (1 + (1 - s))"}, DX),
    ("takes y for x in the slope", {_SILU_DX: "dy * s * (1 + x * s * (1 - s))"}, DX),
    ("subtracts the sigmoid's part", {_SILU_DX: "dy * s * (1 - x * (1 - s))"}, DX),
    ("forgets the 1", {_SILU_DX: "dy * s * x * (1 - s)"}, DX),
    ("has the slope of the sigmoid", {_SILU_DX: "dy * s * (1 - s)"}, DX),
    ("is the sigmoid", {_SILU_Y: "lambda x: sigmoid(x), x"}, "y"),
    ("is x σ(1.702 x)", {_SILU_Y: "lambda x: x * sigmoid(1.702 * x), x"}, "y"),
    ("is hardswish", {_SILU_Y: "lambda x: x * np.clip(x / 6 + 0.5, 0, 1), x"}, "y"),
    ("is x tanh(x)", {_SILU_Y: "lambda x: x * np.tanh(x), x"}, "y"),
    ("overflows", {_SILU_Y: "lambda x: x * np.exp(x) / (1 + np.exp(x)), x"}, "y"),
    ("writes y into x", {_SILU_Y: "lambda x: np.multiply(x, sigmoid(x), out=x), x"}, "input 0"),
]

_MISH_DX = "dy * (n / (n + 2) + z * dt)"
_MISH_Y = "y: Array = x * (n / (n + 2))"
_MISH_DT = "dt = 4 * e * (1 + e) / (n + 2) / (n + 2)"

_MISH: Cases = [
    ("forgets that the tangent depends on x", {_MISH_DX: "dy * (n / (n + 2))"}, DX),
    ("forgets x in the slope", {_MISH_DX: "dy * (n / (n + 2) + dt)"}, DX),
    ("forgets the tangent in the slope", {_MISH_DX: "dy * (z * dt)"}, DX),
    ("subtracts the second part", {_MISH_DX: "dy * (n / (n + 2) - z * dt)"}, DX),
    ("forgets the sigmoid", {_MISH_DT: "dt = 4 * (1 + e) * (1 + e) / (n + 2) / (n + 2)"}, DX),
    ("forgets to square n + 2", {_MISH_DT: "dt = 4 * e * (1 + e) / (n + 2)"}, DX),
    ("halves the slope", {_MISH_DT: "dt = 2 * e * (1 + e) / (n + 2) / (n + 2)"}, DX),
    ("takes the sigmoid for the slope of the tangent", {_MISH_DT: "dt = e / (1 + e)"}, DX),
    ("is tanh(softplus(x))", {_MISH_Y: "y: Array = n / (n + 2)"}, "y"),
    ("adds 1 for 2", {_MISH_Y: "y: Array = x * (n / (n + 1))"}, "y"),
    ("is x tanh(eˣ)", {_MISH_Y: "y: Array = x * np.tanh(e)"}, "y"),
    ("is silu", {_MISH_Y: "y: Array = x * (e / (1 + e))"}, "y"),
    ("overflows", {"far = math.log(np.finfo(x.dtype).max) / 2 - 1": "far = np.inf"}, "y"),
    (
        "saturates at 1",
        {"e = np.exp(np.clip(x, -np.inf, far))": "e = np.exp(np.clip(x, -9, 1))"},
        "y",
    ),
]

_SOFTPLUS_DX = "np.where(z > threshold, dy, dy * sigmoid(z))"
_SOFTPLUS_Y = "np.where(z > threshold, x, softplus(z) / beta)"

_SOFTPLUS: Cases = [
    (
        "multiplies the slope by beta",
        {_SOFTPLUS_DX: _SOFTPLUS_DX.replace("(z))", "(z) * beta)")},
        DX,
    ),
    (
        "takes the slope at x, not at beta x",
        {_SOFTPLUS_DX: _SOFTPLUS_DX.replace("d(z)", "d(x)")},
        DX,
    ),
    (
        "compares x with the threshold in the slope",
        {_SOFTPLUS_DX: _SOFTPLUS_DX.replace("z >", "x >")},
        DX,
    ),
    ("forgets the threshold in the slope", {_SOFTPLUS_DX: "dy * sigmoid(z)"}, DX),
    ("is straight at the threshold", {_SOFTPLUS_DX: _SOFTPLUS_DX.replace(">", ">=")}, DX),
    (
        "lets nothing through where it is straight",
        {_SOFTPLUS_DX: _SOFTPLUS_DX.replace("dy, ", "0 * dy, ")},
        DX,
    ),
    ("compares x with the threshold", {_SOFTPLUS_Y: _SOFTPLUS_Y.replace("z >", "x >")}, "y"),
    ("forgets the threshold", {_SOFTPLUS_Y: "softplus(z) / beta"}, "y"),
    ("forgets to divide by beta", {_SOFTPLUS_Y: _SOFTPLUS_Y.replace(" / beta", "")}, "y"),
    ("multiplies by beta", {_SOFTPLUS_Y: _SOFTPLUS_Y.replace(" / beta", " * beta")}, "y"),
    ("is beta x where it is straight", {_SOFTPLUS_Y: _SOFTPLUS_Y.replace(" x,", " z,")}, "y"),
    ("ignores beta", {_SOFTPLUS_Y: "np.where(x > threshold, x, softplus(x))"}, "y"),
    ("forgets the 1 under the logarithm", {"np.log1p(np.exp(-np.abs(x)))": "0"}, "y"),
    (
        "adds x twice where it is positive",
        {
            "np.clip(x, 0, np.inf) + np.log1p(np.exp(-np.abs(x)))": "np.clip(x, 0, np.inf) + "
            "np.log1p(np.exp(np.clip(x, -np.inf, 9)))"
        },
        "y",
    ),
]

_LOG_DX = "x, dy: dy * sigmoid(-x)"
_LOG_Y = "lambda x: -softplus(-x), x"

_LOG_SIGMOID: Cases = [
    ("has the sigmoid for its slope", {_LOG_DX: "x, dy: dy * sigmoid(x)"}, DX),
    ("has the slope of the sigmoid", {_LOG_DX: "x, dy: dy * sigmoid(x) * sigmoid(-x)"}, DX),
    ("divides by the sigmoid", {_LOG_DX: "x, dy: dy / sigmoid(x)"}, DX),
    ("turns the sign of the slope", {_LOG_DX: "x, dy: -dy * sigmoid(-x)"}, DX),
    ("takes the slope at y", {_LOG_DX: "x, dy: dy * sigmoid(softplus(-x))"}, DX),
    ("is the logarithm of the sigmoid", {_LOG_Y: "lambda x: np.log(sigmoid(x)), x"}, "y"),
    ("is softplus(-x)", {_LOG_Y: "lambda x: softplus(-x), x"}, "y"),
    ("is -softplus(x)", {_LOG_Y: "lambda x: -softplus(x), x"}, "y"),
    ("is the sigmoid", {_LOG_Y: "lambda x: sigmoid(x), x"}, "y"),
    ("takes the logarithm to base 2", {_LOG_Y: "lambda x: np.log2(sigmoid(x)), x"}, "y"),
    ("is log1p of the sigmoid", {_LOG_Y: "lambda x: np.log1p(sigmoid(x)), x"}, "y"),
]

_SIGN_DX = "dy / d / d"
_SIGN_Y = "lambda x: x / (1 + np.abs(x)), x"

_SOFTSIGN: Cases = [
    ("forgets the square", {_SIGN_DX: "dy / d"}, DX),
    ("cubes", {_SIGN_DX: "dy / d / d / d"}, DX),
    ("has the sign of x in the slope", {_SIGN_DX: "dy * np.sign(x) / d / d"}, DX),
    ("forgets |x| in the slope", {"d: Array = 1 + np.abs(x)": "d: Array = 1 + x"}, DX),
    ("takes x² for |x| in the slope", {"d: Array = 1 + np.abs(x)": "d: Array = 1 + x * x"}, DX),
    ("multiplies by x once more", {_SIGN_DX: "dy * x / d / d"}, DX),
    ("forgets |x|", {_SIGN_Y: "lambda x: x / (1 + x), x"}, "y"),
    ("forgets the 1", {_SIGN_Y: "lambda x: x / (1e-12 + np.abs(x)), x"}, "y"),
    ("is |x| / (1 + |x|)", {_SIGN_Y: "lambda x: np.abs(x) / (1 + np.abs(x)), x"}, "y"),
    ("is 1 / (1 + |x|)", {_SIGN_Y: "lambda x: 1 / (1 + np.abs(x)), x"}, "y"),
    ("takes x² for |x|", {_SIGN_Y: "lambda x: x / (1 + x * x), x"}, "y"),
    ("takes the root of 1 + x²", {_SIGN_Y: "lambda x: x / np.sqrt(1 + x * x), x"}, "y"),
]

_SHRINK_DX = "dy * (t * t)"
_SHRINK_Y = "return Forward(x - t, vjp)"

_TANHSHRINK: Cases = [
    ("has the slope of tanh", {_SHRINK_DX: "dy * (1 - t * t)"}, DX),
    ("forgets to square", {_SHRINK_DX: "dy * t"}, DX),
    ("turns the sign of the slope", {_SHRINK_DX: "-dy * (t * t)"}, DX),
    ("adds the slopes", {_SHRINK_DX: "dy * (2 - t * t)"}, DX),
    ("takes x for tanh(x) in the slope", {f"{_SHRINK_DX}, t, dy": f"{_SHRINK_DX}, x, dy"}, DX),
    ("is tanh(x) - x", {_SHRINK_Y: "return Forward(t - x, vjp)"}, "y"),
    ("is tanh(x)", {_SHRINK_Y: "return Forward(t + 0 * x, vjp)"}, "y"),
    ("is x + tanh(x)", {_SHRINK_Y: "return Forward(x + t, vjp)"}, "y"),
    ("is x tanh(x)", {_SHRINK_Y: "return Forward(x * t, vjp)"}, "y"),
    ("writes y into x", {_SHRINK_Y: "return Forward(np.subtract(x, t, out=x), vjp)"}, "input 0"),
]

MUTANTS = [
    *of("Sigmoid", _SIGMOID, common(_SIGMOID_DX, "y * (1 - y)", _DOC)),
    *of("Tanh", _TANH, common(_TANH_DX, "1 - y * y", _DOC)),
    *of("GELU", _GELU, common(_GELU_DX, "cdf + density(x, cdf)", _DOC)),
    *of("SiLU", _SILU, common(_SILU_DX, "s * (1 + x * (1 - s))", _DOC)),
    *of("Mish", _MISH, common(_MISH_DX, "n / (n + 2) + z * dt", _DOC)),
    *of(
        "Softplus",
        _SOFTPLUS,
        common(_SOFTPLUS_DX, "np.where(z > threshold, np.ones_like(z), sigmoid(z))", _DOC),
    ),
    *of("LogSigmoid", _LOG_SIGMOID, common("dy * sigmoid(-x)", "sigmoid(-x)", _DOC)),
    *of("Softsign", _SOFTSIGN, common(_SIGN_DX, "1 / d / d", _DOC)),
    *of("Tanhshrink", _TANHSHRINK, common(_SHRINK_DX, "t * t", _DOC)),
]
