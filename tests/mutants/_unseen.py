"""Mistakes that no question shows, for torch has no answer there that could be held against it.

What ought to be refused, and what becomes of nan, of -0 and of -inf: only the claims see them.
"""

from tests.mutants import Mutant

_POOL = "npnet.nn.maxpool"
_DROPOUTS = ("Dropout", *(f"Dropout{n}d" for n in (1, 2, 3)), "AlphaDropout", "FeatureAlphaDropout")

# ---- what ought to be refused --------------------------------------------------------------------

_REFUSED: list[tuple[tuple[str, ...], str, dict[str, str]]] = [
    (
        ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
        "normalises one value per channel",
        {"if of_the_batch and n == 1:": "if False:", "n / (n - 1)": "n / max(n - 1, 1)"},
    ),
    (
        ("BCELoss", "BCEWithLogitsLoss"),
        "broadcasts the target",
        {"if t.shape != x.shape:": "if False:"},
    ),
    (
        ("BCELoss",),
        "takes what is no probability",
        {"outside = p[~((p >= 0) & (p <= 1))]": "outside = p[:0]"},
    ),
    (
        ("Conv1d", "Conv2d", "Conv3d"),
        "strides with padding='same'",
        {'elif layer.padding == "same" and': "elif False and"},
    ),
    (
        ("CrossEntropyLoss", "NLLLoss"),
        "counts negative labels from the end",
        {"kept & ((target < 0) | (target >= classes))": "kept & (target >= classes)"},
    ),
    (
        ("Embedding",),
        "counts negative indices from the end",
        {"0 <= x.min() <= x.max() <": "x.max() <"},
    ),
    (
        ("EmbeddingBag",),
        "takes the weights of samples for a mean",
        {'if self.mode != "sum":': "if False:"},
    ),
    (
        ("FractionalMaxPool2d", "FractionalMaxPool3d"),
        "prefers output_size to output_ratio",
        {"if (layer.output_size is None) == (layer.output_ratio is None):": "if False:"},
    ),
    (
        ("MultiheadAttention",),
        "takes is_causal without a mask for nothing",
        {"is_causal and attn_mask is None": "False"},
    ),
    (_DROPOUTS, "takes any p", {"if not 0 <= layer.p <= 1:": "if False:"}),
    (
        ("autograd.max",),
        "is -inf for nothing",
        {
            "y = np.asarray(a.max(axis, keepdims=True))": "y = np.asarray(a.max(axis, "
            "keepdims=True, initial=-np.inf))",
            "a.max(axis).shape": "a.max(axis, initial=-np.inf).shape",
        },
    ),
    (("Softshrink",), "takes a negative lambd", {"if self.lambd < 0:": "if False:"}),
    (
        ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
        "normalises one value per channel and sample",
        {"if of_the_sample and each == 1:": "if False:"},
    ),
    (
        ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"),
        "takes any output_size",
        {"abs(o - u) >= s for": "False for"},
    ),
    (
        tuple(f"{kind}Pool{n}d" for kind in ("Max", "Avg") for n in (1, 2, 3)),
        "takes any padding",
        {"if any(p > k // 2 for k, p in zip(kernel, padding, strict=True)):": "if False:"},
    ),
    (
        tuple(f"{kind}Pad{n}d" for kind in ("Reflection", "Circular") for n in (1, 2, 3)),
        "goes round more than once",
        {"    if not fits:\n": "    if False:\n"},
    ),
    (
        ("optim.SGD",),
        "takes nesterov without momentum",
        {"if self.nesterov and (not self.momentum or self.dampening):": "if False:"},
    ),
]

# ---- what becomes of nan, of -0 and of -inf ------------------------------------------------------

_NAN: list[tuple[tuple[str, ...], str, dict[str, str], str | None]] = [
    (
        ("Hardtanh", "ReLU6"),
        "stops the gradient at nan",
        {"blocked = (x <= low) | (x >= high)": "blocked = ~((x > low) & (x < high))"},
        None,
    ),
    (
        ("Hardshrink",),
        "stops nan",
        {"large = ~(np.abs(x) <= self.lambd)": "large = np.abs(x) > self.lambd"},
        None,
    ),
    (
        ("Softshrink",),
        "stops the gradient at nan",
        {"far = ~(np.abs(x) <= self.lambd)": "far = np.abs(x) > self.lambd"},
        None,
    ),
    (
        ("AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d"),
        "the first of several nans wins",
        {"np.where(missing, integer(t + 1), place)": "place"},
        _POOL,
    ),
    (
        ("autograd.relu",),
        "stops the gradient at nan",
        {"dy * ~blocked": "dy * (a > 0)"},
        None,
    ),
    (
        ("autograd.relu",),
        "makes 0 of -0",
        {"y = np.clip(a, 0, np.inf)": "y = np.where(a > 0, a, 0.0 * np.abs(a))"},
        None,
    ),
    (
        ("autograd.softmax",),
        "takes -1e9 for -inf",
        {
            'return self._through("Softmax",': "near = np.maximum(self.data, -1e9)\n        "
            'return _made("near", (near, lambda dy: (dy,)), (self,))._through("Softmax",'
        },
        None,
    ),
]

UNSEEN = [
    *(
        Mutant(layer, mistake, edits, blames="forward")
        for layers, mistake, edits in _REFUSED
        for layer in layers
    ),
    *(
        Mutant(layer, mistake, edits, blames="gradient of input 0", module=module)
        for layers, mistake, edits, module in _NAN
        for layer in layers
    ),
]
