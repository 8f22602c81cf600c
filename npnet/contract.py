"""The whole vocabulary of npnet: a layer, what one pass leaves behind, what a gradient is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
State: TypeAlias = Mapping[str, Array]
"""torch's state_dict: the same names, the same shapes, the same layouts."""

Nested: TypeAlias = Any
"""An array, None, or a tuple of these; torch's way of passing (h_0, c_0)."""


class Grads(NamedTuple):
    """dL/dinputs (None where an input has no gradient) and dL/dparams, by name."""

    inputs: tuple[Nested, ...]
    params: State = MappingProxyType({})


class Forward(NamedTuple):
    """What one forward pass leaves behind.

    `y` is a tuple where torch returns several tensors, flattened in torch's order; `vjp` then takes
    one argument, the tuple of cotangents, with None for an integer output.
    `vjp` maps dL/dy to Grads; it is a function, so it may be called any number of times.
    `updates` holds the state entries that the pass changed: {**state, **updates} comes next.
    """

    y: Array | tuple[Array, ...]
    vjp: Callable[[Any], Grads]
    updates: State = MappingProxyType({})


class SparseGrad(NamedTuple):
    """A gradient that is zero but for some places: torch's sparse COO tensor.

    `values[k]` stands at `indices[:, k]`; a place may be named more than once, and adds up.

    indices: (d, n) integers, n places along the first d axes
    values: (n, *shape[d:])
    shape: that of the whole, which is the parameter's
    """

    indices: Array
    values: Array
    shape: tuple[int, ...]


class Layer(Protocol):
    """A frozen dataclass whose fields are the constructor arguments of its torch twin."""

    def init(self, rng: np.random.Generator) -> State:
        """Parameters and buffers, drawn as the twin's reset_parameters draws them."""
        ...

    def __call__(self, state: State, *inputs: Nested, **kwargs: Any) -> Forward:
        """The forward pass; a layer that draws takes `rng`, a Generator, as a keyword."""
        ...


S = TypeVar("S")


class Optimizer(Protocol[S]):
    """A frozen dataclass of hyper-parameters with two pure functions."""

    def init(self, params: State) -> S:
        """The state before the first step."""
        ...

    def step(self, params: State, grads: Mapping[str, Array | None], state: S) -> tuple[State, S]:
        """The parameters and the state after one step; a gradient of None leaves both alone."""
        ...


class NpnetError(Exception):
    """Whatever npnet raises on purpose. Its message names requirement, received value and fix."""


class ShapeError(NpnetError, ValueError):
    """An array does not have the shape that a layer's configuration asks for."""


class ConfigError(NpnetError, ValueError):
    """A constructor argument, or a combination of them, has no meaning."""


class DtypeError(NpnetError, TypeError):
    """An array does not have a dtype that the operation is defined for."""


class IndexRangeError(NpnetError, IndexError):
    """An index points outside of what it indexes."""


class DomainError(NpnetError, ValueError):
    """A value lies where the function is not defined: a negative variance."""
