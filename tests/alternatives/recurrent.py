"""Recurrent layers one step at a time: sigmoids from exp, and gradients that add up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, Nested, State

States = tuple[Array, ...]
Back = Callable[..., tuple[Array, ...]]
"""Gradients of the next states -> those of x and of the states before; it adds to params."""

Step = Callable[..., tuple[States, Back]]
"""(layer, state, params, suffix, x, h, …) -> the next states, back."""


def _sigmoid(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, np.ones_like(z), e) / (1 + e)


def _affine(
    state: State, params: dict[str, Array], which: str, end: str, v: Array
) -> tuple[Array, Callable[[Array], Array]]:
    """v Wᵀ + b, by the weights of the input ("ih") or of the hidden state ("hh")."""
    W, bias = state[f"weight_{which}{end}"], f"bias_{which}{end}"
    z = v @ W.T
    if bias in state:
        z = z + state[bias]

    def back(dz: Array) -> Array:
        params[f"weight_{which}{end}"] += dz.T @ v
        if bias in state:
            params[bias] += dz.sum(0)
        return dz @ W

    return z, back


def _rnn_step(layer: Any, state: State, params: Any, end: str, x: Array, h: Array) -> Any:
    zx, back_x = _affine(state, params, "ih", end, x)
    zh, back_h = _affine(state, params, "hh", end, h)
    z = zh + zx
    y = np.tanh(z) if layer.nonlinearity == "tanh" else np.where(z > 0, z, np.zeros_like(z))

    def back(dy: Array) -> tuple[Array, ...]:
        slope = (1 + y) * (1 - y) if layer.nonlinearity == "tanh" else z > 0
        return back_x(dy * slope), back_h(dy * slope)

    return (y,), back


def _lstm_step(
    layer: Any, state: State, params: dict[str, Array], end: str, x: Array, h: Array, c: Array
) -> Any:
    """[W_ih W_hh] [x; h], in one product."""
    W = np.concatenate([state["weight_ih" + end], state["weight_hh" + end]], axis=1)
    read = np.concatenate([x, h], axis=1)
    z = read @ W.T
    if layer.bias:
        z = z + state["bias_ih" + end] + state["bias_hh" + end]
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
    c_next = f * c + i * g
    squashed = np.tanh(c_next)
    m = o * squashed
    projected = getattr(layer, "proj_size", 0) > 0
    h_next = m @ state["weight_hr" + end].T if projected else m

    def back(dh: Array, dc: Array) -> tuple[Array, ...]:
        dm = dh
        if projected:
            params["weight_hr" + end] += dh.T @ m
            dm = dh @ state["weight_hr" + end]
        dc = dc + dm * o * (1 - squashed**2)
        dz_i, dz_f = dc * g * i * (1 - i), dc * c * f * (1 - f)
        dz_g, dz_o = dc * i * (1 - g**2), dm * squashed * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
        dW = dz.T @ read
        params["weight_ih" + end] += dW[:, : x.shape[1]]
        params["weight_hh" + end] += dW[:, x.shape[1] :]
        for name in ("bias_ih", "bias_hh")[: 2 * layer.bias]:
            params[name + end] += dz.sum(0)
        dread = dz @ W
        return dread[:, : x.shape[1]], dread[:, x.shape[1] :], dc * f

    return (h_next, c_next), back


def _gru_step(layer: Any, state: State, params: Any, end: str, x: Array, h: Array) -> Any:
    """h' = (1 - z) n + z h, as the paper writes it."""
    zx, back_x = _affine(state, params, "ih", end, x)
    zh, back_h = _affine(state, params, "hh", end, h)
    x_r, x_z, x_n = np.split(zx, 3, axis=1)
    h_r, h_z, h_n = np.split(zh, 3, axis=1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * h_n)
    y = (1 - z) * n + z * h

    def back(dy: Array) -> tuple[Array, ...]:
        dz_n = dy * (1 - z) * (1 - n**2)
        dz_r = dz_n * h_n * r * (1 - r)
        dz_z = (dy * h - dy * n) * z * (1 - z)
        dx = back_x(np.concatenate([dz_r, dz_z, dz_n], axis=1))
        dh = back_h(np.concatenate([dz_r, dz_z, dz_n * r], axis=1))
        return dx, dh + dy * z

    return (y,), back


def _zeros(state: State, suffixes: list[str]) -> dict[str, Array]:
    names = [n for n in state if any(n.endswith(end) for end in suffixes)]
    return {name: np.zeros_like(state[name]) for name in names}


def _cell(layer: Any, step: Step, width: int, state: State, x: Array, hx: Nested) -> Forward:
    """A cell layer of `width` states."""
    one = x.ndim == 1
    rows = x[None] if one else x
    given = (hx if isinstance(hx, tuple) else (hx,)) if hx is not None else ()
    start = tuple(s[None] if one else s for s in given)
    if hx is None:
        start = (np.zeros((len(rows), layer.hidden_size), x.dtype),) * width
    params: dict[str, Array] = {}
    states, back = step(layer, state, params, "", rows, *start)
    y = tuple(s[0] if one else s for s in states)

    def vjp(dy: Any) -> Grads:
        params.update(_zeros(state, [""]))
        dys = dy if width > 1 else (dy,)
        found = tuple(v[0] if one else v for v in back(*(s[None] if one else s for s in dys)))
        dhx = found[1:] if width > 1 else found[1]
        return Grads(found[:1] if hx is None else (found[0], dhx), dict(params))

    return Forward(y if width > 1 else y[0], vjp)


