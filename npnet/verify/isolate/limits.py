"""What a worker may use, and how everything that it has started is found and ended."""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

MARK = "NPNET_WORKER"
"""The variable in the environment by which a worker's descendants are known."""

MEMORY = 4 << 30  # bytes beyond what is in use when a candidate has been loaded
PROCESSES = 256
_FILE = 64 << 20


def limit() -> None:
    """Limit this process: memory, the size of files, and processes (not those of root)."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _lower(resource.RLIMIT_AS, used + MEMORY)
    _lower(resource.RLIMIT_FSIZE, _FILE)
    _lower(resource.RLIMIT_NPROC, PROCESSES)
    _lower(resource.RLIMIT_CORE, 0)


def die_with_parent() -> None:
    """Have this process ended when the one that started it ends, whatever it is doing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


_PDEATHSIG = 1


def _lower(which: int, most: int) -> None:
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(which)
        limited = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (limited, limited))


def end(group: int | None, mark: str, seconds: float = 2.0) -> None:
    """End a worker's process group, and its descendants that have left it."""
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    stop = time.monotonic() + seconds
    while (found := descendants(mark)) and time.monotonic() < stop:  # they may be multiplying
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def descendants(mark: str) -> list[int]:
    """The living processes whose environment holds a worker's mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
