"""A run on many machines: every candidate is a task of an executor, as a Dask cluster has one.

The tasks are the same as on one machine, with the same seeds, and so are the findings. Where a
worker is lost, the cluster gives its tasks to another. On the worker a process of its own asks the
candidate: a thread has no deadline that interrupts, and what a candidate does to its process it
does not do to the cluster's.
"""

import contextlib
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from pathlib import Path
from typing import Any

from npnet.contract import ConfigError
from npnet.verify.candidate import Candidate
from npnet.verify.isolate.limits import die_with_parent
from npnet.verify.parallel import POLL, Told, ask
from npnet.verify.settings import Event, Settings


@contextlib.contextmanager
def executor(place: str | Executor) -> Iterator[Executor]:
    """The executor at an address, as "tcp://host:8786", or the one that is given.

    Raises ConfigError where dask.distributed is not installed, or nobody answers.
    """
    if not isinstance(place, str):
        yield place
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ConfigError(
            "an address of a cluster needs dask.distributed, which is not installed. "
            "Install it with: pip install 'npnet[cluster]'"
        ) from None
    try:
        client = Client(place, timeout="10s")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"executor must be the address of a Dask scheduler, as tcp://host:8786, but nobody "
            f"answers at {place}: {error}."
        ) from None
    with client:
        yield client.get_executor(pure=False)


def each(
    candidates: Sequence[Candidate], asked: Settings, stop: float | None, place: str | Executor
) -> Iterator[Told | None]:
    """Every candidate's result as it comes; None every now and then while none has come."""
    left = None if stop is None else stop - time.monotonic()
    with executor(place) as pool:
        running = {
            pool.submit(_there, list(sys.path), c.target, c.name, asked, left): c
            for c in candidates
        }
        waiting = set(running)
        try:
            while waiting:
                done, waiting = wait(waiting, POLL, FIRST_COMPLETED)
                if not done:
                    yield None
                for future in done:
                    yield Told(running[future], *_result(future.result))
        finally:
            for future in waiting:
                future.cancel()


def _result(result: Any) -> tuple[list[Event], Any]:
    """What a task has come to; nothing where every worker that tried it was lost."""
    try:
        events, verified = result()
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        return [], None
    return events, verified


# ---- on a worker --------------------------------------------------------------------------------


def _there(
    path: list[str], target: str, name: str, asked: Settings, left: float | None
) -> tuple[list[Event], Any]:
    """Ask a candidate in a process of its own; no result where that dies."""
    with tempfile.TemporaryDirectory(prefix="npnet-task-") as directory:
        job, answer = Path(directory, "job"), Path(directory, "answer")
        job.write_bytes(pickle.dumps((path, target, name, asked, left)))
        command = [sys.executable, "-m", "npnet.verify.cluster", str(job), str(answer)]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        if not answer.exists():
            return [], None
        found: tuple[list[Event], Any] = pickle.loads(answer.read_bytes())
        return found


def main() -> None:
    """Do the job of a file, and write the answer into another."""
    die_with_parent()
    job, answer = map(Path, sys.argv[1:])
    path, target, name, asked, left = pickle.loads(job.read_bytes())
    sys.path[:] = path
    stop = None if left is None else time.monotonic() + left
    found = pickle.dumps(ask(target, name, asked, stop))
    whole = answer.with_suffix(".part")
    whole.write_bytes(found)
    whole.rename(answer)  # all of it, or nothing


if __name__ == "__main__":
    main()
