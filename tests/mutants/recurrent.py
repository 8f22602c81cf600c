from collections.abc import Iterator

from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_LAYERS = ("RNN", "LSTM", "GRU")
_CELLS = ("RNNCell", "LSTMCell", "GRUCell")
Mistake = tuple[str, dict[str, str], str | tuple[str, ...]]


def _both(layers: tuple[str, ...], mistakes: list[Mistake]) -> Iterator[Mutant]:
    """Each mistake in each layer; "h" is the gradient of the initial hidden state."""
    for layer in layers:
        for mistake, edits, blames in mistakes:
            named = blames if isinstance(blames, tuple) else (blames,)
            h = "gradient of input 1.0" if layer.startswith("LSTM") else "gradient of input 1"
            names = tuple(h if b == "h" else b for b in named)
            if layer in _CELLS:
                names = tuple(b.removesuffix("_l0") if "gradient" in b else "y" for b in names)
            yield Mutant(layer, mistake, edits, blames=names)


_CARRY = "dh = W_hh.T @ dbs[t] + dh"
_EVERY: list[Mistake] = [
    (
        "adds one bias of two",
        {"            b += b_hh": "            b += 0 * b_hh"},
        "y 0",
    ),
    (
        "ignores the initial hidden state",
        {"h[0], *rest = start\n": "h[0], rest = 0, start[1:]\n"},
        "y 0",
    ),
    (
        "does not carry the hidden state's gradient back",
        {_CARRY: "dh = 0 * (W_hh.T @ dbs[t]) + dh"},
        (_INPUT, "h"),
    ),
    (
        "the weights of the input learn from one sample",
        {"da @ _columns(x).T": "da[:, -1:] @ _columns(x)[:, -1:].T"},
        "gradient of weight_ih_l0",
    ),
    (
        "the recurrent weights learn from h_t, not from h_{t-1}",
        {"_columns(h[:-1])": "_columns(h[1:])"},
        "gradient of weight_hh_l0",
    ),
    (
        "gives the second bias no gradient",
        {'"bias_hh": db.sum(1)': '"bias_hh": 0 * db.sum(1)'},
        "gradient of bias_hh_l0",
    ),
    (
        "the bias gets the mean of the gradient",
        {'"bias_ih": da.sum(1)': '"bias_ih": da.sum(1) / max(1, T * N)'},
        "gradient of bias_ih_l0",
    ),
]
_CELLWISE: list[Mistake] = [
    (
        "starts from ones",
        {"np.zeros((width, z.shape[1]), x.dtype)": "np.ones((width, z.shape[1]), x.dtype)"},
        "y 0",
    ),
    (
        "gives the hidden state no gradient",
        {"_like(hx, tuple(map(outside, dstart)))": "_like(hx, (None, None))"},
        "h",
    ),
    (
        "the gradient of x is float64",
        {
            "return Grads((outside(dx[0]),)": "dx = dx.astype(float)\n"
            "        return Grads((outside(dx[0]),)"
        },
        _INPUT,
    ),
]
_LAYERWISE: list[Mistake] = [
    (
        "starts from ones",
        {"np.zeros((w, N), x.dtype)": "np.ones((w, N), x.dtype)"},
        "y 0",
    ),
    (
        "every layer and direction starts from the first h_0",
        {"_turn(z, d), starts[len(runs)]": "_turn(z, d), (starts[0][0], *starts[len(runs)][1:])"},
        "y 0",
    ),
    (
        "the backward direction reads forwards",
        {"suffix, _turn(z, d), starts": "suffix, z, starts"},
        ("y 0", "y 1"),
    ),
    (
        "leaves the backward direction's output reversed",
        {"[_turn(run.h, d) for d, run in enumerate(runs[-D:])]": "[run.h for run in runs[-D:]]"},
        "y 0",
    ),
    (
        "refuses a batch of no samples",
        {"if x.shape[time] == 0:": "if 0 in x.shape:"},
        "forward",
    ),
    (
        "drops the output of the last layer too",
        {"k < n_layers - 1": "k < n_layers"},
        "y 0",
    ),
    (
        "drops the same features at every step",
        {"(T, N, z.shape[1])": "(1, N, z.shape[1])"},
        ("y 0", "y 1", "y 2"),
    ),
    (
        "keeps what it does not drop as it is",
        {"z = z * keeps[k]": "z = z * (keep.swapaxes(1, 2) > 0)"},
        ("y 0", "y 1", "y 2"),
    ),
    (
        "drops in evaluation too",
        {"if layer.training and layer.dropout > 0": "if layer.dropout > 0"},
        ("y 0", "y 1", "y 2"),
    ),
    (
        "takes h_n of the backward direction at the end of the sequence",
        {
            "zip(*[run.last for run in runs]": "zip(*[(run.h[-1 if d % D == 0 else 0], "
            "*run.last[1:]) for d, run in enumerate(runs)]"
        },
        "y 1",
    ),
    (
        "batch_first lays the last states out as well",
        {
            "last = (stacked(parts) for": "last = (stacked(parts).swapaxes(0, int("
            "layer.batch_first and not one)) for"
        },
        "y 1",
    ),
    (
        "the output's gradient reaches the last step only",
        {"dh = dh + dout[t]": "dh = dh + (dout[t] if t == T - 1 else 0)"},
        _INPUT,
    ),
    (
        "ignores the gradient of h_n",
        {
            "runs[i].vjp(_turn(part, d), dlast[i])": "runs[i].vjp(_turn(part, d), "
            "(0 * dlast[i][0], *dlast[i][1:]))"
        },
        _INPUT,
    ),
    (
        "leaves the backward direction's gradient reversed",
        {"dz = dz + _turn(dx, d)": "dz = dz + dx"},
        _INPUT,
    ),
    (
        "the input gets the gradient of one direction",
        {"dz = dz + _turn(dx, d)": "dz = _turn(dx, d)"},
        _INPUT,
    ),
    (
        "the gradient passes by the mask",
        {"dz = dz * keep\n": "dz = dz * 1\n"},
        _INPUT,
    ),
    (
        "the gradient is float64",
        {"np.zeros((), dz.dtype)": "np.zeros(())"},
        _INPUT,
    ),
    (
        "gives the initial states no gradient",
        {"(outside(dz), _like(hx, dhx)), params": "(outside(dz), _like(hx, (None, None))), params"},
        "h",
    ),
]

