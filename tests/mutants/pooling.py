from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_INDICES = ("y 1", _INPUT)
_WINDOWS = "npnet.nn._windows"
_CEIL = "(-(-span // s) if layer.ceil_mode else span // s)"
_MEETS = "if o < 1 or not ((at >= 0) & (at < n)).any(1).all():"
_POSITIONS = "positions(won, levels, windows)), vjp)"
_SPREAD = "spread(dy, won, sizes, windows)"
_MAX_TAPS = "pairs = pooling.taps(tuple(size), out)"
_AVG_TAPS = "pairs = pooling.taps(size, out)"


def _replaced(name: str, value: str, tail: str) -> str:
    return f"pairs = pooling._replace({name}={value}).taps({tail}, out)"


_ALL: list[tuple[str, dict[str, str]]] = [
    (
        "takes 1 for the default stride",
        {"stride = kernel if layer.stride is None": "stride = (1,) * axes if layer.stride is None"},
    ),
    ("ignores ceil_mode", {_CEIL: "max(span // s, 0)"}),
    (
        "rounds up always",
        {
            _CEIL: "-(-span // s)",
            "if layer.ceil_mode and (o - 1)": "if (o - 1)",
        },
    ),
    (
        "keeps a last window that begins behind the input",
        {"if layer.ceil_mode and (o - 1) * s >= n + p:": "if False:", _MEETS: "if o < 1:"},
    ),
]
_PADDED: list[tuple[str, dict[str, str]]] = [
    (
        "counts the padding once",
        {"n + 2 * p - d * (k - 1) - 1": "max(0, n + p - d * (k - 1) - 1)", _MEETS: "if o < 1:"},
    ),
]

_MAX: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    ("starts from 0", {"-np.inf, x.dtype)": "0, x.dtype)"}, "y"),
    ("the maximum is float64", {"-np.inf, x.dtype)": "-np.inf)"}, "y"),
    (
        "ignores the dilation",
        {_MAX_TAPS: _replaced("dilation", "(1,) * len(size)", "tuple(size)")},
        "y",
    ),
    ("the last of equal maxima wins", {"integer(k - t)": "integer(t + 1)"}, _INDICES),
    (
        "all of the equal maxima get the gradient",
        {"r == best[along(w.axis, outputs)]": "r > 0"},
        _INDICES,
    ),
    (
        "the indices are int32",
        {_POSITIONS: _POSITIONS.replace("), vjp)", ".astype(np.int32)), vjp)")},
        _INDICES,
    ),
    (
        "the indices count the padding",
        {_POSITIONS: _POSITIONS.replace("), vjp)", " + pooling.padding[0]), vjp)")},
        _INDICES,
    ),
    (
        "the indices run through all planes",
        {
            _POSITIONS: _POSITIONS.replace(
                "), vjp)",
                " + math.prod(size) * np.arange(math.prod(x.shape[:-axes])).reshape("
                "*x.shape[:-axes], *(1,) * axes)), vjp)",
            )
        },
        _INDICES,
    ),
    (
        "windows that overlap overwrite each other's gradient",
        {"winner += share * mask": "winner[...] = share * mask"},
        _INPUT,
    ),
    (
        "takes windows with gaps to be apart where the stride is the kernel's size",
        {"apart=s > d * (k - 1)": "apart=s >= k"},
        _INPUT,
    ),
    (
        "spreads the gradient over the window",
        {_SPREAD: _SPREAD.replace("dy", "dy / math.prod(pooling.kernel)")},
        _INPUT,
    ),
    ("the gradient is the maximum's", {_SPREAD: _SPREAD.replace("dy", "dy * y")}, _INPUT),
    ("the gradient is float64", {"np.zeros(size, dy.dtype)": "np.zeros(size)"}, _INPUT),
]
_MAX_OF_SEVERAL_AXES: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "exchanges the padding of the axes",
        {_MAX_TAPS: _replaced("padding", "pooling.padding[::-1]", "tuple(size)")},
        "y",
    ),
    (
        "exchanges the strides of the axes",
        {_MAX_TAPS: _replaced("stride", "pooling.stride[::-1]", "tuple(size)")},
        ("y", _INPUT),
    ),
    (
        "the indices run down the columns",
        {
            _POSITIONS: "(lambda i: i % size[-1] * math.prod(size[:-1]) + i // size[-1])("
            + _POSITIONS.replace("), vjp)", ")), vjp)")
        },
        _INDICES,
    ),
    (
        "the first of equal maxima is the first column by column",
        {
            "windows = sliding(pooling, size, pooling.outputs(layer, size))": "windows = sliding("
            "pooling, size, pooling.outputs(layer, size))[::-1]",
            "windows[0].axis": "windows[-1].axis",
        },
        _INDICES,
    ),
]

