"""Embedding as a product with one-hot rows."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class Embedding(nn.Embedding):
    def __call__(self, state: State, x: Array) -> Forward:
        W = state["weight"].copy()
        if self.max_norm is not None:
            for j in set(x.ravel().tolist()):
                norm = float(np.linalg.norm(W[j].astype(np.float64), self.norm_type))
                if norm > self.max_norm:
                    W[j] *= self.max_norm / (norm + 1e-7)
        one_hot = (x.reshape(-1, 1) == np.arange(self.num_embeddings)).astype(W.dtype)

        def vjp(dy: Array) -> Grads:
            if self._freeze:
                return Grads((None,))
            shares = one_hot.copy()
            if self.scale_grad_by_freq:
                shares /= np.maximum(one_hot.sum(0), 1)
            if self.padding_idx is not None:
                shares[:, self.padding_idx] = 0
            return Grads((None,), {"weight": shares.T @ dy.reshape(x.size, self.embedding_dim)})

        y = (one_hot @ W).reshape(*x.shape, self.embedding_dim)
        return Forward(y, vjp, {"weight": W} if self.max_norm is not None else {})


ALTERNATIVES = {"Embedding": Embedding}
