"""Optimizers written out for bounded tensors, where torch's own lose the bound on the way.

They read numbers off tensors (`item()`), keep numbers as float32, round to bfloat16 or work on
sparse tensors. What they compute is checked against torch's own on every example. Their step takes
no closure, other than torch's (type: ignore[override]).
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import torch

from npnet.twins.oracle.bounded import (
    Bounded,
    Tensor,
    Undecided,
    close_to,
    error_of,
    parts,
    plus,
    setting,
    using,
)
from npnet.twins.oracle.rules.bilinear import mm
from npnet.twins.oracle.rules.comparison import clamp, comparison, maximum, vector_norm
from npnet.twins.oracle.rules.elementwise import add, div, mul, sqrt, sub
from npnet.twins.oracle.rules.optimizer import blend
from npnet.twins.oracle.rules.reduction import mean, sum_
from npnet.twins.oracle.rules.view import where
from npnet.verify.precision import PRECISIONS

FLOAT32, FLOAT64 = PRECISIONS["float32"], PRECISIONS["float64"]


def stepped(optimizer: Any) -> Iterator[tuple[dict[str, Any], Tensor, Any, dict[str, Any]]]:
    """(group, parameter, gradient with its sign, state) of every parameter with a gradient."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                g = -p.grad if group.get("maximize", False) else p.grad
                yield group, p, g, optimizer.state[p]


def kept_number(x: Any) -> Bounded:
    """A number that is kept as a float32, in the parameters' format, or not rounded at all."""
    value, error = parts(x)
    if not isinstance(value, Tensor):
        value = _exact(value)
    return Bounded(value, plus(error, value.abs() * max(setting().precision.u, FLOAT32.u)))


def _exact(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64)


def _decayed(p: Any, g: Any, group: dict[str, Any]) -> Any:
    """The gradient with weight decay; where that is decoupled, the parameter decays in place."""
    decay = group["weight_decay"]
    if group.get("decoupled_weight_decay", False):
        p.mul_(1 - group["lr"] * decay)
        return g
    return add(g, p, alpha=decay) if decay else g


def _averages(state: dict[str, Any], g: Any, betas: tuple[float, float]) -> None:
    state["exp_avg"].lerp_(g, 1 - betas[0])
    state["exp_avg_sq"].mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])


class NAdam(torch.optim.NAdam):
    """torch.optim.NAdam, whose product of momenta is a float32 in every precision."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["step"] = torch.tensor(0.0)
                state["mu_product"] = Bounded(_exact(1.0))
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            t, (b1, b2) = state["step"].item(), group["betas"]
            g = _decayed(p, g, group)
            mu, mu_next = (
                b1 * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (t, t + 1)
            )
            product = state["mu_product"] = kept_number(mul(state["mu_product"], mu))
            _averages(state, g, group["betas"])
            # the root first: what underflow adds to 0, divided by a small number, would be more
            # than underflow, and could be less than 0
            root = div(sqrt(state["exp_avg_sq"]), (1 - b2**t) ** 0.5)
            denominator = add(root, group["eps"])
            by_g = div(group["lr"] * (1 - mu), sub(1.0, product))
            by_m = div(group["lr"] * mu_next, sub(1.0, mul(product, mu_next)))
            p.sub_(div(mul(by_g, g), denominator))
            p.sub_(div(mul(by_m, state["exp_avg"]), denominator))


class RAdam(torch.optim.RAdam):
    """torch.optim.RAdam, whose length of the average is a difference of numbers nearly equal."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            t, (b1, b2) = state["step"].item(), group["betas"]
            g = _decayed(p, g, group)
            _averages(state, g, group["betas"])
            step = mul(div(state["exp_avg"], 1 - b1**t), group["lr"])
            rectified = _rectified(t, b2)
            if rectified is not None:
                root = add(sqrt(state["exp_avg_sq"]), group["eps"])
                step = mul(mul(step, div((1 - b2**t) ** 0.5, root)), rectified)
            p.sub_(step)


