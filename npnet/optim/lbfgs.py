"""L-BFGS, with a line search for the strong Wolfe conditions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, ShapeError, State
from npnet.optim._each import known, require_not_negative

Closure: TypeAlias = Callable[[State], tuple[Any, Mapping[str, Array | None]]]
"""params -> (loss, gradients), as often as it is asked."""


class LBFGSState(NamedTuple):
    """One entry each, kept under the name of the first parameter, as torch keeps them; of all
    parameters flattened and joined. Empty before the first step.

    The numbers of evaluations and of iterations so far; the last direction and its step length;
    up to history_size differences of gradients and of parameters, (k, n), the oldest first, and
    1 / (their products), (k,); the scale of the inverse Hessian; the last gradient and loss.
    """

    func_evals: State
    n_iter: State
    d: State
    t: State
    old_dirs: State
    old_stps: State
    ro: State
    H_diag: State
    prev_flat_grad: State
    prev_loss: State


HISTORY = ("old_dirs", "old_stps", "ro")
"""The entries with an axis for the steps remembered."""


@dataclass(frozen=True)
class LBFGS:
    """θ ← θ + t · d, up to max_iter times a step, where d = -H g with H built of the last steps.

    H: for the newest to the oldest pair s = Δθ, y = Δg: α = (s·q) / (y·s), q ← q - α y, from
    q = -g; then d = (y·s)/(y·y) of the newest pair times q; for the oldest to the newest:
    d ← d + (α - (y·d) / (y·s)) s. The first d is -g. Of pairs the last history_size are remembered,
    and none with y·s <= 1e-10.

    t is lr, in the very first iteration lr · min(1, 1/Σ|g|). With line_search_fn="strong_wolfe" it
    is where a search starts that ends with f(t) <= f + 1e-4 t g·d and |g(t)·d| <= 0.9 |g·d|.

    A step ends after max_iter iterations or max_eval evaluations (1.25 max_iter if None; one
    iteration may need some more), or if max|g| <= tolerance_grad, g·d > -tolerance_change,
    max|t d| <= tolerance_change or the loss changes by less than tolerance_change. A step that
    starts with max|g| <= tolerance_grad evaluates once, and that is all.

    The closure is called at least once a step, with parameters like those given, and returns the
    loss and the gradients, of which None is zeros. There are no parameter groups.

    Raises ConfigError; step raises ShapeError, DtypeError.
    Twin: torch.optim.LBFGS. Source: Nocedal & Wright (2006), Numerical Optimization, algorithms
    7.4, 3.5 and 3.6; the search follows M. Schmidt's minFunc.
    """

    lr: float = 1
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    def __post_init__(self) -> None:
        require_not_negative(self, lr=self.lr)
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise ConfigError(
                "LBFGS needs line_search_fn to be None or 'strong_wolfe', but got "
                f"{self.line_search_fn!r}."
            )

    def evaluations(self) -> int:
        """max_eval, or what stands for it."""
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval

    def init(self, params: State) -> LBFGSState:
        """Nothing remembered."""
        return LBFGSState(*({} for _ in LBFGSState._fields))

    def entries(self, p: Array) -> dict[str, Array]:
        """What is kept, with no steps remembered; p is all parameters flattened and joined."""
        count, scalar, none = np.array(0), np.array(0.0), np.zeros((0, p.size), p.dtype)
        return {
            "func_evals": count,
            "n_iter": count,
            "d": np.zeros_like(p),
            "t": scalar,
            "old_dirs": none,
            "old_stps": none,
            "ro": np.zeros(0, p.dtype),
            "H_diag": np.ones((), p.dtype),
            "prev_flat_grad": np.zeros_like(p),
            "prev_loss": scalar,
        }

    def step(self, params: State, closure: Closure, state: LBFGSState) -> tuple[State, LBFGSState]:
        """The parameters and the state after one step, which calls the closure as it needs."""
        first = next(iter(params), "")
        x = np.concatenate([p.reshape(-1) for p in params.values()] or [np.zeros(0)])
        if not x.size:
            raise ShapeError(f"LBFGS needs parameters with elements, but got {list(params)}.")
        kept = {kind: of[first] for kind, of in state._asdict().items() if first in of}

        def evaluate(x: Array) -> tuple[float, Array]:
            loss, grads = closure(_parts(x, params))
            return float(loss), _joined(grads, params)

        x, now = self._iterations(x, evaluate, self.entries(x) | kept)
        return _parts(x, params), LBFGSState(**{k: {first: a} for k, a in now.items()})

    def _iterations(
        self, x: Array, evaluate: "Evaluate", kept: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        max_eval = self.evaluations()
        loss, g = evaluate(x)
        evals = 1
        n_iter, total_evals = int(kept["n_iter"]), int(kept["func_evals"])
        if _largest(g) <= self.tolerance_grad:
            return x, kept | {"func_evals": np.array(total_evals + 1)}
        d, t, scale = kept["d"], float(kept["t"]), kept["H_diag"]
        before, last_loss = kept["prev_flat_grad"], float(kept["prev_loss"])
        ys, ss, ro = (list(kept[kind]) for kind in HISTORY)

        for iteration in range(1, self.max_iter + 1):
            n_iter += 1
            if n_iter == 1:
                d, t = -g, min(1.0, 1.0 / float(np.abs(g).sum())) * self.lr
            else:
                y, s = g - before, d * t
                product = y @ s
                if product > 1e-10:
                    keep = slice(1 if len(ys) == self.history_size else 0, None)
                    ys, ss, ro = [*ys[keep], y], [*ss[keep], s], [*ro[keep], 1 / product]
                    scale = product / (y @ y)
                d, t = self._direction(g, ys, ss, ro, scale), float(self.lr)
            before, last_loss = g, loss

            slope = g @ d
            if slope > -self.tolerance_change:
                break
            used = 0
            if self.line_search_fn is not None:
                most = max_eval - evals
                loss, g, t, used = strong_wolfe(evaluate, x, t, d, loss, g, float(slope), most)
                x = x + t * d
            else:
                x = x + t * d
                if iteration != self.max_iter:
                    loss, g = evaluate(x)
                    used = 1
            evals += used
            if (
                evals >= max_eval
                or _largest(g) <= self.tolerance_grad
                or _largest(d * t) <= self.tolerance_change
                or abs(loss - last_loss) < self.tolerance_change
            ):
                break

        now = {
            "func_evals": np.array(total_evals + evals),
            "n_iter": np.array(n_iter),
            "d": d,
            "t": np.array(t),
            "old_dirs": np.stack(ys) if ys else kept["old_dirs"],
            "old_stps": np.stack(ss) if ss else kept["old_stps"],
            "ro": np.array(ro, x.dtype),
            "H_diag": np.array(scale, x.dtype),
            "prev_flat_grad": before,
            "prev_loss": np.array(last_loss),
        }
        return x, now

    def _direction(
        self, g: Array, ys: list[Array], ss: list[Array], ro: list[Any], scale: Any
    ) -> Array:
        """-H g in two loops over the pairs remembered."""
        q: Array = -g
        alphas: list[Any] = []
        for y, s, r in zip(reversed(ys), reversed(ss), reversed(ro), strict=True):
            alphas.append((s @ q) * r)
            q = q - alphas[-1] * y
        d: Array = q * scale
        for y, s, r in zip(ys, ss, ro, strict=True):
            d = d + (alphas.pop() - (y @ d) * r) * s
        return d


Evaluate: TypeAlias = Callable[[Array], tuple[float, Array]]


class _Point(NamedTuple):
    """A step length: the loss there, its derivative along d, and the gradient."""

    t: float
    f: float
    slope: float
    g: Array


def strong_wolfe(
    evaluate: Evaluate, x: Array, t: float, d: Array, f: float, g: Array, slope: float, most: int
) -> tuple[float, Array, float, int]:
    """(loss, gradient, t, evaluations) of a step that decreases enough and is flat enough.

    First t grows until a bracket is found, then the bracket is narrowed by cubic interpolation.
    most: evaluations after the first, at which the best point so far has to do
    """
    evals = 0

    def at(t: float) -> _Point:
        nonlocal evals
        evals += 1
        loss, gradient = evaluate(x + t * d)
        return _Point(t, loss, float(gradient @ d), gradient)

    def too_high(point: _Point) -> bool:
        return point.f > f + 1e-4 * point.t * slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * slope

    start = last = _Point(0.0, f, slope, g)
    new = at(t)
    bracket, done, turns = [start, new], False, 0
    while turns < most:
        bracket = [last, new]
        if too_high(new) or (turns > 1 and new.f >= last.f):
            break
        if flat(new):
            bracket, done = [new, new], True
            break
        if new.slope >= 0:
            break
        further = _interpolated(last, new, new.t + 0.01 * (new.t - last.t), new.t * 10)
        last, new = new, at(further)
        turns += 1
        bracket = [start, new]  # should the evaluations run out

    stuck = False
    low = 0 if bracket[0].f <= bracket[1].f else 1
    while not done and turns < most:
        left, right = sorted(point.t for point in bracket)
        if (right - left) * _largest(d) < 1e-9:
            break
        t = _interpolated(bracket[0], bracket[1], left, right)
        margin = 0.1 * (right - left)
        close = min(right - t, t - left) < margin
        inside = close and (stuck or t >= right or t <= left)
        if inside:  # too little progress twice, or none
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
        stuck = close and not inside
        new = at(t)
        turns += 1
        if too_high(new) or new.f >= bracket[low].f:
            bracket[1 - low] = new
            low = 0 if bracket[0].f <= bracket[1].f else 1
        else:
            done = flat(new)
            if not done and new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
                bracket[1 - low] = bracket[low]
            bracket[low] = new
    best = bracket[low]
    return best.f, best.g, best.t, evals


def _interpolated(a: _Point, b: _Point, least: float, most: float) -> float:
    """The minimum of the cubic through two points with their slopes, within limits; or half way."""
    if a.t > b.t:
        a, b = b, a
    g1, g2 = np.float64(a.slope), np.float64(b.slope)
    with np.errstate(all="ignore"):  # a loss may be infinite, and a slope level
        d1 = g1 + g2 - 3 * np.float64(a.f - b.f) / (a.t - b.t)
        square = d1 * d1 - g1 * g2
        if not square >= 0:
            return (least + most) / 2
        d2 = np.sqrt(square)
        t = float(b.t - (b.t - a.t) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2)))
    return min(max(t, least), most)


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x)))


def _parts(x: Array, params: State) -> dict[str, Array]:
    """The parameters that the flat vector holds, each an array of its own."""
    ends = np.cumsum([p.size for p in params.values()])
    return {
        name: x[end - p.size : end].reshape(p.shape).copy()
        for end, (name, p) in zip(ends, params.items(), strict=True)
    }


def _joined(grads: Mapping[str, Array | None], params: State) -> Array:
    """The gradients as one vector, zeros where there is none."""
    known(params, grads)
    found = []
    for name, p in params.items():
        g = grads.get(name)
        if g is not None and g.shape != p.shape:
            raise ShapeError(
                f"a gradient needs the shape of its parameter, but {name} has {p.shape} and its "
                f"gradient {g.shape}."
            )
        if g is not None and g.dtype != p.dtype:
            raise DtypeError(
                f"a gradient needs the dtype of its parameter, but {name} is {p.dtype} and its "
                f"gradient {g.dtype}. You might need grad.astype({p.dtype})."
            )
        found.append(np.zeros(p.size, p.dtype) if g is None else g.reshape(-1))
    return np.concatenate(found)
