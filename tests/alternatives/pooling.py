"""Pooling one window at a time."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _on(axis: int, value: Any) -> Any:
    return value[axis] if isinstance(value, tuple) else value


def _windows(pool: Any, n: int, axis: int) -> list[tuple[list[int], int]]:
    """For each window on an axis: what it reads of x, and how long it is with the padding."""
    kernel, padding = _on(axis, pool.kernel_size), _on(axis, getattr(pool, "padding", 0))
    stride = _on(axis, pool.kernel_size if pool.stride is None else pool.stride)
    dilation = _on(axis, getattr(pool, "dilation", 1))
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


def _sliding(pool: Any, x: Array, axes: int) -> list[list[list[int]]]:
    return [[r for r, _ in _windows(pool, x.shape[i - axes], i)] for i in range(axes)]


def _adaptive(pool: Any, x: Array, axes: int) -> list[list[list[int]]]:
    found = []
    for i, n in enumerate(x.shape[-axes:]):
        out = _on(i, pool.output_size)
        out = n if out is None else out
        found.append(
            [[*range(math.floor(o * n / out), math.ceil((o + 1) * n / out))] for o in range(out)]
        )
    return found


def _largest(pool: Any, x: Array, reads: list[list[list[int]]]) -> Forward:
    axes, out = len(reads), [len(r) for r in reads]
    y = np.empty((*x.shape[:-axes], *out), x.dtype)
    indices = np.empty(y.shape, np.int64)
    planes = x.reshape(*x.shape[:-axes], math.prod(x.shape[-axes:]))
    for p in np.ndindex(*out):
        grid = np.ix_(*(r[i] for r, i in zip(reads, p, strict=True)))
        at = np.ravel_multi_index(grid, x.shape[-axes:]).ravel()
        window = planes[..., at]
        best = window.argmax(-1)
        blank = np.isnan(window)
        best = np.where(blank.any(-1), at.size - 1 - blank[..., ::-1].argmax(-1), best)
        y[(..., *p)] = np.take_along_axis(window, best[..., None], -1)[..., 0]
        indices[(..., *p)] = at[best]

    def vjp(dy: Array | tuple[Array, None]) -> Grads:
        g = dy[0] if isinstance(dy, tuple) else dy
        dx = np.zeros_like(planes)
        for place in np.ndindex(*y.shape):
            dx[(*place[:-axes], indices[place])] += g[place]
        return Grads((dx.reshape(x.shape),))

    return Forward((y, indices.copy()) if pool.return_indices else y, vjp)


def _mean(x: Array, reads: list[list[list[int]]], divisors: Array) -> Forward:
    axes = len(reads)
    y = np.empty((*x.shape[:-axes], *divisors.shape), x.dtype)
    divisors = divisors.astype(x.dtype)

    def grid(p: tuple[int, ...]) -> Any:
        return (..., *np.ix_(*(r[i] for r, i in zip(reads, p, strict=True))))

    for p in np.ndindex(*divisors.shape):
        y[(..., *p)] = x[grid(p)].sum(tuple(range(-axes, 0))) / divisors[p]

    def vjp(dy: Array) -> Grads:
        dx = np.zeros_like(x)
        for p in np.ndindex(*divisors.shape):
            dx[grid(p)] += (dy[(..., *p)] / divisors[p])[(..., *(None,) * axes)]
        return Grads((dx,))

    return Forward(y, vjp)


def _average(pool: Any, x: Array, axes: int) -> Forward:
    windows = [_windows(pool, x.shape[i - axes], i) for i in range(axes)]
    divisors = np.empty([len(w) for w in windows])
    for p in np.ndindex(*divisors.shape):
        here = [w[i] for w, i in zip(windows, p, strict=True)]
        counted = math.prod(n if pool.count_include_pad else len(r) for r, n in here)
        divisors[p] = getattr(pool, "divisor_override", None) or counted
    return _mean(x, [[r for r, _ in w] for w in windows], divisors)


def _adaptive_mean(pool: Any, x: Array, axes: int) -> Forward:
    reads = _adaptive(pool, x, axes)
    sizes = [[len(r) for r in on_axis] for on_axis in reads]
    divisors = np.array([math.prod(s) for s in itertools.product(*sizes)], np.float64)
    return _mean(x, reads, divisors.reshape([len(s) for s in sizes]))


def _norm(pool: Any, x: Array, axes: int) -> Forward:
    """The gradient by the norm itself: dy y^(1 - p) x^(p - 1)."""
    if math.isinf(pool.norm_type):
        return getattr(nn, f"LPPool{axes}d").__call__(pool, {}, x)
    reads = _sliding(pool, x, axes)
    size = math.prod(_on(i, pool.kernel_size) for i in range(axes))
    out = [len(r) for r in reads]
    y, p = np.empty((*x.shape[:-axes], *out), x.dtype), float(pool.norm_type)

    def windows() -> Any:
        for q in np.ndindex(*out):
            grid = (..., *np.ix_(*(r[i] for r, i in zip(reads, q, strict=True))))
            yield q, grid, size / math.prod(len(r[i]) for r, i in zip(reads, q, strict=True))

    for q, grid, scale in windows():
        powers = (x[grid] ** p).sum(tuple(range(-axes, 0)))
        y[(..., *q)] = (powers * scale) ** (1 / p)

    def vjp(dy: Array) -> Grads:
        dx = np.zeros_like(x)
        for q, grid, scale in windows():
            share = np.where(y[(..., *q)] == 0, 0, dy[(..., *q)] * y[(..., *q)] ** (1 - p) * scale)
            dx[grid] += (share[(..., *(None,) * axes)] * x[grid] ** (p - 1)).astype(x.dtype)
        return Grads((dx,))

    return Forward(y, vjp)


def _unpool(pool: Any, x: Array, indices: Array, size: Any, axes: int) -> Forward:
    """By a matrix of ones and zeros for every plane."""
    kernel = [_on(i, pool.kernel_size) for i in range(axes)]
    stride = kernel if pool.stride is None else [_on(i, pool.stride) for i in range(axes)]
    padding = [_on(i, pool.padding) for i in range(axes)]
    numbers = zip(x.shape[-axes:], stride, kernel, padding, strict=True)
    out = [(n - 1) * s + k - 2 * p for n, s, k, p in numbers] if size is None else size[-axes:]
    lead, area = x.shape[:-axes], math.prod(x.shape[-axes:])
    to = indices.reshape(*lead, 1, area) == np.arange(math.prod(out))[:, None]
    y = (to * x.reshape(*lead, 1, area)).sum(-1, dtype=x.dtype)

    def vjp(dy: Array) -> Grads:
        dx = (to * dy.reshape(*lead, math.prod(out), 1)).sum(-2, dtype=x.dtype)
        return Grads((dx.reshape(x.shape), None))

    return Forward(y.reshape(*lead, *out), vjp)


def _fractional(pool: Any, state: State, x: Array, rng: Any, axes: int) -> Forward:
    """One plane at a time, its windows in exact fractions of the samples."""
    planes = x.reshape(-1, 1, *x.shape[-axes:])
    batch = 1 if x.ndim == axes + 1 else x.shape[0]
    samples = state.get("_random_samples")
    if samples is None:
        samples = rng.random((batch, x.shape[-axes - 1], axes))
    samples = samples[:batch].reshape(-1, axes).astype(np.float64)
    if axes == 2:
        samples = samples[:, ::-1]
    parts = []
    for plane, u in zip(planes, samples, strict=True):
        reads = []
        for i, n in enumerate(plane.shape[-axes:]):
            k = _on(i, pool.kernel_size)
            ratio = pool.output_ratio
            out = int(n * _on(i, ratio)) if ratio is not None else _on(i, pool.output_size)
            step = (n - k) / max(out - 1, 1)
            starts = [int((p + u[i]) * step) - int(u[i] * step) for p in range(out)]
            reads.append([[*range(s, s + k)] for s in [*starts[:-1], n - k][:out]])
        parts.append(_largest(pool, plane, reads))
    if not parts:
        return getattr(nn, f"FractionalMaxPool{axes}d").__call__(pool, state, x, rng=rng)
    ys = [f.y if pool.return_indices else (f.y,) for f in parts]
    joined = [np.stack(p).reshape(*x.shape[:-axes], *p[0].shape[1:]) for p in zip(*ys, strict=True)]

    def vjp(dy: Array | tuple[Array, None]) -> Grads:
        g = dy[0] if isinstance(dy, tuple) else dy
        g = g.reshape(len(parts), 1, *g.shape[-axes:])
        dx = [
            f.vjp((d, None) if pool.return_indices else d).inputs[0]
            for f, d in zip(parts, g, strict=True)
        ]
        return Grads((np.stack(dx).reshape(x.shape),))

    return Forward(tuple(joined) if pool.return_indices else joined[0], vjp)


def _other(name: str, axes: int) -> type:
    """The layer with another forward and backward pass."""
    base = getattr(nn, f"{name}{axes}d")

    @dataclass(frozen=True)
    class Other(base):
        def __call__(self, state: State, x: Array, *args: Any, **kwargs: Any) -> Forward:
            if name == "MaxPool":
                return _largest(self, x, _sliding(self, x, axes))
            if name == "AdaptiveMaxPool":
                return _largest(self, x, _adaptive(self, x, axes))
            if name == "AvgPool":
                return _average(self, x, axes)
            if name == "AdaptiveAvgPool":
                return _adaptive_mean(self, x, axes)
            if name == "LPPool":
                return _norm(self, x, axes)
            return _unpool(self, x, *args, kwargs.get("output_size"), axes)

    @dataclass(frozen=True)
    class Drawing(base):
        def __call__(self, state: State, x: Array, *, rng: Any = None) -> Forward:
            return _fractional(self, state, x, rng, axes)

    return Drawing if name == "FractionalMaxPool" else Other


_NAMES = (
    "MaxPool", "MaxUnpool", "AvgPool", "LPPool", "AdaptiveAvgPool", "AdaptiveMaxPool",
    "FractionalMaxPool",
)  # fmt: skip
ALTERNATIVES = {
    f"{name}{axes}d": _other(name, axes)
    for name in _NAMES
    for axes in (1, 2, 3)
    if hasattr(nn, f"{name}{axes}d")
}
