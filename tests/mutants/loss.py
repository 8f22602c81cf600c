from tests.mutants import Mutant

_DX, _DT = "gradient of input 0", "gradient of input 1"

_REDUCTION = [
    (
        "lets reduction overrule size_average and reduce",
        {"if size_average is None and reduce is None:": "if True:"},
        "y",
    ),
    (
        "ignores size_average",
        {'cls("sum" if size_average is False else "mean")': 'cls("mean")'},
        "y",
    ),
    ("ignores reduce=False", {"if reduce is False:": "if False:"}, "y"),
    ("adds up losses that are not to be reduced", {'if self.name == "none":': "if False:"}, "y"),
    ("takes the sum for the mean", {'if self.name != "mean":': "if True:"}, "y"),
    ("takes the mean for the sum", {'if self.name != "mean":': 'if self.name == "none":'}, "y"),
    (
        "forgets to divide the gradient of a mean",
        {"return self._divided(dy, n)": "return dy"},
        _DX,
    ),
    (
        "divides the gradient of a sum too",
        {"return self._divided(dy, n)": 'return dy if self.name == "none" else dy / n'},
        _DX,
    ),
    (
        "takes dL/dy for 1",
        {"return self._divided(dy, n)": "return self._divided(np.ones_like(dy), n)"},
        _DX,
    ),
    (
        "writes into dy",
        {"return self._divided(dy, n)": "dy *= 2\n        return self._divided(dy, n)"},
        "dy",
    ),
]

_D = "d = 2 * difference * reduced.back(dy, max(n, 1))"
_SQUARES = "reduced(difference * difference, n)"
_N = "n = difference.size"

_MSE = [
    ("forgets the 2", {_D: _D.replace("2 * ", "")}, _DX),
    ("changes the sign", {_D: _D.replace("2 * ", "-2 * ")}, _DX),
    ("squares the difference again", {_D: _D.replace("2 * ", "2 * difference * ")}, _DX),
    ("has the gradient of |x|", {_D: _D.replace("2 * difference", "np.sign(difference)")}, _DX),
    (
        "forgets to sum where the prediction was broadcast",
        {"Grads((_summed_to(prediction.shape, d),": "Grads((d,"},
        _DX,
    ),
    ("averages where the prediction was broadcast", {"d.sum(stretched,": "d.mean(stretched,"}, _DX),
    ("multiplies by a float64", {_D: _D.replace("2 * ", "np.float64(2) * ")}, _DX),
    (
        "gives the target the prediction's gradient",
        {"_summed_to(target.shape, -d)": "_summed_to(target.shape, d)"},
        _DT,
    ),
    ("has no gradient for the target", {"_summed_to(target.shape, -d)": "None"}, _DT),
    ("forgets to sum where the target was broadcast", {"_summed_to(target.shape, -d)": "-d"}, _DT),
    ("takes half the square", {_SQUARES: "reduced(difference * difference / 2, n)"}, "y"),
    ("forgets the square", {_SQUARES: "reduced(np.abs(difference), n)"}, "y"),
    ("takes the root", {f"Forward({_SQUARES}": f"Forward(np.sqrt({_SQUARES})"}, "y"),
    ("divides by the batch size only", {_N: "n = len(difference) if difference.ndim else 1"}, "y"),
    ("divides by n - 1", {_N: "n = max(difference.size - 1, 1)"}, "y"),
]

_LOSSES = "-(1 - self.label_smoothing) * w_label * np.where(kept, logp_label, 0)"
_UNIFORM = "uniform = self.label_smoothing / len(weight)"
_SMOOTH = "losses -= uniform * np.where(kept, (w * logp).sum(axis), 0)"
_LOGP = "at = np.expand_dims(labels, axis)\n        logp = log_softmax(prediction, axis)"
_COUNT = "n = w_label.sum()"
_KEPT_G = "g = np.where(kept, reduced.back(dy, n), 0)"
_LABEL = "at_label = (1 - self.label_smoothing) * w_label * g"
_DX_P = "dx = np.exp(logp) * np.expand_dims(total, axis)"
_QW = "qw = ((1 - smoothing) * target + smoothing / len(weight)) * w"
_DX_Q = "dx = (np.exp(logp) * qw.sum(axis, keepdims=True) - qw) * g"
_DTARGET = "dtarget = -(1 - smoothing) * w * logp * g"

