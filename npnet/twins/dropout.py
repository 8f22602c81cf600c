"""Twin of dropout."""

from torch import nn

from npnet.twins.activation import anything
from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn


@spec(nn.Dropout, draws=lambda config: True, batched=lambda config: False, reads_mask=True)
def Dropout(pick: Pick) -> Drawn:
    config = {
        "p": pick.option("p", 0.25, 0.875, 0.25, 0.5, 0.0, 0.875, 1.0),
        "inplace": False,
        "training": pick.option("training", True, True, False),
    }
    return config, (anything(pick),)
