"""EmbeddingBag: the rows of a table, looked up by index and added up by bag."""

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
from npnet.nn.embedding import check_table, draw_table, require_rows, shortened, summed_by_row


@dataclass(frozen=True)
class EmbeddingBag:
    """y_b = Σ w_i weight[x_i], the mean or the maximum of weight[x_i], over the i in bag b.

    x: (B, n), a bag in each row, int32 or int64
        or (n,), with offsets (B,): where in x each bag begins, the first one at 0
        include_last_offset: offsets is (B + 1,), and ends with n
    per_sample_weights w: the shape of x, with mode="sum" only    y: (B, embedding_dim)
    weight: (num_embeddings, embedding_dim)    mode: "sum", "mean" or "max"

    dweight[j] = Σ of w_i dy_b over the places where x_i = j    dw_i = weight[x_i] · dy_b
    mode="mean": dweight[j] = Σ of dy_b / size of bag b
    mode="max": dy_b goes, column by column, to the largest; to the first in the bag of several

    scale_grad_by_freq divides dweight[j] by the number of its places. x and offsets have no
    gradient.

    An empty bag is 0. padding_idx (negative: counted from the end): places that hold it are left
    out of their bag, which counts as one smaller, and have no gradient. max_norm, norm_type, sparse
    and _weight are as in Embedding.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for indices outside of the rows, and
    for offsets that do not rise from 0 to at most n.
    Twin: torch.nn.EmbeddingBag.
    """

    num_embeddings: int
    embedding_dim: int
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    mode: str = "mean"
    sparse: bool = False
    _weight: Array | None = field(default=None, repr=False, compare=False)
    include_last_offset: bool = False
    padding_idx: int | None = None

    def __post_init__(self) -> None:
        check_table(self)
        if self.mode not in ("sum", "mean", "max"):
            raise ConfigError(
                f"EmbeddingBag needs mode='sum', 'mean' or 'max', but got {self.mode!r}."
            )
        if self.mode == "max" and (self.scale_grad_by_freq or self.sparse):
            raise ConfigError(
                f"EmbeddingBag takes no scale_grad_by_freq and no sparse with mode='max': {self}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight ~ N(0, 1), its padding row 0; or a copy of _weight."""
        return draw_table(self, rng)

    def __call__(
        self,
        state: State,
        x: Array,
        offsets: Array | None = None,
        per_sample_weights: Array | None = None,
    ) -> Forward:
        """y, the gradients of per_sample_weights and weight, and with max_norm the next weight."""
        W = state["weight"]
        require_rows(self, W, x)
        sizes = self._sizes(x, offsets)
        self._check_weights(W, x, per_sample_weights)
        updates = {}
        if self.max_norm is not None:
            W = shortened(W, np.unique(x), self.max_norm, self.norm_type)
            updates["weight"] = W

        counts = np.full(x.size, True)
        if self.padding_idx is not None:
            counts = x.reshape(-1) != self.padding_idx % self.num_embeddings
        bag = np.repeat(np.arange(len(sizes)), sizes)[counts]
        index = x.reshape(-1)[counts]
        sizes = np.bincount(bag, minlength=len(sizes))
        w = np.ones((), W.dtype)
        if per_sample_weights is not None:
            w = per_sample_weights.reshape(-1)[counts, None]
        n = np.maximum(sizes, 1).astype(W.dtype)[:, None]
        rows = W[index]
        if self.mode == "max":
            y = _by_bag(np.maximum, rows, sizes)
        else:
            y = _by_bag(np.add, rows if w.ndim == 0 else rows * w, sizes)
            y = y / n if self.mode == "mean" else y

        def vjp(dy: Array) -> Grads:
            if self.mode == "max":
                dW = _to_first(rows == y[bag], index, sizes, dy, W.shape)
            else:
                share = (dy / n if self.mode == "mean" else dy)[bag]
                dW = summed_by_row(W.shape, index, share * w, self.scale_grad_by_freq)
            if per_sample_weights is None:
                return Grads((None,) if offsets is None else (None, None), {"weight": dW})
            dw = np.zeros(x.size, dy.dtype)
            dw[counts] = (rows * dy[bag]).sum(axis=1)
            return Grads((None, None, dw.reshape(x.shape)), {"weight": dW})

        return Forward(y, vjp, updates)

    def _sizes(self, x: Array, offsets: Array | None) -> Array:
        """How many indices each bag holds."""
        if x.ndim == 2 and offsets is None:
            return np.full(len(x), x.shape[1])
        if x.ndim != 1 or offsets is None or offsets.ndim != 1:
            shape = None if offsets is None else offsets.shape
            raise ShapeError(
                f"{self} needs x of shape (B, n) without offsets, or (n,) with offsets of shape "
                f"(B,), but got x of shape {x.shape} and offsets of shape {shape}."
            )
        if offsets.dtype not in (np.int32, np.int64):
            raise DtypeError(
                f"{self} needs offsets of dtype int64 or int32, but got {offsets.dtype}. "
                "You might need offsets.astype(np.int64)."
            )
        ends = offsets[1:] if self.include_last_offset else np.append(offsets[1:], x.size)
        sizes = ends - offsets[: len(ends)]
        begun = offsets[:1].tolist() == [0] or (not offsets.size and not x.size)
        if not begun or (sizes < 0).any() or sizes.sum() != x.size:
            what = "rise from 0 to the size of x" if self.include_last_offset else "rise from 0"
            raise IndexRangeError(
                f"{self} needs offsets that {what}, for each of the {x.size} indices to be in a "
                f"bag, but got {offsets.tolist()}."
            )
        return sizes

    def _check_weights(self, W: Array, x: Array, weights: Array | None) -> None:
        if weights is None:
            return
        if self.mode != "sum":
            raise ConfigError(f"{self} takes no per_sample_weights: only mode='sum' does.")
        if weights.shape != x.shape:
            raise ShapeError(
                f"{self} needs per_sample_weights of the shape of x, {x.shape}, but got "
                f"{weights.shape}."
            )
        if weights.dtype != W.dtype:
            raise DtypeError(
                f"{self} needs per_sample_weights in the dtype of weight, {W.dtype}, but got "
                f"{weights.dtype}."
            )


def _by_bag(add: np.ufunc, rows: Array, sizes: Array) -> Array:
    """The sum or maximum of the rows of each bag, which lie side by side; 0 of an empty one."""
    full = sizes > 0
    found = np.zeros((len(sizes), rows.shape[1]), rows.dtype)
    found[full] = add.reduceat(rows, (np.cumsum(sizes) - sizes)[full], axis=0)
    return found


def _to_first(
    largest: Array, index: Array, sizes: Array, dy: Array, shape: tuple[int, ...]
) -> Array:
    """A table of zeros with dy added, column by column, to the first of the largest in its bag."""
    places = np.where(largest, np.arange(len(index))[:, None], len(index))
    first = _by_bag(np.minimum, places, sizes)[sizes > 0]
    cells = index[first] * shape[1] + np.arange(shape[1])
    total = np.bincount(cells.ravel(), dy[sizes > 0].ravel(), shape[0] * shape[1])
    return total.reshape(shape).astype(dy.dtype)
