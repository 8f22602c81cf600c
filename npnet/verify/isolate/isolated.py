"""The parent's side: a worker that holds one candidate, its deadlines, and its end."""

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.case import Example
from npnet.verify.dialect import Layout
from npnet.verify.fault import Fault, Reply
from npnet.verify.finding import Finding, Verdict
from npnet.verify.isolate.limits import MARK, end
from npnet.verify.isolate.messages import of_example, to_reply
from npnet.verify.isolate.wire import Unreadable, pack, receive
from npnet.verify.targets import parted, unloadable

_START = 60.0  # seconds for a candidate's imports
_GRACE = 1.0  # after the worker's own alarm, which a call inside C does not hear
_PRINTED = 1 << 16  # bytes of a candidate's output that are kept
_REPLY = 1 << 28  # bytes of a reply, at the least; else 64 times those of the question


class Isolated:
    """A candidate's function in another process. It is asked, not called."""

    def __init__(
        self, target: str, name: str, layout: Layout | None = None, device: str = "cpu"
    ) -> None:
        self.target, self.name, self.layout, self.device = target, name, layout, device
        self.deaths = 0  # how often its process came to an end by itself, or had to be ended
        self._printed = ""
        self._mark = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._home: Path | None = None
        self._worker: _Worker | None = None
        self._known: Example | None = None
        self._waiting: list[tuple[int, list[Any]]] = []  # questions sent, in order

    def within(self, layout: Layout) -> "Isolated":
        """The same in other axis orders; it ends when this one is closed."""
        other = Isolated(self.target, self.name, layout, self.device)
        other._mark, other._home = self._mark, self._directory()
        return other

    def __call__(self, case: Any) -> Any:
        """Refused: raises ConfigError."""
        raise ConfigError(f"{self.name} runs in a process of its own: it is asked, not called.")

    def ahead(
        self, example: Example, protocols: Sequence[str], optimizer: bool, seconds: float
    ) -> None:
        """Send the questions about every value set at once; `ask` then only waits for each."""
        with contextlib.suppress(_Ended, _Late):  # `ask` meets it again, and says so
            if self._waiting:
                self.renew()
            worker = self._running()
            for s, protocol in enumerate(protocols):
                self._send(worker, example, [s, protocol, optimizer, seconds])

    def ask(
        self, example: Example, s: int, protocol: str, optimizer: bool, seconds: float
    ) -> Reply:
        """A question as `npnet.verify.ask.ask` puts it, answered over there."""
        asked = [s, protocol, optimizer, seconds]
        most = max(_REPLY, 64 * sum(a.nbytes for a in example.arrays.values()))
        try:
            worker = self._running()
        except _Ended as ended:
            self.deaths += 1
            fault = Fault("forward", Verdict.CRASH, f"it could not be loaded: {ended}", ended.trace)
            return Reply({}, [fault], complete=False)
        try:
            if not self._waiting or self._waiting[0] != (id(example), asked):
                if self._waiting:  # for replies that nobody waits for any more
                    self.renew()
                    worker = self._running()
                self._send(worker, example, asked)
            self._waiting.pop(0)
            return to_reply(*worker.receive(seconds + _GRACE, most))
        except _Late:
            text = f"no answer within {seconds:.1f} s"
            fault = Fault("forward", Verdict.TIMEOUT, text)
        except _Ended as ended:
            fault = Fault("forward", Verdict.CRASH, f"the process that it ran in {ended}")
        except Unreadable as error:
            text = f"its process sent a reply that cannot be read: {error}"
            fault = Fault("forward", Verdict.CRASH, text)
        self.deaths += 1
        self.renew()
        return Reply({}, [fault], complete=False)

    def _send(self, worker: "_Worker", example: Example, asked: list[Any]) -> None:
        """A question; the example comes with the first one about it."""
        document: dict[str, Any] = {"ask": asked}
        arrays: list[Any] = []
        if example is not self._known:
            document["example"], arrays = of_example(example)
            self._known = example
        worker.send(pack(document, arrays), asked[3] + _GRACE)
        self._waiting.append((id(example), asked))

    @property
    def printed(self) -> str:
        """What it has written to standard output and error, the beginning of it."""
        return (self._worker.printed if self._worker else "") or self._printed

    def renew(self) -> None:
        """End the worker and all that it has started; the next question starts another."""
        if self._worker is not None:
            self._worker.close()
            self._printed = self._worker.printed or self._printed
        self._worker = self._known = None
        self._waiting = []

    def close(self) -> None:
        """End everything, and leave nothing behind."""
        self.renew()
        end(None, self._mark)  # a diagnosis in a fork has workers of its own
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _running(self) -> "_Worker":
        if self._worker is None:
            self._known = None
            spare = _SPARE.pop(parted(self.target)[0], None)
            if spare is not None:  # one that has the same module loaded
                self._mark, self._home, self._worker = spare._mark, spare._home, spare._worker
            else:
                self._start()
            assert self._worker is not None
            try:
                self._worker.choose(self.name, self.layout, self.device)
            except BaseException:
                self.renew()
                raise
        return self._worker

    def _start(self) -> None:
        self._worker = _Worker(self._mark, self._directory())
        try:
            self._worker.load(self.target)
        except BaseException:
            self.renew()
            raise

    def _directory(self) -> Path:
        """Where its processes have their temporary files."""
        if self._home is None:
            _sweep()
            self._home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
            atexit.register(shutil.rmtree, self._home, ignore_errors=True)
        return self._home


_PREFIX = "npnet-worker-"


