"""A network Dense(relu) - Dense - softmax trained by RMSprop: its layers, its loss, its update."""

import numpy as np
from hypothesis import strategies as st

from npnet.verify import adapt, candidate


class Dense:
    """Parameters and their gradients in lists, gradients written in place."""

    def __init__(self, units=None, activation=None):
        self.units, self.activation = units, activation
        self.params, self.grads = [None, None], [None, None]

    def build(self, inputs, rng):
        scale = np.sqrt(2 / inputs)
        self.set([rng.standard_normal((inputs, self.units)) * scale, np.zeros(self.units)])

    def set(self, params):
        self.params = params
        self.grads = [np.zeros_like(p) for p in params]

    def forward(self, x):
        W, b = self.params
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = x
        y = x @ W + b
        if self.activation is not None:
            y = self.activation.forward(y)
        return y

    def backward(self, dy):
        if self.activation is not None:
            dy = self.activation.backward(dy)
        self.grads[0][...] = self.x.T @ dy
        self.grads[1][...] = dy.sum(axis=0)
        return dy @ self.params[0].T


class ReLU:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return np.where(self.x > 0, dy, 0)


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y

    def backward(self, dy):
        return self.y * (dy - (dy * self.y).sum(axis=-1, keepdims=True))


class SparseCategoricalCrossentropy:
    """Of logits; backward takes it that the loss comes last."""

    def __init__(self, ignored):
        self.ignored = ignored

    def forward(self, logits, labels):
        z = logits - logits.max(axis=1, keepdims=True)
        self.log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        self.labels, self.counted = labels, labels != self.ignored
        picked = self.log_p[np.arange(len(labels)), labels]
        return -np.where(self.counted, picked, 0).sum() / z.dtype.type(self.counted.sum())

    def backward(self):
        p = np.exp(self.log_p)
        p[np.arange(len(p)), self.labels] -= 1
        p /= p.dtype.type(self.counted.sum())
        return np.where(self.counted[:, np.newaxis], p, 0)


class RMSprop:
    def __init__(self, learning_rate=0.001, rho=0.9, epsilon=1e-7):
        self.learning_rate, self.rho, self.epsilon = learning_rate, rho, epsilon
        self.mean_square = {}

    def step(self, p, g, mean_square):
        return p - self.learning_rate * g / (np.sqrt(mean_square) + self.epsilon)

    def update(self, params, grads):
        for name, g in grads.items():
            before = self.mean_square.get(name, np.zeros_like(g))
            self.mean_square[name] = self.rho * before + (1 - self.rho) * g**2
            params[name] = self.step(params[name], g, self.mean_square[name])


class Network:
    def __init__(self, sizes, rng, optimizer):
        hidden, out = Dense(sizes[1], ReLU()), Dense(sizes[2])
        hidden.build(sizes[0], rng)
        out.build(sizes[1], rng)
        self.layers, self.optimizer = [hidden, out], optimizer
        self.loss = SparseCategoricalCrossentropy(ignored=-1)

    def train_step(self, x, labels):
        for layer in self.layers:
            x = layer.forward(x)
        loss = self.loss.forward(x, labels)
        dy = self.loss.backward()
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        named = {(i, j): p for i, la in enumerate(self.layers) for j, p in enumerate(la.params)}
        grads = {(i, j): g for i, la in enumerate(self.layers) for j, g in enumerate(la.grads)}
        self.optimizer.update(named, grads)
        for (i, j), p in named.items():
            self.layers[i].params[j] = p
        return loss


