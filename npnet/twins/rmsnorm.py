"""Twin of the root mean square normalisation."""

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Config, Example
from npnet.verify.precision import Precision
from npnet.verify.spec import Drawn


def _has_batch(example: Example) -> bool:
    shape = example.config["normalized_shape"]
    return example.arrays["input 0"].ndim > 1 + (1 if isinstance(shape, int) else len(shape))


def _told(config: Config, precision: Precision) -> Config:
    """eps=None is the distance from 1 to the next number, in float32 at least: torch's own code.

    Its documentation says finfo(x.dtype).eps; measured in float16 and bfloat16 it is float32's.
    """
    if config.get("eps") is not None:
        return config
    return {**config, "eps": 2.0 * min(precision.u, 2.0**-24)}


@spec(
    nn.RMSNorm,
    split=_has_batch,
    told=_told,
    claims=(
        Claim(
            "It does not subtract the mean.",
            lambda ask: same(
                ask([3.0, 3.0], normalized_shape=2, eps=7.0, elementwise_affine=False).y,
                [0.75, 0.75],
            ),
        ),
        Claim(
            "eps is added to the mean square, inside of the root.",
            lambda ask: same(
                ask([1.0, 1.0], normalized_shape=2, eps=3.0, elementwise_affine=False).y,
                [0.5, 0.5],
            ),
        ),
        Claim(
            "By default eps is the distance from 1 to the next number: 2^-52 in float64.",
            lambda ask: same(
                ask([2.0**-26], normalized_shape=1, elementwise_affine=False).y, [0.5**0.5]
            ),
        ),
        Claim(
            "There is a weight and no bias; the mean of squares is over all normalized axes.",
            lambda ask: (
                list(ask([[1.0, 7.0]], normalized_shape=(1, 2), eps=0.0).params) == ["weight"]
                and same(
                    ask(
                        [[1.0], [7.0]], state={"weight": [[1.0], [2.0]]}, normalized_shape=(2, 1)
                    ).y,
                    [[0.2], [2.8]],
                )
            ),
        ),
    ),
)
def RMSNorm(pick: Pick) -> Drawn:
    axes = pick.option("normalized axes", 1, 2, "int", 3)
    sizes = tuple(pick.size(f"size {i}") for i in range(1 if axes == "int" else axes))
    config = {
        "normalized_shape": sizes[0] if axes == "int" else sizes,
        "eps": pick.option("eps", None, 2.0**-17, 2.0**-10, 1.0),
        "elementwise_affine": pick.option("elementwise_affine", True, False),
    }
    return config, (pick.values("x", (*pick.batch(), *sizes)),)