_RNN: list[Mistake] = [
    (
        "differentiates tanh as 1 - y",
        {"(1 - y * y)": "(1 - y)"},
        _INPUT,
    ),
    (
        "differentiates tanh as if it were a sigmoid",
        {"(1 - y * y)": "y * (1 - y)"},
        _INPUT,
    ),
    (
        "takes the slope of tanh where it was, not where it came to",
        {"(1 - y * y)": "(1 - (a + b) ** 2)"},
        _INPUT,
    ),
    (
        "lets the gradient pass where relu is 0",
        {"dy * (y > 0)": "dy * (y >= 0)"},
        _INPUT,
    ),
    (
        "takes tanh for every nonlinearity",
        {'"relu": Cell(1, ("h_0",), _relu_step)': '"relu": Cell(1, ("h_0",), _tanh_step)'},
        "y 0",
    ),
    (
        "takes relu for every nonlinearity",
        {'"tanh": Cell(1, ("h_0",), _tanh_step)': '"tanh": Cell(1, ("h_0",), _relu_step)'},
        "y 0",
    ),
    (
        "is linear below 0, too",
        {"y = np.maximum(a + b, 0)": "y = np.maximum(a + b, 0.01 * (a + b))"},
        "y 0",
    ),
]
_GATES = "i, f, g, o = gates.reshape(4, *c.shape)"
_CELL = "c_next = f * c + i * g"
_LSTM: list[Mistake] = [
    (
        "exchanges input and forget gate",
        {_GATES: "f, i, g, o = gates.reshape(4, *c.shape)"},
        "y 0",
    ),
    (
        "exchanges input and output gate",
        {_GATES: "o, f, g, i = gates.reshape(4, *c.shape)"},
        "y 0",
    ),
    (
        "couples input and forget gate",
        {_CELL: "c_next = f * c + (1 - f) * g"},
        "y 0",
    ),
    (
        "the output gate opens onto c, not onto tanh(c)",
        {"(o * tanh_c, c_next), back": "(o * c_next, c_next), back"},
        "y 0",
    ),
    (
        "does not carry the cell's gradient back",
        {"(0, dc * f)": "(0, dc * 0)"},
        (_INPUT, "gradient of input 1.1"),
    ),
    (
        "forgets the derivative of tanh(c)",
        {"dc = dc + dh * o * (1 - tanh_c * tanh_c)": "dc = dc + dh * o"},
        _INPUT,
    ),
    (
        "differentiates g as if it were a sigmoid",
        {"        slope[2 * H : 3 * H] = 1 - g * g\n": ""},
        _INPUT,
    ),
    (
        "the forget gate's gradient comes from the new cell",
        {"dc * c, dc * i": "dc * c_next, dc * i"},
        _INPUT,
    ),
]
_GRU: list[Mistake] = [
    (
        "exchanges reset and update gate",
        {"r, z = rz[:H], rz[H:]": "z, r = rz[:H], rz[H:]"},
        "y 0",
    ),
    (
        "the update gate is the share of the new state, as in the paper",
        {"h_next = n + z * d": "h_next = h - z * d"},
        "y 0",
    ),
    (
        "the reset gate is applied to the input, too",
        {"np.tanh(a[2 * H :] + r * b_n)": "np.tanh(r * (a[2 * H :] + b_n))"},
        "y 0",
    ),
    (
        "does without the reset gate",
        {"np.tanh(a[2 * H :] + r * b_n)": "np.tanh(a[2 * H :] + b_n)"},
        "y 0",
    ),
    (
        "does not carry the old state's gradient past the gates",
        {"return da, db, (direct,)": "return da, db, (0 * direct,)"},
        (_INPUT, "h"),
    ),
    (
        "forgets the derivative of tanh",
        {"da_n = (dh - direct) * (1 - n * n)": "da_n = dh - direct"},
        _INPUT,
    ),
    (
        "the new content gets all of the gradient",
        {"da_n = (dh - direct) * (1 - n * n)": "da_n = dh * (1 - n * n)"},
        _INPUT,
    ),
    (
        "the update gate's gradient has the wrong sign",
        {"dh * d])": "-dh * d])"},
        _INPUT,
    ),
    (
        "the update gate's gradient forgets the new content",
        {"dh * d])": "dh * h])"},
        _INPUT,
    ),
    (
        "the reset gate's gradient comes from h",
        {"[da_n * b_n,": "[da_n * h,"},
        _INPUT,
    ),
    (
        "differentiates the gates as if they were tanh",
        {"(rz * (1 - rz))": "(1 - rz * rz)"},
        _INPUT,
    ),
    (
        "the gradient passes by the reset gate",
        {"[drz, da_n * r]": "[drz, da_n]"},
        (_INPUT, "h", "gradient of weight_hh_l0"),
    ),
]