_AVG: list[tuple[str, dict[str, str], str]] = [
    ("always counts the padding", {"if not include_padding:": "if False:"}, "y"),
    ("never counts the padding", {"if not include_padding:": "if True:"}, "y"),
    (
        "counts what is behind the right padding",
        {"last = np.minimum(first + k, n + p)": "last = first + k"},
        "y",
    ),
    (
        "leaves the last element of a window out",
        {"in taps:\n            y[": "in taps[: max(1, len(taps) - 1)]:\n            y["},
        "y",
    ),
    ("does not divide the gradient", {"shared(dy / divisors": "shared(dy * 1"}, _INPUT),
    (
        "divides the gradient by the size of the kernel",
        {"shared(dy / divisors": "shared(dy / int(np.prod(pooling.kernel))"},
        _INPUT,
    ),
    (
        "windows that overlap overwrite each other's gradient",
        {"dx[along(axis, inputs)] += dy": "dx[along(axis, inputs)] = dy"},
        _INPUT,
    ),
    (
        "the gradient goes to the first element only",
        {"in taps:\n            dx": "in taps[:1]:\n            dx"},
        _INPUT,
    ),
    (
        "divides the caller's gradient",
        {"shared(dy / divisors": "shared(np.divide(dy, divisors, out=dy)"},
        "dy",
    ),
    (
        "the divisor is int64, and so the mean float64",
        {"np.asarray(n, x.dtype)": "np.asarray(n)"},
        "y",
    ),
    (
        "the gradient is float64",
        {"np.zeros(resized(dy, axis, n), dy.dtype)": "np.zeros(resized(dy, axis, n))"},
        _INPUT,
    ),
]
_DIVISOR = "if divisor is None else divisor"
_AVG_OF_SEVERAL_AXES: list[tuple[str, dict[str, str], str]] = [
    (
        "exchanges the padding of the axes",
        {_AVG_TAPS: _replaced("padding", "pooling.padding[::-1]", "size")},
        "y",
    ),
    ("ignores divisor_override", {_DIVISOR: ""}, "y"),
    (
        "divides by divisor_override and by the size of the kernel",
        {_DIVISOR: _DIVISOR + " * int(np.prod(pooling.kernel))"},
        "y",
    ),
]

_POWERS = "np.where(total == 0, 0, dy * total ** (1 / p - 1) * scale)"
_LP: list[tuple[str, dict[str, str], str]] = [
    ("takes powers of |x|", {"summed(x**p": "summed(np.abs(x) ** p"}, "y"),
    ("averages the powers", {"math.prod(pooling.kernel) / counts(": "1 / counts("}, "y"),
    (
        "counts a window that the input does not fill for what it is",
        {"math.prod(pooling.kernel) / counts(": "1 + 0 * counts("},
        "y",
    ),
    ("takes no root", {"y = total ** (1 / p)": "y = total"}, "y"),
    ("takes the square root always", {"y = total ** (1 / p)": "y = total**0.5"}, "y"),
    ("the scale is float64", {"scale = scale.astype(x.dtype)": "scale = scale * 1.0"}, "y"),
    (
        "the gradient of a window of zeros is nan",
        {_POWERS: _POWERS.replace("total == 0", "np.isnan(total)")},
        _INPUT,
    ),
    (
        "forgets the power of the norm in the gradient",
        {_POWERS: _POWERS.replace(" * total ** (1 / p - 1)", "")},
        _INPUT,
    ),
    (
        "forgets in the gradient that a window is not full",
        {_POWERS: _POWERS.replace(" * scale)", ")")},
        _INPUT,
    ),
    ("multiplies the gradient by x", {" * x ** (p - 1)": " * x"}, _INPUT),
    ("loses the sign of x in the gradient", {" * x ** (p - 1)": " * np.abs(x) ** (p - 1)"}, _INPUT),
    ("takes the largest for the norm -inf", {"math.copysign(1.0, p)": "1.0"}, "y"),
    ("takes the largest x and not the largest |x|", {"sign * np.abs(x)": "sign * x"}, "y"),
    (
        "loses the sign of the largest |x| in the gradient",
        {"sizes, windows) * np.sign(x)": "sizes, windows)"},
        _INPUT,
    ),
]

