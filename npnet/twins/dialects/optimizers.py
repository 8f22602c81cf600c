"""Dialects of the optimizers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import optim

from npnet.twins.dialects._made import Naming, setting
from npnet.twins.oracle.stepping import stepped

Tensor = torch.Tensor


def _begun(state: dict[str, Any], p: Tensor, *names: str) -> None:
    """A step count and zeros under these names, before the first step."""
    if not state:
        state["step"] = torch.tensor(0.0)
        state.update({name: torch.zeros_like(p) for name in names})
    state["step"] += 1


def _with_decay(group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
    """The gradient with the decay; where that is decoupled, the parameter decays in place."""
    if group.get("decoupled_weight_decay", False):
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return g
    return g + group["weight_decay"] * p if group["weight_decay"] else g


def _gradients(optimizer: Any) -> Iterator[tuple[dict[str, Any], Tensor, Tensor, dict[str, Any]]]:
    for group, p, g, state in stepped(optimizer):
        yield group, p, _with_decay(group, p, g), state


class _InsideRMSprop(optim.RMSprop):
    """θ ← θ - lr b, where b ← momentum b + g / √(v + eps)."""

    rate_inside = False

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        for group, p, g, state in _gradients(self):
            names = ["square_avg"] + ["grad_avg"] * group["centered"]
            # a buffer that holds the rate is another than torch's, and has another name
            buffer = "velocity" if self.rate_inside else "momentum_buffer"
            _begun(state, p, *names, *[buffer] * (group["momentum"] > 0))
            v = state["square_avg"].mul_(group["alpha"])
            v.addcmul_(g, g, value=1 - group["alpha"])
            if group["centered"]:
                mean = state["grad_avg"].lerp_(g, 1 - group["alpha"])
                v = v.addcmul(mean, mean, value=-1)
            step = g / (v + group["eps"]).sqrt()
            if self.rate_inside:
                step = group["lr"] * step
            if group["momentum"] > 0:
                step = state[buffer].mul_(group["momentum"]).add_(step)
            p.sub_(step if self.rate_inside else group["lr"] * step)


class _KerasRMSprop(_InsideRMSprop):
    rate_inside = True


class _InsideAdagrad(optim.Adagrad):
    """θ ← θ - lr g / √(s + eps)."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        for group, p, g, state in _gradients(self):
            state["step"] += 1
            rate = group["lr"] / (1 + (state["step"].item() - 1) * group["lr_decay"])
            s = state["sum"].addcmul_(g, g, value=1)
            p.addcdiv_(g, (s + group["eps"]).sqrt(), value=-rate)


def _averages(
    group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]
) -> tuple[Tensor, Tensor, float, float]:
    """Adam's averages of g and g² (with amsgrad the largest) and the corrections of their bias."""
    names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
    _begun(state, p, *names)
    b1, b2 = group["betas"]
    t = state["step"].item()
    m = state["exp_avg"].lerp_(g, 1 - b1)
    v = state["exp_avg_sq"].mul_(b2).addcmul_(g, g, value=1 - b2)
    if group["amsgrad"]:
        v = state["max_exp_avg_sq"].copy_(torch.maximum(state["max_exp_avg_sq"], v))
    return m, v, 1 - b1**t, 1 - b2**t


