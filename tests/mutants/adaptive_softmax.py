from tests.mutants import Mutant

_DX = "gradient of input 0"
_TAIL = tuple(f"gradient of tail.{i}.{j}.weight" for i in range(3) for j in range(2))

MUTANTS = [
    Mutant("AdaptiveLogSoftmaxWithLoss", mistake, edits, blames=blames)
    for mistake, edits, blames in (
        (
            "forgets the head for the rare classes",
            {
                "heads[members] = self.cutoffs[0] + i": "pass",
                "output += head_log_p[np.arange(len(rows)), heads]": "common = heads < "
                "self.cutoffs[0]\n        heads = np.where(common, heads, 0)\n        output += "
                "np.where(common, head_log_p[np.arange(len(rows)), heads], 0)",
            },
            "y 0",
        ),
        (
            "exchanges the clusters in the head",
            {
                "heads[members] = self.cutoffs[0] + i": "heads[members] = self.cutoffs[0] + "
                "len(self.cutoffs) - 1 - i"
            },
            "y 0",
        ),
        (
            "counts the labels of a cluster from 0",
            {"at = labels[members] - first": "at = labels[members] % (end - first)"},
            "y 0",
        ),
        (
            "ignores div_value",
            {
                "features = int(self.in_features // self.div_value ** (i + 1))": "features = "
                "self.in_features"
            },
            "forward",
        ),
        (
            "begins with div_value ** 0",
            {"self.div_value ** (i + 1)": "self.div_value ** i"},
            "forward",
        ),
        (
            "forgets the bias of the head",
            {"len(self.cutoffs), self.head_bias)": "len(self.cutoffs), False)"},
            "y 0",
        ),
        (
            "the softmax of a tail runs over the samples",
            {"log_p = log_softmax(scores.y, 1)": "log_p = log_softmax(scores.y, 0)"},
            "y 0",
        ),
        (
            "the output is the loss of each sample",
            {
                "Forward((output.reshape(target.shape), loss), vjp)": "Forward((-output.reshape("
                "target.shape), loss), vjp)"
            },
            "y 0",
        ),
        (
            "the loss is a sum",
            {
                "loss = np.asarray(-output.sum() / x.dtype.type(len(rows)))": "loss = np.asarray("
                "-output.sum())"
            },
            "y 1",
        ),
        (
            "the loss has the wrong sign",
            {"np.asarray(-output.sum()": "np.asarray(output.sum()"},
            "y 1",
        ),
        (
            "the gradient of the loss is left out",
            {"g = doutput.reshape(-1) - dloss / max(len(rows), 1)": "g = doutput.reshape(-1)"},
            _DX,
        ),
        (
            "the gradient of the output is left out",
            {
                "g = doutput.reshape(-1) - dloss / max(len(rows), "
                "1)": "g = np.zeros_like(output) - dloss / max(len(rows), 1)"
            },
            _DX,
        ),
        (
            "the gradient of the loss is that of a sum",
            {"dloss / max(len(rows), 1)": "dloss"},
            _DX,
        ),
        (
            "the tails give x no gradient",
            {"dx[members] += dmembers": "pass"},
            _DX,
        ),
        (
            "the gradient of the tails replaces that of the head",
            {"dx[members] += dmembers": "dx[members] = dmembers"},
            _DX,
        ),
        (
            "the gradients of the tails are not those of their samples",
            {
                "_of_log_softmax(log_p, at, g[members])": "_of_log_softmax(log_p, at, "
                "g[: len(members)])"
            },
            (_DX, *_TAIL),
        ),
        (
            "forgets the softmax in the gradient",
            {"d: Array = -np.exp(log_p) * dy[:, None]": "d: Array = 0 * log_p"},
            _DX,
        ),
        (
            "the softmax in the gradient is not scaled by dy",
            {"d: Array = -np.exp(log_p) * dy[:, None]": "d: Array = -np.exp(log_p)"},
            _DX,
        ),
    )
]
