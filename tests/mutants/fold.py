from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_OUT = "(n + 2 * p - d * (k - 1) - 1) // s + 1"
_WINDOWS = "[*itertools.product(*map(taps, size, out, *geometry))]"
_PUT = "columns[..., k, *at] = image[..., *of]"
_ADD = "image[..., *of] += columns[..., k, *at]"
_FOLDED = "_fold(x, size, out, windows)"
_ROWS = "columns.reshape(*batch, C * len(windows), math.prod(out))"
_BACK = "columns.reshape(*batch, C, len(windows), *out)"

MUTANTS = [
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer, forward, backward in (("Unfold", "y", _INPUT), ("Fold", _INPUT, "y"))
        for mistake, edits, blames in (
            (
                "exchanges the strides of height and width",
                {_WINDOWS: _WINDOWS.replace("*geometry", "geometry[0], geometry[1][::-1], "
                 "*geometry[2:]")},
                "y",
            ),
            (
                "takes the windows down the columns",
                {_WINDOWS: "[w[::-1] for w in itertools.product(*[*map(taps, size, out, "
                 "*geometry)][::-1])]"},
                "y",
            ),
            (
                "ignores the dilation but in the number of windows",
                {_WINDOWS: _WINDOWS.replace("*geometry", "*geometry[:3], (1, 1)")},
                "y",
            ),
            (
                "ignores the padding but in the number of windows",
                {_WINDOWS: _WINDOWS.replace("*geometry", "*geometry[:2], (0, 0), geometry[3]")},
                "y",
            ),
            (
                "the position in the window comes before the channel",
                {
                    _ROWS: "columns.swapaxes(-4, -3).reshape(*batch, C * len(windows), "
                    "math.prod(out))",
                },
                forward,
            ),
            (
                "takes the position in the window to come before the channel",
                {_BACK: "columns.reshape(*batch, len(windows), C, *out).swapaxes(-4, -3)"},
                backward,
            ),
            (
                "takes the windows column by column",
                {
                    _ROWS: "columns.swapaxes(-1, -2).reshape(*batch, C * len(windows), "
                    "math.prod(out))",
                },
                forward,
            ),
            (
                "takes the columns to be windows down the image",
                {
                    _BACK: "columns.reshape(*batch, C, len(windows), *out[::-1])"
                    ".swapaxes(-1, -2)",
                },
                backward,
            ),
            (
                "windows that overlap overwrite each other",
                {_ADD: _ADD.replace("+=", "=")},
                backward,
            ),
            (
                "flips the windows",
                {_PUT: _PUT.replace("k, *at", "len(windows) - 1 - k, *at")},
                forward,
            ),
            (
                "adds the windows up flipped",
                {_ADD: _ADD.replace("k, *at", "len(windows) - 1 - k, *at")},
                backward,
            ),
            (
                "the columns are float64",
                {"*out), image.dtype)": "*out))"},
                forward,
            ),
            (
                "the image is float64",
                {"*size), columns.dtype)": "*size))"},
                backward,
            ),
        )
    ),
    Mutant(
        "Fold",
        "divides by the number of windows that overlap",
        {_FOLDED: f"{_FOLDED} / np.maximum(1, _fold(np.ones_like(x), size, out, windows))"},
        blames="y",
    ),
    Mutant(
        "Unfold",
        "rounds the number of windows up",
        {_OUT: "-(-(n + 2 * p - d * (k - 1) - 1) // s) + 1"},
        blames="y",
    ),
]  # fmt: skip
