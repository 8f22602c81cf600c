"""The adaptive softmax: classes in clusters by frequency, the rare ones with fewer features."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from npnet.contract import (
    Array,
    ConfigError,
    DtypeError,
    Forward,
    Grads,
    IndexRangeError,
    ShapeError,
    State,
)
from npnet.nn._guards import require_floats
from npnet.nn._parts import part
from npnet.nn.linear import Linear
from npnet.nn.sequential import Sequential
from npnet.nn.softmax import log_softmax


@dataclass(frozen=True)
class AdaptiveLogSoftmaxWithLoss:
    """output = log p(target), loss = -mean(output).

    x: (N, in_features), or (in_features,) for one sample    target: (N,) or ()
    output: (N,) or ()    loss: ()
    head.weight W: (cutoffs[0] + clusters, in_features)    head.bias b: (cutoffs[0] + clusters,)
    tail.i.0.weight P: (h, in_features), h = ⌊in_features / div_value^(i + 1)⌋
    tail.i.1.weight Q: (classes of the cluster, h)

    g = doutput - dloss/N    dz = g (1 at the target - softmax(z)), for every softmax below
    head, z = x Wᵀ + b: dx = dz W    dW = dzᵀ x    db = Σ dz
    tail i, z = x Pᵀ Qᵀ: dx = dz Q P    dQ = dzᵀ x Pᵀ    dP = Qᵀ dzᵀ x

    Classes below cutoffs[0] are the shortlist; cluster i holds those from cutoffs[i] to
    cutoffs[i + 1] - 1, the last one those up to n_classes - 1. The head is a softmax over the
    shortlist and the clusters, each tail a softmax over the classes of its cluster:

        log p(c) = head(x)_c                              for c in the shortlist
        log p(c) = head(x)_(cluster i) + tail_i(x)_c      for c in cluster i

    head = log_softmax(x Wᵀ + b), b with head_bias only    tail_i = log_softmax(x Pᵀ Qᵀ)

    The target of the head is the class or the cluster. A tail sees those samples alone whose target
    is in its cluster, adds its dx to theirs, and without any has gradients of 0. y is (output,
    loss); the loss of an empty batch is nan.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for a target that is no class.
    Twin: torch.nn.AdaptiveLogSoftmaxWithLoss. Source: Grave et al. (2016), arXiv:1609.04309.
    """

    in_features: int
    n_classes: int
    cutoffs: tuple[int, ...]
    div_value: float = 4.0
    head_bias: bool = False

    def __post_init__(self) -> None:
        cutoffs = [0, *self.cutoffs, self.n_classes]
        if not self.cutoffs or any(a >= b for a, b in pairwise(cutoffs)):
            raise ConfigError(
                "AdaptiveLogSoftmaxWithLoss needs one cutoff or more, rising from 1 or more to at "
                f"most n_classes - 1 = {self.n_classes - 1}, but got {tuple(self.cutoffs)}."
            )

    @property
    def _clusters(self) -> list[tuple[int, int]]:
        """The first class of every cluster, and the one behind its last."""
        return list(zip(self.cutoffs, (*self.cutoffs[1:], self.n_classes), strict=True))

    @property
    def _head(self) -> Linear:
        return Linear(self.in_features, self.cutoffs[0] + len(self.cutoffs), self.head_bias)

    def _tail(self, i: int) -> Sequential:
        first, end = self._clusters[i]
        features = int(self.in_features // self.div_value ** (i + 1))
        return Sequential(
            Linear(self.in_features, features, False), Linear(features, end - first, False)
        )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Every weight and bias ~ U(-k, k), where k = 1 / √fan_in, as in Linear."""
        state = {f"head.{name}": a for name, a in self._head.init(rng).items()}
        for i in range(len(self.cutoffs)):
            state |= {f"tail.{i}.{name}": a for name, a in self._tail(i).init(rng).items()}
        return state

    def __call__(self, state: State, x: Array, target: Array) -> Forward:
        """(output, loss), and the gradients of x and of every weight."""
        self._check(state, x, target)
        rows, labels = x.reshape(-1, self.in_features), target.reshape(-1)
        heads = labels.copy()  # the class of the head that leads to each label
        output = np.zeros(len(rows), x.dtype)
        tails = []
        for i, (first, end) in enumerate(self._clusters):
            members = np.flatnonzero((labels >= first) & (labels < end))
            heads[members] = self.cutoffs[0] + i
            scores: Any = self._tail(i)(part(state, f"tail.{i}"), rows[members])
            log_p = log_softmax(scores.y, 1)
            at = labels[members] - first
            output[members] = log_p[np.arange(len(members)), at]
            tails.append((f"tail.{i}.", members, scores.vjp, log_p, at))
        head: Any = self._head(part(state, "head"), rows)
        head_log_p = log_softmax(head.y, 1)
        output += head_log_p[np.arange(len(rows)), heads]
        with np.errstate(invalid="ignore"):  # the mean over nothing is nan
            loss = np.asarray(-output.sum() / x.dtype.type(len(rows)))

        def vjp(dy: tuple[Array, Array]) -> Grads:
            doutput, dloss = dy
            g = doutput.reshape(-1) - dloss / max(len(rows), 1)
            (dx,), found = head.vjp(_of_log_softmax(head_log_p, heads, g))
            params = {f"head.{name}": d for name, d in found.items()}
            for prefix, members, backward, log_p, at in tails:
                (dmembers,), found = backward(_of_log_softmax(log_p, at, g[members]))
                dx[members] += dmembers
                params |= {prefix + name: d for name, d in found.items()}
            return Grads((dx.reshape(x.shape), None), params)

        return Forward((output.reshape(target.shape), loss), vjp)

    def log_prob(self, state: State, x: Array) -> Array:
        """log p of every class: (N, n_classes) for x of shape (N, in_features)."""
        require_floats(self, x, state)
        scores: Any = self._head(part(state, "head"), x).y
        head = log_softmax(scores, 1)
        shortlist = self.cutoffs[0]
        parts = [head[:, :shortlist]]
        for i in range(len(self.cutoffs)):
            scores = self._tail(i)(part(state, f"tail.{i}"), x).y
            parts.append(head[:, shortlist + i, None] + log_softmax(scores, 1))
        return np.concatenate(parts, axis=1)

    def predict(self, state: State, x: Array) -> Array:
        """The most probable class of every sample, (N,).

        Where the head prefers its shortlist, tails are not looked at: they cannot win.
        """
        require_floats(self, x, state)
        scores: Any = self._head(part(state, "head"), x).y
        best: Array = scores.argmax(axis=1)
        rare = np.flatnonzero(best >= self.cutoffs[0])
        best[rare] = self.log_prob(state, x[rare]).argmax(axis=1)
        return best

    def _check(self, state: State, x: Array, target: Array) -> None:
        require_floats(self, x, state)
        if target.ndim > 1 or x.shape != (*target.shape, self.in_features):
            raise ShapeError(
                f"{self} needs x of shape (N, {self.in_features}) and target of shape (N,), or "
                f"({self.in_features},) and (), but got {x.shape} and {target.shape}."
            )
        if target.dtype != np.int64:
            raise DtypeError(
                f"{self} needs targets of dtype int64, but got {target.dtype}. "
                "You might need target.astype(np.int64)."
            )
        if target.size and not 0 <= target.min() <= target.max() < self.n_classes:
            raise IndexRangeError(
                f"{self} needs targets from 0 to {self.n_classes - 1}, but got targets from "
                f"{target.min()} to {target.max()}."
            )


def _of_log_softmax(log_p: Array, at: Array, dy: Array) -> Array:
    """The gradient of the scores where dy is that of log_p[i, at[i]]."""
    d: Array = -np.exp(log_p) * dy[:, None]
    d[np.arange(len(d)), at] += dy
    return d
