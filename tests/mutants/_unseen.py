"""Mistakes that no question shows, for torch has no answer there that could be held against it.

What ought to be refused, and what becomes of nan: only the claims see them.
"""

from tests.mutants import Mutant

_ERROR = "forward"

UNSEEN = [
    *(
        Mutant(
            f"BatchNorm{axes}d",
            "normalises one value per channel",
            {"if of_the_batch and n == 1:": "if False:", "n / (n - 1)": "n / max(n - 1, 1)"},
            blames=_ERROR,
        )
        for axes in (1, 2, 3)
    ),
    *(
        Mutant(
            layer, "broadcasts the target", {"if t.shape != x.shape:": "if False:"}, blames=_ERROR
        )
        for layer in ("BCELoss", "BCEWithLogitsLoss")
    ),
]
