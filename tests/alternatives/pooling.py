"""Pooling one window at a time."""

from dataclasses import dataclass

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _on(axis: int, value: int | tuple[int, int]) -> int:
    return value[axis] if isinstance(value, tuple) else value


def _windows(
    pool: nn.MaxPool2d | nn.AvgPool2d, n: int, axis: int, dilation: int = 1
) -> list[tuple[list[int], int]]:
    """For each window on an axis: what it reads of x, and how long it is with the padding."""
    kernel, padding = _on(axis, pool.kernel_size), _on(axis, pool.padding)
    stride = _on(axis, pool.kernel_size if pool.stride is None else pool.stride)
    span = dilation * (kernel - 1) + 1
    starts = [*range(-padding, n + padding - span + 1, stride)]
    behind = starts[-1] + span if starts else -padding + span - stride
    following = starts[-1] + stride if starts else -padding
    if pool.ceil_mode and behind < n + padding and following < n:
        starts.append(following)
    return [
        (
            [i for i in range(start, start + span, dilation) if 0 <= i < n],
            min(start + span, n + padding) - start,
        )
        for start in starts
    ]


@dataclass(frozen=True)
class MaxPool2d(nn.MaxPool2d):
    def __call__(self, state: State, x: Array) -> Forward:
        rows, columns = (
            [
                reads
                for reads, _ in _windows(self, x.shape[axis - 2], axis, _on(axis, self.dilation))
            ]
            for axis in (0, 1)
        )
        y = np.empty((*x.shape[:-2], len(rows), len(columns)), x.dtype)
        indices = np.empty(y.shape, np.int64)
        for i, j in np.ndindex(*y.shape[-2:]):
            at = np.ravel_multi_index(np.ix_(rows[i], columns[j]), x.shape[-2:]).ravel()
            window = x[..., rows[i], :][..., columns[j]].reshape(*x.shape[:-2], at.size)
            first, last_nan = (
                window.argmax(-1),
                at.size - 1 - np.isnan(window)[..., ::-1].argmax(-1),
            )
            best = np.where(np.isnan(window).any(-1), last_nan, first)
            y[..., i, j] = np.take_along_axis(window, best[..., None], -1)[..., 0]
            indices[..., i, j] = at[best]

        def vjp(dy: Array | tuple[Array, None]) -> Grads:
            g = dy[0] if isinstance(dy, tuple) else dy
            dx = np.zeros_like(x)
            for place in np.ndindex(*y.shape):
                dx[(*place[:-2], *np.unravel_index(indices[place], x.shape[-2:]))] += g[place]
            return Grads((dx,))

        return Forward((y, indices.copy()) if self.return_indices else y, vjp)


@dataclass(frozen=True)
class AvgPool2d(nn.AvgPool2d):
    def __call__(self, state: State, x: Array) -> Forward:
        rows, columns = (_windows(self, x.shape[axis - 2], axis) for axis in (0, 1))
        y = np.empty((*x.shape[:-2], len(rows), len(columns)), x.dtype)
        divisors = np.empty(y.shape[-2:], x.dtype)
        for i, j in np.ndindex(*y.shape[-2:]):
            (reads_i, length_i), (reads_j, length_j) = rows[i], columns[j]
            counted = length_i * length_j if self.count_include_pad else len(reads_i) * len(reads_j)
            divisors[i, j] = self.divisor_override or counted
            y[..., i, j] = x[..., reads_i, :][..., reads_j].sum((-2, -1)) / divisors[i, j]

        def vjp(dy: Array) -> Grads:
            dx = np.zeros_like(x)
            for i, j in np.ndindex(*y.shape[-2:]):
                share = dy[..., i, j] / divisors[i, j]
                dx[(..., *np.ix_(rows[i][0], columns[j][0]))] += share[..., None, None]
            return Grads((dx,))

        return Forward(y, vjp)


ALTERNATIVES = {"MaxPool2d": MaxPool2d, "AvgPool2d": AvgPool2d}
