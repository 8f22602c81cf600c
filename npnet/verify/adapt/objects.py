"""Adapters for objects: one that keeps its cache and gradients on itself, or several in a row."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads
from npnet.verify.adapt.wiring import (
    EMPTY,
    Adapted,
    Arguments,
    Crossing,
    Layout,
    Layouts,
    Takes,
    Wiring,
    as_tuple,
    follow,
    method,
    name_of,
    places,
    put,
    unwrapped,
)
from npnet.verify.case import Case
from npnet.verify.finding import Source


def stateful(
    build: Callable[..., Any],
    layout: Layout = EMPTY,
    *,
    buffers: Layout = EMPTY,
    grads: str | Mapping[str, str] = "d{}",
    config: Arguments = None,
    inputs: Layouts = None,
    outputs: Layouts = None,
    forward: str = "forward",
    backward: str = "backward",
    zero_grad: str | None = None,
    unit_loss: bool | None = None,
    shared: bool = False,
) -> Adapted:
    """A class with forward(x) and backward(dy) that keeps its cache and its gradients on itself.

    build: the class, or a function that returns the object
    layout: a parameter goes to the constructor if that has an argument of its name; else it is put
        on the object, by a path: "W", "params.W" (in a dict), "params.0" (in a list)
    buffers: the same for state that has no gradient; what forward changes of either is an update
    grads: where gradients are after backward: a path in which {} is the parameter's last name
        ("d{}", "grad_{}", "grads.{}"); the path of a list in the order of the layout, or of a dict
        with your names ("grads"); a path for each name; "return" for backward(dy) -> (dx, dW, db)
    forward, backward: the methods' names. Arguments named in config go to the constructor, or to
        forward if only that has them. Several outputs: backward takes as many cotangents
    zero_grad: the method to call before every backward, where gradients are added up
    unit_loss: whether backward takes dL/dy = 1 for granted, so that its gradients are scaled by dy;
        by default, whether it has no argument
    shared: use one object for all calls of a configuration, as a network does that uses a layer
        twice: shows a cache that the second forward pass overwrites
    """
    wiring = Wiring.of(layout, buffers, config, inputs, outputs)
    name, constructor = name_of(build), Takes.of(build)
    by_constructor = {m for m in (*layout, *buffers) if constructor.accepts(m)}
    found = _places(build, forward, backward)
    late = not found  # a function builds the object: the class is known after the first call
    found = found or places(build, build)
    objects: dict[str, Any] = {}

    def make(crossing: Crossing, told: Mapping[str, Any]) -> Any:
        given = {mine: a for mine, a in crossing.state.items() if mine in by_constructor}
        return crossing.call(build, constructor, (), {**told, **given})

    def prepare(case: Case, crossing: Crossing) -> tuple[Any, dict[str, Any]]:
        told = crossing.told(constructor, Takes.of(getattr(build, forward, None)))
        later = {m: told.pop(m) for m in [*told] if not constructor.accepts(m)}
        key = repr((sorted(case.config.items()), sorted(crossing.state)))
        known = shared and key in objects
        layer = objects[key] if known else make(crossing, told)
        if shared:
            objects.clear()
            objects[key] = layer
        for mine, a in crossing.state.items():
            if known or mine not in by_constructor:
                _put(layer, mine, a)
        return layer, later

    def run(case: Case) -> Forward:
        crossing = wiring.open(case)
        layer, later = prepare(case, crossing)
        ahead, back = method(layer, forward), method(layer, backward)
        if late:
            found.update(_places(layer, forward, backward))
        y = crossing.returned(
            crossing.call(ahead, Takes.of(ahead), crossing.inputs, {**later, **case.kwargs})
        )
        updates = crossing.updates(_after(layer, crossing))
        unit = Takes.of(back).positional == 0 if unit_loss is None else unit_loss

        def vjp(dy: Any) -> Grads:
            dys = crossing.cotangents(dy)
            if zero_grad is not None:
                method(layer, zero_grad)()
            if unit:
                crossing.unit(name)
            returned = as_tuple(back() if unit else back(*dys))
            if grads == "return":
                returned, params = crossing.split(returned, f"{name}.{backward}")
            else:
                params = {
                    mine: _gradient(layer, mine, grads, crossing) for mine in crossing.parameters
                }
            return crossing.grads(returned, params, dys[0] if unit else None)

        return Forward(y, vjp, updates)

    return Adapted(run, build, found)


def operation(
    build: Callable[..., Any],
    layout: Layout = EMPTY,
    *,
    param_grad: str = "param_grad",
    config: Arguments = None,
    inputs: Layouts = None,
    outputs: Layouts = None,
    forward: str = "forward",
    backward: str = "backward",
    unit_loss: bool | None = None,
    shared: bool = False,
) -> Adapted:
    """Operations in a row: forward(input), and backward(output_grad) that leaves param_grad behind.

    build: takes the parameters of the layout and the configuration by name, and returns one
        operation, or a list in the order of the forward pass: lambda W, b: [Multiply(W), Add(b)]
    param_grad: the attribute of the operations that have a parameter; they stand in the order of
        the layout
    """

    def chain(**arguments: Any) -> _Chain:
        built = build(**arguments)
        operations = list(built) if isinstance(built, list | tuple) else [built]
        return _Chain(operations, forward, backward, param_grad)

    functools.update_wrapper(chain, build, updated=())  # for its name and its signature
    adapted = stateful(
        chain,
        layout,
        grads="grads",
        config=config,
        inputs=inputs,
        outputs=outputs,
        unit_loss=unit_loss,
        shared=shared,
    )
    adapted.sources.update(_places(build, forward, backward))
    return adapted


class _Chain:
    """Operations in a row as one object with forward, backward and a list of gradients."""

    def __init__(
        self, operations: Sequence[Any], forward: str, backward: str, param_grad: str
    ) -> None:
        self._operations, self._forward, self._backward = operations, forward, backward
        self._param_grad = param_grad

    @property
    def grads(self) -> list[Any]:
        """What the operations with a parameter left behind, in order."""
        found = [getattr(op, self._param_grad, None) for op in self._operations]
        return [g for g in found if g is not None]

    def forward(self, *inputs: Any) -> Any:
        """Through all operations."""
        for op in self._operations:
            inputs = (method(op, self._forward)(*inputs),)
        return inputs[0]

    def backward(self, *dys: Any) -> Any:
        """Through all operations, the last one first."""
        for op in reversed(self._operations):
            dys = as_tuple(method(op, self._backward)(*dys))
        return dys


def _places(code: Any, forward: str, backward: str) -> dict[str, Source]:
    if isinstance(code, _Chain):  # which of several operations is wrong is not known
        return {}
    code = unwrapped(code)
    return places(getattr(code, forward, None), getattr(code, backward, None))


def _put(layer: Any, mine: str, a: Array) -> None:
    try:
        put(layer, mine, a)
    except LookupError as step:
        raise ConfigError(
            f"{type(layer).__name__} has neither a constructor argument nor an attribute {mine!r} "
            f"for a parameter (no {step}); it has {_attributes(layer)}. Name one of these in the "
            "layout."
        ) from None


def _after(layer: Any, crossing: Crossing) -> dict[str, Any]:
    """My parameters and buffers as they are now, where the object still shows them."""
    found = {}
    for mine in (*crossing.parameters, *crossing.buffers):
        try:
            a = follow(layer, mine)
        except LookupError:
            if mine in crossing.buffers:
                raise ConfigError(
                    f"after forward the {type(layer).__name__} has no attribute {mine!r}, which is "
                    f"one of the buffers; it has {_attributes(layer)}."
                ) from None
            continue
        if isinstance(a, np.ndarray | np.generic):
            found[mine] = a
    return found


def _gradient(layer: Any, mine: str, grads: str | Mapping[str, str], crossing: Crossing) -> Any:
    """What backward left behind for one parameter, as a copy: it may be overwritten next time."""
    last = mine.rpartition(".")[2]
    path = grads.get(mine, "") if isinstance(grads, Mapping) else grads.format(last)
    try:
        g = follow(layer, path)
    except LookupError as step:
        raise ConfigError(
            f"after backward(dy) the {type(layer).__name__} has no attribute {path!r} for the "
            f"gradient of {mine!r} (no {step}); it has {_attributes(layer)}. Set grads= to the "
            'place of the gradients, as in grads="grad_{}".'
        ) from None
    if isinstance(g, Mapping):
        key = next((k for k in (mine, last, f"d{last}") if k in g), None)
        g = g[key] if key is not None else None
    elif isinstance(g, list | tuple):
        order = crossing.parameters if len(g) == len(crossing.parameters) else crossing.layout
        if len(g) != len(order):
            raise ConfigError(
                f"{path!r} of the {type(layer).__name__} holds {len(g)} gradients, but the layout "
                f"names {order}."
            )
        g = g[order.index(mine)]
    return g.copy() if isinstance(g, np.ndarray) else g


def _attributes(layer: Any) -> str:
    names = [name for name in getattr(layer, "__dict__", {}) if not name.startswith("__")]
    return ", ".join(names) or "no attributes"
