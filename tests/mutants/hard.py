from tests.mutants._elementwise import DX, Cases, common, of

_DOC = '"""Hard activations:'

_BLOCKED = "blocked = (x <= low) | (x >= high)  # false for nan"
_CLIP = "np.clip(x, low, high)"
_CLIP_DX = "dy * ~blocked"

_CLIPPED: Cases = [
    ("has slope 1 at the lower bound", {_BLOCKED: "blocked = (x < low) | (x >= high)"}, DX),
    ("has slope 1 at the upper bound", {_BLOCKED: "blocked = (x <= low) | (x > high)"}, DX),
    (
        "has slope 1/2 at the bounds",
        {_CLIP_DX: "dy * ((x > low) & (x < high)) + dy * ((x == low) | (x == high)) / 2"},
        DX,
    ),
    ("has slope 1 above the upper bound", {_BLOCKED: "blocked = x <= low"}, DX),
    ("has slope 1 below the lower bound", {_BLOCKED: "blocked = x >= high"}, DX),
    (
        "compares y times dy with the bounds",
        {_CLIP_DX: "dy * ((x * dy > low) & (x * dy < high))"},
        DX,
    ),
    ("has no upper bound", {_CLIP: "np.clip(x, low, np.inf)"}, "y"),
    ("has no lower bound", {_CLIP: "np.clip(x, -np.inf, high)"}, "y"),
    ("writes y into x", {_CLIP: "np.clip(x, low, high, out=x)"}, "input 0"),
]

_LOW = "low = self.min_val if self.min_value is None else self.min_value"
_HIGH = "high = self.max_val if self.max_value is None else self.max_value"
_HARDTANH: Cases = [
    ("ignores min_value", {_LOW: "low = self.min_val"}, "y"),
    ("ignores max_value", {_HIGH: "high = self.max_val"}, "y"),
    ("takes min_val before min_value", {_LOW: "low = self.min_val or self.min_value or 0.0"}, "y"),
    ("is symmetric", {_CLIP: "np.clip(x, -high, high)"}, "y"),
    ("stops at -1 and 1", {_CLIP: "np.clip(x, -1, 1)"}, "y"),
]

_RELU6: Cases = [
    ("stops at 1", {_CLIP: "np.clip(x, 0, 1)"}, "y"),
    ("stops at -6", {"_clipped(x, 0, 6)": "_clipped(x, -6, 6)"}, "y"),
    ("is divided by 6", {_CLIP: "np.clip(x, 0, 6) / 6"}, "y"),
    ("leaks", {_CLIP: "np.clip(np.maximum(x, x / 128), -np.inf, 6)"}, "y"),
]

_SIGMOID_Y = "lambda x: np.clip(x + 3, 0, 6) / 6, x"
_SIGMOID_DX = "dy * inside / 6"
_INSIDE = "inside = np.abs(x) < 3\n\n        def vjp"

_HARDSIGMOID: Cases = [
    ("has a slope at the thresholds", {_INSIDE: _INSIDE.replace("<", "<=")}, DX),
    ("has the slope 1", {_SIGMOID_DX: "dy * inside"}, DX),
    ("has the slope 1/5", {_SIGMOID_DX: "dy * inside / 5"}, DX),
    ("has a slope on the positive side only", {_SIGMOID_DX: "dy * (x > 0) * inside / 6"}, DX),
    ("has a slope above 3", {_SIGMOID_DX: "dy * (x > -3) / 6"}, DX),
    ("has the slope of the sigmoid", {_SIGMOID_DX: "dy * y * (1 - y)"}, DX),
    ("is Keras' older one", {_SIGMOID_Y: "lambda x: np.clip(x / 5 + 0.5, 0, 1), x"}, "y"),
    ("forgets the 3", {_SIGMOID_Y: "lambda x: np.clip(x, 0, 6) / 6, x"}, "y"),
    ("forgets to divide", {_SIGMOID_Y: "lambda x: np.clip(x + 3, 0, 6), x"}, "y"),
    ("has no upper bound", {_SIGMOID_Y: "lambda x: np.clip(x + 3, 0, np.inf) / 6, x"}, "y"),
    (
        "divides by a NumPy float64",
        {_SIGMOID_Y: "lambda x: np.clip(x + 3, 0, 6) / np.float64(6), x"},
        "y",
    ),
]

_SWISH_DX = "dy * ((np.clip(x, -3, 3) / 3 + 0.5) * inside + (x >= 3))"
_SWISH_SLOPE = _SWISH_DX.removeprefix("dy * ")
_SWISH_Y = "lambda x: x * (np.clip(x + 3, 0, 6) / 6), x"

