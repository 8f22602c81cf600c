from tests.mutants._elementwise import DX, Cases, common, of

_DOC = '"""Rectifiers:'

_CLIP = "np.clip(x, 0, np.inf), vjp)"
_BLOCKED = "blocked = x <= 0  # false for nan"
_RELU_DX = "dy * ~blocked"

_RELU: Cases = [
    ("has slope 1 at 0", {_BLOCKED: "blocked = x < 0"}, DX),
    ("has slope 1/2 at 0", {_RELU_DX: "dy * np.heaviside(x, x.dtype.type(0.5))"}, DX),
    ("blocks what is positive", {_BLOCKED: "blocked = x > 0"}, DX),
    ("takes y for its slope", {_RELU_DX: "dy * np.clip(x, 0, np.inf)"}, DX),
    ("leaks", {_CLIP: "np.maximum(x, 0.01 * x), vjp)"}, "y"),
    ("is |x|", {_CLIP: "np.abs(x), vjp)"}, "y"),
    ("stops at 6", {_CLIP: "np.clip(x, 0, 6), vjp)"}, "y"),
    ("is min(x, 0)", {_CLIP: "np.clip(x, -np.inf, 0), vjp)"}, "y"),
    ("writes y into x", {_CLIP: "np.clip(x, 0, np.inf, out=x), vjp)"}, "input 0"),
    (
        "writes y into x before it looks at x",
        {_BLOCKED: f"np.clip(x, 0, np.inf, out=x)\n        {_BLOCKED}"},
        "input 0",
    ),
]

_NEGATIVE = "negative = x <= 0"
_LEAKY_DX = "lambda dy: Grads(({},)))"
_LEAKY_Y = "return Forward(x * factor, lambda"
_SLOPE = "_leaky(x, x.dtype.type(self.negative_slope))"

_LEAKY: Cases = [
    ("0 is on the positive side", {_NEGATIVE: "negative = x < 0"}, DX),
    (
        "takes the sign of y for that of x",
        {"dy * factor,)))": "dy * _factor(x * factor, slope),)))"},
        DX,
    ),
    ("takes the sign of dy for that of x", {"dy * factor,)))": "dy * _factor(dy, slope),)))"}, DX),
    ("divides by the slope backwards", {"dy * factor,)))": "dy / factor,)))"}, DX),
    ("forgets to leak backwards", {"dy * factor,)))": "dy * (x > 0),)))"}, DX),
    ("multiplies the positive side", {_NEGATIVE: "negative = x > 0"}, "y"),
    ("does not leak", {_LEAKY_Y: "return Forward(x * (x > 0), lambda"}, "y"),
    (
        "writes y into x",
        {_LEAKY_Y: "return Forward(np.multiply(x, factor, out=x), lambda"},
        "input 0",
    ),
]

_LEAKY_ONLY: Cases = [
    (
        "is the larger of x and its multiple",
        {
            _SLOPE: "Forward(np.maximum(x, x.dtype.type("
            "self.negative_slope) * x), _leaky(x, x.dtype.type(self.negative_slope)).vjp)"
        },
        "y",
    ),
    ("has a slope of float64", {_SLOPE: "_leaky(x, np.float64(self.negative_slope))"}, "y"),
    ("has the slope 0.01", {_SLOPE: "_leaky(x, x.dtype.type(0.01))"}, "y"),
    ("subtracts the multiple", {_SLOPE: "_leaky(x, -x.dtype.type(self.negative_slope))"}, "y"),
]

_DRAWN = "r = self.lower + (self.upper - self.lower) * rng.random(x.shape)"
_MEAN = "(self.lower + self.upper) / 2"

