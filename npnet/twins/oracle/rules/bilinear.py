"""Products that sum: matrix products, convolution and its backward, the trilinear form.

    B(a, b)    B(ea, |b| + eb) + B(|a|, eb) + n·u·B(|a| + ea, |b| + eb) + n·eta

for n products per element, in any order of summation. The form is linear in each operand, so that
operands that are exact cost one product beside the value itself, and never more than two.
"""

from collections.abc import Callable, Sequence
from math import gcd, prod
from typing import Any

import torch

from npnet.twins.oracle.bounded import Bounded, Tensor, finished, parts, rule, setting, watch
from npnet.twins.oracle.rules.elementwise import add, mul
from npnet.twins.oracle.rules.reduction import reshaped, sum_

aten = torch.ops.aten
Form = Callable[[Tensor, Tensor], Tensor]


def bilinear(form: Form, a: Any, b: Any, n: int) -> Bounded:
    """The rule of a bilinear form that sums n products for every element."""
    va, ea = parts(a)
    vb, eb = parts(b)
    value = form(va, vb)
    p = setting().precision
    nu = max(n, 1) * p.u
    # errors are scaled up and the product down: |a|·u of a denormal a would be nothing
    up = 1.0 / nu + 1.0
    left, right = va.abs(), vb.abs()
    if setting().watching:
        watch(form(left, right))
    if eb is None:
        error = form(left if ea is None else left.add_(ea, alpha=up), right).mul_(nu)
    elif ea is None:
        error = form(left, right.add_(eb, alpha=up)).mul_(nu)
    else:
        error = form(left, eb)
        error += form(left.add_(ea, alpha=up), right.add_(eb)).mul_(nu)
    return finished(value, error.add_(n * p.eta), ea is not None or eb is not None).is_sum_of(n)


@rule("mm")
def mm(a: Any, b: Any) -> Bounded:
    """(n, k) times (k, m)."""
    return bilinear(torch.mm, a, b, a.shape[1])


@rule("bmm")
def bmm(a: Any, b: Any) -> Bounded:
    """(B, n, k) times (B, k, m)."""
    return bilinear(torch.bmm, a, b, a.shape[2])


@rule("mv", "dot", "vdot", "matmul")
def matmul(a: Any, b: Any) -> Bounded:
    """A product that contracts the last axis of a."""
    return bilinear(torch.matmul, a, b, a.shape[-1])


@rule("addmm", "addbmm", "baddbmm", "addmv")
def addmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Bounded:
    """beta·c + alpha·(a b): c is one term more of the sum."""
    product = matmul(a, b)
    if alpha != 1:
        product = mul(product, alpha)
    return add(product, c if beta == 1 else mul(c, beta))


def _meeting(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """How many taps of a transposed convolution meet in one pixel, for each axis."""
    return [-(-k // (s // gcd(s, d))) for k, s, d in zip(kernel, stride, dilation, strict=True)]


def forward_terms(
    x: Any,
    weight: Any,
    stride: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    groups: int,
) -> int:
    """The largest number of products in one element of a convolution."""
    kernel, size = weight.shape[2:], x.shape[2:]
    if transposed:
        met = _meeting(kernel, stride, dilation)
        return int(weight.shape[0] // groups * prod(map(min, met, size)))
    return int(weight.shape[1] * prod(min(k, n) for k, n in zip(kernel, size, strict=True)))


@rule("convolution")
def convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Bounded:
    """Convolution of any number of dimensions, transposed or not; the bias is one term more."""
    options = (stride, padding, dilation, transposed, output_padding, groups)

    def form(a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = aten.convolution.default(a, b, None, *options)
        return result

    y = bilinear(form, x, weight, forward_terms(x, weight, stride, dilation, transposed, groups))
    if bias is None:
        return y
    return add(y, reshaped(bias, (-1, *(1 for _ in stride))))


@rule("convolution_backward")
def convolution_backward(
    dy: Any,
    x: Any,
    weight: Any,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Bounded | None, Bounded | None, Bounded | None]:
    """The gradients of input, weight and bias: two more bilinear forms and a sum."""
    options = (stride, padding, dilation, transposed, output_padding, groups)
    like_x, like_weight = parts(x)[0], parts(weight)[0]

    def to_x(g: Tensor, w: Tensor) -> Tensor:
        mask = [True, False, False]
        result: Tensor = aten.convolution_backward.default(g, like_x, w, None, *options, mask)[0]
        return result

    def to_weight(g: Tensor, a: Tensor) -> Tensor:
        mask = [False, True, False]
        result: Tensor = aten.convolution_backward.default(g, a, like_weight, None, *options, mask)[
            1
        ]
        return result

    dx = dweight = dbias = None
    if output_mask[0]:
        # a transposed convolution's input gradient is a plain convolution, and the reverse
        kernel = weight.shape[2:]
        if transposed:
            n = weight.shape[1] * prod(kernel)
        else:
            n = weight.shape[0] // groups * prod(_meeting(kernel, stride, dilation))
        dx = bilinear(to_x, dy, weight, n)
    if output_mask[1]:
        smaller = x if transposed else dy
        dweight = bilinear(to_weight, dy, x, smaller.shape[0] * prod(smaller.shape[2:]))
    if output_mask[2]:
        dbias = sum_(dy, [0, *range(2, dy.dim())])
    return dx, dweight, dbias


@rule("_trilinear")
def trilinear(
    a: Any,
    b: Any,
    c: Any,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Bounded:
    """Sums of products of three; as two matrix products it takes no more roundings."""

    def form(*xyz: Tensor) -> Tensor:
        result: Tensor = aten._trilinear.default(
            *xyz, expand1, expand2, expand3, sumdim, unroll_dim
        )
        return result

    operands = [parts(a), parts(b), parts(c)]
    shapes = []
    for (value, _), expand in zip(operands, (expand1, expand2, expand3), strict=True):
        sizes = list(value.shape)
        for d in sorted(expand):
            sizes.insert(d, 1)
        shapes.append(sizes)
    n = prod(max(sizes[d] for sizes in shapes) for d in sumdim)
    p = setting().precision
    values = [value for value, _ in operands]
    largest = [v.abs() if e is None else v.abs() + e for v, e in operands]
    error = form(*largest).mul_((n + 1) * p.u)
    if setting().watching:
        watch(form(*largest))
    for i, (_, e) in enumerate(operands):
        if e is not None:
            error += form(*largest[:i], e, *(v.abs() for v in values[i + 1 :]))
        # what a product of the other two loses to underflow is multiplied by this one
        others = [torch.ones_like(v) for v in values]
        error += form(*others[:i], largest[i], *others[i + 1 :]).mul_(p.eta)
    # what a product of two loses below the normal range is multiplied by the third
    factor = 1.0 + max((float(v.max()) for v in largest if v.numel()), default=0.0)
    return finished(form(*values), error.add_((n + 1) * p.eta * factor)).is_sum_of(n)
