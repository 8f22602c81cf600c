"""Every rule against the operation itself, written in NumPy and evaluated in other precisions.

In 80 bits, on inputs moved within their errors: the result stays within the bound. In float32 and
float16, on exact inputs: so does what these precisions really make of it. And the bound is not
slacker than a stated factor over the worst of these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy import special

import npnet.twins.oracle.rules  # noqa: F401
from npnet.twins.oracle.bounded import Bounded, Setting, error_of, using
from npnet.verify.precision import PRECISIONS

aten = torch.ops.aten
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """An operation, called through torch on bounded tensors and written out in NumPy."""

    name: str
    ours: Callable[..., Any]
    numpy: Callable[..., Any]
    shapes: tuple[Shape, ...]
    domain: Callable[[np.random.Generator, Shape], np.ndarray] | None = None
    slack: float = 16.0  # the bound over the worst seen, at the median element
    kinked: bool = False  # jumps where a perturbation crosses a kink: no slack can be stated
    rounds: bool = True  # whether the operation rounds at all


def normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.uniform(0.25, 3.0, shape)


def unit(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.uniform(0.02, 0.98, shape)


def wide(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape) * 2.0 ** rng.integers(-4, 5, shape)


def integers(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.integers(-2, 3, shape).astype(np.float64)


def erf(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.longdouble:
        return np.asarray(special.erf(x.astype(np.float64)), x.dtype)
    digits = np.frompyfunc(lambda z: np.longdouble(mpmath.nstr(mpmath.erf(repr_of(z)), 25)), 1, 1)
    return np.asarray(digits(x), np.longdouble)


def repr_of(z: Any) -> Any:
    return mpmath.mpf(np.format_float_scientific(z, precision=25, unique=False))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(x):
    s = x - x.max(-1, keepdims=True)
    return s - np.log(np.exp(s).sum(-1, keepdims=True))


def gelu(x):
    return x * (1 + erf(x * np.sqrt(x.dtype.type(0.5)))) / 2


def gelu_backward(dy, x):
    density = np.exp(-x * x / 2) / np.sqrt(2 * x.dtype.type(np.pi if x.itemsize <= 8 else PI))
    return dy * ((1 + erf(x * np.sqrt(x.dtype.type(0.5)))) / 2 + x * density)


PI = np.longdouble("3.14159265358979323846264338327950288")


def tanh_of_gelu(x):
    return np.tanh(np.sqrt(2 / x.dtype.type(PI)) * (x + x.dtype.type(0.044715) * x**3))


def gelu_tanh(x):
    return x * (1 + tanh_of_gelu(x)) / 2


def gelu_tanh_backward(dy, x):
    t = tanh_of_gelu(x)
    inner = np.sqrt(2 / x.dtype.type(PI)) * (1 + 3 * x.dtype.type(0.044715) * x * x)
    return dy * (1 + t + x * (1 - t * t) * inner) / 2


def statistics(x, axes, eps):
    m = x.mean(axes, keepdims=True)
    return m, x - m, 1 / np.sqrt(((x - m) ** 2).mean(axes, keepdims=True) + x.dtype.type(eps))


EPS = 2.0**-10


def layer_norm(x, w, b):
    m, c, r = statistics(x, -1, EPS)
    return c * r * w + b, m, r


def normalized_gradient(g, c, r, axes):
    xhat = c * r
    gm, gxm = g.mean(axes, keepdims=True), (g * xhat).mean(axes, keepdims=True)
    return r * (g - gm - xhat * gxm)


def layer_norm_backward(dy, x, w, b):
    _, c, r = statistics(x, -1, EPS)
    return normalized_gradient(dy * w, c, r, -1), (dy * c * r).sum(0), dy.sum(0)


def ours_layer_norm_backward(dy, x, w, b):
    _, m, r = aten.native_layer_norm.default(x, [4], w, b, EPS)
    return aten.native_layer_norm_backward.default(dy, x, [4], m, r, w, b, [True] * 3)


def batch_norm(x, w, b):
    _, c, r = statistics(x, (0, 2), EPS)
    return c * r * w[:, None] + b[:, None]


def batch_norm_backward(dy, x, w):
    _, c, r = statistics(x, (0, 2), EPS)
    dx = normalized_gradient(dy * w[:, None], c, r, (0, 2))
    return dx, (dy * c * r).sum((0, 2)), dy.sum((0, 2))


def ours_batch_norm_backward(dy, x, w):
    _, m, r = aten.native_batch_norm.default(x, w, None, None, None, True, 0.0, EPS)
    return aten.native_batch_norm_backward.default(
        dy, x, w, None, None, m, r, True, EPS, [True] * 3
    )


def running(x, rm, rv):
    n = x.shape[0] * x.shape[2]
    var = ((x - x.mean((0, 2), keepdims=True)) ** 2).sum((0, 2)) / (n - 1)
    w = x.dtype.type(0.125)
    return (1 - w) * rm + w * x.mean((0, 2)), (1 - w) * rv + w * var


def ours_running(x, rm, rv):
    rm, rv = rm.clone(), rv.clone()
    aten.native_batch_norm.default(x, None, None, rm, rv, True, 0.125, EPS)
    return rm, rv


def batch_norm_eval(x, w, b, rm, rv):
    return (x - rm[:, None]) / np.sqrt(rv[:, None] + x.dtype.type(EPS)) * w[:, None] + b[:, None]


def patches(x, kernel, stride):
    v = np.lib.stride_tricks.sliding_window_view(x, kernel, (-2, -1))
    return v[..., :: stride[0], :: stride[1], :, :]


CONV = {"stride": [2, 1], "padding": [1, 0], "dilation": [1, 1], "transposed": False}


def conv(x, w, b):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    return np.einsum("nchwij,ocij->nohw", patches(x, (2, 3), (2, 1)), w) + b[:, None, None]


def conv_backward(dy, x, w):
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    p = patches(xp, (2, 3), (2, 1))
    dx = np.zeros_like(xp)
    for h in range(p.shape[2]):
        for v in range(p.shape[3]):
            dx[:, :, 2 * h : 2 * h + 2, v : v + 3] += np.einsum("no,ocij->ncij", dy[:, :, h, v], w)
    return dx[:, :, 1:-1], np.einsum("nchwij,nohw->ocij", p, dy), dy.sum((0, 2, 3))


def ours_conv(x, w, b):
    return aten.convolution.default(x, w, b, *CONV.values(), [0, 0], 1)


def ours_conv_backward(dy, x, w):
    return aten.convolution_backward.default(dy, x, w, [3], *CONV.values(), [0, 0], 1, [True] * 3)


def conv_transposed(x, w):
    y = np.zeros((x.shape[0], w.shape[1], *(np.array(x.shape[2:]) + 1)), x.dtype)
    for h in range(x.shape[2]):
        for v in range(x.shape[3]):
            y[:, :, h : h + 2, v : v + 2] += np.einsum("nc,coij->noij", x[:, :, h, v], w)
    return y


def ours_conv_transposed(x, w):
    return aten.convolution.default(x, w, None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1)


def avg_pool_backward(dy):
    dx = np.zeros((2, 3, 5), dy.dtype)
    for h in range(2):
        for v in range(4):
            dx[:, h : h + 2, v : v + 2] += dy[:, h : h + 1, v : v + 1] / 4
    return dx


def max_pool_backward(dy, x):
    dx = np.zeros_like(x)
    for c in range(x.shape[0]):
        for h in range(dy.shape[1]):
            for v in range(dy.shape[2]):
                window = x[c, h : h + 2, v : v + 2]
                i, j = np.unravel_index(window.argmax(), (2, 2))
                dx[c, h + i, v + j] += dy[c, h, v]
    return dx


def ours_max_pool_backward(dy, x):
    options = [2, 2], [1, 1], [0, 0], [1, 1]
    indices = aten.max_pool2d_with_indices.default(x, *options)[1]
    return aten.max_pool2d_with_indices_backward.default(dy, x, *options, False, indices)


def reflection_backward(dy):
    dx = dy[:, 2:-1].copy()
    dx[:, 1] += dy[:, 1]
    dx[:, 2] += dy[:, 0]
    dx[:, -2] += dy[:, -1]
    return dx


ROWS = np.array([0, 2, 2, 1, 2])
TARGET = np.array([0, 2, 1, -100])


def embedding_backward(dy, by_frequency=False):
    dw = np.zeros((4, dy.shape[1]), dy.dtype)
    np.add.at(dw, ROWS, dy)
    if by_frequency:
        dw /= np.maximum(np.bincount(ROWS, minlength=4), 1).astype(dy.dtype)[:, None]
    dw[1] = 0
    return dw


def nll(x, w):
    kept = TARGET >= 0
    used = w[TARGET[kept]]
    return -(used * x[kept, TARGET[kept]]).sum() / used.sum()


def ours_nll(x, w):
    return aten.nll_loss_forward.default(x, torch.from_numpy(TARGET), w, 1, -100)[0]


def nll_backward(dy, w):
    kept = TARGET >= 0
    dx = np.zeros((4, 3), dy.dtype)
    dx[kept, TARGET[kept]] = -w[TARGET[kept]] * dy / w[TARGET[kept]].sum()
    return dx


def ours_nll_backward(dy, w):
    x, target = torch.zeros(4, 3), torch.from_numpy(TARGET)
    total = aten.nll_loss_forward.default(x, target, w, 1, -100)[1]
    return aten.nll_loss_backward.default(dy, x, target, w, 1, -100, total)


def bce(x, t, w):
    return (1 - t) * x + (1 + (w - 1) * t) * (np.log1p(np.exp(-abs(x))) + np.maximum(-x, 0))


def renorm(w):
    norm = np.sqrt((w * w).sum(-1, keepdims=True))
    return np.where(norm > 1, w * (1 / (norm + w.dtype.type(1e-7))), w)


def ours_renorm(w):
    w = w.clone()
    aten.embedding_renorm_.default(w, torch.arange(w.shape[0]), 1.0, 2.0)
    return w


V = ((3, 4),)
TWO = ((3, 4), (3, 4))
unary: list[tuple[str, Callable[..., Any], Callable[..., Any], Any]] = [
    ("neg", torch.neg, np.negative, normal),
    ("abs", torch.abs, np.abs, normal),
    ("sqrt", torch.sqrt, np.sqrt, positive),
    ("rsqrt", torch.rsqrt, lambda x: 1 / np.sqrt(x), positive),
    ("reciprocal", torch.reciprocal, lambda x: 1 / x, positive),
    ("exp", torch.exp, np.exp, normal),
    ("expm1", torch.expm1, np.expm1, normal),
    ("exp2", torch.exp2, np.exp2, normal),
    ("log", torch.log, np.log, positive),
    ("log2", torch.log2, np.log2, positive),
    ("log1p", torch.log1p, np.log1p, positive),
    ("tanh", torch.tanh, np.tanh, wide),
    ("sigmoid", torch.sigmoid, sigmoid, normal),
    ("erf", torch.erf, erf, normal),
    ("sin", torch.sin, np.sin, wide),
    ("cos", torch.cos, np.cos, wide),
    ("square", lambda x: x**2, lambda x: x * x, normal),
    ("cube", lambda x: x**3, lambda x: x * x * x, normal),
    ("power", lambda x: x**1.5, lambda x: x ** x.dtype.type(1.5), positive),
    ("relu", torch.relu, lambda x: np.maximum(x, 0), integers),
    ("clamp", lambda x: x.clamp(-1, 1), lambda x: np.clip(x, -1, 1), integers),
    ("sum", lambda x: x.sum(1), lambda x: x.sum(1), wide),
    ("mean", lambda x: x.mean(0), lambda x: x.mean(0), wide),
    ("var", lambda x: x.var(1), lambda x: x.var(1, ddof=1), normal),
    ("std", lambda x: x.std(1, correction=0), lambda x: x.std(1), normal),
    ("cumsum", lambda x: x.cumsum(1), lambda x: np.cumsum(x, 1), wide),
    ("amax", lambda x: x.amax(1), lambda x: x.max(1), integers),
    ("norm", lambda x: torch.linalg.vector_norm(x, dim=1), lambda x: np.sqrt((x * x).sum(1)), wide),
    ("logsumexp", lambda x: x.logsumexp(1), lambda x: np.log(np.exp(x).sum(1)), normal),
    ("softmax", lambda x: x.softmax(1), softmax, normal),
    ("log_softmax", lambda x: x.log_softmax(1), log_softmax, normal),
    ("gelu", lambda x: aten.gelu.default(x), gelu, wide),
    ("gelu tanh", lambda x: aten.gelu.default(x, approximate="tanh"), gelu_tanh, normal),
    ("scaled", lambda x: x * 0.75 + 2, lambda x: x * x.dtype.type(0.75) + 2, normal),
    ("divided", lambda x: x / 7, lambda x: x / 7, normal),
    ("running", lambda x: x[1:, ::2].t(), lambda x: x[1:, ::2].T, normal),
    ("padded", lambda x: torch.nn.functional.pad(x, (1, 2), value=0.5),
     lambda x: np.pad(x, ((0, 0), (1, 2)), constant_values=0.5), normal),
    ("renorm", ours_renorm, renorm, normal),
]  # fmt: skip
PASSES = {"neg", "abs", "relu", "clamp", "amax", "running", "padded"}

CASES = [
    Case("sum of all", torch.sum, np.sum, ((2, 3),), wide),
    *(Case(n, f, g, V, d, kinked=n in {"renorm"}, rounds=n not in PASSES) for n, f, g, d in unary),
    Case("add", torch.add, np.add, TWO),
    Case("add broadcast", torch.add, np.add, ((3, 4), (4,))),
    Case("sub", torch.sub, np.subtract, TWO),
    Case("rsub", lambda x: 1 - x, lambda x: 1 - x, V),
    Case("mul", torch.mul, np.multiply, TWO, wide),
    Case("mul broadcast", torch.mul, np.multiply, ((3, 1), (4,))),
    Case("div", torch.div, np.divide, TWO, positive),
    Case("pow", torch.pow, np.power, TWO, positive),
    Case("pow by a logarithm", torch.pow, lambda a, b: np.exp(b * np.log(a)), TWO, positive),
    Case("lerp", lambda a, b: torch.lerp(a, b, 0.25), lambda a, b: a + (b - a) / 4, TWO),
    Case("addcmul", lambda a, b, c: torch.addcmul(a, b, c, value=0.25),
         lambda a, b, c: a + b * c / 4, (*TWO, (3, 4))),
    Case("addcdiv", lambda a, b, c: torch.addcdiv(a, b, c, value=-0.75),
         lambda a, b, c: a - b / c * a.dtype.type(0.75), (*TWO, (3, 4)), positive),
    Case("maximum", torch.maximum, np.maximum, TWO, integers, rounds=False),
    Case("where", lambda a, b: torch.where(a > 0, a, b), lambda a, b: np.where(a > 0, a, b), TWO,
         integers, kinked=True, rounds=False),
    Case("mm", torch.mm, np.matmul, ((3, 5), (5, 2))),
    Case("mm wide", torch.mm, np.matmul, ((3, 5), (5, 2)), wide),
    Case("bmm", torch.bmm, np.matmul, ((2, 3, 4), (2, 4, 2))),
    Case("mv", torch.mv, np.matmul, ((3, 5), (5,))),
    Case("addmm", torch.addmm, lambda c, a, b: a @ b + c, ((2,), (3, 5), (5, 2))),
    Case("two sums", lambda a, b, c, d: a @ b + c @ d, lambda a, b, c, d: a @ b + c @ d,
         ((2, 3), (3, 2), (2, 4), (4, 2))),
    Case("trilinear", lambda a, w, b: torch._trilinear(a, w, b, [1, 3], [0], [1, 2], [2, 3]),
         lambda a, w, b: np.einsum("ni,oij,nj->no", a, w, b), ((3, 2), (2, 2, 3), (3, 3))),
    Case("conv", ours_conv, conv, ((2, 2, 4, 4), (3, 2, 2, 3), (3,))),
    Case("conv transposed", ours_conv_transposed, conv_transposed, ((2, 2, 2, 3), (2, 3, 2, 2))),
    Case("conv backward", ours_conv_backward, conv_backward,
         ((2, 3, 3, 2), (2, 2, 4, 4), (3, 2, 2, 3))),
    Case("softmax backward", lambda dy, y: aten._softmax_backward_data(dy, y, 1, torch.float64),
         lambda dy, y: y * (dy - (dy * y).sum(1, keepdims=True)), TWO, unit),
    Case("log_softmax backward",
         lambda dy, y: aten._log_softmax_backward_data(dy, y, 1, torch.float64),
         lambda dy, y: dy - np.exp(y) * dy.sum(1, keepdims=True), TWO),
    Case("tanh backward", aten.tanh_backward, lambda dy, y: dy * (1 - y * y), TWO, unit),
    Case("sigmoid backward", aten.sigmoid_backward, lambda dy, y: dy * y * (1 - y), TWO, unit),
    Case("gelu backward", aten.gelu_backward, gelu_backward, TWO),
    Case("gelu tanh backward", lambda dy, x: aten.gelu_backward(dy, x, approximate="tanh"),
         gelu_tanh_backward, TWO),
    Case("layer_norm", lambda x, w, b: aten.native_layer_norm(x, [4], w, b, EPS), layer_norm,
         ((3, 4), (4,), (4,))),
    Case("layer_norm backward", ours_layer_norm_backward, layer_norm_backward,
         ((3, 4), (3, 4), (4,), (4,)), slack=25.0),
    Case("batch_norm",
         lambda x, w, b: aten.native_batch_norm(x, w, b, None, None, True, 0.0, EPS)[0],
         batch_norm, ((3, 2, 2), (2,), (2,))),
    Case("batch_norm backward", ours_batch_norm_backward, batch_norm_backward,
         ((3, 2, 2), (3, 2, 2), (2,)), slack=25.0),
    Case("batch_norm statistics", ours_running, running, ((3, 2, 2), (2,), (2,)), positive),
    Case("batch_norm eval",
         lambda x, w, b, m, v: aten.native_batch_norm(x, w, b, m, v, False, 0.0, EPS)[0],
         batch_norm_eval, ((3, 2, 2), (2,), (2,), (2,), (2,)), positive),
    Case("mse", lambda x, t: aten.mse_loss(x, t), lambda x, t: ((x - t) ** 2).mean(), TWO),
    Case("mse backward", lambda dy, x, t: aten.mse_loss_backward(dy, x, t, 1),
         lambda dy, x, t: 2 * (x - t) * dy / x.size, ((), *TWO)),
    Case("bce", lambda x, t, w: aten.binary_cross_entropy_with_logits(x, t, None, w, 0), bce,
         (*TWO, (4,)), unit),
    Case("log_sigmoid", lambda x: aten.log_sigmoid_forward(x)[0],
         lambda x: np.log(sigmoid(x)) if x.dtype == np.longdouble
         else -(np.log1p(np.exp(-abs(x))) + np.maximum(-x, 0)), V),
    Case("nll", ours_nll, nll, ((4, 3), (3,)), positive),
    Case("nll backward", ours_nll_backward, nll_backward, ((), (3,)), positive),
    Case("avg_pool", lambda x: aten.avg_pool2d(x, [2, 2], [1, 1]),
         lambda x: patches(x, (2, 2), (1, 1)).mean((-1, -2)), ((2, 3, 5),)),
    Case("avg_pool backward",
         lambda dy: aten.avg_pool2d_backward(
             dy, torch.zeros(2, 3, 5).double(), [2, 2], [1, 1], [0, 0], False, True, None),
         avg_pool_backward, ((2, 2, 4),)),
    Case("max_pool", lambda x: aten.max_pool2d_with_indices(x, [2, 2], [1, 1])[0],
         lambda x: patches(x, (2, 2), (1, 1)).max((-1, -2)), ((2, 3, 5),), integers, rounds=False),
    Case("max_pool backward", ours_max_pool_backward, max_pool_backward, ((2, 2, 4), (2, 3, 5)),
         integers, kinked=True),
    Case("reflection_pad backward",
         lambda dy: aten.reflection_pad1d_backward(dy, torch.zeros(2, 4).double(), [2, 1]),
         reflection_backward, ((2, 7),)),
    Case("embedding backward",
         lambda dy: aten.embedding_dense_backward(dy, torch.from_numpy(ROWS), 4, 1, False),
         embedding_backward, ((5, 3),)),
    Case("embedding backward by frequency",
         lambda dy: aten.embedding_dense_backward(dy, torch.from_numpy(ROWS), 4, 1, True),
         lambda dy: embedding_backward(dy, True), ((5, 3),)),
    Case("index_add", lambda x, s: x.index_add(0, torch.from_numpy(ROWS), s),
         lambda x, s: x + np.stack([s[i == ROWS].sum(0) for i in range(3)]), ((3, 2), (5, 2))),
    Case("index_put", lambda x, s: x.index_put((torch.from_numpy(ROWS),), s, accumulate=True),
         lambda x, s: x + np.stack([s[i == ROWS].sum(0) for i in range(3)]), ((3, 2), (5, 2))),
    Case("index_put along the second axis",
         lambda x, s: aten.index_put(x, [None, torch.from_numpy(ROWS)], s, True),
         lambda x, s: x + np.stack([s[:, i == ROWS].sum(1) for i in range(3)], 1),
         ((2, 3), (2, 5))),
    Case("scatter_add",
         lambda x, s: x.scatter_add(0, torch.from_numpy(ROWS)[:, None].expand(5, 2), s),
         lambda x, s: x + np.stack([s[i == ROWS].sum(0) for i in range(3)]), ((3, 2), (5, 2))),
]  # fmt: skip
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def results(x: Any) -> list[Any]:
    return [y for y in x if y is not None] if isinstance(x, tuple | list) else [x]


def bounded(case: Case, values: list[np.ndarray], errors: list[np.ndarray | None]) -> list[Any]:
    tensors = [
        Bounded(torch.tensor(v), None if e is None else torch.tensor(e))
        for v, e in zip(values, errors, strict=True)
    ]
    found = [(y.value.numpy(), error_of(y).numpy()) for y in results(case.ours(*tensors))]
    for value, error in found:
        assert np.isfinite(error[np.isfinite(value)]).all()
        assert (error >= 0).all()
    return found


def drawn(case: Case, rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    domain = case.domain or normal
    return [domain(rng, s).astype(dtype).astype(np.float64) for s in case.shapes]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@cases
def test_moved_within_their_errors_inputs_give_results_within_the_bound(
    case: Case, precision: str
) -> None:
    rng = np.random.default_rng(1)
    bits = {"float64": 2.0**-44, "float32": 2.0**-16}[precision]
    slack = []
    with using(Setting(PRECISIONS[precision])):
        for repeat in range(4):
            values = drawn(case, rng, np.float64)
            errors = [
                None if rng.random() < 0.25 and repeat else abs(v) * bits * rng.random(v.shape)
                for v in values
            ]
            ours = bounded(case, values, errors)
            worst = [np.zeros_like(value, np.longdouble) for value, _ in ours]
            for _ in range(12):
                moved = []
                for v, e in zip(values, errors, strict=True):
                    # not quite as far as the error allows: 80 bits round, too
                    step = 0.999 * (
                        rng.choice([-1, 1], v.shape) if rng.random() < 0.8 else rng.random()
                    )
                    moved.append(np.longdouble(v) + (0 if e is None else np.longdouble(e) * step))
                exact = results(case.numpy(*moved))
                for (value, error), y, w in zip(ours, exact, worst, strict=True):
                    off = abs(np.longdouble(value) - y)
                    # the bound is computed in float64, and rounds
                    assert (off <= error * (1 + 1e-12)).all(), f"{off} > {error}"
                    np.maximum(w, off, out=w)
            if not repeat:
                slack = [e / np.maximum(w, 1e-300) for (_, e), w in zip(ours, worst, strict=True)]
    if not case.kinked:
        assert max(np.median(s) for s in slack) <= case.slack


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@cases
def test_what_a_low_precision_makes_of_it_is_within_the_bound(case: Case, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    nearest = 0.0
    with using(Setting(PRECISIONS[np.dtype(dtype).name])):
        for _ in range(12):
            values = drawn(case, rng, dtype)
            ours = bounded(case, values, [None] * len(values))
            got = results(case.numpy(*(v.astype(dtype) for v in values)))
            for (value, error), y in zip(ours, got, strict=True):
                assert y.dtype == dtype
                off = abs(value - y.astype(np.float64))
                assert (off <= error).all(), f"{off} > {error}"
                nearest = max(nearest, np.max(off / np.maximum(error, 1e-300), initial=0.0))
    assert (nearest >= 1 / case.slack) == case.rounds or case.kinked


SUMS: dict[str, Callable[[Bounded], Any]] = {
    "sum": torch.sum,
    "mean": lambda x: x.mean() * 16.0,
    "cumsum": lambda x: x.cumsum(0)[-1],
    "dot": lambda x: torch.dot(x, Bounded(torch.ones(16, dtype=torch.float64))),
    "mm": lambda x: x[None] @ Bounded(torch.ones(16, 1, dtype=torch.float64)),
    "addmm": lambda x: torch.addmm(
        x[:1], x[None, 1:], Bounded(torch.ones(15, 1, dtype=torch.float64))
    ),
    "conv1d": lambda x: torch.conv1d(
        x[None, None], Bounded(torch.ones(1, 1, 16, dtype=torch.float64))
    ),
    "scatter_add": lambda x: x[:1].scatter_add(0, torch.zeros(15, dtype=torch.int64), x[1:]),
    "embedding backward": lambda x: aten.embedding_dense_backward(
        x[:, None], torch.zeros(16, dtype=torch.int64), 1, -1, False
    ),
    "avg_pool": lambda x: aten.avg_pool2d(x.view(1, 4, 4), [4, 4]) * 16.0,
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_that_loses_every_term_but_the_first_is_within_the_bound(name: str) -> None:
    p = PRECISIONS["float32"]
    terms = np.full(16, 0.99 * p.u)
    terms[0] = 1.0
    lost = np.float32(0)
    for term in terms.astype(np.float32):
        lost += term
    with using(Setting(p)):
        y = SUMS[name](Bounded(torch.tensor(terms.astype(np.float32).astype(np.float64))))
    off = abs(y.value.item() - float(lost))
    assert off <= error_of(y).item() <= 1.5 * off
