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


ALTERNATIVES = {
    "optim.SGD": SGD,
    "optim.Adam": Adam,
    "optim.AdamW": AdamW,
    "optim.RMSprop": RMSprop,
}
