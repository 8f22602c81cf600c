from tests.mutants import Mutant
from tests.mutants.autograd import _edited

_X = "gradient of input 0"

# ---- functions -----------------------------------------------------------------------------------

_Y = "y = np.exp(a)\n"
_D = "return y, lambda dy: (dy * y,)"

_EXP = [
    ("is 2 to the a", {_Y: "y = np.exp2(a)\n"}, "y"),
    ("subtracts 1", {_Y: "y = np.expm1(a)\n"}, "y"),
    ("turns the sign of a", {_Y: "y = np.exp(-a)\n"}, "y"),
    ("lets dy through", {_D: "return y, lambda dy: (dy,)"}, _X),
    ("forgets dy", {_D: "return y, lambda dy: (y,)"}, _X),
    ("takes a for y in the slope", {_D: "return y, lambda dy: (dy * a,)"}, _X),
    ("adds dy to y", {_D: "return y, lambda dy: (dy + y,)"}, _X),
    ("is the series of four terms", {_Y: "y = 1 + a + a * a / 2 + a * a * a / 6\n"}, "y"),
]

_Y = "y = np.log(a)\n"
_D = "return (dy / a,)"

_LOG = [
    ("takes the logarithm to base 2", {_Y: "y = np.log2(a)\n"}, "y"),
    ("adds a little to a", {_Y: "y = np.log(a + a.dtype.type(1e-6))\n"}, "y"),
    ("has a floor under the logarithm", {_Y: "y = np.log(np.maximum(a, 1e-6))\n"}, "y"),
    ("takes |a|", {_Y: "y = np.log(np.abs(a))\n"}, "y"),
    ("adds 1 to a", {_Y: "y = np.log1p(a)\n"}, "y"),
    ("multiplies by a", {_D: "return (dy * a,)"}, _X),
    ("divides by y", {_D: "return (dy / y,)"}, _X),
    ("forgets dy", {_D: "return (np.ones_like(dy) / a,)"}, _X),
    ("has no gradient below 0", {_D: "return (np.where(a < 0, 0, dy / a).astype(a.dtype),)"}, _X),
]

_Y = "y = 1 / (1 + np.exp(-a))"
_D = "return y, lambda dy: (dy * (y * (1 - y)),)"

_SIGMOID = [
    ("forgets the minus", {_Y: "y = 1 / (1 + np.exp(a))"}, "y"),
    ("is off by a half", {_Y: "y = 1 / (1 + np.exp(-a)) - a.dtype.type(0.5)"}, "y"),
    ("is tanh", {_Y: "y = np.tanh(a)"}, "y"),
    ("overflows", {_Y: "y = np.exp(a) / (1 + np.exp(a))"}, "y"),
    ("forgets 1 - y", {_D: _D.replace("y * (1 - y)", "y")}, _X),
    ("forgets y", {_D: _D.replace("y * (1 - y)", "1 - y")}, _X),
    ("adds y", {_D: _D.replace("1 - y", "1 + y")}, _X),
    ("has the slope of tanh", {_D: _D.replace("y * (1 - y)", "1 - y * y")}, _X),
    ("takes x for y in the slope", {_D: _D.replace("y * (1 - y)", "a * (1 - a)")}, _X),
]

_Y = "y = np.tanh(a)\n"
_D = "return y, lambda dy: (dy * (1 - y * y),)"

_TANH = [
    ("halves x", {_Y: "y = np.tanh(a / 2)\n"}, "y"),
    ("overflows", {_Y: "y = (np.exp(2 * a) - 1) / (np.exp(2 * a) + 1)\n"}, "y"),
    ("forgets to square y", {_D: _D.replace("y * y", "y")}, _X),
    ("adds y²", {_D: _D.replace("1 - y", "1 + y")}, _X),
    ("has the slope of the sigmoid", {_D: _D.replace("1 - y * y", "y * (1 - y)")}, _X),
    ("takes x for y in the slope", {_D: _D.replace("y * y", "a * a")}, _X),
    ("lets dy through", {_D: "return y, lambda dy: (dy,)"}, _X),
    ("squares y where it stands", {_D: _D.replace("y * y", "np.multiply(y, y, out=y)")}, "y"),
]

