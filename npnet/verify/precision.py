"""The floating-point formats that candidates are asked in, and what each of them loses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A format: unit roundoff u, smallest normal eta, largest finite fmax, and K of the verdict.

    A result passes where |got - want| <= K · error: K = 4, and 8 for float64, in which the oracle
    itself is computed, so that both sides err.
    """

    name: str
    u: float
    eta: float
    fmax: float
    k: float


PRECISIONS = {
    p.name: p
    for p in (
        Precision("float64", 2.0**-53, 2.0**-1022, 1.7976931348623157e308, 8.0),
        Precision("float32", 2.0**-24, 2.0**-126, 3.4028234663852886e38, 4.0),
        Precision("float16", 2.0**-11, 2.0**-14, 65504.0, 4.0),
        Precision("bfloat16", 2.0**-8, 2.0**-126, 3.3895313892515355e38, 4.0),
    )
}
