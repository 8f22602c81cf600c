"""Asking a candidate: the protocols, and what its replies look like as named quantities.

Every value set is asked under one protocol, so that one example covers them all:

    again        forward, vjp(dy), vjp(2 dy), forward again: linear in dy, repeatable, results kept
    strided      inputs, state and dy Fortran-ordered, strided or reversed in memory
    interleaved  another forward between forward and vjp, as two calls of one layer in a network
    plain        forward, vjp(dy)
    split        the batch in two halves, put together again

What a candidate is handed is a copy, read-only half of the time, and must come back unchanged.
"""

import gc
import signal
import threading
import traceback
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from npnet.contract import Array, Forward
from npnet.verify.case import Example
from npnet.verify.draw import MODERATE
from npnet.verify.fault import Fault, Refused, Reply, equal, first_difference, is_array
from npnet.verify.finding import Verdict
from npnet.verify.guards import Guards
from npnet.verify.handed import Asked, Function
from npnet.verify.replies import (
    argument,
    call_forward,
    call_vjp,
    cotangents,
    describe,
    name_of_y,
    read_grads,
    read_updates,
)

PROTOCOLS = ("again", "strided", "interleaved", "plain")
_RING_AGAIN = 0.5
_READ_ONLY = ("again", "interleaved")  # half of the time, so that both kinds of mistake show


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

    def ring(_: int, frame: FrameType | None) -> None:
        if not _collecting(frame):
            raise TimedOut

    before = signal.signal(signal.SIGALRM, ring)
    # rings again: it may have been passed over, or swallowed
    signal.setitimer(signal.ITIMER_REAL, seconds, _RING_AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _collecting(frame: FrameType | None) -> bool:
    """Whether a callback of the garbage collector or of weakref runs: what it raises is lost."""
    callbacks = [getattr(c, "__code__", None) for c in gc.callbacks]
    while frame is not None:
        if frame.f_code in callbacks or frame.f_code.co_filename == weakref.__file__:
            return True
        frame = frame.f_back
    return False


def ask(
    function: Function, example: Example, s: int, protocol: str, optimizer: bool, seconds: float
) -> Reply:
    """Ask a candidate about value set `s`; every breakdown becomes a fault of the reply.

    A function that has an `ask` of its own is asked by that: it runs in another process.
    """
    elsewhere = getattr(function, "ask", None)
    if elsewhere is not None:
        answered: Reply = elsewhere(example, s, protocol, optimizer, seconds)
        return answered
    reply = Reply()
    asked = Asked(function, example, s, read_only=protocol in _READ_ONLY)
    try:
        with deadline(seconds), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # overflow and empty means are asked for on purpose
            guards = Guards(example.draws)
            try:
                if optimizer:
                    _optimizer(asked, reply, protocol)
                elif protocol == "split":
                    _split(asked, reply)
                else:
                    _layer(asked, reply, protocol)
            finally:
                reply.faults += guards.changed()
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


def _closed(reply: Reply, asked: Asked) -> Reply:
    blamed = {fault.quantity for fault in reply.faults}
    reply.faults += [fault for fault in asked.changed() if fault.quantity not in blamed]
    return reply


# ---- layers -----------------------------------------------------------------------------------


def _layer(asked: Asked, reply: Reply, protocol: str) -> None:
    example, strided = asked.example, protocol == "strided"
    arrays = asked.arrays(strided)
    forward, outputs = call_forward(asked, arrays)
    if protocol == "interleaved":
        before = [np.array(y) for y in outputs]
        call_forward(asked, asked.other())
        _check_kept(reply, [(name_of_y(example, i), y) for i, y in enumerate(outputs)], before)
    reply.quantities |= {name_of_y(example, i): y for i, y in enumerate(outputs)}
    reply.quantities |= read_updates(forward, example)

    grads = call_vjp(asked, forward, strided=strided)
    reply.quantities |= grads
    if protocol == "again":
        _again(asked, reply, arrays, forward, outputs, grads)


def _again(
    asked: Asked,
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
    second = call_vjp(asked, forward, scale=scale)
    for name, g in grads.items():
        h = second[name]
        if not is_array(g) or not is_array(h):
            continue
        expected = np.asarray(g) * scale
        if not equal(expected.astype(g.dtype), h):
            what = "vjp(2 dy) is not 2 vjp(dy)" if doubles else "a second vjp(dy) differs"
            at = first_difference(expected, h)
            excess = np.abs(expected - h) if doubles and h.shape == g.shape else None
            reply.faults.append(
                Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name}: {what}{at}. A vjp is a linear function of dy that may be called any "
                    "number of times: it must not accumulate, use up its cache or ignore dy.",
                    excess=excess,
                )
            )

    _, once_more = call_forward(asked, arrays)
    for i, (y, z) in enumerate(zip(outputs, once_more, strict=True)):
        if is_array(y) and not equal(y, z):
            reply.faults.append(
                Fault(
                    name_of_y(example, i),
                    Verdict.CONTRACT,
                    f"{name_of_y(example, i)}: the same call gives another result the second time"
                    f"{first_difference(y, z)}. A forward pass must depend on its arguments only.",
                    chance=True,
                )
            )
    _check_kept(reply, kept, before)


