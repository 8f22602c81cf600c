"""Twins of the linear layers."""

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.spec import Drawn


@spec(
    nn.Linear,
    exact=True,
    split=lambda example: example.arrays["input 0"].ndim > 2,
    claims=(
        Claim(
            "weight is (out_features, in_features): x is multiplied by its transpose.",
            lambda ask: same(
                ask(
                    [1.0, 10.0],
                    state={"weight": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]},
                    in_features=2,
                    out_features=3,
                    bias=False,
                ).y,
                [21.0, 43.0, 65.0],
            ),
        ),
        Claim(
            "The last axis is transformed, whatever comes before it; the gradients of weight and "
            "bias are sums over all of that.",
            lambda ask: (
                same(
                    ask(
                        [[[1.0]], [[3.0]]],
                        state={"weight": [[2.0]], "bias": [1.0]},
                        in_features=1,
                        out_features=1,
                    ).params["weight"],
                    [[4.0]],
                )
                and same(
                    ask([[[1.0]], [[3.0]]], in_features=1, out_features=1).params["bias"], [2.0]
                )
            ),
        ),
    ),
)
def Linear(pick: Pick) -> Drawn:
    n = pick.size("in_features")
    config = {
        "in_features": n,
        "out_features": pick.size("out_features"),
        "bias": pick.option("bias", True, False),
    }
    return config, (pick.values("x", (*pick.batch(), n)),)


@spec(
    nn.Bilinear,
    exact=True,
    split=lambda example: example.arrays["input 0"].ndim > 2,
    batched=lambda config: False,  # its form under vmap is slower, with looser bounds
    claims=(
        Claim(
            "weight is (out_features, in1_features, in2_features): the first input is on the left.",
            lambda ask: same(
                ask(
                    [1.0],
                    [1.0, 10.0],
                    state={"weight": [[[2.0, 3.0]]]},
                    in1_features=1,
                    in2_features=2,
                    out_features=1,
                    bias=False,
                ).y,
                [32.0],
            ),
        ),
        Claim(
            "It is linear in each input and has no terms of one input alone; the bias is added.",
            lambda ask: same(
                ask(
                    [0.0],
                    [5.0],
                    state={"weight": [[[2.0]]], "bias": [3.0]},
                    in1_features=1,
                    in2_features=1,
                    out_features=1,
                ).y,
                [3.0],
            ),
        ),
    ),
)
def Bilinear(pick: Pick) -> Drawn:
    m, n = pick.size("in1_features"), pick.size("in2_features")
    config = {
        "in1_features": m,
        "in2_features": n,
        "out_features": pick.size("out_features"),
        "bias": pick.option("bias", True, False),
    }
    batch = pick.batch()
    return config, (pick.values("x1", (*batch, m)), pick.values("x2", (*batch, n)))
