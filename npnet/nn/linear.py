"""Linear layers: an affine map of one input, and one bilinear in two."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads, ShapeError, State
from npnet.nn._guards import require_floats


@dataclass(frozen=True)
class Linear:
    """y = x Wᵀ + b.

    x: (*batch, in_features)    y: (*batch, out_features)
    weight W: (out_features, in_features)    bias b: (out_features,)

    dx = dy W    dW = dyᵀ x    db = Σ dy, summed over the batch

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Linear.
    """

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        if min(self.in_features, self.out_features) < 0:
            raise ConfigError(f"Linear needs sizes that are not negative, but got {self}.")

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        return shapes | {"bias": (self.out_features,)} if self.bias else shapes

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-k, k), where k = 1 / √in_features; a bias without inputs is 0."""
        return _uniform(rng, self._shapes, self.in_features)

    def __call__(self, state: State, x: Array) -> Forward:
        """y, and the gradients of x, weight and bias."""
        require_floats(self, x, state)
        _require_shapes(self, state, self._shapes)
        if x.shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"{self} needs x of shape (*batch, {self.in_features}), but got {x.shape}. "
                f"You might need in_features={x.shape[-1] if x.ndim else 1}."
            )

        W = state["weight"]
        rows = x.reshape(math.prod(x.shape[:-1]), self.in_features)
        y = rows @ W.T
        if self.bias:
            y += state["bias"]

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(len(rows), self.out_features)
            params = {"weight": dy.T @ rows}
            if self.bias:
                params["bias"] = dy.sum(0)
            return Grads(((dy @ W).reshape(x.shape),), params)

        return Forward(y.reshape(*x.shape[:-1], self.out_features), vjp)


@dataclass(frozen=True)
class Bilinear:
    """y_o = x1ᵀ W_o x2 + b_o.

    x1: (*batch, in1_features)    x2: (*batch, in2_features)    y: (*batch, out_features)
    weight W: (out_features, in1_features, in2_features)    bias b: (out_features,)

    dx1 = Σ_o dy_o W_o x2    dx2 = Σ_o dy_o W_oᵀ x1
    dW_o = Σ dy_o x1 x2ᵀ    db_o = Σ dy_o, summed over the batch

    Raises ConfigError, ShapeError, DtypeError.
    Twin: torch.nn.Bilinear.
    """

    in1_features: int
    in2_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        if self.in1_features < 1 or min(self.in2_features, self.out_features) < 0:
            raise ConfigError(
                "Bilinear needs in1_features >= 1, and no other size to be negative, "
                f"but got {self}."
            )

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        m, n, out = self.in1_features, self.in2_features, self.out_features
        shapes: dict[str, tuple[int, ...]] = {"weight": (out, m, n)}
        return shapes | {"bias": (out,)} if self.bias else shapes

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """weight, bias ~ U(-k, k), where k = 1 / √in1_features."""
        return _uniform(rng, self._shapes, self.in1_features)

    def __call__(self, state: State, x1: Array, x2: Array) -> Forward:
        """y, and the gradients of x1, x2, weight and bias."""
        require_floats(self, x1, {"x2": x2, **state})
        _require_shapes(self, state, self._shapes)
        batch, m, n = x1.shape[:-1], self.in1_features, self.in2_features
        if (x1.shape[-1:], x2.shape[-1:]) != ((m,), (n,)) or batch != x2.shape[:-1]:
            raise ShapeError(
                f"{self} needs x1 of shape (*batch, {m}) and x2 of shape (*batch, {n}), but got "
                f"{x1.shape} and {x2.shape}. The batch axes are not broadcast."
            )

        rows, out, W = math.prod(batch), self.out_features, state["weight"]
        a, b = x1.reshape(rows, m), x2.reshape(rows, n, 1)
        aW = (a @ W.transpose(1, 0, 2).reshape(m, out * n)).reshape(rows, out, n)
        y = (aW @ b).reshape(rows, out)
        if self.bias:
            y += state["bias"]

        def vjp(dy: Array) -> Grads:
            dy = dy.reshape(rows, out)
            dx1 = (dy @ W.reshape(out, m * n)).reshape(rows, m, n) @ b
            dx2 = dy.reshape(rows, 1, out) @ aW
            da = (dy.reshape(rows, out, 1) * a.reshape(rows, 1, m)).reshape(rows, out * m)
            params = {"weight": (da.T @ b.reshape(rows, n)).reshape(W.shape)}
            if self.bias:
                params["bias"] = dy.sum(axis=0)
            return Grads((dx1.reshape(x1.shape), dx2.reshape(x2.shape)), params)

        return Forward(y.reshape(*batch, out), vjp)


def _uniform(
    rng: np.random.Generator, shapes: Mapping[str, tuple[int, ...]], fan_in: int
) -> dict[str, Array]:
    """Every entry ~ U(-k, k), where k = 1 / √fan_in, or 0 without inputs."""
    k = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return {name: rng.uniform(-k, k, shape).astype(np.float32) for name, shape in shapes.items()}


def _require_shapes(layer: object, state: State, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The state has these entries, in these shapes."""
    for name, shape in shapes.items():
        found = state[name].shape if name in state else None
        if found != shape:
            raise ShapeError(
                f"{layer} needs its state to hold {name} of shape {shape}, but got "
                f"{'no such entry' if found is None else found}."
            )
