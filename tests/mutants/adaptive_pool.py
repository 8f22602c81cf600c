from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_INDICES = ("y 1", _INPUT)
_END = "-(-(p + 1) * n // max(out, 1))"
_START = "return p * n // max(out, 1), "
_SCATTERED = "Grads((scattered(dy, indices(), x, axes),))"
FIRST = (
    "first = int(np.prod(x.shape[-axes:])) * np.arange(int(np.prod(x.shape[:-axes]))).reshape("
    "*x.shape[:-axes], *(1,) * axes)"
)
OVERWRITTEN = (
    f"{FIRST}\n        dx = np.zeros(x.size, x.dtype)\n"
    "        dx[(first + indices()).ravel()] = dy.ravel()\n"
    "        return Grads((dx.reshape(x.shape),))"
)
LAST_OF_EQUALS = ("the last of equal maxima wins", {"integer(k - t)": "integer(t + 1)"})
_COUNTS = "counts = reduce(np.multiply.outer, lengths).astype(x.dtype)"

_BOTH: list[tuple[str, dict[str, str]]] = [
    (
        "windows never share an element",
        {_END: "np.maximum((p + 1) * n // max(out, 1), p * n // max(out, 1) + 1)"},
    ),
    (
        "begins one late where the sizes do not divide",
        {
            _START: "return np.minimum(-(-p * n // max(out, 1)), n - 1), ",
            _END: f"np.maximum({_END}, np.minimum(-(-p * n // max(out, 1)), n - 1) + 1)",
        },
    ),
    (
        "windows of one size at one step",
        {
            f"{_START}{_END}": "return p * (n // max(out, 1)), "
            "p * (n // max(out, 1)) + n - (out - 1) * (n // max(out, 1))"
        },
    ),
]
_BOTH_OF_SEVERAL_AXES: list[tuple[str, dict[str, str]]] = [
    ("takes None for 1", {"n if o is None else o": "1 if o is None else o"}),
    ("exchanges the sizes of the axes", {"zip(size, wanted": "zip(size, [*wanted][::-1]"}),
]

_AVG: list[tuple[str, dict[str, str], str]] = [
    (
        "divides by the mean size of a window",
        {_COUNTS: "counts = np.asarray(np.prod(size) / np.prod(out)).astype(x.dtype)"},
        "y",
    ),
    (
        "divides by the size of the longest window",
        {_COUNTS: _COUNTS.replace("lengths)", "lengths).max(initial=1)")},
        "y",
    ),
    (
        "the sizes are int64, and so the mean float64",
        {_COUNTS: _COUNTS.replace(".astype(x.dtype)", "")},
        "y",
    ),
    (
        "the sums are float64",
        {"np.zeros(resized(x, axis, o), x.dtype)": "np.zeros(resized(x, axis, o))"},
        "y",
    ),
    (
        "leaves the last element of the longest windows out",
        {
            "for k in range(int((end - first).max(initial=0))):\n            longer": "for k in "
            "range(max(1, int((end - first).max(initial=0)) - 1)):\n            longer"
        },
        "y",
    ),
    (
        "does not divide the gradient",
        {"_summed(dy / counts, size)": "_summed(dy * 1, size)"},
        _INPUT,
    ),
    (
        "divides the gradient by the mean size of a window",
        {"_summed(dy / counts, size)": "_summed(dy * float(np.prod(out) / np.prod(size)), size)"},
        _INPUT,
    ),
    (
        "the gradient is the mean over the windows of an element",
        {
            "_summed(dy / counts, size)": "_summed(dy / counts, size) / (_summed(np.ones_like(dy), "
            "size))"
        },
        _INPUT,
    ),
    (
        "divides the caller's gradient",
        {"_summed(dy / counts, size)": "_summed(np.divide(dy, counts, out=dy), size)"},
        "dy",
    ),
]

_MAX: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "all windows are as long as the longest",
        {"np.minimum(first + k, end - 1)": "np.minimum(first + k, n - 1)"},
        ("y", "y 1"),
    ),
    (
        "leaves the last element of the longest windows out",
        {"for k in range(longest)": "for k in range(max(1, longest - 1))"},
        ("y", "y 1"),
    ),
    (
        "the indices are int32",
        {"return Forward((y, indices())": "return Forward((y, indices().astype(np.int32))"},
        _INDICES,
    ),
    (
        "the indices count from 1",
        {"return Forward((y, indices())": "return Forward((y, indices() + 1)"},
        _INDICES,
    ),
    (
        "the indices run through all planes",
        {"return Forward((y, indices())": f"{FIRST}\n    return Forward((y, first + indices())"},
        _INDICES,
    ),
    (
        "windows that share a maximum overwrite each other's gradient",
        {f"return {_SCATTERED}": OVERWRITTEN},
        _INPUT,
    ),
    ("the gradient is the maximum's", {_SCATTERED: _SCATTERED.replace("dy", "dy * y")}, _INPUT),
    (
        "the gradient is float64",
        {_SCATTERED: _SCATTERED.replace("axes)", "axes).astype(np.float64)")},
        _INPUT,
    ),
]

MUTANTS = [
    *(
        # where the sizes divide, only the way back of a mean has windows of several sizes
        Mutant(f"{name}{axes}d", mistake, edits, blames=("y", "y 1", _INPUT))
        for name in ("AdaptiveAvgPool", "AdaptiveMaxPool")
        for axes in (1, 2, 3)
        for mistake, edits in (*_BOTH, *(_BOTH_OF_SEVERAL_AXES if axes > 1 else ()))
    ),
    *(
        Mutant(f"{name}{axes}d", mistake, edits, blames=blames)
        for name, mistakes in (("AdaptiveAvgPool", _AVG), ("AdaptiveMaxPool", _MAX))
        for axes in (1, 2, 3)
        for mistake, edits, blames in mistakes
    ),
    *(
        Mutant(
            f"AdaptiveMaxPool{axes}d", *LAST_OF_EQUALS, blames=_INDICES, module="npnet.nn.maxpool"
        )
        for axes in (1, 2, 3)
    ),
]
