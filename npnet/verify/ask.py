"""Asking a candidate: the protocols, and what its replies look like as named quantities.

Every value set is asked under one protocol, so that one example covers them all:

    again        forward, vjp(dy), vjp(2 dy), forward again: linear in dy, repeatable, results kept
    strided      inputs, state and dy Fortran-ordered, strided or reversed in memory
    interleaved  another forward between forward and vjp, as two calls of one layer in a network
    plain        forward, vjp(dy)
    split        the batch in two halves, put together again

What a candidate is handed is a copy, read-only half of the time, and must come back unchanged.
"""

import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from npnet.contract import Array, Forward, Grads
from npnet.verify.case import Example, leaves
from npnet.verify.draw import MODERATE
from npnet.verify.finding import Verdict

PROTOCOLS = ("again", "strided", "interleaved", "plain")
_READ_ONLY = ("again", "interleaved")  # half of the time, so that both kinds of mistake show
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Fault:
    """A breach of the contract, or a breakdown; no value is needed to see it."""

    quantity: str
    verdict: Verdict
    message: str
    traceback: str = ""
    chance: bool = False  # whether drawing random numbers of its own would explain it


@dataclass
class Reply:
    """What a candidate answered on one value set."""

    quantities: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    complete: bool = True  # False where the candidate broke off, or its reply could not be read


class Refused(Exception):
    """The reply cannot be read as one; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class TimedOut(BaseException):
    """The deadline of a call has passed; `except Exception` lets it through."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds, where the platform and the thread allow it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimedOut

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ask(
    function: Function, example: Example, s: int, protocol: str, optimizer: bool, seconds: float
) -> Reply:
    """Ask a candidate about value set `s`; every breakdown becomes a fault of the reply."""
    reply = Reply()
    asked = _Asked(function, example, s, read_only=protocol in _READ_ONLY)
    try:
        with deadline(seconds), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # overflow and empty means are asked for on purpose
            if optimizer:
                _optimizer(asked, reply, protocol)
            elif protocol == "split":
                _split(asked, reply)
            else:
                _layer(asked, reply, protocol)
        return _closed(reply, asked)
    except Refused as refusal:
        reply.faults.append(refusal.fault)
    except TimedOut:
        message = f"no answer within {seconds:.1f} s"
        reply.faults.append(Fault("forward", Verdict.TIMEOUT, message))
    except MemoryError as error:
        reply.faults.append(_breakdown(Verdict.OUT_OF_MEMORY, error))
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit) as error:
        reply.faults.append(_of_exception(error, asked))
    reply.complete = False
    return _closed(reply, asked)


def _closed(reply: Reply, asked: "_Asked") -> Reply:
    blamed = {fault.quantity for fault in reply.faults}
    reply.faults += [fault for fault in asked.changed() if fault.quantity not in blamed]
    return reply


# ---- what is handed over ----------------------------------------------------------------------


class _Asked:
    """Hands out the arrays of a value set, and notices what was written into."""

    def __init__(self, function: Function, example: Example, s: int, read_only: bool) -> None:
        self.function = function
        self.example = example
        self.s = s
        self.master = example.one(s)
        self.read_only = read_only
        self.protected: str | None = None  # an array that is read-only even so
        self.backward = False  # whether the candidate is in its backward pass
        self._handed: list[tuple[str, Array]] = []

    def copy(self, name: str, strided: bool = False, scale: float = 1.0) -> Array:
        """A fresh copy of an array of the value set, to be compared with it afterwards."""
        original = self.master[name]
        a = _strided(original, self.example.seed + len(name)) if strided else original.copy()
        if scale != 1.0:
            a = np.asarray(a * a.dtype.type(scale))
        else:
            self._handed.append((name, a))
        if self.read_only or name == self.protected:
            a.flags.writeable = False
        return a

    def arrays(self, strided: bool = False, without: str = "dy") -> dict[str, Array]:
        """Copies of everything but the cotangents."""
        return {n: self.copy(n, strided) for n in self.master if not n.startswith(without)}

    def other(self) -> dict[str, Array]:
        """The same structure with other data, for a call in between."""
        example = self.example
        if example.sets > 1:
            other = example.one((self.s + 1) % example.sets)
            return {n: a.copy() for n, a in other.items()}
        return {n: np.flip(a).copy() for n, a in self.master.items()}

    def changed(self) -> list[Fault]:
        """A fault for every array that a candidate wrote into."""
        found: dict[str, Fault] = {}
        for name, a in self._handed:
            original = self.master[name]
            if name not in found and not _same_bytes(a, original):
                at = np.argwhere(_differs(a, original))[0]
                was, now = original[tuple(at)], a[tuple(at)]
                found[name] = Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name} was written into: at {at.tolist()} it was {was:.6g} and is now "
                    f"{now:.6g}. Work on a copy.",
                )
        return list(found.values())


