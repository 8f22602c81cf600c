"""Functions that no library rounds correctly: c = 4 units in the last place, and their slopes.

    exp          v·expm1(ea) + c·u|v| + eta
    log          ea/(a - ea)+ + c·u|v|
    tanh, …      the largest slope on [a - ea, a + ea], times ea, + c·u|v|
    sigmoid      the same + 2u: 0.5·(1 + tanh(x/2)) is a sigmoid too, accurate to an absolute error

The image of an interval is bounded by a slope and not by differences f(a + ea) - f(a): in float64
these would cancel to nothing.
"""

from math import pi, sqrt
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    note_pole,
    parts,
    plus,
    rounded,
    rule,
    setting,
)

LIBRARY = 4.0


def _growth(value: Tensor, power: Tensor, error: Tensor) -> Tensor:
    """How far exp(value ± error) is from power; exactly 0 at -inf, whatever the error says."""
    grown = torch.expm1(error).mul_(power)
    return grown.masked_fill_(value == -torch.inf, 0.0)


@rule("exp")
def exp(a: Any) -> Bounded:
    """e to the a."""
    value, error = parts(a)
    power = value.exp()
    return rounded(power, None if error is None else _growth(value, power, error), LIBRARY)


@rule("exp2")
def exp2(a: Any) -> Bounded:
    """2 to the a."""
    value, error = parts(a)
    power = value.exp2()
    return rounded(power, None if error is None else _growth(value, power, error), LIBRARY)


@rule("expm1")
def expm1(a: Any) -> Bounded:
    """e to the a, less 1."""
    value, error = parts(a)
    grown = None if error is None else _growth(value, value.exp(), error)
    return rounded(value.expm1(), grown, LIBRARY)


def _logarithm(result: Tensor, argument: Tensor, error: Tensor | None) -> Bounded:
    """A logarithm with its error; exactly -inf at an exact 0."""
    pole = at_pole(argument, error)
    if error is not None:
        error = (error / (argument - error).clamp_min_(0.0)).masked_fill_(pole, 0.0)
    found = rounded(result.masked_fill(pole, 0.0), error, LIBRARY, underflow=False)
    found.value.masked_fill_(pole, -torch.inf)
    return found


def at_pole(argument: Tensor, error: Tensor | None) -> Tensor:
    """Where an argument is exactly 0, which is noted."""
    pole = argument == 0 if error is None else (argument == 0) & (error == 0)
    note_pole(argument, error)
    return pole


@rule("log")
def log(a: Any) -> Bounded:
    """The natural logarithm."""
    value, error = parts(a)
    return _logarithm(value.log(), value, error)


@rule("log1p")
def log1p(a: Any) -> Bounded:
    """log(1 + a), accurate near a = 0."""
    value, error = parts(a)
    return _logarithm(value.log1p(), 1.0 + value, error)


@rule("log2")
def log2(a: Any) -> Bounded:
    """The logarithm to the base 2; 1/log(2) is less than 1.5."""
    value, error = parts(a)
    return _logarithm(value.log2(), value, None if error is None else error * 1.5)


@rule("tanh")
def tanh(a: Any) -> Bounded:
    """The hyperbolic tangent; its slope 1 - y² grows by at most exp(2e) over a distance e."""
    value, error = parts(a)
    result = value.tanh()
    if error is not None:
        slope = 1.0 - result * result
        error = torch.expm1(2.0 * error).mul_(0.5).mul_(slope).clamp_max_(2.0)
    return rounded(result, error, LIBRARY)


@rule("sigmoid")
def sigmoid(a: Any) -> Bounded:
    """1/(1 + exp(-a)), to 2u absolute; its slope y·(1 - y) grows by at most exp(e)."""
    value, error = parts(a)
    u2 = 2.0 * setting().precision.u
    result = value.sigmoid()
    if error is None:
        return rounded(result, torch.full_like(value, u2), LIBRARY + 2)
    slope = (1.0 - result).mul_(result)
    image = torch.expm1(error).mul_(slope).clamp_max_(1.0)
    return rounded(result, image.add_(u2), LIBRARY + 2)


def nearest_zero(value: Tensor, error: Tensor) -> Tensor:
    """The smallest |a| in the interval, where the bell-shaped slopes are largest."""
    return (value.abs() - error).clamp_min_(0.0)


@rule("erf")
def erf(a: Any) -> Bounded:
    """The error function."""
    value, error = parts(a)
    if error is not None:
        m = nearest_zero(value, error)
        error = torch.exp(-m * m).mul_(2.0 / sqrt(pi)).mul_(error).clamp_max_(2.0)
    return rounded(value.erf(), error, LIBRARY)


@rule("sin")
def sin(a: Any) -> Bounded:
    """The sine; its slope is at most 1."""
    value, error = parts(a)
    return rounded(value.sin(), None if error is None else error.clamp_max(2.0), LIBRARY)


@rule("cos")
def cos(a: Any) -> Bounded:
    """The cosine; its slope is at most 1."""
    value, error = parts(a)
    return rounded(value.cos(), None if error is None else error.clamp_max(2.0), LIBRARY)


def cdf(a: Any) -> Bounded:
    """Φ, the normal distribution function, to 6u absolute.

    (1 + erf(a/√2))/2 is one too, with a polynomial for erf in float32 (Abramowitz and Stegun
    7.1.26, off by 1.5e-7), which is what torch uses there.
    """
    value, error = parts(a)
    phi = 0.5 * torch.erfc(value * -sqrt(0.5))
    if error is not None:
        error = density_bound(value, error).mul_(error).clamp_max_(1.0)
    absolute = torch.full_like(phi, 6.0 * setting().precision.u)
    # the rounding of a/√2 before erf: 1.5u relative in a, by a slope that is small where a is large
    absolute += density_bound(value, error).mul_(value.abs()).mul_(1.5 * setting().precision.u)
    return rounded(phi, plus(error, absolute), LIBRARY)


def density_bound(value: Tensor, error: Tensor | None) -> Tensor:
    """The largest normal density on the interval."""
    m = value if error is None else nearest_zero(value, error)
    return torch.exp(-0.5 * m * m).mul_(1.0 / sqrt(2.0 * pi))
