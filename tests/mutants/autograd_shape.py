from tests.mutants import Mutant
from tests.mutants.autograd import _AVERAGED, _LARGEST, _SUM

_X = "gradient of input 0"

_WANTED = "wanted = [a.shape[i - ahead] if n == -1 and i >= ahead else n for i, n in "
_Y = "return np.broadcast_to(a, wanted).copy(), lambda dy: (unbroadcast(dy, a.shape),)"

_EXPAND = [
    (*_AVERAGED[:2], _X),
    (*_LARGEST[:2], _X),
    ("takes -1 for 1", {_WANTED: "wanted = [abs(n) for i, n in "}, ("y", "forward")),
    ("divides by the copies", {_Y: _Y.replace(".copy()", "/ a.dtype.type(max(1, "
     "np.prod(wanted, dtype=int) // max(a.size, 1)))")}, "y"),
    ("has no gradient", {_Y: _Y.replace("unbroadcast(dy, a.shape)", "None")}, _X),
    ("has a gradient of 1", {_Y: _Y.replace("dy,", "np.ones_like(dy),")}, _X),
    ("forgets to sum where it is expanded",
     {_Y: _Y.replace("unbroadcast(dy, a.shape)", "dy")}, _X),
    ("sums in float64", {_SUM: _SUM.replace("True", "True, dtype=np.float64")}, _X),
]  # fmt: skip

_Y = "return a.reshape(shape), lambda dy: (dy.reshape(before),)"

_RESHAPE = [
    ("fills column by column", {_Y: _Y.replace("(shape)", '(shape, order="F")')}, "y"),
    ("reverses the axes first", {_Y: _Y.replace("a.reshape", "a.T.reshape")}, "y"),
    ("makes a vector of it", {_Y: _Y.replace("(shape)", "(-1)")}, "y"),
    ("forgets to give dy its shape back", {_Y: _Y.replace("dy.reshape(before)", "dy")}, _X),
    ("unrolls dy column by column", {_Y: _Y.replace("(before)", '(before, order="F")')}, _X),
    ("has no gradient", {_Y: _Y.replace("dy.reshape(before)", "None")}, _X),
    ("has a gradient of 1", {_Y: _Y.replace("dy.reshape", "np.ones_like(dy).reshape")}, _X),
    ("returns the gradient in float64",
     {_Y: _Y.replace("dy.reshape", "(dy * np.float64(1)).reshape")}, _X),
    ("clears dy in place", {_Y: _Y.replace("dy.reshape(before)",
                                           "(dy.copy(), dy.fill(0))[0].reshape(before)")}, "dy"),
]  # fmt: skip

_ORDER = "order = tuple(axes) if axes else tuple(reversed(range(a.ndim)))"
_BACK = "back = np.argsort([i % a.ndim for i in order]) if a.ndim else ()"
_Y = "return a.transpose(order), lambda dy: (dy.transpose(*back),)"

_TRANSPOSE = [
    ("ignores the axes", {_ORDER: "order = tuple(reversed(range(a.ndim)))"}, "y"),
    ("goes back by the same order", {_BACK: "back = order"}, _X),
    ("goes back by the reversed order", {_BACK: "back = order[::-1]"}, _X),
    ("leaves the order as it is without axes",
     {_ORDER: "order = tuple(axes) if axes else tuple(range(a.ndim))"}, "y"),
    ("exchanges the last two without axes", {_ORDER: "order = tuple(axes) if axes else "
     "(*range(a.ndim - 2), *reversed(range(a.ndim)[-2:]))"}, "y"),
    ("takes negative axes for positive ones", {_BACK: _BACK.replace("i % a.ndim", "abs(i)")}, _X),
    ("forgets to put dy back", {_Y: _Y.replace("dy.transpose(*back)", "dy")}, _X),
    ("fills anew instead", {_Y: _Y.replace("dy.transpose(*back)", "dy.reshape(a.shape)")}, _X),
    ("has no gradient", {_Y: _Y.replace("dy.transpose(*back)", "None")}, _X),
]  # fmt: skip

_Y = "y = np.array(a[at])"
_ZEROS = "da = np.zeros_like(a)"
_ADD = "np.add.at(da, at, dy)"
_LAST = ("the last of several equal indices takes all", {_ADD: "da[at] = dy"}, _X)
_ADDED = ("adds once where an index is repeated", {_ADD: "da[at] += dy"}, _X)
_MEAN = (
    "averages over equal indices",
    {_ADD: f"{_ADD}; n = np.zeros_like(a); np.add.at(n, at, 1); da /= np.maximum(n, 1)"},
    _X,
)

_INDEX = [
    _LAST,
    _ADDED,
    _MEAN,
    ("takes rows and columns, not pairs", {_Y: "y = np.array(a[np.ix_(*at) if isinstance(at, tuple)"
     " and all(isinstance(i, np.ndarray) and i.ndim == 1 for i in at) else at])"}, "y"),
    ("leaves the axes of indices behind what stands between them", {_Y: f"{_Y}\n    kinds = "
     "[isinstance(i, np.ndarray) and i.ndim for i in at] if isinstance(at, tuple) else []\n"
     "    if kinds == [1, False, 1]:\n        y = np.moveaxis(y, 0, 1)"}, "y"),
    ("takes a negative index for 0", {"y = np.array(a[at])\n    parts =": "at = tuple("
     "np.maximum(i, 0) if isinstance(i, np.ndarray) else i for i in at) if isinstance(at, tuple)"
     " else np.maximum(at, 0) if isinstance(at, np.ndarray) else at\n"
     "    y = np.array(a[at])\n    parts ="}, ("y", _X)),
    ("keeps the axis of an integer",
     {_Y: "y = np.array(a[at])[np.newaxis] if isinstance(at, int) else np.array(a[at])"}, "y"),
    ("has a gradient of 1 everywhere", {_ZEROS: "da = np.ones_like(a)"}, _X),
    ("has no gradient of slices", {"da[at] = dy": "pass"}, _X),
    ("returns the gradient in float64", {_ZEROS: "da = np.zeros(a.shape)"}, _X),
    ("forgets dy of repeated places", {_ADD: "np.add.at(da, at, 1)"}, _X),
]  # fmt: skip

_BEFORE = "before = (slice(None),) * (axis % a.ndim)"
_TAKEN = "return index(a, (*before, indices))"

_INDEX_SELECT = [
    _LAST,
    _ADDED,
    _MEAN,
    ("ignores axis", {_BEFORE: "before = (slice(None),) * 0"}, ("y", "forward")),
    ("ignores the sign of axis", {_BEFORE: "before = (slice(None),) * min(abs(axis), a.ndim - 1)"},
     ("y", "forward")),
    ("sorts the indices", {_TAKEN: "return index(a, (*before, np.sort(indices)))"}, "y"),
    ("takes every index once", {_TAKEN: "return index(a, (*before, np.unique(indices)))"}, "y"),
    ("counts from 1", {_TAKEN: "return index(a, (*before, indices - 1))"}, "y"),
]  # fmt: skip

MUTANTS = [
    Mutant(f"autograd.{name}", mistake, edits, blames=q)
    for name, mistakes in {
        "expand": _EXPAND, "reshape": _RESHAPE, "transpose": _TRANSPOSE, "index": _INDEX,
        "index_select": _INDEX_SELECT,
    }.items()
    for mistake, edits, q in mistakes
]  # fmt: skip
