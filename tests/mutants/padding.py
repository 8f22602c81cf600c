from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_FILLED = "np.full(shape, value, x.dtype)"
_ORDER = "[*zip(numbers[-2::-2], numbers[::-2], strict=True)]"
_COPIED = "dx[along(axis, slice(j, j + 1))] += dy[along(axis, slice(i, i + 1))]"
_INSIDE = "dx[along(axis, kept)] = dy[along(axis, inside)]"
_KEPT = "slice(max(0, -before), max(0, -before, n + min(0, after)))"
_REFLECT = "return (n - 1) - abs((n - 1) - abs(j))"
_REPLICATE = "return min(max(j, 0), n - 1)"
_CIRCULAR = "source: int = first + (j - first) % size"

_KINDS = ("Reflection", "Replication", "Circular", "Zero", "Constant")
_COPYING = _KINDS[:3]

Edits = dict[str, str]
Table = list[tuple[str, Edits, str | tuple[str, ...]]]

_ALL: Table = [
    (
        "exchanges before and after",
        {_ORDER: "[*zip(numbers[::-2], numbers[-2::-2], strict=True)]"},
        "y",
    ),
    (
        "ignores negative numbers",
        {'numbers = per_axis(layer, "padding", 2 * axes)': "numbers = tuple(max(0, n) for n in "
         'per_axis(layer, "padding", 2 * axes))'},
        "y",
    ),
    (
        "the padded image is float64",
        {_FILLED: "np.full(shape, float(value))"},
        "y",
    ),
    (
        "the gradient is float64",
        {"np.zeros(x.shape, dy.dtype)": "np.zeros(x.shape)"},
        _INPUT,
    ),
    (
        "takes the gradient from the first pixels of dy",
        {"= dy[along(axis, inside)]": "= dy[along(axis, slice(inside.stop - inside.start))]"},
        _INPUT,
    ),
    (
        "lets the gradient of one pixel out",
        {_INSIDE: f"{_INSIDE}\n        dx[along(axis, slice(kept.start, kept.start + 1))] *= 0"},
        _INPUT,
    ),
]  # fmt: skip
_FILLING: Table = [
    (
        "the gradient of what was cut off is 1",
        {"np.zeros(x.shape, dy.dtype)": "np.ones(x.shape, dy.dtype)"},
        _INPUT,
    ),
    (
        "cuts off at the wrong end",
        {_KEPT: "slice(max(0, -after), max(0, -after, n + min(0, before)))"},
        "y",
    ),
]
_SEVERAL_AXES: Table = [
    (
        "takes the numbers to begin with the first axis",
        {_ORDER: "[*zip(numbers[::2], numbers[1::2], strict=True)]"},
        ("y", "forward"),  # where the image is too small for what is then asked
    ),
    (
        "pads the last axis only",
        {"if (before, after) != (0, 0):": "if axis == -1 and (before, after) != (0, 0):"},
        "y",
    ),
]
_COPIES: Table = [
    (
        "drops the gradient of the copies",
        {_COPIED: "pass"},
        _INPUT,
    ),
    (
        "a pixel that was copied gets the gradient of one copy",
        {_COPIED: _COPIED.replace("+=", "=")},
        _INPUT,
    ),
    (
        "puts 0 in the place of the copies",
        {
            "y[along(axis, slice(i, i + 1))] = x[along(axis, slice(j, j + 1))]": "pass",
        },
        "y",
    ),
]
_OF_A_KIND: dict[str, Table] = {
    "Reflection": [
        ("repeats the border too", {_REFLECT: "return -1 - j if j < 0 else 2 * n - 1 - j"}, "y"),
        ("starts anew instead", {_REFLECT: "return j % n"}, "y"),
    ],
    "Replication": [
        (
            "repeats more than the border",
            {_REPLICATE: "return min(max(0, -1 - j if j < 0 else 2 * n - 1 - j), n - 1)"},
            "y",
        ),
        ("repeats the last pixel on both sides", {_REPLICATE: "return n - 1"}, "y"),
    ],
    "Circular": [
        ("begins too late", {_CIRCULAR: _CIRCULAR.replace("- first)", "- first - 1)")}, "y"),
        ("starts anew with what was cut off", {_CIRCULAR: "source: int = j % n"}, "y"),
    ],
    "Zero": [
        ("adds ones", {_FILLED: "np.full(shape, value + 1, x.dtype)"}, "y"),
    ],
    "Constant": [
        ("adds zeros", {_FILLED: "np.full(shape, 0, x.dtype)"}, "y"),
        ("adds the value's magnitude", {_FILLED: "np.full(shape, abs(value), x.dtype)"}, "y"),
    ],
}  # fmt: skip


def _tables(kind: str, axes: int) -> Table:
    return [
        *_ALL,
        *(_COPIES if kind in _COPYING else _FILLING),
        *(_SEVERAL_AXES if axes > 1 else []),
        *_OF_A_KIND[kind],
    ]


MUTANTS = [
    Mutant(f"{kind}Pad{axes}d", mistake, edits, blames=blames)
    for kind in _KINDS
    for axes in (1, 2, 3)
    for mistake, edits, blames in _tables(kind, axes)
]
