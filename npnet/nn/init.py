"""Initialisers: functions of a Generator and a shape, after torch.nn.init.

    weight = nn.init.kaiming_uniform(rng, (64, 3, 3, 3), nonlinearity="relu")

torch's fill a tensor in place, and their names end in an underscore; these return a new array of
`dtype`. All take rng and shape first, those that draw nothing too, so that one can stand in for
another; the arguments behind are torch's. A weight has the axes (out, in, *window), so that
fan_in = in · window and fan_out = out · window. For a transposed convolution, whose weight is
(in, out, *window), the two are exchanged, in torch and here.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike
from scipy import special

from npnet.contract import Array, ConfigError, ShapeError

Rng: TypeAlias = np.random.Generator
Shape: TypeAlias = tuple[int, ...]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity wants its weights larger than for a linear layer.

    1 for "linear", "conv1d" and the like, and "sigmoid"; 5/3 for "tanh"; √2 for "relu";
    √(2 / (1 + param²)) for "leaky_relu" with the slope param (None: 0.01); 3/4 for "selu".

    Raises ConfigError. Twin: torch.nn.init.calculate_gain.
    """
    linear = {"linear", "sigmoid", *(f"conv{t}{d}d" for t in ("", "_transpose") for d in (1, 2, 3))}
    if nonlinearity in linear:
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope * slope))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        raise ConfigError(
            "calculate_gain needs 'linear', 'sigmoid', 'conv1d' and the like, 'tanh', 'relu', "
            f"'leaky_relu' or 'selu', but got {nonlinearity!r}."
        )
    return gains[nonlinearity]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (out, in, *window). Raises ShapeError."""
    if len(shape) < 2:
        raise ShapeError(f"fans need a weight of two axes or more, but got the shape {shape}.")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def uniform(
    rng: Rng, shape: Shape, a: float = 0.0, b: float = 1.0, *, dtype: DTypeLike = np.float32
) -> Array:
    """Every entry ~ U(a, b). Twin: torch.nn.init.uniform_."""
    return rng.uniform(a, b, shape).astype(dtype)


def normal(
    rng: Rng, shape: Shape, mean: float = 0.0, std: float = 1.0, *, dtype: DTypeLike = np.float32
) -> Array:
    """Every entry ~ N(mean, std²). Twin: torch.nn.init.normal_."""
    return rng.normal(mean, std, shape).astype(dtype)


def trunc_normal(
    rng: Rng,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    dtype: DTypeLike = np.float32,
) -> Array:
    """Every entry ~ N(mean, std²), on the condition that it lies in [a, b].

    a and b are values, not multiples of std.

    Drawn by the inverse of the distribution function, in logarithms, so that far tails have their
    right shape too. Raises ConfigError. Twin: torch.nn.init.trunc_normal_.
    """
    if not a < b or std <= 0:
        raise ConfigError(f"trunc_normal needs a < b and std > 0, but got {a}, {b} and std={std}.")
    low, high, sign = (a - mean) / std, (b - mean) / std, 1.0
    if low > 0:  # the left tail has the digits
        low, high, sign = -high, -low, -1.0
    u = rng.random(shape)
    with np.errstate(divide="ignore"):
        p = np.logaddexp(special.log_ndtr(low) + np.log1p(-u), special.log_ndtr(high) + np.log(u))
    z = sign * np.clip(special.ndtri_exp(p), low, high)
    kept: Array = np.clip((mean + std * z).astype(dtype), a, b)
    return kept.astype(dtype, copy=False)


def constant(rng: Rng, shape: Shape, val: float, *, dtype: DTypeLike = np.float32) -> Array:
    """Every entry is val; rng is not used. Twin: torch.nn.init.constant_."""
    return np.full(shape, val, dtype)


def ones(rng: Rng, shape: Shape, *, dtype: DTypeLike = np.float32) -> Array:
    """Every entry is 1; rng is not used. Twin: torch.nn.init.ones_."""
    return np.ones(shape, dtype)


def zeros(rng: Rng, shape: Shape, *, dtype: DTypeLike = np.float32) -> Array:
    """Every entry is 0; rng is not used. Twin: torch.nn.init.zeros_."""
    return np.zeros(shape, dtype)


def eye(rng: Rng, shape: Shape, *, dtype: DTypeLike = np.float32) -> Array:
    """1 on the diagonal, else 0; rng is not used. Raises ShapeError. Twin: torch.nn.init.eye_."""
    if len(shape) != 2:
        raise ShapeError(f"eye needs a shape of two axes, but got {shape}.")
    return np.eye(*shape, dtype=dtype)


def dirac(rng: Rng, shape: Shape, groups: int = 1, *, dtype: DTypeLike = np.float32) -> Array:
    """A convolution with this weight keeps its input: 1 in the middle of the window, in -> in.

    In every group, output d copies input d, as far as there are both; rng is not used. The middle
    of a window of even size n is n // 2.

    Raises ShapeError. Twin: torch.nn.init.dirac_.
    """
    if len(shape) not in (3, 4, 5) or shape[0] % groups:
        raise ShapeError(
            "dirac needs a shape of 3 to 5 axes, the first a multiple of groups, but got "
            f"{shape} with groups={groups}."
        )
    weight = np.zeros(shape, dtype)
    per_group = shape[0] // groups
    middle = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for d in range(min(per_group, shape[1])):
            weight[(group * per_group + d, d, *middle)] = 1
    return weight


def xavier_uniform(
    rng: Rng, shape: Shape, gain: float = 1.0, *, dtype: DTypeLike = np.float32
) -> Array:
    """Every entry ~ U(-b, b) with b = gain · √(6 / (fan_in + fan_out)).

    Raises ShapeError. Twin: torch.nn.init.xavier_uniform_. Source: Glorot & Bengio (2010), PMLR 9,
    249-256.
    """
    bound = gain * math.sqrt(6 / sum(fans(shape)))
    return uniform(rng, shape, -bound, bound, dtype=dtype)


def xavier_normal(
    rng: Rng, shape: Shape, gain: float = 1.0, *, dtype: DTypeLike = np.float32
) -> Array:
    """Every entry ~ N(0, s²) with s = gain · √(2 / (fan_in + fan_out)).

    Raises ShapeError. Twin: torch.nn.init.xavier_normal_. Source: as for xavier_uniform.
    """
    return normal(rng, shape, 0.0, gain * math.sqrt(2 / sum(fans(shape))), dtype=dtype)


def kaiming_uniform(
    rng: Rng,
    shape: Shape,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: DTypeLike = np.float32,
) -> Array:
    """Every entry ~ U(-b, b) with b = gain · √(3 / fan), gain = calculate_gain(nonlinearity, a).

    With a = √5 that is b = 1 / √fan_in, which torch's linear layers and convolutions start from.

    Raises ConfigError, ShapeError. Twin: torch.nn.init.kaiming_uniform_. Source: He et al. (2015),
    arXiv:1502.01852.
    """
    std = _kaiming(shape, a, mode, nonlinearity)
    return uniform(rng, shape, -math.sqrt(3) * std, math.sqrt(3) * std, dtype=dtype)


def kaiming_normal(
    rng: Rng,
    shape: Shape,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: DTypeLike = np.float32,
) -> Array:
    """Every entry ~ N(0, s²) with s = gain / √fan, where gain = calculate_gain(nonlinearity, a).

    Raises ConfigError, ShapeError. Twin: torch.nn.init.kaiming_normal_. Source: as for
    kaiming_uniform.
    """
    return normal(rng, shape, 0.0, _kaiming(shape, a, mode, nonlinearity), dtype=dtype)


def _kaiming(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    """The standard deviation; of a weight without entries it makes no difference."""
    if mode not in ("fan_in", "fan_out"):
        raise ConfigError(f"kaiming needs mode 'fan_in' or 'fan_out', but got {mode!r}.")
    fan = fans(shape)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan or 1)


def orthogonal(
    rng: Rng, shape: Shape, gain: float = 1.0, *, dtype: DTypeLike = np.float32
) -> Array:
    """gain · Q, where Q, as a matrix of (out, the rest), has orthonormal rows or columns.

    The shorter side is orthonormal. Q is uniform over such matrices: the signs of a QR
    decomposition are taken out of it.

    Raises ShapeError. Twin: torch.nn.init.orthogonal_. Source: Saxe, McClelland & Ganguli (2013),
    arXiv:1312.6120; the signs: Mezzadri (2007), arXiv:math-ph/0609050.
    """
    if len(shape) < 2:
        raise ShapeError(f"orthogonal needs two axes or more, but got the shape {shape}.")
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    oriented: Array = q if rows >= columns else q.T
    return (gain * oriented).reshape(shape).astype(dtype)


def sparse(
    rng: Rng, shape: Shape, sparsity: float, std: float = 0.01, *, dtype: DTypeLike = np.float32
) -> Array:
    """Every entry ~ N(0, std²), but ⌈sparsity · rows⌉ of every column are 0.

    Raises ShapeError. Twin: torch.nn.init.sparse_. Source: Martens (2010), ICML.
    """
    if len(shape) != 2:
        raise ShapeError(f"sparse needs a shape of two axes, but got {shape}.")
    weight = normal(rng, shape, 0.0, std, dtype=dtype)
    order = np.argsort(rng.random(shape), axis=0)
    np.put_along_axis(weight, order[: math.ceil(sparsity * shape[0])], 0, axis=0)
    return weight
