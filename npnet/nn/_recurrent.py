"""What recurrent layers are made of: a cell's step, taken through time, directions and layers.

A cell reads what its two weights make of the input and of the last hidden state,

    a = W_ih x + b_ih    b = W_hh h + b_hh

and its `Step` makes the next states of them. The step and its derivative stand in the cell's own
file; all that is linear stands here: the products with weights are taken for all steps at once
wherever the recurrence allows it, which is everywhere but in W_hh h and its transpose.

Inside, arrays are laid out (T, features, N): W h is one product per step, and a gate is a block of
rows without gaps.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, Nested, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn.dropout import keep_factors

States: TypeAlias = tuple[Array, ...]
"""The hidden state h, and what else a cell carries from step to step; each (features, N)."""

Back: TypeAlias = Callable[..., tuple[Array, Array, tuple[Any, ...]]]
"""(dh, …), the gradients of the next states -> da, db, (dh, …), those of a, b and the last states.

The gradient of h that passes through b is not part of dh, which is 0 where there is no other.
da and db are one array where they are equal.
"""

Step: TypeAlias = Callable[..., tuple[States, Back]]
"""(a, b, h, …) -> (h, …), back. Both depend on nothing else, and write into nothing."""


class Cell(NamedTuple):
    """gates: the blocks of hidden_size rows in a weight; states: what is carried, h first."""

    gates: int
    states: tuple[str, ...]
    step: Step


class OneStep(Protocol):
    """The fields of a cell layer."""

    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def bias(self) -> bool: ...


class Layers(OneStep, Protocol):
    """The fields of a recurrent layer; an LSTM has a proj_size too."""

    @property
    def num_layers(self) -> int: ...
    @property
    def batch_first(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def bidirectional(self) -> bool: ...
    @property
    def training(self) -> bool: ...


def check_layers(layer: Layers) -> None:
    """Raises ConfigError where the fields have no meaning."""
    name = type(layer).__name__
    if min(layer.input_size, layer.hidden_size, layer.num_layers) < 1:
        raise ConfigError(
            f"{name} needs input_size, hidden_size and num_layers of at least 1, but got "
            f"{layer.input_size}, {layer.hidden_size} and {layer.num_layers}."
        )
    if not 0 <= layer.dropout <= 1:
        raise ConfigError(f"{name} needs 0 <= dropout <= 1, but got dropout={layer.dropout}.")


def check_cell(layer: OneStep) -> None:
    """Raises ConfigError where the fields have no meaning."""
    if min(layer.input_size, layer.hidden_size) < 0:
        raise ConfigError(
            f"{type(layer).__name__} needs input_size >= 0 and hidden_size >= 0, but got "
            f"{layer.input_size} and {layer.hidden_size}."
        )


def init_layers(layer: Layers, cell: Cell, rng: np.random.Generator) -> dict[str, Array]:
    """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
    D = 1 + layer.bidirectional
    drawn: dict[str, Array] = {}
    for k, suffixes in enumerate(_suffixes(layer)):
        inputs = D * _features(layer) if k else layer.input_size
        for suffix in suffixes:
            drawn |= _init(layer, cell, inputs, suffix, rng)
    return drawn


def init_cell(layer: OneStep, cell: Cell, rng: np.random.Generator) -> dict[str, Array]:
    """Every entry ~ U(-k, k) with k = 1 / √hidden_size."""
    return _init(layer, cell, layer.input_size, "", rng)


