from tests.mutants import Mutant

_DX = "gradient of input 0"
_Y = "x.reshape(*shape[:start], size, *shape[end + 1 :])"
_GRADS = "return Grads((dy.reshape(x.shape),))"
_END = f"\n\n        return Forward({_Y}, vjp)"
_SIZE = "size = math.prod(shape[start : end + 1])"
_AXES = "start, end = (_axis(self, dim, len(shape)) for dim in (self.start_dim, self.end_dim))"


def _back(new: str, end: str = _END) -> dict[str, str]:
    """Another return of a backward pass; what comes behind tells the layers apart."""
    return {_GRADS + end: new + end}


_FLATTEN = [
    ("forgets to give dy its shape back", _back("return Grads((dy,))"), _DX),
    (
        "unrolls dy column by column",
        _back('return Grads((dy.reshape(x.shape, order="F"),))'),
        _DX,
    ),
    ("has no gradient", _back("return Grads((None,))"), _DX),
    ("has a gradient of 1", _back("return Grads((np.ones_like(dy).reshape(x.shape),))"), _DX),
    (
        "averages the gradient over what was flattened",
        _back("return Grads((dy.reshape(x.shape) / max(size, 1),))"),
        _DX,
    ),
    (
        "returns the gradient in float64",
        _back("return Grads((np.array(dy, float).reshape(x.shape),))"),
        _DX,
    ),
    (
        "clears dy after use",
        _back(
            "dx = dy.reshape(x.shape).copy()\n            dy *= 0\n            return Grads((dx,))"
        ),
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
            '"""Shapes:': '_KEPT = {}\n"""Shapes:',
        },
        "y",
    ),
]

_Z = "x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])"
_OTHER = f"\n\n        return Forward({_Z}, vjp)"
_LEFT = "sizes = tuple(n // known if s == -1 else s for s in sizes)"

_UNFLATTEN = [
    ("forgets to give dy its shape back", _back("return Grads((dy,))", _OTHER), _DX),
    (
        "unrolls dy column by column",
        _back('return Grads((dy.reshape(x.shape, order="F"),))', _OTHER),
        _DX,
    ),
    ("has no gradient", _back("return Grads((None,))", _OTHER), _DX),
    (
        "returns the gradient in float64",
        _back("return Grads((np.array(dy, float).reshape(x.shape),))", _OTHER),
        _DX,
    ),
    ("fills column by column", {_Z: _Z.replace("1 :])", '1 :], order="F")')}, "y"),
    ("reverses the sizes", {_Z: _Z.replace("*sizes", "*sizes[::-1]")}, "y"),
    (
        "puts the new axes last",
        {_Z: "x.reshape(*x.shape[:axis], *x.shape[axis + 1 :], *sizes)"},
        "y",
    ),
    ("takes 1 for -1", {_LEFT: "sizes = (n // known, *(abs(s) for s in sizes))"}, "y"),
    (
        "counts from the front only",
        {"return dim % axes": "return abs(dim) % axes"},
        ("y", "forward"),
    ),
]

_COPY = "return Forward(x, lambda dy: Grads((dy,)))"

_IDENTITY = [
    ("gives no gradient", {_COPY: "return Forward(x, lambda dy: Grads((None,)))"}, _DX),
    (
        "has a gradient of 1",
        {_COPY: "return Forward(x, lambda dy: Grads((np.ones_like(dy),)))"},
        _DX,
    ),
    (
        "has a gradient of float64",
        {_COPY: "return Forward(x, lambda dy: Grads((dy * np.float64(1),)))"},
        _DX,
    ),
    ("turns the gradient round", {_COPY: "return Forward(x, lambda dy: Grads((-dy,)))"}, _DX),
    ("returns float64", {_COPY: "return Forward(x * np.float64(1), lambda dy: Grads((dy,)))"}, "y"),
    (
        "makes a vector of it",
        {_COPY: "return Forward(x.ravel(), lambda dy: Grads((dy.reshape(x.shape),)))"},
        "y",
    ),
    (
        "drops axes of size 1",
        {_COPY: "return Forward(x.squeeze(), lambda dy: Grads((dy.reshape(x.shape),)))"},
        "y",
    ),
    (
        "drops what is negative",
        {_COPY: "return Forward(np.maximum(x, 0), lambda dy: Grads((dy,)))"},
        "y",
    ),
    (
        "takes no arguments",
        {"def __init__(self, *args: Any, **kwargs: Any) -> None:": "def __init__(self) -> None:"},
        "forward",
    ),
    (
        "returns the same array every time",
        {
            _COPY: "y = _KEPT.setdefault((x.shape, x.dtype), x.copy())\n        y[...] = x\n"
            "        return Forward(y, lambda dy: Grads((dy,)))",
            '"""Shapes:': '_KEPT = {}\n"""Shapes:',
        },
        "y",
    ),
]

MUTANTS = [
    Mutant(layer, mistake, edits, blames=blames)
    for layer, mistakes in (
        ("Flatten", _FLATTEN),
        ("Unflatten", _UNFLATTEN),
        ("Identity", _IDENTITY),
    )
    for mistake, edits, blames in mistakes
]