@cache
def _sweep() -> None:
    """Remove the directories of runs that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)


_SPARE: dict[str, Isolated] = {}
"""Processes that have a module loaded, and nothing else to do."""


@contextlib.contextmanager
def spares_closed() -> Iterator[None]:
    """Afterwards, no process is left that was started in advance."""
    try:
        yield
    finally:
        while _SPARE:
            _SPARE.popitem()[1].close()


def isolate(c: Candidate) -> Candidate:
    """A candidate from a file or a module in a process of its own; npnet's own stay here."""
    if not _is_outside(c.target):
        return c
    return replace(c, function=Isolated(c.target, c.name, device=c.device))


def without_fatal(target: Any) -> tuple[Any, list[Finding]]:
    """A target without the files and modules whose import ends the process, and a finding for each.

    They are imported by the parent, too, which needs to know what they declare.
    """
    several = isinstance(target, list | tuple)
    kept, fatal = [], []
    for one in target if several else [target]:
        text = _fatal(one) if isinstance(one, str) and _is_outside(one) else None
        if text is None:
            kept.append(one)
        else:
            fatal.append(unloadable(one, f"{one} could not be loaded: the process that did {text}"))
    return (kept if several or not kept else kept[0]), fatal


def _is_outside(target: str) -> bool:
    _, _, is_file = parted(target)
    return (is_file or ":" in target) and hasattr(os, "pidfd_open")


def _fatal(target: str) -> str | None:
    """How a process ends that loads a target; None where it does not, whatever is wrong with it."""
    isolated = Isolated(target, "")
    try:
        isolated._start()
    except _Ended as ended:
        isolated.close()
        return None if ended.told else str(ended)
    place, _, _ = parted(target)
    if place in _SPARE:
        isolated.close()
    else:
        _SPARE[place] = isolated
    return None


class _Late(Exception):
    """No reply in time."""


class _Ended(Exception):
    """The worker is gone."""

    def __init__(self, text: str, trace: str = "", told: bool = False) -> None:
        super().__init__(text)
        self.trace, self.told = trace, told  # told: it has said so itself


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, mark: str, home: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=home))
        self.mark = mark
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        threads = {f"{kind}_NUM_THREADS": "1" for kind in ("OMP", "OPENBLAS", "MKL")}
        environment = {**os.environ, **threads, MARK: self.mark, "PYTHONFAULTHANDLER": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "npnet.verify.isolate.worker", str(to_read), str(to_write)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(to_read, to_write),
            start_new_session=True,
            env={**environment, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        os.close(to_read)
        os.close(to_write)
        self._alive = os.pidfd_open(self.process.pid)
        self._kept, self._buffer = bytearray(), bytearray()
        self._drain = threading.Thread(target=self._keep, daemon=True)
        self._drain.start()

    def load(self, target: str) -> None:
        """Have a module loaded; raises _Ended where it cannot be."""
        directory = str(self.directory)
        self._told({"path": sys.path, "target": target, "directory": directory})

    def choose(self, name: str, layout: Layout | None, device: str) -> None:
        """Say which candidate of the module is asked from now on; raises _Ended."""
        given = None if layout is None else [layout.images, dict(layout.state)]
        self._told({"choose": name, "layout": given, "device": device})

    def _told(self, document: dict[str, Any]) -> None:
        try:
            self.send(pack(document, []), _START)
            told, _ = self.receive(_START, 0)
        except _Late:
            raise _Ended(f"did not come to an end within {_START:.0f} s") from None
        except Unreadable as error:
            raise _Ended(str(error)) from None
        if "error" in told:
            raise _Ended(str(told["error"]), str(told.get("trace", "")), told=True)

    def receive(self, seconds: float, most: int) -> tuple[Any, list[Any]]:
        """The next reply; raises _Late, _Ended or Unreadable."""
        stop = time.monotonic() + seconds
        return receive(lambda n: self._read(n, stop), most)

    def send(self, frame: bytes, seconds: float) -> None:
        """Send a frame; raises _Late or _Ended."""
        stop = time.monotonic() + seconds
        os.set_blocking(self._to, False)
        left = memoryview(frame)
        while left:  # a pipe that is full is waited for, a worker that does not read is late
            _, ready, _ = select.select([], [self._to], [], max(stop - time.monotonic(), 0))
            if not ready:
                raise _Late
            try:
                left = left[os.write(self._to, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def _read(self, n: int, stop: float) -> bytes:
        while len(self._buffer) < n:
            waited = max(stop - time.monotonic(), 0)
            ready, _, _ = select.select([self._from, self._alive], [], [], waited)
            if not ready:
                raise _Late
            part = os.read(self._from, 1 << 20) if self._from in ready else b""
            if not part:  # closed, or the process is gone and has left nothing
                raise self._ended()
            self._buffer += part
        found = bytes(self._buffer[:n])
        del self._buffer[:n]
        return found

    def _ended(self) -> _Ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        code = self.process.returncode
        if code is None:
            return _Ended("closed its end of the connection")
        if code < 0:
            name = signal.Signals(-code).name
            return _Ended(f"was ended by signal {-code} ({name}: {signal.strsignal(-code)})")
        return _Ended(f"left with exit code {code} in the middle of a call")

    @property
    def printed(self) -> str:
        """The beginning of what has been written."""
        return self._kept.decode("utf-8", "replace")

    def _keep(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with contextlib.suppress(ValueError, OSError):
            while part := os.read(stream.fileno(), 1 << 16):
                self._kept += part[: max(_PRINTED - len(self._kept), 0)]

    def close(self) -> None:
        """End it and what it has started."""
        end(self.process.pid, self.mark)
        self.process.wait()
        self._drain.join(1.0)
        if self.process.stdout is not None:
            self.process.stdout.close()
        for descriptor in (self._to, self._from, self._alive):
            os.close(descriptor)
        shutil.rmtree(self.directory, ignore_errors=True)