def run_layers(
    layer: Layers,
    cell: Cell,
    state: State,
    x: Array,
    hx: Nested,
    rng: np.random.Generator | None = None,
) -> Forward:
    """y = (output, h_n, …), and the gradients of x, of hx if given, and of the state.

    hx: the initial states, as a tuple where there are several; None: all are 0
    """
    require_floats(layer, x, state)
    given = _as_tuple(cell, hx)
    one, D, n_layers = x.ndim == 2, 1 + layer.bidirectional, layer.num_layers
    _check_sequence(layer, cell, x, given)
    inwards, outwards = ((1, 2, 0), (2, 0, 1)) if layer.batch_first else ((0, 2, 1), (0, 2, 1))

    def inside(v: Array) -> Array:
        return np.ascontiguousarray(v[..., None] if one else v.transpose(inwards))

    def outside(v: Array) -> Array:
        return np.ascontiguousarray(v[..., 0] if one else v.transpose(outwards))

    def apart(s: Array) -> list[Array]:
        """A state of every layer and direction."""
        return [np.ascontiguousarray(v[:, None] if one else v.T) for v in s]

    def stacked(parts: Sequence[Array]) -> Array:
        return np.stack([v[:, 0] if one else v.T for v in parts])

    z = inside(x)
    T, _, N = z.shape
    if hx is None:
        widths = _widths(layer, cell)
        starts = [tuple(np.zeros((w, N), x.dtype) for w in widths)] * (n_layers * D)
    else:
        starts = [*zip(*map(apart, given), strict=True)]

    runs: list[_Run] = []
    keeps: list[Array | None] = []
    for k, suffixes in enumerate(_suffixes(layer)):
        for d, suffix in enumerate(suffixes):
            runs.append(_run(layer, cell, state, suffix, _turn(z, d), starts[len(runs)]))
        z = np.concatenate([_turn(run.h, d) for d, run in enumerate(runs[-D:])], axis=1)
        keeps.append(None)
        if layer.training and layer.dropout > 0 and k < n_layers - 1:
            keep = keep_factors(layer, (T, N, z.shape[1]), layer.dropout, rng).astype(x.dtype)
            keeps[k] = keep.swapaxes(1, 2)
            z = z * keeps[k]
    last = (stacked(parts) for parts in zip(*[run.last for run in runs], strict=True))

    def vjp(dy: tuple[Array, ...]) -> Grads:
        dz, dlast = inside(dy[0]), [*zip(*map(apart, dy[1:]), strict=True)]
        dstarts = [*dlast]
        params: dict[str, Array] = {}
        for k in reversed(range(n_layers)):
            if (keep := keeps[k]) is not None:
                dz = dz * keep
            parts, dz = np.split(dz, D, axis=1), np.zeros((), dz.dtype)
            for d, part in enumerate(parts):
                i = k * D + d
                dx, dstarts[i], grads = runs[i].vjp(_turn(part, d), dlast[i])
                dz = dz + _turn(dx, d)
                params |= grads
        dhx = tuple(stacked(parts) for parts in zip(*dstarts, strict=True))
        return Grads((outside(dz),) if hx is None else (outside(dz), _like(hx, dhx)), params)

    return Forward((outside(z), *last), vjp)


def run_cell(layer: OneStep, cell: Cell, state: State, x: Array, hx: Nested) -> Forward:
    """The next states, a tuple where there are several, and the gradients as of run_layers."""
    require_floats(layer, x, state)
    given = _as_tuple(cell, hx)
    one = x.ndim == 1
    _check_step(layer, cell, x, given)

    def inside(v: Array) -> Array:
        return np.ascontiguousarray(v[:, None] if one else v.T)

    def outside(v: Array) -> Array:
        return np.ascontiguousarray(v[:, 0] if one else v.T)

    z = inside(x)
    start = tuple(map(inside, given)) or tuple(
        np.zeros((width, z.shape[1]), x.dtype) for width in _widths(layer, cell)
    )
    run = _run(layer, cell, state, "", z[None], start)
    several = len(cell.states) > 1
    y = tuple(map(outside, run.last))

    def vjp(dy: Any) -> Grads:
        dlast = tuple(map(inside, dy if several else (dy,)))
        dx, dstart, params = run.vjp(np.zeros((1, 1, 1), x.dtype), dlast)
        dhx = _like(hx, tuple(map(outside, dstart)))
        return Grads((outside(dx[0]),) if hx is None else (outside(dx[0]), dhx), params)

    return Forward(y if several else y[0], vjp)


def squash(z: Array, *sigmoids: slice) -> None:
    """z ← tanh(z), and σ(z) = (1 + tanh(z / 2)) / 2 in these rows: one tanh does for all."""
    for rows in sigmoids:
        z[rows] *= 0.5
    np.tanh(z, out=z)
    for rows in sigmoids:
        z[rows] += 1
        z[rows] *= 0.5


class _Run(NamedTuple):
    """One direction of one layer. h: (T, features, N), every hidden state; last: all, at the end.

    vjp: dL/dh and dL/dlast -> dL/dx, dL/d(initial states), dL/d(entries of the state)
    """

    h: Array
    last: States
    vjp: Callable[[Array, States], tuple[Array, States, dict[str, Array]]]


