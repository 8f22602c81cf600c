from tests.mutants._losses import D2, DT, DX, mutants

_Z = "z = near - (np.minimum(far, other) if swap else far) + margin"
_G = "g: Array = (z >= 0) * reduced.back(dy, n)"
_SHARE = "share = (1 + np.sign(other - far)) / 2"
_PLAIN = "return Grads((da + da_far, dp, dn))"
_SWAPPED = "return Grads((da + da_far, dp + dp_other, dn + dn_other))"

_TRIPLET = [
    ("forgets the margin", {_Z: _Z.replace(" + margin", "")}, "y"),
    ("subtracts the margin", {_Z: _Z.replace(" + margin", " - margin")}, "y"),
    (
        "exchanges positive and negative",
        {_Z: _Z.replace("z = near - ", "z = -near + ")},
        "y",
    ),
    ("ignores swap", {_Z: "z = near - far + margin"}, "y"),
    ("takes the larger distance", {_Z: _Z.replace("np.minimum", "np.maximum")}, "y"),
    ("forgets the hinge", {"reduced(np.maximum(z, 0), n)": "reduced(z, n)"}, "y"),
    (
        "swaps by the distance of positive and anchor",
        {_Z: _Z.replace("np.minimum(far, other)", "np.minimum(far, near)")},
        "y",
    ),
    ("forgets the hinge backwards", {_G: "g: Array = (z == z) * reduced.back(dy, n)"}, DX),
    ("forgets the anchor's part of the negative", {_PLAIN: "return Grads((da, dp, dn))"}, DX),
    (
        "swaps without a gradient",
        {_SHARE: "share = np.ones_like(z)"},
        (DX, DT, D2),
    ),
    (
        "gives the positive no gradient of its distance to the negative",
        {_SWAPPED: _SWAPPED.replace("dp + dp_other", "dp")},
        DT,
    ),
    (
        "gives the negative the wrong sign",
        {"da_far, dn = back_far(-g)": "da_far, dn = back_far(-g)\n            dn = -dn"},
        D2,
    ),
    (
        "exchanges the shares of a swap",
        {_SHARE: "share = (1 + np.sign(far - other)) / 2"},
        (DX, DT, D2),
    ),
]

_P = "distance = PairwiseDistance(self.p, self.eps)"

_WITH_P = [
    ("ignores p", {_P: "distance = PairwiseDistance(2.0, self.eps)"}, "y"),
    ("ignores eps", {_P: "distance = PairwiseDistance(self.p, 0.0)"}, "y"),
]

_GIVEN = "distance = self.distance_function or PairwiseDistance()"

_WITH_DISTANCE = [
    ("ignores the distance", {_GIVEN: "distance = PairwiseDistance()"}, "y"),
    ("has no eps by default", {_GIVEN: _GIVEN.replace("()", "(eps=0.0)")}, "y"),
]

_ALIKE = "alike, unlike = t == 1, t == -1"
_LOSSES = "losses = alike * (1 - c) + unlike * np.maximum(c - self.margin, 0)"
_SLOPE = "slope = (unlike & (c >= self.margin)).astype(x1.dtype) - alike"
_D1 = "d1 = summed_to(x1.shape, dc / size * x2) - summed_to(x1.shape, dc / m1 * cos * x1)"
_DD2 = "d2 = summed_to(x2.shape, dc / size * x1) - summed_to(x2.shape, dc / m2 * cos * x2)"
_TINY = "tiny = max(1e-12, np.finfo(x1.dtype).smallest_subnormal)"

_COSINE = [
    ("exchanges the targets", {_ALIKE: "alike, unlike = t == -1, t == 1"}, "y"),
    ("takes a target of 0 for -1", {_ALIKE: "alike, unlike = t == 1, t != 1"}, "y"),
    ("forgets the margin", {_LOSSES: _LOSSES.replace("c - self.margin", "c")}, "y"),
    ("adds the margin", {_LOSSES: _LOSSES.replace("c - self.margin", "c + self.margin")}, "y"),
    ("forgets the hinge", {_LOSSES: "losses = alike * (1 - c) + unlike * (c - self.margin)"}, "y"),
    ("forgets the 1", {_LOSSES: _LOSSES.replace("(1 - c)", "-c")}, "y"),
    ("adds 1e-8 to the squares", {_TINY: "tiny = 1e-8"}, ("y", DX)),
    ("forgets the hinge backwards", {_SLOPE: "slope = unlike.astype(x1.dtype) - alike"}, DX),
    ("changes the sign", {_SLOPE: _SLOPE.replace("- alike", "+ alike")}, DX),
    ("takes the norms for constants", {_D1: "d1 = summed_to(x1.shape, dc / size * x2)"}, DX),
    ("forgets the square of a norm", {_D1: _D1.replace("/ m1", "/ np.sqrt(m1)")}, DX),
    ("divides by the other's norm", {_DD2: _DD2.replace("/ m2", "/ m1")}, DT),
    ("gives the second the gradient of the first", {_DD2: "d2 = summed_to(x2.shape, d1)"}, DT),
]

MUTANTS = [
    *mutants("TripletMarginLoss", [*_TRIPLET, *_WITH_P]),
    *mutants("TripletMarginWithDistanceLoss", [*_TRIPLET, *_WITH_DISTANCE]),
    *mutants("CosineEmbeddingLoss", _COSINE),
]
