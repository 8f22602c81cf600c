from tests.mutants import Mutant

_INPUT = "gradient of input 0"
_TAPS = "(*map(taps, size, out, kernel, stride, before, dilation))"
_OUT = "(n + sum(p) - d * (k - 1) - 1) // s + 1"
_DW = "(dY @ X.swapaxes(1, 2))"
_DB = "dY.reshape(O, N * L).sum(1)"
_DY = "dY = dy.reshape(N, O, L).swapaxes(0, 1)"

MUTANTS = [
    Mutant(
        "Conv2d",
        "flips the kernel",
        {'W = state["weight"].reshape(': 'W = state["weight"][:, :, ::-1, ::-1].reshape('},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "transposes the kernel",
        {
            'W = state["weight"].reshape(': 'W = state["weight"].reshape(O, -1, *kernel[::-1])'
            ".swapaxes(2, 3).reshape("
        },
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "ignores the bias",
        {'Y += state["bias"][:, None]': "pass"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "exchanges the strides of height and width",
        {_TAPS: _TAPS.replace("stride", "stride[::-1]")},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "exchanges the dilations of height and width",
        {_TAPS: _TAPS.replace("dilation", "dilation[::-1]")},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "ignores the dilation but in the size of the output",
        {_TAPS: _TAPS.replace("dilation", "(1,) * axes")},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "rounds the size of the output up",
        {_OUT: "-(-(n + sum(p) - d * (k - 1) - 1) // s) + 1"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "pads one side only",
        {_OUT: "(n + p[0] - d * (k - 1) - 1) // s + 1"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "pads height and width alike",
        {"_extend(x, pads,": "_extend(x, [max(pads)] * axes,"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "padding='same' puts the odd pixel first",
        {"(total // 2, total - total // 2)": "(total - total // 2, total // 2)"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "reflects the border too",
        {'"reflect": "reflect"': '"reflect": "symmetric"'},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "replicates where it should go round",
        {'"circular": "wrap"': '"circular": "edge"'},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "pads with zeros in every mode",
        {'if mode == "zeros":': "if mode:"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "deals the channels out to the groups in turn",
        {
            "X = X.reshape(G, C // G * K, N * L)": "X = X.reshape(C // G, G, K, N * L)"
            ".swapaxes(0, 1).reshape(G, C // G * K, N * L)"
        },
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "always returns a batch",
        {".swapaxes(0, 1).reshape(*batch, O, *out), vjp)": ".swapaxes(0, 1), vjp)"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "the columns are float64",
        {"np.zeros((C, K, N, *out), x.dtype)": "np.zeros((C, K, N, *out))"},
        blames="y",
    ),
    Mutant(
        "Conv2d",
        "windows that overlap overwrite each other's gradient",
        {"dx[:, :, *inputs] += dX[:, k, :, *outputs]": "dx[:, :, *inputs] = dX[:, k, :, *outputs]"},
        blames=_INPUT,
    ),
    Mutant(
        "Conv2d",
        "flips the kernel in the backward pass",
        {"dx[:, :, *inputs] += dX[:, k,": "dx[:, :, *inputs] += dX[:, K - 1 - k,"},
        blames=_INPUT,
    ),
    Mutant(
        "Conv2d",
        "a pixel that was copied gets the gradient of one copy",
        {"np.add.reduceat(dx.take(order, axis), first, axis)": "dx.take(order[first], axis)"},
        blames=_INPUT,
    ),
    Mutant(
        "Conv2d",
        "exchanges batch and channels of the gradient",
        {_DY: "dY = dy.reshape(O, N, L)"},
        blames=_INPUT,
    ),
    Mutant(
        "Conv2d",
        "the input's gradient is float64",
        {"np.zeros((C, N, *size), dX.dtype)": "np.zeros((C, N, *size))"},
        blames=_INPUT,
    ),
    Mutant(
        "Conv2d",
        "averages the weight's gradient over the batch",
        {_DW: "(dY @ X.swapaxes(1, 2) / max(N, 1))"},
        blames="gradient of weight",
    ),
    Mutant(
        "Conv2d",
        "flips the weight's gradient",
        {_DW: "(dY @ X.swapaxes(1, 2))[..., ::-1]"},
        blames="gradient of weight",
    ),
    Mutant(
        "Conv2d",
        "the weight's gradient comes from the first sample",
        {_DW: "(dY[..., :L] @ X[..., :L].swapaxes(1, 2))"},
        blames="gradient of weight",
    ),
    Mutant(
        "Conv2d",
        "the bias's gradient comes from the first sample",
        {_DB: "dY.reshape(O, N * L)[:, :L].sum(1)"},
        blames="gradient of bias",
    ),
    Mutant(
        "Conv2d",
        "averages the bias's gradient over the image",
        {_DB: "dY.reshape(O, N * L).sum(1) / L"},
        blames="gradient of bias",
    ),
]