def _run(layer: OneStep, cell: Cell, state: State, suffix: str, x: Array, start: States) -> _Run:
    T, I, N = x.shape
    W = {}
    for name, shape in _shapes(layer, cell, I).items():
        W[name] = state[name + suffix]
        if W[name].shape != shape:
            raise ShapeError(
                f"{layer} needs {name + suffix} of shape {shape}, but got {W[name].shape}."
            )
    W_ih, W_hh, W_hr = W["weight_ih"], W["weight_hh"], W.get("weight_hr")

    a = W_ih @ x
    if layer.bias:
        # a bias repeated is added in one run, where N is too small for one that is broadcast
        b_ih, b_hh = (W[name][:, None].repeat(N, axis=1) for name in ("bias_ih", "bias_hh"))
        a += b_ih
    h = np.empty((T + 1, len(start[0]), N), x.dtype)
    h[0], *rest = start
    backs, unprojected = [], []
    for t in range(T):
        b = W_hh @ h[t]
        if layer.bias:
            b += b_hh
        (m, *rest), back = cell.step(a[t], b, h[t], *rest)
        h[t + 1] = m if W_hr is None else W_hr @ m
        backs.append(back)
        unprojected.append(m)

    def vjp(dout: Array, dlast: States) -> tuple[Array, States, dict[str, Array]]:
        dh, *drest = dlast
        das, dbs, dhs = [a] * T, [a] * T, [dh] * T
        for t in reversed(range(T)):
            dhs[t] = dh = dh + dout[t]
            dm = dh if W_hr is None else W_hr.T @ dh
            das[t], dbs[t], (dh, *drest) = backs[t](dm, *drest)
            dh = W_hh.T @ dbs[t] + dh

        da = _columns(das)
        db = da if dbs[0] is das[0] else _columns(dbs)
        params = {"weight_ih": da @ _columns(x).T, "weight_hh": db @ _columns(h[:-1]).T}
        if layer.bias:
            params |= {"bias_ih": da.sum(1), "bias_hh": db.sum(1)}
        if W_hr is not None:
            params["weight_hr"] = _columns(dhs) @ _columns(unprojected).T
        dx = (W_ih.T @ da).reshape(I, T, N).swapaxes(0, 1)
        return dx, (dh, *drest), {name + suffix: grad for name, grad in params.items()}

    return _Run(h[1:], (h[-1], *rest), vjp)


def _columns(v: Array | Sequence[Array]) -> Array:
    """(T, features, N) -> (features, T · N), so that a product sums over steps and batch."""
    return np.concatenate([*v], axis=1)


def _turn(v: Array, direction: int) -> Array:
    """The backward direction sees time run backwards."""
    return v[::-1] if direction else v


def _features(layer: OneStep) -> int:
    """The size of h."""
    return getattr(layer, "proj_size", 0) or layer.hidden_size


def _widths(layer: OneStep, cell: Cell) -> tuple[int, ...]:
    """The size of every state."""
    return (_features(layer), *[layer.hidden_size] * (len(cell.states) - 1))


def _suffixes(layer: Layers) -> list[list[str]]:
    """What the entries of each layer, and of each direction in it, end in."""
    directions = ("", "_reverse")[: 1 + layer.bidirectional]
    return [[f"_l{k}{d}" for d in directions] for k in range(layer.num_layers)]


def _shapes(layer: OneStep, cell: Cell, inputs: int) -> dict[str, tuple[int, ...]]:
    H, P = layer.hidden_size, _features(layer)
    rows = cell.gates * H
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, P)}
    if layer.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if P < H:
        shapes["weight_hr"] = (P, H)
    return shapes


def _init(
    layer: OneStep, cell: Cell, inputs: int, suffix: str, rng: np.random.Generator
) -> dict[str, Array]:
    k = 1 / math.sqrt(layer.hidden_size) if layer.hidden_size else 0.0
    return {
        name + suffix: rng.uniform(-k, k, shape).astype(np.float32)
        for name, shape in _shapes(layer, cell, inputs).items()
    }


def _as_tuple(cell: Cell, hx: Nested) -> tuple[Array, ...]:
    return () if hx is None else tuple(hx) if len(cell.states) > 1 else (hx,)


def _like(hx: Nested, dhx: tuple[Array, ...]) -> Nested:
    return dhx if isinstance(hx, tuple | list) else dhx[0]


def _check_sequence(layer: Layers, cell: Cell, x: Array, given: States) -> None:
    if x.ndim not in (2, 3) or x.shape[-1] != layer.input_size:
        raise ShapeError(
            f"{layer} needs x of shape (T, N, {layer.input_size}), with N first if batch_first, "
            f"or (T, {layer.input_size}), but got {x.shape}."
        )
    time = 1 if x.ndim == 3 and layer.batch_first else 0
    if x.shape[time] == 0:
        raise ShapeError(f"{layer} needs one step or more in time, but got {x.shape}.")
    N = () if x.ndim == 2 else (x.shape[1 - time],)
    stacked = (layer.num_layers * (1 + layer.bidirectional), *N)
    _check_states(layer, cell, x, given, stacked)


def _check_step(layer: OneStep, cell: Cell, x: Array, given: States) -> None:
    if x.ndim not in (1, 2) or x.shape[-1] != layer.input_size:
        raise ShapeError(
            f"{layer} needs x of shape (N, {layer.input_size}) or ({layer.input_size},), but got "
            f"{x.shape}."
        )
    _check_states(layer, cell, x, given, x.shape[:-1])


def _check_states(
    layer: OneStep, cell: Cell, x: Array, given: States, leading: tuple[int, ...]
) -> None:
    if given and len(given) != len(cell.states):
        raise ShapeError(
            f"{layer} needs the initial states ({', '.join(cell.states)}), but got {len(given)}."
        )
    for name, s, width in zip(cell.states, given, _widths(layer, cell), strict=False):
        if s.shape != (*leading, width):
            raise ShapeError(
                f"{layer} needs {name} of shape {(*leading, width)} with x of shape {x.shape}, but "
                f"got {s.shape}."
            )
