"""Hooks on the layers of a module: what goes into every call of them, and what comes out."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from npnet.contract import Array, ConfigError
from npnet.twins.oracle import Pair, pair
from npnet.twins.whole.tensors import arrays, each, expect, flat, kept, leaves, torch_says, value
from npnet.verify.precision import Precision
from npnet.verify.spec import Expected
from npnet.verify.whole.trace import LOSS, Call, Place, call_name, name_of

if TYPE_CHECKING:
    from npnet.twins.whole.network import TorchNetwork

Tensor = torch.Tensor


class _Begun(NamedTuple):
    """A call that has begun."""

    layer: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: dict[str, Array]


class _Made(NamedTuple):
    """A call as it was made, and what it left in the buffers."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: dict[str, Array]
    ys: list[Tensor]
    updates: dict[str, Pair]


class Watch:
    """Hooks on the layers of a module: what goes into every call of them, and what comes out."""

    def __init__(
        self, layers: Mapping[int, str], tensors: Mapping[str, Tensor], of: "TorchNetwork"
    ) -> None:
        self._layers, self._tensors, self._of = layers, tensors, of
        self._open: list[_Begun] = []
        self._made: list[_Made] = []
        self._times: dict[str, int] = {}

    def on(self, module: nn.Module) -> Any:
        """Hooks, as long as the block lasts."""
        return _Hooked(self, [m for m in module.modules() if id(m) in self._layers])

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """The inputs of a call, each as a view of its own: so its gradient is this call's alone."""
        args, kwargs = _positional(module, args, kwargs)
        args = each(args, lambda t: t.view_as(t))
        kwargs = {n: each(x, lambda t: t.view_as(t)) for n, x in kwargs.items()}
        layer = self._layers[id(module)]
        state = {
            local: pair(self._tensors[name])[0].copy()
            for local, name in self._of.local_state(layer).items()
        }
        self._open.append(_Begun(layer, args, kwargs, state))
        return args, kwargs

    def after(self, module: nn.Module, args: Any, kwargs: Any, y: Any) -> Any:
        """The outputs of a call, and what it made of the buffers.

        A copy goes on: what is written into it later is not what the layer has made.
        """
        layer, args, kwargs, state = self._open.pop()
        updates = {
            local: kept(self._tensors[name])
            for local, name in self._of.local_state(layer).items()
            if name not in self._of.trainable
        }
        self._times[layer] = self._times.get(layer, 0) + 1
        name = call_name(layer, self._times[layer])
        self._made.append(_Made(name, args, kwargs, state, flat(y), updates))
        return each(y, lambda t: t.clone())

    def loss(self, loss: nn.Module, prediction: Any, target: Any) -> Tensor:
        """The loss of a prediction, watched as a layer is."""
        given = each((prediction,), lambda t: t.view_as(t))
        if len(flat(given)) != 1:
            raise ConfigError(
                f"the loss takes one prediction, but the module returns {len(flat(given))} "
                "tensors. Wrap it in a module that returns one."
            )
        with torch_says(f"the loss {type(loss).__name__}"):
            y: Tensor = loss(*given, target)
        # torch's own class weights and the like are buffers of the loss
        state = {n: t.detach().numpy().copy() for n, t in loss.state_dict().items()}
        self._made.append(_Made(LOSS, (*given, target), {}, state, [y], {}))
        return y

    def total(self, y: Tensor) -> None:
        """The loss that the network itself returns."""
        self._made.append(_Made(LOSS, (), {}, {}, [y], {}))

    def asked(self) -> list[Tensor]:
        """The tensors whose gradient is wanted beside the parameters'."""
        found = []
        for made in self._made:
            found += [*flat(made.args), *flat(list(made.kwargs.values())), *made.ys]
        return [t for t in found if t.requires_grad]

    def quantities(
        self, back: Mapping[int, Tensor | None], precision: Precision
    ) -> dict[Place, Expected]:
        """Every call forwards in order, then backwards."""
        found: dict[Place, Expected] = {}
        for name, args, _, _, ys, updates in self._made:
            for i, x in enumerate(args):
                for leaf, t in leaves(x, f"input {i}"):
                    if isinstance(t, Tensor):
                        found[Place(name, leaf)] = expect(kept(t), precision)
            for i, y in enumerate(ys):
                found[Place(name, name_of("y", i, len(ys)))] = expect(kept(y), precision)
            for local, entry in updates.items():
                found[Place(name, f"next {local}")] = expect(entry, precision)
        for name, args, _, _, ys, _ in reversed(self._made):
            for i, y in enumerate(ys):
                g = back.get(id(y))
                if g is not None and name != LOSS:
                    place = Place(name, f"gradient of {name_of('y', i, len(ys))}")
                    found[place] = expect(kept(g), precision)
            for i, x in enumerate(args):
                for leaf, t in leaves(x, f"input {i}"):
                    g = back.get(id(t)) if isinstance(t, Tensor) else None
                    if g is not None:
                        # of what nothing was made from, a network needs none
                        place = Place(name, f"gradient of {leaf}")
                        needed = t.grad_fn is not None and not _is_given(t)
                        found[place] = expect(kept(g), precision, required=needed)
        return found

    def calls(self, back: Mapping[int, Tensor | None]) -> tuple[Call, ...]:
        """The calls as a layer by itself can be asked them."""
        found = []
        for name, args, kwargs, state, ys, _ in self._made:
            dys: list[Array | None] = []
            for y in ys:
                g = back.get(id(y)) if name != LOSS else torch.ones_like(value(y))
                if not y.is_floating_point():
                    dys.append(None)
                else:
                    dys.append(np.zeros(tuple(y.shape)) if g is None else pair(g)[0].copy())
            found.append(
                Call(
                    name,
                    arrays(args),
                    {n: arrays(x) for n, x in kwargs.items()},
                    state,
                    tuple(dys),
                )
            )
        return tuple(found)


def _positional(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What was given by name where it has a position, by position, as far as there is no gap."""
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return args, kwargs
    first, rest = list(args), dict(kwargs)
    names = [
        p.name for p in bound.signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    for name in names[len(args) :]:
        if name not in rest:
            break
        first.append(rest.pop(name))
    return tuple(first), rest


class _Hooked:
    """Registers the hooks of a watch, and takes them off again."""

    def __init__(self, watch: Watch, modules: Sequence[nn.Module]) -> None:
        self._watch, self._modules = watch, modules
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for m in self._modules:
            self._handles.append(m.register_forward_pre_hook(self._watch.before, with_kwargs=True))
            self._handles.append(m.register_forward_hook(self._watch.after, with_kwargs=True))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _is_given(t: Tensor) -> bool:
    """Whether a view is one of the network's own input."""
    base = t._base
    return base is not None and base.is_leaf
