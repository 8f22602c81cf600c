"""One pass through the layers of a model: which entries are whose, the walk there and back."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any

import numpy as np

from npnet.autograd import Tensor, no_grad
from npnet.autograd.graph import Joint, Node
from npnet.contract import Array, ConfigError, Layer, State

Wiring = Callable[..., Any]
"""wiring(call, *inputs) -> y, where call(name, *inputs, **options) applies a layer to tensors."""

LOSS = "loss"
"""What the entries of a loss that has any begin with."""


class Walk:
    """A pass through layers that share one state, recorded by tensors.

    leaves: the entries of the state, those that may have a gradient as tensors
    updates: what the pass has changed, as running_mean; a layer that is used again finds it
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        state: State,
        rng: np.random.Generator | None,
        *,
        recorded: bool,
    ) -> None:
        self.layers, self.rng, self.recorded = layers, rng, recorded
        self.updates: dict[str, Array] = {}
        self.leaves: dict[str, Any] = {
            name: _Leaf(a) if recorded and a.dtype.kind == "f" else a for name, a in state.items()
        }
        self._entries: dict[str, dict[str, Any]] = {
            layer: {short: self.leaves[full] for short, full in names}
            for layer, names in owners(tuple(layers), tuple(state)).items()
        }

    def call(self, name: str, *inputs: Any, **options: Any) -> Any:
        """The layer of this name, applied; one that draws gets the generator."""
        layer = self.layers.get(name)
        if layer is None:
            near = get_close_matches(name, self.layers, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(self.layers)}."
            raise ConfigError(f"the model has no layer {name!r}. {hint}")
        if draws(type(layer)):
            options.setdefault("rng", self.rng)
        changed: dict[str, Array] = {}
        entries = self._entries[name]
        y = Tensor.apply(layer, *inputs, state=entries, updates=changed, **options)
        if self.recorded:
            for part in y if isinstance(y, tuple) else (y,):
                _let_go_of_data(part)
        for short, a in changed.items():
            self.updates[f"{name}.{short}"] = a = np.asarray(a)
            if isinstance(entries[short], Tensor):
                entries[short].data = a
            else:
                entries[short] = a
        return y

    def gradients(self) -> dict[str, Array]:
        """What came back to the entries, of parameters only: no layer sends any to a buffer."""
        found = ((name, leaf) for name, leaf in self.leaves.items() if isinstance(leaf, _Leaf))
        # in one layout, so that what is computed of them has one, too
        return {n: np.asarray(t.grad, order="C") for n, t in found if t.grad is not None}


class _Leaf(Tensor):
    """An entry of the state. Its gradient is read, and never written into: no copy is needed."""

    __slots__ = ()

    def __init__(self, data: Array) -> None:
        self.data, self.grad, self.creation_op = data, None, ""
        self.requires_grad, self.keeps_grad, self.creators, self.vjp = True, True, (), None

    def receive(self, gradient: Any) -> None:
        self.grad = gradient


class _Link(Node):
    """What a layer has made, without its data, which only the layers that need it keep."""

    __slots__ = ()

    def __init__(self, creators: tuple[Node, ...], vjp: Any) -> None:
        self.creators, self.vjp, self.requires_grad = creators, vjp, True


def _through(dy: Any) -> tuple[Any]:
    """The vjp of a tensor that was made of a link alone."""
    return (dy,)


def _let_go_of_data(y: Tensor) -> None:
    """Put links in the place of what a tensor was made from, and of itself in the record."""
    if not y.requires_grad:
        return
    creators = y.creators
    if len(creators) == 1 and isinstance(creators[0], Joint):
        creators[0].creators = tuple(map(_link, creators[0].creators))
    link = _Link(tuple(map(_link, creators)), y.vjp)
    y.creators, y.vjp = (link,), _through


def _link(node: Node) -> Node:
    """What stands for a node in the record: itself where it is no layer's, or keeps a gradient."""
    if node.vjp is not _through or getattr(node, "keeps_grad", False):
        return node
    return node.creators[0]


def one_after_the_other(layers: Mapping[str, Layer]) -> Wiring:
    """The wiring of torch.nn.Sequential."""

    def forward(call: Callable[..., Any], x: Any) -> Any:
        for name in layers:
            x = call(name, x)
        return x

    return forward


def applied(
    layers: Mapping[str, Layer], forward: Wiring, state: State, inputs: tuple[Any, ...]
) -> Any:
    """What a wiring makes of inputs: an array, or a tuple of arrays; nothing is recorded.

    Layers that draw in evaluation, too, always draw the same.
    """
    with no_grad():
        walk = Walk(layers, state, np.random.default_rng(0), recorded=False)
        y = forward(walk.call, *map(Tensor, inputs))
    return tuple(t.data for t in y) if isinstance(y, tuple) else y.data


def evaluating(layer: Any) -> Any:
    """The layer in evaluation mode, and the layers that it is made of, too."""
    if isinstance(layer, tuple | list):
        return type(layer)(evaluating(part) for part in layer)
    if not is_dataclass(layer) or isinstance(layer, type) or not callable(layer):
        return layer
    before = {f.name: getattr(layer, f.name) for f in fields(layer)}
    after = {name: evaluating(value) for name, value in before.items()}
    if "training" in after:
        after["training"] = False
    changed = {name: value for name, value in after.items() if value is not before[name]}
    return replace(layer, **changed) if changed else layer


@cache
def draws(layer: type) -> bool:
    """Whether a layer takes `rng`."""
    return "rng" in inspect.signature(layer.__call__).parameters


@lru_cache(maxsize=64)
def owners(
    layers: tuple[str, ...], entries: tuple[str, ...]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """For every layer its entries: ("weight", "fc1.weight").

    Raises ConfigError for an entry of no layer.
    """
    found: dict[str, list[tuple[str, str]]] = {layer: [] for layer in layers}
    for entry in entries:
        mine = [layer for layer in layers if entry.startswith(f"{layer}.")]
        if not mine:
            near = get_close_matches(entry.rpartition(".")[0], layers, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"the entries of a state begin with the name of a layer ({', '.join(layers)}), but "
                f"one is {entry!r}.{hint}"
            )
        longest = max(mine, key=len)
        found[longest].append((entry.removeprefix(f"{longest}."), entry))
    return {layer: tuple(names) for layer, names in found.items()}


def several(x: Any) -> tuple[Any, ...]:
    """A tuple as it is, anything else as a tuple of one."""
    return x if isinstance(x, tuple) else (x,)
