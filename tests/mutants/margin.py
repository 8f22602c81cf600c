from tests.mutants._losses import D2, DT, DX, mutants

_Z = "z = self.margin - t * difference"
_G = "g = (z >= 0) * reduced.back(dy, n)"
_HINGE = "Forward(reduced(np.maximum(z, 0), n), vjp)"

_RANKING = [
    ("wants the second to be the larger", {_Z: "z = self.margin + t * difference"}, "y"),
    ("adds the margin on the wrong side", {_Z: "z = -self.margin - t * difference"}, "y"),
    ("forgets the margin", {_Z: "z = -t * difference"}, "y"),
    ("forgets the target", {_Z: "z = self.margin - difference + 0 * t"}, "y"),
    ("forgets the hinge", {_HINGE: "Forward(reduced(z, n), vjp)"}, "y"),
    ("squares the hinge", {_HINGE: "Forward(reduced(np.maximum(z, 0) ** 2, n), vjp)"}, "y"),
    ("forgets the hinge backwards", {_G: "g = (z == z) * reduced.back(dy, n)"}, DX),
    ("has a gradient where the loss is 0", {_G: "g = (z <= 0) * reduced.back(dy, n)"}, DX),
    ("changes the sign", {"summed_to(input1.shape, -t * g)": "summed_to(input1.shape, t * g)"}, DX),
    (
        "gives both inputs the same gradient",
        {"summed_to(input2.shape, t * g)": "summed_to(input2.shape, -t * g)"},
        DT,
    ),
    (
        "forgets to sum where input2 was broadcast",
        {"summed_to(input2.shape, t * g)": "t * g"},
        DT,
    ),
    (
        "has no gradient for the target",
        {"None if is_counted(target) else summed_to(t.shape, -difference * g)": "None"},
        D2,
    ),
]

_BOTH = "losses = pulls * x + pushes * np.maximum(z, 0)"
_PULLS = "pulls, pushes = t != -1, t != 1"
_SLOPE = "slope = pulls.astype(x.dtype) - (pushes & (z >= 0))"

_EMBEDDING = [
    ("takes a target of 0 for -1", {_PULLS: "pulls, pushes = t == 1, t != 1"}, "y"),
    ("takes a target of 0 for none", {_PULLS: "pulls, pushes = t == 1, t == -1"}, "y"),
    ("exchanges the targets", {_PULLS: "pulls, pushes = t != 1, t != -1"}, "y"),
    ("forgets the margin", {"z = self.margin - x": "z = -x"}, "y"),
    ("takes a margin of 1", {"z = self.margin - x": "z = 1 - x"}, "y"),
    ("takes |x| where the target is 1", {_BOTH: _BOTH.replace("pulls * x", "pulls * abs(x)")}, "y"),
    ("forgets the hinge", {_BOTH: "losses = pulls * x + pushes * z"}, "y"),
    ("forgets the hinge backwards", {_SLOPE: "slope = pulls.astype(x.dtype) - pushes"}, DX),
    ("changes the sign", {_SLOPE: "slope = pulls.astype(x.dtype) + (pushes & (z >= 0))"}, DX),
    ("forgets where the target is 1", {_SLOPE: "slope = -(pushes & (z >= 0)).astype(x.dtype)"}, DX),
    (
        "forgets to sum where the prediction was broadcast",
        {"summed_to(x.shape, slope * reduced.back(dy, n))": "slope * reduced.back(dy, n)"},
        DX,
    ),
    (
        "makes a float64 array",
        {_SLOPE: "slope = np.where(pulls, 1.0, 0.0) - (pushes & (z >= 0))"},
        DX,
    ),
]

_M_Z = "z = self.margin - np.take_along_axis(x, t, 1) + x"
_M_W = "w = weight[t] / classes"
_M_LOSS = "losses = (w * hinge**self.p).sum(1)"
_M_SLOPE = "slope = 2 * hinge if self.p == 2 else others * (z > 0)"
_M_OWN = "np.put_along_axis(dx, t, -dx.sum(1, keepdims=True), 1)"
_M_DX = "dx = slope * (w * g)"