def _check_kept(reply: Reply, kept: list[tuple[str, Any]], before: list[Any]) -> None:
    for (name, now), then in zip(kept, before, strict=True):
        if not equal(now, then):
            reply.faults.append(
                Fault(
                    name,
                    Verdict.CONTRACT,
                    f"{name}: a result that was kept changed on a later call"
                    f"{first_difference(then, now)}. Return a new array, not a view of a cache.",
                )
            )


def _split(asked: Asked, reply: Reply) -> None:
    """The batch, then its halves by themselves: outputs joined, gradients of parameters added."""
    example = asked.example
    whole = asked.arrays()
    forward, _ = call_forward(asked, whole)
    call_vjp(asked, forward)
    n = next(a for name, a in whole.items() if name.startswith("input ")).shape[0]
    halves = []
    for part in (slice(0, n // 2), slice(n // 2, n)):
        arrays = {k: a[part] if k.startswith("input ") else a for k, a in whole.items()}
        forward, outputs = call_forward(asked, arrays)
        found = {name_of_y(example, i): y for i, y in enumerate(outputs)}
        dys = [None if d is None else d[part] for d in cotangents(asked)]
        halves.append(found | read_grads(forward.vjp(argument(dys)), example, asked.master))
    for name, a in halves[0].items():
        b = halves[1][name]
        if a is None or b is None:
            reply.quantities[name] = None
        elif name.startswith(("y", "gradient of input")):
            reply.quantities[name] = np.concatenate([a, b])
        else:
            reply.quantities[name] = a + b


# ---- optimizers -------------------------------------------------------------------------------


def _optimizer(asked: Asked, reply: Reply, protocol: str) -> None:
    arrays = asked.arrays(protocol == "strided")
    if protocol == "interleaved":
        asked.function(asked.example.optimizer_case(asked.other()))
    reply.quantities |= _steps(asked, arrays)
    if protocol == "again":
        kept = [(n, x) for n, x in reply.quantities.items() if isinstance(x, np.ndarray)]
        before = [x.copy() for _, x in kept]
        for name, x in _steps(asked, arrays).items():
            if isinstance(x, np.ndarray) and not equal(x, reply.quantities[name]):
                message = (
                    f"{name}: the same steps give another result the second time. A step must "
                    "depend on its arguments only."
                )
                reply.faults.append(Fault(name, Verdict.CONTRACT, message))
        _check_kept(reply, kept, before)


def _steps(asked: Asked, arrays: dict[str, Array]) -> dict[str, Any]:
    case = asked.example.optimizer_case(arrays)
    steps = asked.function(case)
    wanted = len(case.lr)
    if not isinstance(steps, list | tuple) or len(steps) != wanted:
        number = len(steps) if isinstance(steps, list | tuple) else describe(steps)
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


def _of_exception(error: BaseException, asked: Asked) -> Fault:
    text = str(error)
    if isinstance(error, ValueError) and "read-only" in text:
        name = _written(asked)
        return Fault(
            name,
            Verdict.CONTRACT,
            f"{name} was written into ({text}). Work on a copy.",
            trace_of(error),
        )
    return _breakdown(Verdict.CRASH, error)


def _written(asked: Asked) -> str:
    """Which array the candidate writes into: the one that it cannot do without writing into."""
    names = [n for n in asked.master if not n.startswith("dy") or asked.example.outputs]
    for name in names:
        again = Asked(asked.function, asked.example, asked.s, read_only=False)
        again.protected = name
        try:
            with np.errstate(all="ignore"):
                arrays = again.arrays()
                if asked.example.outputs:
                    forward, _ = call_forward(again, arrays)
                    call_vjp(again, forward)
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
    return Fault("forward", verdict, message, trace_of(error))


def trace_of(error: BaseException) -> str:
    """The traceback from the candidate's own frames on."""
    frames = traceback.extract_tb(error.__traceback__)
    engine = str(Path(__file__).parent)
    own = [f for f in frames if not f.filename.startswith(engine)]
    lines = traceback.format_list(own) + traceback.format_exception_only(error)
    return "".join(lines)


def _is_double(example: Example) -> bool:
    return all(a.dtype == np.float64 for a in example.arrays.values() if a.dtype.kind == "f")
