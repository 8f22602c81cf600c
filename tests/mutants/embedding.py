from tests.mutants import Mutant

_WEIGHT = "gradient of weight"
_SUMS = "np.add.reduceat(d[places], first, axis=0)"

MUTANTS = [
    Mutant(
        "Embedding",
        "counts from 1",
        {"Forward(W[x], vjp, updates)": "Forward(W[x - 1], vjp, updates)"},
        blames="y",
    ),
    Mutant(
        "Embedding",
        "looks the padding up as 0",
        {
            "Forward(W[x], vjp, updates)": "Forward(W[x] * (x != self.padding_idx)[..., None], "
            "vjp, updates)"
        },
        blames="y",
    ),
    Mutant(
        "Embedding",
        "ignores max_norm",
        {"if self.max_norm is not None:": "if False:"},
        blames="y",
    ),
    Mutant(
        "Embedding",
        "scales short rows up to max_norm",
        {"long = norm > max_norm": "long = norm > 0"},
        blames="y",
    ),
    Mutant(
        "Embedding",
        "clips entries, not norms",
        {
            "W[rows[long]] *= (max_norm / (norm[long] + 1e-7))[:, None]": "W[rows[long]] = "
            "np.clip(W[rows[long]], -max_norm, max_norm)"
        },
        blames="y",
    ),
    Mutant(
        "Embedding",
        "measures every norm as the 2-norm",
        {"norm_type, axis=1)": "2, axis=1)"},
        blames="y",
    ),
    Mutant(
        "Embedding",
        "divides by the norm without 1e-7",
        {"(norm[long] + 1e-7)": "norm[long]"},
        blames="y",
    ),
    Mutant(
        "Embedding",
        "looks up before it scales",
        {
            "        updates = {}\n": '        updates = {}\n        before = state["weight"][x]\n',
            "Forward(W[x], vjp, updates)": "Forward(before, vjp, updates)",
        },
        blames="y",
    ),
    Mutant(
        "Embedding",
        "does not keep the scaled rows",
        {'updates["weight"] = W': "pass"},
        blames="next weight",
    ),
    Mutant(
        "Embedding",
        "scales the rows that are not in use too",
        {"np.unique(x), self": "np.arange(len(W)), self"},
        blames="next weight",
    ),
    Mutant(
        "Embedding",
        "scales the caller's weight",
        {"    W = W.copy()\n": ""},
        blames="state weight",
    ),
    Mutant(
        "Embedding",
        "the last of several equal indices takes all",
        {_SUMS: "np.array(d[places])[first + count - 1]"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "does not sort the gradient along with the indices",
        {_SUMS: "np.add.reduceat(d, first, axis=0)"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "gives the padding a gradient",
        {"                dW[self.padding_idx] = 0": "                pass"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "takes a negative padding_idx for none",
        {
            "            if self.padding_idx is not None:\n                dW": "            if "
            "self.padding_idx is not None and self.padding_idx >= 0:\n                dW"
        },
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "takes padding_idx=None for row 0",
        {
            "            if self.padding_idx is not None:\n                dW[self.padding_idx]": ""
            "            if self.num_embeddings:\n                dW[self.padding_idx or 0]"
        },
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "ignores scale_grad_by_freq",
        {"if by_frequency:": "if False:"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "multiplies by the frequency",
        {"sums /= count": "sums *= count"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "divides by the number of all indices",
        {"sums /= count.astype(sums.dtype)[:, None]": "sums /= x.size"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "averages over the first axis",
        {"table[rows] = sums": "table[rows] = sums / max(len(x) if x.ndim else 1, 1)"},
        blames=_WEIGHT,
    ),
    Mutant(
        "Embedding",
        "the gradient is float64",
        {"table = np.zeros(shape, d.dtype)": "table = np.zeros(shape)"},
        blames=_WEIGHT,
    ),
]
