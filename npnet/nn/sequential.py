"""Sequential: one layer after the other."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from npnet.contract import Array, Forward, Grads, Layer, Nested, State
from npnet.nn._parts import prefixed, run


@dataclass(frozen=True, init=False)
class Sequential:
    """y = fₙ(… f₂(f₁(x))), for example Sequential(Linear(4, 8), ReLU(), Linear(8, 2)).

    x: what the first layer takes    y: what the last one returns; x without any layers

    dx = vjp₁(… vjpₙ₋₁(vjpₙ(dy))), where vjpᵢ takes layer i's gradient of its output to that of its
    input; along the way each gives those of its own parameters

    An entry of layer i's state is called "i.name", counted from 0: "0.weight". The gradient ends at
    a layer that gives its input none (Embedding). `rng` goes to the layers that draw. Every layer
    has its own mode: `training` is a field of those where it matters.

    Twin: torch.nn.Sequential.
    """

    layers: tuple[Layer, ...]

    def __init__(self, *args: Layer, layers: Iterable[Layer] = ()) -> None:
        # the keyword is what dataclasses.replace calls with, and what repr shows
        object.__setattr__(self, "layers", (*args, *layers))

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """What the layers draw, one after the other."""
        drawn = (prefixed(str(i), layer.init(rng)) for i, layer in enumerate(self.layers))
        return {name: entry for entries in drawn for name, entry in entries.items()}

    def __call__(
        self, state: State, x: Nested, *, rng: np.random.Generator | None = None
    ) -> Forward:
        """y, the gradients of x and of every layer's parameters, and every layer's updates."""
        y, vjps = x, []
        updates: dict[str, Array] = {}
        for i, layer in enumerate(self.layers):
            kwargs = {"rng": rng} if _draws(type(layer)) else {}
            forward = run(str(i), layer, state, y, **kwargs)
            y = forward.y
            vjps.append(forward.vjp)
            updates |= forward.updates

        def vjp(dy: Nested) -> Grads:
            params: dict[str, Array] = {}
            for layer_vjp in reversed(vjps):
                if dy is None:
                    break
                (dy,), dparams = layer_vjp(dy)
                params |= dparams
            return Grads((dy,), params)

        return Forward(y, vjp, updates)


@cache
def _draws(layer: type) -> bool:
    """Whether a layer takes `rng`."""
    return "rng" in inspect.signature(layer.__call__).parameters