_Y = "y = np.clip(a, 0, np.inf)"
_D = "return y, lambda dy: (dy * ~blocked,)"

_RELU = [
    ("leaks", {_Y: "y = np.where(a > 0, a, a / 64)"}, "y"),
    ("stops at 6", {_Y: "y = np.clip(a, 0, 6)"}, "y"),
    ("is |a|", {_Y: "y = np.abs(a)"}, "y"),
    ("clips x in place", {_Y: "y = np.maximum(a, 0, out=np.atleast_1d(a)).reshape(a.shape)"},
     "input 0"),
    ("has slope 1 at 0", {_D: _D.replace("~blocked", "(y == a)")}, _X),
    ("has slope 1/2 at 0", {_D: _D.replace("~blocked", "np.heaviside(a, a.dtype.type(0.5))")}, _X),
    ("lets dy through", {_D: "return y, lambda dy: (dy,)"}, _X),
    ("lets only positive dy through", {_D: "return y, lambda dy: (np.maximum(dy, 0),)"}, _X),
]  # fmt: skip

# ---- reductions ----------------------------------------------------------------------------------

_Y = "y = np.asarray(a.sum(axis, keepdims=keepdims))"
_D = "return y, lambda dy: (np.broadcast_to(_kept(dy, a, axis, keepdims), a.shape).copy(),)"
_AXES = "range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)"

_SUM = [
    ("ignores keepdims", {_Y: "y = np.asarray(a.sum(axis))"}, "y"),
    ("ignores axis", {_Y: "y = np.asarray(a.sum(keepdims=keepdims))"}, "y"),
    ("takes the mean", {_Y: "y = a.sum(axis, keepdims=keepdims) / a.dtype.type(max(a.size, 1))"},
     "y"),
    ("sums in float64", {_Y: "y = np.asarray(a.sum(axis, np.float64, keepdims=keepdims))"}, "y"),
    ("is nan for nothing", {_Y: f"{_Y}\n    y = y if a.size else y * a.dtype.type(np.nan)"}, "y"),
    ("leaves the first out", {_Y: "y = np.asarray((a - a.ravel()[:1].sum()).sum(axis,"
                                  " keepdims=keepdims))"}, "y"),
    ("divides the gradient by the number of terms", _edited(_D, ("_kept(dy,",
     "_kept(dy / max(a.size // max(y.size, 1), 1),")), _X),
    ("has a gradient of 1", _edited(_D, ("_kept(dy,", "_kept(np.ones_like(dy),")), _X),
    ("keeps one axis of several", {_AXES: "range(a.ndim) if axis is None else axis[:1] "
                                          "if isinstance(axis, tuple) else (axis,)"}, "forward"),
    ("has no gradient", {_D: "return y, lambda dy: (None,)"}, _X),
]  # fmt: skip

_Y = "y = np.asarray(a.mean(axis, keepdims=keepdims))"
_N = "n = a.dtype.type(a.size // max(y.size, 1) or 1)"

_MEAN = [
    ("ignores keepdims", {_Y: "y = np.asarray(a.mean(axis))"}, "y"),
    ("ignores axis", {_Y: "y = np.asarray(a.mean(keepdims=keepdims))"}, "y"),
    ("takes the sum", {_Y: "y = np.asarray(a.sum(axis, keepdims=keepdims))"}, "y"),
    ("divides by n - 1", {_Y: f"{_Y}\n        n = a.size // max(y.size, 1)\n"
                              "        y = y * a.dtype.type(n / max(n - 1, 1))"}, "y"),
    ("is 0 for nothing", {"np.full_like(a.sum(axis, keepdims=keepdims), np.nan)":
                          "np.full_like(a.sum(axis, keepdims=keepdims), 0)"}, "y"),
    ("forgets to divide the gradient of a mean", {_N: "n = a.dtype.type(1)"}, _X),
    ("divides by all elements", {_N: "n = a.dtype.type(max(a.size, 1))"}, _X),
    ("divides by the size of the first axis", {_N: "n = a.dtype.type(max(a.shape or (1,))"
     " if axis is None else max(a.shape[0], 1))"}, _X),
    ("returns the gradient in float64", {_N: "n = np.float64(a.size // max(y.size, 1) or 1)"}, _X),
]  # fmt: skip

