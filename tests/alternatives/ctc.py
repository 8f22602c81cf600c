"""CTC sequence by sequence and symbol by symbol, with logaddexp and a β without the emission."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _one(logp: Array, labels: list[int], blank: int) -> tuple[Any, Array]:
    """The loss of one sequence, (T, C), and Σ γ for every step and class."""
    path = [blank]
    for label in labels:
        path += [label, blank]
    T, L = len(logp), len(path)
    dtype = logp.dtype
    alpha = np.full((T, L), -np.inf, dtype)
    beta = np.full((T, L), -np.inf, dtype)
    if not T:
        return dtype.type(0 if not labels else np.inf), np.zeros_like(logp)
    for s in range(min(2, L)):
        alpha[0, s] = logp[0, path[s]]
        beta[-1, L - 1 - s] = 0
    for t in range(1, T):
        for s in range(L):
            before = [alpha[t - 1, r] for r in range(max(0, s - 1), s + 1)]
            if s > 1 and path[s] != path[s - 2]:
                before.append(alpha[t - 1, s - 2])
            alpha[t, s] = np.logaddexp.reduce(before, dtype=dtype) + logp[t, path[s]]
    for t in reversed(range(T - 1)):
        for s in range(L):
            after = [beta[t + 1, r] + logp[t + 1, path[r]] for r in range(s, min(s + 2, L))]
            if s + 2 < L and path[s] != path[s + 2]:
                after.append(beta[t + 1, s + 2] + logp[t + 1, path[s + 2]])
            beta[t, s] = np.logaddexp.reduce(after, dtype=dtype)
    total = np.logaddexp.reduce(alpha[-1, -2:], dtype=dtype)
    share = np.zeros_like(logp)
    if total > -np.inf:
        for s in range(L):
            share[:, path[s]] += np.exp(alpha[:, s] + beta[:, s] - total)
    return -total, share


@dataclass(frozen=True)
class CTCLoss(nn.CTCLoss):
    def __call__(
        self,
        state: State,
        log_probs: Array,
        targets: Array,
        input_lengths: Any,
        target_lengths: Any,
    ) -> Forward:
        rows = log_probs[:, None] if log_probs.ndim == 2 else log_probs
        steps, sizes = np.atleast_1d(input_lengths), np.atleast_1d(target_lengths)
        found, first = [], 0
        for n, (T, S) in enumerate(zip(steps.tolist(), sizes.tolist(), strict=True)):
            row = targets[n] if targets.ndim == 2 else targets[first:]
            first += S
            found.append(_one(rows[:T, n], row[:S].tolist(), self.blank))
        losses = np.array([loss for loss, _ in found], log_probs.dtype)
        lost = losses == np.inf
        if self.zero_infinity:
            losses = np.where(lost, 0, losses)
        y: Any = losses
        if self.reduction == "mean":
            y = (losses / np.maximum(sizes, 1).astype(losses.dtype)).mean()
        elif self.reduction == "sum":
            y = losses.sum()
        elif log_probs.ndim == 2:
            y = losses[0]

        def vjp(dy: Array) -> Grads:
            g = np.broadcast_to(dy, len(losses)).astype(losses.dtype)
            if self.reduction == "mean":
                g = g / len(losses) / np.maximum(sizes, 1).astype(losses.dtype)
            d = np.zeros_like(rows)
            for n, (_, share) in enumerate(found):
                T = steps[n]
                d[:T, n] = (np.exp(rows[:T, n]) - share) * g[n]
                if lost[n]:
                    d[:T, n] = 0 if self.zero_infinity else np.nan
            return Grads((d.reshape(log_probs.shape), None, None, None))

        return Forward(np.asarray(y, log_probs.dtype), vjp)


ALTERNATIVES = {"CTCLoss": CTCLoss}
