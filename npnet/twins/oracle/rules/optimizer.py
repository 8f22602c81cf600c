"""What optimizers and running statistics are made of: steps from one tensor towards another."""

from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, magnitude, parts, plus, rounded, rule, setting
from npnet.twins.oracle.rules.elementwise import add, div, mul


def blend(start: Any, end: Any, weight: float) -> Bounded:
    """start + weight·(end - start), whether computed so or as (1 - weight)·start + weight·end."""
    vs, es = parts(start)
    ve, ee = parts(end)
    w, rest, u = abs(weight), abs(1.0 - weight), setting().precision.u
    error = plus(
        magnitude(vs, es) * (3.0 * u * (w + rest)),
        magnitude(ve, ee) * (3.0 * u * w),
        None if es is None else es * rest,
        None if ee is None else ee * w,
    )
    return rounded(torch.lerp(vs, ve, weight), error)


@rule("lerp.Scalar")
def lerp(start: Any, end: Any, weight: float) -> Bounded:
    """A step of `weight` from start to end."""
    return blend(start, end, weight)


@rule("addcmul")
def addcmul(a: Any, b: Any, c: Any, *, value: float = 1) -> Bounded:
    """a + value·b·c."""
    product = mul(b, c)
    return add(a, product if value == 1 else mul(product, value))


@rule("addcdiv")
def addcdiv(a: Any, b: Any, c: Any, *, value: float = 1) -> Bounded:
    """a + value·b/c, whether computed so, as (value·b)/c or as value·(b/c)."""
    quotient = div(b, c)
    scaled = quotient if value == 1 else mul(quotient, value)
    vc, ec = parts(c)
    least = (abs(vc) if ec is None else abs(vc) - ec).clamp_min(0.0)
    lost = setting().precision.eta / least  # the underflow of value·b, divided by c
    return add(a, Bounded(scaled.value, plus(scaled.error, lost)))