def _rectified(t: float, b2: float) -> Bounded | None:
    """√((ρ - 4)(ρ - 2)ρ∞ / ((ρ∞ - 4)(ρ∞ - 2)ρ)) in float64, whatever the parameters' format."""
    with using(replace(setting(), precision=FLOAT64)):
        longest = sub(div(2.0, sub(Bounded(_exact(1.0)), b2)), 1.0)
        power = b2**t
        spent = div(Bounded(_exact(2 * t * power), _exact(8 * FLOAT64.u * t * power)), 1 - power)
        length = sub(longest, spent)
        near = close_to(length, 5.0)
        if near is not None and bool(near):
            raise Undecided
        if float(length.value) <= 5.0:
            return None
        above = mul(mul(sub(length, 4.0), sub(length, 2.0)), longest)
        below = mul(mul(sub(longest, 4.0), sub(longest, 2.0)), length)
        return sqrt(div(above, below))


class ASGD(torch.optim.ASGD):
    """torch.optim.ASGD, whose rates and weights are float32 in every precision."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            lr, lambd = group["lr"], group["lambd"]
            if not state:
                state["step"], state["ax"] = torch.tensor(0.0), torch.zeros_like(p)
                state["eta"], state["mu"] = kept_number(lr), torch.tensor(1.0)
            state["step"] += 1
            t, eta, mu = state["step"].item(), state["eta"], state["mu"]
            g = _decayed(p, g, group)
            p.mul_(sub(1.0, mul(eta, lambd))).sub_(mul(eta, g))
            if parts(mu)[0] == 1:
                state["ax"].copy_(p)
            else:
                state["ax"].add_(mul(sub(p, state["ax"]), mu))
            state["eta"] = kept_number(lr / (1 + lambd * lr * t) ** group["alpha"])
            weight = 1 / max(1, t - group["t0"])
            state["mu"] = torch.tensor(1.0) if weight == 1 else kept_number(weight)


class Rprop(torch.optim.Rprop):
    """torch.optim.Rprop: the sign of a product, which is 0 for certain only if a factor is."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["step"], state["prev"] = torch.tensor(0.0), torch.zeros_like(p)
                state["step_size"] = torch.full_like(p, group["lr"])
            state["step"] += 1
            shrink, grow = group["etas"]
            turn = mul(g, state["prev"])
            (vg, _), (vp, ep) = parts(g), parts(state["prev"])
            zero = (vg == 0) | ((vp == 0) & (0 if ep is None else ep).__eq__(0))
            turn = Bounded(turn.value, error_of(turn).masked_fill(zero, 0.0))
            back = comparison(torch.lt)(turn, 0.0)
            eta = where(comparison(torch.gt)(turn, 0.0), grow, where(back, shrink, 1.0))
            state["step_size"] = clamp(mul(state["step_size"], eta), *group["step_sizes"])
            state["prev"] = where(back, 0.0, g)
            p.sub_(mul(state["prev"].sign(), state["step_size"]))