def _differs(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore"):
        same = (a == b) & (np.signbit(a) == np.signbit(b)) | (a != a) & (b != b)
    return np.asarray(~same)


def _same_bytes(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


def _strided(a: Array, variant: int) -> Array:
    """The same values, laid out otherwise in memory."""
    if a.ndim == 0:
        return a.copy()
    if variant % 3 == 0:
        return np.asfortranarray(a.copy())
    if variant % 3 == 1:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return np.flip(np.flip(a).copy())


# ---- layers -----------------------------------------------------------------------------------


def _layer(asked: _Asked, reply: Reply, protocol: str) -> None:
    example, strided = asked.example, protocol == "strided"
    arrays = asked.arrays(strided)
    forward, outputs = _forward(asked, arrays)
    if protocol == "interleaved":
        before = [np.array(y) for y in outputs]
        _forward(asked, asked.other())
        _check_kept(reply, [(_y(example, i), y) for i, y in enumerate(outputs)], before)
    reply.quantities |= {_y(example, i): y for i, y in enumerate(outputs)}
    reply.quantities |= _updates(forward, example)

    grads = _vjp(asked, forward, strided=strided)
    reply.quantities |= grads
    if protocol == "again":
        _again(asked, reply, arrays, forward, outputs, grads)


def _again(
    asked: _Asked,
    reply: Reply,
    arrays: dict[str, Array],
    forward: Forward,
    outputs: list[Any],
    grads: dict[str, Any],
) -> None:
    example = asked.example
    kept = [(name, x) for name, x in reply.quantities.items() if isinstance(x, np.ndarray)]
    before = [x.copy() for _, x in kept]

    # linear in dy: where nothing underflows, twice dy gives twice the gradients, to the bit
    doubles = example.themes[asked.s] in MODERATE and _is_double(example)
    scale = 2.0 if doubles else 1.0
    second = _vjp(asked, forward, scale=scale)
    for name, g in grads.items():
        h = second[name]
        if not _is_array(g) or not _is_array(h):
            continue
        expected = np.asarray(g) * scale
        if not _equal(expected.astype(g.dtype), h):
            what = "vjp(2 dy) is not 2 vjp(dy)" if doubles else "a second vjp(dy) differs"
            at = _first_difference(expected, h)
            reply.faults.append(
                Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name}: {what}{at}. A vjp is a linear function of dy that may be called any "
                    "number of times: it must not accumulate, use up its cache or ignore dy.",
                )
            )

    _, once_more = _forward(asked, arrays)
    for i, (y, z) in enumerate(zip(outputs, once_more, strict=True)):
        if _is_array(y) and not _equal(y, z):
            reply.faults.append(
                Fault(
                    _y(example, i),
                    Verdict.CONTRACT,
                    f"{_y(example, i)}: the same call gives another result the second time"
                    f"{_first_difference(y, z)}. A forward pass must depend on its arguments only.",
                    chance=True,
                )
            )
    _check_kept(reply, kept, before)


def _check_kept(reply: Reply, kept: list[tuple[str, Any]], before: list[Any]) -> None:
    for (name, now), then in zip(kept, before, strict=True):
        if not _equal(now, then):
            reply.faults.append(
                Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name}: a result that was kept changed on a later call"
                    f"{_first_difference(then, now)}. Return a new array, not a view of a cache.",
                )
            )