_RRELU: Cases = [
    ("draws one slope for all", {_DRAWN: _DRAWN.replace("(x.shape)", "()")}, "y"),
    (
        "draws again backwards",
        {
            "return _leaky(x, np.asarray(r, x.dtype))": "y = _leaky(x, np.asarray(r, x.dtype)).y\n"
            "        r = self.lower + (self.upper - self.lower) * rng.random(x.shape)\n"
            "        return Forward(y, _leaky(x, np.asarray(r, x.dtype)).vjp)"
        },
        DX,
    ),
    ("draws from 0 to upper", {_DRAWN: "r = self.upper * rng.random(x.shape)"}, "y"),
    (
        "exchanges the bounds",
        {_DRAWN: "r = self.upper + (self.lower - self.upper) * rng.random(x.shape)"},
        "y",
    ),
    ("takes the mean in training too", {_DRAWN: f"r = {_MEAN} + 0 * rng.random(x.shape)"}, "y"),
    ("draws in evaluation too", {"if not self.training:": "if False:"}, "y"),
    ("forgets to halve in evaluation", {_MEAN: "(self.lower + self.upper)"}, "y"),
    ("takes lower in evaluation", {_MEAN: "self.lower"}, "y"),
    ("takes the difference in evaluation", {_MEAN: "(self.upper - self.lower) / 2"}, "y"),
    ("divides by the slope", {_DRAWN: f"{_DRAWN}\n        r = 1 / (r + 1e-30)"}, "y"),
    ("draws slopes of float64", {"np.asarray(r, x.dtype)": "np.asarray(r)"}, "y"),
]

_DW = "dw = dy * np.clip(x, -np.inf, 0)"
_SUM = '{"weight": np.sum(dw, other).reshape(w.shape)}'
_BACK = "return Grads((dy * factor,), {"
_DWEIGHT = "gradient of weight"

_PRELU: Cases = [
    ("0 is on the positive side", {_NEGATIVE: "negative = x < 0"}, DX),
    ("lets dy through", {_BACK: "return Grads((dy,), {"}, DX),
    ("forgets to leak backwards", {_BACK: "return Grads((dy * (x > 0),), {"}, DX),
    (
        "takes the sign of dy for that of x",
        {_BACK: "return Grads((dy * _factor(dy, slope),), {"},
        DX,
    ),
    ("multiplies the positive side", {_NEGATIVE: "negative = x > 0"}, "y"),
    (
        "takes the first slope for all channels",
        {"slope = w.reshape(()) if n == 1 else w.reshape(1, n, *rest)": "slope = w[0]"},
        "y",
    ),
    (
        "takes the channels in the opposite order",
        {"slope = w.reshape(()) if n == 1 else w": "slope = w.reshape(()) if n == 1 else w[::-1]"},
        "y",
    ),
    (
        "takes |w|",
        {
            "slope = w.reshape(()) if n == 1": "w = np.abs(w)\n        slope = w.reshape(())"
            " if n == 1"
        },
        "y",
    ),
    ("sums over all of x", {_DW: "dw = dy * x"}, _DWEIGHT),
    ("sums over the positive side", {_DW: "dw = dy * np.clip(x, 0, np.inf)"}, _DWEIGHT),
    ("sums y", {_DW: "dw = dy * np.clip(x, -np.inf, 0) * factor"}, _DWEIGHT),
    ("forgets x in the slope's gradient", {_DW: "dw = dy * (x <= 0)"}, _DWEIGHT),
    ("forgets dy in the slope's gradient", {_DW: "dw = np.clip(x, -np.inf, 0) + 0 * dy"}, _DWEIGHT),
    ("takes the mean, not the sum", {"np.sum(dw, other)": "np.mean(dw, other)"}, _DWEIGHT),
    ("sums over everything", {_SUM: '{"weight": np.full_like(w, dw.sum())}'}, _DWEIGHT),
    (
        "forgets the positions",
        {
            _SUM: '{"weight": (dw.sum() if n == 1 else dw.sum(0).reshape(n, -1)'
            "[:, :1].sum(1)).reshape(w.shape)}"
        },
        _DWEIGHT,
    ),
    ("sums in float64", {"np.sum(dw, other)": "np.sum(dw, other, dtype=np.float64)"}, _DWEIGHT),
    ("has no gradient of the slope", {_SUM: "{}"}, _DWEIGHT),
]

