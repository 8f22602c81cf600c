"""Layers of Keras, built, given tensors by the tables' names, and differentiated."""

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from npnet.convert.facts import Table
from tests.studies.frameworks.cases import Case
from tests.studies.frameworks.reply import Reply

VERSIONS = f"keras {keras.__version__}, tensorflow {tf.__version__}"
_D = {"dtype": "float64"}


def layer(table: Table, case: Case) -> Any:
    """The layer of Keras that a case of torch's speaks of."""
    own, told, m = table.theirs.rpartition(".")[2], case.told, case.module
    kind = getattr(keras.layers, own)
    match own:
        case "Dense":
            return kind(4, use_bias=told["bias"], **_D)
        case "Embedding":
            return kind(6, 3, **_D)
        case "LayerNormalization" | "RMSNormalization":
            axis = list(range(-told["axes"], 0)) if told["axes"] > 1 else -1
            return kind(axis=axis, epsilon=m.eps, **_D)
        case "GroupNormalization":
            return kind(groups=told.get("groups", -1), epsilon=m.eps, **_D)
        case "BatchNormalization":
            return kind(momentum=1 - m.momentum, epsilon=m.eps, **_D)
        case "PReLU":
            return kind(shared_axes=[1, 2] if table.variant == "images" else None, **_D)
        case "MultiHeadAttention":
            return kind(told["heads"], told["width"] // told["heads"], use_bias=told["bias"], **_D)
        case "LSTM" | "GRU" | "SimpleRNN":
            return kind(4, use_bias=told["bias"], return_sequences=True, **_D)
        case "LSTMCell" | "GRUCell" | "SimpleRNNCell":
            return kind(4, use_bias=told["bias"], **_D)
    given = {
        "kernel_size": told["kernel"],
        "strides": told["stride"],
        "dilation_rate": told["dilation"],
        "padding": "same" if told["padding"] else "valid",
        "use_bias": told["bias"],
        **_D,
    }
    if own.startswith("Depthwise"):
        return kind(depth_multiplier=told["m"], **given)
    if own.endswith("Transpose"):
        return kind(told["out"], **given)
    return kind(told["out"], groups=told["groups"], **given)


def ask(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any], dys: Any) -> Reply:
    """y, gradients, and what the pass changed."""
    made = layer(table, case)
    xs = [tf.constant(x) for x in inputs]
    _call(made, table, case, xs)
    places = {}
    for w in made.weights:
        path = w.path.split("/")
        name = next((n for n in tensors if path[-len(n.split("/")) :] == n.split("/")), None)
        if name is not None:
            assert tuple(w.shape) == tensors[name].shape, (w.path, w.shape, tensors[name].shape)
            w.assign(tensors[name])
            places[name] = w
    assert places.keys() == tensors.keys(), (list(places), list(tensors))
    real = [x for x in xs if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        for x in real:
            tape.watch(x)
        ys = _call(made, table, case, xs)
        total = sum(tf.reduce_sum(y * dy) for y, dy in zip(ys, dys(ys), strict=True))
    trained = {n: w.value for n, w in places.items() if w.trainable}
    found = tape.gradient(total, [*real, *trained.values()])
    grads = [np.asarray(tf.convert_to_tensor(g)) for g in found]
    return Reply(
        [np.asarray(y) for y in ys],
        grads[: len(real)],
        dict(zip(trained, grads[len(real) :], strict=True)),
        {n: np.asarray(w.value) for n, w in places.items() if not w.trainable},
    )


def _call(made: Any, table: Table, case: Case, xs: list[Any]) -> list[Any]:
    own = table.theirs.rpartition(".")[2]
    if own == "MultiHeadAttention":
        return [made(xs[0], xs[2], xs[1])]
    if own.endswith("Cell"):
        if not made.built:
            made.build(xs[0].shape)
        y, states = made(xs[0], list(xs[1:]))
        return list(states) if own == "LSTMCell" else [y]
    if own == "BatchNormalization":
        return [made(xs[0], training=case.told["training"])]
    y = made(*xs)
    if table.layer == "EmbeddingBag":
        reduce = tf.reduce_sum if case.told["mode"] == "sum" else tf.reduce_mean
        return [reduce(y, 1)]
    return [y]
