"""Twin of Flatten."""

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn


@spec(nn.Flatten, exact=True)
def Flatten(pick: Pick) -> Drawn:
    shape = pick.option("shape", (2, 3), (2, 3, 2), (3,), (2, 1, 3, 2), (1, 1), (2, 0, 3), (0, 2))
    start = pick.option("start_dim", 1, 0, 2, -1, -2)
    axes = len(shape)
    if not -axes <= start < axes:
        start = pick.instead("start_dim", 0, because="shape")
    end = pick.option("end_dim", -1, 1, 2, -2)
    if not -axes <= end < axes or end % axes < start % axes:
        pick.instead("end_dim", -1, because="shape")
        end = pick.instead("end_dim", -1, because="start_dim")
    return {"start_dim": start, "end_dim": end}, (pick.values("x", shape),)
