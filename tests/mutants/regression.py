from tests.mutants._losses import DT, DX, REDUCTION, mutants

_G = "g = slope(d) * reduced.back(dy, n)"
_N = "n = d.size"
_DT = "summed_to(target.shape, -g)"

_COUNTED = [
    ("counts the target's elements, not the common ones", {_N: "n = target.size"}, "y"),
    ("is 0 for nothing", {_N: "n = max(d.size, 1)"}, "y"),
]
_SHARED = [
    (
        "forgets to sum where the prediction was broadcast",
        {"Grads((summed_to(prediction.shape, g),": "Grads((g,"},
        DX,
    ),
    ("averages where the prediction was broadcast", {"d.sum(stretched,": "d.mean(stretched,"}, DX),
    ("multiplies by a float64", {_G: f"{_G} * np.float64(1)"}, DX),
    ("gives the target the prediction's gradient", {_DT: "summed_to(target.shape, g)"}, DT),
    ("has no gradient for the target", {_DT: "None"}, DT),
    ("forgets to sum where the target was broadcast", {_DT: "-g"}, DT),
    ("divides by the batch size only", {_N: "n = len(d) if d.ndim else 1"}, "y"),
    ("divides by n - 1", {_N: "n = max(d.size - 1, 1)"}, "y"),
    *_COUNTED,
]

_ABS = "losses=lambda d: np.abs(d)"
_SIGN = "slope=lambda d: np.sign(d)"

_L1 = [
    ("forgets the absolute value", {_ABS: "losses=lambda d: d"}, "y"),
    ("squares", {_ABS: "losses=lambda d: d * d"}, "y"),
    ("has a slope of 1 where both are equal", {_SIGN: "slope=lambda d: np.copysign(1, d)"}, DX),
    ("has the slope of the square", {_SIGN: "slope=lambda d: 2 * d"}, DX),
    ("has no slope below 0", {_SIGN: "slope=lambda d: (d > 0).astype(d.dtype)"}, DX),
    ("changes the sign", {_SIGN: "slope=lambda d: -np.sign(d)"}, DX),
]

_SQUARE = "losses=lambda d: d * d"
_TWICE = "slope=lambda d: 2 * d"

_MSE = [
    ("forgets the 2", {_TWICE: "slope=lambda d: d"}, DX),
    ("changes the sign", {_TWICE: "slope=lambda d: -2 * d"}, DX),
    ("squares the difference again", {_TWICE: "slope=lambda d: 2 * d * d"}, DX),
    ("has the gradient of |x|", {_TWICE: "slope=lambda d: np.sign(d)"}, DX),
    ("takes half the square", {_SQUARE: "losses=lambda d: d * d / 2"}, "y"),
    ("forgets the square", {_SQUARE: "losses=lambda d: abs(d)"}, "y"),
    (
        "takes the root",
        {"Forward(reduced(losses(d), n)": "Forward(np.sqrt(reduced(losses(d), n))"},
        "y",
    ),
    *_SHARED,
    *REDUCTION,
]

_C = "c = np.clip(d, -beta, beta)"
_SMOOTH = "smooth: Array = c * (d - c / 2) / beta"
_SMOOTH_SLOPE = "return np.clip(d, -beta, beta) / beta if beta else np.sign(d)"

_SMOOTH_L1 = [
    ("is the Huber loss, not divided by beta", {_SMOOTH: _SMOOTH.replace(" / beta", "")}, "y"),
    ("forgets the half of the square", {_SMOOTH: "smooth: Array = c * d / beta"}, "y"),
    ("ignores beta", {_C: "c = np.clip(d, -1, 1)"}, "y"),
    (
        "takes the line for the square everywhere",
        {_SMOOTH: "smooth: Array = np.abs(d) - beta / 2"},
        "y",
    ),
    (
        "forgets what joins line and square",
        {_SMOOTH: "smooth: Array = np.where(np.abs(d) < beta, d * d / (2 * beta), np.abs(d))"},
        "y",
    ),
    (
        "is 0 with beta=0",
        {
            "if not beta:\n                return np.abs(d)": "if not beta:\n"
            "                return 0 * d"
        },
        "y",
    ),
    (
        "forgets to divide the slope by beta",
        {_SMOOTH_SLOPE: _SMOOTH_SLOPE.replace(" / beta", "")},
        DX,
    ),
    (
        "has no slope far from 0",
        {_SMOOTH_SLOPE: "return np.where(np.abs(d) < beta, d, 0) / (beta or 1)"},
        DX,
    ),
    ("does not clip the slope", {_SMOOTH_SLOPE: "return d / beta if beta else np.sign(d)"}, DX),
    (
        "has no slope with beta=0",
        {_SMOOTH_SLOPE: _SMOOTH_SLOPE.replace("np.sign(d)", "0 * d")},
        DX,
    ),
]

_HUBER_C = "c = np.clip(d, -self.delta, self.delta)"
_HUBER_LOSS = "huber: Array = c * (d - c / 2)"
_HUBER_SLOPE = "clipped: Array = np.clip(d, -self.delta, self.delta)"

_HUBER = [
    ("is the smooth L1 loss, divided by delta", {_HUBER_LOSS: f"{_HUBER_LOSS} / self.delta"}, "y"),
    ("forgets the half of the square", {_HUBER_LOSS: "huber: Array = c * d"}, "y"),
    ("ignores delta", {_HUBER_C: "c = np.clip(d, -1, 1)"}, "y"),
    (
        "forgets delta times the line",
        {
            _HUBER_LOSS: "huber: Array = np.where(abs(d) < self.delta, d * d / 2, "
            "abs(d) - self.delta / 2)"
        },
        "y",
    ),
    ("has a slope of 1 far from 0", {_HUBER_SLOPE: "clipped: Array = np.clip(d, -1, 1)"}, DX),
    ("does not clip the slope", {_HUBER_SLOPE: "clipped: Array = d"}, DX),
    (
        "has no slope far from 0",
        {_HUBER_SLOPE: "clipped: Array = d * (np.abs(d) <= self.delta)"},
        DX,
    ),
    (
        "clips from above only",
        {_HUBER_SLOPE: "clipped: Array = np.minimum(d, self.delta)"},
        DX,
    ),
]

MUTANTS = [
    *mutants("L1Loss", [*_L1, *_SHARED]),
    *mutants("MSELoss", _MSE),
    *mutants("SmoothL1Loss", [*_SMOOTH_L1, *_COUNTED]),
    *mutants("HuberLoss", [*_HUBER, *_COUNTED]),
]
