from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_STEP = "i, f, g, o = gates[t].swapaxes(0, 1)\n        c[t + 1]"
_CELL = "c[t + 1] = f * c[t] + i * g"
_BACK = "run.vjp(_turn(part, d), dh[k], dc[k])"
_CARRY = "dh, dc = dz[t].reshape(N, 4 * H) @ W_hh, dc * f"
_RESULT = "(as_given(z), h_n[:, 0], c_n[:, 0]) if one else (as_given(z), h_n, c_n)"

MUTANTS = [
    Mutant(
        "LSTM",
        "exchanges input and forget gate",
        {_STEP: "f, i, g, o = gates[t].swapaxes(0, 1)\n        c[t + 1]"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "exchanges input and output gate",
        {_STEP: "o, f, g, i = gates[t].swapaxes(0, 1)\n        c[t + 1]"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "couples input and forget gate",
        {_CELL: "c[t + 1] = f * c[t] + (1 - f) * g"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "adds one bias of two",
        {'state["bias_ih" + suffix] + state["bias_hh" + suffix]': 'state["bias_ih" + suffix]'},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "the output gate opens onto c, not onto tanh(c)",
        {"m[t] = o * tanh_c[t]": "m[t] = o * c[t + 1]"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "ignores h_0",
        {"h[0], c[0] = h_0, c_0": "h[0], c[0] = 0, c_0"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "every layer and direction starts from the first c_0",
        {"c_0[first + d]": "c_0[0]"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "the backward direction reads forwards",
        {"_run(self, state, suffix, _turn(z, d),": "_run(self, state, suffix, z,"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "leaves the backward direction's output reversed",
        {"_turn(run.h[1:], d) for d, run in": "run.h[1:] for _, run in"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "drops the output of the last layer too",
        {"layer < self.num_layers - 1": "layer < self.num_layers"},
        blames="y 0",
    ),
    Mutant(
        "LSTM",
        "drops the same features at every step",
        {"keep_factors(self, z.shape,": "keep_factors(self, (1, *z.shape[1:]),"},
        blames=("y 0", "y 2"),
    ),
    Mutant(
        "LSTM",
        "takes h_n of the backward direction at the end of the sequence",
        {
            "h_n = np.stack([run.h[-1] for runs, _ in layers for run in runs])": "h_n = np.stack("
            "[run.h[1 if d else -1] for runs, _ in layers for d, run in enumerate(runs)])"
        },
        blames="y 1",
    ),
    Mutant(
        "LSTM",
        "batch_first lays h_n and c_n out as well",
        {_RESULT: _RESULT[:-10] + "as_given(h_n), as_given(c_n))"},
        blames="y 1",
    ),
    Mutant(
        "LSTM",
        "returns tanh(c_n)",
        {"np.stack([run.c[-1] for": "np.stack([np.tanh(run.c[-1]) for"},
        blames="y 2",
    ),
    Mutant(
        "LSTM",
        "does not carry the cell's gradient back",
        {_CARRY: "dh, dc = dz[t].reshape(N, 4 * H) @ W_hh, dc * 0"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "does not carry the hidden state's gradient back",
        {_CARRY: "dh, dc = dh * 0, dc * f"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "forgets the derivative of tanh(c)",
        {"dc = dc + dm * o * (1 - tanh_c[t] ** 2)": "dc = dc + dm * o"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "differentiates g as if it were a sigmoid",
        {"        slope[:, :, 2] = 1 - gates[:, :, 2] ** 2\n": ""},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "the forget gate's gradient comes from the new cell",
        {"dc * c[t], dc * i": "dc * c[t + 1], dc * i"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "ignores the gradient of h_n",
        {_BACK: "run.vjp(_turn(part, d), 0 * dh[k], dc[k])"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "ignores the gradient of c_n",
        {_BACK: "run.vjp(_turn(part, d), dh[k], 0 * dc[k])"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "leaves the backward direction's gradient reversed",
        {"dz = dz + _turn(dx, d)": "dz = dz + dx"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "the input gets the gradient of one direction",
        {"dz = dz + _turn(dx, d)": "dz = _turn(dx, d)"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "the gradient passes by the mask",
        {"dz = dz * keep": "dz = dz * 1"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "the gradient is float64",
        {"np.zeros((), dz.dtype)": "np.zeros(())"},
        blames=_INPUT,
    ),
    Mutant(
        "LSTM",
        "gives the initial states no gradient",
        {"(as_given(dz), dhx), params)": "(as_given(dz), (None, None)), params)"},
        blames="gradient of input 1.0",
    ),
    Mutant(
        "LSTM",
        "gives c_0 no gradient",
        {
            "(dh_0[:, 0], dc_0[:, 0]) if one else (dh_0, dc_0)": "(dh_0[:, 0], 0 * dc_0[:, 0]) "
            "if one else (dh_0, 0 * dc_0)"
        },
        blames="gradient of input 1.1",
    ),
    Mutant(
        "LSTM",
        "the weights of the input learn from one step",
        {"np.tensordot(dz, x, ((0, 1), (0, 1)))": "dz[-1].T @ x[-1]"},
        blames="gradient of weight_ih_l0",
    ),
    Mutant(
        "LSTM",
        "the recurrent weights learn from h_t, not from h_{t-1}",
        {"np.tensordot(dz, h[:-1],": "np.tensordot(dz, h[1:],"},
        blames="gradient of weight_hh_l0",
    ),
    Mutant(
        "LSTM",
        "gives the second bias no gradient",
        {
            'params["bias_hh" + suffix] = dz.sum((0, 1))': 'params["bias_hh" + suffix] = '
            "0 * dz.sum((0, 1))"
        },
        blames="gradient of bias_hh_l0",
    ),
    Mutant(
        "LSTM",
        "the projection learns from tanh(c), without the output gate",
        {"np.tensordot(dhs, m,": "np.tensordot(dhs, tanh_c,"},
        blames="gradient of weight_hr_l0",
    ),
]