_VALUE = "return scale * (np.clip(x, 0, np.inf) + alpha * np.expm1(z))"
_EXP_DX = "dy * (scale * _factor(x, alpha / length * np.exp(z)))"
_EXP_SLOPE = "scale * _factor(x, alpha / length * np.exp(z))"

_EXPONENTIAL: Cases = [
    (
        "forgets that it is an exponential",
        {_EXP_DX: "dy * (scale * _factor(x, 0 * x + alpha))"},
        DX,
    ),
    (
        "has eˣ for its slope everywhere",
        {_EXP_DX: "dy * (scale * (alpha / length) * np.exp(x / length))"},
        DX,
    ),
    (
        "takes expm1 for the slope",
        {_EXP_DX: "dy * (scale * _factor(x, alpha / length * np.expm1(z)))"},
        DX,
    ),
    (
        "turns the sign in the slope",
        {_EXP_DX: "dy * (scale * _factor(x, alpha / length * np.exp(-z)))"},
        DX,
    ),
    ("has no slope where x is negative", {_EXP_DX: "dy * (scale * (x > 0))"}, DX),
    ("forgets the 1", {_VALUE: _VALUE.replace("expm1(z)", "exp(z)")}, "y"),
    ("takes e⁻ˣ", {_VALUE: _VALUE.replace("expm1(z)", "expm1(-z)")}, "y"),
    ("subtracts the exponential", {_VALUE: _VALUE.replace("+", "-")}, "y"),
    ("is 0 where x is negative", {_VALUE: "return scale * np.clip(x, 0, np.inf)"}, "y"),
    ("computes in float64", {_VALUE: _VALUE.replace("alpha *", "np.float64(alpha) *")}, "y"),
]

_ELU: Cases = [
    ("has slope 1 at 0", {_NEGATIVE: "negative = x < 0"}, DX),
    ("forgets alpha in the slope", {_EXP_DX: "dy * (scale * _factor(x, np.exp(z)))"}, DX),
    (
        "takes y + 1 for the slope",
        {_EXP_DX: "dy * (scale * _factor(x, alpha * np.expm1(z) + 1))"},
        DX,
    ),
    ("forgets alpha", {_VALUE: _VALUE.replace("alpha * ", "")}, "y"),
    (
        "is celu",
        {
            "_exponential(x, alpha=self.alpha)": "_exponential(x, alpha=self.alpha, "
            "length=self.alpha or 1)"
        },
        "y",
    ),
    (
        "has a negative alpha made positive",
        {"_exponential(x, alpha=self.alpha)": "_exponential(x, alpha=abs(self.alpha))"},
        "y",
    ),
]

_CELU_CALL = "_exponential(x, alpha=self.alpha, length=self.alpha)"
_CELU: Cases = [
    ("is elu", {_CELU_CALL: "_exponential(x, alpha=self.alpha)"}, "y"),
    (
        "forgets alpha before the exponential",
        {_CELU_CALL: "_exponential(x, alpha=1.0, length=self.alpha)"},
        "y",
    ),
    (
        "multiplies by alpha in the exponent",
        {_CELU_CALL: "_exponential(x, alpha=self.alpha, length=1 / self.alpha)"},
        "y",
    ),
    ("forgets the inner derivative", {_EXP_DX: "dy * (scale * _factor(x, alpha * np.exp(z)))"}, DX),
    (
        "divides by alpha twice",
        {_EXP_DX: "dy * (scale * _factor(x, alpha / length / length * np.exp(z)))"},
        DX,
    ),
    (
        "forgets alpha in the slope's exponent",
        {_EXP_DX: "dy * (scale * _factor(x, alpha / length * np.exp(z * length)))"},
        DX,
    ),
]

