from tests.mutants._losses import DT, DX, mutants

_NORMS = "n1, n2 = np.maximum(norm1, least), np.maximum(norm2, least)"
_D1 = "d1 = (b - y * _unit(v1, norm1)) * (g / n1)"
_D2 = "d2 = (a - y * _unit(v2, norm2)) * (g / n2)"
_Y = "y = (a * b).sum(self.dim, keepdims=True)"

_COSINE = [
    ("adds eps to the norms", {_NORMS: "n1, n2 = norm1 + self.eps, norm2 + self.eps"}, "y"),
    (
        "holds eps against the product of the norms",
        {_Y: "y = (v1 * v2).sum(self.dim, keepdims=True) / np.maximum(norm1 * norm2, self.eps)"},
        "y",
    ),
    ("forgets eps", {_NORMS: "n1, n2 = norm1, norm2"}, "y"),
    ("is 1 minus the cosine", {_Y: f"{_Y.replace('y = ', 'y = 1 - ')}"}, "y"),
    (
        "takes the last axis",
        {"sum(self.dim,": "sum(-1,", "axis=self.dim,": "axis=-1,"},
        ("y", "forward"),
    ),
    (
        "divides by one norm only",
        {_NORMS: "n1, n2 = np.maximum(norm1, self.eps), np.maximum(0 * norm2, 1)"},
        "y",
    ),
    ("takes the norms for constants", {_D1: "d1 = b * (g / n1)"}, DX),
    ("forgets the norm in front", {_D1: _D1.replace("(g / n1)", "g")}, DX),
    ("adds the part of the norm", {_D1: _D1.replace("b - y", "b + y")}, DX),
    ("forgets the cosine in the part of the norm", {_D1: _D1.replace("y * ", "")}, DX),
    (
        "stops the gradient of a norm below eps",
        {_D1: _D1.replace("_unit(v1, norm1)", "_unit(v1, norm1) * (norm1 >= self.eps)")},
        DX,
    ),
    (
        "has nan at 0",
        {"unit: Array = v / np.where(norm == 0, 1, norm)": "unit: Array = v / norm"},
        (DX, DT),
    ),
    ("divides by the norm of the other", {_D2: _D2.replace("g / n2", "g / n1")}, DT),
    ("gives x2 the gradient of x1", {_D2: "d2 = d1"}, DT),
    (
        "forgets to sum where x2 was broadcast",
        {"_gathered(x2, d2)": "d2.reshape(y.shape) if 0 else d2"},
        DT,
    ),
]

_D = "d = np.atleast_1d(x1 - x2 + self.eps)"
_NORM = "y = np.linalg.norm(d, self.p, axis=-1, keepdims=True)"
_INSIDE = "inside = (size > 0) & (y > 0)"
_SLOPE = "slope: Array = np.sign(d) * inside * power"

_PAIRWISE = [
    ("forgets eps", {_D: "d = np.atleast_1d(x1 - x2)"}, "y"),
    (
        "adds eps to the distance",
        {_D: "d = np.atleast_1d(x1 - x2)", _NORM: f"{_NORM} + self.eps"},
        "y",
    ),
    ("adds eps to |x1 - x2|", {_D: "d = np.atleast_1d(np.abs(x1 - x2) + self.eps)"}, "y"),
    ("ignores p", {_NORM: "y = np.linalg.norm(d, axis=-1, keepdims=True)"}, "y"),
    ("squares the distance", {_NORM: f"{_NORM} ** 2"}, "y"),
    ("takes the first axis", {_NORM: _NORM.replace("axis=-1", "axis=0")}, ("y", "forward")),
    ("ignores keepdim", {"kept = self.keepdim and len(shape) > 0": "kept = False"}, "y"),
    (
        "forgets the distance in the slope",
        {_SLOPE: "slope: Array = np.sign(d) * inside * size ** (p - 1)"},
        DX,
    ),
    (
        "has the slope for p=2 whatever p is",
        {_SLOPE: "slope: Array = np.sign(d) * inside * size / length"},
        DX,
    ),
    ("forgets the sign", {_SLOPE: "slope: Array = inside * power"}, DX),
    ("has nan at 0", {_INSIDE: "inside = (size >= 0) & (y >= 0)"}, DX),
    ("forgets the sign for p=inf", {"np.sign(d) * top": "top"}, DX),
    (
        "takes the largest for p=-inf too",
        {"top = (size == y)": "top = (size == size.max(-1, keepdims=True))"},
        DX,
    ),
    ("gives everything the gradient for p=inf", {"np.sign(d) * top": "np.sign(d)"}, DX),
    ("gives x2 the gradient of x1", {"_gathered(x2, -d1)": "_gathered(x2, d1)"}, DT),
    ("has no gradient for x2", {"_gathered(x2, -d1)": "None"}, DT),
]

MUTANTS = [*mutants("CosineSimilarity", _COSINE), *mutants("PairwiseDistance", _PAIRWISE)]