def _split(asked: _Asked, reply: Reply) -> None:
    """The batch, then its halves by themselves: outputs joined, gradients of parameters added."""
    example = asked.example
    whole = asked.arrays()
    forward, _ = _forward(asked, whole)
    _vjp(asked, forward)
    n = next(a for name, a in whole.items() if name.startswith("input ")).shape[0]
    halves = []
    for part in (slice(0, n // 2), slice(n // 2, n)):
        arrays = {k: a[part] if k.startswith("input ") else a for k, a in whole.items()}
        forward, outputs = _forward(asked, arrays)
        found = {_y(example, i): y for i, y in enumerate(outputs)}
        dys = [None if d is None else d[part] for d in _cotangents(asked)]
        halves.append(found | _read_grads(forward.vjp(_argument(dys)), example, asked.master))
    for name, a in halves[0].items():
        b = halves[1][name]
        if a is None or b is None:
            reply.quantities[name] = None
        elif name.startswith(("y", "gradient of input")):
            reply.quantities[name] = np.concatenate([a, b])
        else:
            reply.quantities[name] = a + b


def _forward(asked: _Asked, arrays: dict[str, Array]) -> tuple[Forward, list[Any]]:
    example = asked.example
    reply = asked.function(example.case(arrays))
    if not isinstance(reply, Forward):
        if isinstance(reply, tuple) and len(reply) in (2, 3) and callable(reply[1]):
            reply = Forward(*reply)
        else:
            raise Refused(
                Fault(
                    "y",
                    Verdict.CONTRACT,
                    "a candidate must return Forward(y, vjp), but returned "
                    f"{_describe(reply)}. If your code keeps its cache elsewhere, wrap it with one "
                    "of npnet.verify.adapt.",
                )
            )
    if not callable(reply.vjp):
        message = f"vjp must be a function of dy, but is {_describe(reply.vjp)}."
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
    return reply, outputs


def _updates(forward: Forward, example: Example) -> dict[str, Any]:
    known = [n.removeprefix("state ") for n in example.arrays if n.startswith("state ")]
    if not isinstance(forward.updates, Mapping):
        message = f"updates must map state names to arrays, but is {_describe(forward.updates)}."
        raise Refused(Fault("y", Verdict.CONTRACT, message))
    for name in forward.updates:
        if name not in known:
            raise Refused(_unknown(f"next {name}", name, known, "updates"))
    return {f"next {name}": value for name, value in forward.updates.items()}


def _vjp(
    asked: _Asked, forward: Forward, *, strided: bool = False, scale: float = 1.0
) -> dict[str, Any]:
    asked.backward = True
    grads = forward.vjp(_argument(_cotangents(asked, strided, scale)))
    asked.backward = False
    return _read_grads(grads, asked.example, asked.master)


def _cotangents(asked: _Asked, strided: bool = False, scale: float = 1.0) -> list[Array | None]:
    return [None if n is None else asked.copy(n, strided, scale) for n in asked.example.outputs]


def _argument(dys: list[Array | None]) -> Any:
    """dL/dy as a vjp takes it: one array, or the tuple of several."""
    return dys[0] if len(dys) == 1 else tuple(dys)


def _read_grads(grads: Any, example: Example, arrays: Mapping[str, Array]) -> dict[str, Any]:
    if not isinstance(grads, Grads):
        if isinstance(grads, tuple) and len(grads) == 2 and isinstance(grads[1], Mapping):
            grads = Grads(*grads)
        else:
            message = (
                "vjp must return Grads(inputs, params), but returned "
                f"{_describe(grads)}. inputs is a tuple with one gradient per input."
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
    known = [n.removeprefix("state ") for n in arrays if n.startswith("state ")]
    for name, g in grads.params.items():
        if name not in known:
            raise Refused(_unknown(f"gradient of {name}", name, known, "Grads.params"))
        found[f"gradient of {name}"] = g
    return found


def _alike(x: Any, g: Any) -> Any:
    """None for a whole tuple of inputs means None for each of them."""
    return tuple(_alike(part, None) for part in x) if isinstance(x, tuple) else g


def _y(example: Example, i: int) -> str:
    return "y" if len(example.outputs) == 1 else f"y {i}"


# ---- optimizers -------------------------------------------------------------------------------


def _optimizer(asked: _Asked, reply: Reply, protocol: str) -> None:
    arrays = asked.arrays(protocol == "strided")
    if protocol == "interleaved":
        asked.function(asked.example.optimizer_case(asked.other()))
    reply.quantities |= _steps(asked, arrays)
    if protocol == "again":
        kept = [(n, x) for n, x in reply.quantities.items() if isinstance(x, np.ndarray)]
        before = [x.copy() for _, x in kept]
        for name, x in _steps(asked, arrays).items():
            if isinstance(x, np.ndarray) and not _equal(x, reply.quantities[name]):
                message = (
                    f"{name}: the same steps give another result the second time. A step must "
                    "depend on its arguments only."
                )
                reply.faults.append(Fault(name, Verdict.CONTRACT, message))
        _check_kept(reply, kept, before)


def _steps(asked: _Asked, arrays: dict[str, Array]) -> dict[str, Any]:
    case = asked.example.optimizer_case(arrays)
    steps = asked.function(case)
    wanted = len(case.grads)
    if not isinstance(steps, list | tuple) or len(steps) != wanted:
        number = len(steps) if isinstance(steps, list | tuple) else _describe(steps)
        raise Refused(
            Fault(
                "params after step 1",
                Verdict.CONTRACT,
                f"an optimizer candidate must return a list of {wanted} mappings, the parameters "
                f"after each step, but returned {number}.",
            )
        )
    found: dict[str, Any] = {}
    for k, step in enumerate(steps, start=1):
        params, state = step if isinstance(step, tuple) else (step, {})
        for name in case.params:
            found[f"params after step {k}: {name}"] = params.get(name)
        for key, entries in state.items():
            for name, value in entries.items():
                found[f"state {key} after step {k}: {name}"] = value
    return found


# ---- breakdowns -------------------------------------------------------------------------------


def _of_exception(error: BaseException, asked: _Asked) -> Fault:
    text = str(error)
    if isinstance(error, ValueError) and "read-only" in text:
        name = _written(asked)
        return Fault(
            name,
            Verdict.CONTRACT,
            f"{name} was written into ({text}). Work on a copy.",
            _trace(error),
        )
    return _breakdown(Verdict.CRASH, error)


def _written(asked: _Asked) -> str:
    """Which array the candidate writes into: the one that it cannot do without writing into."""
    names = [n for n in asked.master if not n.startswith("dy") or asked.example.outputs]
    for name in names:
        again = _Asked(asked.function, asked.example, asked.s, read_only=False)
        again.protected = name
        try:
            with np.errstate(all="ignore"):
                arrays = again.arrays()
                if asked.example.outputs:
                    forward, _ = _forward(again, arrays)
                    _vjp(again, forward)
                else:
                    _steps(again, arrays)
        except ValueError as error:
            if "read-only" in str(error):
                return name
        except Exception:  # what it does otherwise is not the question here
            continue
    return "dy" if asked.backward else "input 0"


def _breakdown(verdict: Verdict, error: BaseException) -> Fault:
    text = str(error).strip() or "no message"
    message = f"{type(error).__name__}: {text.splitlines()[0][:300]}"
    return Fault("forward", verdict, message, _trace(error))


def _trace(error: BaseException) -> str:
    """The traceback from the candidate's own frames on."""
    frames = traceback.extract_tb(error.__traceback__)
    engine = str(Path(__file__).parent)
    own = [f for f in frames if not f.filename.startswith(engine)]
    lines = traceback.format_list(own) + traceback.format_exception_only(error)
    return "".join(lines)


def _unknown(quantity: str, name: Any, known: list[str], where: str) -> Fault:
    near = get_close_matches(str(name), known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known are {known}."
    message = f"{where} has an entry {name!r}, which torch's state_dict does not have.{hint}"
    return Fault(quantity, Verdict.CONTRACT, message)


def _describe(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape}"
    if isinstance(x, tuple):
        return f"a tuple of {len(x)}"
    return "None" if x is None else f"{type(x).__name__} {str(x)[:60]!r}"


def _equal(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def _first_difference(a: Any, b: Any) -> str:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return f" (shape {a.shape}, then {b.shape})"
    at = tuple(np.argwhere(_differs(a, b))[0])
    return f" (at {[int(i) for i in at]}: {a[at]:.6g}, then {b[at]:.6g})"


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic)


def _is_double(example: Example) -> bool:
    return all(a.dtype == np.float64 for a in example.arrays.values() if a.dtype.kind == "f")