def _sequence(
    layer: Any, step: Step, width: int, state: State, x: Array, hx: Nested, rng: Any
) -> Forward:
    """A recurrent layer of `width` states."""
    one, ends = x.ndim == 2, ("", "_reverse")[: 1 + layer.bidirectional]
    steps = x[:, None] if one else x.swapaxes(0, 1) if layer.batch_first else x
    T, N, _ = steps.shape
    count = layer.num_layers * len(ends)
    P = getattr(layer, "proj_size", 0) or layer.hidden_size
    if hx is None:
        widths = (P, layer.hidden_size)[:width]
        start = [[np.zeros((N, w), x.dtype)] * count for w in widths]
    else:
        given = hx if isinstance(hx, tuple) else (hx,)
        start = [[s[None] if one else s for s in states] for states in given]

    params: dict[str, Array] = {}
    masks, backs, last = [], [], []
    for k in range(layer.num_layers):
        outputs = []
        for d, end in enumerate(ends):
            carried = tuple(states[len(backs)] for states in start)
            output = np.empty((T, N, P), x.dtype)
            taken = []
            for t in [*range(T)][:: -1 if d else 1]:
                carried, back = step(layer, state, params, f"_l{k}{end}", steps[t], *carried)
                output[t] = carried[0]
                taken.append((t, back))
            backs.append(taken)
            outputs.append(output)
            last.append(carried)
        steps = np.concatenate(outputs, axis=2)
        masks.append(np.ones_like(steps))
        if layer.training and k < layer.num_layers - 1 and 0 < layer.dropout < 1:
            kept = rng.random(steps.shape) >= layer.dropout
            masks[-1] = kept.astype(x.dtype) / (1 - layer.dropout)
        elif layer.training and k < layer.num_layers - 1 and layer.dropout == 1:
            masks[-1] = np.zeros_like(steps)
        steps = steps * masks[-1]

    def vjp(dy: tuple[Array, ...]) -> Grads:
        params.update({name: np.zeros_like(entry) for name, entry in state.items()})
        dsteps = dy[0][:, None] if one else dy[0].swapaxes(0, 1) if layer.batch_first else dy[0]
        dlast = [[s[None] if one else s for s in states] for states in dy[1:]]
        dstart = [[*states] for states in start]
        for k in reversed(range(layer.num_layers)):
            parts = np.split(dsteps * masks[k], len(ends), axis=2)
            features = state[f"weight_ih_l{k}"].shape[1]
            dsteps = np.zeros((T, N, features), dy[0].dtype)
            for d, part in enumerate(parts):
                i = k * len(ends) + d
                carried = tuple(states[i] for states in dlast)
                for t, back in reversed(backs[i]):
                    dx, *carried = back(carried[0] + part[t], *carried[1:])
                    dsteps[t] += dx
                for states, s in zip(dstart, carried, strict=True):
                    states[i] = s
        dx = dsteps[:, 0] if one else dsteps.swapaxes(0, 1) if layer.batch_first else dsteps
        dhx = tuple(np.stack([s[0] if one else s for s in states]) for states in dstart)
        given = (dhx if width > 1 else dhx[0],)
        return Grads((dx,) if hx is None else (dx, *given), dict(params))

    output = steps[:, 0] if one else steps.swapaxes(0, 1) if layer.batch_first else steps
    ends_at = (np.stack([s[0] if one else s for s in states]) for states in zip(*last, strict=True))
    return Forward((output, *ends_at), vjp)


@dataclass(frozen=True)
class RNN(nn.RNN):
    def __call__(self, state: State, x: Array, hx: Nested = None, *, rng: Any = None) -> Forward:
        return _sequence(self, _rnn_step, 1, state, x, hx, rng)


@dataclass(frozen=True)
class LSTM(nn.LSTM):
    def __call__(self, state: State, x: Array, hx: Nested = None, *, rng: Any = None) -> Forward:
        return _sequence(self, _lstm_step, 2, state, x, hx, rng)


@dataclass(frozen=True)
class GRU(nn.GRU):
    def __call__(self, state: State, x: Array, hx: Nested = None, *, rng: Any = None) -> Forward:
        return _sequence(self, _gru_step, 1, state, x, hx, rng)


@dataclass(frozen=True)
class RNNCell(nn.RNNCell):
    def __call__(self, state: State, x: Array, hx: Nested = None) -> Forward:
        return _cell(self, _rnn_step, 1, state, x, hx)


@dataclass(frozen=True)
class LSTMCell(nn.LSTMCell):
    def __call__(self, state: State, x: Array, hx: Nested = None) -> Forward:
        return _cell(self, _lstm_step, 2, state, x, hx)


@dataclass(frozen=True)
class GRUCell(nn.GRUCell):
    def __call__(self, state: State, x: Array, hx: Nested = None) -> Forward:
        return _cell(self, _gru_step, 1, state, x, hx)


ALTERNATIVES = {
    "RNN": RNN,
    "LSTM": LSTM,
    "GRU": GRU,
    "RNNCell": RNNCell,
    "LSTMCell": LSTMCell,
    "GRUCell": GRUCell,
}
