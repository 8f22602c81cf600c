"""Twin of dropout."""

from torch import nn

from npnet.twins.activation import anything
from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn


@spec(nn.Dropout, draws=lambda config: bool(config["training"]), reads_mask=True)
def Dropout(pick: Pick) -> Drawn:
    config = {
        "p": pick.option("p", 0.5, 0.25, 0.0, 1.0, 0.875),
        "inplace": False,
        "training": pick.option("training", True, False),
    }
    return config, (anything(pick),)