LAYOUT = {"params.0": "weight: o i -> i o", "params.1": "bias"}
ROWS = {"batch": st.sampled_from([(2,), (3,), (1,), (0,)]), "bias": st.just(True)}
LAST = {"shape": st.sampled_from([(2, 3), (3,), (2, 3, 2), (33,)]), "dim": st.just(-1)}
LABELS = {
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
PLAIN = {
    "weight_decay": st.just(0.0),
    "momentum": st.just(0.0),
    "centered": st.just(False),
    "maximize": st.just(False),
    "steps": st.just(5),
    "parameters": st.just(2),
    "groups": st.just("one"),
    "restart after": st.just(None),
}
ONE_STEP = PLAIN | {"steps": st.just(1), "parameters": st.just(1)}


def _dense(kind):
    return candidate("Linear", only=ROWS)(adapt.stateful(kind, LAYOUT, grads="grads.{}"))


def _softmax(kind):
    return candidate("Softmax", only=LAST)(adapt.stateful(kind))


def _loss(kind):
    adapted = adapt.stateful(kind, config={"ignored": "ignore_index"})
    return candidate("CrossEntropyLoss", only=LABELS)(adapted)


def _rmsprop(kind, only=PLAIN):
    config = {"learning_rate": "lr", "rho": "alpha", "epsilon": "eps"}
    adapted = adapt.optimizer(kind, config=config, lr="learning_rate")
    return candidate("optim.RMSprop", only=only)(adapted)


dense = _dense(Dense)
relu = candidate("ReLU")(adapt.stateful(ReLU))
softmax = _softmax(Softmax)
crossentropy = _loss(SparseCategoricalCrossentropy)
rmsprop = _rmsprop(RMSprop)


# ---- mistakes -----------------------------------------------------------------------------------


class NotTransposed(Dense):
    def backward(self, dy):
        dx = super().backward(dy)
        if self.params[0].shape[0] == self.params[0].shape[1]:
            dx = dy @ self.params[0]
        return dx


class AddedInPlace(Dense):
    def backward(self, dy):
        before = self.grads[1].copy()
        dx = super().backward(dy)
        self.grads[1] += before
        return dx


class Diagonal(Softmax):
    def backward(self, dy):
        return self.y * (1 - self.y) * dy


class OverflowingSoftmax(Softmax):
    def forward(self, x):
        e = np.exp(x)
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y


class Probabilities(SparseCategoricalCrossentropy):
    """Without the one that belongs to the label."""

    def backward(self):
        p = np.exp(self.log_p) / self.log_p.dtype.type(self.counted.sum())
        return np.where(self.counted[:, np.newaxis], p, 0)


class OverAllRows(SparseCategoricalCrossentropy):
    def backward(self):
        return super().backward() * self.log_p.dtype.type(self.counted.mean())


class EpsilonInside(RMSprop):
    def step(self, p, g, mean_square):
        return p - self.learning_rate * g / np.sqrt(mean_square + self.epsilon)


class Adagrad(RMSprop):
    """(1 - rho) forgotten."""

    def update(self, params, grads):
        for name, g in grads.items():
            before = self.mean_square.get(name, np.zeros_like(g))
            self.mean_square[name] = self.rho * before + g**2
            params[name] = self.step(params[name], g, self.mean_square[name])


class OneAverage(RMSprop):
    """One average for all elements of a parameter."""

    def step(self, p, g, mean_square):
        return super().step(p, g, np.mean(mean_square))


WRONG = {
    "weight not transposed": (_dense(NotTransposed), "gradient of input 0"),
    "gradients add up": (_dense(AddedInPlace), "gradient of bias"),
    "diagonal of the Jacobian only": (_softmax(Diagonal), "gradient of input 0"),
    "exp overflows": (_softmax(OverflowingSoftmax), "y"),
    "label not subtracted": (_loss(Probabilities), "gradient of input 0"),
    "divided by all rows": (_loss(OverAllRows), "gradient of input 0"),
    "epsilon inside the root": (_rmsprop(EpsilonInside, ONE_STEP), "params after step 1: p0"),
    "no weight for the new square": (_rmsprop(Adagrad, ONE_STEP), "params after step 1: p0"),
    "one average for all": (_rmsprop(OneAverage, ONE_STEP), "params after step 1: p0"),
}
