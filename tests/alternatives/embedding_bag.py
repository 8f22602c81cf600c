"""EmbeddingBag as a product with a matrix of bags and rows, and bag by bag."""

import itertools
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class EmbeddingBag(nn.EmbeddingBag):
    def __call__(
        self,
        state: State,
        x: Array,
        offsets: Array | None = None,
        per_sample_weights: Array | None = None,
    ) -> Forward:
        W = state["weight"].copy()
        if self.max_norm is not None:
            for j in set(x.ravel().tolist()):
                norm = float(np.linalg.norm(W[j].astype(np.float64), self.norm_type))
                if norm > self.max_norm:
                    W[j] *= self.max_norm / (norm + 1e-7)
        updates = {"weight": W} if self.max_norm is not None else {}
        padding = None if self.padding_idx is None else self.padding_idx % len(W)
        starts = offsets if offsets is not None else np.arange(len(x)) * x.shape[1]
        edges = starts.tolist() + ([] if self.include_last_offset and x.ndim == 1 else [x.size])
        index = x.reshape(-1)
        w = None if per_sample_weights is None else per_sample_weights.reshape(-1)
        bags = [
            [i for i in range(a, b) if index[i] != padding] for a, b in itertools.pairwise(edges)
        ]
        share = np.zeros((len(bags), x.size), W.dtype)  # of each index in each bag
        for b, members in enumerate(bags):
            for i in members:
                share[b, i] = 1 if w is None else w[i]
                if self.mode == "mean":
                    share[b, i] /= len(members)
        if self.mode == "max":
            y = np.zeros((len(bags), W.shape[1]), W.dtype)
            for b, members in enumerate(bags):
                if members:
                    y[b] = W[index[members]].max(0)
        else:
            y = share @ W[index]

        def vjp(dy: Array) -> Grads:
            dW = np.zeros_like(W)
            if self.mode == "max":
                for b, members in enumerate(bags):
                    if members:
                        best = index[members][W[index[members]].argmax(0)]
                        for column, j in enumerate(best):
                            dW[j, column] += dy[b, column]
            else:
                d = share.T @ dy
                for i, j in enumerate(index):
                    dW[j] += d[i]
                if self.scale_grad_by_freq:
                    dW /= np.maximum(np.bincount(index, minlength=len(W)), 1)[:, None].astype(
                        W.dtype
                    )
            if w is None:
                return Grads((None,) if offsets is None else (None, None), {"weight": dW})
            dw = np.zeros_like(w)
            for b, members in enumerate(bags):
                dw[members] = W[index[members]] @ dy[b]
            return Grads((None, None, dw.reshape(x.shape)), {"weight": dW})

        return Forward(y, vjp, updates)


ALTERNATIVES = {"EmbeddingBag": EmbeddingBag}