_WHERE = "where = indices.reshape(planes, math.prod(x.shape[-axes:]))"
_TAKEN = "np.take_along_axis(dy.reshape(planes, area), where, -1)"
_ASKED = ("y", "forward")  # a size that does not fit the indices is refused
_UNPOOL: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    ("forgets the padding", {"(n - 1) * s + k - 2 * p": "(n - 1) * s + k"}, _ASKED),
    ("multiplies the size by the stride", {"(n - 1) * s + k - 2 * p": "n * s"}, _ASKED),
    (
        "takes 1 for the default stride",
        {"stride = kernel if layer.stride is None": "stride = (1,) * axes if layer.stride is None"},
        _ASKED,
    ),
    ("ignores output_size", {"if wanted is not None:": "if False:"}, _ASKED),
    ("takes N and C for the size", {"[*wanted][2:]": "[*wanted][: len(size)]"}, _ASKED),
    (
        "puts all planes into the first",
        {
            "np.put_along_axis(y, where, x.reshape(where.shape), -1)": "y.reshape(-1)[where] = "
            "x.reshape(where.shape)"
        },
        "y",
    ),
    (
        "the output is float64",
        {"np.zeros((planes, area), x.dtype)": "np.zeros((planes, area))"},
        "y",
    ),
    (
        "reads the gradient in order, not by the indices",
        {_TAKEN: "dy.reshape(planes, area)[:, : where.shape[1]].copy()"},
        _INPUT,
    ),
    (
        "gives no gradient to a maximum of 0",
        {"Grads((dx.reshape(x.shape), None))": "Grads((dx.reshape(x.shape) * (x != 0), None))"},
        _INPUT,
    ),
    (
        "returns the gradient of one input",
        {"Grads((dx.reshape(x.shape), None))": "Grads((dx.reshape(x.shape),))"},
        _INPUT,
    ),
]
_UNPOOL_OF_SEVERAL_AXES: list[tuple[str, dict[str, str], str]] = [
    (
        "runs down the columns",
        {
            _WHERE: "i, rows = indices, math.prod(size[:-1])\n    "
            + _WHERE.replace("indices.reshape", "(i % size[-1] * rows + i // size[-1]).reshape")
        },
        "y",
    ),
]

MUTANTS = [
    *(
        Mutant(f"{name}{axes}d", mistake, edits, blames="y", module=_WINDOWS)
        for name in ("MaxPool", "AvgPool", "LPPool")
        for axes in (1, 2, 3)
        for mistake, edits in (_ALL if name == "LPPool" else _ALL + _PADDED)
    ),
    *(
        Mutant(f"{name}{axes}d", mistake, edits, blames=blames)
        for name, always, of_several_axes in (
            ("MaxPool", _MAX, _MAX_OF_SEVERAL_AXES),
            ("AvgPool", _AVG, _AVG_OF_SEVERAL_AXES),
            ("LPPool", _LP, []),
            ("MaxUnpool", _UNPOOL, _UNPOOL_OF_SEVERAL_AXES),
        )
        for axes in (1, 2, 3)
        for mistake, edits, blames in (*always, *(of_several_axes if axes > 1 else ()))
    ),
]
