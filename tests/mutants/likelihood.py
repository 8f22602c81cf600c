from tests.mutants._losses import D2, DT, DX, mutants

_RATE = "rate, log_rate = np.exp(x), x"
_WITH_EPS = "rate, log_rate = x + self.eps, np.log(x + self.eps)"
_LOSS = "losses = rate - t * x"
_PLAIN = "losses = x - t * log_rate"
_STIRLING = "losses + many * (k * np.log(k) - k + 0.5 * np.log(2 * math.pi * k))"
_DX = "dx = (rate - t) * g if self.log_input else g - t * g / rate"
_MORE = "dt = dt + many * (np.log(k) + 0.5 / k) * g"

_POISSON = [
    ("takes the rate for its logarithm", {_RATE: "rate, log_rate = x, np.log(np.abs(x))"}, "y"),
    ("forgets the target", {_LOSS: "losses = rate - x"}, "y"),
    ("adds eps to the rate itself", {_PLAIN: "losses = rate - t * log_rate"}, "y"),
    ("forgets eps", {_WITH_EPS: "rate, log_rate = x, np.log(x)"}, "y"),
    ("ignores full", {_STIRLING: "losses"}, "y"),
    ("adds Stirling's term at 1 and below too", {"many = t > 1": "many = t > 0"}, "y"),
    ("adds Stirling's term at 1 too", {"many = t > 1": "many = t >= 1"}, "y"),
    ("forgets the half in Stirling's term", {_STIRLING: _STIRLING.replace("0.5 * ", "")}, "y"),
    ("forgets π in Stirling's term", {_STIRLING: _STIRLING.replace("2 * math.pi * k", "k")}, "y"),
    ("forgets the exponential backwards", {_DX: _DX.replace("(rate - t)", "(1 - t)")}, DX),
    ("forgets the target backwards", {_DX: _DX.replace("(rate - t)", "rate")}, DX),
    (
        "has the sign of 1 - t/x wrong",
        {_DX: _DX.replace("g - t * g / rate", "t * g / rate - g")},
        DX,
    ),
    ("has no gradient for the target", {"dt = -log_rate * g": "dt = 0 * log_rate * g"}, DT),
    ("has the sign of the target wrong", {"dt = -log_rate * g": "dt = log_rate * g"}, DT),
    ("forgets Stirling's term backwards", {_MORE: "dt = dt + 0 * many"}, DT),
    ("forgets 1/(2t) in its derivative", {_MORE: "dt = dt + many * np.log(k) * g"}, DT),
]

_V = "v = np.maximum(column, self.eps)"
_Z = "z = d * d / v"
_G_LOSS = "losses = (np.log(v) + z) / 2"
_G_DX = "dx = d / v * g"
_DV = "dv = (1 - z) / (2 * v) * g"
_FULL = "losses = losses + math.log(2 * math.pi) / 2"

_GAUSSIAN = [
    ("adds eps to the variance", {_V: "v = column + self.eps"}, "y"),
    ("takes the standard deviation for the variance", {_Z: "z = d * d / (v * v)"}, "y"),
    ("forgets the logarithm", {_G_LOSS: "losses = z / 2"}, "y"),
    ("forgets the half", {_G_LOSS: "losses = np.log(v) + z"}, "y"),
    ("forgets the constant", {_FULL: "losses = losses + 0"}, "y"),
    ("forgets the half of the constant", {_FULL: _FULL.replace(" / 2", "")}, "y"),
    ("forgets to divide by the variance", {_G_DX: "dx = d * g + 0 * v"}, DX),
    ("doubles the gradient", {_G_DX: "dx = 2 * d / v * g"}, DX),
    (
        "gives the target the prediction's gradient",
        {"summed_to(t.shape, -dx)": "summed_to(t.shape, dx)"},
        DT,
    ),
    (
        "has no gradient for the target",
        {"None if is_counted(target) else summed_to(t.shape, -dx)": "None"},
        DT,
    ),
    ("stops the gradient below eps", {_DV: f"{_DV} * (column >= self.eps)"}, D2),
    ("forgets the logarithm backwards", {_DV: "dv = -z / (2 * v) * g"}, D2),
    ("forgets the quotient backwards", {_DV: "dv = (1 + 0 * z) / (2 * v) * g"}, D2),
    ("has the gradient of the standard deviation", {_DV: "dv = (1 - z) / np.sqrt(v) * g"}, D2),
    (
        "averages where the variance was broadcast",
        {
            "else summed_to(column.shape, dv)": "else summed_to(column.shape, dv) "
            "* column.size / max(dv.size, 1)"
        },
        D2,
    ),
    (
        "counts the variances",
        {"math.prod(require_broadcast(self, prediction=x, target=t, var=column))": "column.size"},
        "y",
    ),
]

MUTANTS = [*mutants("PoissonNLLLoss", _POISSON), *mutants("GaussianNLLLoss", _GAUSSIAN)]
