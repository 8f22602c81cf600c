"""TensorFlow's own operations, given tensors by the tables' names, and differentiated."""

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from npnet.convert.facts import Table
from tests.studies.frameworks.cases import Case
from tests.studies.frameworks.reply import Reply

VERSIONS = f"tensorflow {tf.__version__}"


def ask(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any], dys: Any) -> Reply:
    """y, gradients, and what the pass changed."""
    xs = [tf.constant(x) for x in inputs]
    kept = {n: tf.constant(a) for n, a in tensors.items()}
    real = [x for x in xs if x.dtype.is_floating]
    trained = {n: t for n, t in kept.items() if n not in ("mean", "variance")}
    with tf.GradientTape() as tape:
        for t in (*real, *trained.values()):
            tape.watch(t)
        y = _call(table, case, kept, xs[0])
        total = tf.reduce_sum(y * dys([y])[0])
    found = tape.gradient(total, [*real, *trained.values()])
    grads = [np.asarray(tf.convert_to_tensor(g)) for g in found]
    return Reply(
        [np.asarray(y)],
        grads[: len(real)],
        dict(zip(trained, grads[len(real) :], strict=True)),
        {},
    )


def _call(table: Table, case: Case, p: dict[str, Any], x: Any) -> Any:
    own, told = table.theirs.removeprefix("tf."), case.told
    match own:
        case "matmul":
            y = tf.linalg.matmul(x, p["kernel"])
        case "nn.embedding_lookup":
            return tf.nn.embedding_lookup(p["params"], x)
        case "nn.batch_normalization":
            mean, variance = p["mean"], p["variance"]
            if told["training"]:
                mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            return tf.nn.batch_normalization(
                x, mean, variance, p["offset"], p["scale"], case.module.eps
            )
        case "nn.depthwise_conv2d":
            y = tf.nn.depthwise_conv2d(
                x,
                p["filter"],
                (1, *told["stride"], 1),
                "SAME" if told["padding"] else "VALID",
                dilations=told["dilation"],
            )
        case _ if own.endswith("transpose"):
            with_one = case.module(_images(x))
            shape = (with_one.shape[0], *with_one.shape[2:], with_one.shape[1])
            y = getattr(tf.nn, own[3:])(x, p["filters"], shape, list(told["stride"]), "VALID")
        case _:
            y = getattr(tf.nn, own[3:])(
                x,
                p["filters"],
                list(told["stride"]) if len(told["stride"]) < 3 else [1, *told["stride"], 1],
                "SAME" if told["padding"] else "VALID",
                dilations=list(told["dilation"])
                if len(told["stride"]) < 3
                else [1, *told["dilation"], 1],
            )
    return tf.nn.bias_add(y, p["bias"]) if "bias" in p else y


def _images(x: Any) -> Any:
    import torch

    return torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy())
