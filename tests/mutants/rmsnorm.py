from tests.mutants import Mutant
from tests.mutants._standardise import WEIGHTED, Mistakes

_DX = "gradient of input 0"
_RSTD = "rstd = 1 / np.sqrt(row_means(x_, x_) + eps)"
_BACK = "dx = xhat * -row_means(g, xhat)"

_OWN: Mistakes = [
    (
        "forgets that the root depends on x",
        {f"            {_BACK}\n            dx += g\n": "            dx = g * 1\n"},
        _DX,
    ),
    ("adds the root's part", {_BACK: _BACK.replace("-row", "row")}, _DX),
    ("takes the mean's part out too", {"dx += g\n": "dx += g - row_means(g)\n"}, _DX),
    ("forgets the scale of the gradient", {"            dx *= rstd\n": ""}, _DX),
    (
        "takes x for x̂ in the root's part",
        {_BACK: "dx = x_ * -row_means(g, xhat)"},
        _DX,
    ),
    (
        "centres first",
        {"x_ = x.reshape(rows)": "x_ = x.reshape(rows) - row_means(x.reshape(rows))"},
        "y",
    ),
    ("adds eps outside of the root", {_RSTD: "rstd = 1 / (np.sqrt(row_means(x_, x_)) + eps)"}, "y"),
    ("divides by the mean square", {_RSTD: "rstd = 1 / (row_means(x_, x_) + eps)"}, "y"),
    (
        "takes the norm for the root of the mean",
        {_RSTD: "rstd = 1 / np.sqrt(row_means(x_, x_) * rows[1] + eps)"},
        "y",
    ),
    (
        "adds 1 to the weight",
        {'weight = state["weight"] if': 'weight = 1 + state["weight"] if'},
        "y",
    ),
    (
        "takes 1e-5 for the default eps",
        {"eps = float(np.finfo(np.result_type(x, np.float32)).eps)": "eps = 1e-5"},
        "y",
    ),
    (
        "normalises over the last axis only",
        {
            "        x_ = x.reshape(rows)\n": "        "
            "x_ = x.reshape(-1, max(self._shape[-1], 1))\n",
            "xhat = x_ * rstd\n": "xhat = (x_ * rstd).reshape(rows)\n",
        },
        "y",
    ),
    (
        "eps is a float64 scalar",
        {_RSTD: _RSTD.replace("+ eps", "+ np.float64(eps)")},
        "y",
    ),
    (
        "scales the caller's array",
        {"xhat = x_ * rstd": "xhat = np.multiply(x_, rstd, out=x_)"},
        "input 0",
    ),
]

MUTANTS = [
    Mutant("RMSNorm", mistake, edits, blames=blames)
    for mistake, edits, blames in [*WEIGHTED, *_OWN]
]
