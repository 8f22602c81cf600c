from tests.mutants import Mutant

_CHANNELS = ("Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout")

_INPUT = "gradient of input 0"

MUTANTS = [
    Mutant(
        "Dropout",
        "does not make up for what it drops",
        {"return (rng.random(shape) >= p) / (1 - p)": "return (rng.random(shape) >= p) * 1.0"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "divides by p, not by 1 - p",
        {">= p) / (1 - p)": ">= p) / p"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "multiplies by 1 - p, as in evaluation of the original paper",
        {">= p) / (1 - p)": ">= p) * (1 - p)"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "keeps with probability p",
        {"rng.random(shape) >= p": "rng.random(shape) < p"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "drops in evaluation too",
        {"if not layer.training or p == 0:": "if p == 0:"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "scales in evaluation although training has done so",
        {"Forward(x, lambda dy": "Forward(x * (1 - p), lambda dy"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "p = 1 keeps everything",
        {"return np.zeros(shape)": "return np.ones(shape)"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "the gradient passes by the mask",
        {"Grads((dy * keep,))": "Grads((dy * 1,))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "the gradient is masked, but not scaled",
        {"Grads((dy * keep,))": "Grads((dy * (keep > 0),))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "the gradient is scaled, but not masked",
        {"Grads((dy * keep,))": "Grads((dy * keep.max(initial=0),))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "the gradient is scaled twice",
        {"Grads((dy * keep,))": "Grads((dy * keep * keep,))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "the backward pass draws another mask",
        {
            "Grads((dy * keep,))": "Grads((dy * keep_factors(layer, mask, p, "
            "rng or np.random.default_rng()).astype(x.dtype),))"
        },
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "the gradient is that of the mask",
        {"Grads((dy * keep,))": "Grads((dy * x,))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "there is no gradient in evaluation",
        {"lambda dy: Grads((dy,))": "lambda dy: Grads((dy * 0,))"},
        blames=_INPUT,
    ),
    Mutant(
        "Dropout",
        "masks the caller's array",
        {"y = x * keep": "y = np.multiply(x, keep, out=x)"},
        blames="input 0",
    ),
    Mutant(
        "Dropout",
        "masks the caller's gradient",
        {"Grads((dy * keep,))": "Grads((np.multiply(dy, keep, out=dy),))"},
        blames="dy",
    ),
    Mutant(
        "Dropout",
        "the mask is float64",
        {"keep = keep.astype(x.dtype)": "keep = keep"},
        blames="y",
    ),
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer in _CHANNELS
        for mistake, edits, blames in (
            (
                "drops single elements",
                {"return x.shape[:axes] + (1,) * (x.ndim - axes)": "return x.shape"},
                "y",
            ),
            (
                "keeps with probability p",
                {"rng.random(shape) >= p": "rng.random(shape) < p"},
                "y",
            ),
            (
                "drops in evaluation too",
                {"if not layer.training or p == 0:": "if p == 0:"},
                "y",
            ),
            (
                "the gradient passes by the mask",
                {"Grads((dy * keep,))": "Grads((dy * 1,))"},
                _INPUT,
            ),
            (
                "the gradient is scaled twice",
                {"Grads((dy * keep,))": "Grads((dy * keep * keep,))"},
                _INPUT,
            ),
            (
                "the mask is float64",
                {"keep = keep.astype(x.dtype)": "keep = keep"},
                "y",
            ),
        )
    ),
    *(
        Mutant(
            f"Dropout{n}d",
            "p = 1 keeps everything",
            {"return np.zeros(shape)": "return np.ones(shape)"},
            blames="y",
        )
        for n in (1, 2, 3)
    ),
    Mutant(
        "Dropout1d",
        "takes (C, L) for (N, C)",
        {"_channels(x, x.ndim - 1)": "_channels(x, 2)"},
        blames="y",
    ),
    Mutant(
        "Dropout1d",
        "drops a channel in all samples at once",
        {"_channels(x, x.ndim - 1)": "(1,) * (x.ndim - 2) + _channels(x, x.ndim - 1)[-2:]"},
        blames="y",
    ),
    Mutant(
        "Dropout2d",
        "takes three axes for (C, H, W)",
        {
            '_require_axes(self, x, x.ndim >= 2, "(N, C, H, W)")\n        '
            "return _dropped(self, x, _channels(x, 2), rng)": "return _dropped(self, x, "
            "_channels(x, 1 if x.ndim == 3 else 2), rng)"
        },
        blames="y",
    ),
    Mutant(
        "Dropout2d",
        "drops whole samples",
        {
            '_require_axes(self, x, x.ndim >= 2, "(N, C, H, W)")\n        '
            "return _dropped(self, x, _channels(x, 2), rng)": "return _dropped(self, x, "
            "_channels(x, 1), rng)"
        },
        blames="y",
    ),
    Mutant(
        "Dropout3d",
        "takes four axes for (N, C, D, H)",
        {"2 if x.ndim == 5 else 1": "2"},
        blames="y",
    ),
    Mutant(
        "Dropout3d",
        "drops whole samples",
        {"2 if x.ndim == 5 else 1": "1"},
        blames="y",
    ),
    *(
        Mutant(layer, mistake, edits, blames=blames)
        for layer in ("AlphaDropout", "FeatureAlphaDropout")
        for mistake, edits, blames in (
            ("drops to 0", {"p - ~kept": "p - 0 * ~kept"}, "y"),
            ("forgets b", {"p - ~kept": "-1.0 * ~kept"}, "y"),
            ("drops to +λα", {"p - ~kept": "p + ~kept"}, "y"),
            ("scales as Dropout does", {"keep, shift = a * kept,": "keep, shift = keep,"}, "y"),
            ("forgets the root", {"a = 1 / math.sqrt(": "a = 1 / ("}, "y"),
            ("adds the variance of the wrong share", {"(1 + p * _SAT": "(1 + (1 - p) * _SAT"}, "y"),
            ("drops to -λ", {"1.7580993408473766": "1.0507009873554805"}, "y"),
            ("does not scale the shift", {"a * _SATURATION * (p": "_SATURATION * (p"}, "y"),
            ("p = 1 keeps everything", {"return np.zeros(shape)": "return np.ones(shape)"}, "y"),
            ("p = 1 keeps its shift", {"saturates and p < 1": "saturates and p <= 1"}, "forward"),
        )
    ),
    Mutant(
        "AlphaDropout",
        "the gradient passes by the mask",
        {"Grads((dy * keep,))": "Grads((dy * keep.max(initial=0),))"},
        blames=_INPUT,
    ),
    Mutant(
        "AlphaDropout",
        "is not linear backwards: adds the shift to the gradient",
        {"Grads((dy * keep,))": "Grads((dy * keep + shift.astype(dy.dtype),))"},
        blames=_INPUT,
    ),
    Mutant(
        "AlphaDropout",
        "drops in evaluation too",
        {"if not layer.training or p == 0:": "if p == 0:"},
        blames="y",
    ),
]
