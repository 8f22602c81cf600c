from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_BINCOUNT = "dx = np.bincount(where.ravel(), dy.ravel(), minlength=x.size)"
# where the windows are wrong, the backward pass must not stumble before the output is judged
_ANYWHERE = {_BINCOUNT: _BINCOUNT.replace("where.ravel()", "where.ravel() % max(1, x.size)")}

_BOTH: list[tuple[str, dict[str, str], str]] = [
    (
        "takes 1 for the default stride",
        {"stride = kernel if layer.stride is None": "stride = (1, 1) if layer.stride is None"},
        "y",
    ),
    (
        "ignores ceil_mode",
        {"(-(-span // s) if layer.ceil_mode else span // s)": "max(span // s, 0)"},
        "y",
    ),
    (
        "rounds up always",
        {
            "(-(-span // s) if layer.ceil_mode else span // s)": "-(-span // s)",
            "if layer.ceil_mode and (o - 1)": "if (o - 1)",
        },
        "y",
    ),
    (
        "keeps a last window that begins in the padding",
        {
            "if layer.ceil_mode and (o - 1) * s >= n + p:": "if False:",
            "if max(dilation) > 1:": "if False:",
        },
        "y",
    ),
    (
        "counts the padding once",
        {"n + 2 * p - d * (k - 1) - 1": "max(0, n + p - d * (k - 1) - 1)"},
        "y",
    ),
]

MUTANTS = [
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer in ("MaxPool2d", "AvgPool2d")
        for mistake, edits, blames in _BOTH
    ),
    Mutant(
        "MaxPool2d",
        "starts from 0",
        {"-np.inf, x.dtype)": "0, x.dtype)", **_ANYWHERE},
        blames="y",
    ),
    Mutant(
        "MaxPool2d",
        "exchanges the padding of height and width",
        {"stride, padding, dilation)]": "stride, padding[::-1], dilation)]", **_ANYWHERE},
        blames="y",
    ),
    Mutant(
        "MaxPool2d",
        "exchanges the strides of height and width",
        {"stride, padding, dilation)]": "stride[::-1], padding, dilation)]", **_ANYWHERE},
        blames=("y", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "ignores the dilation",
        {"stride, padding, dilation)]": "stride, padding, (1, 1))]", **_ANYWHERE},
        blames="y",
    ),
    Mutant(
        "MaxPool2d",
        "the maximum is float64",
        {"-np.inf, x.dtype)": "-np.inf)"},
        blames="y",
    ),
    Mutant(
        "MaxPool2d",
        "the last of equal maxima wins",
        {"* np.int32(K - k)": "* np.int32(1 + k)", "K - rank)": "rank - 1)"},
        blames=("y 1", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "the indices are int32",
        {"(kept, indices())": "(kept, indices().astype(np.int32))"},
        blames=("y 1", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "the indices count the padding",
        {"(kept, indices())": "(kept, indices() + padding[0] * size[1] + padding[1])"},
        blames=("y 1", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "the indices run down the columns",
        {"(kept, indices())": "(kept, indices() % size[1] * size[0] + indices() // size[1])"},
        blames=("y 1", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "the indices run through all planes",
        {
            "(kept, indices())": "(kept, indices() + math.prod(size) * np.arange("
            "math.prod(x.shape[:-2])).reshape(*x.shape[:-2], 1, 1))"
        },
        blames=("y 1", "gradient of input 0"),
    ),
    Mutant(
        "MaxPool2d",
        "all of the equal maxima get the gradient",
        {
            _BINCOUNT: "dx = np.zeros_like(x)\n"
            "            for (rows, of_x), (columns, in_x) in itertools.product(*windows):\n"
            "                won = x[..., of_x, in_x] == y[..., rows, columns]\n"
            "                dx[..., of_x, in_x] += dy[..., rows, columns] * won"
        },
        blames=_INPUT,
    ),
    Mutant(
        "MaxPool2d",
        "windows that overlap overwrite each other's gradient",
        {_BINCOUNT: "dx = np.zeros(x.size)\n            dx[where.ravel()] = dy.ravel()"},
        blames=_INPUT,
    ),
    Mutant(
        "MaxPool2d",
        "all planes' gradients land in the first",
        {"where = planes * math.prod(size) + where": "where = planes * 0 + where"},
        blames=_INPUT,
    ),
    Mutant(
        "MaxPool2d",
        "spreads the gradient over the window",
        {_BINCOUNT: _BINCOUNT + " / math.prod(kernel)"},
        blames=_INPUT,
    ),
    Mutant(
        "MaxPool2d",
        "the gradient is the maximum's",
        {_BINCOUNT: _BINCOUNT.replace("dy.ravel()", "(dy * y).ravel()")},
        blames=_INPUT,
    ),
    Mutant(
        "MaxPool2d",
        "the gradient is float64",
        {"dx.reshape(x.shape).astype(x.dtype)": "dx.reshape(x.shape)"},
        blames=_INPUT,
    ),
    Mutant(
        "AvgPool2d",
        "exchanges the padding of height and width",
        {"stride, padding, (1, 1))]": "stride, padding[::-1], (1, 1))]"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "always counts the padding",
        {"if not self.count_include_pad:": "if False:"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "never counts the padding",
        {"if not self.count_include_pad:": "if True:"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "counts what is behind the right padding",
        {"last = np.minimum(first + k, n + p)": "last = first + k"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "ignores divisor_override",
        {"if self.divisor_override is not None:": "if False:"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "divides by divisor_override and by the count",
        {
            "return np.full((1, 1), self.divisor_override)": "return np.full((1, 1), "
            "self.divisor_override * math.prod(_geometry(self)[0]))"
        },
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "leaves the last row and column of a window out",
        {
            "for outputs, inputs in pairs:\n                y[": "for outputs, inputs in "
            "pairs[: max(1, len(pairs) - 1)]:\n                y["
        },
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "does not divide the gradient",
        {"dx = dy / divisor": "dx = dy * 1"},
        blames=_INPUT,
    ),
    Mutant(
        "AvgPool2d",
        "divides the gradient by the size of the kernel",
        {"dx = dy / divisor": "dx = dy / math.prod(kernel)"},
        blames=_INPUT,
    ),
    Mutant(
        "AvgPool2d",
        "windows that overlap overwrite each other's gradient",
        {
            "dx[along(axis, inputs)] += rows[along(axis, outputs)]": "dx[along(axis, inputs)] = "
            "rows[along(axis, outputs)]"
        },
        blames=_INPUT,
    ),
    Mutant(
        "AvgPool2d",
        "the gradient goes to the first row and column only",
        {
            "for outputs, inputs in pairs:\n                    dx": "for outputs, inputs in "
            "pairs[:1]:\n                    dx"
        },
        blames=_INPUT,
    ),
    Mutant(
        "AvgPool2d",
        "divides the caller's gradient",
        {"dx = dy / divisor": "dx = np.divide(dy, divisor, out=dy)"},
        blames="dy",
    ),
    Mutant(
        "AvgPool2d",
        "the divisor is int64, and so the mean float64",
        {"self._divisor(size, out).astype(x.dtype)": "self._divisor(size, out)"},
        blames="y",
    ),
    Mutant(
        "AvgPool2d",
        "the gradient is float64",
        {"np.zeros(_resized(dx, axis, n), dx.dtype)": "np.zeros(_resized(dx, axis, n))"},
        blames=_INPUT,
    ),
]
