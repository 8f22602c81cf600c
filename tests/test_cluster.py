"""A run on a Dask cluster finds what a run here finds, with a worker killed in between, too."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from npnet.contract import ConfigError
from npnet.verify import run

LAYERS = ["Linear", "ReLU", "Tanh", "Softmax"]

WRONG = """
from npnet import nn
from npnet.verify import candidate

@candidate("Tanh")
def doubled(case):
    y, vjp, updates = nn.Tanh()(case.state, *case.inputs)
    return y, lambda dy: vjp(2 * dy)
"""


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers on loopback, each a process."""
    file = tmp_path / "scheduler.json"
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [*start, "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(file)],
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    ]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny", "--no-dashboard"]
    more = ["--nthreads", "1", "--scheduler-file", str(file), "--host", "127.0.0.1"]
    for _ in range(2):
        local = ["--local-directory", str(tmp_path)]
        started.append(
            subprocess.Popen([*worker, *more, *local], stderr=subprocess.DEVNULL, env=environment)
        )
    from distributed import Client

    stop = time.monotonic() + 60
    while not file.exists() and time.monotonic() < stop:
        time.sleep(0.1)
    with Client(scheduler_file=str(file)) as client:
        client.wait_for_workers(2, timeout=60)
        address = client.scheduler.address
    yield address, started[1:]
    for process in started:
        process.kill()
        process.wait()


def told(report):
    layers = [
        (r.layer, [(o.verdict, o.examples, dict(o.ratios)) for o in r.outcomes.values()])
        for r in report.layers
    ]
    return layers, [(f.id, f.quantity, f.message) for f in report.findings]


def test_the_findings_are_those_of_a_run_here(cluster, tmp_path):
    address, workers = cluster
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    asked = [*LAYERS, str(file)]

    def lose_a_worker():
        time.sleep(3)
        workers[0].send_signal(signal.SIGKILL)

    threading.Thread(target=lose_a_worker, daemon=True).start()
    there = run(asked, examples=30, executor=address)

    assert workers[0].wait(30) == -signal.SIGKILL
    assert told(there) == told(run(asked, examples=30))
    assert [f.quantity for f in there.findings] == ["gradient of input 0"]


def test_nobody_answers():
    with pytest.raises(ConfigError, match="nobody"):
        run("ReLU", examples=1, executor="tcp://127.0.0.1:9")
