"""Runs that are killed at random moments and taken up again: the same report, every time.

python -m tests.studies.kills --kills 20
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import npnet
from npnet.report import jsonl, merge
from tests.commands import KINK

LAYERS = (
    KINK
    + """

@candidate("Sigmoid")
def doubled(case):
    (x,) = case.inputs
    import numpy as np
    y = 1 / (1 + np.exp(-np.clip(x, -700, 700)))
    return Forward(y, lambda dy: Grads((2 * dy * y * (1 - y),)))
"""
)
ASKED = ("Linear", "mylayers.py", "ReLU", "LayerNorm", "--examples", "30", "--format", "text")


def main() -> None:
    """Kill, take up, compare; exit 1 where a report differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        Path("mylayers.py").write_text(LAYERS)
        started = time.monotonic()
        _run("verify", *ASKED, "--report-dir", "whole").wait()
        seconds = time.monotonic() - started
        whole, different = told(Path("whole")), 0
        for n in range(arguments.kills):
            directory, kills = f"k{n}", 0
            command: tuple[str, ...] = ("verify", *ASKED, "--report-dir", directory)
            moment = rng.uniform(0.1, 1.0) * seconds
            for _ in range(3):  # what takes it up is killed, too
                kills += _killed(_run(*command), moment)
                if (Path(directory) / "results.jsonl").exists():
                    command = ("verify", "--resume", directory, "--format", "text")
                moment = rng.uniform(0.3, 1.0) * seconds
            _run(*command).wait()
            same = told(Path(directory)) == whole
            different += not same
            lines = len(jsonl.read(Path(directory) / "results.jsonl"))
            print(f"{n + 1:3}  killed {kills} times  {lines} lines  {'same' if same else 'OTHER'}")
    sys.exit(1 if different else 0)


def told(directory: Path) -> Any:
    """Findings, layers and what was not verified, without times."""
    report = merge.read(directory).report

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: cut(v) for k, v in value.items() if k != "seconds"}
        return [cut(x) for x in value] if isinstance(value, list) else value

    return cut(jsonl.plain([report.findings, report.layers, sorted(report.not_verified)]))


def _run(*arguments: str) -> "subprocess.Popen[bytes]":
    root = str(Path(npnet.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-m", "npnet.cli", *arguments],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": root},
    )


def _killed(running: "subprocess.Popen[bytes]", moment: float) -> int:
    """Whether it was still running at that moment."""
    try:
        running.wait(moment)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        running.wait()
        return 1
    return 0


if __name__ == "__main__":
    main()
