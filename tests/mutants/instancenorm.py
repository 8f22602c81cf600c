from tests.mutants import Mutant
from tests.mutants._standardise import BIASED, BY_ROWS, STANDARDISE, WEIGHTED, Mistakes

_DX = "dx = adjoint(g.reshape(rows), xhat, rstd, row_means) if of_the_sample else g * rstd"
_STANDARDISE = "xhat, rstd, mu, var = standardise(x.reshape(rows), row_means, layer.eps)"
_NEXT = "found[name] = (1 - m) * state[name] + m * batch"
_BATCH = "batch = now.mean(0) if len(now) else np.full(now.shape[1], np.nan, now.dtype)"

_OWN: Mistakes = [
    (
        "uses the running statistics in training",
        {
            "of_the_sample = layer.training or not": "of_the_sample = not",
        },
        "y",
    ),
    (
        "uses the sample's statistics in evaluation",
        {
            "of_the_sample = layer.training or not layer.track_running_stats": "of_the_sample = "
            "each > 1",
            "        if layer.track_running_stats:\n            unbiased": "        "
            "if layer.track_running_stats and layer.training:\n            unbiased",
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
        {_NEXT: "found[name] = m * state[name] + (1 - m) * batch"},
        "next running_mean",
    ),
    (
        "keeps the biased variance",
        {"unbiased = var * (each / max(each - 1, 1))": "unbiased = var"},
        "next running_var",
    ),
    (
        "keeps the statistics of the last sample",
        {_BATCH: _BATCH.replace("now.mean(0)", "now[-1]")},
        "next running_mean",
    ),
    (
        "adds the samples' statistics up",
        {_BATCH: _BATCH.replace("now.mean(0)", "now.sum(0)")},
        "next running_mean",
    ),
    (
        "an empty batch leaves the statistics alone",
        {_BATCH: _BATCH.replace("np.full(now.shape[1], np.nan, now.dtype)", "state[name]")},
        "next running_mean",
    ),
    (
        "reads momentum=None as 0.1",
        {"else 0.0": "else 0.1"},
        "next running_mean",
    ),
    (
        "counts the batches",
        {
            "    return found\n": '    found["num_batches_tracked"] = '
            'state["num_batches_tracked"] + 1\n    return found\n'
        },
        "next num_batches_tracked",
    ),
    (
        "updates the running statistics in place",
        {_NEXT: "found[name] = np.add((1 - m) * state[name], m * batch, out=state[name])"},
        ("state running_mean"),
    ),
    (
        "differentiates through the running statistics in evaluation",
        {_DX: "dx = adjoint(g.reshape(rows), xhat.reshape(rows), rstd.reshape(-1)[0], row_means)"},
        "gradient of input 0",
    ),
    (
        "holds the sample's statistics for constants",
        {_DX: "dx = (g.reshape(xhat.shape) * rstd)"},
        "gradient of input 0",
    ),
]

MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer in ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")
    for mistake, edits, blames in [*STANDARDISE, *BY_ROWS, *WEIGHTED, *BIASED, *_OWN]
]
