"""LSTM: a recurrent layer with gates, in layers and directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats
from npnet.nn.dropout import keep_factors

States: TypeAlias = tuple[Array, Array]


@dataclass(frozen=True)
class LSTM:
    """c_t = f ⊙ c_{t-1} + i ⊙ g    h_t = o ⊙ tanh(c_t), for each layer and direction.

    (i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    x: (T, N, input_size), (N, T, input_size) if batch_first, (T, input_size) without a batch
    h_0, h_n, c_0, c_n: (num_layers · directions, N, hidden_size), without a batch no N
    output: (T, N, directions · hidden_size), h_t of the last layer, laid out as x is
    weight_ih_l0: (4 · hidden_size, input_size)    weight_hh_l0: (4 · hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0: (4 · hidden_size,)

    y = (output, h_n, c_n). Layer k reads the output of layer k - 1; its entries end in _l{k}, those
    of its backward direction in _l{k}_reverse. That one starts at the end of the sequence, and so
    reaches h_n at t = 0. Without (h_0, c_0), both are 0.

    proj_size > 0: h_t = W_hr (o ⊙ tanh(c_t)), weight_hr_l0: (proj_size, hidden_size), and proj_size
    takes the place of hidden_size in every h, not in c. dropout: in training, the output of each
    layer but the last is multiplied by a mask as in Dropout, which is drawn in the order (T, N,
    features) even if batch_first, with N = 1 without a batch. 0 and 1 draw nothing.

    Raises ShapeError, DtypeError; ConfigError, also where there is no `rng` to draw a mask from.
    Twin: torch.nn.LSTM. Source: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735;
    the projection: Sak, Senior & Beaufays (2014), arXiv:1402.1128.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if min(self.input_size, self.hidden_size, self.num_layers) < 1:
            raise ConfigError(
                "LSTM needs input_size, hidden_size and num_layers of at least 1, but got "
                f"{self.input_size}, {self.hidden_size} and {self.num_layers}."
            )
        if not 0 <= self.proj_size < self.hidden_size:
            raise ConfigError(
                f"LSTM needs 0 <= proj_size < hidden_size, but got proj_size={self.proj_size} and "
                f"hidden_size={self.hidden_size}."
            )
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"LSTM needs 0 <= dropout <= 1, but got dropout={self.dropout}.")

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every entry ~ U(-b, b) with b = 1 / √hidden_size."""
        H, P, bound = self.hidden_size, self._features, 1 / math.sqrt(self.hidden_size)
        state = {}
        for layer, suffixes in enumerate(self._suffixes):
            I = P * len(suffixes) if layer else self.input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * H, I), "weight_hh": (4 * H, P)}
            if self.bias:
                shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)}
            if self.proj_size:
                shapes["weight_hr"] = (P, H)
            for suffix in suffixes:
                for name, shape in shapes.items():
                    entry = rng.uniform(-bound, bound, shape)
                    state[name + suffix] = entry.astype(np.float32)
        return state

    def __call__(
        self,
        state: State,
        x: Array,
        hx: States | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """(output, h_n, c_n), and the gradients of x, of (h_0, c_0) if given, and of the state."""
        require_floats(self, x, state)
        self._check(x, hx)
        one, D, P, H = x.ndim == 2, 1 + self.bidirectional, self._features, self.hidden_size

        def time_first(v: Array) -> Array:
            return v[:, None] if one else v.swapaxes(0, 1) if self.batch_first else v

        def as_given(v: Array) -> Array:
            return v[:, 0] if one else v.swapaxes(0, 1) if self.batch_first else v

        z = time_first(x)
        if hx is None:
            h_0, c_0 = (np.zeros((self.num_layers * D, z.shape[1], n), x.dtype) for n in (P, H))
        else:
            h_0, c_0 = (s[:, None] if one else s for s in hx)

        layers: list[tuple[list[_Run], Array | None]] = []
        for layer, suffixes in enumerate(self._suffixes):
            runs, first = [], layer * D
            for d, suffix in enumerate(suffixes):
                runs.append(_run(self, state, suffix, _turn(z, d), h_0[first + d], c_0[first + d]))
            z, keep = np.concatenate([_turn(run.h[1:], d) for d, run in enumerate(runs)], -1), None
            if self.training and self.dropout > 0 and layer < self.num_layers - 1:
                keep = keep_factors(self, z.shape, self.dropout, rng).astype(x.dtype)
                z = z * keep
            layers.append((runs, keep))
        h_n = np.stack([run.h[-1] for runs, _ in layers for run in runs])
        c_n = np.stack([run.c[-1] for runs, _ in layers for run in runs])

        def vjp(dy: tuple[Array, Array, Array]) -> Grads:
            dz, (dh, dc) = time_first(dy[0]), (s[:, None] if one else s for s in dy[1:])
            dh_0, dc_0 = np.empty_like(dh), np.empty_like(dc)
            params: dict[str, Array] = {}
            for layer, (runs, keep) in reversed([*enumerate(layers)]):
                if keep is not None:
                    dz = dz * keep
                parts, dz = np.split(dz, D, axis=-1), np.zeros((), dz.dtype)
                for d, (run, part) in enumerate(zip(runs, parts, strict=True)):
                    k = layer * D + d
                    dx, dh_0[k], dc_0[k], grads = run.vjp(_turn(part, d), dh[k], dc[k])
                    dz = dz + _turn(dx, d)
                    params |= grads
            dhx = (dh_0[:, 0], dc_0[:, 0]) if one else (dh_0, dc_0)
            return Grads((as_given(dz),) if hx is None else (as_given(dz), dhx), params)

        y = (as_given(z), h_n[:, 0], c_n[:, 0]) if one else (as_given(z), h_n, c_n)
        return Forward(y, vjp)

    @property
    def _features(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _suffixes(self) -> list[list[str]]:
        """What the entries of each layer, and of each direction in it, end in."""
        directions = ("", "_reverse")[: 1 + self.bidirectional]
        return [[f"_l{layer}{d}" for d in directions] for layer in range(self.num_layers)]

    def _check(self, x: Array, hx: States | None) -> None:
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self} needs x of shape (T, N, {self.input_size}), with N first if batch_first, "
                f"or (T, {self.input_size}), but got {x.shape}."
            )
        N = () if x.ndim == 2 else (x.shape[0 if self.batch_first else 1],)
        if x.shape[1 if x.ndim == 3 and self.batch_first else 0] == 0:
            raise ShapeError(f"{self} needs one step or more in time, but got {x.shape}.")
        for name, given, width in zip(
            ("h_0", "c_0"), hx or (), (self._features, self.hidden_size), strict=False
        ):
            needed = (self.num_layers * (1 + self.bidirectional), *N, width)
            if given.shape != needed:
                raise ShapeError(
                    f"{self} needs {name} of shape {needed} with x of shape {x.shape}, but got "
                    f"{given.shape}."
                )


class _Run(NamedTuple):
    """One direction of one layer. h: (T + 1, N, P) and c: (T + 1, N, H), from h_0 and c_0 on."""

    h: Array
    c: Array
    vjp: Callable[[Array, Array, Array], tuple[Array, Array, Array, dict[str, Array]]]


def _turn(v: Array, direction: int) -> Array:
    """The backward direction sees time run backwards."""
    return v[::-1] if direction else v


def _run(layer: LSTM, state: State, suffix: str, x: Array, h_0: Array, c_0: Array) -> _Run:
    W_ih, W_hh = state["weight_ih" + suffix], state["weight_hh" + suffix]
    W_hr = state["weight_hr" + suffix] if layer.proj_size else None
    (T, N, _), (_, P), H = x.shape, h_0.shape, layer.hidden_size

    gates = x @ W_ih.T
    if layer.bias:
        gates += state["bias_ih" + suffix] + state["bias_hh" + suffix]
    gates = gates.reshape(T, N, 4, H)
    # σ(z) = tanh(z / 2) / 2 + 1 / 2, so that one tanh does for all four
    scale = np.array([0.5, 0.5, 1, 0.5], x.dtype)[:, None]
    h, c = np.empty((T + 1, N, P), x.dtype), np.empty((T + 1, N, H), x.dtype)
    h[0], c[0] = h_0, c_0
    m, tanh_c = np.empty((T, N, H), x.dtype), np.empty((T, N, H), x.dtype)
    for t in range(T):
        z = gates[t] + (h[t] @ W_hh.T).reshape(N, 4, H)
        gates[t] = np.tanh(z * scale) * scale + (1 - scale)
        i, f, g, o = gates[t].swapaxes(0, 1)
        c[t + 1] = f * c[t] + i * g
        tanh_c[t] = np.tanh(c[t + 1])
        m[t] = o * tanh_c[t]
        h[t + 1] = m[t] if W_hr is None else m[t] @ W_hr.T

    def vjp(dout: Array, dh: Array, dc: Array) -> tuple[Array, Array, Array, dict[str, Array]]:
        slope = gates * (1 - gates)
        slope[:, :, 2] = 1 - gates[:, :, 2] ** 2
        dz, dhs = np.empty_like(gates), np.empty((T, N, P), gates.dtype)
        for t in reversed(range(T)):
            i, f, g, o = gates[t].swapaxes(0, 1)
            dh = dhs[t] = dh + dout[t]
            dm = dh if W_hr is None else dh @ W_hr
            dc = dc + dm * o * (1 - tanh_c[t] ** 2)
            dz[t] = np.stack([dc * g, dc * c[t], dc * i, dm * tanh_c[t]], axis=1) * slope[t]
            dh, dc = dz[t].reshape(N, 4 * H) @ W_hh, dc * f

        dz = dz.reshape(T, N, 4 * H)
        params = {
            "weight_ih" + suffix: np.tensordot(dz, x, ((0, 1), (0, 1))),
            "weight_hh" + suffix: np.tensordot(dz, h[:-1], ((0, 1), (0, 1))),
        }
        if layer.bias:
            params["bias_ih" + suffix] = dz.sum((0, 1))
            params["bias_hh" + suffix] = dz.sum((0, 1))
        if W_hr is not None:
            params["weight_hr" + suffix] = np.tensordot(dhs, m, ((0, 1), (0, 1)))
        return dz @ W_ih, dh, dc, params

    return _Run(h, c, vjp)
