"""The optimizers with their averages as steps towards the new value, and with other algebra."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import optim
from npnet.contract import Array, State


def _each(rule: Any, params: State, grads: Mapping[str, Array | None], state: Any) -> Any:
    """rule(parameter, gradient, entry) -> (parameter, entries), where there is a gradient."""
    stepped = dict(params)
    after = {kind: dict(entries) for kind, entries in state._asdict().items()}
    for name, g in grads.items():
        if g is not None:
            zeros = np.zeros_like(params[name])
            before = {kind: entries.get(name, zeros) for kind, entries in after.items()}
            fresh = not any(name in entries for entries in after.values())
            stepped[name], kept = rule(params[name], g, before, fresh)
            for kind, entry in kept.items():
                after[kind][name] = entry
    return stepped, type(state)(**after)


def _lerp(a: Array, b: Array, weight: float) -> Array:
    """From a towards b, counted from the nearer one."""
    return a + weight * (b - a) if weight < 0.5 else b - (1 - weight) * (b - a)


def _counted(before: Mapping[str, Array], fresh: bool) -> Array:
    return np.array(1 if fresh else before["step"] + 1, np.float32)


@dataclass(frozen=True)
class SGD(optim.SGD):
    def step(self, params: State, grads: Any, state: optim.SGDState) -> Any:
        sign = -1 if self.maximize else 1

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            g = self.weight_decay * p + sign * g
            if self.momentum == 0:
                return p + -self.lr * g, {}
            old = before["momentum_buffer"]
            b = g * 1 if fresh else old * self.momentum + (g - self.dampening * g)
            step = (
                g * (1 + self.momentum) + self.momentum**2 * old
                if not fresh
                else g + (self.momentum * g)
            )
            return p + -self.lr * (step if self.nesterov else b), {"momentum_buffer": b}

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Adam(optim.Adam):
    def step(self, params: State, grads: Any, state: optim.AdamState) -> Any:
        (b1, b2), sign = self.betas, -1 if self.maximize else 1

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            coupled = 0.0 if self.decoupled_weight_decay else self.weight_decay
            g = sign * g + coupled * p
            count = _counted(before, fresh)
            m, v = before["exp_avg"], before["exp_avg_sq"]
            m, v = _lerp(m, g, 1 - b1), _lerp(v, g * g, 1 - b2)
            kept = {"step": count, "exp_avg": m, "exp_avg_sq": v}
            if self.amsgrad:
                old = before["max_exp_avg_sq"]
                v = kept["max_exp_avg_sq"] = np.where(v > old, v, old)
            t = float(count)
            mhat, vhat = m / (1 - b1**t), v / (1 - b2**t)
            q = p - p * (self.lr * (self.weight_decay - coupled))
            return q - self.lr * mhat / (np.sqrt(vhat) + self.eps), kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class AdamW(optim.AdamW):
    def step(self, params: State, grads: Any, state: optim.AdamState) -> Any:
        adam = Adam(
            self.lr,
            self.betas,
            self.eps,
            self.weight_decay,
            self.amsgrad,
            maximize=self.maximize,
            decoupled_weight_decay=True,
        )
        return adam.step(params, grads, state)


@dataclass(frozen=True)
class RMSprop(optim.RMSprop):
    def step(self, params: State, grads: Any, state: optim.RMSpropState) -> Any:
        sign, rest = -1 if self.maximize else 1, 1 - self.alpha

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            g = sign * g + self.weight_decay * p
            old_v, old_a = before["square_avg"], before["grad_avg"]
            v = variance = _lerp(old_v, g * g, rest)
            kept = {"step": _counted(before, fresh), "square_avg": v}
            if self.centered:  # the variance by its own recursion: it never falls below 0 by much
                kept["grad_avg"] = _lerp(old_a, g, rest)
                away = g - old_a
                variance = self.alpha * ((old_v - old_a * old_a) + rest * (away * away))
            step = g / (self.eps + np.sqrt(variance))
            if self.momentum:
                step = kept["momentum_buffer"] = step + self.momentum * before["momentum_buffer"]
            return p + -self.lr * step, kept

        return _each(rule, params, grads, state)


def _signed(optimizer: Any, p: Array, g: Array) -> tuple[Array, Array]:
    """The parameter and the gradient after weight decay of either kind."""
    g = -g if optimizer.maximize else g
    if getattr(optimizer, "decoupled_weight_decay", False):
        return p - p * (optimizer.lr * optimizer.weight_decay), g
    return p, optimizer.weight_decay * p + g


@dataclass(frozen=True)
class NAdam(optim.NAdam):
    """The product rounded once, and two quotients."""

    def step(self, params: State, grads: Any, state: optim.NAdamState) -> Any:
        b1, b2 = self.betas

        def mu(t: float) -> float:
            return b1 - 0.5 * b1 * 0.96 ** (t * self.momentum_decay)

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            count = _counted(before, fresh)
            t = float(count)
            product = mu(t) * (1.0 if fresh else float(before["mu_product"]))
            m, v = _lerp(before["exp_avg"], g, 1 - b1), _lerp(before["exp_avg_sq"], g * g, 1 - b2)
            root = np.sqrt(v) / (1 - b2**t) ** 0.5 + self.eps
            q = p - (self.lr * (1 - mu(t)) / (1 - product)) * (g / root)
            q = q - (self.lr * mu(t + 1) / (1 - product * mu(t + 1))) * (m / root)
            kept = {"step": count, "mu_product": np.float32(product), "exp_avg": m, "exp_avg_sq": v}
            return q, kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class RAdam(optim.RAdam):
    """Both averages corrected first."""

    def step(self, params: State, grads: Any, state: optim.RAdamState) -> Any:
        b1, b2 = self.betas

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            count = _counted(before, fresh)
            t = float(count)
            m, v = _lerp(before["exp_avg"], g, 1 - b1), _lerp(before["exp_avg_sq"], g * g, 1 - b2)
            kept = {"step": count, "exp_avg": m, "exp_avg_sq": v}
            step = m / (1 - b1**t)
            longest = (1 + b2) / (1 - b2)
            length = longest - 2 * t / (b2**-t - 1) if b2 else longest
            if length > 5:
                r = (1 - 4 / length) * (length - 2) / (1 - 4 / longest) / (longest - 2)
                c = (1 - b2**t) ** 0.5
                step = step * r**0.5 / (np.sqrt(v) / c + self.eps / c)
            return p - self.lr * step, kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Adamax(optim.Adamax):
    def step(self, params: State, grads: Any, state: optim.AdamaxState) -> Any:
        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            count = _counted(before, fresh)
            m = _lerp(before["exp_avg"], g, 1 - self.betas[0])
            old, new = before["exp_inf"] * self.betas[1], self.eps + np.abs(g)
            u = np.where(new > old, new, old)
            step = m / (1 - self.betas[0] ** float(count)) / u
            return p - self.lr * step, {"step": count, "exp_avg": m, "exp_inf": u}

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Adagrad(optim.Adagrad):
    def step(self, params: State, grads: Any, state: optim.AdagradState) -> Any:
        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            count = _counted(before, fresh)
            s = g * g + (self.initial_accumulator_value if fresh else before["sum"])
            step = (self.lr * g) / (self.eps + np.sqrt(s))
            return p - step / (1 + (float(count) - 1) * self.lr_decay), {"step": count, "sum": s}

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Adadelta(optim.Adadelta):
    """One root of the quotient."""

    def step(self, params: State, grads: Any, state: optim.AdadeltaState) -> Any:
        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            a, v = before["acc_delta"], _lerp(before["square_avg"], g * g, 1 - self.rho)
            delta = g * np.sqrt((self.eps + a) / (self.eps + v))
            a = _lerp(a, delta * delta, 1 - self.rho)
            kept = {"step": _counted(before, fresh), "square_avg": v, "acc_delta": a}
            return p - delta * self.lr, kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Rprop(optim.Rprop):
    """By the signs alone."""

    def step(self, params: State, grads: Any, state: optim.RpropState) -> Any:
        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            g = -g if self.maximize else g
            turn = np.sign(g) * np.sign(before["prev"])
            s = np.full_like(p, self.lr) if fresh else before["step_size"]
            s = np.where(turn > 0, self.etas[1] * s, np.where(turn < 0, self.etas[0] * s, s))
            s = np.minimum(np.maximum(s, self.step_sizes[0]), self.step_sizes[1])
            g = np.asarray(np.where(turn < 0, 0 * g, g))
            kept = {"step": _counted(before, fresh), "prev": g, "step_size": s}
            return np.where(g > 0, p - s, np.where(g < 0, p + s, p)), kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class ASGD(optim.ASGD):
    """Rates by other powers and quotients, rounded once."""

    def step(self, params: State, grads: Any, state: optim.ASGDState) -> Any:
        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            p, g = _signed(self, p, g)
            count = _counted(before, fresh)
            eta, mu = (self.lr, 1.0) if fresh else (before["eta"].item(), before["mu"].item())
            q = p - eta * (self.lambd * p + g)
            ax = q * 1 if mu == 1 else (1 - mu) * before["ax"] + mu * q
            eta = self.lr * (1 + self.lambd * self.lr * float(count)) ** -self.alpha
            mu = min(1.0, 1 / max(float(count) - self.t0, 1e-9))
            return q, {"step": count, "eta": np.float32(eta), "mu": np.float32(mu), "ax": ax}

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Adafactor(optim.Adafactor):
    """The estimate as an outer product that is divided once; means by sums of products."""

    def step(self, params: State, grads: Any, state: optim.AdafactorState) -> Any:
        def rms(x: Array) -> float:
            return float(np.sqrt(np.mean(x * x)))

        def rule(p: Array, g: Array, before: Mapping[str, Array], fresh: bool) -> Any:
            g = -g if self.maximize else g
            count = _counted(before, fresh)
            t = float(count)
            weight = t**self.beta2_decay
            eps1 = float(np.finfo(p.dtype).eps) if self.eps[0] is None else self.eps[0]
            kept: dict[str, Array] = {"step": count}

            def average(kind: str, new: Array) -> Array:
                kept[kind] = _lerp(0 * new if fresh else before[kind], new, weight)
                return kept[kind]

            if p.ndim < 2:
                v = average("variance", g * g)
            else:
                n, m = g.shape[-2:]
                row = average("row_var", np.einsum("...ij,...ij->...i", g, g)[..., None] / m)
                column = average("col_var", np.einsum("...ij,...ij->...j", g, g)[..., None, :] / n)
                v = (row * column) / np.maximum(row.sum(-2, keepdims=True) / n, eps1)
            u = g * (1 / np.maximum(np.sqrt(v), eps1))
            size = max(self.eps[1], rms(p)) * min(self.lr, t**-0.5)
            u = u / max(1.0, rms(u) / self.d)
            return p - self.lr * self.weight_decay * p - size * u, kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class SparseAdam(optim.SparseAdam):
    """On dense arrays, with a mask."""

    def step(self, params: State, grads: Any, state: optim.SparseAdamState) -> Any:
        b1, b2 = self.betas

        def rule(p: Array, g: Any, before: Mapping[str, Array], fresh: bool) -> Any:
            dense, here = np.zeros_like(p), np.zeros(p.shape, bool)
            np.add.at(dense, tuple(g.indices), -g.values if self.maximize else g.values)
            here[tuple(g.indices)] = True
            t = 1 if fresh else int(before["step"]) + 1
            m = b1 * before["exp_avg"] + (1 - b1) * dense
            v = b2 * before["exp_avg_sq"] + (1 - b2) * dense * dense
            step = self.lr * (m / (1 - b1**t)) * (1 - b2**t) ** 0.5 / (np.sqrt(v) + self.eps)
            kept = {
                "step": np.array(t),
                "exp_avg": np.where(here, m, before["exp_avg"]),
                "exp_avg_sq": np.where(here, v, before["exp_avg_sq"]),
            }
            return np.where(here, p - step, p), kept

        return _each(rule, params, grads, state)


@dataclass(frozen=True)
class Muon(optim.Muon):
    """In the precision of the parameters, not in bfloat16."""

    def _orthogonalized(self, matrix: Array) -> Array:
        a, b, c = self.ns_coefficients
        tall = matrix.shape[0] > matrix.shape[1]
        x = matrix.T if tall else matrix
        x = x / np.maximum(np.sqrt((x * x).sum()), self.eps)
        for _ in range(self.ns_steps):
            gram = x @ x.T
            x = a * x + b * (gram @ x) + c * (gram @ (gram @ x))
        return x.T if tall else x


@dataclass(frozen=True)
class LBFGS(optim.LBFGS):
    """The inverse Hessian as a matrix, after every pair: (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ."""

    def _direction(self, g: Array, ys: Any, ss: Any, ro: Any, scale: Any) -> Array:
        one = np.eye(g.size, dtype=g.dtype)
        inverse = one * scale
        for y, s in zip(ys, ss, strict=True):
            r = 1 / (y @ s)
            left = one - r * np.outer(s, y)
            inverse = left @ inverse @ left.T + r * np.outer(s, s)
        return -(inverse @ g)


_OWN = (SGD, Adam, AdamW, RMSprop, NAdam, RAdam, Adamax, Adagrad, Adadelta, Rprop, ASGD, Adafactor)
ALTERNATIVES = {f"optim.{cls.__name__}": cls for cls in (*_OWN, SparseAdam, Muon, LBFGS)}
