"""The adaptive softmax by the whole table of log-probabilities."""

import itertools
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _log_softmax(z: Array) -> Array:
    m = z.max(1, keepdims=True)
    e = np.exp(z - m)
    return z - m - np.log(e.sum(1, keepdims=True))


@dataclass(frozen=True)
class AdaptiveLogSoftmaxWithLoss(nn.AdaptiveLogSoftmaxWithLoss):
    def __call__(self, state: State, x: Array, target: Array) -> Forward:
        rows, labels = x.reshape(-1, self.in_features), target.reshape(-1)
        edges = (*self.cutoffs, self.n_classes)
        short = self.cutoffs[0]
        z = rows @ state["head.weight"].T
        if self.head_bias:
            z = z + state["head.bias"]
        head = _log_softmax(z)
        cluster = np.searchsorted(edges, labels, side="right")
        at = np.where(cluster == 0, labels, short + cluster - 1)
        output = np.take_along_axis(head, at[:, None], 1)[:, 0]
        hidden, tails = [], []
        for i, (first, end) in enumerate(itertools.pairwise(edges)):
            hidden.append(rows @ state[f"tail.{i}.0.weight"].T)
            tails.append(_log_softmax(hidden[i] @ state[f"tail.{i}.1.weight"].T))
            local = np.clip(labels - first, 0, end - first - 1)
            picked = np.take_along_axis(tails[i], local[:, None], 1)[:, 0]
            output = output + np.where(cluster == i + 1, picked, 0)

        def vjp(dy: tuple[Array, Array]) -> Grads:
            g = dy[0].reshape(-1) - np.asarray(dy[1] / x.dtype.type(max(len(rows), 1)))
            dz = (np.eye(head.shape[1], dtype=x.dtype)[at] - np.exp(head)) * g[:, None]
            params = {"head.weight": dz.T @ rows}
            if self.head_bias:
                params["head.bias"] = dz.sum(0)
            dx = dz @ state["head.weight"]
            for i, (first, end) in enumerate(itertools.pairwise(edges)):
                mine = (cluster == i + 1)[:, None]
                local = np.clip(labels - first, 0, end - first - 1)
                dlogits = np.eye(end - first, dtype=x.dtype)[local] - np.exp(tails[i])
                dlogits = np.where(mine, dlogits * g[:, None], 0)
                dhidden = dlogits @ state[f"tail.{i}.1.weight"]
                params[f"tail.{i}.1.weight"] = dlogits.T @ np.where(mine, hidden[i], 0)
                params[f"tail.{i}.0.weight"] = dhidden.T @ np.where(mine, rows, 0)
                dx = dx + dhidden @ state[f"tail.{i}.0.weight"]
            return Grads((dx.reshape(x.shape), None), params)

        loss = -output.mean() if len(rows) else x.dtype.type(np.nan)
        return Forward((output.reshape(target.shape), np.asarray(loss, x.dtype)), vjp)


ALTERNATIVES = {"AdaptiveLogSoftmaxWithLoss": AdaptiveLogSoftmaxWithLoss}
