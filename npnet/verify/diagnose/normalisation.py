"""Normalisations: what they divide by, what they centre, and what of it they hold for constant."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npnet.contract import Array
from npnet.verify.diagnose.probe import View
from npnet.verify.diagnose.reading import Reading
from npnet.verify.diagnose.relation import fitted


def statistics(v: View) -> Iterator[Reading]:
    """A normalisation whose mean and variance, or whose scale alone, are held for constants."""
    if v.quantity != "gradient of input 0" or v.x is None or v.dy is None:
        return
    if v.x.shape != v.dy.shape:
        return
    residual = v.got - v.want
    yield from _of_running(v)
    for place, pooled in _pools(v):
        centred = v.x - pooled(v.x)
        g = v.dy * _weight(v)
        for about, d in (("", centred), ("root mean square", v.x)):
            with np.errstate(all="ignore"):
                rstd = 1 / np.sqrt(pooled(d * d) + v.eps)
                xhat = d * rstd
                of_mean, of_scale = rstd * pooled(g), rstd * xhat * pooled(g * xhat)
            if not np.isfinite(of_mean).all() or not np.isfinite(of_scale).all():
                continue
            for text, term, kind in (
                ("the statistics are held for constants", of_mean + of_scale, "statistics"),
                ("the mean of dy is not taken out", of_mean, "term"),
                ("the projection on xhat is not taken out", of_scale, "term"),
            ):
                if about and "mean" in text and "statistics" not in text:
                    continue
                for sign, what in ((1.0, ""), (-1.0, ", but added")):
                    c = fitted(residual, sign * term)
                    if c is None or c <= 0:
                        continue
                    if abs(c - 1) < 1e-6 and sign > 0:
                        told, cost = f"{text} ({place})", 1.5
                        key: tuple[str, ...] = (text, place)
                    elif sign > 0:
                        told, cost = f"{text} as it should be ({place})", 2.6
                        key = (text, place, "c")
                    else:
                        told, cost = (
                            f"{text.replace('is not taken out', 'is in it too often')}",
                            2.6,
                        )
                        key = (text, place, what)
                    yield Reading(key, kind, told, v.want + c * sign * term, cost)


def _of_running(v: View) -> Iterator[Reading]:
    """Statistics that are given, differentiated as if they were the batch's."""
    running, x = _running(v), v.x
    if running is None or x is None or v.dy is None:
        return
    mean, var = running
    pooled = _Pool((0, *range(2, x.ndim)))
    rstd = 1 / np.sqrt(var + v.eps)
    xhat, g = (x - mean) * rstd, v.dy * _weight(v)
    through = rstd * (g - pooled(g) - xhat * pooled(g * xhat))
    text = "the running statistics are differentiated as if they were those of the batch"
    yield Reading(("running",), "statistics", text, through, 1.2)


def normalised(v: View) -> Iterator[Reading]:
    """The output of a normalisation that divides by something else, or centres otherwise."""
    if v.quantity != "y" or v.x is None or v.x.shape != v.want.shape or not v.x.ndim:
        return
    weight, bias = _weight(v), _bias(v)
    eps = v.eps
    right = _right_pool(v)
    running = _running(v)
    squares_only = v.probe.example.spec == "RMSNorm"
    for place, pooled in _pools(v, wrong=running is None):
        mean = pooled(v.x) if running is None else running[0]
        n = v.x.size / max(mean.size, 1) if not pooled.groups else v.x[0].size / pooled.groups
        for about, d in (("", v.x - mean), (", and does not centre", v.x)):
            var = pooled(d * d) if running is None else running[1]
            with np.errstate(all="ignore"):
                divisors = (
                    ("√(var + eps)", np.sqrt(var + eps)),
                    ("√var + eps", np.sqrt(var) + eps),
                    ("√var, without eps", np.sqrt(var)),
                    ("√(var + eps²)", np.sqrt(var + eps * eps)),
                    ("var + eps, without a root", var + eps),
                    ("√(unbiased var + eps)", np.sqrt(var * n / (n - 1) + eps)),
                    ("max(√var, eps)", np.maximum(np.sqrt(var), eps)),
                    ("√(max(var, eps))", np.sqrt(np.maximum(var, eps))),
                    ("the sum in place of the mean under the root", np.sqrt(var * n + eps)),
                    ("the mean of |x|", pooled(np.abs(d)) + eps),
                    ("1", np.ones_like(var)),
                )
                for divisor, s in divisors:
                    for how, y in (
                        ("", d / s * weight + bias),
                        (", and adds the bias before it scales", (d / s + bias) * weight),
                        (", and scales by 1 + weight", d / s * (1 + weight) + bias),
                    ):
                        if how and isinstance(weight if "1 +" in how else bias, float):
                            continue  # there is none
                        text = f"it divides by {divisor}{about}{how} ({place})"
                        plain = divisor == "√(var + eps)"
                        kind = "option" if divisor in _OF_EPS else "term" if how else "constant"
                        if plain and not how and place == right and bool(about) != squares_only:
                            does = "centres" if squares_only else "does not centre"
                            kind, text = "term", f"it {does} x first"
                        elif plain and not how and bool(about) == squares_only:
                            if place == right or running is not None:
                                continue
                            kind, text = "reduction", f"it normalises {place}, not {right}"
                        yield Reading(
                            ("divides", divisor, about, how, str(running is not None)),
                            kind,
                            text,
                            y,
                            1.7 + 0.1 * bool(how),
                        )


