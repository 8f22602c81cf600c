from tests.mutants import Mutant

_DX = "gradient of input 0"
_Y = "x.reshape(*shape[:start], size, *shape[end + 1 :])"
_BACK = "return Grads((dy.reshape(x.shape),))"
_SIZE = "size = math.prod(shape[start : end + 1])"
_AXES = "start, end = (self._axis(dim, len(shape)) for dim in (self.start_dim, self.end_dim))"

_FLATTEN = [
    ("forgets to give dy its shape back", {_BACK: "return Grads((dy,))"}, _DX),
    (
        "unrolls dy column by column",
        {_BACK: 'return Grads((dy.reshape(x.shape, order="F"),))'},
        _DX,
    ),
    ("has no gradient", {_BACK: "return Grads((None,))"}, _DX),
    ("has a gradient of 1", {_BACK: "return Grads((np.ones_like(dy).reshape(x.shape),))"}, _DX),
    (
        "averages the gradient over what was flattened",
        {_BACK: "return Grads((dy.reshape(x.shape) / max(size, 1),))"},
        _DX,
    ),
    (
        "returns the gradient in float64",
        {_BACK: "return Grads((np.array(dy, float).reshape(x.shape),))"},
        _DX,
    ),
    (
        "clears dy after use",
        {
            _BACK: "dx = dy.reshape(x.shape).copy()\n            dy *= 0\n"
            "            return Grads((dx,))"
        },
        "dy",
    ),
    ("unrolls x column by column", {_Y: _Y.replace("1 :])", '1 :], order="F")')}, "y"),
    ("reverses the axes first", {_Y: _Y.replace("x.", "x.T.")}, "y"),
    (
        "leaves end_dim out",
        {_SIZE: "end = max(end - 1, start)\n        size = math.prod(shape[start : end + 1])"},
        "y",
    ),
    ("ignores end_dim", {_AXES: f"{_AXES}\n        end = len(shape) - 1"}, "y"),
    ("ignores start_dim", {_AXES: f"{_AXES}\n        start = min(1, end)"}, "y"),
    ("reads start_dim=-1 as 1", {"return dim % axes": "return min(abs(dim), axes - 1)"}, "y"),
    ("flattens the batch too", {_Y: "x.reshape(-1)"}, "y"),
    ("keeps an axis of size 1", {_Y: _Y.replace("size,", "size, 1,")}, "y"),
    ("adds the sizes up", {_SIZE: "size = sum(shape[start : end + 1])"}, "forward"),
    (
        "returns the same array every time",
        {
            f"return Forward({_Y}, vjp)": "key = x.shape, x.dtype, self\n"
            "        y = _KEPT.setdefault(key, x.copy())\n"
            "        y[...] = x\n"
            f"        return Forward({_Y.replace('x.', 'y.')}, vjp)",
            '"""Flatten:': '_KEPT = {}\n"""Flatten:',
        },
        "y",
    ),
]

MUTANTS = [Mutant("Flatten", mistake, edits, blames=q) for mistake, edits, q in _FLATTEN]
