from tests.mutants import Mutant

_QUERY, _KEY, _VALUE = (f"gradient of input {i}" for i in range(3))
_P = "dS = P * (dP - np.vecdot(dP, P)[..., None])"
_HEADS = "dheads = (dS @ k) * scale, dS.swapaxes(2, 3) @ (q * scale), A.swapaxes(2, 3) @ dO"
_CUT = "np.concatenate([z, *more], axis=1).reshape(N, n, H, d).swapaxes(1, 2)"
_KEEP = "keep_factors(self, shape, self.dropout, rng).astype(dtype).reshape(P.shape)"
_BACK = "dA = dA + (dw[:, None] / H if average_attn_weights else dw)"
_GRADS = "return Grads(tuple(dxs), params)"
_DWS = "dWs = [_outer(dz, x) for dz, x in zip(dprojected, xs, strict=True)]"
_EXTRA = "params[name] = dz[:, S].sum(0)[None, None]"
_INIT = "(q, k, v)"
_ANY = ("y", "y 0", "y 1")

_ATTENTION: list[tuple[str, dict[str, str], str | tuple[str, ...]]] = [
    (
        "divides by the root of the whole width",
        {"1 / math.sqrt(d)": "1 / math.sqrt(E)"},
        _ANY,
    ),
    ("does not divide the scores", {"1 / math.sqrt(d)": "1"}, _ANY),
    ("divides by the width of a head, not its root", {"1 / math.sqrt(d)": "1 / d"}, _ANY),
    (
        "takes every H-th feature for a head",
        {
            _CUT: _CUT.replace(
                "reshape(N, n, H, d).swapaxes(1, 2)", "reshape(N, n, d, H).transpose(0, 3, 1, 2)"
            )
        },
        _ANY,
    ),
    (
        "a True in a boolean mask allows",
        {"np.where(mask, -np.inf, 0)": "np.where(mask, 0, -np.inf)"},
        _ANY,
    ),
    (
        "masks with a large number that is not infinite",
        {"np.where(mask, -np.inf, 0)": "np.where(mask, -10.0, 0)"},
        _ANY,
    ),
    (
        "a query that may look at nothing is nan always",
        {"safe=not need_weights": "safe=False"},
        ("y", "gradient of input 0", "gradient of input 1"),
    ),
    (
        "repeats the mask of a sample for the heads of others",
        {
            "((L, S), (N * H, L, S)), (N, H, L, S)": "((L, S), (N * H, L, S)), (H, N, L, S)",
            "total = full if total is None": "full = full.swapaxes(0, 1) if full.shape[:2] == "
            "(H, N) else "
            "full\n            total = full if total is None",
        },
        _ANY,
    ),
    (
        "the weights are those of the first head",
        {"A.mean(1) if average_attn_weights": "A[:, 0].copy() if average_attn_weights"},
        "y 1",
    ),
    (
        "the weights are those before the dropout",
        {
            "A.mean(1) if average_attn_weights else A.copy()": "P.mean(1) if "
            "average_attn_weights else P.copy()"
        },
        "y 1",
    ),
    (
        "masks the learned key, too",
        {
            "np.pad(total, [(0, 0)] * 3 + [(0, keys - S)])": "np.pad(total, [(0, 0)] * 3 + [(0, "
            "keys - S)], mode='edge')"
        },
        _ANY,
    ),
    (
        "the key of zeros comes before the learned one",
        {
            "if self.add_bias_kv:\n                more.append(": "if "
            "self.add_bias_kv:\n                more.insert(0, ",
            "more.append(np.zeros((N, 1, self.embed_dim), dtype))": "more.insert(0, "
            "np.zeros((N, 1, self.embed_dim), dtype))",
        },
        ("gradient of bias_k", "gradient of bias_v", "y", "y 0", "y 1"),
    ),
    (
        "takes the batch to come first always",
        {
            "x[None] if one else x if self.batch_first": "x[None] if one else x if True",
            "x[0] if one else x if self.batch_first": "x[0] if one else x if True",
        },
        (*_ANY, "forward"),
    ),
    (
        "takes the projections in the order k, q, v",
        {
            'Ws = np.split(state["in_proj_weight"], 3)': "Ws = [\n                "
            'np.split(state["in_proj_weight"], 3)[i] for i in (1, 0, 2)\n            ]'
        },
        _ANY,
    ),
    (
        "takes the numbers of a mask for booleans",
        {"if mask.dtype == bool else mask": "if True else mask"},
        _ANY,
    ),
    (
        "forgets the projection of a softmax's gradient",
        {_P: "dS = P * dP"},
        (_QUERY, _KEY),
    ),
    (
        "forgets the scale of the query's gradient",
        {_HEADS: _HEADS.replace("(dS @ k) * scale", "dS @ k")},
        _QUERY,
    ),
    (
        "scales the key's gradient twice",
        {_HEADS: _HEADS.replace("(q * scale)", "(q * scale) * scale")},
        _KEY,
    ),
    (
        "the gradient of the values goes through the weights before the dropout",
        {_HEADS: _HEADS.replace("A.swapaxes(2, 3) @ dO", "P.swapaxes(2, 3) @ dO")},
        (_VALUE, _KEY),
    ),
    (
        "exchanges the gradients of key and value",
        {_GRADS: "first, *rest = dxs\n            return Grads((first, *rest[::-1]), params)"},
        (_KEY, _VALUE),
    ),
    (
        "ignores the gradient of the weights",
        {_BACK: "dA = dA * 1"},
        (_QUERY, _KEY, _VALUE),
    ),
    (
        "does not divide the gradient of the mean weights by the heads",
        {_BACK: _BACK.replace(" / H", "")},
        (_QUERY, _KEY),
    ),
    (
        "ignores the dropout on the way back",
        {"dP = dA if keep is None else dA * keep": "dP = dA"},
        (_QUERY, _KEY),
    ),
    (
        "the projections' gradients are in the order k, q, v",
        {
            'params["in_proj_weight"] = np.concatenate(dWs)': 'params["in_proj_weight"] = '
            "np.concatenate([dWs[1], dWs[0], "
            "dWs[2]])"
        },
        "gradient of in_proj_weight",
    ),
    (
        "the gradient of the learned key is that of the first sample",
        {_EXTRA: "params[name] = dz[:1, S][None] if N else dz[:, S].sum(0)[None, None]"},
        ("gradient of bias_k", "gradient of bias_v"),
    ),
    (
        "the biases' gradient is a mean over the batch",
        {"[dz.sum((0, 1)) for dz in dprojected]": "[dz.sum(1).mean(0) for dz in dprojected]"},
        "gradient of in_proj_bias",
    ),
]

MUTANTS = [
    Mutant("MultiheadAttention", mistake, edits, blames=blames)
    for mistake, edits, blames in _ATTENTION
]
