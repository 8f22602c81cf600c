"""A candidate in NumPy for every dialect: npnet's own after an edit, npnet's own asked otherwise,
or written out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from npnet.contract import Array, Forward, Grads
from npnet.verify.candidate import Candidate
from npnet.verify.case import Case
from npnet.verify.targets import native
from tests.alternatives import pooling, recurrent
from tests.mutants import Mutant

Only = Mapping[str, st.SearchStrategy[Any]]
SPOKEN: dict[tuple[str, str], Candidate] = {}


def speak(
    twin: str, dialect: str, function: Callable[[Any], Any], only: Only | None = None
) -> None:
    SPOKEN[twin, dialect] = Candidate(
        function, twin, f"{twin} {dialect}", dict(only or {}), target=""
    )


def edit(twin: str, dialect: str, edits: Mapping[str, str], only: Only | None = None) -> None:
    wrong = Mutant(twin, dialect, edits, blames="")
    speak(twin, dialect, native(twin, wrong.build()).function, only)


def asked(twin: str, change: Callable[[dict[str, Any], Case], Any]) -> Callable[[Case], Forward]:
    """npnet's own under another configuration."""
    own = native(twin).function
    return lambda case: own(
        replace(case, config={**case.config, **change(dict(case.config), case)})
    )


# ---- optimizers ----------------------------------------------------------------------------------

ROOT = "denominator = np.sqrt(v) + self.eps"
INSIDE = {ROOT: "denominator = np.sqrt(v + self.eps)"}
DECAY = {"g = g + self.weight_decay * p": "p = (1 - self.lr * self.weight_decay) * p"}
ADAM = "denominator = np.sqrt(v) / (1 - b2**t) ** 0.5 + self.eps"
FOLDED = {
    "step_size = self.lr / (1 - b1**t)": "step_size = self.lr * (1 - b2**t) ** 0.5 / (1 - b1**t)",
    ADAM: "denominator = np.sqrt(v) + self.eps",
}
VELOCITY = {
    "b = g.copy()": "b = self.lr * g",
    'b = self.momentum * kept["momentum_buffer"] + (1 - self.dampening) * g': "b = self.momentum "
    '* kept["momentum_buffer"] + (1 - self.dampening) * self.lr * g',
}
AHEAD = "direction = g + self.momentum * b if self.nesterov else b"
STEP = 'return p - self.lr * direction, {"momentum_buffer": b}'

edit("optim.RMSprop", "eps-inside", INSIDE)
edit(
    "optim.RMSprop",
    "tensorflow",
    INSIDE
    | {
        "+ g / denominator": "+ self.lr * g / denominator",
        "return p - self.lr * b, now": "return p - b, now",
    },
)
edit(
    "optim.Adagrad",
    "tensorflow",
    {"(np.sqrt(s) + self.eps)": "np.sqrt(s + self.eps)"},
)
for name in ("Adam", "AdamW"):
    twin = f"optim.{name}"
    edit(twin, "tensorflow", FOLDED)
    edit(twin, "eps-inside", {ADAM: "denominator = np.sqrt(v / (1 - b2**t) + self.eps)"})
edit("optim.Adam", "decoupled", {"if self.decoupled_weight_decay:": "if True:"})
edit("optim.AdamW", "l2", {"decoupled_weight_decay=True": "decoupled_weight_decay=False"})
for name in ("SGD", "RMSprop", "Adagrad", "Adadelta"):
    edit(f"optim.{name}", "decoupled", DECAY)
edit(
    "optim.SGD",
    "damped",
    {"b = g.copy()": "b = (1 - self.momentum) * g", "(1 - self.dampening)": "(1 - self.momentum)"},
)
edit(
    "optim.SGD",
    "tensorflow",
    VELOCITY
    | {
        AHEAD: "direction = self.lr * g + self.momentum * b if self.nesterov else b",
        STEP: STEP.replace("self.lr * direction", "direction"),
    },
)
edit(
    "optim.SGD",
    "sutskever",
    VELOCITY | {AHEAD: "direction = b", STEP: STEP.replace("self.lr * direction", "direction")},
)


# ---- normalisations ------------------------------------------------------------------------------

SHARE = "m = layer.momentum if layer.momentum is not None else"
KEPT = {SHARE: SHARE.replace("m = layer", "m = 1 - layer")}
BIASED = {"m * (var * (n / (n - 1)))": "m * var"}

