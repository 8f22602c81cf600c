"""Arithmetic element by element.

    a ± b    ea + eb + u(|v| + e)
    a·b      |a|·eb + |b|·ea + ea·eb + u(|v| + e) + eta
    a/b      (ea + |v|·eb)/(|b| - eb)+ + 2u(|v| + e) + eta: the factor 2 allows a·(1/b)
    √a       ea/(√a + √(a - ea)+) + u|v|

A factor or divisor that is a power of two costs no rounding. A fresh sum of n terms to which more
is added is a sum of more terms, in whatever order: each of the n may be rounded once more, and what
is added up to n times (a bias added first, gates summed over two products, the gradients of several
slices of a tensor).
"""

from math import floor, frexp, isfinite
from typing import Any

import numpy as np
import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    error_of,
    finished,
    note_pole,
    overwrite,
    parts,
    plus,
    rounded,
    rule,
    setting,
)

# Constants that torch has in float32 whatever the dtype, and what they stand for: both are right.
SINGLES = {float(np.float32(1e-12)): 1e-12}


def is_power_of_two(factor: Any) -> bool:
    """Whether a factor only changes exponents."""
    return isinstance(factor, float | int) and abs(frexp(factor)[0]) == 0.5


def constant_error(number: Any) -> Any:
    """u·|number| for a number of more digits than the precision, or than 24 bits, such as 1/3."""
    if not isinstance(number, float) or not isfinite(number):
        return None
    u = setting().precision.u
    if number in SINGLES:
        return u * abs(number) + abs(number - SINGLES[number])
    digits = frexp(number)[0] / max(u, 2.0**-24)
    return None if digits == floor(digits) else u * abs(number)


@rule("add.Tensor", "add.Scalar")
def add(a: Any, b: Any, alpha: float = 1) -> Bounded:
    """a + alpha·b."""
    if abs(alpha) != 1:
        b = mul(b, alpha)
    va, ea = parts(a)
    vb, eb = parts(b)
    if alpha == -1:
        vb = -vb
    if eb is None:
        eb = constant_error(vb)
    sum_a, sum_b = (x if type(x) is Bounded and x.terms else None for x in (a, b))
    scattered = any(type(x) is Bounded and x.scattered for x in (a, b))
    return _sum(va, ea, vb, eb, sum_a, sum_b, scattered)


def _sum(
    va: Any,
    ea: Any,
    vb: Any,
    eb: Any,
    sum_a: Bounded | None = None,
    sum_b: Bounded | None = None,
    scattered: bool = False,
) -> Bounded:
    """va + vb; sum_a and sum_b are the operands that are fresh sums."""
    value = va + vb
    infinite = _inherited(value, va, vb)
    if infinite is not None:
        # masked by -inf, say: that is an exact number, and no overflow
        known: Any = plus(ea, eb)
        va, ea, vb, eb = (_without(infinite, x) for x in (va, ea, vb, eb))
        rest = _sum(va, ea, vb, eb, sum_a, sum_b, scattered)
        error = rest.error if rest.error is not None else torch.zeros_like(rest.value)
        found = Bounded(value, torch.where(infinite, 0.0 if known is None else known, error))
        return found.is_sum_of(rest.terms, rest.own_mass) if rest.terms else found
    if sum_a is None and sum_b is None and not scattered:
        return rounded(value, plus(ea, eb), underflow=False)
    # every term of one part is rounded once more for each term of the other
    n, m = (x.terms if x is not None else 1 for x in (sum_a, sum_b))
    of_a, of_b = _mass(va, ea, sum_a), _mass(vb, eb, sum_b)
    total = finished(value, plus(of_a * m, of_b * n, ea, eb))
    return total.is_sum_of(n + m, of_a + of_b)


def _inherited(value: Any, va: Any, vb: Any) -> Any:
    """Where a sum is not finite because a part of it is not; None if nowhere."""
    if isfinite(float(value.sum())):  # the soonest that can be said of all of it
        return None
    lost = ~value.isfinite()
    if not lost.any():
        return None
    finite = [x.isfinite() if isinstance(x, torch.Tensor) else isfinite(x) for x in (va, vb)]
    lost &= ~torch.as_tensor(finite[0]) | ~torch.as_tensor(finite[1])
    return lost if lost.any() else None


def _without(places: Any, x: Any) -> Any:
    """x with 0 in these places."""
    return torch.where(places, 0.0, x) if x is not None else None


def _mass(value: Any, error: Any, fresh: Bounded | None) -> Any:
    """u · the magnitudes summed in one part of a sum."""
    if fresh is not None:
        return fresh.mass
    return plus(abs(value), error) * setting().precision.u


