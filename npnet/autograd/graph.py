"""Recording, and the walk back: from a result to everything that it was made from, each once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from npnet.contract import Array, NpnetError


class _Recording(threading.local):
    """Whether operations are recorded, by thread."""

    on = True


recording = _Recording()


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing: results have no creators, and ask for no gradient."""
    before, recording.on = recording.on, False
    try:
        yield
    finally:
        recording.on = before


class Node:
    """What was made, and how: one node of the record.

    creators: the nodes that it was made from, in order
    vjp: of a gradient of what was made, those of the creators, None for one that has none
    requires_grad: whether a gradient is wanted of it, or of anything that it was made from
    """

    __slots__ = ("__weakref__", "creators", "requires_grad", "vjp")

    creators: tuple["Node", ...]
    requires_grad: bool
    vjp: Callable[[Any], Any] | None

    def receive(self, gradient: Any) -> None:
        """Take the gradient of what was made, all of it."""

    def summed(self, known: Any, more: Any, owned: bool) -> Any:
        """Two gradients of it as one; `owned`: the first may be written into."""
        if owned:
            known += more
            return known
        return known + more


class Joint(Node):
    """An operation with several results, each of which hands on its own part."""

    __slots__ = ("shapes",)

    def __init__(self, creators: tuple[Node, ...], vjp: Callable[[Any], Any], likes: Any) -> None:
        self.creators, self.vjp, self.requires_grad = creators, vjp, True
        self.shapes = [(y.shape, y.dtype) for y in likes]

    def part(self, i: int) -> Callable[[Array], tuple[dict[int, Array]]]:
        """The vjp of the i-th result: its gradient, said to be the i-th."""
        return lambda dy: ({i: dy},)

    def summed(self, known: Any, more: Any, owned: bool) -> Any:
        """The parts together; every result hands on its own once."""
        return {**known, **more}

    def whole(self, parts: dict[int, Array]) -> tuple[Array | None, ...]:
        """A gradient for every result; zeros where none came, None for integers."""
        return tuple(
            parts[i] if i in parts else np.zeros(shape, dtype) if dtype.kind == "f" else None
            for i, (shape, dtype) in enumerate(self.shapes)
        )


class GoneError(NpnetError, RuntimeError):
    """A record that an earlier backward pass has let go of."""


def walk_back(result: Node, gradient: Array, keep: bool) -> None:
    """Hand a gradient back from a result, to every node after all that was made from it.

    A node is reached when every use of it has been: so its gradient is complete, and its vjp is
    called once. Without `keep` the record is let go of along the way. Raises GoneError where it was
    before, and has then changed nothing.
    """
    uses = _uses(result)
    if any(node.vjp is _gone for node in uses):
        raise GoneError(
            "backward was called before, and has let go of what was recorded. "
            "Call backward(keep=True) the first time to go back more than once."
        )
    found: dict[Node, Any] = {result: gradient}
    owned: set[Node] = set()  # whose gradients were added up here, and may be written into
    ready = [result]
    while ready:
        node = ready.pop()
        given = found.pop(node, None)
        creators, vjp = node.creators, node.vjp
        if given is not None:
            node.receive(given)
        grads: Any = ()
        if vjp is not None and given is not None:
            grads = vjp(node.whole(given) if isinstance(node, Joint) else given)
        for i, creator in enumerate(creators):
            if not creator.requires_grad:
                continue
            more = grads[i] if grads else None
            if more is not None:
                if creator in found:
                    found[creator] = creator.summed(found[creator], more, creator in owned)
                    owned.add(creator)
                else:
                    found[creator] = more
            left = uses[creator] - 1
            if left:
                uses[creator] = left
            else:
                ready.append(creator)
        if not keep and vjp is not None:
            node.creators, node.vjp = (), _gone


def _uses(result: Node) -> dict[Node, int]:
    """How often every node is used on the way to a result; without recursion, however long."""
    uses = {result: 0}
    left = [result]
    while left:
        for creator in left.pop().creators:
            if not creator.requires_grad:
                continue
            if creator in uses:
                uses[creator] += 1
            else:
                uses[creator] = 1
                left.append(creator)
    return uses


def _gone(_: Any) -> Any:
    raise GoneError("nothing is recorded any more.")
