from tests.mutants._losses import DT, DX, REDUCTION, mutants

_LOSSES = "-(1 - self.label_smoothing) * labels.weight * labels.pick(logp)"
_UNIFORM = "uniform = self.label_smoothing / len(weight)"
_SMOOTH = "losses -= uniform * np.where(labels.kept, (w * logp).sum(axis), 0)"
_LOGP = (
    "logp = log_softmax(prediction, axis)\n"
    "        reduced = Reduction.of(self.size_average, self.reduce, self.reduction)\n"
    "        uniform"
)
_COUNT = "n = labels.weight.sum()"
_KEPT_G = "g = np.where(labels.kept, reduced.back(dy, n), 0)"
_LABEL = "at_label = (1 - self.label_smoothing) * labels.weight * g"
_DX_P = "dx = np.exp(logp) * np.expand_dims(total, axis)"
_QW = "qw = ((1 - smoothing) * target + smoothing / len(weight)) * w"
_DX_Q = "dx = (np.exp(logp) * qw.sum(axis, keepdims=True) - qw) * g"
_DTARGET = "dtarget = -(1 - smoothing) * w * logp * g"

_CROSS_ENTROPY = [
    (
        "divides by the number of labels, not by their weights",
        {_COUNT: "n = labels.kept.sum()"},
        "y",
    ),
    (
        "divides by the number of all labels, ignored ones too",
        {_COUNT: "n = labels.weight.sum() + (~labels.kept).sum()"},
        "y",
    ),
    (
        "forgets class weights",
        {"np.where(kept, weight[labels], 0)": "np.where(kept, np.ones_like(weight)[labels], 0)"},
        "y",
    ),
    ("ignores no label but negative ones", {"target != ignore_index": "target >= 0"}, "y"),
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
    ("forgets the label's own part", {"labels.add(dx, -at_label)": ""}, DX),
    ("forgets the softmax's part", {_DX_P: "dx = 0 * logp"}, DX),
    (
        "adds the label's part",
        {"labels.add(dx, -at_label)": "labels.add(dx, at_label)"},
        DX,
    ),
    ("forgets class weights backwards", {_LABEL: _LABEL.replace(" * labels.weight", "")}, DX),
    ("forgets smoothing backwards", {"everywhere = uniform * g": "everywhere = 0 * g"}, DX),
    (
        "smooths ignored labels backwards",
        {_KEPT_G: "g = reduced.back(dy, n) + 0 * labels.weight"},
        DX,
    ),
    (
        "puts the gradient into its cache",
        {_DX_P: "dx = np.exp(logp, out=logp) * np.expand_dims(total, axis)"},
        DX,
    ),
    (
        "makes a float64 array of zeros",
        {_KEPT_G: "g = np.where(labels.kept, reduced.back(dy, n), np.zeros(labels.kept.shape))"},
        DX,
    ),
    ("takes weighted probabilities to sum to 1", {_DX_Q: "dx = (np.exp(logp) - qw) * g"}, DX),
    (
        "has no gradient for probabilities",
        {"return Grads((dx, dtarget))": "return Grads((dx, None))"},
        DT,
    ),
    (
        "forgets smoothing in the gradient of probabilities",
        {_DTARGET: "dtarget = -w * logp * g"},
        DT,
    ),
    (
        "takes p for log p in the gradient of probabilities",
        {_DTARGET: _DTARGET.replace("logp", "np.exp(logp)")},
        DT,
    ),
    (
        "forgets class weights in the gradient of probabilities",
        {_DTARGET: "dtarget = -(1 - smoothing) * logp * g"},
        DT,
    ),
]

_TOTAL = "total = labels.weight.sum()"
_NLL = "losses = -labels.weight * labels.pick(prediction)"
_DLOSSES = "dlosses = np.where(labels.kept, reduced.back(dy, total), 0)"
_NLL_DX = "labels.add(dx, -labels.weight * dlosses)"

