"""Twins of the linear layers."""

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn


@spec(nn.Linear, exact=True, split=lambda example: example.arrays["input 0"].ndim > 2)
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
