from tests.mutants import Mutant

_DX = "gradient of input 0"
_CENTRES = "t = (o + 0.5) * (1 / scale if scale else n / m) - 0.5"
_NEAREST = 't = (o + 0.5 if mode == "nearest-exact" else o) * s'
_TURN = "backward = [_transposed(taps, n) for taps, n in zip(forward, old, strict=True)]"
_ALIGNED = "t = o * ((n - 1) / (m - 1) if m > 1 else 0.0)"
_SIZES = "new, scales = tuple(int(n * s) for n, s in zip(old, each, strict=True)), each"

_ANY: list[tuple[str, dict[str, str], str]] = [
    ("rounds the new size up", {_SIZES: _SIZES.replace("int(n * s)", "-int(-n * s // 1)")}, "y"),
    ("gives a gradient in float64", {"        dx = dy\n": "        dx = dy.astype(float)\n"}, _DX),
    (
        "averages the gradient over the outputs of an input",
        {"        return Grads((dx,))": "        return Grads((dx * (x.size / max(dy.size, 1)),))"},
        _DX,
    ),
    (
        "turns the gradient round on the last axis",
        {"        return Grads((dx,))": "        return Grads((dx[..., ::-1] * 1,))"},
        _DX,
    ),
]

_OF_NEAREST: list[tuple[str, dict[str, str], str]] = [
    (
        "rounds to the nearest",
        {"np.floor(t.astype(np.float32))": "np.rint(t.astype(np.float32))"},
        "y",
    ),
    (
        "the last of several outputs has an input's gradient",
        {
            "weights[place, sources[order]] = 1 if": "weights[place, sources[order]] = "
            "(place == counts[sources[order]] - 1) if"
        },
        _DX,
    ),
    (
        "aligns the corners",
        {_NEAREST: "t = o * ((n - 1) / (m - 1) if m > 1 else 0.0)"},
        "y",
    ),
]

_OF_ALL: list[tuple[str, dict[str, str], str]] = [
    (
        'puts "nearest" where "nearest-exact" belongs',
        {_NEAREST: "t = o * s"},
        "y",
    ),
    ('puts "nearest-exact" where "nearest" belongs', {_NEAREST: "t = (o + 0.5) * s"}, "y"),
    ("recomputes the scale always", {_CENTRES: "t = (o + 0.5) * (n / m) - 0.5"}, "y"),
    ("never recomputes the scale", {"    if recompute:\n": "    if False:\n"}, "y"),
    (
        "takes the scale for its inverse",
        {_CENTRES: _CENTRES.replace("1 / scale if", "scale if")},
        "y",
    ),
    (
        "puts pixels at their corners",
        {_CENTRES: _CENTRES.replace("(o + 0.5)", "o").replace(" - 0.5", "")},
        "y",
    ),
    ("forgets to shift the centre back", {_CENTRES: _CENTRES.replace(" - 0.5", "")}, "y"),
    (
        "lets the line run on before the first input",
        {
            "    t = np.maximum(t, 0.0)\n": "",
            "    i = np.minimum(np.floor(t).astype(int), n - 1)\n": "    "
            "i = np.clip(np.floor(t).astype(int), 0, n - 1)\n",
        },
        "y",
    ),
    ("divides by the new size where corners are aligned", {_ALIGNED: "t = o * ((n - 1) / m)"}, "y"),
    ("ignores align_corners", {"    if align:\n": "    if False:\n"}, "y"),
    (
        "aligns the corners by default",
        {"    if align:\n": "    if align or mode == 'bicubic':\n"},
        "y",
    ),
    ("has the cubic of another library, a = -0.5", {"_CUBIC = -0.75": "_CUBIC = -0.5"}, "y"),
    (
        "has 0 outside of the image in the cubic",
        {
            "_cubic(np.abs(t - i - k)).astype(dtype)": "((i + k >= 0) & (i + k < n)) * "
            "_cubic(np.abs(t - i - k)).astype(dtype)"
        },
        "y",
    ),
    ("exchanges the two neighbours", {"np.stack([1 - w, w])": "np.stack([w, 1 - w])"}, "y"),
    (
        "means over windows of one size",
        {"-(-(o + 1) * n // m)": "o * n // m + max(n // m, 1)"},
        "y",
    ),
    (
        "divides every mean by the largest window",
        {"(inside / (last - first))": "(inside / (last - first).max())"},
        "y",
    ),
    (
        "interpolates the gradient instead of transposing",
        {
            _TURN: "backward = [\n        _taps(mode, align, m, n, None, x.dtype)\n"
            "        for n, m in zip(old, new, strict=True)\n    ]"
        },
        _DX,
    ),
    (
        "the weights are float64",
        {
            "np.stack([1 - w, w]).astype(dtype)": "np.stack([1 - w, w])",
            "    total *= weights[0]\n": "    total = total * weights[0]\n",
        },
        "y",
    ),
]

_OF_BILINEAR: list[tuple[str, dict[str, str], str]] = [
    ("does not align the corners", {'"bilinear", align=True)': '"bilinear")'}, "y"),
    ("divides by the new size", {_ALIGNED: "t = o * ((n - 1) / m)"}, "y"),
    ("exchanges the two neighbours", {"np.stack([1 - w, w])": "np.stack([w, 1 - w])"}, "y"),
    (
        "leaves the gradient of the right neighbour out",
        {"taps.weights.ravel()[order]": "(taps.weights * [[1], [0]]).astype(dtype).ravel()[order]"},
        _DX,
    ),
]

MUTANTS = [
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer, mistakes in (
            ("Upsample", [*_ANY, *_OF_NEAREST[1:2], *_OF_ALL]),
            ("UpsamplingNearest2d", [*_ANY, *_OF_NEAREST]),
            ("UpsamplingBilinear2d", [*_ANY, *_OF_BILINEAR]),
        )
        for mistake, edits, blames in mistakes
    ),
]