_NLL_LOSS = [
    (
        "divides by the number of labels, not by their weights",
        {_TOTAL: "total = labels.kept.sum()"},
        "y",
    ),
    (
        "divides by the number of all labels, ignored ones too",
        {_TOTAL: "total = labels.weight.sum() + (~labels.kept).sum()"},
        "y",
    ),
    ("forgets the sign", {_NLL: _NLL.replace("-labels", "labels")}, "y"),
    (
        "takes the logarithm",
        {_NLL: _NLL.replace("(prediction)", "(np.log(np.abs(prediction)))")},
        "y",
    ),
    (
        "takes the softmax once more",
        {_NLL: _NLL.replace("(prediction)", "(log_softmax(prediction, axis))")},
        "y",
    ),
    ("forgets class weights", {_NLL: "losses = -labels.pick(prediction)"}, "y"),
    ("ignores no label but negative ones", {"target != ignore_index": "target >= 0"}, ("y", DX)),
    ("forgets class weights backwards", {_NLL_DX: "labels.add(dx, -dlosses)"}, DX),
    ("changes the sign", {_NLL_DX: "labels.add(dx, labels.weight * dlosses)"}, DX),
    (
        "has the gradient of the softmax too",
        {_NLL_DX: f"{_NLL_DX}\n            dx += np.exp(prediction)"},
        DX,
    ),
    (
        "lets ignored labels have a gradient",
        {_DLOSSES: "dlosses = reduced.back(dy, total) + 0 * labels.weight"},
        DX,
    ),
    (
        "makes a float64 array of zeros",
        {"np.zeros_like(prediction)": "np.zeros(prediction.shape)"},
        DX,
    ),
    *REDUCTION,
]

_XLOGX = "losses = t * np.log(np.where(t == 0, 1, t)) - t * x"
_LOGS = "losses = p * (t - x)"
_KL_DX = "summed_to(x.shape, -p * g)"
_KL_DT = "dt = (np.log(t) - x + 1) * g"
_KL_DLOG = "dt = p * (t - x + 1) * g"

_KL_DIV = [
    ("has nan for 0 log 0", {_XLOGX: "losses = t * np.log(t) - t * x"}, "y"),
    (
        "takes the logarithm of the prediction",
        {_XLOGX: _XLOGX.replace("- t * x", "- t * np.log(np.abs(x))")},
        "y",
    ),
    ("is the cross entropy, without t log t", {_XLOGX: "losses = -t * x"}, "y"),
    ("adds 1e-8 under the logarithm", {_XLOGX: "losses = t * np.log(t + 1e-8) - t * x"}, "y"),
    ("exchanges prediction and target", {_LOGS: "losses = np.exp(x) * (x - t)"}, "y"),
    ("takes logarithms for probabilities", {_LOGS: "losses = t * (t - x)"}, "y"),
    (
        "takes batchmean for mean",
        {'if reduced.name == "batchmean":': "if False:"},
        "y",
    ),
    (
        "divides by the batch size for the mean",
        {'if reduced.name == "batchmean":': 'if reduced.name in ("mean", "batchmean"):'},
        "y",
    ),
    (
        "divides by the first axis of the losses",
        {"n = len(x) if x.ndim else 1": "n = len(losses) if losses.ndim else 1"},
        "y",
    ),
    ("changes the sign", {_KL_DX: "summed_to(x.shape, p * g)"}, DX),
    (
        "has a gradient as if through a softmax",
        {_KL_DX: "summed_to(x.shape, (np.exp(x) - p) * g)"},
        DX,
    ),
    ("has no gradient for the target", {"summed_to(t.shape, dt)))": "None))"}, DT),
    ("forgets the 1 in the target's gradient", {_KL_DT: "dt = (np.log(t) - x) * g"}, DT),
    (
        "forgets the 1 in the gradient of a logarithm",
        {_KL_DLOG: "dt = p * (t - x) * g"},
        DT,
    ),
    ("forgets the target where it is a logarithm", {_KL_DLOG: "dt = (t - x + 1) * g"}, DT),
]

MUTANTS = [
    *mutants("CrossEntropyLoss", [*_CROSS_ENTROPY, *REDUCTION]),
    *mutants("NLLLoss", _NLL_LOSS),
    *mutants("KLDivLoss", _KL_DIV),
]
