"""Several candidates at a time, each in a process of its own pool; what they tell comes in order.

A candidate travels by its target ("Linear", "mylayers.py::affine") and is loaded again by the
worker. One that has none, a function made in a running program, is asked in the caller's process.
"""

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from npnet.verify.candidate import Candidate
from npnet.verify.environment import one_thread
from npnet.verify.settings import Event, Settings
from npnet.verify.targets import resolve, specs

POLL = 0.2  # seconds after which the caller may look whether it should stop


class Told(NamedTuple):
    """What a worker has to say of one candidate."""

    candidate: Candidate
    events: list[Event]
    verified: Any  # None where the worker died


def each(
    candidates: Sequence[Candidate], asked: Settings, stop: float | None, jobs: int
) -> Iterator[Told | None]:
    """Every candidate's result as it comes; None every now and then while none has come.

    A worker that dies takes the others of its pool with it: these are asked again, each in a pool
    of its own, so that the one that dies is known.
    """
    twins = specs(asked.device, asked.reference)
    slow = [c for c in candidates if c.twin in twins and twins[c.twin].slow]
    # these first, or one may be left to run alone in the end
    waiting = [*slow, *(c for c in candidates if c not in slow)]
    for number in (jobs, 1):
        died: list[Candidate] = []
        groups = [waiting] if number > 1 else [[c] for c in waiting]
        for group in groups:
            with _Pool(min(number, len(group)) or 1, asked) as pool:
                running = {pool.submit(ask, c.target, c.name, asked, stop): c for c in group}
                yield from _results(running, died)
        waiting = died
        if number == 1:
            break
    for c in waiting:
        yield Told(c, [], None)


class _Pool(ProcessPoolExecutor):
    """Workers that are ended, not waited for, when the caller leaves early."""

    def __init__(self, number: int, asked: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        told = (list(sys.path), asked)
        super().__init__(number, mp_context=context, initializer=_begin, initargs=told)

    def __exit__(self, *error: Any) -> bool | None:
        workers = list((self._processes or {}).values())
        self.shutdown(wait=error[0] is None, cancel_futures=True)
        if error[0] is not None:
            for worker in workers:
                worker.terminate()
        return None


def _results(
    running: dict[Future[tuple[list[Event], Any]], Candidate], died: list[Candidate]
) -> Iterator[Told | None]:
    left = set(running)
    while left:
        done, left = wait(left, POLL, FIRST_COMPLETED)
        if not done:
            yield None
        for future in done:
            c = running[future]
            try:
                events, verified = future.result()
            except BrokenProcessPool:
                died.append(c)
                continue
            yield Told(c, events, verified)


# ---- in the worker ------------------------------------------------------------------------------


def _begin(path: list[str], asked: Settings) -> None:
    """The caller says when to stop; its Ctrl-C reaches the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = path
    specs(asked.device, asked.reference)
    one_thread()


def ask(target: str, name: str, asked: Settings, stop: float | None) -> tuple[list[Event], Any]:
    """What happens while a candidate is asked, and what comes of it."""
    from npnet.verify.engine import verify

    found, _ = resolve(target, specs(asked.device, asked.reference))
    (c,) = [c for c in found if c.name == name]
    events: list[Event] = []
    return events, verify(c, asked, events.append, stop)