_Y = "y = np.asarray(a.max(axis, keepdims=True))"
_R = "result = y if keepdims else y.reshape(a.max(axis).shape)"
_S = "share = _kept(dy, a, axis, keepdims) / largest.sum(axis, keepdims=True, dtype=a.dtype)"

_MAX = [
    ("takes the smallest", {_Y: _Y.replace("max", "min")}, "y"),
    ("ignores keepdims", {_R: "result = y.reshape(a.max(axis).shape)"}, "y"),
    ("is the largest |a|", {_R: "result = np.abs(a).max(axis, keepdims=keepdims)"}, "y"),
    ("all of the equal maxima get the gradient", {_S: "share = _kept(dy, a, axis, keepdims)"}, _X),
    ("lets dy through", {"return (largest * share,)":
                         "return (np.ones_like(a) * _kept(dy, a, axis, keepdims),)"}, _X),
    ("divides by all elements", {_S: f"{_S} * largest.mean(axis, keepdims=True, dtype=a.dtype)"},
     _X),
    ("takes what is nearly the largest", {"largest = a == y": "largest = a >= y - 1"}, _X),
    ("forgets dy", {_S: _S.replace("_kept(dy,", "_kept(np.ones_like(dy),")}, _X),
]  # fmt: skip

# ---- through layers ------------------------------------------------------------------------------

_CALL = 'return self._through("Softmax", {}, dim=axis)'
_VJP = "grads = back(dy)"

_SOFTMAX = [
    ("ignores axis", {_CALL: _CALL.replace("axis", "-1")}, "y"),
    ("takes the first axis", {_CALL: _CALL.replace("axis", "0")}, "y"),
    ("leaves the axis to the layer", {_CALL: _CALL.replace("axis", "None")}, "y"),
    ("is its logarithm", {_CALL: _CALL.replace("Softmax", "LogSoftmax")}, "y"),
    ("is that of -x", {_CALL: _CALL.replace("Softmax", "Softmin")}, "y"),
    ("forgets dy", {_VJP: "grads = back(np.ones_like(dy))"}, _X),
    ("ignores the sign of dy", {_VJP: "grads = back(np.abs(dy))"}, _X),
    ("lets dy through", {_VJP: f"{_VJP}\n            return (dy,)"}, _X),
]

_CALL = 'return self._through("CrossEntropyLoss", state, target, **options)'


def _told(change: str) -> dict[str, str]:
    return {_CALL: f"options |= {change}\n        {_CALL}"}


_CROSS_ENTROPY = [
    ("takes the softmax first", {_CALL: f"axis = 1 if self.ndim > 1 else 0\n        return "
     f"{_CALL.replace('return self', 'self.softmax(axis)')}"}, "y"),
    ("ignores weight", {_CALL: "state = {n: np.ones_like(w) for n, w in state.items()}\n"
                               f"        {_CALL}"}, "y"),
    ("ignores label_smoothing", _told('{"label_smoothing": 0.0}'), "y"),
    ("ignores reduction", _told('{"reduction": "mean", "reduce": None, "size_average": None}'),
     "y"),
    ("ignores ignore_index", _told('{"ignore_index": -100}'), ("y", "forward")),
    ("forgets dy", {_VJP: "grads = back(np.ones_like(dy))"}, _X),
    ("ignores the sign of dy", {_VJP: "grads = back(np.abs(dy))"}, _X),
    ("has no gradient for the target", {_CALL: _CALL.replace("state, target", "state, "
     "target.data if isinstance(target, Tensor) else target")}, "gradient of input 1"),
    ("gives the target the prediction's gradient", {"_collect(form, grads.inputs, found)":
     "_collect(form, (grads.inputs[0], grads.inputs[0]), found)"}, "gradient of input 1"),
]  # fmt: skip

MUTANTS = [
    Mutant(f"autograd.{name}", mistake, edits, blames=q)
    for name, mistakes in {
        "exp": _EXP, "log": _LOG, "sigmoid": _SIGMOID, "tanh": _TANH, "relu": _RELU,
        "sum": _SUM, "mean": _MEAN, "max": _MAX, "softmax": _SOFTMAX,
        "cross_entropy": _CROSS_ENTROPY,
    }.items()
    for mistake, edits, q in mistakes
]  # fmt: skip
