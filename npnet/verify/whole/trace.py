"""What one training step leaves behind, as plain data: every quantity of every layer, by name.

A place is (layer, quantity). Layers go by their names in the twin's module, "fc1"; the second call
of one in the same step is "fc1 (2)". The loss is "loss", the optimizer "optimizer", and the network
as a whole, where nothing is known of its layers, "network"; what connects the layers "wiring".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from npnet.contract import Array, State
from npnet.verify.spec import Expected

LOSS, OPTIMIZER, NETWORK = "loss", "optimizer", "network"
WIRING, CARRIED = "wiring", "carried"


class Place(NamedTuple):
    """One quantity of one layer in one step."""

    layer: str
    quantity: str

    def __str__(self) -> str:
        if self.layer == OPTIMIZER:
            return self.quantity
        return f"{self.quantity} of {self.layer or NETWORK}"

    @property
    def path(self) -> str:
        """The layer's name, whichever of its calls it is."""
        return path_of(self.layer)


def path_of(call: str) -> str:
    """The layer of a call: "fc1" of "fc1 (2)"."""
    return call.partition(" (")[0]


def call_name(path: str, n: int) -> str:
    """The n-th call of a layer in one step, from 1."""
    return path if n == 1 else f"{path} ({n})"


def name_of(kind: str, i: int, of: int) -> str:
    """ "y", or "y 1" where there are several."""
    return kind if of == 1 else f"{kind} {i}"


@dataclass(frozen=True)
class Call:
    """One call of a layer as torch made it: what it was given, forwards and backwards.

    inputs, kwargs: of forward, nested as they were; state: before the call
    dys: the cotangent of every output, zeros where nothing came back, None where it is an integer
    """

    name: str
    inputs: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    state: State
    dys: tuple[Array | None, ...]


@dataclass(frozen=True)
class TwinStep:
    """One step of the twin: every quantity with its bound, in the order of blame, and the calls.

    disagreement: how torch contradicts itself
    """

    quantities: Mapping[Place, Expected]
    calls: tuple[Call, ...] = ()
    grads: Mapping[str, Array | None] = field(default_factory=dict)
    disagreement: str | None = None


@dataclass(frozen=True)
class OwnStep:
    """One step of a candidate, by place; and what it trains with afterwards.

    state: its parameters and buffers after the step
    grads: of every parameter that has one
    """

    quantities: Mapping[Place, Any]
    state: State
    grads: Mapping[str, Any]
