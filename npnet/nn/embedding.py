"""Embedding: a table of vectors, looked up by index."""

from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Embedding:
    """y = weight[x], a row for each index.

    x: any shape, int32 or int64    y: (*x.shape, embedding_dim)
    weight: (num_embeddings, embedding_dim)

    dweight[j] = Σ of dy over the places where x = j; scale_grad_by_freq divides it by their number.

    padding_idx (negative: counted from the end) is looked up like any other row, but its gradient
    is 0, and init sets it to 0. max_norm: before the lookup, each row in use whose norm_type-norm
    is larger is multiplied by max_norm / (norm + 1e-7), for good: the weight is then an update.
    sparse is accepted, the gradient is dense. _weight: what init returns. _freeze: weight has no
    gradient.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for indices outside of the rows.
    Twin: torch.nn.Embedding.
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False
    _weight: Array | None = field(default=None, repr=False, compare=False)
    _freeze: bool = False

    def __post_init__(self) -> None:
        if min(self.num_embeddings, self.embedding_dim) < 0:
            raise ConfigError(f"Embedding needs sizes that are not negative, but got {self}.")
        rows = self.num_embeddings
        if self.padding_idx is not None and not -rows <= self.padding_idx < rows:
            raise ConfigError(
                f"Embedding needs padding_idx to be one of its {rows} rows, but got "
                f"{self.padding_idx}."
            )
        if self._weight is not None and self._weight.shape != (rows, self.embedding_dim):
            raise ConfigError(
                f"Embedding needs _weight of shape {(rows, self.embedding_dim)}, but got "
                f"{self._weight.shape}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight ~ N(0, 1), its padding row 0; or a copy of _weight."""
        if self._weight is not None:
            return {"weight": self._weight.copy()}
        shape = (self.num_embeddings, self.embedding_dim)
        weight = rng.standard_normal(shape, np.float32)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        return {"weight": weight}

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradient of weight, and with max_norm the next weight."""
        W = state["weight"]
        self._check(W, x)
        updates = {}
        if self.max_norm is not None:
            W = self._renormalised(W, np.unique(x))
            updates["weight"] = W

        def vjp(dy: Array) -> Grads:
            if self._freeze:
                return Grads((None,))
            places = np.argsort(x, axis=None, kind="stable")  # equal indices, side by side
            rows, first, count = np.unique(
                x.reshape(-1)[places], return_index=True, return_counts=True
            )
            sums = np.add.reduceat(dy.reshape(x.size, self.embedding_dim)[places], first, axis=0)
            if self.scale_grad_by_freq:
                sums /= count.astype(sums.dtype)[:, None]
            dW = np.zeros(W.shape, dy.dtype)
            dW[rows] = sums
            if self.padding_idx is not None:
                dW[self.padding_idx] = 0
            return Grads((None,), {"weight": dW})

        return Forward(W[x], vjp, updates)

    def _renormalised(self, W: Array, rows: Array) -> Array:
        """W, with no row of those in use longer than max_norm."""
        norm = np.linalg.norm(W[rows], self.norm_type, axis=1)
        long = norm > self.max_norm
        W = W.copy()
        W[rows[long]] *= (self.max_norm / (norm[long] + 1e-7))[:, None]
        return W

    def _check(self, W: Array, x: Array) -> None:
        if x.dtype not in (np.int32, np.int64):
            raise DtypeError(
                f"{self} needs indices of dtype int64 or int32, but got {x.dtype}. "
                "You might need x.astype(np.int64)."
            )
        if W.shape != (self.num_embeddings, self.embedding_dim):
            raise ShapeError(
                f"{self} needs weight of shape {(self.num_embeddings, self.embedding_dim)}, "
                f"but got {W.shape}."
            )
        if x.size and not 0 <= x.min() <= x.max() < self.num_embeddings:
            raise IndexRangeError(
                f"{self} needs indices from 0 to {self.num_embeddings - 1}, but got indices from "
                f"{x.min()} to {x.max()}."
            )
