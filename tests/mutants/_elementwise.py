"""Mistakes that are made in any function of one element."""

from tests.mutants import Mutant

DX = "gradient of input 0"
Cases = list[tuple[str, dict[str, str], str | tuple[str, ...]]]
"""What is wrong, the edits that make it so, and the quantity to be blamed."""


def of(layer: str, *cases: Cases) -> list[Mutant]:
    """The mutants of a layer."""
    return [
        Mutant(layer, mistake, edits, blames=quantity)
        for part in cases
        for mistake, edits, quantity in part
    ]


def common(dx: str, slope: str, docstring: str, around: str = "{}") -> Cases:
    """Of dx = dy · slope, as it stands in the source, in text that is unique with `around`."""

    def edit(new: str) -> dict[str, str]:
        return {around.format(dx): around.format(new)}

    kept = "_KEPT.setdefault((dy.shape, dy.dtype.char), np.empty_like(dy))"
    buffer = {docstring: f"_KEPT = {{}}\n{docstring}"}
    return [
        ("lets dy through", edit("dy"), DX),
        ("forgets dy", edit(f"({slope}) + 0 * dy"), DX),
        ("ignores the sign of dy", edit(f"np.abs(dy) * ({slope})"), DX),
        ("lets only positive dy through", edit(f"dy * (dy > 0) * ({slope})"), DX),
        ("writes dx into dy", edit(f"np.multiply(dy, {slope}, out=dy)"), "dy"),
        (
            "returns the same array every time",
            edit(f"np.multiply(dy, {slope}, out={kept})") | buffer,
            DX,
        ),
        ("computes the slope in float64", edit(f"dy * np.float64({slope})"), DX),
        ("has no gradient", edit("None"), DX),
    ]
