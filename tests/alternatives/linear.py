"""Linear with the bias as one more column, Bilinear as one sum of products of three.

No np.einsum over the batch: with a batch of 0 it may read beyond an operand of strides 0, such as
np.concatenate returns (NumPy 2.4.6).
"""

import math
from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


@dataclass(frozen=True)
class Linear(nn.Linear):
    def __call__(self, state: State, x: Array) -> Forward:
        W, n, shape = state["weight"], self.in_features, x.shape
        rows = x.reshape(math.prod(shape[:-1]), n)
        if self.bias:  # y = [x 1] [W b]ᵀ
            rows = np.concatenate([rows, np.ones((len(rows), 1), x.dtype)], 1)
            W = np.concatenate([W, state["bias"][:, None]], 1)

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(len(rows), self.out_features)
            dx = np.einsum("no,oi->ni", dy, W)
            dW = np.zeros((self.out_features, rows.shape[1]), x.dtype)
            for row, g in zip(rows, dy, strict=True):
                dW += np.outer(g, row)
            params = {"weight": dW[:, :n].copy()}
            if self.bias:
                params["bias"] = dW[:, n].copy()
            return Grads((dx[:, :n].reshape(shape),), params)

        return Forward(np.einsum("ni,oi->no", rows, W).reshape(*shape[:-1], len(W)), vjp)


@dataclass(frozen=True)
class Bilinear(nn.Bilinear):
    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        W, batch = state["weight"], x1.shape[:-1]
        n = math.prod(batch)
        a, b = x1.reshape(n, self.in1_features), x2.reshape(n, self.in2_features)
        y = np.einsum("ni,oij,nj->no", a, W, b)
        if self.bias:
            y = y + state["bias"]

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(n, self.out_features)
            dW = np.zeros(W.shape, W.dtype)
            for row1, row2, g in zip(a, b, dy, strict=True):
                dW += g[:, None, None] * np.outer(row1, row2)
            params = {"weight": dW}
            if self.bias:
                params["bias"] = np.ones(n, dy.dtype) @ dy
            dx1 = np.einsum("no,oij,nj->ni", dy, W, b).reshape(x1.shape)
            dx2 = np.einsum("no,oij,ni->nj", dy, W, a).reshape(x2.shape)
            return Grads((dx1, dx2), params)

        return Forward(y.reshape(*batch, self.out_features), vjp)


ALTERNATIVES = {"Linear": Linear, "Bilinear": Bilinear}
