"""Examples and replies as documents with arrays, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError
from npnet.verify.case import Example
from npnet.verify.fault import Fault, Reply, is_plain
from npnet.verify.finding import Verdict
from npnet.verify.isolate.wire import Unreadable, travels
from npnet.verify.store import decode, example_document, example_of


class Foreign:
    """Stands for what a candidate returned that is no array, or none that travels."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self._text = kind, text

    def __repr__(self) -> str:
        return self._text


def of_example(example: Example) -> tuple[dict[str, Any], list[Array]]:
    """An example for the worker, without what only the verdict needs.

    Raises ConfigError for an option that cannot be sent: a function, say, that `only=` has drawn.
    """
    document = example_document(example)
    for what in ("config", "kwargs", "inputs"):
        try:
            decode(document[what])
        except ValueError as error:
            raise ConfigError(
                f"what a candidate is given must be numbers, text, arrays and tuples of these to "
                f"reach it in a process of its own, but {error}. Use --in-process."
            ) from None
    document["choices"] = {"mapping": []}
    names = list(example.arrays)
    document["arrays"] = {name: name for name in names}
    document["names"] = names
    return document, [*example.arrays.values(), *(example.masks or ())]


def to_example(document: Mapping[str, Any], arrays: Sequence[Array]) -> Example:
    """The example of a document."""
    names = document["names"]
    found = dict(zip(names, arrays, strict=False))
    found |= {f"mask {i}": a for i, a in enumerate(arrays[len(names) :])}
    return example_of(document, found)


def of_reply(reply: Reply) -> tuple[dict[str, Any], list[Array]]:
    """A reply for the parent."""
    arrays: list[Array] = []

    def told(value: Any) -> Any:
        if value is None:
            return None
        if travels(value) and is_plain(value):
            arrays.append(np.asarray(value))
            return {"array": len(arrays) - 1, "scalar": isinstance(value, np.generic)}
        if is_plain(value):
            return {"dtype": str(value.dtype), "shape": list(value.shape)}
        return {"kind": type(value).__name__, "text": _text(value)}

    document = {
        "quantities": [[name, told(value)] for name, value in reply.quantities.items()],
        "faults": [
            [f.quantity, f.verdict.value, f.message, f.traceback, f.chance, told(f.excess)]
            for f in reply.faults
        ],
        "complete": reply.complete,
    }
    return document, arrays


def _text(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception:  # a stranger's __repr__
        return f"<{type(value).__name__}>"


def to_reply(document: Any, arrays: Sequence[Array]) -> Reply:
    """The reply of a document; raises Unreadable for what no worker of npnet sends."""

    def value(told: Any) -> Any:
        match told:
            case None:
                return None
            case {"array": int(i), "scalar": bool(scalar)} if 0 <= i < len(arrays):
                return arrays[i][()] if scalar and not arrays[i].ndim else arrays[i]
            case {"dtype": str(dtype), "shape": list(shape)}:
                return Foreign("ndarray", f"an array of dtype {dtype[:40]} and shape {shape}")
            case {"kind": str(kind), "text": str(text)}:
                return Foreign(kind[:80], text[:200])
        raise Unreadable(f"it holds {str(told)[:80]}")

    try:
        quantities = {str(name): value(told) for name, told in document["quantities"]}
        faults = [
            Fault(str(q), Verdict(v), str(message), str(trace), bool(chance), value(excess))
            for q, v, message, trace, chance, excess in document["faults"]
        ]
        return Reply(quantities, faults, bool(document["complete"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"it is no reply ({error})") from None
