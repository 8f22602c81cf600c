from tests.mutants import Mutant

_DX = "gradient of input 0"

MUTANTS = [
    Mutant("CTCLoss", mistake, edits, blames=blames)
    for mistake, edits, blames in (
        (
            "takes 0 for the blank",
            {
                "symbols = np.full((N, 2 * S + 1), "
                "self.blank)": "symbols = np.zeros((N, 2 * S + 1), np.int64)"
            },
            "y",
        ),
        (
            "begins with the blank only",
            {"alpha[0, :, 2:4] = emitted[0, :, :2]": "alpha[0, :, 2:3] = emitted[0, :, :1]"},
            "y",
        ),
        (
            "ends with a label only",
            {
                "ends: Array = (behind == 0) | (behind == 1)": "ends: Array = (behind == 1) | "
                "((behind == 0) & (self.labels[:, None] == 0))"
            },
            "y",
        ),
        (
            "ends with the blank only",
            {"ends: Array = (behind == 0) | (behind == 1)": "ends: Array = behind == 0"},
            "y",
        ),
        (
            "merges equal labels without a blank between",
            {"jumps[:, 2:] = symbols[:, 2:] != symbols[:, :-2]": "jumps[:, 3::2] = True"},
            "y",
        ),
        (
            "never leaves a blank out",
            {"jumps[:, 2:] = symbols[:, 2:] != symbols[:, :-2]": "pass"},
            "y",
        ),
        (
            "jumps over labels too",
            {"jumps[:, 2:] = symbols[:, 2:] != symbols[:, :-2]": "jumps[:, 2:] = True"},
            "y",
        ),
        (
            "never stays at a symbol",
            {
                "_log_sum(a[:, 2:], a[:, 1:-1], a[:, :-2] + barred) + emitted[t]": "_log_sum("
                "a[:, 2:] * 0 - np.inf, a[:, 1:-1], a[:, :-2] + barred) + emitted[t]"
            },
            "y",
        ),
        (
            "takes the best alignment for all of them (Viterbi)",
            {"np.log(np.exp(a - m) + np.exp(b - m) + np.exp(c - m)) + m": "largest"},
            "y",
        ),
        (
            "reads the inputs to their end whatever their lengths",
            {"last = alpha[paths.steps - 1, ": "last = alpha[np.full(paths.size, -1), "},
            "y",
        ),
        (
            "sums over the targets without their length",
            {
                'labels_ = self._lengths("target_lengths", labels, N, longest)': "labels_ = "
                'np.full(N, longest) if targets.ndim == 2 else self._lengths("", '
                "labels, N, longest)"
            },
            "y",
        ),
        (
            "the mean forgets the lengths of the targets",
            {"n *= np.maximum(paths.labels, 1) * paths.size": "n *= paths.size"},
            "y",
        ),
        (
            "the mean divides by all lengths together",
            {"n *= np.maximum(paths.labels, 1) * paths.size": "n *= max(paths.labels.sum(), 1)"},
            "y",
        ),
        (
            "the mean divides by the lengths of the inputs",
            {
                "n *= np.maximum(paths.labels, 1) * paths.size": "n *= np.maximum(paths.steps, 1) "
                "* paths.size"
            },
            "y",
        ),
        (
            "an empty target makes the mean nan",
            {"n *= np.maximum(paths.labels, 1) * paths.size": "n *= paths.labels * paths.size"},
            "y",
        ),
        (
            "gives the sum for the mean",
            {'if self.reduction == "mean":': "if False:"},
            "y",
        ),
        (
            "ignores zero_infinity",
            {
                "losses = np.where(impossible, 0, loss) if self.zero_infinity else "
                "loss": "losses = loss"
            },
            "y",
        ),
        (
            "has no losses of inf",
            {
                "losses = np.where(impossible, 0, loss) if self.zero_infinity else "
                "loss": "losses = np.where(impossible, 0, loss)"
            },
            "y",
        ),
        (
            "an input without steps has the loss 0 whatever its target",
            {"np.where(paths.steps == 0, nothing, total)": "np.where(paths.steps == 0, 0, total)"},
            "y",
        ),
        (
            "works with probabilities, which underflow",
            {
                "np.log(np.exp(a - m) + np.exp(b - m) + np.exp(c - m)) + m": "np.log(np.exp(a) + "
                "np.exp(b) + np.exp(c))"
            },
            "y",
        ),
        (
            "has the true derivative: forgets exp(log_probs)",
            {"d = np.exp(logp) - _by_symbol": "d = -_by_symbol"},
            _DX,
        ),
        (
            "counts p twice in the share",
            {"alpha + _betas(emitted, paths) - emitted": "alpha + _betas(emitted, paths)"},
            _DX,
        ),
        (
            "does not divide by the likelihood",
            {"np.exp(state_log + np.where(impossible, 0, loss)[:, None])": "np.exp(state_log)"},
            _DX,
        ),
        (
            "the last of equal labels takes all",
            {
                "total = np.bincount(places.ravel(), share.ravel(), T * N * C)": "total = "
                "np.zeros(T * N * C)\n    total[places.ravel()] = share.ravel()"
            },
            _DX,
        ),
        (
            "the gradient has the wrong sign",
            {"d *= scale[:, None]": "d *= -scale[:, None]"},
            _DX,
        ),
        (
            "the gradient is that of the sum",
            {
                "scale = np.broadcast_to(dy, paths.size) / n": "scale = np.broadcast_to(dy, "
                "paths.size)"
            },
            _DX,
        ),
        (
            "takes dL/dy for 1",
            {"scale = np.broadcast_to(dy, paths.size) / n": "scale = np.ones_like(dy) / n"},
            _DX,
        ),
        (
            "exp(log_probs) goes on behind the end of an input",
            {"d[np.arange(len(d))[:, None] >= paths.steps] = 0": "pass"},
            _DX,
        ),
        (
            "impossible targets have a gradient of 0 without zero_infinity",
            {"0 if self.zero_infinity else np.nan": "0"},
            _DX,
        ),
        (
            "impossible targets keep exp(log_probs) with zero_infinity",
            {
                "d[:, impossible] = 0 if self.zero_infinity else "
                "np.nan": "d[:, impossible] *= 1 if self.zero_infinity else np.nan"
            },
            _DX,
        ),
        (
            "β begins at the end of the longest input",
            {"last = (paths.steps == t + 1)[:, None]": "last = np.full((N, 1), t + 1 == T)"},
            _DX,
        ),
        (
            "β jumps where α may, not where it may from behind",
            {
                "barred[:, :-2] = _barred(paths.jumps, emitted.dtype)[:, 2:]": "barred = "
                "_barred(paths.jumps, emitted.dtype)"
            },
            _DX,
        ),
        (
            "the gradient is float64",
            {"return total.reshape(shape).astype(share.dtype)": "return total.reshape(shape)"},
            _DX,
        ),
    )
]
