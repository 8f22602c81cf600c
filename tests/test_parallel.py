"""Several candidates at a time: the same verdicts, and a worker that dies takes nobody with it."""

import textwrap

import pytest

from npnet.contract import ConfigError
from npnet.verify import candidate, run
from npnet.verify.finding import Verdict

FILE = """
    import os
    from npnet.contract import Forward, Grads
    from npnet.verify import candidate

    @candidate("ReLU")
    def right(case):
        (x,) = case.inputs
        return Forward(x * (x > 0), lambda dy: Grads((dy * (x > 0),)))

    @candidate("ReLU")
    def wrong(case):
        (x,) = case.inputs
        return Forward(x * (x > 0), lambda dy: Grads((dy * (x >= 0),)))

    @candidate("ReLU")
    def deadly(case):
        os._exit(7)

    @candidate("Tanh")
    def other(case):
        (x,) = case.inputs
        return Forward(x, lambda dy: Grads((dy,)))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(FILE))
    return str(path)


def verdicts(report):
    return sorted((f.layer, f.quantity, str(f.verdict), f.id) for f in report.findings)


def test_two_jobs_find_what_one_finds(file):
    names = [f"{file}::{name}" for name in ("right", "wrong", "other")]
    one = run(names, examples=20, seed=3)
    two = run(names, examples=20, seed=3, jobs=2)

    assert verdicts(one) == verdicts(two)
    assert len(two.findings) >= 2
    assert [r.layer for r in two.layers] == [r.layer for r in one.layers]
    assert two.exit_code == one.exit_code == 1


def test_a_worker_that_dies_is_known_and_the_others_are_asked(file):
    report = run(file, examples=10, jobs=2, in_process=True)
    broken = [f for f in report.findings if f.verdict is Verdict.CRASH]

    assert [f.layer for f in broken] == ["deadly"]
    assert "died" in broken[0].message
    assert {r.layer for r in report.layers} == {"right", "wrong", "other"}


def test_what_was_made_in_the_program_is_asked_there():
    marks = []

    @candidate("ReLU")
    def here(case):
        marks.append(1)
        raise ValueError

    report = run([here, "Tanh"], examples=8, dtypes=("float64",), jobs=2)

    assert marks
    assert [r.layer for r in report.layers] == ["here", "Tanh"]


def test_a_listener_can_end_the_run():
    def stop(event):
        if event["event"] == "tick":
            raise KeyboardInterrupt

    report = run(["Linear", "LSTM"], examples=5000, jobs=2, on_event=stop)

    assert report.seconds < 60
    assert "the rest (interrupted)" in report.not_verified


def test_jobs_is_a_number_of_processes():
    with pytest.raises(ConfigError, match="jobs must be at least 1"):
        run("Linear", jobs=0)
