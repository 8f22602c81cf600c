"""Convolution and pooling in loops over NHWC images; weights (f, f, n_C_prev, n_C)."""

import functools

import numpy as np
from hypothesis import strategies as st

from npnet.verify import adapt, candidate


def zero_pad(X, pad):
    return np.pad(X, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def conv_single_step(a_slice_prev, W, b):
    return np.sum(a_slice_prev * W) + b


def conv_forward(A_prev, W, b, hparameters):
    m, n_H_prev, n_W_prev, _ = A_prev.shape
    f, f, _, n_C = W.shape
    stride, pad = hparameters["stride"], hparameters["pad"]
    n_H = (n_H_prev - f + 2 * pad) // stride + 1
    n_W = (n_W_prev - f + 2 * pad) // stride + 1
    Z = np.zeros((m, n_H, n_W, n_C), A_prev.dtype)
    A_prev_pad = zero_pad(A_prev, pad)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                v, u = h * stride, w * stride
                a_slice_prev = A_prev_pad[i, v : v + f, u : u + f]
                for c in range(n_C):
                    Z[i, h, w, c] = conv_single_step(a_slice_prev, W[..., c], b[0, 0, 0, c])
    cache = (A_prev, W, b, hparameters)
    return Z, cache


def conv_backward(dZ, cache, assign=False, from_unpadded=False, step=None):
    A_prev, W, b, hparameters = cache
    f, f, _, _ = W.shape
    stride, pad = hparameters["stride"], hparameters["pad"]
    m, n_H, n_W, n_C = dZ.shape
    dW, db = np.zeros_like(W), np.zeros_like(b)
    A_prev_pad = zero_pad(A_prev, pad)
    dA_prev_pad = np.zeros_like(A_prev_pad)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                v, u = h * (step or stride), w * (step or stride)
                a_slice = A_prev_pad[i, h * stride : h * stride + f, w * stride : w * stride + f]
                for c in range(n_C):
                    dz = dZ[i, h, w, c]
                    dA_prev_pad[i, v : v + f, u : u + f] += W[..., c] * dz
                    if assign:
                        dW[..., c] = a_slice * dz
                    else:
                        dW[..., c] += a_slice * dz
                    db[0, 0, 0, c] += dz
    n_H_prev, n_W_prev = A_prev.shape[1:3]
    start = 0 if from_unpadded else pad
    dA_prev = dA_prev_pad[:, start : start + n_H_prev, start : start + n_W_prev]
    return dA_prev, dW, db


def pool_forward(A_prev, hparameters, mode="max"):
    m, n_H_prev, n_W_prev, n_C = A_prev.shape
    f, stride = hparameters["f"], hparameters["stride"]
    n_H = (n_H_prev - f) // stride + 1
    n_W = (n_W_prev - f) // stride + 1
    A = np.zeros((m, n_H, n_W, n_C), A_prev.dtype)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(n_C):
                    v, u = h * stride, w * stride
                    a_prev_slice = A_prev[i, v : v + f, u : u + f, c]
                    A[i, h, w, c] = np.max(a_prev_slice) if mode == "max" else np.mean(a_prev_slice)
    cache = (A_prev, hparameters)
    return A, cache


def create_mask_from_window(x):
    """True at the first of the largest."""
    mask = np.zeros(x.shape, bool)
    mask[np.unravel_index(np.argmax(x), x.shape)] = True
    return mask


def distribute_value(dz, shape):
    n_H, n_W = shape
    return np.full(shape, dz / (n_H * n_W), dz.dtype)


def pool_backward(
    dA, cache, mode="max", mask=create_mask_from_window, distribute=distribute_value, assign=False
):
    A_prev, hparameters = cache
    f, stride = hparameters["f"], hparameters["stride"]
    m, n_H, n_W, n_C = dA.shape
    dA_prev = np.zeros_like(A_prev)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(n_C):
                    v, u = h * stride, w * stride
                    window = dA_prev[i, v : v + f, u : u + f, c]
                    da = dA[i, h, w, c]
                    if mode == "max":
                        part = mask(A_prev[i, v : v + f, u : u + f, c]) * da
                    else:
                        part = distribute(da, (f, f))
                    window[...] = part if assign else window + part
    return dA_prev


NHWC = {"A_prev": "n c h w -> n h w c"}
IMAGES = {"batch": st.sampled_from([(2,), (1,), (0,)])}
FEW = st.sampled_from([1, 2, 3])
CONV = IMAGES | {
    "groups": st.just(1),
    "in_channels per group": FEW,
    "out_channels per group": FEW,
    "kernel_size": st.sampled_from([1, 2, 3]),
    "padding": st.sampled_from([0, 1, 2]),
    "stride": st.sampled_from([1, 2, 3]),
    "dilation": st.just(1),
    "padding_mode": st.just("zeros"),
    "bias": st.just(True),
}
POOL = IMAGES | {
    "channels": FEW,
    "kernel_size": st.sampled_from([2, 3]),
    "stride": st.sampled_from([None, 1, 2]),
    "padding": st.just(0),
    "ceil_mode": st.just(False),
}
MAX = POOL | {"dilation": st.just(1), "return_indices": st.just(False)}
AVERAGE = POOL | {"divisor_override": st.just(None)}


def _conv(backward):
    return candidate("Conv2d", only=CONV)(
        adapt.pair(
            conv_forward,
            backward,
            {"W": "weight: o c h w -> h w c o", "b": "bias: o -> 1 1 1 o"},
            config=lambda c: {"hparameters": {"stride": c["stride"], "pad": c["padding"]}},
            inputs=NHWC,
        )
    )


def _pool(twin, only, mode, **how):
    return candidate(twin, only=only)(
        adapt.pair(
            functools.partial(pool_forward, mode=mode),
            functools.partial(pool_backward, mode=mode, **how),
            config=lambda c: {
                "hparameters": {"f": c["kernel_size"], "stride": c["stride"] or c["kernel_size"]}
            },
            inputs=NHWC,
        )
    )


convolution = _conv(conv_backward)
max_pooling = _pool("MaxPool2d", MAX, "max")
average_pooling = _pool("AvgPool2d", AVERAGE, "average")


# ---- mistakes -----------------------------------------------------------------------------------

WRONG = {
    "weight gradient of the last window": (
        _conv(functools.partial(conv_backward, assign=True)),
        "gradient of weight",
    ),
    "padding left at the wrong end": (
        _conv(functools.partial(conv_backward, from_unpadded=True)),
        "gradient of input 0",
    ),
    "stride forgotten on the way back": (
        _conv(functools.partial(conv_backward, step=1)),
        "gradient of input 0",
    ),
    "every maximum gets the gradient": (
        _pool("MaxPool2d", MAX, "max", mask=lambda x: x == np.max(x)),
        "gradient of input 0",
    ),
    "overlapping windows overwrite": (
        _pool("MaxPool2d", MAX, "max", assign=True),
        "gradient of input 0",
    ),
    "average not divided": (
        _pool("AvgPool2d", AVERAGE, "average", distribute=lambda dz, shape: np.full(shape, dz)),
        "gradient of input 0",
    ),
    "overlapping averages overwrite": (
        _pool("AvgPool2d", AVERAGE, "average", assign=True),
        "gradient of input 0",
    ),
}
