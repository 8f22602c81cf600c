"""Twin of Sequential: small networks of layers that have twins of their own."""

from typing import Any

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Config, LayerConfig
from npnet.verify.draw import Values
from npnet.verify.spec import Drawn

_BETWEEN = ("ReLU", "Tanh", "Sigmoid", "GELU", "LayerNorm", "BatchNorm1d", "Dropout", "Softmax")


def _draws(config: Config) -> bool:
    return any(x.layer == "Dropout" for x in config["layers"])


def _batched(config: Config) -> bool:
    return not _draws(config)  # vmap refuses a dropout in eval mode too


@spec(
    nn.Sequential,
    draws=_draws,
    batched=_batched,
    positive={"running_var"},
    claims=(
        Claim(
            "The entries of layer i begin with its number, counted from 0, layers without any too.",
            lambda ask: same(
                ask(
                    [3.0],
                    state={"1.weight": [[2.0]]},
                    layers=(
                        LayerConfig("ReLU", {}),
                        LayerConfig("Linear", {"in_features": 1, "out_features": 1, "bias": False}),
                    ),
                ).y,
                [6.0],
            ),
        ),
        Claim(
            "The gradient goes back through the layers from the last to the first.",
            lambda ask: same(
                ask(
                    [3.0, -3.0],
                    state={"1.weight": [[2.0, 2.0]]},
                    layers=(
                        LayerConfig("ReLU", {}),
                        LayerConfig("Linear", {"in_features": 2, "out_features": 1, "bias": False}),
                    ),
                ).dx,
                [2.0, 0.0],
            ),
        ),
    ),
)
def Sequential(pick: Pick) -> Drawn:
    if pick.option("network", "dense", "convolutional") == "dense":
        layers, x = _dense(pick)
    else:
        layers, x = _convolutional(pick)
    return {"layers": tuple(LayerConfig(name, config) for name, config in layers)}, (x,)


def _dense(pick: Pick) -> tuple[list[tuple[str, Config]], Values]:
    widths = [pick.size("width 0")]
    layers: list[tuple[str, Config]] = []
    for i in range(pick.choose("depth", (1, 2, 3))):
        widths.append(pick.size(f"width {i + 1}"))
        layers.append(("Linear", {"in_features": widths[-2], "out_features": widths[-1]}))
        between = pick.choose(f"after {i}", _BETWEEN)
        layers.append((between, _options(pick, between, widths[-1])))
    return layers, pick.values("x", (pick.option("batch", 3, 2, 4), widths[0]))


def _options(pick: Pick, layer: str, width: int) -> dict[str, Any]:
    if layer == "LayerNorm":
        return {"normalized_shape": (width,), "eps": 2.0**-4}
    if layer == "BatchNorm1d":
        training = pick.choose("training", (True, False))
        return {"num_features": width, "eps": 2.0**-4, "momentum": 0.125, "training": training}
    if layer == "Dropout":
        return {"p": 0.25, "training": pick.choose("training", (True, False))}
    return {"dim": -1} if layer == "Softmax" else {}


def _convolutional(pick: Pick) -> tuple[list[tuple[str, Config]], Values]:
    cin, cout, out = (pick.size(f"width {i}") for i in range(3))
    pool = pick.choose("pool", ("MaxPool2d", "AvgPool2d"))
    layers: list[tuple[str, Config]] = [
        ("Conv2d", {"in_channels": cin, "out_channels": cout, "kernel_size": 3, "padding": 1}),
        ("ReLU", {}),
        (pool, {"kernel_size": 2}),
        ("Flatten", {}),
        ("Linear", {"in_features": 4 * cout, "out_features": out}),
    ]
    return layers, pick.values("x", (pick.option("batch", 3, 2, 4), cin, 4, 4))
