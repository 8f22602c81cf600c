from tests.mutants._losses import DT, DX, REDUCTION, mutants

_W = 'w = weights.get("weight", 1)\n        positive'
_POSITIVE = 'positive = t * weights.get("pos_weight", 1)'
_REST = "rest = np.log1p(np.exp(-np.abs(x)))\n        losses"
_G = "g = w * reduced.back(dy, n)\n            dx"
_BCE_LOSSES = "w * ((1 - t) * (np.maximum(x, 0) + rest) + positive * (np.maximum(-x, 0) + rest))"
_BCE_DX = "dx = g * ((1 - t) * sigmoid(x) - positive * sigmoid(-x))"
_BCE_DT = 'dt = weights["pos_weight"] * (np.maximum(-x, 0) + rest) - (np.maximum(x, 0) + rest)'

_BCE = [
    ("forgets weight", {_W: "w = 1\n        positive"}, "y"),
    ("forgets pos_weight", {_POSITIVE: "positive = t"}, "y"),
    (
        "multiplies everything by pos_weight",
        {_BCE_LOSSES: _BCE_LOSSES.replace("(1 - t)", '(1 - t) * weights.get("pos_weight", 1)')},
        "y",
    ),
    (
        "forgets the negative examples",
        {_BCE_LOSSES: "w * positive * (np.maximum(-x, 0) + rest)"},
        "y",
    ),
    (
        "exchanges the classes",
        {
            _BCE_LOSSES: _BCE_LOSSES.replace("(1 - t)", "positive", 1).replace(
                "+ positive", "+ (1 - t)"
            )
        },
        "y",
    ),
    (
        "takes log σ as it stands",
        {_BCE_LOSSES: "-w * ((1 - t) * np.log(1 - sigmoid(x)) + positive * np.log(sigmoid(x)))"},
        "y",
    ),
    (
        "adds 1e-8 under the logarithm",
        {_REST: _REST.replace("np.abs(x))", "np.abs(x)) + 1e-8")},
        "y",
    ),
    (
        "takes the prediction for a probability",
        {"x, t = prediction, target": "x, t = sigmoid(prediction), target"},
        "y",
    ),
    ("divides by the batch size only", {"n = x.size": "n = len(x) if x.ndim else 1"}, "y"),
    (
        "divides by the weights",
        {"n = x.size": "n = np.broadcast_to(w, x.shape).sum() if x.size else 0"},
        "y",
    ),
    (
        "forgets weight backwards",
        {_G: "g = reduced.back(dy, n) + 0 * x\n            dx"},
        DX,
    ),
    ("forgets pos_weight backwards", {_BCE_DX: "dx = g * (sigmoid(x) - t)"}, DX),
    ("forgets pos_weight before σ", {_BCE_DX: "dx = g * (sigmoid(x) - positive)"}, DX),
    ("goes back through σ once more", {_BCE_DX: f"{_BCE_DX} * sigmoid(x) * (1 - sigmoid(x))"}, DX),
    ("forgets σ backwards", {_BCE_DX: "dx = g * ((1 - t) * x - positive * -x)"}, DX),
    (
        "computes σ in float64",
        {_BCE_DX: _BCE_DX.replace("sigmoid(x)", "sigmoid(x.astype(float))")},
        DX,
    ),
    (
        "has no gradient for the target",
        {"return Grads((dx, -x * g))": "return Grads((dx, None))"},
        DT,
    ),
    (
        "changes the sign of the target's gradient",
        {"return Grads((dx, -x * g))": "return Grads((dx, x * g))"},
        DT,
    ),
    (
        "gives the target the prediction's gradient",
        {"return Grads((dx, -x * g))": "return Grads((dx, -dx))"},
        DT,
    ),
    ("forgets pos_weight in the target's gradient", {_BCE_DT: "dt = -x"}, DT),
]

_P_W = 'w = weights.get("weight", 1)\n        with'
_P_LOSS = "losses = -w * (t * np.maximum(log_p, -100) + (1 - t) * np.maximum(log_q, -100))"
_P_G = "g = w * reduced.back(dy, n)\n            least"
_DP = "dp = g * (p - t) / np.maximum(p * (1 - p), least)"
_P_DT = "dt = g * (log_q - log_p)"

