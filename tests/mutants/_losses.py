"""Mistakes in what all losses share, and how a family states its own."""

from collections.abc import Sequence

from tests.mutants import Mutant

DX, DT, D2 = "gradient of input 0", "gradient of input 1", "gradient of input 2"

Mistake = tuple[str, dict[str, str], str | tuple[str, ...]]


def mutants(layer: str, mistakes: Sequence[Mistake]) -> list[Mutant]:
    return [Mutant(layer, mistake, edits, blames=blames) for mistake, edits, blames in mistakes]


REDUCTION: list[Mistake] = [
    (
        "lets reduction overrule size_average and reduce",
        {"if size_average is None and reduce is None:": "if True:"},
        "y",
    ),
    (
        "ignores size_average",
        {'cls("sum" if size_average is False else "mean")': 'cls("mean")'},
        "y",
    ),
    ("ignores reduce=False", {"if reduce is False:": "if False:"}, "y"),
    ("adds up losses that are not to be reduced", {'if self.name == "none":': "if False:"}, "y"),
    (
        "takes the sum for the mean",
        {'if self.name in ("none", "sum"):': "if True:"},
        "y",
    ),
    (
        "takes the mean for the sum",
        {'if self.name in ("none", "sum"):': 'if self.name == "none":'},
        "y",
    ),
    (
        "forgets to divide the gradient of a mean",
        {"return self._divided(dy, n)": "return dy"},
        DX,
    ),
    (
        "divides the gradient of a sum too",
        {"return self._divided(dy, n)": 'return dy if self.name == "none" else dy / n'},
        DX,
    ),
    (
        "takes dL/dy for 1",
        {"return self._divided(dy, n)": "return self._divided(np.ones_like(dy), n)"},
        DX,
    ),
    (
        "writes into dy",
        {"return self._divided(dy, n)": "dy *= 2\n        return self._divided(dy, n)"},
        "dy",
    ),
]
