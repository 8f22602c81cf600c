"""A computation in a process of its own, so that what kills it does not kill the run.

A diagnosis asks torch, and the candidate, questions that nobody drew; a kernel that does not check
them may corrupt memory. Where the platform cannot fork, it is done here after all.
"""

import contextlib
import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16
_MEMORY = 1 << 32


class Died(Exception):
    """The process came to an end, or to none, without an answer."""


def aside(function: Callable[[], Any], seconds: float) -> Any:
    """What the function returns (JSON values), from a fork; raises Died where nothing comes."""
    if not hasattr(os, "fork"):
        return function()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: the child only computes, and has a deadline
        child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(function, writing)
    os.close(writing)
    try:
        answer = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        return json.loads(answer)
    except ValueError:
        raise Died(f"no answer within {seconds:.0f} s, or a crash") from None


def _answer(function: Callable[[], Any], writing: int) -> None:
    """Compute, write, and leave without anything that an ordinary exit does."""
    _limit_memory()
    try:
        text = json.dumps(function()).encode()
        while text:
            text = text[os.write(writing, text) :]
    finally:
        os._exit(0)


def _limit_memory() -> None:
    """What is computed here may ask for an array of any size."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))


def _read(reading: int, stop: float) -> bytes:
    found = b""
    while (left := stop - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        part = os.read(reading, _CHUNK)
        if not part:
            return found
        found += part
    return b""
