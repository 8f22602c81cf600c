"""A dozen hand-written layers in the styles they come in, each with one mistake."""

import numpy as np
from hypothesis import strategies as st

from npnet.contract import Forward, Grads
from npnet.verify import adapt, candidate

NO_REDUCTION = {"size_average": st.just(None), "reduce": st.just(None)}


# ---- classes with forward and backward -----------------------------------------------------------


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.mean(axis=0)  # the sum over the batch
        return dout @ self.W.T


linear = candidate(
    "Linear", only={"batch": st.sampled_from([(2,), (3,), (5,)]), "bias": st.just(True)}
)(adapt.stateful(Affine, {"W": "weight: o i -> i o", "b": "bias"}))


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y

    def backward(self, dout):
        return self.y * (dout - (dout * self.y).sum(axis=0, keepdims=True))  # the axis is -1


softmax = candidate(
    "Softmax", only={"shape": st.sampled_from([(2, 3), (4, 5), (3, 4, 6)]), "dim": st.just(-1)}
)(adapt.stateful(Softmax))


class Embedding:
    def __init__(self, W):
        self.W = W

    def forward(self, indices):
        self.indices = indices
        return self.W[indices]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        self.dW[self.indices] = dout  # np.add.at: an index may come twice


embedding = candidate(
    "Embedding",
    only={
        "scale_grad_by_freq": st.just(False),
        "sparse": st.just(False),
        "padding_idx": st.just(None),
        "max_norm": st.just(None),
        "_freeze": st.just(False),
        "_weight": st.just("drawn"),
    },
)(adapt.stateful(Embedding, {"W": "weight"}))


# ---- pairs of functions --------------------------------------------------------------------------


def layernorm_forward(x, gamma, beta, eps):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + eps)
    xhat = (x - mu) * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    batch = tuple(range(dout.ndim - 1))
    dgamma, dbeta = (dout * xhat).sum(batch), dout.sum(batch)
    dxhat = dout * gamma
    dx = rstd * (dxhat - dxhat.mean(-1, keepdims=True))  # - xhat * (dxhat * xhat).mean(-1)
    return dx, dgamma, dbeta


layernorm = candidate(
    "LayerNorm",
    only={
        "normalized axes": st.just("int"),
        "elementwise_affine": st.just(True),
        "bias": st.just(True),
    },
)(
    adapt.pair(
        layernorm_forward,
        layernorm_backward,
        {"gamma": "weight", "beta": "bias"},
        config={"eps": "eps"},
    )
)


def conv_windows(x, W, conv_param):
    """Every window of the padded x: its place, and where in the result it goes."""
    stride, pad = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    kh, kw = W.shape[2:]
    high, wide = (xp.shape[2] - kh) // stride + 1, (xp.shape[3] - kw) // stride + 1
    return xp, stride, kh, kw, high, wide


