from tests.mutants import Mutant
from tests.mutants._standardise import BIASED, BY_ROWS, STANDARDISE, WEIGHTED, Mistakes

_STANDARDISE = "xhat, rstd, _, _ = standardise(x.reshape(rows), row_means, self.eps)"

_OWN: Mistakes = [
    (
        "normalises over the last axis only",
        {_STANDARDISE: f"rows = (-1, max(self._shape[-1], 1))\n        {_STANDARDISE}"},
        "y",
    ),
    (
        "normalises over the batch",
        {
            _STANDARDISE: "xhat, rstd, _, _ = standardise(x.reshape(rows).T, row_means, self.eps)\n"
            "        xhat, rstd = xhat.T, 1"
        },
        "y",
    ),
    (
        "holds the statistics for constants",
        {"dx = adjoint(g.reshape(rows), xhat, rstd, row_means)": "dx = g.reshape(rows) * rstd"},
        "gradient of input 0",
    ),
]

MUTANTS = [
    Mutant("LayerNorm", mistake, edits, blames=blames)
    for mistake, edits, blames in [*STANDARDISE, *BY_ROWS, *WEIGHTED, *BIASED, *_OWN]
]
