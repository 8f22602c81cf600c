"""What a candidate answers, read as named quantities; what cannot be read is a fault."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from npnet.contract import Array, Forward, Grads
from npnet.verify.case import Example, leaves
from npnet.verify.fault import Fault, Refused
from npnet.verify.finding import Verdict
from npnet.verify.handed import Asked


def call_forward(asked: Asked, arrays: dict[str, Array]) -> tuple[Forward, list[Any]]:
    """The candidate's forward pass on these arrays, and its outputs as a list."""
    example = asked.example
    case = example.case(arrays)
    reply = asked.function(case)
    asked.cases.append(case)
    if not isinstance(reply, Forward):
        if isinstance(reply, tuple) and len(reply) in (2, 3) and callable(reply[1]):
            reply = Forward(*reply)
        else:
            raise Refused(
                Fault(
                    "y",
                    Verdict.CONTRACT,
                    "a candidate must return Forward(y, vjp), but returned "
                    f"{describe(reply)}. If your code keeps its cache elsewhere, wrap it with one "
                    "of npnet.verify.adapt.",
                )
            )
    if not callable(reply.vjp):
        message = f"vjp must be a function of dy, but is {describe(reply.vjp)}."
        raise Refused(Fault("y", Verdict.CONTRACT, message))
    outputs = list(reply.y) if isinstance(reply.y, tuple | list) else [reply.y]
    if len(outputs) != len(example.outputs):
        raise Refused(
            Fault(
                "y",
                Verdict.CONTRACT,
                f"torch returns {len(example.outputs)} tensors, but the candidate "
                f"{len(outputs)}. Return them as one tuple, in torch's order.",
            )
        )
    for i, y in enumerate(outputs):
        _check_size(name_of_y(example, i), y, asked.master)
    return reply, outputs


def _check_size(quantity: str, x: Any, given: Mapping[str, Array]) -> None:
    """Raise Refused for an array that nobody could copy; it may take no memory where it is."""
    most = max(_LARGE, 64 * sum(a.nbytes for a in given.values()))
    if isinstance(x, np.ndarray) and x.nbytes > most:
        message = f"{quantity} has shape {x.shape}, which is {x.nbytes:.2g} bytes."
        raise Refused(Fault(quantity, Verdict.CONTRACT, message))


_LARGE = 1 << 28


def read_updates(forward: Forward, example: Example) -> dict[str, Any]:
    """What the pass changed, as "next running_mean"."""
    known = [n.removeprefix("state ") for n in example.arrays if n.startswith("state ")]
    if not isinstance(forward.updates, Mapping):
        message = f"updates must map state names to arrays, but is {describe(forward.updates)}."
        raise Refused(Fault("y", Verdict.CONTRACT, message))
    for name in forward.updates:
        if name not in known:
            raise Refused(_unknown(f"next {name}", name, known, "updates"))
    return {f"next {name}": value for name, value in forward.updates.items()}


def call_vjp(
    asked: Asked, forward: Forward, *, strided: bool = False, scale: float = 1.0
) -> dict[str, Any]:
    """The gradients for the example's cotangents, times `scale`, as "gradient of weight"."""
    asked.backward = True
    grads = forward.vjp(argument(cotangents(asked, strided, scale)))
    asked.backward = False
    return read_grads(grads, asked.example, asked.master)


def cotangents(asked: Asked, strided: bool = False, scale: float = 1.0) -> list[Array | None]:
    """Fresh copies of dy for every output, None for an integer one."""
    return [None if n is None else asked.copy(n, strided, scale) for n in asked.example.outputs]


def argument(dys: list[Array | None]) -> Any:
    """dL/dy as a vjp takes it: one array, or the tuple of several."""
    return dys[0] if len(dys) == 1 else tuple(dys)


def read_grads(grads: Any, example: Example, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A vjp's answer as named quantities, nested as the inputs are."""
    if not isinstance(grads, Grads):
        if isinstance(grads, tuple) and len(grads) == 2 and isinstance(grads[1], Mapping):
            grads = Grads(*grads)
        else:
            message = (
                "vjp must return Grads(inputs, params), but returned "
                f"{describe(grads)}. inputs is a tuple with one gradient per input."
            )
            raise Refused(Fault("gradient of input 0", Verdict.CONTRACT, message))
    wanted = [name for i, x in enumerate(example.inputs) for name, _ in leaves(x, f"input {i}")]
    inputs = grads.inputs if isinstance(grads.inputs, tuple | list) else (grads.inputs,)
    found: dict[str, Any] = {}
    for i, (x, g) in enumerate(zip(example.inputs, inputs, strict=False)):
        nested = x if isinstance(x, tuple) and g is not None else None
        for name, leaf in leaves(g if nested is not None else _alike(x, g), f"input {i}"):
            found[f"gradient of {name}"] = leaf
    if len(inputs) != len(example.inputs) or any(f"gradient of {n}" not in found for n in wanted):
        raise Refused(
            Fault(
                "gradient of input 0",
                Verdict.CONTRACT,
                f"vjp must return {len(example.inputs)} gradients of inputs, nested as the inputs "
                f"are, but returned {len(inputs)}. Use None for an input without gradient.",
            )
        )
    found = {k: g for k, g in found.items() if k.removeprefix("gradient of ") in arrays}
    for name, g in found.items():
        _check_size(name, g, arrays)
    known = [n.removeprefix("state ") for n in arrays if n.startswith("state ")]
    for name, g in grads.params.items():
        if name not in known:
            raise Refused(_unknown(f"gradient of {name}", name, known, "Grads.params"))
        found[f"gradient of {name}"] = g
    return found


def _alike(x: Any, g: Any) -> Any:
    """None for a whole tuple of inputs means None for each of them."""
    return tuple(_alike(part, None) for part in x) if isinstance(x, tuple) else g


def name_of_y(example: Example, i: int) -> str:
    """ "y", or "y 1" where there are several outputs."""
    return "y" if len(example.outputs) == 1 else f"y {i}"


def _unknown(quantity: str, name: Any, known: list[str], where: str) -> Fault:
    near = get_close_matches(str(name), known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known are {known}."
    message = f"{where} has an entry {name!r}, which torch's state_dict does not have.{hint}"
    return Fault(quantity, Verdict.CONTRACT, message)


def describe(x: Any) -> str:
    """What a candidate returned, in a few words."""
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape}"
    if isinstance(x, tuple):
        return f"a tuple of {len(x)}"
    try:
        return "None" if x is None else f"{type(x).__name__} {str(x)[:60]!r}"
    except Exception:  # a stranger's __str__
        return type(x).__name__
