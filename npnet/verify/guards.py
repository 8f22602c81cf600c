"""What a call must leave as it was: the process around it."""

import contextlib
import os
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
        self._numpy = dict(vars(np))
        self._errors, self._print = np.geterr(), np.get_printoptions()
        self._random = random.getstate()
        self._legacy = _global().get_state(legacy=False)
        self._threads = set(threading.enumerate())
        self._children = _children()
        self._directory, self._environment = os.getcwd(), dict(os.environ)
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
        now = vars(np)
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
        state = _global().get_state(legacy=False)
        if not _same_state(state, self._legacy):
            _global().set_state(self._legacy)
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
        now = dict(os.environ)
        if now != self._environment:
            different = {n for n in now | self._environment
                         if now.get(n) != self._environment.get(n)}  # fmt: skip
            os.environ.clear()
            os.environ.update(self._environment)
            yield f"changes {min(different)} in the environment", "Leave os.environ as it is."
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(number, handler)
                name = signal.Signals(number).name
                yield f"changes the handler of {name}", "Leave signals as they are."


def _children() -> frozenset[str]:
    """The processes that this one has started, where the system tells."""
    with contextlib.suppress(OSError):
        tid = threading.get_native_id()
        with open(f"/proc/self/task/{tid}/children") as file:
            return frozenset(file.read().split())
    return frozenset()


def _global() -> Any:
    """NumPy's global random state, which is not for drawing from, but for guarding."""
    return np.random.mtrand._rand


def _same_state(a: Any, b: Any) -> bool:
    """Whether two states of NumPy's generator are the same."""
    if a["bit_generator"] != b["bit_generator"] or a["has_gauss"] != b["has_gauss"]:
        return False
    one, two = a["state"], b["state"]
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)
