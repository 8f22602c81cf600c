from tests.mutants import Mutant

_X, _Y = "gradient of input 0", "gradient of input 1"
_BOTH = (_X, _Y)

_SUM = "g.sum((*range(ahead), *stretched), keepdims=True)"
_AVERAGED = ("averages the gradient over the copies", {_SUM: _SUM.replace("sum", "mean")}, _BOTH)
_LARGEST = (
    "takes the largest of the copies' gradients",
    {_SUM: _SUM.replace("sum(", "max(").replace("True", "True, initial=0")},
    _BOTH,
)
_FLOAT64 = (
    "takes numbers for float64",
    {"Tensor(np.asarray(x, other.data.dtype))": "Tensor(np.asarray(x, np.float64))"},
    "y",
)


def _exchanged(name: str, f: str) -> tuple[str, dict[str, str], str]:
    call = f'_binary("{name}", ops.{f}, self, other)'
    other = f'_binary("{name}", lambda a, b: ops.{f}(b, a), self, other)'
    return ("exchanges the operands", {call: other}, "y")


def _edited(line: str, *changes: tuple[str, str]) -> dict[str, str]:
    new = line
    for old, text in changes:
        assert old in new, (line, old)
        new = new.replace(old, text)
    return {line: new}


_L = "return a + b, lambda dy: (unbroadcast(dy, shapes[0]), unbroadcast(dy, shapes[1]))"

_ADD = [
    _AVERAGED,
    _LARGEST,
    _FLOAT64,
    (
        "forgets to sum where the left is broadcast",
        _edited(_L, ("unbroadcast(dy, shapes[0])", "dy")),
        _X,
    ),
    (
        "forgets to sum where the right is broadcast",
        _edited(_L, ("unbroadcast(dy, shapes[1])", "dy")),
        _Y,
    ),
    ("subtracts", _edited(_L, ("a + b", "a - b")), "y"),
    (
        "turns the sign for the right",
        _edited(_L, ("unbroadcast(dy, shapes[1])", "unbroadcast(-dy, shapes[1])")),
        _Y,
    ),
    (
        "has no gradient for the right",
        _edited(_L, ("unbroadcast(dy, shapes[1])", "None")),
        _Y,
    ),
    ("halves the gradients", _edited(_L, ("(dy,", "(dy / 2,")), _BOTH),
]

_L = "return a - b, lambda dy: (unbroadcast(dy, shapes[0]), unbroadcast(-dy, shapes[1]))"

_SUB = [
    _AVERAGED,
    _exchanged("sub", "subtract"),
    ("adds", _edited(_L, ("a - b", "a + b")), "y"),
    (
        "forgets the minus for the right",
        _edited(_L, ("unbroadcast(-dy, shapes[1])", "unbroadcast(dy, shapes[1])")),
        _Y,
    ),
    (
        "turns both signs",
        _edited(_L, ("(dy, shapes[0])", "(-dy, shapes[0])")),
        _X,
    ),
    (
        "negates dy in place",
        _edited(_L, ("(dy, shapes[0])", "(dy.copy(), shapes[0])"),
                ("(-dy, shapes[1])", "(np.negative(dy, out=dy), shapes[1])")),
        "dy",
    ),
    (
        "forgets to sum where the right is broadcast",
        _edited(_L, ("unbroadcast(-dy, shapes[1])", "-dy")),
        _Y,
    ),
    ("is |a - b|", _edited(_L, ("a - b", "np.abs(a - b)")), "y"),
]  # fmt: skip

_L = "return a * b, lambda dy: (unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape))"

_MUL = [
    _AVERAGED,
    _LARGEST,
    _FLOAT64,
    ("adds", _edited(_L, ("a * b", "a + b")), "y"),
    (
        "forgets the other factor",
        _edited(_L, ("dy * b", "dy * np.ones_like(b)")),
        _X,
    ),
    (
        "takes the product for the other factor",
        _edited(_L, ("dy * a", "dy * a * b")),
        _Y,
    ),
    ("takes a for b", _edited(_L, ("dy * b", "dy * a * np.ones_like(b)")), _X),
    ("forgets dy for the right", _edited(_L, ("dy * a", "np.ones_like(dy) * a")), _Y),
    (
        "multiplies sums instead of summing products",
        _edited(_L, ("unbroadcast(dy * b, a.shape)",
                     "unbroadcast(dy, a.shape) * unbroadcast(b + 0 * dy, a.shape)")),
        _X,
    ),
    (
        "forgets to sum where the left is broadcast",
        _edited(_L, ("unbroadcast(dy * b, a.shape)", "dy * b")),
        _X,
    ),
]  # fmt: skip

_Q = "return unbroadcast(da, a.shape), unbroadcast(-da * y, b.shape)"

_R = "        y = a / b\n"