@rule("sub.Tensor", "sub.Scalar")
def sub(a: Any, b: Any, alpha: float = 1) -> Bounded:
    """a - alpha·b."""
    if alpha != 1:
        return add(a, b, -alpha)
    va, ea = parts(a)
    vb, eb = parts(b)
    return _sum(va, ea, -vb, eb)


@rule("rsub.Tensor", "rsub.Scalar")
def rsub(a: Any, b: Any, alpha: float = 1) -> Bounded:
    """b - alpha·a."""
    return sub(b, a) if alpha == 1 else sub(b, mul(a, alpha))


@rule("mul.Tensor", "mul.Scalar")
def mul(a: Any, b: Any) -> Bounded:
    """a·b."""
    va, ea = parts(a)
    vb, eb = parts(b)
    value = va * vb
    if is_power_of_two(vb):
        factor = abs(vb)
        scaled = rounded(value, None if ea is None else ea * factor, 0.0, underflow=factor < 1)
        if type(a) is Bounded and a.terms:
            scaled.is_sum_like(a, lambda mass: mass * factor)
        return scaled
    if ea is None and eb is None:
        return rounded(value, None, 1.0 if constant_error(vb) is None else 2.0)
    if eb is None:
        return rounded(value, ea * abs(vb), 1.0 if constant_error(vb) is None else 2.0)
    if ea is None:
        return rounded(value, abs(va) * eb)
    # (|a| + ea)·(|b| + eb) - |a·b| and the rounding of the product, in few operations
    p = setting().precision
    size = abs(vb) + eb
    error = torch.addcmul(abs(va) * torch.add(eb, size, alpha=p.u), ea, size, value=1.0 + p.u)
    return finished(value, error.add_(p.eta))


@rule("div.Tensor", "div.Scalar")
def div(a: Any, b: Any) -> Bounded:
    """a/b."""
    va, ea = parts(a)
    vb, eb = parts(b)
    value = va / vb
    if is_power_of_two(vb):
        factor = 1.0 / abs(vb)
        return rounded(value, None if ea is None else ea * factor, 0.0, underflow=factor < 1)
    note_pole(vb, eb)
    error = None
    if eb is not None:
        error = value.abs() * eb
        if ea is not None:
            error = error + ea
        error = error / (abs(vb) - eb).clamp_min_(0.0)
    elif ea is not None:
        error = ea / abs(vb)
    return rounded(value, error, 2.0 if constant_error(vb) is None else 3.0)


@rule("reciprocal")
def reciprocal(a: Any) -> Bounded:
    """1/a."""
    return div(1.0, a)


@rule("neg")
def neg(a: Bounded) -> Bounded:
    """-a, exactly."""
    value, error = parts(a)
    result = Bounded(-value, None if error is None else error.clone())
    return result.is_sum_like(a, lambda mass: mass)


@rule("abs")
def abs_(a: Bounded) -> Bounded:
    """|a|, exactly."""
    value, error = parts(a)
    return Bounded(value.abs(), None if error is None else error.clone())


@rule("sqrt")
def sqrt(a: Any) -> Bounded:
    """The square root; from 0 ± e it may be as large as √e.

    Where rounding can take the operand below zero the result may be nan, and nothing can be said;
    underflow alone, some multiples of eta, makes nothing negative.
    """
    value, error = parts(a)
    root = value.sqrt()
    if error is not None:
        least = value - error
        negative = least < -64.0 * setting().precision.eta
        lower = least.clamp_min_(0.0).sqrt_().add_(root)
        error = torch.minimum(error / lower, error.sqrt()).masked_fill_(negative, torch.inf)
        error = error.nan_to_num_(nan=0.0, posinf=torch.inf)
    return rounded(root, error, underflow=False)


@rule("rsqrt")
def rsqrt(a: Any) -> Bounded:
    """1/√a."""
    return div(1.0, sqrt(a))


@rule("square")
def square(a: Any) -> Bounded:
    """a²."""
    return mul(a, a)


@rule("pow.Tensor_Scalar")
def pow_(a: Any, exponent: float) -> Bounded:
    """a to a constant power; small ones as people write them: products and roots.

    Whatever it is computed by, a positive power of exactly 0 is exactly 0.
    """
    value, error = parts(a)
    if exponent < 0:
        note_pole(value, error)
    power = _power(a, exponent)
    if exponent > 0 and power.error is not None and isinstance(value, torch.Tensor):
        zero = value == 0 if error is None else (value == 0) & (error == 0)
        power.set_error(power.error.masked_fill(zero, 0.0))
    return power


