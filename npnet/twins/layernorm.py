"""Twin of the layer normalisation."""

from torch import nn

from npnet.twins.spec import Claim, Pick, same, spec
from npnet.verify.case import Example
from npnet.verify.spec import Drawn


def _has_batch(example: Example) -> bool:
    shape = example.config["normalized_shape"]
    return example.arrays["input 0"].ndim > 1 + (1 if isinstance(shape, int) else len(shape))


_CLAIMS = (
    Claim(
        "It normalises by the biased variance (÷ n).",
        lambda ask: same(
            ask([0.0, 2.0], normalized_shape=2, eps=3.0, elementwise_affine=False).y, [-0.5, 0.5]
        ),
    ),
    Claim(
        "eps is added to the variance, inside of the root.",
        lambda ask: same(
            ask([0.0, 2.0], normalized_shape=2, eps=8.0, elementwise_affine=False).y,
            [-1 / 3, 1 / 3],
        ),
    ),
    Claim(
        "The mean is over the trailing axes, sample by sample, and never over the batch.",
        lambda ask: same(
            ask([[0.0, 2.0], [4.0, 6.0]], normalized_shape=2, eps=3.0, elementwise_affine=False).y,
            [[-0.5, 0.5], [-0.5, 0.5]],
        ),
    ),
    Claim(
        "Of several axes all are normalised together; weight and bias have an entry for each of "
        "their elements.",
        lambda ask: same(
            ask(
                [[0.0, 0.0], [2.0, 2.0]],
                state={"weight": [[1.0, 2.0], [3.0, 4.0]], "bias": [[0.0] * 2, [0.0, 8.0]]},
                normalized_shape=(2, 2),
                eps=3.0,
            ).y,
            [[-0.5, -1.0], [1.5, 10.0]],
        ),
    ),
    Claim(
        "The statistics depend on x, and so does the gradient: that of Σ y is 0.",
        lambda ask: same(
            ask([0.0, 2.0], normalized_shape=2, eps=3.0, elementwise_affine=False).dx, [0.0, 0.0]
        ),
    ),
)


@spec(nn.LayerNorm, split=_has_batch, claims=_CLAIMS)
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
