"""Layers of Flax (linen, nnx), and the book's formulas in jax.numpy, which differentiates them."""

import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from npnet.convert.facts import Table
from tests.studies.frameworks.cases import Case
from tests.studies.frameworks.reply import Reply

jax.config.update("jax_enable_x64", True)
VERSIONS = f"flax {flax.__version__}, jax {jax.__version__}"
_D = {"param_dtype": jnp.float64, "dtype": jnp.float64}
_STATS = ("mean", "var")


def ask(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any], dys: Any) -> Reply:
    """y, gradients, and what the pass changed."""
    real = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    kept = {n: jnp.asarray(a) for n, a in tensors.items()}
    run = {"flax": _linen, "nnx": _nnx, "dlfs": _book}[table.framework](table, case, kept, inputs)

    def call(trained: dict[str, Any], some: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        given = [jnp.asarray(x) for x in inputs]
        for i, x in zip(real, some, strict=True):
            given[i] = x
        return run({**kept, **trained}, given)

    trained = {n: a for n, a in kept.items() if n not in _STATS and not n.startswith("running")}
    some = [jnp.asarray(inputs[i]) for i in real]
    ys, back, changed = jax.vjp(call, trained, some, has_aux=True)
    dtensors, dinputs = back([jnp.asarray(dy) for dy in dys(ys)])
    return Reply(
        [np.asarray(y) for y in ys],
        [np.asarray(g) for g in dinputs],
        {n: np.asarray(g) for n, g in dtensors.items()},
        {n: np.asarray(a) for n, a in changed.items()},
    )


# ---- linen ---------------------------------------------------------------------------------------


def _arguments(own: str, case: Case) -> dict[str, Any]:
    told, m = case.told, case.module
    match own:
        case "Dense" | "Linear":
            return {"use_bias": told["bias"], **_D}
        case "LayerNorm" | "RMSNorm":
            axes = tuple(range(-told["axes"], 0))
            return {"epsilon": m.eps, "reduction_axes": axes, "feature_axes": axes, **_D}
        case "GroupNorm":
            return {"num_groups": told["groups"], "epsilon": m.eps, **_D}
        case "InstanceNorm":
            return {"epsilon": m.eps, **_D}
        case "BatchNorm":
            return {
                "use_running_average": not told["training"],
                "momentum": 1 - m.momentum,
                "epsilon": m.eps,
                **_D,
            }
        case "PReLU":
            return {"param_dtype": jnp.float64}
        case "Embed" | "LSTMCell" | "GRUCell" | "SimpleCell" | "OptimizedLSTMCell":
            return dict(_D)
        case "MultiHeadDotProductAttention" | "MultiHeadAttention":
            return {"num_heads": told["heads"], "use_bias": told["bias"], **_D}
    given = {
        "strides": told["stride"],
        "kernel_dilation": told["dilation"],
        "padding": "VALID" if not told["padding"] else "SAME",
        "use_bias": told["bias"],
        **_D,
    }
    return given | ({"feature_group_count": told["groups"]} if own == "Conv" else {})


def _linen(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any]) -> Any:
    own = table.theirs.removeprefix("flax.linen.")
    over_time = own.startswith("RNN(")
    own = own.removeprefix("RNN(").rstrip(")")
    given = _arguments(own, case)
    positional: dict[str, tuple[Any, ...]] = {
        "Dense": (4,),
        "Embed": (6, 3),
        "LSTMCell": (4,),
        "GRUCell": (4,),
        "SimpleCell": (4,),
    }
    if "Conv" in own:
        positional[own] = (case.told["out"], case.told["kernel"])
        if own == "ConvTranspose":
            given["transpose_kernel"] = table.variant == "transpose_kernel"
    module = getattr(flax.linen, own)(*positional.get(own, ()), **given)
    over = flax.linen.RNN(module) if over_time else module
    under = ("cell",) if over_time else ()

    def call(now: dict[str, Any], xs: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        variables: dict[str, Any] = {}
        for name, a in now.items():
            kind = "batch_stats" if name in _STATS else "params"
            node = variables.setdefault(kind, {})
            *path, leaf = (*under, *name.split("/"))
            for step in path:
                node = node.setdefault(step, {})
            node[leaf] = a
        if own.endswith("Cell") and not over_time:
            carry = (xs[2], xs[1]) if own == "LSTMCell" else xs[1]
            out, y = over.apply(variables, carry, xs[0])
            return ([out[1], out[0]] if own == "LSTMCell" else [y]), {}
        if own == "BatchNorm" and case.told["training"]:
            y, changed = over.apply(variables, *xs, mutable=["batch_stats"])
            return [y], dict(changed["batch_stats"])
        return [over.apply(variables, *xs)], {}

    return call


# ---- nnx -----------------------------------------------------------------------------------------


def _nnx(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any]) -> Any:
    own = table.theirs.removeprefix("flax.nnx.")
    over_time = own.startswith("RNN(")
    own = own.removeprefix("RNN(").rstrip(")")
    given = _arguments(own, case)
    positional: dict[str, tuple[Any, ...]] = {
        "Linear": (3, 4),
        "Embed": (6, 3),
        "LSTMCell": (3, 4),
        "OptimizedLSTMCell": (3, 4),
        "GRUCell": (3, 4),
        "SimpleCell": (3, 4),
        "BatchNorm": (4,),
        "GroupNorm": (6,),
        "RMSNorm": (5,),
    }
    if own == "LayerNorm":
        positional[own] = (5,)
    if own == "MultiHeadAttention":
        given |= {"in_features": case.told["width"], "decode": False}
    if "Conv" in own:
        positional[own] = (4, case.told["out"], case.told["kernel"])
        if own == "ConvTranspose":
            given["transpose_kernel"] = table.variant == "transpose_kernel"

    def call(now: dict[str, Any], xs: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        more = {} if own == "PReLU" else {"rngs": nnx.Rngs(0)}
        one = getattr(nnx, own)(*positional.get(own, ()), **given, **more)
        over = nnx.RNN(one) if over_time else one
        flat = dict(nnx.to_flat_state(nnx.state(one)))
        left = dict(now)
        for path, variable in flat.items():
            name = "/".join(map(str, path))
            if name in left:
                a = left.pop(name)
                assert variable.get_value().shape == a.shape, name
                flat[path] = variable.replace(a)
        assert not left, (list(left), list(flat))
        nnx.update(one, nnx.from_flat_state(flat))
        if over_time:
            return [over(xs[0])], {}
        if own.endswith("Cell"):
            carry = (xs[2], xs[1]) if "LSTM" in own else xs[1]
            out, y = one(carry, xs[0])
            return ([out[1], out[0]] if "LSTM" in own else [y]), {}
        y = one(*xs)
        changed = {}
        if own == "BatchNorm" and case.told["training"]:
            changed = {n: getattr(one, n).get_value() for n in _STATS}
        return [y], changed

    return call


# ---- the book ------------------------------------------------------------------------------------


def _book(table: Table, case: Case, tensors: dict[str, Any], inputs: list[Any]) -> Any:
    """The forward passes of the book, as it writes them."""
    told, m = case.told, case.module

    def affine(p: dict[str, Any], x: Any) -> Any:
        y = jnp.dot(x.reshape(-1, x.shape[-1]), p["W"]).reshape(*x.shape[:-1], -1)
        return y + p["b"] if "b" in p else y

    def convolution(p: dict[str, Any], x: Any) -> Any:
        FN, C, FH, FW = p["W"].shape
        N, _, H, W = x.shape
        (sh, sw), pad, (dh, dw) = told["stride"], told["padding"], told["dilation"]
        img = jnp.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        out_h = (H + 2 * pad - dh * (FH - 1) - 1) // sh + 1
        out_w = (W + 2 * pad - dw * (FW - 1) - 1) // sw + 1
        col = jnp.stack(
            [
                img[:, :, dh * i : dh * i + sh * out_h : sh, dw * j : dw * j + sw * out_w : sw]
                for i in range(FH)
                for j in range(FW)
            ],
            2,
        ).reshape(N, C, FH, FW, out_h, out_w)
        col = col.transpose(0, 4, 5, 1, 2, 3).reshape(N * out_h * out_w, -1)
        out = jnp.dot(col, p["W"].reshape(FN, -1).T)
        out = out + p["b"] if "b" in p else out
        return out.reshape(N, out_h, out_w, -1).transpose(0, 3, 1, 2)

    def normalised(p: dict[str, Any], x: Any) -> tuple[Any, dict[str, Any]]:
        changed = {}
        if told["training"]:
            mu = x.mean(axis=0)
            xc = x - mu
            var = jnp.mean(xc**2, axis=0)
            momentum = 1 - m.momentum
            changed["running_mean"] = momentum * p["running_mean"] + (1 - momentum) * mu
            changed["running_var"] = momentum * p["running_var"] + (1 - momentum) * var
            xn = xc / jnp.sqrt(var + m.eps)
        else:
            xn = (x - p["running_mean"]) / jnp.sqrt(p["running_var"] + m.eps)
        return p["gamma"] * xn + p["beta"], changed

    def lstm(p: dict[str, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        H = h.shape[1]
        A = jnp.dot(x, p["Wx"]) + jnp.dot(h, p["Wh"]) + p.get("b", 0.0)
        f, g, i, o = A[:, :H], A[:, H : 2 * H], A[:, 2 * H : 3 * H], A[:, 3 * H :]
        f, g, i, o = jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(i), jax.nn.sigmoid(o)
        c_next = f * c + g * i
        return o * jnp.tanh(c_next), c_next

    def rnn(p: dict[str, Any], x: Any, h: Any) -> Any:
        return jnp.tanh(jnp.dot(h, p["Wh"]) + jnp.dot(x, p["Wx"]) + p.get("b", 0.0))

    def call(p: dict[str, Any], xs: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        match table.layer:
            case "Linear":
                return [affine(p, xs[0])], {}
            case "Embedding":
                return [p["W"][xs[0]]], {}
            case "Conv2d":
                return [convolution(p, xs[0])], {}
            case "BatchNorm1d":
                y, changed = normalised(p, xs[0])
                return [y], changed
            case "LSTMCell":
                return list(lstm(p, *xs)), {}
            case "RNNCell":
                return [rnn(p, *xs)], {}
        N, T, _ = xs[0].shape
        h = c = jnp.zeros((N, p["Wh"].shape[0]))
        hs = []
        for t in range(T):
            if table.layer == "LSTM":
                h, c = lstm(p, xs[0][:, t], h, c)
            else:
                h = rnn(p, xs[0][:, t], h)
            hs.append(h)
        return [jnp.stack(hs, 1)], {}

    return call
