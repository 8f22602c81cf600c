from tests.mutants import Mutant
from tests.mutants.adaptive_pool import FIRST, LAST_OF_EQUALS, OVERWRITTEN

_INPUT = "gradient of input 0"
_INDICES = ("y 1", _INPUT)
_Y = ("y", "y 1")
_ASKED = ("y", "forward")  # more windows than there is room for are refused
_STARTS = "((p + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)"
_ALPHA = "dtype(n - kernel) / dtype(out - 1)"
_RETURNED = "return samples[:batch] if x.ndim == axes + 2 else samples[0]"
_SCATTERED = "Grads((scattered(dy, indices(), x, axes),))"
_DRAWN = "rng.random((batch, channels, axes))"

_BOTH: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    ("divides by the number of windows", {_ALPHA: "dtype(n - kernel) / dtype(out)"}, _Y),
    (
        "does not begin at 0",
        {_STARTS: "((p + u) * alpha).astype(np.int64)"},
        _Y,
    ),
    (
        "rounds to the nearest",
        {_STARTS: _STARTS.replace("((p + u) * alpha)", "np.rint((p + u) * alpha)")},
        _Y,
    ),
    (
        "is not random at all",
        {"u = samples[..., np.newaxis]": "u = samples[..., np.newaxis] * 0"},
        _Y,
    ),
    (
        "all planes have the windows of the first",
        {_RETURNED: f"samples = np.broadcast_to(samples[:1, :1], samples.shape)\n    {_RETURNED}"},
        _Y,
    ),
    (
        "draws the samples of an axis together",
        {_DRAWN: "np.moveaxis(rng.random((axes, batch, channels)), 0, -1)"},
        _Y,
    ),
    ("rounds the output size up", {"int(n * r)": "int(-(-n * r // 1))"}, _ASKED),
    (
        "exchanges the ratios of the axes",
        {"zip(size, _ratios(layer, axes), strict": "zip(size, _ratios(layer, axes)[::-1], strict"},
        _ASKED,
    ),
    (
        "the indices are int32",
        {"return Forward((y, indices())": "return Forward((y, indices().astype(np.int32))"},
        _INDICES,
    ),
    (
        "the indices run through all planes",
        {"return Forward((y, indices())": f"{FIRST}\n    return Forward((y, first + indices())"},
        _INDICES,
    ),
    ("the gradient is the maximum's", {_SCATTERED: _SCATTERED.replace("dy", "dy * y")}, _INPUT),
    (
        "the gradient is float64",
        {_SCATTERED: _SCATTERED.replace("axes)", "axes).astype(np.float64)")},
        _INPUT,
    ),
    (
        "windows that share a maximum overwrite each other's gradient",
        {f"return {_SCATTERED}": OVERWRITTEN},
        _INPUT,
    ),
]

MUTANTS = [
    Mutant(
        "FractionalMaxPool2d",
        "takes the first sample for the height",
        {"_fractional_pool(self, x, samples[..., ::-1])": "_fractional_pool(self, x, samples)"},
        blames=_Y,
    ),
    Mutant(
        "FractionalMaxPool3d",
        "takes the first sample for the width",
        {"_samples(self, state, x, 3, rng))": "_samples(self, state, x, 3, rng)[..., ::-1])"},
        blames=_Y,
    ),
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer in ("FractionalMaxPool2d", "FractionalMaxPool3d")
        for mistake, edits, blames in _BOTH
    ),
    *(
        Mutant(layer, *LAST_OF_EQUALS, blames=_INDICES, module="npnet.nn.maxpool")
        for layer in ("FractionalMaxPool2d", "FractionalMaxPool3d")
    ),
]
