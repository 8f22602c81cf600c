"""SparseAdam: Adam on the rows that have a gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from npnet.contract import (
    Array,
    ConfigError,
    DtypeError,
    IndexRangeError,
    ShapeError,
    SparseGrad,
    State,
)
from npnet.optim._each import Entries, known, require_betas, require_not_negative


class SparseAdamState(NamedTuple):
    """By parameter, absent before its first step: the number of steps (an integer, as in torch) and
    the moving averages of g and g².
    """

    step: State
    exp_avg: State
    exp_avg_sq: State


@dataclass(frozen=True)
class SparseAdam:
    """Adam's step, for the elements alone that have a gradient; the others and their averages stay.

    m ← m + (1 - β₁)(g - m)    v ← v + (1 - β₂)(g² - v)    (β₁, β₂) = betas
    θ ← θ - lr · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + eps)

    A gradient is a SparseGrad, or None. Elements that it names more than once get the sum. g is the
    gradient, its sign changed with maximize. t counts the steps of the parameter, not of the
    element, an empty gradient's too. eps is added to √v before the correction, other than in Adam.

    Raises ConfigError; step raises ShapeError, DtypeError, IndexRangeError.
    Twin: torch.optim.SparseAdam.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    maximize: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr, eps=self.eps)
        if not (self.lr and self.eps):
            raise ConfigError(f"SparseAdam needs lr > 0 and eps > 0, but got {self}.")
        require_betas(self, self.betas)

    def init(self, params: State) -> SparseAdamState:
        """Nothing kept of any parameter."""
        return SparseAdamState({}, {}, {})

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept of a parameter, as its first step finds it."""
        zeros = np.zeros_like(p)
        return {"step": np.array(0), "exp_avg": zeros, "exp_avg_sq": zeros}

    def step(
        self, params: State, grads: Mapping[str, SparseGrad | None], state: SparseAdamState
    ) -> tuple[State, SparseAdamState]:
        """The parameters and the state after one step."""
        known(params, grads)
        stepped = dict(params)
        after = {kind: dict(of) for kind, of in state._asdict().items()}
        for name, p in params.items():
            g = grads.get(name)
            if g is None:
                continue
            _require_alike(name, p, g)
            kept = {kind: of[name] for kind, of in after.items() if name in of}
            stepped[name], now = self._rule(p, g, kept)
            for kind, entry in now.items():
                after[kind][name] = entry
        return stepped, SparseAdamState(**after)

    def _rule(self, p: Array, grad: SparseGrad, kept: Entries) -> tuple[Array, dict[str, Array]]:
        kept = kept or self.entries(p)
        t = int(kept["step"]) + 1
        b1, b2 = self.betas
        places, g = coalesced(grad)
        if self.maximize:
            g = -g

        axes = (prod(grad.shape[: len(grad.indices)]), *g.shape[1:])
        q, m, v = (np.array(a, order="C").reshape(axes) for a in (p, *_averages(kept)))
        here_m, here_v = m[places], v[places]
        m[places] = here_m = here_m + (1 - b1) * (g - here_m)
        v[places] = here_v = here_v + (1 - b2) * (g * g - here_v)
        step_size = self.lr * (1 - b2**t) ** 0.5 / (1 - b1**t)
        q[places] -= step_size * (here_m / (np.sqrt(here_v) + self.eps))

        now = {"step": np.array(t), "exp_avg": m.reshape(p.shape), "exp_avg_sq": v.reshape(p.shape)}
        return q.reshape(p.shape), now


def _averages(kept: Entries) -> tuple[Array, Array]:
    return kept["exp_avg"], kept["exp_avg_sq"]


def coalesced(grad: SparseGrad) -> tuple[Array, Array]:
    """(places, values): every place once, in order, counted along the flattened first axes."""
    axes = grad.shape[: len(grad.indices)]
    flat = np.ravel_multi_index(tuple(grad.indices), axes) if axes else np.zeros(0, int)
    order = np.argsort(flat, kind="stable")
    flat, values = flat[order], grad.values[order]
    first = np.flatnonzero(np.diff(flat, prepend=-1))
    if not first.size:
        return flat, values
    return flat[first], np.add.reduceat(values, first, axis=0)


def _require_alike(name: str, p: Array, g: SparseGrad) -> None:
    if not isinstance(g, SparseGrad):
        raise DtypeError(
            f"SparseAdam needs a SparseGrad, but the gradient of {name} is {type(g).__name__}. "
            "You might need Adam."
        )
    d, n = g.indices.shape if g.indices.ndim == 2 else (0, -1)
    if tuple(g.shape) != p.shape or not d or g.values.shape != (n, *p.shape[d:]):
        raise ShapeError(
            f"a SparseGrad of {name} needs indices (d, n), values (n, …) and shape {p.shape}, but "
            f"has {g.indices.shape}, {g.values.shape} and {tuple(g.shape)}."
        )
    if g.values.dtype != p.dtype:
        raise DtypeError(
            f"a gradient needs the dtype of its parameter, but {name} is {p.dtype} and its "
            f"gradient {g.values.dtype}. You might need values.astype({p.dtype})."
        )
    sizes = np.reshape(p.shape[:d], (d, 1))
    if ((g.indices < 0) | (g.indices >= sizes)).any():
        raise IndexRangeError(
            f"a SparseGrad of {name} needs indices from 0 and below {p.shape[:d]}, but has "
            f"{g.indices.min()} to {g.indices.max()}."
        )
