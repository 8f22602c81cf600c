"""What a call must leave as it was: the process around it."""

import contextlib
import ctypes
import operator
import os
import pickle
import random
import signal
import threading
from typing import Any

import numpy as np

from npnet.verify.fault import Fault
from npnet.verify.finding import Verdict

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGALRM,) if os.name == "posix" else ()))


class Guards:
    """What was there before a call; afterwards, what has changed is told and put back."""

    def __init__(self, draws: bool) -> None:
        """draws: whether the twin takes random numbers: code that draws its own is then fine."""
        self._draws = draws
        self._numpy = vars(np).copy()
        self._errors, self._print = np.geterr(), np.get_printoptions()
        self._random = random.getstate()
        self._legacy, self._words = _RANDOM.whole(), _RANDOM.words()
        self._threads = set(threading.enumerate())
        self._children = _children()
        self._directory, self._environment = os.getcwd(), _environment().copy()
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def changed(self) -> list[Fault]:
        """A fault for everything that is not as it was; it is put back."""
        return [
            Fault("process", Verdict.CONTRACT, f"a call {what}. {fix}")
            for what, fix in (
                *self._of_numpy(),
                *self._of_random(),
                *self._of_threads(),
                *self._of_system(),
            )
        ]

    def _of_numpy(self) -> Any:
        now, names = vars(np), []
        # nearly always the same objects in the same order, which is soon seen
        if not all(map(operator.is_, now.values(), self._numpy.values())):
            names = [n for n, x in self._numpy.items() if now.get(n) is not x]
        for name in names:
            setattr(np, name, self._numpy[name])
        if names:
            yield f"puts something else in the place of np.{names[0]}", "Leave NumPy as it is."
        if np.geterr() != self._errors:
            np.seterr(**self._errors)
            yield (
                "changes how NumPy treats floating-point errors",
                "Use `with np.errstate(…):`, which puts back what was set.",
            )
        if np.get_printoptions() != self._print:
            np.set_printoptions(**self._print)
            yield "changes NumPy's print options", "Use `with np.printoptions(…):`."

    def _of_random(self) -> Any:
        text = "Draw from case.rng, or from a Generator of your own."
        if random.getstate() != self._random:
            random.setstate(self._random)
            if not self._draws:
                yield "draws from, or seeds, the random module", text
        if _RANDOM.words() != self._words:
            np.random.mtrand._rand.set_state(self._legacy)
            if not self._draws:
                yield "draws from, or seeds, NumPy's global random state", text

    def _of_threads(self) -> Any:
        left = [t.name for t in threading.enumerate() if t not in self._threads]
        if left:
            yield f"leaves a thread running ({left[0]})", "Join what it starts."
        if _children() - self._children:
            yield "leaves a process running", "Wait for what it starts."

    def _of_system(self) -> Any:
        try:
            here = os.getcwd()
        except OSError:
            here = ""
        if here != self._directory:
            os.chdir(self._directory)
            yield (
                f"changes the working directory to {here or 'one that is gone'}",
                "Change it back.",
            )
        if _environment() != self._environment:
            now, before = dict(os.environ), _decoded(self._environment)
            different = {n for n in now | before if now.get(n) != before.get(n)}
            os.environ.clear()
            os.environ.update(before)
            yield f"changes {min(different)} in the environment", "Leave os.environ as it is."
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(number, handler)
                name = signal.Signals(number).name
                yield f"changes the handler of {name}", "Leave signals as they are."


def _children() -> frozenset[str]:
    """The processes that this one has started, where the system tells."""
    if hasattr(os, "waitid"):
        try:  # mostly there are none, which is told sooner than their names
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return frozenset()
    with contextlib.suppress(OSError):
        tid = threading.get_native_id()
        with open(f"/proc/self/task/{tid}/children") as file:
            return frozenset(file.read().split())
    return frozenset()


def _environment() -> dict[Any, Any]:
    """os.environ as it is kept, encoded: reading entry by entry takes a hundred times as long."""
    found: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]  # untyped
    return found


def _decoded(environment: dict[Any, Any]) -> dict[str, str]:
    decode = os.environ.decodekey, os.environ.decodevalue
    return {decode[0](name): decode[1](value) for name, value in environment.items()}


class _Random:
    """NumPy's global random state, which is not for drawing from, but for guarding.

    Reading all of it takes longer than many a call that is guarded. So its words are looked at
    where they lie in memory, and the whole is read only where they have changed.
    """

    def __init__(self) -> None:
        self._words = b""
        self._whole: Any = None

    def words(self) -> bytes:
        """The words of the Mersenne Twister and its place in them, as they are now."""
        generator = np.random.mtrand._rand._bit_generator
        if type(generator) is not np.random.MT19937:
            return pickle.dumps(generator.state)
        return ctypes.string_at(generator.ctypes.state_address, 625 * 4)

    def whole(self) -> Any:
        """All of it, to be put back by `set_state`."""
        words = self.words()
        if words != self._words or self._whole is None:
            self._words, self._whole = words, np.random.mtrand._rand.get_state(legacy=False)
        return self._whole


_RANDOM = _Random()
