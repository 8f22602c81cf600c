"""Mistakes in the mathematics that the normalisations share, by what the layer has."""

_DX = "gradient of input 0"
_RSTD = "rstd = 1 / np.sqrt(var + eps)"

Mistakes = list[tuple[str, dict[str, str], str]]

STANDARDISE: Mistakes = [
    (
        "forgets that the variance depends on x",
        {"    dx = xhat * -mean(g, xhat)\n    dx += g\n": "    dx = g * 1\n"},
        _DX,
    ),
    ("forgets that the mean depends on x", {"    dx -= mean(g)\n": ""}, _DX),
    ("adds the variance's part", {"xhat * -mean(g, xhat)": "xhat * mean(g, xhat)"}, _DX),
    (
        "forgets the scale of the gradient",
        {"    dx -= mean(g)\n    dx *= rstd\n": "    dx -= mean(g)\n"},
        _DX,
    ),
    ("adds eps outside of the root", {_RSTD: "rstd = 1 / (np.sqrt(var) + eps)"}, "y"),
    ("divides by the variance", {_RSTD: "rstd = 1 / (var + eps)"}, "y"),
    ("does not centre", {"centred = x - mu": "centred = x * 1"}, "y"),
    (
        "eps is a float64 scalar",
        {
            _RSTD: "rstd = 1 / np.sqrt(var + np.float64(eps))",
            "    centred *= rstd\n": "    centred = centred * rstd\n",
        },
        "y",
    ),
    (
        "centres the caller's array",
        {"centred = x - mu": "centred = np.subtract(x, mu, out=x)"},
        "input 0",
    ),
]

BY_ROWS: Mistakes = [
    (
        "divides by n - 1",
        {
            "var = mean(centred, centred)": "var = mean(centred, centred) * "
            "(x.shape[-1] / max(x.shape[-1] - 1, 1))"
        },
        "y",
    ),
]

WEIGHTED: Mistakes = [
    (
        "takes the gradient through the weight for granted",
        {"return dy * factor, params": "return dy * 1, params"},
        _DX,
    ),
    (
        "scales the caller's gradient",
        {"return dy * factor, params": "return np.multiply(dy, factor, out=dy), params"},
        "dy",
    ),
    (
        "the weight's gradient contains the weight",
        {"channels.sums(dy, xhat)": "channels.sums(dy * factor, xhat)"},
        "gradient of weight",
    ),
    (
        "averages the weight's gradient",
        {"channels.sums(dy, xhat)": "channels.sums(dy, xhat) / max(channels.n, 1)"},
        "gradient of weight",
    ),
]

BIASED: Mistakes = [
    (
        "averages the bias's gradient over the batch",
        {"channels.sums(dy)": "channels.sums(dy) / max(channels.n, 1)"},
        "gradient of bias",
    ),
    (
        "gives the bias no gradient",
        {"channels.sums(dy)": "channels.sums(dy * 0)"},
        "gradient of bias",
    ),
    ("ignores the bias", {"y += channels.spread(bias.ravel())": "pass"}, "y"),
    (
        "adds the bias before it scales",
        {
            "    y = xhat * factor\n": "    b = 0 if bias is None else "
            "channels.spread(bias.ravel())\n"
            "    y = (xhat + b) * factor\n",
            "y += channels.spread(bias.ravel())": "pass",
        },
        "y",
    ),
]