class Adafactor(torch.optim.Adafactor):
    """torch.optim.Adafactor, whose norms are numbers that the step is scaled by."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["step"] = torch.tensor(0.0)
                for kind, shape in _factors(tuple(p.shape)).items():
                    state[kind] = Bounded(torch.zeros(shape, dtype=torch.float64))
            state["step"] += 1
            t, (eps1, eps2) = state["step"].item(), group["eps"]
            new, root = t ** group["beta2_decay"], p.numel() ** 0.5
            rate = min(group["lr"], 1 / t**0.5)
            alpha = mul(maximum(_exact(eps2), div(vector_norm(p), root)), rate)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            squares = mul(g, g)
            if p.dim() > 1:
                row = state["row_var"] = blend(state["row_var"], mean(squares, [-1], True), new)
                col = state["col_var"] = blend(state["col_var"], mean(squares, [-2], True), new)
                least = maximum(mean(row, [-2], True), _exact(eps1))
                v = div(mul(row, col), least)
            else:
                v = state["variance"] = blend(state["variance"], squares, new)
            update = div(g, sqrt(maximum(v, _exact(eps1 * eps1))))
            scale = maximum(_exact(1.0), div(vector_norm(update), root * group["d"]))
            p.sub_(mul(update, div(alpha, scale)))


def _factors(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    if len(shape) < 2:
        return {"variance": shape}
    return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}


class SparseAdam(torch.optim.SparseAdam):
    """torch.optim.SparseAdam on dense gradients; `places` says which elements are meant."""

    def __init__(self, params: Any, **config: Any) -> None:
        super().__init__(params, **config)
        self.places: dict[Any, Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["step"] = 0
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
            t, (b1, b2) = state["step"], group["betas"]
            m = blend(state["exp_avg"], g, 1 - b1)
            v = blend(state["exp_avg_sq"], mul(g, g), 1 - b2)
            rate = group["lr"] * (1 - b2**t) ** 0.5 / (1 - b1**t)
            moved = sub(p, mul(div(m, add(sqrt(v), group["eps"])), rate))
            here = self.places[p]
            for target, new in ((p, moved), (state["exp_avg"], m), (state["exp_avg_sq"], v)):
                target.copy_(where(here, new, target))


# ---- Muon ----------------------------------------------------------------------------------------


class Muon(getattr(torch.optim, "Muon", object)):  # type: ignore[misc]
    """torch.optim.Muon, which orthogonalizes in bfloat16.

    Whoever does it without rounding to bfloat16 is right as well: the bound reaches from torch's
    result to the exact one, and covers those whose sums are rounded to other neighbours.
    """

    @torch.no_grad()
    def step(self) -> None:
        """One step."""
        for group, p, g, state in stepped(self):
            if not state:
                state["momentum_buffer"] = torch.zeros_like(p)
            b = state["momentum_buffer"] = blend(state["momentum_buffer"], g, 1 - group["momentum"])
            x = blend(g, b, group["momentum"]) if group["nesterov"] else b
            update = _orthogonalized(x, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            n, m = p.shape
            if group["adjust_lr_fn"] == "match_rms_adamw":
                ratio = 0.2 * max(n, m) ** 0.5
            else:
                ratio = max(1, n / m) ** 0.5
            p.sub_(mul(update, group["lr"] * ratio))


_LARGE = 2.0**60
"""Beyond this the squares of a matrix exceed float32, in which torch adds them up."""


def _orthogonalized(x: Any, group: dict[str, Any]) -> Bounded:
    exact = _newton_schulz(x, group, lambda y: y)
    with using(replace(setting(), precision=replace(FLOAT32, k=setting().precision.k))):
        rounded = _newton_schulz(x, group, bfloat16)
    apart = (rounded.value - exact.value).abs()
    error = (plus(apart, exact.error, rounded.error)).nan_to_num(nan=torch.inf)
    if not bool((parts(x)[0].abs() < _LARGE).all()):
        error = torch.full_like(error, torch.inf)
    return Bounded(rounded.value, error)


def _newton_schulz(x: Any, group: dict[str, Any], rounded: Any) -> Bounded:
    a, b, c = group["ns_coefficients"]
    tall = x.shape[0] > x.shape[1]
    x = rounded(x.t() if tall else x)
    norm = rounded(sqrt(sum_(mul(x, x))))
    x = rounded(div(x, maximum(norm, rounded(_exact(group["eps"])))))
    for _ in range(group["ns_steps"]):
        gram = rounded(mm(x, x.t()))
        polynomial = rounded(add(mul(gram, b), mul(mm(gram, gram), c)))
        x = rounded(add(mul(x, a), mm(polynomial, x)))
    found: Bounded = x.t() if tall else x
    return found


def bfloat16(x: Any) -> Bounded:
    """x rounded to bfloat16; off where the number rounded may lie beyond a boundary."""
    value, error = parts(x)
    if error is None:
        return Bounded(value.float().bfloat16().double())
    k = setting().precision.k
    reach = k * error
    around = torch.stack((value, value + reach, value - reach))
    near, up, down = around.float().bfloat16().double()
    return Bounded(near, torch.maximum(up - near, near - down) / k)


# ---- LBFGS ---------------------------------------------------------------------------------------


def _copy_of(module: str, **names: Any) -> ModuleType:
    """A module executed once more, in which some names mean something else."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.loader is not None
    copy = module_from_spec(spec)
    spec.loader.exec_module(copy)
    vars(copy).update(names)
    return copy


LBFGS: Any = _copy_of("torch.optim.lbfgs", float=lambda x: x).LBFGS
"""torch.optim.LBFGS, whose losses remain tensors: it compares them, and computes with them."""