_PROBABILITIES = [
    ("forgets weight", {_P_W: "w = 1\n        with"}, "y"),
    (
        "has no floor under the logarithms",
        {_P_LOSS: "losses = -w * (t * log_p + (1 - t) * log_q)"},
        "y",
    ),
    (
        "clips the prediction by 1e-7",
        {_P_LOSS: _P_LOSS.replace("log_p, -100", "log_p, np.log(1e-7)")},
        "y",
    ),
    ("forgets the negative examples", {_P_LOSS: "losses = -w * t * np.maximum(log_p, -100)"}, "y"),
    (
        "exchanges the classes",
        {"log_p, log_q = np.log(p), np.log1p(-p)": "log_q, log_p = np.log(p), np.log1p(-p)"},
        "y",
    ),
    (
        "takes the prediction for a logit",
        {"p, t = prediction, target": "p, t = sigmoid(prediction), target"},
        "y",
    ),
    ("divides by the weights", {"n = p.size": "n = np.broadcast_to(w, p.shape).sum()"}, "y"),
    ("is 0 for nothing", {"n = p.size": "n = max(p.size, 1)"}, "y"),
    ("forgets weight backwards", {_P_G: "g = reduced.back(dy, n)\n            least"}, DX),
    ("has the gradient of the logit", {_DP: "dp = g * (p - t)"}, DX),
    ("has no floor under p (1 - p)", {_DP: "dp = g * (p - t) / (p * (1 - p))"}, DX),
    ("adds the floor to p (1 - p)", {_DP: "dp = g * (p - t) / (p * (1 - p) + 1e-7)"}, DX),
    ("changes the sign", {_DP: _DP.replace("(p - t)", "(t - p)")}, DX),
    ("has no gradient for the target", {"Grads((dp, dt))": "Grads((dp, None))"}, DT),
    ("changes the sign of the target's gradient", {_P_DT: "dt = g * (log_p - log_q)"}, DT),
    (
        "has a floor under the target's gradient",
        {_P_DT: "dt = g * (np.maximum(log_q, -5) - np.maximum(log_p, -5))"},
        DT,
    ),
]

_EACH = "each = w * (t * (np.maximum(-x, 0) + rest) + (1 - t) * (np.maximum(x, 0) + rest))"
_MEAN = "losses = each.sum(axis) / classes"
_PER_SAMPLE = "np.broadcast_to(reduced.back(dy, n), losses.shape) / max(classes, 1)"
_PER_CLASS = "np.expand_dims(per_sample, axis) * w"
_LABELS_DX = "dx = per_class * ((1 - t) * sigmoid(x) - t * sigmoid(-x))"
_LABELS_DT = "summed_to(t.shape, -x * per_class)"

_LABELS = [
    ("adds up the classes", {_MEAN: "losses = each.sum(axis)"}, "y"),
    (
        "forgets the classes that are not meant",
        {_EACH: "each = w * t * (np.maximum(-x, 0) + rest)"},
        "y",
    ),
    ("forgets class weights", {_EACH: _EACH.replace("w * (t", "np.ones_like(w) * (t")}, "y"),
    (
        "takes the first axis for the classes",
        {"axis, classes = x.ndim - 1,": "axis, classes = 0,"},
        "y",
    ),
    (
        "exchanges the classes",
        {_EACH: _EACH.replace("maximum(-x", "maximum(+x").replace("maximum(x", "maximum(-x")},
        "y",
    ),
    (
        "takes -1 for the classes that are not meant",
        {_EACH: "each = w * (np.maximum((1 - 2 * t) * x, 0) + rest)"},
        "y",
    ),
    ("divides by the sum of class weights", {_MEAN: "losses = each.sum(axis) / w.sum()"}, "y"),
    (
        "forgets to divide the gradient by the classes",
        {_PER_SAMPLE: "np.broadcast_to(reduced.back(dy, n), losses.shape)"},
        DX,
    ),
    (
        "forgets class weights backwards",
        {_PER_CLASS: _PER_CLASS.replace("* w", "* np.ones_like(w)")},
        DX,
    ),
    ("changes the sign", {_LABELS_DX: _LABELS_DX.replace("per_class *", "-per_class *")}, DX),
    ("forgets to sum where the prediction was broadcast", {"summed_to(x.shape, dx)": "dx"}, DX),
    (
        "has no gradient for the target",
        {f"None if is_counted(target) else {_LABELS_DT}": "None"},
        DT,
    ),
    (
        "changes the sign of the target's gradient",
        {_LABELS_DT: "summed_to(t.shape, x * per_class)"},
        DT,
    ),
]

_Z = "z = -t * prediction"
_SOFTPLUS = "softplus = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))"
_SOFT_DX = "Grads((-t * sigmoid(z) * reduced.back(dy, size), None))"

_SOFT = [
    ("takes targets of 0 and 1", {_Z: "z = (1 - 2 * t) * prediction"}, "y"),
    ("forgets the sign", {_Z: "z = t * prediction"}, "y"),
    ("is a hinge", {_SOFTPLUS: "softplus = np.maximum(1 + z, 0)"}, "y"),
    ("takes exp(-|z|) for exp(z)", {_SOFTPLUS: "softplus = np.log1p(np.exp(-np.abs(z)))"}, "y"),
    ("divides by log 2", {_SOFTPLUS: f"{_SOFTPLUS}\n        softplus = softplus / np.log(2)"}, "y"),
    ("forgets the target backwards", {_SOFT_DX: _SOFT_DX.replace("-t * ", "-")}, DX),
    ("changes the sign", {_SOFT_DX: _SOFT_DX.replace("-t * ", "t * ")}, DX),
    ("takes σ of the wrong sign", {_SOFT_DX: _SOFT_DX.replace("sigmoid(z)", "sigmoid(-z)")}, DX),
    (
        "goes back through σ once more",
        {_SOFT_DX: _SOFT_DX.replace("sigmoid(z)", "sigmoid(z) * sigmoid(-z)")},
        DX,
    ),
]

MUTANTS = [
    *mutants("BCELoss", _PROBABILITIES),
    *mutants("BCEWithLogitsLoss", [*_BCE, *REDUCTION]),
    *mutants("MultiLabelSoftMarginLoss", _LABELS),
    *mutants("SoftMarginLoss", _SOFT),
]