_OF_EPS = ("√var + eps", "√var, without eps", "√(var + eps²)", "max(√var, eps)",
           "√(max(var, eps))")  # fmt: skip


def _running(v: View) -> tuple[Array, Array] | None:
    """The running statistics, where they are what normalises, as they broadcast to x."""
    mean, var, x = v.array("running_mean"), v.array("running_var"), v.x
    training = v.probe.config.get("training", True)
    if training or mean is None or var is None or x is None or x.ndim < 2:
        return None
    shape = [-1 if i == _channel_axis(v) else 1 for i in range(x.ndim)]
    return mean.reshape(shape), var.reshape(shape)


def _right_pool(v: View) -> str:
    name = v.probe.example.spec
    if name.startswith("BatchNorm"):
        return "over batch and positions"
    if name.startswith("InstanceNorm"):
        return "over positions"
    return "over each group" if name == "GroupNorm" else "over normalized_shape"


def _bias(v: View) -> Array | float:
    bias, weight = v.array("bias"), v.array("weight")
    if bias is None or weight is None or bias.shape != weight.shape:
        return 0.0
    shape = np.shape(_weight(v))
    return bias.reshape(shape) if shape else 0.0


def _pools(v: View, wrong: bool = False) -> Iterator[tuple[str, "_Pool"]]:
    """The means that a normalisation of x takes; wrong: also those of other normalisations."""
    x, config = v.x, v.probe.config
    assert x is not None
    groups, shape = config.get("num_groups"), config.get("normalized_shape")
    if isinstance(groups, int) and x.ndim > 1 and x.shape[1] % groups == 0:
        yield "over each group", _Pool((), groups)
    if shape is not None:
        n = len(shape) if isinstance(shape, tuple) else 1
        yield "over normalized_shape", _Pool(tuple(range(x.ndim - n, x.ndim)))
    if (groups is not None or shape is not None) and not wrong:
        return
    if x.ndim > 1:
        yield "over batch and positions", _Pool((0, *range(2, x.ndim)))
        yield "over the batch", _Pool((0,))
    if x.ndim > 2:
        yield "over positions", _Pool(tuple(range(2, x.ndim)))
    if x.ndim > 1:  # without a batch axis
        yield "over positions", _Pool(tuple(range(1, x.ndim)))
    for n in range(1, x.ndim + 1):
        axes = tuple(range(x.ndim - n, x.ndim))
        yield f"over the last {n} axes" if n > 1 else "over the last axis", _Pool(axes)


@dataclass(frozen=True)
class _Pool:
    axes: tuple[int, ...]
    groups: int = 0

    def __call__(self, a: Array) -> Array:
        if self.groups:
            parts = a.reshape(a.shape[0], self.groups, -1)
            mean = np.broadcast_to(parts.mean(-1, keepdims=True), parts.shape)
            return mean.reshape(a.shape)
        return np.asarray(a.mean(self.axes, keepdims=True))


def _weight(v: View) -> Array | float:
    """The affine weight, as it broadcasts to x."""
    weight, x, config = v.array("weight"), v.x, v.probe.config
    if weight is None or x is None:
        return 1.0
    if weight.ndim == 1 and ("num_features" in config or "num_channels" in config):
        axis = _channel_axis(v)
        return weight.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return weight if x.shape[-weight.ndim :] == weight.shape else 1.0


def _channel_axis(v: View) -> int:
    """0 where an InstanceNorm is asked without a batch axis."""
    dims = re.fullmatch(r"InstanceNorm(\d)d", v.probe.example.spec)
    assert v.x is not None
    return 0 if dims is not None and v.x.ndim == int(dims[1]) + 1 else 1
