"""Twin of the layer normalisation."""

from torch import nn

from npnet.twins.spec import Pick, spec
from npnet.verify.case import Example
from npnet.verify.spec import Drawn


def _has_batch(example: Example) -> bool:
    shape = example.config["normalized_shape"]
    return example.arrays["input 0"].ndim > 1 + (1 if isinstance(shape, int) else len(shape))


@spec(nn.LayerNorm, split=_has_batch)
def LayerNorm(pick: Pick) -> Drawn:
    axes = pick.option("normalized axes", 1, 2, "int", 3)
    sizes = tuple(pick.size(f"size {i}") for i in range(1 if axes == "int" else axes))
    config = {
        "normalized_shape": sizes[0] if axes == "int" else sizes,
        "eps": pick.option("eps", 2.0**-17, 2.0**-10, 1.0),
        "elementwise_affine": pick.option("elementwise_affine", True, False),
        "bias": pick.option("bias", True, False),
    }
    return config, (pick.values("x", (*pick.batch(), *sizes)),)