MUTANTS = [
    *_both(_LAYERS + _CELLS, _EVERY),
    *_both(_LAYERS, _LAYERWISE),
    *_both(_CELLS, _CELLWISE),
    *_both(("RNN", "RNNCell"), _RNN),
    *_both(("LSTM", "LSTMCell"), _LSTM),
    *_both(("GRU", "GRUCell"), _GRU),
    Mutant(
        "LSTM",
        "every layer and direction starts from the first c_0",
        {"_turn(z, d), starts[len(runs)]": "_turn(z, d), (starts[len(runs)][0], *starts[0][1:])"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "returns tanh(c_n)",
        {
            "zip(*[run.last for run in runs]": "zip("
            "*[(run.last[0], np.tanh(run.last[1])) for run in runs]"
        },
        blames="y 2",
    ),
    Mutant(
        "LSTM",
        "ignores the gradient of c_n",
        {
            "runs[i].vjp(_turn(part, d), dlast[i])": "runs[i].vjp(_turn(part, d), "
            "(dlast[i][0], 0 * dlast[i][1]))"
        },
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "gives c_0 no gradient",
        {"_like(hx, dhx)), params": "_like(hx, (dhx[0], 0 * dhx[-1]))), params"},
        blames="gradient of input 1.1",
    ),
    Mutant(
        "LSTM",
        "the projection does not learn from the output at its own step",
        {"dhs[t] = dh = dh + dout[t]": "dhs[t], dh = dh, dh + dout[t]"},
        blames="gradient of weight_hr_l0",
    ),
    Mutant(
        "LSTMCell",
        "returns (c, h)",
        {"Forward(y if several else y[0], vjp)": "Forward(y[::-1] if several else y[0], vjp)"},
        blames="y 0",
    ),
    Mutant(
        "LSTMCell",
        "ignores the gradient of c",
        {"dy if several else (dy,)": "(dy[0], 0 * dy[1])"},
        blames=_INPUT,
    ),
]
