"""Layers that are made of layers: each part has a name, and its entries begin with that."""

from npnet.contract import Array, Forward, Grads, Layer, Nested, State


def prefixed(name: str, entries: State) -> dict[str, Array]:
    """{"weight": …} as {"name.weight": …}."""
    return {f"{name}.{key}": entry for key, entry in entries.items()}


def part(state: State, name: str) -> dict[str, Array]:
    """The entries of one part, without its name."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): a for key, a in state.items() if key.startswith(prefix)}


def run(name: str, layer: Layer, state: State, *inputs: Nested, **kwargs: object) -> Forward:
    """The forward pass of one part; its gradients and updates have the names of the whole."""
    y, vjp, updates = layer(part(state, name), *inputs, **kwargs)

    def named(dy: Nested) -> Grads:
        inner = vjp(dy)
        return Grads(inner.inputs, prefixed(name, inner.params))

    return Forward(y, named, prefixed(name, updates))
