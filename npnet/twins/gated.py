"""Twin of the gated linear unit."""

from torch import nn

from npnet.twins.spec import Claim, Pick, refuses, same, spec
from npnet.verify.spec import Drawn

_HALVES = ((2, 3), (3,), (2, 1, 3), (1,), (3, 2, 2), (0,), (2, 0), (0, 2), (33,), (1, 2, 2, 2))


@spec(
    nn.GLU,
    claims=(
        Claim(
            "The first half is the value, the second half the gate.",
            lambda ask: same(ask([3.0, 0.0]).y, [1.5]),
        ),
        Claim(
            "It is the axis dim that is halved, by default the last one.",
            lambda ask: (
                ask([[1.0, 1.0], [1.0, 1.0]]).y.shape == (2, 1)
                and ask([[1.0, 1.0], [1.0, 1.0]], dim=0).y.shape == (1, 2)
            ),
        ),
        Claim(
            "The axis has to be of even size.",
            lambda ask: same(ask([8.0, 0.0]).y, [4.0]) and refuses(lambda: ask([1.0, 2.0, 3.0])),
        ),
    ),
)
def GLU(pick: Pick) -> Drawn:
    shape = pick.option("shape of y", *_HALVES)
    dim = pick.option("dim", -1, 0, 1, -2)
    axes = len(shape)
    if not -axes <= dim < axes:
        dim = pick.instead("dim", -1, because="shape of y")
    whole = [2 * n if axis == dim % axes else n for axis, n in enumerate(shape)]
    return {"dim": dim}, (pick.values("x", whole),)
