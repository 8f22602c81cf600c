"""Padding by looking every pixel up at once, and its gradient by adding them up in their order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npnet import nn
from npnet.contract import Array, Forward, Grads, State


def _lookup(layer: Any, x: Array, axes: int, mode: str) -> Forward:
    """y is x at a table of positions in the flattened image."""
    numbers = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,) * 2 * axes
    image = x.shape[-axes:]
    table = np.arange(int(np.prod(image))).reshape(image)
    for axis, n in enumerate(image):
        before, after = numbers[2 * (axes - 1 - axis) :][:2]
        if mode == "wrap":  # crops first
            table = table.take(np.arange(max(0, -before), n + min(0, after)), axis)
            positions = np.pad(
                np.arange(table.shape[axis]), (max(0, before), max(0, after)), "wrap"
            )
        else:
            more = (max(0, before), max(0, after))
            positions = np.pad(np.arange(n), more, mode)  # type: ignore[call-overload]
            positions = positions[max(0, -before) : len(positions) + min(0, after)]
        table = table.take(positions, axis)
    rows = x.reshape(int(np.prod(x.shape[:-axes])), table.size and int(np.prod(image)))

    def vjp(dy: Array) -> Grads:
        dx = np.zeros((int(np.prod(image)), len(rows)), dy.dtype)
        np.add.at(dx, table.ravel(), dy.reshape(len(rows), table.size).T)
        return Grads((dx.T.reshape(x.shape),))

    return Forward(rows[:, table.ravel()].reshape(*x.shape[:-axes], *table.shape), vjp)


def _alternative(name: str, axes: int, mode: str) -> type:
    right: Any = getattr(nn, name)

    def call(self: Any, state: State, x: Array) -> Forward:
        return _lookup(self, x, axes, mode)

    return dataclass(frozen=True)(type(name, (right,), {"__call__": call}))


ALTERNATIVES = {
    f"{kind}Pad{axes}d": _alternative(f"{kind}Pad{axes}d", axes, mode)
    for kind, mode in (("Reflection", "reflect"), ("Replication", "edge"), ("Circular", "wrap"))
    for axes in (1, 2, 3)
}
