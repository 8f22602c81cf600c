"""CTC, as the recursions of Graves et al. (2006) in logarithms: α from the front, β from behind.

    α_t(s) = log(exp α_{t-1}(s) + exp α_{t-1}(s-1) + exp α_{t-1}(s-2)) + lp_t(l'_s)
    loss   = -log(exp α_T(L-1) + exp α_T(L-2))
    dlp    = (exp lp_t(c) - exp(log Σ_{s: l'_s = c} exp(α_t(s) + β_t(s)) + loss - lp_t(c)))·dy

Every sum of exponentials is taken after subtracting its largest term, which counts as exact: the
result does not depend on it. What is impossible is -inf, and certain.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, finished, parts, rule, setting, watch
from npnet.twins.oracle.rules.elementwise import mul
from npnet.twins.oracle.rules.transcendental import LIBRARY

INF = torch.inf


class Log(NamedTuple):
    """A logarithm and its error, which is 0 where it is -inf."""

    value: Tensor
    error: Tensor


def _possible(value: Tensor, error: Tensor) -> Log:
    return Log(value, error.masked_fill(value == -INF, 0.0))


def _plus(a: Log, b: Log) -> Log:
    total = a.value + b.value
    return _possible(total, a.error + b.error + setting().precision.u * total.abs())


def _log_sum(a: Log, index: Tensor, length: int) -> Log:
    """log Σ exp a over the places of the last axis that index names, of which there are length."""
    p = setting().precision
    shape = (*a.value.shape[:-1], length)
    index = index.expand(a.value.shape)
    largest = torch.full(shape, -INF, dtype=torch.float64)
    largest = largest.scatter_reduce(-1, index, a.value, "amax")
    m = largest.masked_fill(largest == -INF, 0.0)
    below = a.value - m.gather(-1, index)
    power = torch.exp(below)
    off = power * torch.expm1(a.error + p.u * below.abs())
    off = torch.where(power > 0, off, 0.0) + p.eta * (a.value > -INF)

    def added(x: Tensor) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64).scatter_add(-1, index, x)

    total, terms = added(power), added((a.value > -INF).to(torch.float64))
    wrong = added(off) + (LIBRARY + terms) * p.u * total
    logarithm = torch.log(total)
    value = logarithm + m
    error = wrong / (total - wrong).clamp_min(0.0) + LIBRARY * p.u * logarithm.abs()
    # in pairs, as by logaddexp, every partial sum is rounded, at the size of the result
    error += terms.clamp_min(1.0) * p.u * (value.abs() + 1.0)
    return _possible(value, error)


def _join(*logs: Log) -> Log:
    """log Σ exp over several logarithms of one shape."""
    a = Log(torch.stack([x.value for x in logs], -1), torch.stack([x.error for x in logs], -1))
    total = _log_sum(a, torch.zeros(len(logs), dtype=torch.int64), 1)
    return Log(total.value[..., 0], total.error[..., 0])


def _shifted(a: Log, by: int, allowed: Tensor) -> Log:
    """a of s - by in the place of s (by may be negative), where it may be reached from there."""
    moved = []
    for x, filling in ((a.value, -INF), (a.error, 0.0)):
        gap = torch.full((len(x), min(abs(by), x.shape[1])), filling, dtype=torch.float64)
        pieces = [gap, x[:, : x.shape[1] - gap.shape[1]]] if by > 0 else [x[:, -by:], gap]
        moved.append(torch.where(allowed, torch.cat(pieces, 1), filling))
    return Log(*moved)


class Paths(NamedTuple):
    """The labels with blanks around them, and how an alignment goes through them."""

    symbols: Tensor  # (N, L)
    jumps: Tensor  # (N, L): whether s may follow on s - 2
    steps: Tensor  # (N,)
    labels: Tensor  # (N,)


def paths(targets: Tensor, steps: Any, labels: Any, count: int, blank: int) -> Paths:
    """The alignments of every sequence, from padded targets or from all of them in one row."""
    steps = torch.as_tensor(steps, dtype=torch.int64).reshape(count)
    labels = torch.as_tensor(labels, dtype=torch.int64).reshape(count)
    longest = int(labels.max())
    padded = torch.full((count, longest), blank)
    given = torch.arange(longest) < labels.unsqueeze(1)
    padded[given] = targets[:, :longest][given] if targets.dim() == 2 else targets
    symbols = torch.full((count, 2 * longest + 1), blank)
    symbols[:, 1::2] = padded
    jumps = torch.zeros(symbols.shape, dtype=torch.bool)
    jumps[:, 2:] = symbols[:, 2:] != symbols[:, :-2]
    return Paths(symbols, jumps, steps, labels)


def _emitted(log_probs: Any, way: Paths) -> Log:
    """lp_t(l'_s): (T, N, L)."""
    value, error = parts(log_probs)
    index = way.symbols.expand(len(value), *way.symbols.shape)
    error = torch.zeros_like(value) if error is None else error
    return Log(value.gather(2, index), error.gather(2, index))


def alphas(log_probs: Any, way: Paths) -> Log:
    """α: (N, T, L)."""
    lp = _emitted(log_probs, way)
    everywhere = torch.ones_like(way.jumps)
    start = torch.arange(way.symbols.shape[1]) < 2
    a = Log(lp.value[0].masked_fill(~start, -INF), lp.error[0].masked_fill(~start, 0.0))
    found = [a]
    for t in range(1, len(lp.value)):
        before = (a, _shifted(a, 1, everywhere), _shifted(a, 2, way.jumps))
        a = _plus(_join(*before), Log(lp.value[t], lp.error[t]))
        found.append(a)
    return Log(torch.stack([x.value for x in found], 1), torch.stack([x.error for x in found], 1))


def betas(log_probs: Any, way: Paths) -> Log:
    """β: (N, T, L), -inf behind the end of an input."""
    lp = _emitted(log_probs, way)
    N, L = way.symbols.shape
    everywhere = torch.ones_like(way.jumps)
    onto = torch.cat([way.jumps[:, 2:], torch.zeros((N, min(2, L)), dtype=torch.bool)], 1)[:, :L]
    ends = torch.full((N, L), -INF, dtype=torch.float64).masked_fill(_ends(way), 0.0)
    b = Log(torch.full((N, L), -INF, dtype=torch.float64), torch.zeros((N, L), dtype=torch.float64))
    found: list[Log] = []
    for t in reversed(range(len(lp.value))):
        after = _join(b, _shifted(b, -1, everywhere), _shifted(b, -2, onto))
        last = (way.steps == t + 1).unsqueeze(1)
        value = torch.where(last, ends, after.value)
        error = torch.where(last, 0.0, after.error)
        b = _plus(Log(value, error), Log(lp.value[t], lp.error[t]))
        found.insert(0, b)
    return Log(torch.stack([x.value for x in found], 1), torch.stack([x.error for x in found], 1))


def _ends(way: Paths) -> Tensor:
    behind = 2 * way.labels.unsqueeze(1) - torch.arange(way.symbols.shape[1])
    return (behind == 0) | (behind == 1)


@rule("_ctc_loss", "_ctc_loss.Tensor")
def ctc_loss(
    log_probs: Any,
    targets: Tensor,
    input_lengths: Sequence[int] | Tensor,
    target_lengths: Sequence[int] | Tensor,
    blank: int = 0,
    zero_infinity: bool = False,
) -> tuple[Bounded, Bounded]:
    """(loss, α)."""
    count = log_probs.shape[1]
    way = paths(targets, input_lengths, target_lengths, count, blank)
    a = alphas(log_probs, way)
    rows = torch.arange(count), (way.steps - 1).clamp_min(0)
    ends = _ends(way)
    last = Log(
        a.value[rows].masked_fill(~ends, -INF),
        a.error[rows].masked_fill(~ends, 0.0),
    )
    total = _log_sum(last, torch.zeros(ends.shape[1], dtype=torch.int64), 1)
    empty = way.steps == 0
    nothing = torch.where(way.labels == 0, 0.0, INF)
    loss = torch.where(empty, nothing, -total.value[:, 0])
    error = torch.where(empty, 0.0, total.error[:, 0])
    if setting().watching:
        watch(torch.where(a.value.isfinite(), a.value.abs() + a.error, 0.0))
    return Bounded(loss, error), Bounded(a.value, a.error)


@rule("_ctc_loss_backward", "_ctc_loss_backward.Tensor")
def ctc_loss_backward(
    dy: Any,
    log_probs: Any,
    targets: Tensor,
    input_lengths: Sequence[int] | Tensor,
    target_lengths: Sequence[int] | Tensor,
    loss: Any,
    log_alpha: Any,
    blank: int,
    zero_infinity: bool = False,
) -> Bounded:
    """The share of p_t(c) that the targets do not take, times dy; nan for impossible targets."""
    p = setting().precision
    lp, lp_error = parts(log_probs)
    T, N, C = lp.shape
    way = paths(targets, input_lengths, target_lengths, N, blank)
    b = betas(log_probs, way)
    alpha, alpha_error = parts(log_alpha)
    known = torch.zeros_like(alpha) if alpha_error is None else alpha_error
    through = _plus(Log(alpha, known), b)  # (N, T, L)
    taken = _log_sum(through, way.symbols.unsqueeze(1), C)
    nll, nll_error = parts(loss)
    rows = lp.transpose(0, 1)
    rows_error = torch.zeros_like(rows) if lp_error is None else lp_error.transpose(0, 1)
    impossible = (nll == INF).reshape(N, 1, 1)
    nll = torch.where(nll == INF, 0.0, nll).reshape(N, 1, 1)
    exponent = taken.value + nll - rows
    doubt = taken.error + rows_error + (0.0 if nll_error is None else nll_error.reshape(N, 1, 1))
    doubt = doubt + 2.0 * p.u * (taken.value.abs() + nll.abs() + rows.abs())
    share, all_of_it = torch.exp(exponent), torch.exp(rows)
    none = taken.value == -INF
    error = share * torch.expm1(doubt) + LIBRARY * p.u * share + p.eta
    error = error.masked_fill(none, 0.0)
    error = error + all_of_it * torch.expm1(rows_error) + LIBRARY * p.u * all_of_it + p.eta
    left = all_of_it - share
    if setting().watching:
        watch(torch.where(none, all_of_it, all_of_it + share))
    d = mul(finished(left, error + p.u * left.abs()), parts_of_batch(dy))
    behind = (torch.arange(T) >= way.steps.unsqueeze(1)).unsqueeze(2)
    value, bound = parts(d)
    value = torch.where(impossible, 0.0 if zero_infinity else torch.nan, value)
    value = torch.where(behind, 0.0, value)
    assert bound is not None  # of a product there is always one
    error = torch.where(impossible | behind, 0.0, bound)
    return Bounded(value.transpose(0, 1).contiguous(), error.transpose(0, 1).contiguous())


def parts_of_batch(dy: Any) -> Any:
    """dy of every sequence, beside (N, T, C)."""
    value, error = parts(dy)
    shape = (-1, 1, 1)
    return Bounded(value.reshape(shape), None if error is None else error.reshape(shape))
