"""Adapters for functions: a forward and a backward one, or one of autograd tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, Forward, Grads
from npnet.verify.adapt.wiring import (
    EMPTY,
    Adapted,
    Arguments,
    Layout,
    Layouts,
    Takes,
    Wiring,
    as_tuple,
    name_of,
    places,
)
from npnet.verify.case import Case, map_leaves


def pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    layout: Layout = EMPTY,
    *,
    config: Arguments = None,
    inputs: Layouts = None,
    outputs: Layouts = None,
    unit_loss: bool | None = None,
) -> Adapted:
    """forward(x, w, b) -> (y, cache) and backward(dy, cache) -> (dx, dw, db).

    Parameters are handed to forward by the names of the layout if it has all of them as arguments,
    else after the inputs in the order of the layout; gradients come in that order, those of the
    inputs first. Arguments that hold several options: config=lambda c: {"conv_param": {...}}.

    backward: None where forward returns (loss, dx) at once
    unit_loss: whether backward(cache) takes dL/dy = 1 for granted; by default, whether it has but
        one argument
    """
    wiring = Wiring.of(layout, EMPTY, config, inputs, outputs)
    takes, name = Takes.of(forward), name_of(forward)
    by_name = takes.positional is not None and all(takes.accepts(mine) for mine in layout)
    if unit_loss is None:
        unit_loss = backward is None or Takes.of(backward).required == 1
    label = name_of(backward or forward)
    back: Callable[..., Any] = backward or _handed_over

    def run(case: Case) -> Forward:
        crossing = wiring.open(case)
        given = crossing.told(takes)
        args = crossing.inputs
        if by_name:
            given |= crossing.state
        else:
            arrays = [crossing.state.get(mine) for mine in layout]
            while arrays and arrays[-1] is None:
                arrays.pop()
            args += tuple(arrays)
        result = crossing.call(forward, takes, args, {**given, **case.kwargs})
        if not isinstance(result, tuple | list) or len(result) < 2:
            raise ConfigError(
                f"{name} must return (y, cache), but returned {type(result).__name__}."
            )
        *ys, cache = result
        y = crossing.returned(tuple(ys) if len(ys) > 1 else ys[0])

        def vjp(dy: Any) -> Grads:
            dys = crossing.cotangents(dy)
            if unit_loss:
                crossing.unit(label)
            returned = as_tuple(back(cache) if unit_loss else back(*dys, cache))
            dxs, params = crossing.split(returned, label)
            return crossing.grads(dxs, params, dys[0] if unit_loss else None)

        return Forward(y, vjp)

    return Adapted(run, forward, places(forward, backward or forward))


def _handed_over(cache: Any) -> Any:
    return cache


def tensors(
    function: Callable[..., Any],
    wrap: Callable[[Array], Any],
    layout: Layout = EMPTY,
    *,
    config: Arguments = None,
    inputs: Layouts = None,
    outputs: Layouts = None,
    data: str = "data",
    grad: str = "grad",
    seed: Callable[[Any, Any], Any] | None = None,
) -> Adapted:
    """function(x, W, b) of autograd tensors, made from arrays by wrap.

    Parameters are handed over by the names of the layout if the function has them as arguments,
    else after the inputs in the order of the layout. Every vjp runs the function anew, as
    gradients of such tensors add up.

    data, grad: the attributes with a tensor's array and, after backward, its gradient
    seed: seed(y, dy) starts the backward pass, where dy is a tensor; by default y.backward(dy), or
        (y * dy).sum().backward() if backward has no argument
    """
    wiring = Wiring.of(layout, EMPTY, config, inputs, outputs)
    takes, found = Takes.of(function), places(function, function)
    by_name = takes.positional is not None and all(takes.accepts(mine) for mine in layout)

    def leaf(_: str, x: Any) -> Any:
        return wrap(x.copy()) if isinstance(x, np.ndarray) else x

    def run(case: Case) -> Forward:
        crossing = wiring.open(case)
        told = crossing.told(takes)

        def trace() -> tuple[tuple[Any, ...], Any, dict[str, Any]]:
            xs = map_leaves(crossing.inputs, "", leaf)
            params = {mine: wrap(a.copy()) for mine, a in crossing.state.items()}
            args = xs if by_name else (*xs, *params.values())
            given = {**told, **(params if by_name else {}), **case.kwargs}
            return as_tuple(crossing.call(function, takes, args, given)), xs, params

        first, _, _ = trace()
        found.update(places(function, getattr(type(first[0]), "backward", None)))
        values = tuple(_array(y, data, function) for y in first)
        y = crossing.returned(values if len(values) > 1 else values[0])

        def vjp(dy: Any) -> Grads:
            ys, xs, params = trace()
            for y, d in zip(ys, crossing.cotangents(dy), strict=True):
                if d is not None:
                    (seed or _seed)(y, wrap(d.copy()))
            dxs = map_leaves(xs, "", lambda _, x: _grad(x, grad, data))
            return crossing.grads(dxs, {m: _grad(p, grad, data) for m, p in params.items()})

        return Forward(y, vjp)

    return Adapted(run, function, found)


def _seed(y: Any, dy: Any) -> None:
    if Takes.of(y.backward).positional == 0:
        (y * dy).sum().backward()
    else:
        y.backward(dy)


def _array(y: Any, data: str, function: Any) -> Any:
    if isinstance(y, np.ndarray | np.generic):
        return y
    if not hasattr(y, data):
        raise ConfigError(
            f"{name_of(function)} must return a tensor with the attribute {data!r}, but returned a "
            f"{type(y).__name__}. Set data= to the attribute that holds its array."
        )
    return getattr(y, data)


def _grad(x: Any, grad: str, data: str) -> Any:
    """The gradient of a leaf, which may be a tensor itself."""
    g = getattr(x, grad, None)
    return g if g is None or isinstance(g, np.ndarray | np.generic) else getattr(g, data, g)
