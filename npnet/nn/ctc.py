"""CTC: the likelihood of a sequence of labels, whatever their alignment with the input."""

from dataclasses import dataclass
from typing import Any, NamedTuple

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

Lengths = tuple[int, ...] | Array


@dataclass(frozen=True)
class CTCLoss:
    """y = -log Σ_π Π_t p_t(π_t), reduced, over all alignments π of the targets with the input.

    log_probs, log p: (T, N, C), or (T, C) for one sequence
    targets: labels, (N, S), of which each row counts up to its length, or all of them one after
        the other, (Σ target_lengths,)
    input_lengths, target_lengths: N integers each, as a tuple or an array
    y: (), or (N,) with "none", () for one sequence

    dlog_probs_t(c) = (p_t(c) - Σ_{s: l'_s = c} γ_t(s)) dy/n, and 0 for t beyond the input's length

    An alignment has one symbol per time step; it becomes the targets when repeated symbols are
    merged first, and blanks removed then. With l' = blank, l_1, blank, … l_S, blank,

        α_t(s) = p_t(l'_s) · (α_{t-1}(s) + α_{t-1}(s-1) + α_{t-1}(s-2) where l'_s ≠ l'_{s-2})

    summed over the last two s at the last t is the likelihood; β is the same from behind. All of it
    happens in logarithms. γ_t(s) = α_t(s) β_t(s) / (p_t(l'_s) · likelihood) is the share of all
    alignments that are at s at time t.

    The gradient is the derivative (-Σ γ) plus p: right once it has gone through the backward pass
    of log_softmax, to which p adds nothing, and not by itself.

    reduction="mean" divides each loss by its target length (at least 1), and then their sum by N: n
    is the product of both, and 1 for "none" and "sum". Targets that do not fit in their input
    (repeated labels need a blank between them) have the loss inf and a gradient of nan, or 0 and 0
    with zero_infinity.

    Raises ConfigError, ShapeError, DtypeError; IndexRangeError for labels and lengths out of range.
    Twin: torch.nn.CTCLoss. Source: Graves et al. (2006), ICML, 369-376.
    """

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in ("none", "mean", "sum"):
            raise ConfigError(
                f"CTCLoss needs reduction='none', 'mean' or 'sum', but got {self.reduction!r}."
            )

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Nothing: there is no state."""
        return {}

    def __call__(
        self,
        state: State,
        log_probs: Array,
        targets: Array,
        input_lengths: Lengths,
        target_lengths: Lengths,
    ) -> Forward:
        """y, and the gradient of log_probs."""
        require_floats(self, log_probs, state)
        if log_probs.ndim not in (2, 3) or 0 in log_probs.shape:
            raise ShapeError(
                f"{self} needs log_probs of shape (T, N, C) or (T, C) that are not empty, but got "
                f"{log_probs.shape}."
            )
        alone = log_probs.ndim == 2
        logp = log_probs[:, None] if alone else log_probs
        paths = self._paths(logp.shape, targets, input_lengths, target_lengths)
        emitted = np.take_along_axis(logp, paths.symbols[None], 2)
        alpha = _alphas(emitted, paths)
        loss = -_likelihoods(alpha, paths)

        impossible = loss == np.inf
        n = np.ones(paths.size, logp.dtype)
        if self.reduction == "mean":
            n *= np.maximum(paths.labels, 1) * paths.size
        losses = np.where(impossible, 0, loss) if self.zero_infinity else loss
        losses = losses / n
        y = losses[0] if alone else losses
        if self.reduction != "none":
            y = losses.sum()

        def vjp(dy: Array) -> Grads:
            scale = np.broadcast_to(dy, paths.size) / n
            state_log = alpha + _betas(emitted, paths) - emitted
            with np.errstate(over="ignore"):
                share = np.exp(state_log + np.where(impossible, 0, loss)[:, None])
                d = np.exp(logp) - _by_symbol(share, paths.symbols, logp.shape)
            d *= scale[:, None]
            d[:, impossible] = 0 if self.zero_infinity else np.nan
            d[np.arange(len(d))[:, None] >= paths.steps] = 0
            return Grads((d.reshape(log_probs.shape), None, None, None))

        return Forward(np.asarray(y), vjp)

    def _paths(
        self, shape: tuple[int, ...], targets: Array, steps: Lengths, labels: Lengths
    ) -> "_Paths":
        """l' of every sequence, and what may follow on what."""
        T, N, C = shape
        if not 0 <= self.blank < C:
            raise IndexRangeError(
                f"{self} needs blank to be one of the {C} classes of log_probs, from 0 to {C - 1}."
            )
        if targets.dtype not in (np.int32, np.int64):
            raise DtypeError(
                f"{self} needs targets of dtype int64 or int32, but got {targets.dtype}. "
                "You might need targets.astype(np.int64)."
            )
        steps_ = self._lengths("input_lengths", steps, N, T)
        longest = targets.shape[1] if targets.ndim == 2 else targets.size
        labels_ = self._lengths("target_lengths", labels, N, longest)
        total = int(labels_.sum())
        in_rows = targets.ndim == 2 and len(targets) == N
        if not in_rows and targets.shape != (total,):
            raise ShapeError(
                f"{self} needs targets of shape ({N}, S), or all {total} labels of these "
                f"target_lengths in one row, ({total},), but got {targets.shape}."
            )
        S = int(labels_.max())
        given = np.arange(S) < labels_[:, None]
        padded = np.full((N, S), self.blank)
        padded[given] = targets[:, :S][given] if in_rows else targets
        bad = given & ((padded < 0) | (padded >= C) | (padded == self.blank))
        if bad.any():
            raise IndexRangeError(
                f"{self} needs labels from 0 to {C - 1} that are not the blank, {self.blank}, but "
                f"got {padded[bad][0]}."
            )
        symbols = np.full((N, 2 * S + 1), self.blank)
        symbols[:, 1::2] = padded
        jumps = np.zeros((N, 2 * S + 1), bool)
        jumps[:, 2:] = symbols[:, 2:] != symbols[:, :-2]
        return _Paths(symbols, jumps, steps_, labels_)

    def _lengths(self, name: str, given: Lengths, count: int, most: int) -> Array:
        lengths = np.atleast_1d(np.asarray(given))
        if not np.issubdtype(lengths.dtype, np.integer) and lengths.size:
            raise DtypeError(f"{self} needs {name} to be integers, but got {lengths.dtype}.")
        if lengths.shape != (count,):
            raise ShapeError(
                f"{self} needs {name} of shape ({count},), one for each sequence, but got "
                f"{lengths.shape}."
            )
        if not 0 <= lengths.min() <= lengths.max() <= most:
            raise IndexRangeError(
                f"{self} needs {name} from 0 to {most}, but got {lengths.tolist()}."
            )
        return lengths


