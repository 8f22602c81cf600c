from tests.mutants import Mutant

_X, _X2, _W, _B = (
    "gradient of input 0",
    "gradient of input 1",
    "gradient of weight",
    "gradient of bias",
)
_FORWARD = "y = rows @ W.T\n        if self.bias:\n            y += "
_DX = "(dy @ W).reshape(x.shape)"
_DW = '{"weight": dy.T @ rows}'
_DB = "dy.sum(0)"
_ROWS = "dy = dy.reshape(len(rows), self.out_features)"

_LINEAR = [
    ("forgets the bias", {_FORWARD: "y = rows @ W.T\n        if False:\n            y += "}, "y"),
    ("subtracts the bias", {_FORWARD: _FORWARD.replace("+=", "-=")}, "y"),
    (
        "multiplies by W where that is square, not by its transpose",
        {_FORWARD: _FORWARD.replace("W.T", "(W if len(W) == len(W.T) else W.T)")},
        "y",
    ),
    (
        "adds the bias once for every input feature",
        {_FORWARD: _FORWARD.replace("y += ", "y += self.in_features * ")},
        "y",
    ),
    (
        "goes back through the transpose where W is square",
        {_DX: "(dy @ (W.T if len(W) == len(W.T) else W)).reshape(x.shape)"},
        _X,
    ),
    ("forgets dy in dx", {_DX: "(np.ones_like(dy) @ W).reshape(x.shape)"}, _X),
    ("goes back through |W|", {_DX: "(dy @ np.abs(W)).reshape(x.shape)"}, _X),
    ("averages dx over the batch", {_DX: "(dy @ W).reshape(x.shape) / max(len(rows), 1)"}, _X),
    ("averages dW over the batch", {_DW: '{"weight": dy.T @ rows / max(len(rows), 1)}'}, _W),
    (
        "multiplies sums over the batch instead of summing products",
        {_DW: '{"weight": np.outer(dy.sum(axis=0), rows.sum(axis=0))}'},
        _W,
    ),
    (
        "returns dW transposed",
        {_DW: '{"weight": rows.T @ dy}'},
        _W,
    ),
    ("takes W for x in dW", {_DW: '{"weight": W * dy.sum(axis=0)[:, None]}'}, _W),
    ("averages db over the batch", {_DB: "dy.sum(axis=0) / max(len(rows), 1)"}, _B),
    ("takes db of the first row only", {_DB: "dy[:1].sum(axis=0)"}, _B),
    ("sums db over the features too", {_DB: "np.full(self.out_features, dy.sum(), dy.dtype)"}, _B),
    ("sums db in float64", {_DB: "dy.sum(axis=0, dtype=np.float64)"}, _B),
    (
        "forgets db",
        {f'            if self.bias:\n                params["bias"] = {_DB}\n': ""},
        _B,
    ),
    ("clips dy in place", {_ROWS: f"{_ROWS}\n            dy.clip(-0.5, 0.5, out=dy)"}, "dy"),
    (
        "clips the weight in place",
        {_FORWARD: f"W.clip(-0.5, 0.5, out=W)\n        {_FORWARD}"},
        "state weight",
    ),
]

_PRODUCT = "y = (aW @ b).reshape(rows, out)"
_DX1 = "dx1 = (dy @ W.reshape(out, m * n)).reshape(rows, m, n) @ b"
_DX2 = "dx2 = dy.reshape(rows, 1, out) @ aW"
_DA = "(dy.reshape(rows, out, 1) * a.reshape(rows, 1, m))"
_DW2 = "(da.T @ b.reshape(rows, n)).reshape(W.shape)"
_DB2 = "dy.sum(axis=0)"

_BILINEAR = [
    (
        "forgets the bias",
        {f"{_PRODUCT}\n        if self.bias:": f"{_PRODUCT}\n        if False:"},
        "y",
    ),
    (
        "doubles the bias",
        {
            f"{_PRODUCT}\n        if self.bias:": f"{_PRODUCT}\n"
            "        for _ in range(2 * self.bias):"
        },
        "y",
    ),
    ("multiplies by b twice", {_PRODUCT: "y = (aW @ (b * b)).reshape(rows, out)"}, "y"),
    (
        "exchanges the inputs where they are of one size",
        {"(a @ W.transpose(1, 0, 2)": "(a @ W.transpose((2, 0, 1) if m == n else (1, 0, 2))"},
        "y",
    ),
    (
        "takes x1 for x2 where they are of one size",
        {_DX1: f"b = a[..., None] if m == n else b; {_DX1}"},
        _X,
    ),
    ("forgets x2 in dx1", {_DX1: _DX1.replace("@ b", "@ np.ones_like(b)")}, _X),
    ("forgets dy in dx1", {_DX1: _DX1.replace("(dy @ W", "(np.ones_like(dy) @ W")}, _X),
    ("averages dx1 over the outputs", {_DX1: f"{_DX1} / max(out, 1)"}, _X),
    ("forgets dy in dx2", {_DX2: "dx2 = np.ones_like(dy).reshape(rows, 1, out) @ aW"}, _X2),
    ("forgets x1 in dx2", {_DX2: "dx2 = dy @ W.sum(1)"}, _X2),
    ("has no gradient for x2", {"dx2.reshape(x2.shape)": "None"}, _X2),
    ("forgets dy in dW", {_DA: "(np.ones((1, out, 1), dy.dtype) * a.reshape(rows, 1, m))"}, _W),
    ("forgets x2 in dW", {_DW2: "(da.T @ np.ones_like(b).reshape(rows, n)).reshape(W.shape)"}, _W),
    ("averages dW over the batch", {_DW2: f"{_DW2} / max(rows, 1)"}, _W),
    ("averages db over the batch", {_DB2: "dy.sum(axis=0) / max(rows, 1)"}, _B),
    ("takes db of the last row only", {_DB2: "dy[-1:].sum(0)"}, _B),
    (
        "clips dy in place",
        {"dy = dy.reshape(rows, out)": "dy = dy.reshape(rows, out).clip(-0.5, 0.5, out=dy)"},
        "dy",
    ),
]

MUTANTS = [Mutant("Linear", mistake, edits, blames=q) for mistake, edits, q in _LINEAR] + [
    Mutant("Bilinear", mistake, edits, blames=q) for mistake, edits, q in _BILINEAR
]
