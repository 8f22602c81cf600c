from tests.mutants import Mutant

_DX = "gradient of input 0"
_SHARE = "share, beta = layer.alpha / layer.size, layer.beta"
_STEPS = "range(max(-below, 1 - C), min(above, C - 1) + 1)"
_FACTOR = "factor = s**-beta"
_BACK = "dx = sums_back(dy * x * factor / s)"

_BOTH: list[tuple[str, dict[str, str], str]] = [
    ("does not divide alpha by size", {_SHARE: "share, beta = layer.alpha, layer.beta"}, "y"),
    ("takes beta for an exponent of x", {_FACTOR: "factor = s ** -(1 - beta)"}, "y"),
    ("multiplies by the power", {_FACTOR: "factor = s**beta"}, "y"),
    ("forgets k", {"    s += layer.k\n": ""}, "y"),
    (
        "scales k with alpha",
        {"    s *= share\n    s += layer.k\n": "    s += layer.k\n    s *= share\n"},
        "y",
    ),
    ("sums x instead of its square", {"s = sums(x * x)": "s = sums(x * 1)"}, "y"),
    (
        "sums over the batch",
        {"C = v.shape[1]": "v = v + v.sum(0, keepdims=True) * 0.5\n    C = v.shape[1]"},
        "y",
    ),
    ("holds the divisor for a constant", {"dx *= -2 * share * beta": "dx *= 0"}, _DX),
    ("adds the divisor's part", {"-2 * share": "2 * share"}, _DX),
    ("forgets the 2 of the square", {"-2 * share * beta": "-share * beta"}, _DX),
    ("forgets beta in the gradient", {"-2 * share * beta": "-2 * share"}, _DX),
    ("forgets to divide by the sum in the gradient", {"factor / s)": "factor)"}, _DX),
    ("takes dy for dy y in the gradient", {_BACK: _BACK.replace("dy * x", "dy")}, _DX),
    ("leaves the other channels out of the gradient", {_BACK: "dx = dy * x * factor / s"}, _DX),
    (
        "the divisor is float64",
        {_SHARE: "share, beta = layer.alpha / layer.size, np.float64(layer.beta)"},
        "y",
    ),
    (
        "squares the caller's array",
        {"s = sums(x * x)": "s = sums(np.multiply(x, x, out=x))"},
        "input 0",
    ),
]

_WINDOWS = "below, above = self.size // 2, (self.size - 1) // 2"

_LOCAL: list[tuple[str, dict[str, str], str]] = [
    (
        "reaches further up than down",
        {_WINDOWS: "above, below = self.size // 2, (self.size - 1) // 2"},
        "y",
    ),
    ("takes size for the reach to either side", {_WINDOWS: "below = above = self.size"}, "y"),
    ("looks down only", {_WINDOWS: "below, above = self.size - 1, 0"}, "y"),
    (
        "goes back over the windows it came by",
        {"lambda v: _window(v, above, below)": "lambda v: _window(v, below, above)"},
        _DX,
    ),
]

_ACROSS: list[tuple[str, dict[str, str], str]] = [
    (
        "takes channel 0 out of the sums, as it should be",
        {"            s[:, r + 1 :] += v[:, :1]\n": ""},
        "y",
    ),
    ("counts channel 0 twice", {"s[:, r + 1 :]": "s[:, r:]"}, "y"),
    (
        "has the derivative for a gradient",
        {"_window(v, (size + 1) // 2, size // 2 - 1)": "_window(v, r, r)"},
        _DX,
    ),
    ("takes size for the reach to either side", {"(self.size - 1) // 2\n\n": "self.size\n\n"}, "y"),
]

MUTANTS = [
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer in ("LocalResponseNorm", "CrossMapLRN2d")
        for mistake, edits, blames in _BOTH
    ),
    *(Mutant("LocalResponseNorm", mistake, edits, blames=q) for mistake, edits, q in _LOCAL),
    *(Mutant("CrossMapLRN2d", mistake, edits, blames=q) for mistake, edits, q in _ACROSS),
]
