"""Twins of the losses."""

from typing import Any

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.spec import Drawn


def _reduction(pick: Pick) -> dict[str, Any]:
    """How losses are reduced; the two deprecated arguments overrule the third."""
    return {
        "size_average": pick.option("size_average", None, None, True, False),
        "reduce": pick.option("reduce", None, None, True, False),
        "reduction": pick.option("reduction", "mean", "sum", "none"),
    }


@spec(nn.MSELoss)
def MSELoss(pick: Pick) -> Drawn:
    a, b = pick.option(
        "shapes",
        ((2, 3), (2, 3)),
        ((3,), (3,)),
        ((), ()),
        ((2, 3), (3,)),
        ((2, 1), (2, 3)),
        ((1,), (2, 2)),
        ((2, 3, 2), (2, 3, 2)),
        ((0, 3), (0, 3)),
        ((33,), (33,)),
    )
    return _reduction(pick), (pick.values("prediction", a), pick.values("target", b))


@spec(nn.CrossEntropyLoss, positive={"weight"})
def CrossEntropyLoss(pick: Pick) -> Drawn:
    classes = pick.size("classes")
    kind = pick.option("target", "indices", "probabilities")
    ignored = pick.option("ignore_index", -100, 0, -1, 2)
    if kind == "probabilities" and ignored >= 0:
        ignored = pick.instead("ignore_index", -100, because="target")
    reduction = _reduction(pick)
    config = {
        "weight": None,
        "size_average": reduction["size_average"],
        "ignore_index": ignored,
        "reduce": reduction["reduce"],
        "reduction": reduction["reduction"],
        "label_smoothing": pick.option("label_smoothing", 0.0, 0.125, 0.5, 1.0),
    }
    if pick.option("class weights", True, True, False):
        config["weight"] = pick.values("weight", (classes,), kind="positive")
    batch = pick.option("batch", (3,), (1,), (), (2,), (7,), (0,))
    rest = pick.option("trailing axes", (), (2,), (3, 2), (1, 2, 2))
    if rest and not batch:
        rest = pick.instead("trailing axes", (), because="batch")
    logits = pick.values("prediction", (*batch, classes, *rest))
    if kind == "probabilities":
        axis = len(batch)
        shape = (*batch, classes, *rest)
        return config, (logits, pick.values("labels", shape, kind="probability", axis=axis))
    outside = ignored < 0 or ignored >= classes
    extra = (ignored,) if pick.option("ignored targets", True, False) and outside else ()
    target = pick.values("labels", (*batch, *rest), kind="index", high=classes, extra=extra)
    return config, (logits, target)


# under vmap torch decomposes it otherwise, with other bounds
@spec(nn.BCEWithLogitsLoss, positive={"weight", "pos_weight"}, batched=lambda config: False)
def BCEWithLogitsLoss(pick: Pick) -> Drawn:
    shape = pick.option("shape", (2, 3), (3,), (), (2, 3, 2), (1, 2), (0, 3), (33,))
    reduction = _reduction(pick)
    config = {"weight": None, **reduction, "pos_weight": None}
    weight = pick.option("weight", "none", "scalar", "last axis", "all")
    scalar = (1,) if shape else ()
    shapes = {"scalar": scalar, "last axis": shape[-1:], "all": shape}
    if not shape and weight not in ("none", "scalar"):
        weight = pick.instead("weight", "scalar", because="shape")
    if weight != "none":
        config["weight"] = pick.values("weight values", shapes[weight], kind="positive")
    positive = pick.option("pos_weight", "none", "last axis", "scalar")
    if positive != "none":
        config["pos_weight"] = pick.values("pos_weight values", shapes[positive], kind="positive")
    x, target = pick.values("prediction", shape), pick.values("target", shape, kind="binary")
    return config, (x, target)
