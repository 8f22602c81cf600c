from tests.mutants import Mutant

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
        {"if not self.training or self.p == 0:": "if self.p == 0:"},
        blames="y",
    ),
    Mutant(
        "Dropout",
        "scales in evaluation although training has done so",
        {"Forward(x, lambda dy": "Forward(x * (1 - self.p), lambda dy"},
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
            "Grads((dy * keep,))": "Grads((dy * keep_factors(self, x.shape, self.p, "
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
        {"return Forward(x * keep, vjp)": "return Forward(np.multiply(x, keep, out=x), vjp)"},
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
        {"self.p, rng).astype(x.dtype)": "self.p, rng)"},
        blames="y",
    ),
]