def _power(a: Any, exponent: float) -> Bounded:
    if exponent == 1:
        return mul(a, 1.0)
    if exponent == 2:
        return mul(a, a)
    if exponent == 3:
        return mul(mul(a, a), a)
    if exponent == 0.5:
        return sqrt(a)
    if exponent == -0.5:
        return rsqrt(a)
    if exponent == -1:
        return reciprocal(a)
    value, error = parts(a)
    power = value**exponent
    grown = None
    if error is not None:
        # the slope is largest where |a| is largest (exponent >= 1) or smallest
        size = value.abs() + error if exponent >= 1 else (value.abs() - error).clamp_min_(0.0)
        relative = size.pow(exponent).mul_(error / size)
        slope = size.pow_(exponent - 1).mul_(error)  # one of both may underflow
        grown = torch.fmax(slope, relative).mul_(abs(exponent)).masked_fill_(error == 0, 0.0)
        if 0 < exponent < 1:
            grown = torch.fmin(grown, error**exponent)
    if exponent == floor(exponent):
        return rounded(power, grown, max(4.0, abs(exponent)))
    # exp(exponent · log|a|) is one too, with an exponent of which each digit is rounded
    logarithm = value.abs().log_().abs_().nan_to_num_(nan=0.0, posinf=0.0)
    power_error = logarithm.mul_(2.0 * abs(exponent) * setting().precision.u).mul_(power.abs())
    result = rounded(power, plus(grown, power_error.nan_to_num_(nan=0.0, posinf=0.0)), 4.0)
    bound = error_of(result)
    if error is None:
        return Bounded(power, bound.masked_fill(value < 0, 0.0))  # certainly nan
    perhaps = value - error < -64.0 * setting().precision.eta
    bound = bound.masked_fill(perhaps, torch.inf).masked_fill(value + error < 0, 0.0)
    return Bounded(power, bound)


@rule("pow_.Scalar")
def pow_in_place(a: Any, exponent: float) -> Any:
    """a to a constant power, in place; not pow.Scalar, which is a constant to the power a."""
    overwrite(a, *parts(pow_(a, exponent)))
    return a


@rule("pow.Scalar")
def pow_of_scalar(base: float, exponent: Bounded) -> Bounded:
    """A constant to the power a."""
    value, error = parts(exponent)
    power = torch.pow(base, value)
    size = abs(torch.log(torch.tensor(float(base), dtype=torch.float64)))
    if error is not None:
        error = torch.expm1(size * error).mul_(power)
    return rounded(power, plus(error, power * (size * value.abs() * setting().precision.u)), 4.0)


@rule("pow.Tensor_Tensor")
def power(a: Any, b: Any) -> Bounded:
    """a to the power b, by as much as exp(b·log a) is off: |v|·expm1(δ) + c·u|v| + eta.

    δ = |b|·r + (|log a| + r)·eb + 2u·|b·log a|, where r = ea/(a - ea). An exact 0 has an exact
    power: 0, 1 or infinity. Of a negative number it is known, or certainly nan, for an exact b.
    """
    va, ea = parts(a)
    vb, eb = parts(b)
    value = torch.pow(va, vb)
    note_pole(torch.where(vb < 0, va, 1.0), ea)
    logarithm = abs(va).log().abs_()
    grown = vb.abs() * logarithm * (2.0 * setting().precision.u)
    zero, unknown, certain = va == 0, torch.zeros_like(va).bool(), torch.ones_like(vb).bool()
    if ea is not None:
        relative = ea / (abs(va) - ea).clamp_min_(0.0)
        grown = grown + vb.abs() * relative
        logarithm = logarithm + relative
        zero, unknown = zero & (ea == 0), va < ea
    if eb is not None:
        grown = grown + logarithm * eb
        certain = (vb.abs() > eb) | (eb == 0)
        unknown = unknown | ((va < 0) & (eb > 0))
    bound = error_of(rounded(value, torch.expm1(grown).mul_(value.abs()), 4.0))
    bound = bound.masked_fill(unknown, torch.inf)
    return Bounded(value, bound.masked_fill((zero | ~unknown & value.isnan()) & certain, 0.0))


@rule("copy_")
def copy_(target: Any, source: Any, non_blocking: bool = False) -> Any:
    """Overwrite the target."""
    overwrite(target, *parts(source))
    if type(target) is Bounded and type(source) is Bounded and target.shape == source.shape:
        target.is_sum_like(source, lambda mass: mass)
    return target


@rule("fill_.Scalar", "fill_.Tensor")
def fill_(target: Any, number: Any) -> Any:
    """Overwrite the target with a number."""
    value, error = parts(number)
    if isinstance(value, torch.Tensor):
        return copy_(target, number)
    target.value.fill_(value)
    target.set_error(error)
    return target.is_sum_of(0)


@rule("zero_")
def zero_(target: Bounded) -> Bounded:
    """Overwrite the target with zeros."""
    filled: Bounded = fill_(target, 0.0)
    return filled
