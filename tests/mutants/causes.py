"""What each planted mistake's true cause is, stated from its text and its edit alone.

A cause is one of KINDS. Several stand together where several are true: "forgets the bias with
groups" is `ignored` and `when`; a mean taken for a sum is `reduction`, and `factor` too.

causes.txt says which: layers in brackets, and below them kinds and the mistakes they are said of,
parted by " · ". Layers and mistakes are patterns of fnmatch; the first that matches counts.
"""

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []  # every module here names its own; this one judges those of the others

KINDS = {
    "zero": "the answer is 0 or missing where torch has a gradient",
    "passed": "an input, or the upstream gradient, is passed through",
    "factor": "the whole array is a constant times torch's",
    "axis factor": "an element-wise factor that is a named array",
    "order": "transposed, permuted, flipped, rolled or exchanged axes, blocks, neighbours",
    "swapped": "the right value of another quantity",
    "reduction": "reduced over wrong axes, a mean for a sum, a part of a sum, assigned, not added",
    "term": "a missing, extra or wrongly signed additive term",
    "option": "the answer under another value of a constructor option",
    "ignored": "the answer if a parameter, input, state, mask or keyword were absent or neutral",
    "constant": "a wrong constant or function inside a formula",
    "where": "wrong only at particular elements",
    "when": "wrong only under particular options or shapes",
    "statistics": "statistics held for constants or differentiated; the other mode's formula",
    "upstream": "the upstream gradient is ignored, or used in a way that is not linear",
    "protocol": "stale, accumulated, mutated, reused, not repeatable",
    "contract": "wrong shape or dtype, None, a missing entry",
    "precision": "a lower precision inside",
    "unstable": "the right formula in bad numerics",
    "crash": "raises",
    "dialect": "a named convention of other frameworks",
}


def causes(mutant: Mutant) -> frozenset[str]:
    """The kinds that name what is wrong with this mutant; where it breaks down, `crash` as well."""
    rule = next(rule for rule in rules() if applies(rule, mutant))
    blamed = mutant.blames if isinstance(mutant.blames, tuple) else (mutant.blames,)
    return rule[0] | ({"crash"} if "forward" in blamed else frozenset())


def applies(rule: tuple[frozenset[str], str, str], mutant: Mutant) -> bool:
    """Whether a rule is about this mistake of this layer."""
    _, layers, mistake = rule
    return fnmatchcase(mutant.mistake, mistake) and any(
        fnmatchcase(mutant.layer, name) for name in layers.split()
    )


@cache
def rules() -> tuple[tuple[frozenset[str], str, str], ...]:
    """(kinds, layers, mistake) of every pattern of the table, in order."""
    found, layers = [], ""
    table = Path(__file__).with_suffix(".txt").read_text("utf-8")
    for line in table.replace("\n  · ", " · ").splitlines():
        if line.startswith("["):
            layers = line.strip("[]")
        elif line:
            kinds, _, mistakes = line.partition(": ")
            for mistake in mistakes.split(" · "):
                found.append((frozenset(kinds.split(", ")), layers, mistake))
    return tuple(found)