_MULTI = [
    ("forgets the margin", {_M_Z: "z = x - np.take_along_axis(x, t, 1)"}, "y"),
    ("takes a margin of 1", {_M_Z: _M_Z.replace("self.margin", "1")}, "y"),
    ("exchanges label and class", {_M_Z: "z = self.margin + np.take_along_axis(x, t, 1) - x"}, "y"),
    (
        "counts the label itself",
        {"hinge = others * np.maximum(z, 0)": "hinge = np.maximum(z, 0)"},
        "y",
    ),
    ("divides by C - 1", {_M_W: "w = weight[t] / max(classes - 1, 1)"}, "y"),
    ("forgets to divide by C", {_M_W: "w = weight[t]"}, "y"),
    ("forgets class weights", {_M_W: "w = np.ones_like(weight)[t] / classes"}, "y"),
    ("takes the weight of the class, not of the label", {_M_W: "w = weight / classes"}, "y"),
    ("ignores p", {_M_LOSS: "losses = (w * hinge).sum(1)"}, "y"),
    ("squares the weight too", {_M_LOSS: "losses = ((w * hinge) ** self.p).sum(1)"}, "y"),
    ("takes the worst class only", {_M_LOSS: "losses = (w * hinge**self.p).max(1)"}, "y"),
    ("forgets the 2 of the square", {_M_SLOPE: _M_SLOPE.replace("2 * hinge", "hinge")}, DX),
    ("has a gradient at the margin", {_M_SLOPE: _M_SLOPE.replace("z > 0", "z >= 0")}, DX),
    ("forgets the label's own part", {_M_OWN: ""}, DX),
    (
        "gives the label a gradient of -1",
        {_M_OWN: "np.put_along_axis(dx, t, -(w * g), 1)"},
        DX,
    ),
    ("forgets class weights backwards", {_M_DX: "dx = slope * (g / classes)"}, DX),
]

_L_PAIRS = "pairs = is_label & ~at.any(1, keepdims=True)"
_L_IS = "np.logical_and.accumulate(labels != -1, axis=1)[..., np.newaxis]"
_L_LOSS = "losses = (pairs * np.maximum(z, 0)).sum((1, 2)) / classes"
_L_DX = "dx = (active.sum(1) - (per_label * at).sum(1)) * g"
_L_G = "g = np.broadcast_to(reduced.back(dy, n).reshape(-1, 1), (n, 1)) / classes"
_L_Z = "z = 1 - np.take_along_axis(x, labels, 1)[..., np.newaxis] + x[:, np.newaxis]"

_MULTILABEL = [
    ("does not stop at the first -1", {_L_IS: "(labels != -1)[..., np.newaxis]"}, "y"),
    ("holds labels against labels too", {_L_PAIRS: "pairs = is_label & ~at"}, "y"),
    ("forgets the margin", {_L_Z: _L_Z.replace("z = 1 - ", "z = -")}, "y"),
    (
        "exchanges label and class",
        {_L_Z: _L_Z.replace("1 - ", "1 + ").replace("+ x[", "- x[")},
        "y",
    ),
    (
        "divides by the number of labels",
        {_L_LOSS: _L_LOSS.replace("classes", "np.maximum(is_label.sum((1, 2)), 1)")},
        "y",
    ),
    ("forgets to divide by C", {_L_LOSS: _L_LOSS.replace(" / classes", "")}, "y"),
    (
        "squares the hinge",
        {_L_LOSS: _L_LOSS.replace("np.maximum(z, 0)", "np.maximum(z, 0) ** 2")},
        "y",
    ),
    ("forgets the labels' own part", {_L_DX: "dx = active.sum(1) * g"}, DX),
    ("forgets the other classes' part", {_L_DX: "dx = -(per_label * at).sum(1) * g"}, DX),
    ("counts a label once", {_L_DX: "dx = (active.sum(1) - (per_label * at).max(1)) * g"}, DX),
    ("changes the sign", {_L_DX: _L_DX.replace("dx = (", "dx = -(")}, DX),
    ("forgets to divide the gradient by C", {_L_G: _L_G.replace(" / classes", "")}, DX),
    (
        "has a gradient at the margin",
        {"active = (pairs & (z > 0))": "active = (pairs & (z >= 0))"},
        DX,
    ),
    (
        "has a gradient where the loss is 0",
        {"active = (pairs & (z > 0))": "active = (pairs & (z == z))"},
        DX,
    ),
]

MUTANTS = [
    *mutants("MarginRankingLoss", _RANKING),
    *mutants("HingeEmbeddingLoss", _EMBEDDING),
    *mutants("MultiMarginLoss", _MULTI),
    *mutants("MultiLabelMarginLoss", _MULTILABEL),
]
