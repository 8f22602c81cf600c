from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_WEIGHT = "gradient of weight"
_BIAS = "gradient of bias"

Edits = dict[str, str]

# ---- Conv1d, 2d, 3d ------------------------------------------------------------------------------

_OUT = "(n + sum(p) - d * (k - 1) - 1) // s + 1"
_GEOMETRY = "Correlation(layer.groups, size, out, kernel, stride, dilation, before)"
_W = 'W, rows = state["weight"], '
_DW = '"weight": correlation.weight(rows, dy_rows)'
_DB = "dy_rows.reshape(layer.out_channels, dy_rows.shape[2]).sum(1)"

_CONV: list[tuple[str, Edits, str]] = [
    (
        "flips the kernel",
        {_W: 'W, rows = np.flip(state["weight"], (*range(2, axes + 2),)), '},
        "y",
    ),
    (
        "takes the weight for a transposed convolution's, inputs first",
        {_W: 'W, rows = state["weight"].reshape(-1, layer.out_channels, *kernel).swapaxes(0, 1), '},
        "y",
    ),
    ("ignores the bias", {'y += state["bias"].reshape(-1, *[1] * axes)': "pass"}, "y"),
    (
        "ignores the dilation but in the size of the output",
        {_GEOMETRY: _GEOMETRY.replace("dilation", "(1,) * axes")},
        "y",
    ),
    (
        "rounds the size of the output up",
        {_OUT: "-(-(n + sum(p) - d * (k - 1) - 1) // s) + 1"},
        "y",
    ),
    ("pads one side only", {_OUT: "(n + p[0] - d * (k - 1) - 1) // s + 1"}, "y"),
    (
        "padding='same' puts the odd pixel first",
        {"(total // 2, total - total // 2)": "(total - total // 2, total // 2)"},
        "y",
    ),
    (
        "pads with zeros in every mode",
        {
            'if layer.padding_mode != "zeros":\n        images': "if False:\n        images",
            'if layer.padding_mode != "zeros":\n            dx': "if False:\n            dx",
        },
        "y",
    ),
    (
        "always returns a batch",
        {"y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)": "y, vjp)"},
        "y",
    ),
    (
        "averages the weight's gradient over the batch",
        {_DW: _DW + " / max(len(dy), 1)"},
        _WEIGHT,
    ),
    ("flips the weight's gradient", {_DW: _DW + "[..., ::-1]"}, _WEIGHT),
    (
        "the weight's gradient comes from the first sample",
        {
            _DW: '"weight": correlation.weight(rows, correlation.lay_out_small('
            "dy * (np.arange(len(dy)) < 1).reshape(-1, *[1] * (axes + 1))))"
        },
        _WEIGHT,
    ),
    (
        "the bias's gradient comes from the first sample",
        {_DB: "dy[:1].sum((0, *range(2, axes + 2)))"},
        _BIAS,
    ),
    ("averages the bias's gradient over the image", {_DB: _DB + " / math.prod(out)"}, _BIAS),
]
_CONV_OF_SEVERAL_AXES: list[tuple[str, Edits, str]] = [
    (
        "transposes the kernel",
        {
            _W: 'W, rows = state["weight"].reshape(layer.out_channels, -1, *kernel[::-1])'
            ".transpose(0, 1, *range(axes + 1, 1, -1)), "
        },
        "y",
    ),
    (
        "takes the strides in reverse order",
        {_GEOMETRY: _GEOMETRY.replace("stride", "stride[::-1]")},
        "y",
    ),
    (
        "takes the dilations in reverse order",
        {_GEOMETRY: _GEOMETRY.replace("dilation", "dilation[::-1]")},
        "y",
    ),
    (
        "pads all axes alike",
        {"tuple(p[0] for p in pads)": "(max(p[0] for p in pads),) * axes"},
        "y",
    ),
]

# in npnet.nn._correlation, which transposed convolutions use too: what they blame comes second
_GROUPED = "rows.reshape(self.groups, C // self.groups, rows.shape[1])"
_STARTS = "[margin - self._taps[k][1] * self._unit(N) for k in met]"
_MOVED = "products[:, k * C : (k + 1) * C]"
_SHARED: list[tuple[str, Edits, str, str]] = [
    (
        "deals the channels of the large image out to the groups in turn",
        {
            _GROUPED: "rows.reshape(C // self.groups, self.groups, rows.shape[1])"
            ".swapaxes(0, 1)"
        },
        "y",
        _INPUT,
    ),
    (
        "the rows of the large image are float64",
        {"N * math.prod(self.pitch)), x.dtype)": "N * math.prod(self.pitch)))"},
        "y",
        _INPUT,
    ),
    (
        "windows that overlap overwrite each other",
        {
            "            if met:": "            met = met[-1:]\n            if met:",
            f"run += {_MOVED}": f"run[...] = {_MOVED}",
        },
        _INPUT,
        "y",
    ),
    (
        "flips the kernel on the way up",
        {
            _STARTS: _STARTS.replace("in met", "in met[::-1]"),
            _MOVED: "products[:, (K - 1 - k) * C : (K - k) * C]",
        },
        _INPUT,
        "y",
    ),
    (
        "exchanges batch and channels of the small image",
        {
            "*self._kept] = y[some].swapaxes(0, 1)": "*self._kept] = "
            "y.reshape(O, N, *self.small)[:, some]"
        },
        _INPUT,
        "y",
    ),
    (
        "the large image is float64",
        {"np.zeros((N, G * C, *self.large), small.dtype)": "np.zeros((N, G * C, *self.large))"},
        _INPUT,
        "y",
    ),
    (
        "forgets one tap of the kernel on the way down",
        {"for p, shift in self._taps]": "for p, shift in self._taps[:1] + self._taps[:-1]]"},
        "y",
        _INPUT,
    ),
]  # fmt: skip

