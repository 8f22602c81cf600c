"""Twin of the cross entropy of a linear layer, which torch has from 2.13 on."""

from dataclasses import fields
from math import log
from typing import Any

import numpy as np
from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import LayerConfig
from npnet.verify.spec import Drawn

_OPTIONS = {
    "none": None,
    "default": {},
    "one": {"batch_chunk_size": 1},
    "two": {"batch_chunk_size": 2, "allow_retain_graph": True},
    "ratio": {"chunking_method": "aspect_ratio", "acc_policy": "accurate"},
}

if hasattr(nn, "LinearCrossEntropyLoss"):

    def _read_options(options: Any) -> LayerConfig | None:
        if options is None:
            return None
        return LayerConfig(
            "LinearCrossEntropyOptions", {f.name: getattr(options, f.name) for f in fields(options)}
        )

    @spec(
        nn.LinearCrossEntropyLoss,
        ignores={"options"},  # how much memory it takes
        read={
            "in_features": lambda module: module.linear.in_features,
            "bias": lambda module: module.linear.bias is not None,
            "options": lambda module: _read_options(module.options),
        },
        claims=(
            Claim(
                "There is no bias by default, other than in Linear.",
                lambda ask: (
                    list(ask([[1.0]], [0], in_features=1, num_classes=2).params)
                    == ["linear.weight"]
                ),
            ),
            Claim(
                "Logits have the classes behind the batch, and out_features behind the classes.",
                lambda ask: same(
                    ask(
                        [[1.0]],
                        [[0, 1]],
                        state={"linear.weight": [[0.0], [log(3)], [0.0], [0.0]]},
                        in_features=1,
                        num_classes=2,
                        out_features=(2,),
                        reduction="none",
                    ).y,
                    [[log(2), log(4)]],
                ),
            ),
            Claim(
                "The mean divides by the sum of the labels' weights; the label -100 is left out "
                "unless ignore_index names another.",
                lambda ask: same(
                    ask(
                        [[1.0], [1.0], [1.0]],
                        [0, 1, -100],
                        state={"linear.weight": [[0.0], [log(3)]], "weight": [3.0, 1.0]},
                        in_features=1,
                        num_classes=2,
                        weight=np.ones(2),
                    ).y,
                    (3 * log(4) + log(4 / 3)) / 4,
                ),
            ),
        ),
    )
    def LinearCrossEntropyLoss(pick: Pick) -> Drawn:
        width = pick.size("in_features")
        classes = pick.option("num_classes", 3, 2, 1, 5, 33)
        target = pick.option("target", "indices", "indices", "probabilities")
        ignored = pick.option("ignore_index", None, -100, 0, -1, 2)
        if target == "probabilities" and ignored is not None:
            ignored = pick.instead("ignore_index", None, because="target")
        batch = pick.option("batch", (4,), (1,), (), (3,), (7,), (0,))
        rest = pick.option("out_features", (), (), (2,), (3, 2), (1,))
        if rest and not batch:
            rest = pick.instead("out_features", (), because="batch")
        options = _OPTIONS[pick.option("options", *_OPTIONS)]
        config = {
            "in_features": width,
            "num_classes": classes,
            "out_features": rest,
            "bias": pick.option("bias", True, False),
            "reduction": pick.option("reduction", "mean", "sum", "none"),
            "ignore_index": ignored,
            "label_smoothing": pick.option("label_smoothing", 0.0, 0.125, 1.0),
            "options": None
            if options is None
            else LayerConfig("LinearCrossEntropyOptions", options),
        }
        if pick.option("class weights", True, True, False):
            config["weight"] = pick.values("weight", (classes,), kind="positive")
        x = pick.values("x", (*batch, width))
        if target == "probabilities":
            shape = (*batch, classes, *rest)
            how = {"kind": "probability", "axis": len(batch)}
            return config, (x, pick.values("labels", shape, **how))
        label = -100 if ignored is None else ignored
        outside = label < 0 or label >= classes
        extra = (label,) if pick.option("ignored targets", True, False) and outside else ()
        shape = (*batch, *rest)
        return config, (x, pick.values("labels", shape, kind="index", high=classes, extra=extra))