_SELU_CALL = "alpha=1.6732632423543772, scale=1.0507009873554805)"
_SELU: Cases = [
    ("has the slope scale at 0", {_NEGATIVE: "negative = x < 0"}, DX),
    ("forgets scale in the slope", {_EXP_DX: "dy * _factor(x, alpha * np.exp(z))"}, DX),
    ("forgets alpha in the slope", {_EXP_DX: "dy * (scale * _factor(x, np.exp(z)))"}, DX),
    ("forgets the scale", {_SELU_CALL: "alpha=1.6732632423543772)"}, "y"),
    (
        "scales the positive side only",
        {_VALUE: "return scale * np.clip(x, 0, np.inf) + alpha * np.expm1(z)"},
        "y",
    ),
    (
        "scales the negative side only",
        {_VALUE: "return np.clip(x, 0, np.inf) + scale * alpha * np.expm1(z)"},
        "y",
    ),
    (
        "exchanges scale and alpha",
        {_SELU_CALL: "alpha=1.0507009873554805, scale=1.6732632423543772)"},
        "y",
    ),
    ("rounds the constants to four digits", {_SELU_CALL: "alpha=1.6733, scale=1.0507)"}, "y"),
]

_BELOW = "below = x <= self.threshold  # false for nan"
_THRESHOLD_Y = "y = kept + x.dtype.type(self.value) * below"
_THRESHOLD_DX = "dy * ~below"

_THRESHOLD: Cases = [
    ("x stays as it is at the threshold", {_BELOW: "below = x < self.threshold"}, "y"),
    ("replaces what is above", {_BELOW: "below = x > self.threshold"}, "y"),
    ("compares |x|", {_BELOW: "below = np.abs(x) <= self.threshold"}, "y"),
    ("compares with 0", {_BELOW: "below = x <= 0"}, "y"),
    ("forgets value", {_THRESHOLD_Y: "y = kept"}, "y"),
    (
        "takes the threshold for value",
        {_THRESHOLD_Y: _THRESHOLD_Y.replace("value", "threshold")},
        "y",
    ),
    ("adds value everywhere", {_THRESHOLD_Y: _THRESHOLD_Y.replace(" * below", "")}, "y"),
    (
        "has a value of float64",
        {_THRESHOLD_Y: _THRESHOLD_Y.replace("x.dtype.type", "np.float64")},
        "y",
    ),
    ("compares y for the slope", {_THRESHOLD_DX: "dy * (y > self.threshold)"}, DX),
    ("compares with 0 for the slope", {_THRESHOLD_DX: "dy * (x > 0)"}, DX),
    ("lets dy through at the threshold", {_THRESHOLD_DX: "dy * (x >= self.threshold)"}, DX),
    (
        "multiplies dy by value below",
        {_THRESHOLD_DX: "np.where(below, dy * x.dtype.type(self.value), dy)"},
        DX,
    ),
]

_LEAKY_COMMON = common("dy * factor", "factor", _DOC, _LEAKY_DX)
_EXP_COMMON = common(_EXP_DX, _EXP_SLOPE, _DOC)

MUTANTS = [
    *of("ReLU", _RELU, common(_RELU_DX, "~blocked", _DOC)),
    *of("LeakyReLU", _LEAKY, _LEAKY_ONLY, _LEAKY_COMMON),
    *of("RReLU", _LEAKY, _RRELU, _LEAKY_COMMON),
    *of("PReLU", _PRELU),
    *of("ELU", _ELU, _EXPONENTIAL, _EXP_COMMON),
    *of("SELU", _SELU, _EXPONENTIAL, _EXP_COMMON),
    *of("CELU", _CELU, _EXPONENTIAL, _EXP_COMMON),
    *of("Threshold", _THRESHOLD, common(_THRESHOLD_DX, "~below", _DOC)),
]