_PADDED: list[tuple[str, Edits, str]] = [
    (
        "reflects the border too",
        {"(n - 1) - abs((n - 1) - abs(j))": "-1 - j if j < 0 else 2 * n - 1 - j"},
        "y",
    ),
    (
        "replicates where it should go round",
        {"first + (j - first) % size": "min(max(j, 0), n - 1)"},
        "y",
    ),
    (
        "a pixel that was copied gets the gradient of one copy",
        {"slice(j, j + 1))] += dy[": "slice(j, j + 1))] = dy["},
        _INPUT,
    ),
]

# ---- ConvTranspose1d, 2d, 3d ---------------------------------------------------------------------

_CONVS = ("Conv1d", "Conv2d", "Conv3d")
_TRANSPOSED = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")

_UP = "Correlation(layer.groups, out, size, kernel, stride, dilation, padding)"
_DWT = '"weight": correlation.weight(dy_rows, rows)'
_DBT = "dy.sum((0, *range(2, axes + 2)))"
_ANY_SIZE = {"fits = all(n <= o < n + s for": "fits = True or all(n <= o < n + s for"}

_CONV_TRANSPOSE: list[tuple[str, Edits, str]] = [
    (
        "flips the kernel",
        {_W: 'W, rows = np.flip(state["weight"], (*range(2, axes + 2),)), '},
        "y",
    ),
    (
        "takes the weight for a convolution's, outputs first",
        {
            _W: 'W, rows = state["weight"].reshape(layer.groups, -1, channels // layer.groups, '
            "*kernel).swapaxes(1, 2).reshape(state['weight'].shape), "
        },
        "y",
    ),
    ("ignores the bias", {'y += state["bias"].reshape(-1, *[1] * axes)': "pass"}, "y"),
    ("ignores output_padding", {"tuple(n + m for n, m in zip(": "tuple(n for n, m in zip("}, "y"),
    ("ignores output_size", {"if output_size is None:": "if True:"}, "y"),
    (
        "puts output_padding first",
        {_UP: _UP.replace("padding)", "tuple(p + o - n for p, o, n in zip(padding, out, least)))")},
        "y",
    ),
    ("cuts the padding off the end only", {_UP: _UP.replace("padding)", "(0,) * axes)")}, "y"),
    (
        "counts the padding once",
        {"(n - 1) * s - 2 * p + d": "(n - 1) * s - p + d", **_ANY_SIZE},
        "y",
    ),
    (
        "ignores the stride but in the size of the output",
        {_UP: _UP.replace("stride", "(1,) * axes")},
        "y",
    ),
    (
        "ignores the dilation but in the size of the output",
        {_UP: _UP.replace("dilation", "(1,) * axes")},
        "y",
    ),
    (
        "always returns a batch",
        {"y.reshape(*x.shape[: -axes - 1], *y.shape[1:]), vjp)": "y, vjp)"},
        "y",
    ),
    (
        "averages the weight's gradient over the batch",
        {_DWT: _DWT + " / max(len(dy), 1)"},
        _WEIGHT,
    ),
    ("flips the weight's gradient", {_DWT: _DWT + "[..., ::-1]"}, _WEIGHT),
    (
        "the bias's gradient comes from the first sample",
        {_DBT: "dy[:1].sum((0, *range(2, axes + 2)))"},
        _BIAS,
    ),
    ("averages the bias's gradient over the image", {_DBT: _DBT + " / math.prod(out)"}, _BIAS),
]  # fmt: skip
_TRANSPOSE_OF_SEVERAL_AXES: list[tuple[str, Edits, str]] = [
    (
        "takes the strides in reverse order",
        {_UP: _UP.replace("stride", "stride[::-1]")},
        "y",
    ),
    (
        "takes the dilations in reverse order",
        {_UP: _UP.replace("dilation", "dilation[::-1]")},
        "y",
    ),
    (
        "cuts the padding of the first axis off all",
        {_UP: _UP.replace("padding)", "padding[:1] * axes)")},
        "y",
    ),
]


def _mutants(
    layers: tuple[str, ...], table: list[tuple[str, Edits, str]], module: str | None = None
) -> list[Mutant]:
    return [
        Mutant(layer, mistake, edits, blames=blames, module=module)
        for layer in layers
        for mistake, edits, blames in table
    ]


_KERNEL = "npnet.nn._correlation"

MUTANTS = [
    *_mutants(_CONVS, _CONV),
    *_mutants(_CONVS[1:], _CONV_OF_SEVERAL_AXES),
    *_mutants(_CONVS, [(m, e, down) for m, e, down, _ in _SHARED], _KERNEL),
    *_mutants(_CONVS, _PADDED, "npnet.nn.padding"),
    *_mutants(_TRANSPOSED, _CONV_TRANSPOSE),
    *_mutants(_TRANSPOSED[1:], _TRANSPOSE_OF_SEVERAL_AXES),
    *_mutants(_TRANSPOSED, [(m, e, up) for m, e, _, up in _SHARED], _KERNEL),
]
