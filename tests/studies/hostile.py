"""Whether hostile candidates get the right verdict, and leave nothing behind.

    python -m tests.studies.hostile [NAME…] [--examples 25]

At the end no process and no temporary file may be left. Exits with 1 where anything is not as it
should be.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from npnet.verify.engine import run_all
from npnet.verify.isolate.limits import MARK
from npnet.verify.settings import Settings
from npnet.verify.targets import resolve

FILE = Path(__file__).parents[1] / "hostile.py"


def verdict(name: str, examples: int) -> str:
    """What is said of one, by the verdict of its first finding."""
    candidates, _ = resolve(str(FILE))
    (asked,) = [c for c in candidates if c.name == name]
    report = run_all([asked], Settings(examples, ("float64",)))
    return report.findings[0].verdict.value if report.findings else "PASS"


def left() -> tuple[set[int], set[Path]]:
    """The processes and the directories of workers that this process has started."""
    processes = set()
    own = f"{MARK}={os.getpid()}-".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if own in (entry / "environ").read_bytes():
                processes.add(int(entry.name))
    return processes, set(Path(tempfile.gettempdir()).glob(f"npnet-worker-{os.getpid()}-*"))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--examples", type=int, default=25)
    asked = parser.parse_args(argv)
    from tests.hostile import EXPECTED

    right = 0
    names = asked.names or list(EXPECTED)
    for name in names:
        started = time.monotonic()
        got = verdict(name, asked.examples)
        seconds = time.monotonic() - started
        good = got == EXPECTED[name]
        right += good
        told = "" if good else f"  instead of {EXPECTED[name]}"
        print(f"{name[:40]!r:<44}{got:<16}{seconds:6.1f} s{told}", flush=True)
    processes, directories = left()
    print(f"\n{right} of {len(names)} have the right verdict.")
    print(f"Left behind: {len(processes)} processes, {len(directories)} directories.")
    return int(right < len(names) or bool(processes) or bool(directories))


if __name__ == "__main__":
    sys.exit(main())
