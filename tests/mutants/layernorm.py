from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_MEAN = "(v.mean if n else v.sum)(-1, keepdims=True)"
_RSTD = "1 / np.sqrt(mean(centred * centred) + self.eps)"

MUTANTS = [
    Mutant(
        "LayerNorm",
        "forgets that the variance depends on x",
        {" - xhat * mean(dxhat * xhat)": ""},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "forgets that the mean depends on x",
        {"(dxhat - mean(dxhat) - xhat": "(dxhat - xhat"},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "adds the variance's part",
        {" - xhat * mean(dxhat * xhat)": " + xhat * mean(dxhat * xhat)"},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "takes dy for dx̂ in the variance's part",
        {"mean(dxhat * xhat)": "mean(dy * xhat)"},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "takes the gradient through the weight for granted",
        {"dxhat = dy * weight": "dxhat = dy * 1"},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "forgets the scale of the gradient",
        {"dx = rstd * (": "dx = 1 * ("},
        blames=_INPUT,
    ),
    Mutant(
        "LayerNorm",
        "divides by n - 1",
        {_RSTD: "1 / np.sqrt(mean(centred * centred) * (n / max(n - 1, 1)) + self.eps)"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "adds eps outside of the root",
        {_RSTD: "1 / (np.sqrt(mean(centred * centred)) + self.eps)"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "divides by the variance",
        {_RSTD: "1 / (mean(centred * centred) + self.eps)"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "does not centre",
        {"centred = x.reshape(rows) - mean(x.reshape(rows))": "centred = x.reshape(rows) * 1"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "normalises over the batch",
        {_MEAN: "(v.mean if rows[0] else v.sum)(0, keepdims=True)"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "normalises over the last axis only",
        {
            _MEAN: "np.repeat(v.reshape(rows[0], n // self._shape[-1], -1).mean(-1), "
            "self._shape[-1], axis=-1) if v.size else v.sum(-1, keepdims=True)"
        },
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "ignores the bias",
        {'y += state["bias"].reshape(n)': "pass"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "the weight's gradient comes from x that is not normalised",
        {"(dy * xhat).sum(0)": "(dy * centred).sum(0)"},
        blames="gradient of weight",
    ),
    Mutant(
        "LayerNorm",
        "the weight's gradient contains the weight",
        {"(dy * xhat).sum(0)": "(dxhat * xhat).sum(0)"},
        blames="gradient of weight",
    ),
    Mutant(
        "LayerNorm",
        "averages the bias's gradient over the batch",
        {"dy.sum(0).reshape(self._shape)": "dy.sum(0).reshape(self._shape) / max(len(dy), 1)"},
        blames="gradient of bias",
    ),
    Mutant(
        "LayerNorm",
        "gives the bias no gradient",
        {"dy.sum(0).reshape(self._shape)": "np.zeros(self._shape, dy.dtype)"},
        blames="gradient of bias",
    ),
    Mutant(
        "LayerNorm",
        "eps is a float64 scalar",
        {"+ self.eps)": "+ np.float64(self.eps))"},
        blames="y",
    ),
    Mutant(
        "LayerNorm",
        "scales the caller's gradient",
        {"dxhat = dy * weight": "dxhat = np.multiply(dy, weight, out=dy)"},
        blames="dy",
    ),
    Mutant(
        "LayerNorm",
        "centres the caller's array",
        {
            "centred = x.reshape(rows) - mean(x.reshape(rows))": "centred = x.reshape(rows)\n"
            "        centred -= mean(centred)"
        },
        blames="input 0",
    ),
]
