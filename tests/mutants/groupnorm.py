from tests.mutants import Mutant
from tests.mutants._standardise import BIASED, BY_ROWS, STANDARDISE, WEIGHTED, Mistakes

_STANDARDISE = "xhat, rstd, _, _ = standardise(x.reshape(groups), row_means, self.eps)"

_OWN: Mistakes = [
    (
        "normalises over all channels of a sample",
        {_STANDARDISE: f"groups = (N, C * each)\n        {_STANDARDISE}"},
        "y",
    ),
    (
        "normalises every channel by itself",
        {_STANDARDISE: f"groups = (N * C, each)\n        {_STANDARDISE}"},
        "y",
    ),
    (
        "takes the size of a group for the number of groups",
        {
            "(N * self.num_groups, C // self.num_groups * each)": "(N * (C // self.num_groups), "
            "self.num_groups * each)"
        },
        "y",
    ),
    (
        "deals the channels out to the groups in turn",
        {
            _STANDARDISE: "order = np.arange(C).reshape(-1, self.num_groups).T.ravel()\n"
            "        xhat, rstd, _, _ = standardise(\n"
            "            x[:, order].reshape(groups), row_means, self.eps\n        )\n"
            "        xhat = xhat.reshape(x.shape)[:, np.argsort(order)].reshape(groups)"
        },
        "y",
    ),
    (
        "holds the statistics for constants",
        {"dx = adjoint(g.reshape(groups), xhat, rstd, row_means)": "dx = g.reshape(groups) * rstd"},
        "gradient of input 0",
    ),
]

MUTANTS = [
    Mutant("GroupNorm", mistake, edits, blames=blames)
    for mistake, edits, blames in [*STANDARDISE, *BY_ROWS, *WEIGHTED, *BIASED, *_OWN]
]