_HARDSWISH: Cases = [
    (
        "has the parabola's slope at -3",
        {_SWISH_DX: "dy * ((np.clip(x, -3, 3) / 3 + 0.5) * ((-3 <= x) & (x < 3)) + (x >= 3))"},
        DX,
    ),
    (
        "has the parabola's slope at 3",
        {_SWISH_DX: "dy * ((np.clip(x, -3, 3) / 3 + 0.5) * ((-3 < x) & (x <= 3)) + (x > 3))"},
        DX,
    ),
    ("forgets the product rule", {_SWISH_DX: "dy * np.clip(x / 6 + 0.5, 0, 1)"}, DX),
    ("forgets the half", {_SWISH_DX: "dy * (np.clip(x, -3, 3) / 3 * inside + (x >= 3))"}, DX),
    (
        "divides by 6 in the slope",
        {_SWISH_DX: "dy * ((np.clip(x, -3, 3) / 6 + 0.5) * inside + (x >= 3))"},
        DX,
    ),
    ("has no slope above 3", {_SWISH_DX: "dy * ((x / 3 + 0.5) * inside)"}, DX),
    (
        "has slope 1 below -3",
        {_SWISH_DX: "dy * ((np.clip(x, -3, 3) / 3 + 0.5) * inside + ~inside)"},
        DX,
    ),
    ("is hardsigmoid", {_SWISH_Y: "lambda x: np.clip(x + 3, 0, 6) / 6, x"}, "y"),
    ("is silu", {_SWISH_Y: "lambda x: x / (1 + np.exp(-x)), x"}, "y"),
    ("forgets to divide", {_SWISH_Y: "lambda x: x * np.clip(x + 3, 0, 6), x"}, "y"),
    ("multiplies by relu6(x)", {_SWISH_Y: "lambda x: x * (np.clip(x, 0, 6) / 6), x"}, "y"),
    (
        "takes Keras' older hardsigmoid",
        {_SWISH_Y: "lambda x: x * np.clip(x / 5 + 0.5, 0, 1), x"},
        "y",
    ),
]

_LARGE = "large = ~(np.abs(x) <= self.lambd)  # true for nan"
_HARD_Y = "return Forward(x * large,"
_HARD_DX = "dy * large"

_HARDSHRINK: Cases = [
    ("lambd itself stays", {_LARGE: "large = np.abs(x) >= self.lambd"}, ("y", DX)),
    ("keeps what is small", {_LARGE: "large = np.abs(x) <= self.lambd"}, "y"),
    ("forgets the negative side", {_LARGE: "large = x > self.lambd"}, "y"),
    ("has lambd = 1/2 always", {_LARGE: "large = np.abs(x) > 0.5"}, "y"),
    ("takes |lambd|", {_LARGE: "large = np.abs(x) > abs(self.lambd)"}, "y"),
    (
        "is softshrink",
        {_HARD_Y: "return Forward(x - np.clip(x, -abs(self.lambd), abs(self.lambd)),"},
        "y",
    ),
    ("is 1 where x is large", {_HARD_Y: "return Forward(0 * x + large,"}, "y"),
    (
        "is lambd where x is small",
        {_HARD_Y: "return Forward(x * large + self.lambd * x.dtype.type(1) * ~large,"},
        "y",
    ),
    ("lets dy through at -lambd", {_HARD_DX: "dy * (large | (x == -self.lambd))"}, DX),
    ("lets dy through at lambd", {_HARD_DX: "dy * (large | (x == self.lambd))"}, DX),
    ("lets dy through where dy is large", {_HARD_DX: "dy * ~(np.abs(dy) <= self.lambd)"}, DX),
    ("multiplies by the sign", {_HARD_DX: "dy * large * np.sign(x)"}, DX),
]

_SOFT_Y = "y = x - np.clip(x, -self.lambd, self.lambd)"
_FAR = "far = ~(np.abs(x) <= self.lambd)  # true for nan"
_SOFT_DX = "dy * far"

_SOFTSHRINK: Cases = [
    ("has slope 1 at lambd", {_FAR: "far = (x >= self.lambd) | (x < -self.lambd)"}, DX),
    ("has slope 1 at -lambd", {_FAR: "far = (x > self.lambd) | (x <= -self.lambd)"}, DX),
    ("has slope 1 on the positive side only", {_FAR: "far = x > self.lambd"}, DX),
    ("has slope 1 everywhere", {_FAR: "far = x == x"}, DX),
    ("multiplies by the sign", {_SOFT_DX: "dy * far * np.sign(x)"}, DX),
    ("subtracts lambd from dy", {_SOFT_DX: "(dy - self.lambd) * far"}, DX),
    ("is hardshrink", {_SOFT_Y: "y = x * (np.abs(x) > self.lambd)"}, "y"),
    ("adds lambd", {_SOFT_Y: "y = x + np.clip(x, -self.lambd, self.lambd)"}, "y"),
    (
        "subtracts lambd on either side",
        {_SOFT_Y: "y = (x - self.lambd) * (np.abs(x) > self.lambd)"},
        "y",
    ),
    ("forgets the sign", {_SOFT_Y: "y = np.maximum(np.abs(x) - self.lambd, 0)"}, "y"),
    ("is clipped x", {_SOFT_Y: "y = np.clip(x, -self.lambd, self.lambd)"}, "y"),
    ("shrinks by 1/2 always", {_SOFT_Y: "y = x - np.clip(x, -0.5, 0.5)"}, "y"),
]

_CLIP_COMMON = common(_CLIP_DX, "~blocked", _DOC)

MUTANTS = [
    *of("Hardtanh", _HARDTANH, _CLIPPED, _CLIP_COMMON),
    *of("ReLU6", _RELU6, _CLIPPED, _CLIP_COMMON),
    *of("Hardsigmoid", _HARDSIGMOID, common(_SIGMOID_DX, "inside / x.dtype.type(6)", _DOC)),
    *of("Hardswish", _HARDSWISH, common(_SWISH_DX, _SWISH_SLOPE, _DOC)),
    *of("Hardshrink", _HARDSHRINK, common(_HARD_DX, "large", _DOC)),
    *of("Softshrink", _SOFTSHRINK, common(_SOFT_DX, "far", _DOC)),
]