def _inside_adam(base: type[optim.Adam]) -> type[optim.Adam]:
    class Inside(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """θ ← θ - lr m̂ / √(v̂ + eps)."""

        @torch.no_grad()
        def step(self) -> None:
            for group, p, g, state in _gradients(self):
                m, v, first, second = _averages(group, p, g, state)
                p.addcdiv_(m, (v / second + group["eps"]).sqrt(), value=-group["lr"] / first)

    return Inside


def _folded_adam(base: type[optim.Adam]) -> type[optim.Adam]:
    class Folded(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """θ ← θ - α m / (√v + eps), where α = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""

        @torch.no_grad()
        def step(self) -> None:
            for group, p, g, state in _gradients(self):
                m, v, first, second = _averages(group, p, g, state)
                rate = group["lr"] * second**0.5 / first
                p.addcdiv_(m, v.sqrt() + group["eps"], value=-rate)

    return Folded


class _DampedSGD(optim.SGD):
    """θ ← θ - lr b, where b ← momentum b + (1 - momentum) g from b = 0."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        for group, p, g, state in _gradients(self):
            mu = group["momentum"]
            if mu:
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                b = state["momentum_buffer"].mul_(mu).add_(g, alpha=1 - mu)
                g = g + mu * b if group["nesterov"] else b
            p.sub_(group["lr"] * g)


class _KerasSGD(optim.SGD):
    """θ ← θ - v, where v ← momentum v + lr g; with nesterov, by momentum v + lr g instead."""

    looks_ahead = True

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's takes more
        for group, p, g, state in _gradients(self):
            mu, step = group["momentum"], group["lr"] * g
            if mu:
                first = not state
                v = state.setdefault("velocity", torch.zeros_like(p)).mul_(mu)
                v.add_(step, alpha=1.0 if first else 1 - group["dampening"])
                step = step + mu * v if group["nesterov"] and self.looks_ahead else v
            p.sub_(step)


class _SutskeverSGD(_KerasSGD):
    looks_ahead = False


def _decoupled(base: type[optim.Optimizer]) -> type[optim.Optimizer]:
    class Decoupled(base):  # type: ignore[misc, valid-type]  # a base that is a variable
        """θ ← (1 - lr · weight_decay) θ, and a step without the decay."""

        @torch.no_grad()
        def step(self) -> None:
            decays = [group["weight_decay"] for group in self.param_groups]
            for group, p, _, _ in stepped(self):
                p.mul_(1 - group["lr"] * group["weight_decay"])
            for group in self.param_groups:
                group["weight_decay"] = 0.0
            super().step()
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay

    return Decoupled


_KERAS_INSIDE = Naming(
    "tensorflow",
    "TensorFlow, Keras",
    "eps inside the square root, and the rate inside the momentum; torch adds eps outside, and "
    "multiplies by the rate last",
)
_INSIDE = Naming(
    "eps-inside",
    "hand-written code",
    "eps inside the square root; torch adds eps outside",
)
_FOLDED = Naming(
    "tensorflow",
    "TensorFlow, Keras, the end of section 2 of the paper",
    "the correction of the bias folded into the rate, so that eps is added to √v as it is; torch "
    "adds eps to √v̂, after the correction",
)
_DECOUPLED = Naming(
    "decoupled",
    "Keras, optax and AdamW",
    "the decay shrinks the parameters by 1 - lr · weight_decay; torch adds weight_decay · θ to "
    "the gradient",
)

FAMILY = (
    _KERAS_INSIDE.stepped("RMSprop", _KerasRMSprop),
    _INSIDE.stepped("RMSprop", _InsideRMSprop),
    Naming("tensorflow", "TensorFlow, Keras", _INSIDE.text).stepped("Adagrad", _InsideAdagrad),
    *(
        dialect
        for twin in (optim.Adam, optim.AdamW)
        for dialect in (
            _FOLDED.stepped(twin.__name__, _folded_adam(twin)),
            _INSIDE.stepped(twin.__name__, _inside_adam(twin)),
        )
    ),
    Naming(
        "damped",
        "Ng's courses",
        "the gradient enters the momentum times 1 - momentum, from the first step on; torch takes "
        "it whole, or times 1 - dampening from the second step on",
    ).stepped("SGD", _DampedSGD),
    Naming(
        "tensorflow",
        "TensorFlow, Keras and CS231n",
        "the rate inside the velocity, in Nesterov's form too; torch multiplies by the rate last, "
        "so that a new rate reaches old gradients as well",
    ).stepped("SGD", _KerasSGD),
    Naming(
        "sutskever",
        "Sutskever et al. (2013), PMLR 28(3)",
        "the rate inside the velocity, and in Nesterov's form a step by the velocity, the gradient "
        "being that of the point ahead; torch steps ahead by itself, and multiplies by the rate "
        "last",
    ).stepped("SGD", _SutskeverSGD),
    *(
        _DECOUPLED.stepped(twin.__name__, _decoupled(twin))
        for twin in (
            optim.SGD,
            optim.RMSprop,
            optim.Adagrad,
            optim.Adadelta,
        )
    ),
    _DECOUPLED.configured("optim.Adam", setting(decoupled_weight_decay=True)),
    Naming(
        "l2",
        "Adam with L2",
        "weight_decay · θ is added to the gradient; torch shrinks the parameters by "
        "1 - lr · weight_decay instead",
    ).configured("optim.AdamW", setting(decoupled_weight_decay=False), of="optim.Adam"),
)