class _Paths(NamedTuple):
    """What the alignments of N sequences go through."""

    symbols: Array  # l', padded with blanks: (N, L)
    jumps: Array  # whether s may follow on s - 2: (N, L)
    steps: Array  # input lengths: (N,)
    labels: Array  # target lengths: (N,)

    @property
    def size(self) -> int:
        """N."""
        return len(self.symbols)

    @property
    def ends(self) -> Array:
        """Where an alignment may end: the last label and the blank behind it, (N, L)."""
        behind = 2 * self.labels[:, None] - np.arange(self.symbols.shape[1])
        ends: Array = (behind == 0) | (behind == 1)
        return ends


def _alphas(emitted: Array, paths: _Paths) -> Array:
    """log α: (T, N, L), from log p_t(l'_s)."""
    T, N, L = emitted.shape
    barred = _barred(paths.jumps, emitted.dtype)
    alpha = np.full((T, N, L + 2), -np.inf, emitted.dtype)  # two more in front, never reached
    alpha[0, :, 2:4] = emitted[0, :, :2]
    for t in range(1, T):
        a = alpha[t - 1]
        alpha[t, :, 2:] = _log_sum(a[:, 2:], a[:, 1:-1], a[:, :-2] + barred) + emitted[t]
    return alpha[:, :, 2:]


def _betas(emitted: Array, paths: _Paths) -> Array:
    """log β: (T, N, L), which is log p_t(l'_s) at the end of an input, and -inf behind it."""
    T, N, L = emitted.shape
    barred = np.full((N, L), -np.inf, emitted.dtype)
    barred[:, :-2] = _barred(paths.jumps, emitted.dtype)[:, 2:]
    ends = _barred(paths.ends, emitted.dtype)
    beta = np.full((T + 1, N, L + 2), -np.inf, emitted.dtype)  # two more behind, never reached
    for t in reversed(range(T)):
        b = beta[t + 1]
        onwards = _log_sum(b[:, :-2], b[:, 1:-1], b[:, 2:] + barred)
        last = (paths.steps == t + 1)[:, None]
        beta[t, :, :-2] = np.where(last, ends, onwards) + emitted[t]
    return beta[:T, :, :-2]


def _likelihoods(alpha: Array, paths: _Paths) -> Array:
    """log Σ_π p(π) of every sequence; without input only an empty target is possible."""
    last = alpha[paths.steps - 1, np.arange(paths.size)]
    total = np.logaddexp.reduce(np.where(paths.ends, last, -np.inf), axis=1)
    nothing = _barred(paths.labels == 0, alpha.dtype)
    likelihoods: Array = np.where(paths.steps == 0, nothing, total)
    return likelihoods


def _barred(allowed: Array, dtype: np.dtype[Any]) -> Array:
    """The logarithm of 1 where allowed, of 0 elsewhere."""
    return np.where(allowed, 0, -np.inf).astype(dtype)


def _log_sum(a: Array, b: Array, c: Array) -> Array:
    """log(eᵃ + eᵇ + eᶜ); -inf where all of them are."""
    largest = np.maximum(np.maximum(a, b), c)
    m = np.where(largest == -np.inf, 0, largest)
    with np.errstate(divide="ignore"):
        total: Array = np.log(np.exp(a - m) + np.exp(b - m) + np.exp(c - m)) + m
    return total


def _by_symbol(share: Array, symbols: Array, shape: tuple[int, ...]) -> Array:
    """Σ over the s of one symbol: (T, N, L) to (T, N, C)."""
    T, N, C = shape
    places = np.arange(T * N).reshape(T, N, 1) * C + symbols
    total = np.bincount(places.ravel(), share.ravel(), T * N * C)
    return total.reshape(shape).astype(share.dtype)
