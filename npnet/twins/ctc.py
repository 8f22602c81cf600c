"""Twin of CTC."""

from math import exp, inf, log, nan

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn

_HALF = log(0.5)
_EVEN = [[[_HALF, _HALF]], [[_HALF, _HALF]]]  # two steps, one sequence, two symbols
_UNEVEN = [[[log(0.75), log(0.25)]]] * 2


@spec(
    nn.CTCLoss,
    batched=lambda config: False,  # vmap has no rule for it
    claims=(
        Claim(
            "log_probs is (T, N, C), with time first, and holds logarithms.",
            # one step, two sequences: the label's probabilities are 1/2 and 1/4
            lambda ask: same(
                ask(
                    [[[_HALF, _HALF], [log(0.75), log(0.25)]]],
                    [[1], [1]],
                    (1, 1),
                    (1, 1),
                    reduction="none",
                ).y,
                [log(2), log(4)],
            ),
        ),
        Claim(
            "The blank is class 0, or what blank says; TensorFlow's is the last one.",
            lambda ask: (
                same(ask(_UNEVEN, [[1]], (2,), (1,)).y, -log(0.25**2 + 2 * 0.75 * 0.25))
                and same(ask(_UNEVEN, [[0]], (2,), (1,), blank=1).y, -log(1 - 0.25**2))
            ),
        ),
        Claim(
            "Targets may be rows that are padded, or all one after the other.",
            lambda ask: (
                same(
                    ask([[[_HALF, _HALF]] * 2] * 2, [[1, 0], [1, 1]], (2, 2), (1, 0)).dx,
                    ask([[[_HALF, _HALF]] * 2] * 2, [1], (2, 2), (1, 0)).dx,
                )
                and same(
                    ask([[[_HALF, _HALF]] * 2] * 2, [1], (2, 2), (1, 0), reduction="sum").y,
                    log(4 / 3) + log(4),
                )
            ),
        ),
        Claim(
            "Behind its length an input has a gradient of 0, without exp(log_probs) too.",
            lambda ask: same(ask(_EVEN, [[1]], (1,), (1,)).dx, [[[0.5, 0.5 - 1.0]], [[0.0, 0.0]]]),
        ),
        Claim(
            "The gradient of log_probs is the derivative plus exp(log_probs): right once it has "
            "passed through log_softmax, to which that adds nothing.",
            # blank 1, label 1 -> aa, -a, a-: three of four paths. The derivative of -log p is
            # -(2/3) for the label and -(1/3) for the blank at every step
            lambda ask: same(
                ask(_EVEN, [[1]], (2,), (1,)).dx,
                [[[0.5 - 1 / 3, 0.5 - 2 / 3]], [[0.5 - 1 / 3, 0.5 - 2 / 3]]],
            ),
        ),
        Claim(
            "It is added whether or not log_probs is normalised.",
            lambda ask: same(
                ask([[[0.0, 1.0]]], [[1]], (1,), (1,)).dx, [[[exp(0.0), exp(1.0) - 1.0]]]
            ),
        ),
        Claim(
            "The mean divides each loss by the length of its target, and then by the batch.",
            lambda ask: (
                same(
                    ask([[[_HALF, _HALF]] * 2] * 2, [[1, 0], [0, 0]], (2, 2), (1, 0)).y,
                    (-log(0.75) / 1 - log(0.25) / 1) / 2,
                )
                and same(ask([[[log(1 / 3)] * 3]] * 2, [[1, 2]], (2,), (2,)).y, -log(1 / 9) / 2)
            ),
        ),
        Claim(
            "Targets that do not fit have the loss inf and a gradient of nan, of 0 with "
            "zero_infinity; a repeated label needs a blank between.",
            lambda ask: (
                same(ask(_EVEN, [[1, 1]], (2,), (2,)).y, inf)
                and same(ask(_EVEN, [[1, 1]], (2,), (2,)).dx, [[[nan, nan]]] * 2)
                and same(ask(_EVEN, [[1, 1]], (2,), (2,), zero_infinity=True).y, 0.0)
                and same(
                    ask(_EVEN, [[1, 1]], (2,), (2,), zero_infinity=True).dx, [[[0.0, 0.0]]] * 2
                )
            ),
        ),
    ),
)
def CTCLoss(pick: Pick) -> Drawn:
    classes = pick.option("classes", 3, 2, 4, 5, 9)
    blank = pick.option("blank", 0, 1, "last")
    blank = classes - 1 if blank == "last" else blank
    config = {
        "blank": blank,
        "reduction": pick.option("reduction", "none", "mean", "sum", "none"),
        "zero_infinity": pick.option("zero_infinity", False, True),
    }
    steps = pick.option("T", 5, 4, 6, 2, 1, 3, 12)
    batch = pick.option("batch", (3,), (1,), (), (2,), (4,))
    N = batch[0] if batch else 1
    S = pick.option("S", 2, 3, 1, 4, 0)
    # the labels are all classes but the blank, which torch does not check: its gradient is wrong
    # where a target ends with a blank, and it reads other memory where a label is no class
    labels = tuple(c for c in range(classes) if c != blank)
    normalised = pick.option("log_probs", "normalised", "any")
    kind = "log_probability" if normalised == "normalised" else "real"
    log_probs = pick.values("x", (steps, *batch, classes), kind=kind, axis=len(batch) + 1)

    form = pick.option("targets", "padded", "concatenated")
    lengths = pick.option("lengths", "tuples", "arrays")
    short = pick.option("input_lengths", "full", "shorter", "none")
    inputs = tuple(
        {"full": steps, "shorter": max(steps - n, 1), "none": 0 if n else steps}[short]
        for n in range(N)
    )
    fewer = pick.option("target_lengths", "full", "shorter", "none")
    outputs = tuple(
        {"full": S, "shorter": max(S - n, 0), "none": 0 if n % 2 else S}[fewer] for n in range(N)
    )
    shape = (sum(outputs),) if form == "concatenated" else (N, S)
    targets = pick.values("labels", shape, kind="choice", extra=labels)
    if lengths == "tuples":
        return config, (log_probs, targets, inputs, outputs)
    return config, (
        log_probs,
        targets,
        pick.values("input lengths", (N,), kind="fixed", extra=inputs),
        pick.values("target lengths", (N,), kind="fixed", extra=outputs),
    )
