from tests.mutants import Mutant
from tests.mutants._standardise import BIASED, STANDARDISE, WEIGHTED, Mistakes

_INPUT = "gradient of input 0"
_RUNNING_MEAN = '"running_mean": (1 - m) * state["running_mean"] + m * mu'
_RUNNING_VAR = '"running_var": (1 - m) * state["running_var"] + m * (var * (n / (n - 1)))'
_STANDARDISE = (
    "xhat, rstd, mu, var = standardise(x.reshape(channels.shape), channels.mean, layer.eps)"
)
_EVAL = 'xhat = x.reshape(channels.shape) - channels.spread(state["running_mean"])'
_DX = "dx = adjoint(g, xhat, rstd, channels.mean) if of_the_batch else g * rstd"

_OWN: Mistakes = [
    (
        "normalises with the unbiased variance",
        {_STANDARDISE: f"{_STANDARDISE}\n        xhat *= math.sqrt(max(n - 1, 1) / max(n, 1))"},
        "y",
    ),
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
            _STANDARDISE: f"{_STANDARDISE}\n        if layer.track_running_stats:\n"
            '            xhat += (mu - channels.spread(state["running_mean"])) * rstd'
        },
        "y",
    ),
    (
        "forgets eps in evaluation",
        {'np.sqrt(state["running_var"] + layer.eps)': 'np.sqrt(state["running_var"])'},
        "y",
    ),
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
        "lets an empty batch into the running statistics",
        {"    if n == 0:\n        return": "    if n < 0:\n        return"},
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
        "differentiates through the running statistics in evaluation",
        {_DX: "dx = adjoint(g, xhat, rstd, channels.mean)"},
        _INPUT,
    ),
    (
        "holds the batch's statistics for constants in training",
        {_DX: "dx = g * rstd"},
        _INPUT,
    ),
    (
        "spreads the channels over the columns in the wrong order",
        {
            "np.broadcast_to(per_channel[:, np.newaxis], self._columns).reshape(-1)": "np.tile("
            "per_channel, math.prod(self._columns) // max(len(per_channel), 1))"
        },
        "y",
    ),
]

MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
    for mistake, edits, blames in [*STANDARDISE, *WEIGHTED, *BIASED, *_OWN]
]
