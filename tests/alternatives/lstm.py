"""LSTM one step at a time: [W_ih W_hh] [x; h], sigmoids from exp, and gradients that add up."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State

Step = Callable[[Array, Array], tuple[Array, Array, Array]]


def _sigmoid(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, np.ones_like(z), e) / (1 + e)


@dataclass(frozen=True)
class LSTM(nn.LSTM):
    def _step(
        self, state: State, params: dict[str, Array], end: str, x: Array, h: Array, c: Array
    ) -> tuple[Array, Array, Step]:
        """One step of a cell; its backward pass adds to params."""
        W = np.concatenate([state["weight_ih" + end], state["weight_hh" + end]], axis=1)
        read = np.concatenate([x, h], axis=1)
        z = read @ W.T
        if self.bias:
            z = z + state["bias_ih" + end] + state["bias_hh" + end]
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        c_next = f * c + i * g
        squashed = np.tanh(c_next)
        m = o * squashed
        h_next = m @ state["weight_hr" + end].T if self.proj_size else m

        def back(dh: Array, dc: Array) -> tuple[Array, Array, Array]:
            dm = dh
            if self.proj_size:
                params["weight_hr" + end] += dh.T @ m
                dm = dh @ state["weight_hr" + end]
            dc = dc + dm * o * (1 - squashed**2)
            dz_i, dz_f = dc * g * i * (1 - i), dc * c * f * (1 - f)
            dz_g, dz_o = dc * i * (1 - g**2), dm * squashed * o * (1 - o)
            dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)
            dW = dz.T @ read
            params["weight_ih" + end] += dW[:, : x.shape[1]]
            params["weight_hh" + end] += dW[:, x.shape[1] :]
            for name in ("bias_ih", "bias_hh")[: 2 * self.bias]:
                params[name + end] += dz.sum(0)
            dread = dz @ W
            return dread[:, : x.shape[1]], dread[:, x.shape[1] :], dc * f

        return h_next, c_next, back

    def __call__(
        self,
        state: State,
        x: Array,
        hx: tuple[Array, Array] | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        one, ends = x.ndim == 2, ("", "_reverse")[: 1 + self.bidirectional]
        steps = x[:, None] if one else x.swapaxes(0, 1) if self.batch_first else x
        T, N, _ = steps.shape
        if hx is None:
            shapes = [(N, self.proj_size or self.hidden_size), (N, self.hidden_size)]
            count = self.num_layers * len(ends)
            h_0, c_0 = ([np.zeros(shape, x.dtype)] * count for shape in shapes)
        else:
            h_0, c_0 = ([s[None] if one else s for s in states] for states in hx)

        params: dict[str, Array] = {}
        h_n, c_n, masks, backs = [], [], [], []
        for layer in range(self.num_layers):
            outputs = []
            for d, end in enumerate(ends):
                h, c, output = (
                    h_0[len(backs)],
                    c_0[len(backs)],
                    np.empty((T, N, h_0[0].shape[1]), x.dtype),
                )
                order, taken = [*range(T)][:: -1 if d else 1], []
                for t in order:
                    h, c, back = self._step(state, params, f"_l{layer}{end}", steps[t], h, c)
                    output[t] = h
                    taken.append((t, back))
                backs.append(taken)
                outputs.append(output)
                h_n.append(h)
                c_n.append(c)
            steps = np.concatenate(outputs, axis=2)
            masks.append(np.ones_like(steps))
            if self.training and layer < self.num_layers - 1 and 0 < self.dropout < 1:
                assert rng is not None
                kept = rng.random(steps.shape) >= self.dropout
                masks[-1] = kept.astype(x.dtype) / (1 - self.dropout)
            elif self.training and layer < self.num_layers - 1 and self.dropout == 1:
                masks[-1] = np.zeros_like(steps)
            steps = steps * masks[-1]

        def vjp(dy: tuple[Array, Array, Array]) -> Grads:
            params.update({name: np.zeros_like(entry) for name, entry in state.items()})
            dsteps = dy[0][:, None] if one else dy[0].swapaxes(0, 1) if self.batch_first else dy[0]
            dh_n, dc_n = ([s[None] if one else s for s in states] for states in dy[1:])
            dh_0, dc_0 = [*h_0], [*c_0]
            for layer in reversed(range(self.num_layers)):
                parts = np.split(dsteps * masks[layer], len(ends), axis=2)
                width = state[f"weight_ih_l{layer}"].shape[1]
                dsteps = np.zeros((T, N, width), dy[0].dtype)
                for d, part in enumerate(parts):
                    k = layer * len(ends) + d
                    dh, dc = dh_n[k], dc_n[k]
                    for t, back in reversed(backs[k]):
                        dx, dh, dc = back(dh + part[t], dc)
                        dsteps[t] += dx
                    dh_0[k], dc_0[k] = dh, dc
            dx = dsteps[:, 0] if one else dsteps.swapaxes(0, 1) if self.batch_first else dsteps
            dhx = tuple(np.stack([s[0] if one else s for s in states]) for states in (dh_0, dc_0))
            return Grads((dx,) if hx is None else (dx, dhx), dict(params))

        output = steps[:, 0] if one else steps.swapaxes(0, 1) if self.batch_first else steps
        last = (np.stack([s[0] if one else s for s in states]) for states in (h_n, c_n))
        return Forward((output, *last), vjp)


ALTERNATIVES = {"LSTM": LSTM}
