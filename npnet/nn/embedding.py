"""Embedding: a table of vectors, looked up by index.

The backward pass is four to five times as slow as torch's: it adds rows to rows that repeat, and
all that NumPy has for this is a sort and sums of what is equal (np.add.at is slower by far).
"""

from dataclasses import dataclass, field
from typing import Protocol

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
    x has no gradient.

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
        check_table(self)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight ~ N(0, 1), its padding row 0; or a copy of _weight."""
        return draw_table(self, rng)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, the gradient of weight, and with max_norm the next weight."""
        W = state["weight"]
        require_rows(self, W, x)
        updates = {}
        if self.max_norm is not None:
            W = shortened(W, np.unique(x), self.max_norm, self.norm_type)
            updates["weight"] = W

        def vjp(dy: Array) -> Grads:
            if self._freeze:
                return Grads((None,))
            dW = summed_by_row(
                W.shape, x, dy.reshape(x.size, self.embedding_dim), self.scale_grad_by_freq
            )
            if self.padding_idx is not None:
                dW[self.padding_idx] = 0
            return Grads((None,), {"weight": dW})

        return Forward(W[x], vjp, updates)


class Table(Protocol):
    """What an Embedding and an EmbeddingBag have in common."""

    @property
    def num_embeddings(self) -> int:
        """How many rows there are."""

    @property
    def embedding_dim(self) -> int:
        """How long a row is."""

    @property
    def padding_idx(self) -> int | None:
        """The row that does not learn."""

    @property
    def _weight(self) -> Array | None: ...


def check_table(layer: Table) -> None:
    """Raise ConfigError unless sizes, padding_idx and _weight go together."""
    name, rows = type(layer).__name__, layer.num_embeddings
    if min(rows, layer.embedding_dim) < 0:
        raise ConfigError(f"{name} needs sizes that are not negative, but got {layer}.")
    if layer.padding_idx is not None and not -rows <= layer.padding_idx < rows:
        raise ConfigError(
            f"{name} needs padding_idx to be one of its {rows} rows, but got {layer.padding_idx}."
        )
    if layer._weight is not None and layer._weight.shape != (rows, layer.embedding_dim):
        raise ConfigError(
            f"{name} needs _weight of shape {(rows, layer.embedding_dim)}, but got "
            f"{layer._weight.shape}."
        )


def draw_table(layer: Table, rng: np.random.Generator) -> dict[str, Array]:
    """weight ~ N(0, 1), its padding row 0; or a copy of _weight."""
    if layer._weight is not None:
        return {"weight": layer._weight.copy()}
    weight = rng.standard_normal((layer.num_embeddings, layer.embedding_dim), np.float32)
    if layer.padding_idx is not None:
        weight[layer.padding_idx] = 0
    return {"weight": weight}


def require_rows(layer: Table, W: Array, x: Array) -> None:
    """x holds indices of rows of W, and W is the table of the layer."""
    if x.dtype not in (np.int32, np.int64):
        raise DtypeError(
            f"{layer} needs indices of dtype int64 or int32, but got {x.dtype}. "
            "You might need x.astype(np.int64)."
        )
    if W.shape != (layer.num_embeddings, layer.embedding_dim):
        raise ShapeError(
            f"{layer} needs weight of shape {(layer.num_embeddings, layer.embedding_dim)}, "
            f"but got {W.shape}."
        )
    if x.size and not 0 <= x.min() <= x.max() < layer.num_embeddings:
        raise IndexRangeError(
            f"{layer} needs indices from 0 to {layer.num_embeddings - 1}, but got indices from "
            f"{x.min()} to {x.max()}."
        )


def shortened(W: Array, rows: Array, max_norm: float, norm_type: float) -> Array:
    """W, with no row of those named longer than max_norm."""
    norm = np.linalg.norm(W[rows], norm_type, axis=1)
    long = norm > max_norm
    W = W.copy()
    W[rows[long]] *= (max_norm / (norm[long] + 1e-7))[:, None]
    return W


def summed_by_row(shape: tuple[int, ...], x: Array, d: Array, by_frequency: bool) -> Array:
    """A table of zeros with each d[i] added to row x[i], or their mean."""
    places = np.argsort(x, axis=None, kind="stable")  # equal indices, side by side
    rows, first, count = np.unique(x.reshape(-1)[places], return_index=True, return_counts=True)
    sums = np.add.reduceat(d[places], first, axis=0)
    if by_frequency:
        sums /= count.astype(sums.dtype)[:, None]
    table = np.zeros(shape, d.dtype)
    table[rows] = sums
    return table