for axes in (1, 2, 3):
    twin = f"BatchNorm{axes}d"
    edit(twin, "tensorflow", KEPT)
    edit(twin, "biased-variance", BIASED)
    edit(twin, "keras", KEPT | BIASED)
    edit(f"InstanceNorm{axes}d", "tensorflow", KEPT)
for twin in (
    "LayerNorm",
    "GroupNorm",
    *(f"{kind}{n}d" for kind in ("BatchNorm", "InstanceNorm") for n in (1, 2, 3)),
):
    speak(twin, "eps-1e-3", asked(twin, lambda config, case: {"eps": 1e-3}))


# ---- recurrent layers ----------------------------------------------------------------------------

GATES = {"LSTM": "ifgo", "GRU": "rzn"}


def reordered(twin: str, theirs: str, negative: str = "") -> Callable[[Case], Forward]:
    """npnet's own, with the blocks of gates where another order has them; some negated."""
    own, torchs = native(twin).function, GATES[twin.removesuffix("Cell")]

    def turn(name: str, w: Array, back: bool = False) -> Array:
        if "_hr" in name:
            return w
        here, there = (theirs, torchs) if not back else (torchs, theirs)
        blocks = dict(zip(here, np.split(w, len(here)), strict=True))
        return np.concatenate([-blocks[g] if g in negative else blocks[g] for g in there])

    def call(case: Case) -> Forward:
        forward = own(replace(case, state={n: turn(n, w) for n, w in case.state.items()}))

        def vjp(dy: Any) -> Grads:
            inputs, params = forward.vjp(dy)
            return Grads(inputs, {n: turn(n, g, back=True) for n, g in params.items()})

        return Forward(forward.y, vjp)

    return call


def one_bias(twin: str, silent: str) -> Callable[[Case], Forward]:
    own = native(twin).function

    def call(case: Case) -> Forward:
        zeros = {n: np.zeros_like(w) for n, w in case.state.items() if n.startswith(silent)}
        forward = own(replace(case, state={**case.state, **zeros}))

        def vjp(dy: Any) -> Grads:
            inputs, params = forward.vjp(dy)
            return Grads(inputs, {n: g for n, g in params.items() if n not in zeros})

        return Forward(forward.y, vjp)

    return call


def gru_step(order: str, inverted: bool = False) -> Any:
    """n = tanh(W_in x + b_in + W_hn (r h) + b_hn), the gates' rows in any order."""
    place = [order.index(gate) for gate in "rzn"]

    def step(layer: Any, state: Any, params: Any, end: str, x: Array, h: Array) -> Any:
        W, V = state["weight_ih" + end], state["weight_hh" + end]
        a = x @ W.T + (state["bias_ih" + end] + state["bias_hh" + end] if layer.bias else 0)
        a_r, a_z, a_n = (np.split(a, 3, 1)[k] for k in place)
        V_r, V_z, V_n = (np.split(V, 3)[k] for k in place)
        r, z = recurrent._sigmoid(a_r + h @ V_r.T), recurrent._sigmoid(a_z + h @ V_z.T)
        n = np.tanh(a_n + (r * h) @ V_n.T)
        old = 1 - z if inverted else z

        def back(dy: Array) -> tuple[Array, Array]:
            dn = dy * (1 - old) * (1 - n * n)
            dz = dy * (h - n) * z * (1 - z) * (-1 if inverted else 1)
            drh = dn @ V_n
            dr = drh * h * r * (1 - r)
            gates = dict(zip("rzn", (dr, dz, dn), strict=True))
            reads = dict(zip("rzn", (h, h, r * h), strict=True))
            da = np.concatenate([gates[g] for g in order], 1)
            params["weight_ih" + end] += da.T @ x
            params["weight_hh" + end] += np.concatenate([gates[g].T @ reads[g] for g in order])
            for name in ("bias_ih", "bias_hh")[: 2 * layer.bias]:
                params[name + end] += da.sum(0)
            return da @ W, dy * old + drh * r + dr @ V_r + dz @ V_z

        return (np.asarray((h - n) * old + n, x.dtype),), back

    return step


def gru(twin: str, step: Any) -> Callable[[Case], Forward]:
    class Layer(getattr(recurrent.nn, twin)):  # type: ignore[misc]
        def __call__(self, state: Any, x: Array, hx: Any = None, *, rng: Any = None) -> Forward:
            if twin == "GRUCell":
                return recurrent._cell(self, step, 1, state, x, hx)
            return recurrent._sequence(self, step, 1, state, x, hx, rng)

    if twin == "GRUCell":
        return lambda case: Layer(**case.config)(case.state, *case.inputs)
    return lambda case: Layer(**case.config)(case.state, *case.inputs, rng=case.rng)


