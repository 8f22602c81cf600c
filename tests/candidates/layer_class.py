"""Layers as classes with forward, backward and gradients on self; product and sum nodes.

WRONG holds the same code with mistakes that people make, and the quantity to be blamed for each.
"""

import numpy as np
from hypothesis import strategies as st

from npnet.verify import adapt, candidate


class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x = None
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


class Relu:
    def __init__(self):
        self.mask = None

    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dx = dout.copy()
        dx[self.mask] = 0
        return dx


class Sigmoid:
    def __init__(self):
        self.out = None

    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * (1.0 - self.out) * self.out


class SoftmaxWithLoss:
    def __init__(self, ignore_label=-1):
        self.ignore_label = ignore_label
        self.y = None
        self.t = None
        self.mask = None

    def forward(self, x, t):
        x = x - x.max(axis=1, keepdims=True)
        log_y = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        self.y = np.exp(log_y)
        self.mask = t != self.ignore_label
        self.t = np.where(t == self.ignore_label, 0, t)
        picked = log_y[np.arange(len(t)), self.t] * self.mask
        return -picked.sum() / x.dtype.type(self.mask.sum())

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        dx *= dout / dx.dtype.type(self.mask.sum())
        return np.where(self.mask[:, np.newaxis], dx, 0)


class MulLayer:
    def __init__(self):
        self.x = None
        self.y = None

    def forward(self, x, y):
        self.x = x
        self.y = y
        return x * y

    def backward(self, dout):
        return dout * self.y, dout * self.x


class AddLayer:
    def forward(self, x, y):
        return x + y

    def backward(self, dout):
        return dout, dout


class SquaredError:
    """(x - t)² out of nodes: the difference goes into both sides of one multiplication."""

    def __init__(self, mul=MulLayer, add=AddLayer):
        self.negative = mul()
        self.difference = add()
        self.square = mul()

    def forward(self, x, t):
        d = self.difference.forward(x, self.negative.forward(t, -1))
        return self.square.forward(d, d)

    def backward(self, dout):
        left, right = self.square.backward(dout)
        dx, dminus = self.difference.backward(left + right)
        dt, _ = self.negative.backward(dminus)
        return dx, dt


LAYOUT = {"W": "weight: o i -> i o", "b": "bias"}
ROWS = {"batch": st.sampled_from([(2,), (3,), (1,), (0,)]), "bias": st.just(True)}
ARRAYS = {"shape": st.sampled_from([(2, 3), (3,), (2, 3, 2), (33,), (4, 1)])}
INDICES = {
    "target": st.just("indices"),
    "class weights": st.just(False),
    "label_smoothing": st.just(0.0),
    "ignore_index": st.just(-1),
    "size_average": st.just(None),
    "reduce": st.just(None),
    "reduction": st.just("mean"),
    "batch": st.sampled_from([(3,), (1,), (7,)]),
    "trailing axes": st.just(()),
}
SQUARES = {
    "dtype of the target": st.just("floating"),
    "shapes": st.sampled_from([((2, 3), (2, 3)), ((3,), (3,)), ((33,), (33,))]),
    "size_average": st.just(None),
    "reduce": st.just(None),
    "reduction": st.just("none"),
}

affine = candidate("Linear", only=ROWS)(adapt.stateful(Affine, LAYOUT))
relu = candidate("ReLU", only=ARRAYS)(adapt.stateful(Relu))
sigmoid = candidate("Sigmoid", only=ARRAYS)(adapt.stateful(Sigmoid))
softmax_with_loss = candidate("CrossEntropyLoss", only=INDICES)(adapt.stateful(SoftmaxWithLoss))
squared_error = candidate("MSELoss", only=SQUARES)(adapt.stateful(lambda: SquaredError()))


# ---- mistakes -----------------------------------------------------------------------------------


class MeanBias(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.db = np.mean(dout, axis=0)
        return dx


class AddsUp(Affine):
    """Gradients that are added up and never set to zero."""

    def __init__(self, W, b):
        super().__init__(W, b)
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)

    def backward(self, dout):
        self.dW += np.dot(self.x.T, dout)
        self.db += np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


class InPlaceRelu(Relu):
    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class ReluAtZero(Relu):
    def forward(self, x):
        self.mask = x < 0
        return np.maximum(x, 0)


class OwnInput(Relu):
    def forward(self, x):
        self.mask = x <= 0
        x[self.mask] = 0
        return x


class SigmoidOfSigmoid(Sigmoid):
    def backward(self, dout):
        s = 1 / (1 + np.exp(-self.out))
        return dout * (1.0 - s) * s


class SigmoidWithoutOut(Sigmoid):
    def backward(self, dout):
        return dout * (1.0 - self.out)


class Undivided(SoftmaxWithLoss):
    def backward(self, dout=1):
        return super().backward(dout) * self.y.dtype.type(self.mask.sum())


class LossIsLast(SoftmaxWithLoss):
    """Takes dL/dy = 1 for granted, though it is given."""

    def backward(self, dout=1):
        return super().backward(1)


class SmallNumber(SoftmaxWithLoss):
    def forward(self, x, t):
        super().forward(x, t)
        picked = np.log(self.y[np.arange(len(t)), self.t] + 1e-7) * self.mask
        return -picked.sum() / x.dtype.type(self.mask.sum())


class NotSwapped(MulLayer):
    def backward(self, dout):
        return dout * self.x, dout * self.y


class OneBranch(SquaredError):
    """Gradients of two branches that are not added."""

    def backward(self, dout):
        left, _ = self.square.backward(dout)
        dx, dminus = self.difference.backward(left)
        return dx, self.negative.backward(dminus)[0]


def _affine(cls):
    return candidate("Linear", only=ROWS)(adapt.stateful(cls, LAYOUT))


def _other(twin, only, build):
    return candidate(twin, only=only)(adapt.stateful(build))


WRONG = {
    "bias gradient is a mean": (_affine(MeanBias), "gradient of bias"),
    "gradients add up": (_affine(AddsUp), "gradient of weight"),
    "cache overwritten": (
        candidate("Linear", only=ROWS)(adapt.stateful(Affine, LAYOUT, shared=True)),
        "gradient of input 0",
    ),
    "writes into dout": (_other("ReLU", ARRAYS, InPlaceRelu), "dy"),
    "gradient 1 at 0": (_other("ReLU", ARRAYS, ReluAtZero), "gradient of input 0"),
    "writes into x": (_other("ReLU", ARRAYS, OwnInput), "input 0"),
    "derivative of the output": (
        _other("Sigmoid", ARRAYS, SigmoidOfSigmoid),
        "gradient of input 0",
    ),
    "a factor is missing": (_other("Sigmoid", ARRAYS, SigmoidWithoutOut), "gradient of input 0"),
    "not divided by the batch": (
        _other("CrossEntropyLoss", INDICES, Undivided),
        "gradient of input 0",
    ),
    "ignores dout": (_other("CrossEntropyLoss", INDICES, LossIsLast), "gradient of input 0"),
    "log of a little more": (_other("CrossEntropyLoss", INDICES, SmallNumber), "y"),
    "factors not swapped": (
        _other("MSELoss", SQUARES, lambda: SquaredError(mul=NotSwapped)),
        "gradient of input 1",
    ),
    "branches not added": (_other("MSELoss", SQUARES, lambda: OneBranch()), "gradient of input 0"),
}
