from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_RUNNING_MEAN = '"running_mean": (1 - m) * state["running_mean"] + m * mu'
_RUNNING_VAR = '"running_var": (1 - m) * state["running_var"] + m * (var * (n / (n - 1)))'
_RSTD = "rstd = 1 / np.sqrt(var + layer.eps)"

_MISTAKES: list[tuple[str, dict[str, str], str]] = [
    (
        "normalises with the unbiased variance",
        {"var = mean(centred * centred)": "var = mean(centred * centred) * (n / max(n - 1, 1))"},
        "y",
    ),
    ("adds eps outside of the root", {_RSTD: "rstd = 1 / (np.sqrt(var) + layer.eps)"}, "y"),
    ("divides by the variance", {_RSTD: "rstd = 1 / (var + layer.eps)"}, "y"),
    (
        "normalises with the running statistics in training",
        {
            "of_the_batch = layer.training or not layer.track_running_stats": "of_the_batch = "
            "not layer.track_running_stats"
        },
        "y",
    ),
    (
        "normalises with the batch's variance but the running mean",
        {
            "        mu = mean(x_)\n": '        mu = state["running_mean"][:, None] '
            "if layer.track_running_stats else mean(x_)\n"
        },
        "y",
    ),
    ("ignores the bias", {'y += state["bias"][:, None]': "pass"}, "y"),
    (
        "exchanges momentum and 1 - momentum",
        {
            _RUNNING_MEAN: '"running_mean": m * state["running_mean"] + (1 - m) * mu',
            _RUNNING_VAR: '"running_var": m * state["running_var"] '
            "+ (1 - m) * (var * (n / (n - 1)))",
        },
        "next running_mean",
    ),
    (
        "keeps the biased variance",
        {_RUNNING_VAR: '"running_var": (1 - m) * state["running_var"] + m * var'},
        "next running_var",
    ),
    (
        "keeps the standard deviation",
        {"m * (var * (n / (n - 1)))": "m * np.sqrt(var * (n / (n - 1)))"},
        "next running_var",
    ),
    (
        "adds the batch's variance instead of averaging",
        {_RUNNING_VAR: '"running_var": state["running_var"] + m * (var * (n / (n - 1)))'},
        "next running_var",
    ),
    (
        "does not count the batch",
        {
            '        "num_batches_tracked": seen,\n    }': '        "num_batches_tracked": '
            'state["num_batches_tracked"],\n    }'
        },
        "next num_batches_tracked",
    ),
    (
        "reads momentum=None as 0.1",
        {"else 1 / int(seen)": "else 0.1"},
        "next running_mean",
    ),
    (
        "averages with the count before this batch",
        {"else 1 / int(seen)": "else 1 / max(int(seen) - 1, 1)"},
        "next running_mean",
    ),
    (
        "the momentum is a float64 scalar",
        {"m = layer.momentum if": "m = np.float64(layer.momentum) if"},
        "next running_mean",
    ),
    (
        "updates the running mean in place",
        {
            _RUNNING_MEAN: '"running_mean": np.add((1 - m) * state["running_mean"], m * mu, '
            'out=state["running_mean"])'
        },
        "state running_mean",
    ),
    (
        "forgets that the variance depends on x",
        {" - xhat * mean(dxhat * xhat)": ""},
        _INPUT,
    ),
    (
        "forgets that the mean depends on x",
        {"dxhat = dxhat - mean(dxhat) - xhat": "dxhat = dxhat - xhat"},
        _INPUT,
    ),
    (
        "differentiates through the running statistics in evaluation",
        {"        if of_the_batch:\n            dxhat": "        if True:\n            dxhat"},
        _INPUT,
    ),
    (
        "holds the batch's statistics for constants in training",
        {"        if of_the_batch:\n            dxhat": "        if False:\n            dxhat"},
        _INPUT,
    ),
    (
        "takes the gradient through the weight for granted",
        {"dxhat = dy * weight": "dxhat = dy * 1"},
        _INPUT,
    ),
    ("forgets the scale of the gradient", {"dx = dxhat * rstd": "dx = dxhat"}, _INPUT),
    (
        "the weight's gradient comes from x that is not normalised",
        {"(dy * xhat).sum((0, 2))": "(dy * x_).sum((0, 2))"},
        "gradient of weight",
    ),
    (
        "averages the weight's gradient",
        {"(dy * xhat).sum((0, 2))": "(dy * xhat).sum((0, 2)) / max(n, 1)"},
        "gradient of weight",
    ),
    (
        "sums the bias's gradient over the first sample only",
        {"dy.sum((0, 2))": "dy[:1].sum((0, 2))"},
        "gradient of bias",
    ),
    (
        "centres the caller's array",
        {
            "        mu = mean(x_)\n        centred = x_ - mu": "        mu = mean(x_)\n"
            "        centred = np.subtract(x_, mu, out=x_)"
        },
        "input 0",
    ),
    (
        "eps is a float64 scalar",
        {_RSTD: "rstd = 1 / np.sqrt(var + np.float64(layer.eps))"},
        "y",
    ),
]

MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer in ("BatchNorm1d", "BatchNorm2d")
    for mistake, edits, blames in _MISTAKES
]