for twin in ("GRU", "GRUCell"):
    speak(twin, "reset-before", gru(twin, gru_step("rzn")))
    speak(twin, "keras-v1", gru(twin, gru_step("zrn")))
    speak(twin, "chung", gru(twin, gru_step("rzn", inverted=True)))
    speak(twin, "tensorflow", reordered(twin, "zrn"))
    speak(twin, "inverted-update", reordered(twin, "rzn", "z"))
for twin in ("LSTM", "LSTMCell"):
    for order in ("ifog", "igfo", "iofg", "gifo", "figo", "fiog"):
        speak(twin, f"gates-{order}", reordered(twin, order))
for twin in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
    speak(twin, "only-bias_ih", one_bias(twin, "bias_hh"))
    speak(twin, "only-bias_hh", one_bias(twin, "bias_ih"))


# ---- pooling and convolution ---------------------------------------------------------------------


def max_pool(twin: str, axes: int, ties: str, same: bool = False) -> Callable[[Case], Forward]:
    layer = getattr(pooling.nn, twin)

    def reads(pool: Any, x: Array) -> list[list[list[int]]]:
        found = pooling._sliding(pool, x, axes)
        for i, n in enumerate(x.shape[-axes:]):
            k, p, d = (pooling._on(i, v) for v in (pool.kernel_size, pool.padding, pool.dilation))
            s = pooling._on(i, pool.kernel_size if pool.stride is None else pool.stride)
            if same and s > 1 and 2 * p == d * (k - 1) and not pool.ceil_mode:
                first = -(max((-(-n // s) - 1) * s + 2 * p + 1 - n, 0) // 2)
                taps = range(0, d * k, d)
                found[i] = [
                    [first + o * s + t for t in taps if 0 <= first + o * s + t < n]
                    for o in range(-(-n // s))
                ]
        return found

    def call(case: Case) -> Forward:
        pool, (x,) = layer(**case.config), case.inputs
        windows = reads(pool, x)
        out, size = [len(w) for w in windows], x.shape[-axes:]
        planes = x.reshape(-1, prod(size))
        y = np.empty((len(planes), *out), x.dtype)
        indices = np.empty(y.shape, np.int64)
        taken = []
        for p in np.ndindex(*out):
            grid = np.ix_(*(w[i] for w, i in zip(windows, p, strict=True)))
            at = np.ravel_multi_index(grid, size).ravel()
            window = planes[:, at]
            largest = window == window.max(1, keepdims=True)
            first = largest.argmax(1)
            last = at.size - 1 - largest[:, ::-1].argmax(1)
            best = last if ties == "last" else first
            y[(slice(None), *p)] = window.max(1)
            indices[(slice(None), *p)] = at[best]
            share = {
                "all": largest.astype(x.dtype),
                "shared": largest / largest.sum(1, keepdims=True),
            }.get(ties, np.eye(at.size)[best])
            taken.append((p, at, share.astype(x.dtype)))
        shape = (*x.shape[:-axes], *out)

        def vjp(dy: Any) -> Grads:
            g = (dy[0] if isinstance(dy, tuple) else dy).reshape(y.shape)
            dx = np.zeros_like(planes)
            for p, at, share in taken:
                dx[:, at] += share * g[(slice(None), *p)][:, None]
            return Grads((dx.reshape(x.shape),))

        found = y.reshape(shape)
        return Forward((found, indices.reshape(shape)) if pool.return_indices else found, vjp)

    return call


def padded_first(twin: str, axes: int) -> Callable[[Case], Forward]:
    """TensorFlow's padding, added before npnet's own is asked without one."""
    own = native(twin).function

    def call(case: Case) -> Forward:
        config, (x,) = dict(case.config), case.inputs
        ends = [(0, 0)] * (x.ndim - axes)
        for i, n in enumerate(x.shape[-axes:]):
            k, s, d = (pooling._on(i, config[v]) for v in ("kernel_size", "stride", "dilation"))
            p = pooling._on(i, 0 if config["padding"] == "valid" else config["padding"])
            if config["padding"] == "same":
                total = d * (k - 1)
            elif s > 1 and 2 * p == d * (k - 1):
                total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            else:
                ends.append((p, p))
                continue
            ends.append((total // 2, total - total // 2))
        forward = own(replace(case, config=config | {"padding": 0}, inputs=(np.pad(x, ends),)))
        inside = tuple(slice(b, b + n) for (b, _), n in zip(ends, x.shape, strict=True))

        def vjp(dy: Array) -> Grads:
            (dx,), params = forward.vjp(dy)
            return Grads((dx[inside],), params)

        return Forward(forward.y, vjp)

    return call


def flipped(twin: str, axes: int) -> Callable[[Case], Forward]:
    own, last = native(twin).function, tuple(range(-axes, 0))

    def call(case: Case) -> Forward:
        W = np.flip(case.state["weight"], last)
        forward = own(replace(case, state={**case.state, "weight": W}))

        def vjp(dy: Array) -> Grads:
            inputs, params = forward.vjp(dy)
            return Grads(inputs, {**params, "weight": np.flip(params["weight"], last)})

        return Forward(forward.y, vjp)

    return call


HALF = {
    "kernel_size": st.just(3),
    "padding": st.just(1),
    "dilation": st.just(1),
    "stride": st.sampled_from([2, 3]),
}
SAME_PADS = "(total // 2, total - total // 2)"
for axes in (1, 2, 3):
    twin = f"MaxPool{axes}d"
    speak(twin, "ties-to-all", max_pool(twin, axes, "all"))
    speak(twin, "ties-to-last", max_pool(twin, axes, "last"))
    speak(twin, "ties-shared", max_pool(twin, axes, "shared"))
    speak(
        twin,
        "tensorflow",
        max_pool(twin, axes, "first", same=True),
        HALF | {"ceil_mode": st.just(False)},
    )
    pool = f"AvgPool{axes}d"
    speak(pool, "tensorflow", asked(pool, lambda config, case: {"count_include_pad": False}))
    conv = f"Conv{axes}d"
    zeros = {"padding_mode": st.just("zeros")}
    speak(conv, "tensorflow", padded_first(conv, axes), HALF | zeros)
    edit(
        conv,
        "same-lower",
        {SAME_PADS: "(total - total // 2, total // 2)"},
        {"padding": st.just("same"), "kernel_size": st.sampled_from([2, 4])},
    )
    speak(conv, "flipped", flipped(conv, axes))


# ---- activations ---------------------------------------------------------------------------------


def elementwise(
    value: Callable[[Any, Array], Array], slope: Callable[[Any, Array], Array]
) -> Callable[[Case], Forward]:
    def call(case: Case) -> Forward:
        (x,) = case.inputs
        factor = np.asarray(slope(case.config, x), x.dtype)
        y = np.asarray(value(case.config, x), x.dtype)
        return Forward(y, lambda dy: Grads((dy * factor,)))

    return call


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def line(x: Array) -> Array:
    return np.clip(0.2 * x + 0.5, 0, 1)


def prelu(case: Case) -> Forward:
    (x,), w = case.inputs, case.state["weight"]
    shape = [-1 if i == 1 else 1 for i in range(x.ndim)] if x.ndim > 1 else [1] * x.ndim
    slope = np.where(x >= 0, x.dtype.type(1), w.reshape(shape))

    def vjp(dy: Array) -> Grads:
        dw = dy * np.minimum(x, 0)
        others = tuple(i for i in range(x.ndim) if i != 1)
        if len(w) == 1:
            others = None
        return Grads((dy * slope,), {"weight": np.reshape(dw.sum(others), w.shape)})

    return Forward(x * slope, vjp)


def softmax_of(twin: str, axis: Callable[[int], int]) -> Callable[[Case], Forward]:
    return asked(twin, lambda config, case: {"dim": axis(max(case.inputs[0].ndim, 1))})


speak("GELU", "tanh", asked("GELU", lambda config, case: {"approximate": "tanh"}))
speak(
    "GELU",
    "sigmoid",
    elementwise(
        lambda c, x: x * sigmoid(1.702 * x),
        lambda c, x: sigmoid(1.702 * x) + 1.702 * x * sigmoid(1.702 * x) * sigmoid(-1.702 * x),
    ),
)
speak(
    "Hardsigmoid",
    "keras",
    elementwise(lambda c, x: line(x), lambda c, x: np.where(np.abs(x) < 2.5, 0.2, 0)),
)
speak(
    "Hardswish",
    "keras",
    elementwise(
        lambda c, x: x * line(x),
        lambda c, x: line(x) + np.where(np.abs(x) < 2.5, 0.2 * x, 0),
    ),
)
for twin in ("Softmax", "LogSoftmax", "Softmin"):
    speak(twin, "last-axis", softmax_of(twin, lambda axes: -1))
    speak(twin, "axis-1", softmax_of(twin, lambda axes: min(1, axes - 1)))
    speak(twin, "axis-0", softmax_of(twin, lambda axes: 0))

edit("ReLU", "one-at-zero", {"blocked = x <= 0": "blocked = x < 0"})
speak(
    "ReLU",
    "half-at-zero",
    elementwise(lambda c, x: np.maximum(x, 0), lambda c, x: np.heaviside(x, 0.5)),
)
NEGATIVE = {"negative = x <= 0": "negative = x < 0"}
edit("LeakyReLU", "one-at-zero", NEGATIVE)
speak("PReLU", "one-at-zero", prelu)
edit("ELU", "one-at-zero", NEGATIVE)
edit("SELU", "right-at-zero", NEGATIVE)
speak(
    "Threshold",
    "passes-at-threshold",
    elementwise(
        lambda c, x: np.where(x >= c["threshold"], x, c["value"]),
        lambda c, x: x >= c["threshold"],
    ),
)
ENDS = {"(x <= low) | (x >= high)": "(x < low) | (x > high)"}
edit("Hardtanh", "one-at-ends", ENDS)
edit("ReLU6", "one-at-ends", ENDS)
edit(
    "Hardsigmoid",
    "slope-at-ends",
    {"inside = np.abs(x) < 3\n\n        def vjp": "inside = np.abs(x) <= 3\n\n        def vjp"},
)
edit(
    "Hardswish",
    "inside-at-ends",
    {
        "inside = np.abs(x) < 3\n            return": "inside = np.abs(x) <= 3\n            return",
        "+ (x >= 3)": "+ (x > 3)",
    },
)


# ---- dropout -------------------------------------------------------------------------------------


def dropout(axes: Callable[[int], int], keeps: bool) -> Callable[[Case], Forward]:
    """x · mask in training; the mask is as large as the first axes."""

    def call(case: Case) -> Forward:
        (x,), p = case.inputs, case.config["p"]
        n = axes(x.ndim)
        if case.config["training"]:
            kept = case.rng.random(x.shape[:n] + (1,) * (x.ndim - n)) >= p
            factor = np.broadcast_to(np.asarray(kept, x.dtype), x.shape)
        else:
            factor = np.asarray(1 if keeps else 1 - p, x.dtype)
        return Forward(x * factor, lambda dy: Grads((dy * factor,)))

    return call


for twin, shared in (
    ("Dropout", lambda n: n),
    ("Dropout1d", lambda n: n - 1),
    ("Dropout2d", lambda n: 2),
    ("Dropout3d", lambda n: 2 if n == 5 else 1),
):
    speak(twin, "unscaled", dropout(shared, keeps=True))
    speak(twin, "evaluation-scales", dropout(shared, keeps=False))


# ---- losses --------------------------------------------------------------------------------------


def scaled(
    twin: str, instead: str, factor: Callable[[Case, bool], float]
) -> Callable[[Case], Forward]:
    """npnet's own with `instead` of the mean, times a factor of the case and of whether it was."""
    own = native(twin).function

    def call(case: Case) -> Forward:
        config = dict(case.config)
        before = config.get("size_average"), config.get("reduce")
        old = before == (None, None)
        mean = config["reduction"] == "mean" if old else False not in before
        if mean:
            config |= {"reduction": instead} | dict.fromkeys({"size_average", "reduce"} & {*config})
        forward, by = own(replace(case, config=config)), factor(case, mean)

        def times(a: Any) -> Any:
            return np.asarray(a * a.dtype.type(by), a.dtype)

        return Forward(times(forward.y), lambda dy: forward.vjp(times(dy)))

    return call


def samples(case: Case, mean: bool) -> float:
    x, t = case.inputs[:2]
    if "ignore_index" in case.config:
        n = len(x) if x.ndim > 1 else 1
    elif "log_target" in case.config:
        n = len(x) if x.ndim else 1
    else:
        n = (*np.broadcast_shapes(x.shape, t.shape), 1)[0]
    return float(np.divide(1.0, n)) if mean else 1.0


def labels(case: Case, mean: bool) -> float:
    x, t = case.inputs
    classes = x.shape[1 if x.ndim > 1 else 0] if t.shape == x.shape else 1
    return float(np.divide(classes, t.size)) if mean else 1.0


for twin in (
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "SoftMarginLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "KLDivLoss",
):
    speak(twin, "sum", scaled(twin, "sum", lambda case, mean: 1.0))
    speak(twin, "batch-mean", scaled(twin, "sum", samples))
for twin in ("CrossEntropyLoss", "NLLLoss"):
    speak(twin, "tensorflow", scaled(twin, "sum", labels))
speak("MSELoss", "half", scaled("MSELoss", "mean", lambda case, mean: 0.5))
speak("MSELoss", "half-sum", scaled("MSELoss", "sum", lambda case, mean: 0.5))
speak(
    "MSELoss", "half-batch-mean", scaled("MSELoss", "sum", lambda c, mean: 0.5 * samples(c, mean))
)
edit(
    "L1Loss", "one-at-zero", {"slope=lambda d: np.sign(d)": "slope=lambda d: np.sign(d) + (d == 0)"}
)
edit(
    "L1Loss",
    "minus-one-at-zero",
    {"slope=lambda d: np.sign(d)": "slope=lambda d: np.sign(d) - (d == 0)"},
)
edit("MultiMarginLoss", "one-at-margin", {"others * (z > 0)": "others * (z >= 0)"})


# ---- axis orders ---------------------------------------------------------------------------------


def affine(case: Case) -> Forward:
    (x,), W = case.inputs, case.state["weight"]
    y = x @ W + (case.state["bias"] if case.config["bias"] else 0)

    def vjp(dy: Array) -> Grads:
        rows = dy.reshape(-1, dy.shape[-1])
        params = {"weight": x.reshape(-1, x.shape[-1]).T @ rows}
        if case.config["bias"]:
            params["bias"] = rows.sum(0)
        return Grads((dy @ W.T,), params)

    return Forward(np.asarray(y, x.dtype), vjp)


def transposed(twin: str) -> Callable[[Case], Forward]:
    own = native(twin).function

    def turn(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {n: a.T if n.startswith("weight") else a for n, a in arrays.items()}

    def call(case: Case) -> Forward:
        forward = own(replace(case, state=turn(case.state)))

        def vjp(dy: Any) -> Grads:
            inputs, params = forward.vjp(dy)
            return Grads(inputs, turn(params))

        return Forward(forward.y, vjp)

    return call


def moved(twin: str, axes: int, images: bool, kernels: bool = False) -> Callable[[Case], Forward]:
    """npnet's own among arrays with the channels last; of kernels, with O and I last."""
    own = native(twin).function

    def first(a: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(map(first, a))
        return a if a is None or not images else np.moveaxis(a, -1, -1 - (axes or a.ndim - 2))

    def last(a: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(map(last, a))
        return a if a is None or not images else np.moveaxis(a, -1 - (axes or a.ndim - 2), -1)

    def call(case: Case) -> Forward:
        state = dict(case.state)
        if kernels:
            state["weight"] = np.moveaxis(state["weight"], (-1, -2), (0, 1))
        forward = own(replace(case, inputs=(first(case.inputs[0]),), state=state))

        def vjp(dy: Any) -> Grads:
            (dx,), params = forward.vjp(first(dy))
            if kernels:
                params = {**params, "weight": np.moveaxis(params["weight"], (0, 1), (-1, -2))}
            return Grads((last(dx),), params)

        return Forward(last(forward.y), vjp, forward.updates)

    return call


speak("Linear", "in-out", affine)
for twin in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
    speak(twin, "in-out", transposed(twin))
for axes in (1, 2, 3):
    conv = f"Conv{axes}d"
    speak(conv, "channels-last", moved(conv, axes, images=True, kernels=True))
    speak(conv, "channels-last-images", moved(conv, axes, images=True))
    speak(conv, "hwio", moved(conv, axes, images=False, kernels=True))
    for kind in ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "LPPool"):
        speak(f"{kind}{axes}d", "channels-last", moved(f"{kind}{axes}d", axes, images=True))
    for twin in (f"BatchNorm{axes}d", f"InstanceNorm{axes}d"):
        speak(twin, "channels-last", moved(twin, axes if twin != "BatchNorm1d" else 0, images=True))
speak("GroupNorm", "channels-last", moved("GroupNorm", 0, images=True))