def conv_forward(x, w, b, conv_param):
    xp, s, kh, kw, high, wide = conv_windows(x, w, conv_param)
    y = np.zeros((len(x), len(w), high, wide), x.dtype)
    for i in range(high):
        for j in range(wide):
            window = xp[:, :, i * s : i * s + kh, j * s : j * s + kw]
            y[:, :, i, j] = np.tensordot(window, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return y, (x, w, conv_param)


def conv_backward(dout, cache):
    x, w, conv_param = cache
    xp, s, kh, kw, high, wide = conv_windows(x, w, conv_param)
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(high):
        for j in range(wide):
            here = np.s_[:, :, i * s : i * s + kh, j * s : j * s + kw]
            dw += np.tensordot(dout[:, :, i, j], xp[here], axes=([0], [0]))
            if i * s + kh < xp.shape[2]:  # <=: the last window touches the border
                dxp[here] += np.tensordot(dout[:, :, i, j], w, axes=([1], [0]))
    pad = conv_param["pad"]
    dx = dxp[:, :, pad : dxp.shape[2] - pad, pad : dxp.shape[3] - pad]
    return dx, dw, dout.sum(axis=(0, 2, 3))


conv2d = candidate(
    "Conv2d",
    only={
        "batch": st.sampled_from([(1,), (2,)]),
        "groups": st.just(1),
        "kernel_size": st.sampled_from([2, 3]),
        "padding": st.sampled_from([0, 1]),
        "stride": st.sampled_from([1, 2]),
        "dilation": st.just(1),
        "padding_mode": st.just("zeros"),
        "bias": st.just(True),
        "spare rows": st.sampled_from([2, 5]),
        "spare columns": st.sampled_from([2, 6]),
    },
)(
    adapt.pair(
        conv_forward,
        conv_backward,
        {"w": "weight", "b": "bias"},
        config=lambda c: {"conv_param": {"stride": c["stride"], "pad": c["padding"]}},
    )
)


def pool_windows(x, size):
    n, c, h, w = x.shape
    high, wide = h // size, w // size
    cut = x[:, :, : high * size, : wide * size]
    return cut.reshape(n, c, high, size, wide, size)


def pool_forward(x, size):
    return pool_windows(x, size).max(axis=(3, 5)), (x, size)


def pool_backward(dout, cache):
    x, size = cache
    windows = pool_windows(x, size)
    largest = windows == windows.max(axis=(3, 5), keepdims=True)  # of a tie, torch takes the first
    dx = np.zeros_like(x)
    pool_windows(dx, size)[...] = largest * dout[:, :, :, None, :, None]
    return dx


maxpool2d = candidate(
    "MaxPool2d",
    only={
        "batch": st.sampled_from([(1,), (2,)]),
        "kernel_size": st.sampled_from([1, 2, 3]),
        "dilation": st.just(1),
        "padding": st.just(0),
        "stride": st.just(None),
        "return_indices": st.just(False),
        "ceil_mode": st.just(False),
    },
)(adapt.pair(pool_forward, pool_backward, config={"size": "kernel_size"}))


def cross_entropy(scores, y):
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    dscores = np.exp(log_p)
    dscores[rows, y] -= 1
    return -log_p[rows, y].mean(), dscores  # / len(y)


cross_entropy_loss = candidate(
    "CrossEntropyLoss",
    only=NO_REDUCTION
    | {
        "target": st.just("indices"),
        "class weights": st.just(False),
        "label_smoothing": st.just(0.0),
        "ignore_index": st.just(-100),
        "ignored targets": st.just(False),
        "reduction": st.just("mean"),
        "batch": st.sampled_from([(2,), (3,), (7,)]),
        "trailing axes": st.just(()),
    },
)(adapt.pair(cross_entropy))


# ---- functions of a case -------------------------------------------------------------------------


@candidate(
    "BatchNorm1d",
    only={
        "affine": st.just(True),
        "bias": st.just(True),
        "track_running_stats": st.just(False),
        "training": st.just(True),
        "length": st.just(()),
        "batch": st.sampled_from([2, 3, 4, 5]),
    },
)
def batchnorm1d(case):
    (x,) = case.inputs
    gamma, beta = case.state["weight"], case.state["bias"]
    mu, var = x.mean(0), x.var(0)
    rstd = 1 / np.sqrt(var + x.dtype.type(case.config["eps"]))
    xhat = (x - mu) * rstd

    def vjp(dy):
        dx = dy * gamma * rstd  # mu and var depend on x
        return Grads((dx,), {"weight": (dy * xhat).sum(0), "bias": dy.sum(0)})

    return Forward(gamma * xhat + beta, vjp)


@candidate("Dropout", only={"training": st.just(True), "p": st.sampled_from([0.25, 0.5, 0.875])})
def dropout(case):
    (x,) = case.inputs
    keep = case.rng.random(x.shape) >= case.config["p"]
    return Forward(x * keep, lambda dy: Grads((dy * keep,), {}))  # / (1 - p)


@candidate("GELU", only={"approximate": st.just("none")})
def gelu(case):
    (x,) = case.inputs
    c = x.dtype.type(np.sqrt(2 / np.pi))
    t = np.tanh(c * (x + x.dtype.type(0.044715) * x**3))  # torch has the error function here

    def vjp(dy):
        dt = (1 - t**2) * c * (1 + 3 * x.dtype.type(0.044715) * x**2)
        return Grads((dy * (0.5 * (1 + t) + 0.5 * x * dt),), {})

    return Forward(0.5 * x * (1 + t), vjp)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@candidate(
    "LSTM",
    only={
        "num_layers": st.just(1),
        "bias": st.just(True),
        "batch_first": st.just(False),
        "dropout": st.just(0.0),
        "bidirectional": st.just(False),
        "proj_size": st.just(0),
        "batch": st.sampled_from([1, 2, 3]),
        "steps": st.sampled_from([2, 3, 5]),
        "initial states": st.just(False),
    },
)
def lstm(case):
    """The gates i, f, o, g, where torch has them as i, f, g, o."""
    (x,) = case.inputs
    Wx, Wh = case.state["weight_ih_l0"], case.state["weight_hh_l0"]
    b = case.state["bias_ih_l0"] + case.state["bias_hh_l0"]
    steps, batch, _ = x.shape
    H = Wh.shape[1]
    h = c = np.zeros((batch, H), x.dtype)
    hs, kept = [], []
    for t in range(steps):
        a = x[t] @ Wx.T + h @ Wh.T + b
        i, f, o = (_sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
        g = np.tanh(a[:, 3 * H :])
        kept.append((h, c, i, f, o, g))
        c = f * c + i * g
        h = o * np.tanh(c)
        hs.append(h)
        kept[-1] += (np.tanh(c),)

    def vjp(dys):
        dy, dh_last, dc_last = dys
        dh, dc = dh_last[0], dc_last[0]
        dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
        db = np.zeros_like(b)
        for t in reversed(range(steps)):
            h_before, c_before, i, f, o, g, tc = kept[t]
            dh = dh + dy[t]
            dc = dc + dh * o * (1 - tc**2)
            da = np.concatenate(
                [
                    dc * g * i * (1 - i),
                    dc * c_before * f * (1 - f),
                    dh * tc * o * (1 - o),
                    dc * i * (1 - g**2),
                ],
                axis=1,
            )
            dx[t], dWx, dWh = da @ Wx, dWx + da.T @ x[t], dWh + da.T @ h_before
            db = db + da.sum(0)
            dh, dc = da @ Wh, dc * f
        params = {"weight_ih_l0": dWx, "weight_hh_l0": dWh, "bias_ih_l0": db, "bias_hh_l0": db}
        return Grads((dx,), params)

    return Forward((np.stack(hs), h[None], c[None]), vjp)


# ---- an optimizer --------------------------------------------------------------------------------


class Adam:
    def __init__(self, lr, betas, eps):
        self.lr, self.betas, self.eps = lr, betas, eps
        self.t, self.m, self.v = {}, {}, {}

    def update(self, params, grads):
        b1, b2 = self.betas
        for name, g in grads.items():
            t = self.t[name] = self.t.get(name, 0) + 1
            m = self.m[name] = b1 * self.m.get(name, 0) + (1 - b1) * g
            v = self.v[name] = b2 * self.v.get(name, 0) + (1 - b2) * g**2
            m, v = m / (1 - b1**t), v / (1 - b2**t)
            params[name] -= self.lr * m / np.sqrt(v + self.eps)  # sqrt(v) + eps


adam = candidate(
    "optim.Adam",
    only={
        "weight_decay": st.just(0.0),
        "amsgrad": st.just(False),
        "maximize": st.just(False),
        "restart after": st.just(None),
        "groups": st.just("one"),
    },
)(adapt.optimizer(Adam, config={n: n for n in ("lr", "betas", "eps")}))
