"""Twin of the LSTM."""

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.case import Config
from npnet.verify.spec import Drawn


def _draws(config: Config) -> bool:
    return bool(config["dropout"])


def _batched(config: Config) -> bool:
    """Unless it draws masks, which vmap refuses to do."""
    return not (config["training"] and config["dropout"] and config["num_layers"] > 1)


@spec(nn.LSTM, draws=_draws, batched=_batched)
def LSTM(pick: Pick) -> Drawn:
    layers = pick.option("num_layers", 1, 2, 1, 3)
    both = pick.option("bidirectional", False, False, True)
    projection = pick.option("proj_size", 0, 1, 2)
    hidden = pick.size("hidden_size") + projection  # which has to be the smaller one
    first = pick.option("batch_first", False, True)
    config = {
        "input_size": pick.size("input_size"),
        "hidden_size": hidden,
        "num_layers": layers,
        "bias": pick.option("bias", True, False),
        "batch_first": first,
        "dropout": pick.option("dropout", 0.0, 0.25, 0.5),
        "bidirectional": both,
        "proj_size": projection,
        "training": pick.option("training", True, True, False),
    }
    batch = pick.option("batch", 2, None, 1, 3, 0)
    steps = pick.option("steps", 2, 1, 3, 2, 1, 5)
    mid = () if batch is None else (batch,)
    x = (*mid, steps) if first else (steps, *mid)
    inputs: tuple[object, ...] = (pick.values("x", (*x, config["input_size"])),)
    if pick.option("initial states", True, False):
        stacked = (layers * (2 if both else 1), *mid)
        h = pick.values("h_0", (*stacked, projection or hidden))
        inputs = (*inputs, (h, pick.values("c_0", (*stacked, hidden))))
    return config, inputs