_CROSS_ENTROPY = [
    ("divides by the number of labels, not by their weights", {_COUNT: "n = kept.sum()"}, "y"),
    (
        "divides by the number of all labels, ignored ones too",
        {_COUNT: "n = w_label.sum() + (~kept).sum()"},
        "y",
    ),
    (
        "forgets class weights",
        {"np.where(kept, weight[labels], 0)": "np.where(kept, np.ones_like(weight)[labels], 0)"},
        "y",
    ),
    ("ignores no label but negative ones", {"target != self.ignore_index": "target >= 0"}, "y"),
    (
        "keeps the loss of a label whole when smoothing",
        {_LOSSES: _LOSSES.replace("-(1 - self.label_smoothing)", "-1")},
        "y",
    ),
    (
        "spreads over the other classes only",
        {_UNIFORM: "uniform = self.label_smoothing / max(len(weight) - 1, 1)"},
        "y",
    ),
    ("forgets class weights when smoothing", {_SMOOTH: _SMOOTH.replace("(w * logp)", "logp")}, "y"),
    ("smooths ignored labels", {_SMOOTH: "losses -= uniform * (w * logp).sum(axis)"}, "y"),
    (
        "normalises over the last axis",
        {_LOGP: _LOGP.replace("prediction, axis", "prediction, -1")},
        "y",
    ),
    (
        "takes the softmax twice",
        {_LOGP: _LOGP.replace("prediction,", "np.exp(log_softmax(prediction, axis)),")},
        "y",
    ),
    (
        "divides by all weights where targets are probabilities",
        {"samples = losses.size": "samples = max(qw.sum(), 1)"},
        "y",
    ),
    ("averages over the classes too", {"samples = losses.size": "samples = prediction.size"}, "y"),
    ("forgets to smooth probabilities", {_QW: "qw = target * w"}, "y"),
    ("forgets the label's own part", {"np.put_along_axis(dx, at, dx_label, axis)": ""}, _DX),
    ("forgets the softmax's part", {_DX_P: "dx = 0 * logp"}, _DX),
    (
        "adds the label's part",
        {"axis) - np.expand_dims(at_label, axis)": "axis) + np.expand_dims(at_label, axis)"},
        _DX,
    ),
    ("forgets class weights backwards", {_LABEL: _LABEL.replace(" * w_label", "")}, _DX),
    ("forgets smoothing backwards", {"everywhere = uniform * g": "everywhere = 0 * g"}, _DX),
    ("smooths ignored labels backwards", {_KEPT_G: "g = reduced.back(dy, n) + 0 * w_label"}, _DX),
    (
        "puts the gradient into its cache",
        {_DX_P: "dx = np.exp(logp, out=logp) * np.expand_dims(total, axis)"},
        _DX,
    ),
    (
        "makes a float64 array of zeros",
        {_KEPT_G: "g = np.where(kept, reduced.back(dy, n), np.zeros(kept.shape))"},
        _DX,
    ),
    ("takes weighted probabilities to sum to 1", {_DX_Q: "dx = (np.exp(logp) - qw) * g"}, _DX),
    (
        "has no gradient for probabilities",
        {"return Grads((dx, dtarget))": "return Grads((dx, None))"},
        _DT,
    ),
    (
        "forgets smoothing in the gradient of probabilities",
        {_DTARGET: "dtarget = -w * logp * g"},
        _DT,
    ),
    (
        "takes p for log p in the gradient of probabilities",
        {_DTARGET: _DTARGET.replace("logp", "np.exp(logp)")},
        _DT,
    ),
    (
        "forgets class weights in the gradient of probabilities",
        {_DTARGET: "dtarget = -(1 - smoothing) * logp * g"},
        _DT,
    ),
]

_W = 'w = weights.get("weight", 1)'
_POSITIVE = 'positive = t * weights.get("pos_weight", 1)'
_BCE_LOSSES = "w * ((1 - t) * (np.maximum(x, 0) + rest) + positive * (np.maximum(-x, 0) + rest))"
_BCE_DX = "dx = g * ((1 - t) * sigmoid(x) - positive * sigmoid(-x))"
_BCE_DT = 'dt = weights["pos_weight"] * (np.maximum(-x, 0) + rest) - (np.maximum(x, 0) + rest)'

_BCE = [
    ("forgets weight", {_W: "w = 1"}, "y"),
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
        {"rest = np.log1p(np.exp(-np.abs(x)))": "rest = np.log1p(np.exp(-np.abs(x)) + 1e-8)"},
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
        {"g = w * reduced.back(dy, max(n, 1))": "g = reduced.back(dy, max(n, 1)) + 0 * x"},
        _DX,
    ),
    ("forgets pos_weight backwards", {_BCE_DX: "dx = g * (sigmoid(x) - t)"}, _DX),
    ("forgets pos_weight before σ", {_BCE_DX: "dx = g * (sigmoid(x) - positive)"}, _DX),
    ("goes back through σ once more", {_BCE_DX: f"{_BCE_DX} * sigmoid(x) * (1 - sigmoid(x))"}, _DX),
    ("forgets σ backwards", {_BCE_DX: "dx = g * ((1 - t) * x - positive * -x)"}, _DX),
    (
        "computes σ in float64",
        {_BCE_DX: _BCE_DX.replace("sigmoid(x)", "sigmoid(x.astype(float))")},
        _DX,
    ),
    (
        "has no gradient for the target",
        {"return Grads((dx, -x * g))": "return Grads((dx, None))"},
        _DT,
    ),
    (
        "changes the sign of the target's gradient",
        {"return Grads((dx, -x * g))": "return Grads((dx, x * g))"},
        _DT,
    ),
    (
        "gives the target the prediction's gradient",
        {"return Grads((dx, -x * g))": "return Grads((dx, -dx))"},
        _DT,
    ),
    ("forgets pos_weight in the target's gradient", {_BCE_DT: "dt = -x"}, _DT),
]

MUTANTS = [
    *(Mutant("MSELoss", mistake, edits, blames=q) for mistake, edits, q in _MSE + _REDUCTION),
    *(
        Mutant("CrossEntropyLoss", mistake, edits, blames=q)
        for mistake, edits, q in _CROSS_ENTROPY + _REDUCTION
    ),
    *(
        Mutant("BCEWithLogitsLoss", mistake, edits, blames=q)
        for mistake, edits, q in _BCE + _REDUCTION
    ),
]