_DIV = [
    _AVERAGED,
    _exchanged("div", "divide"),
    ("rounds down", {_R: _R.replace("/", "//")}, "y"),
    ("adds a little to the divisor", {_R: _R.replace("b", "(b + b.dtype.type(1e-6))")}, "y"),
    ("forgets the minus for the divisor", _edited(_Q, ("-da * y", "da * y")), _Y),
    ("forgets the square of the divisor", _edited(_Q, ("-da * y", "-da * a")), _Y),
    ("forgets the numerator", _edited(_Q, ("-da * y", "-da / b")), _Y),
    (
        "forgets the divisor",
        _edited(_Q, ("unbroadcast(da, a.shape)", "unbroadcast(dy, a.shape)")),
        _X,
    ),
    (
        "multiplies by the divisor",
        _edited(_Q, ("unbroadcast(da, a.shape)", "unbroadcast(dy * b, a.shape)")),
        _X,
    ),
    (
        "has no gradient for the divisor",
        _edited(_Q, ("unbroadcast(-da * y, b.shape)", "None")),
        _Y,
    ),
]

_DA = "np.where(b == 0, b.dtype.type(0), dy * (b * a ** (b - one)))"
_DB = "np.where((a == 0) & (b >= 0), a.dtype.type(0), dy * (y * np.log(a)))"

_POW = [
    _AVERAGED,
    _exchanged("pow", "power"),
    ("raises |a|", {"y = a**b": "y = np.abs(a) ** b"}, "y"),
    ("is exp(b ln a)", {"y = a**b": "y = np.exp(b * np.log(a))"}, "y"),
    ("forgets the exponent", _edited(_DA, ("b * a", "a")), _X),
    ("forgets to lower the exponent", _edited(_DA, ("b - one", "b")), _X),
    ("forgets dy for the base", _edited(_DA, ("dy * (b", "np.ones_like(dy) * (b")), _X),
    ("is nan for a base of 0 to the 0", {_DA: "dy * (b * a ** (b - one))"}, _X),
    ("forgets the logarithm", _edited(_DB, (" * np.log(a)", "")), _Y),
    ("takes the logarithm to base 2", _edited(_DB, ("np.log(a)", "np.log2(a)")), _Y),
    ("takes the logarithm of the exponent", _edited(_DB, ("np.log(a)", "np.log(np.abs(b))")), _Y),
    ("is nan for the exponent of 0", {_DB: "dy * (y * np.log(a))"}, _Y),
]

_L = "return -a, lambda dy: (-dy,)"

_NEG = [
    ("returns a itself", _edited(_L, ("-a", "a")), "y"),
    ("is |a|", _edited(_L, ("-a", "np.abs(a)")), "y"),
    ("subtracts from 1", _edited(_L, ("-a", "1 - a")), "y"),
    ("lets dy through", _edited(_L, ("(-dy,)", "(dy,)")), _X),
    ("has no gradient", _edited(_L, ("(-dy,)", "(None,)")), _X),
    ("has a gradient of -1", _edited(_L, ("(-dy,)", "(-np.ones_like(dy),)")), _X),
    ("negates dy in place", _edited(_L, ("(-dy,)", "(np.negative(dy, out=dy),)")), "dy"),
    ("returns the gradient in float64", _edited(_L, ("(-dy,)", "(-dy * np.float64(1),)")), _X),
]

_P = "y = np.asarray(a @ b)"
_BACK_A = "da = dy @ np.swapaxes(columns, -1, -2)"
_BACK_B = "db = np.swapaxes(rows, -1, -2) @ dy"
_SQUARE = "columns.shape[-1] == columns.shape[-2]"

_MATMUL = [
    _AVERAGED,
    _LARGEST,
    (
        "keeps the axis of a vector",
        {_P: "y = np.asarray(np.atleast_2d(a) @ (b[:, np.newaxis] if b.ndim == 1 else b))"},
        "y",
    ),
    (
        "multiplies by the transpose where that is square",
        {_P: "y = np.asarray(a @ (np.swapaxes(b, -1, -2)"
             " if b.ndim > 1 and b.shape[-1] == b.shape[-2] else b))"},
        "y",
    ),
    ("returns float64", {_P: "y = np.asarray(a.astype(float) @ b)"}, "y"),
    (
        "goes back through b where it is square",
        {_BACK_A: f"da = dy @ (columns if {_SQUARE} else np.swapaxes(columns, -1, -2))"},
        _X,
    ),
    (
        "goes back through a where it is square",
        {_BACK_B: "db = (rows if rows.shape[-1] == rows.shape[-2] else "
                  "np.swapaxes(rows, -1, -2)) @ dy"},
        _Y,
    ),
    ("forgets dy for the left", {_BACK_A: _BACK_A.replace("dy @", "np.ones_like(dy) @")}, _X),
    ("forgets dy for the right", {_BACK_B: _BACK_B.replace("@ dy", "@ np.ones_like(dy)")}, _Y),
    ("averages over the rows", {_BACK_B: f"{_BACK_B} / max(rows.shape[-2], 1)"}, _Y),
    (
        "has no gradient for a vector on the right",
        {"unbroadcast(db, columns.shape).reshape(b.shape),":
         "unbroadcast(db, columns.shape).reshape(b.shape) if b.ndim > 1 else None,"},
        _Y,
    ),
]  # fmt: skip

MUTANTS = [
    Mutant(f"autograd.{name}", mistake, edits, blames=q)
    for name, mistakes in {
        "add": _ADD, "sub": _SUB, "mul": _MUL, "div": _DIV, "pow": _POW, "neg": _NEG,
        "matmul": _MATMUL,
    }.items()
    for mistake, edits, q in mistakes
]  # fmt: skip
