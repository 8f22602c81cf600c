"""What a gate in CI needs: profiles, shards that add up, runs that are taken up again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import npnet
from npnet.cli import base
from npnet.contract import ConfigError
from npnet.report import jsonl, merge, resume
from npnet.verify import engine, run
from npnet.verify.finding import Outcome
from npnet.verify.settings import profiled
from tests.commands import AFFINE, npnet_

LAYERS = (
    AFFINE
    + """
SCALE = 1234567


@candidate("Linear")
def first(case):
    return affine(case)


@candidate("Linear")
def second(case):
    return affine(case, 2.0)


@candidate("ReLU")
def third(case):
    (x,) = case.inputs
    return Forward(x * (x > 0), lambda dy: Grads((dy * (x >= 0),)))


@candidate("Linear")
def fourth(case):
    return affine(case)


@candidate("ReLU")
def fifth(case):
    (x,) = case.inputs
    return Forward(x * (x > 0), lambda dy: Grads((2 * dy * (x > 0),)))
"""
)


@pytest.fixture
def place(folder: Path) -> Path:
    """A folder with mylayers.py."""
    Path("mylayers.py").write_text(LAYERS)
    return folder


def settings(directory: str) -> dict[str, Any]:
    found: dict[str, Any] = jsonl.read(Path(directory) / "results.jsonl")[0]["settings"]
    return found


# ---- profiles ------------------------------------------------------------------------------------


def test_a_profile_is_examples_and_a_seed() -> None:
    assert profiled(None, None, None) == profiled("ci", None, None) == (200, 0)
    assert profiled("quick", None, None) == (25, 0)
    assert profiled("nightly", 3, 4) == (3, 4)
    examples, seed = profiled("nightly", None, None)
    assert examples == 2000
    assert seed != profiled("nightly", None, None)[1]
    with pytest.raises(ConfigError, match="one of quick, ci, nightly, but is 'weekly'"):
        run("Linear", profile="weekly")


def test_a_fresh_seed_is_printed_and_stored(place: Path) -> None:
    done = npnet_(
        "verify", "Linear", "--profile", "nightly", "--examples", "8", "--report-dir", "a"
    )
    assert done.exit_code == 0, done.output
    stored = settings("a")
    assert stored["examples"] == 8
    assert f" · seed {stored['seed']} · " in done.output.splitlines()[0]
    assert stored["seed"] != 0
    assert run("Linear", profile="quick", seed=5).layers[0].outcomes["float64"].examples == 25


def test_profiles_of_pyproject_and_of_the_command_line(place: Path) -> None:
    Path("pyproject.toml").write_text('[tool.npnet]\nprofile = "quick"\nseed = 3\n')
    assert npnet_("verify", "Linear", "--report-dir", "a").exit_code == 0
    assert (settings("a")["examples"], settings("a")["seed"]) == (25, 3)
    Path("pyproject.toml").write_text("[tool.npnet]\nexamples = 12\nseed = 3\n")
    arguments = ("verify", "Linear", "--profile", "quick", "--report-dir", "b")
    assert npnet_(*arguments).exit_code == 0
    assert (settings("b")["examples"], settings("b")["seed"]) == (25, 0)  # not those of the file
    Path("pyproject.toml").write_text('[tool.npnet]\nprofile = "fast"\n')
    done = npnet_("verify", "Linear")
    assert done.exit_code == 2
    assert "profile in [tool.npnet] of pyproject.toml must be one of quick, ci" in done.output


# ---- the same questions in every process ---------------------------------------------------------


def process(
    *arguments: str, cwd: Path | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    root = str(Path(npnet.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "npnet.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root, **variables},
        timeout=120,
        check=False,
        cwd=cwd,
    )


def without_times(path: Path) -> list[Any]:
    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: cut(v) for k, v in value.items() if k not in ("seconds", "date", "sources")}
        return [cut(x) for x in value] if isinstance(value, list) else value

    return [cut(json.loads(line)) for line in path.read_text().splitlines()]


def test_one_seed_asks_the_same_in_every_process(place: Path) -> None:
    Path("beside.py").write_text("\n".join(f"X{i} = {9_000_000 + 7 * i}" for i in range(500)))
    asked = ("verify", "Linear", "mylayers.py::first", "mylayers.py::second", "--examples", "60")
    alone = process(*asked, "--report-dir", "a", PYTHONHASHSEED="1")
    assert alone.returncode == 1, alone.stderr
    # constants of what is imported beside the candidate would be drawn for seeds and options
    Path("mylayers.py").write_text("import beside" + LAYERS)
    other = process(*asked, "--report-dir", "b", PYTHONHASHSEED="2")
    assert other.returncode == 1, other.stderr
    first, second = (without_times(Path(d, "results.jsonl")) for d in "ab")
    assert [e["event"] for e in first] == ["run", "layer", "layer", "finding", "layer", "end"]
    assert first == second


# ---- shards --------------------------------------------------------------------------------------


def told(place: str) -> tuple[Any, ...]:
    """All that a run says, but for times and for the order of what was not verified."""
    report = merge.read(Path(place)).report
    findings = [jsonl.line(jsonl.finding_event(f)) for f in report.findings]
    layers = [
        (r.layer, r.covered, r.coverable, r.uncovered, list(r.outcomes), timeless(r.outcomes))
        for r in report.layers
    ]
    return findings, layers, sorted(report.not_verified), report.exit_code


def timeless(outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    return [replace(outcome, seconds=0.0) for outcome in outcomes.values()]


def shards(n: int, *arguments: str) -> list[int]:
    codes = []
    for i in range(1, n + 1):
        done = npnet_("verify", *arguments, "--shard", f"{i}/{n}", "--report-dir", f"s{i}")
        codes.append(done.exit_code)
    return codes


@pytest.mark.parametrize(
    ("n", "asked", "codes"),
    [
        (2, ("mylayers.py",), [1, 1]),  # five candidates, dealt like cards
        (3, ("mylayers.py::second", "LPPool1d"), [1, 1, 0]),  # two in two dtypes each
        (3, ("mylayers.py::second",), [1, 1, 0]),  # the last has nothing to do
    ],
)
def test_shards_add_up_to_the_whole_run(
    place: Path, n: int, asked: tuple[str, ...], codes: list[int]
) -> None:
    asked = (*asked, "--examples", "14", "--in-process", "--format", "text")
    assert npnet_("verify", *asked, "--report-dir", "whole").exit_code == 1
    assert shards(n, *asked) == codes
    parts = [f"s{i}" for i in range(n, 0, -1)]
    assert npnet_("report", *parts, "--report-dir", "merged").exit_code == 1
    assert told("merged") == told("whole")


def test_what_falls_to_other_shards_is_told(place: Path) -> None:
    done = npnet_("verify", "Linear", "ReLU", "--examples", "12", "--shard", "2/2")
    assert done.exit_code == 0, done.output
    assert "Linear (in another shard)" in done.output
    assert "1 layer verified" in done.output
    done = npnet_("verify", "Linear", "--examples", "12", "--shard", "1/2", "--report-dir", "a")
    assert "Linear float32 (in another shard)" in done.output
    done = npnet_("verify", "Linear", "--examples", "12", "--shard", "3/3", "--report-dir", "b")
    assert done.exit_code == 0, done.output
    assert "Nothing falls to shard 3/3 in " in done.output
    assert "Nothing falls to shard 3/3" in Path("b/index.html").read_text()


def test_a_shard_that_is_missing_is_not_verified(place: Path) -> None:
    asked = ("verify", "Linear", "ReLU", "Tanh", "--examples", "12", "--format", "text")
    for i in (1, 3):
        assert npnet_(*asked, "--shard", f"{i}/3", "--report-dir", f"s{i}").exit_code == 0
    done = npnet_("report", "s1", "s3", "--report-dir", "m")
    assert done.exit_code == base.INTERRUPTED
    assert "shard 2 of 3 (not among these runs)" in done.output
    assert "ReLU (in another shard)" in done.output
    assert npnet_(*asked, "--shard", "2/3", "--report-dir", "s2").exit_code == 0
    done = npnet_("report", "m", "s2", "--report-dir", "n")
    assert done.exit_code == 0, done.output
    assert "shard" not in done.output


def test_jobs_ask_a_shard_alike(place: Path) -> None:
    asked = ("verify", "mylayers.py::second", "Linear", "--examples", "12", "--shard", "2/3")
    for jobs in ("1", "2"):
        npnet_(*asked, "-j", jobs, "--report-dir", jobs)
    assert told("1") == told("2")


@pytest.mark.parametrize("value", ["2", "0/2", "3/2", "1/0", "a/b"])
def test_2_for_a_shard_that_makes_no_sense(place: Path, value: str) -> None:
    done = npnet_("verify", "Linear", "--shard", value)
    assert done.exit_code == 2
    assert f"--shard must be i/n, as 2/3 for the second of three, but is {value!r}" in done.output
    with pytest.raises(ConfigError, match=r"shard must be .* but is 3/2"):
        run("Linear", shard=(3, 2))


# ---- runs that are taken up again ----------------------------------------------------------------

ASKED = (
    *("mylayers.py", "Linear", "--examples", "20", "--dtype", "float64"),
    *("--in-process", "--format", "text"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, in a process as those that are killed."""
    here = tmp_path_factory.mktemp("whole")
    (here / "mylayers.py").write_text(LAYERS)
    done = process("verify", *ASKED, "--report-dir", "out", cwd=here)
    assert done.returncode == 1, done.stderr
    return here / "out"


@pytest.mark.parametrize(
    ("lines", "after"), [(1, 0.0), (1, 0.4), (2, 0.0), (3, 0.1), (5, 0.0), (6, 0.2)]
)
def test_a_run_that_was_killed_is_taken_up_again(
    place: Path, whole: Path, lines: int, after: float
) -> None:
    root = str(Path(npnet.__file__).parent.parent)
    command = [sys.executable, "-m", "npnet.cli", "verify", *ASKED, "--report-dir", "out"]
    path = Path("out/results.jsonl")
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": root}
    ) as killed:
        while killed.poll() is None and not (
            path.exists() and path.read_text().count("\n") >= lines
        ):
            time.sleep(0.005)
        time.sleep(after)
        killed.send_signal(signal.SIGKILL)
    events = [e["event"] for e in jsonl.read(path)]
    assert "end" not in events
    assert len(events) >= lines
    done = npnet_("verify", "--resume", "out", "--format", "text")
    assert done.exit_code == 1, done.output
    assert told("out") == told(str(whole))
    assert sorted(p.name for p in Path("out").iterdir()) == ["failures", "results.jsonl"]
    assert {p.name for p in Path("out/failures").iterdir()} == {
        p.name for p in (whole / "failures").iterdir()
    }


def test_a_line_that_is_cut_in_two_is_tolerated_wherever_it_is_cut(
    place: Path, whole: Path
) -> None:
    text = (whole / "results.jsonl").read_bytes()
    ends = [n for n, byte in enumerate(text) if byte == 10]
    for cut in (ends[0] + 9, ends[4] - 1):
        shutil.copytree(whole, "out")
        Path("out/results.jsonl").write_bytes(text[:cut])
        (Path("out/failures") / "half-written").mkdir()
        Path("out/results.jsonl.new").write_text("of a run that was killed while taken up")
        done = npnet_("verify", "--resume", "out", "--format", "text")
        assert done.exit_code == 1, done.output
        assert told("out") == told(str(whole))
        assert not Path("out/failures/half-written").exists()
        shutil.rmtree("out")


def test_what_was_finished_is_not_asked_again(place: Path, whole: Path) -> None:
    shutil.copytree(whole, "out")
    seen: list[Any] = []
    known = resume.begun(Path("out")).known
    assert set(known) == {"first", "second", "third", "fourth", "fifth", "Linear"}
    report = engine.run_as(
        ["mylayers.py", "Linear"],
        resume.begun(Path("out")).settings,
        known={n: v for n, v in known.items() if n not in ("fourth", "Linear")},
        on_event=lambda event: seen.append((event["event"], event.get("layer"))),
    )
    assert {layer for event, layer in seen if event == "example"} == {"fourth", "Linear"}
    assert [r.layer for r in report.layers] == [*known]
    events = [event for event, _ in seen]
    assert events.count("layer") == 6
    assert events.count("finding") == len(report.findings) > 2


def test_a_run_that_stops_at_the_first_failure_stops_there_again(place: Path) -> None:
    asked = (
        "verify",
        "mylayers.py",
        "--examples",
        "8",
        "--in-process",
        "--format",
        "text",
        "--fail-fast",
    )
    assert npnet_(*asked, "--report-dir", "out").exit_code == 1
    before = told("out")
    path = Path("out/results.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert npnet_("verify", "--resume", "out").exit_code == 1
    assert told("out") == before
    assert [r.layer for r in merge.read(Path("out")).report.layers] == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--examples", "30"), "--examples asks for 30 and that run has 20"),
        (
            ("--dtype", "float64,float32"),
            "--dtype asks for float64,float32 and that run has float64",
        ),
        (("--seed", "1"), "--seed asks for 1 and that run has 0"),
        (("--profile", "quick"), "--profile asks for quick. Leave it out, or start a new run"),
        (("--shard", "1/2"), "--shard asks for 1/2 and that run has none"),
        (("--report-dir", "x"), "--report-dir asks for x and that run has out"),
        (("Linear",), "TARGET asks for Linear and that run has mylayers.py,Linear"),
        (("--fail-fast",), "--fail-fast asks for yes and that run has no"),
    ],
)
def test_2_where_other_settings_are_given(
    place: Path, whole: Path, arguments: tuple[str, ...], part: str
) -> None:
    shutil.copytree(whole, "out")
    before = Path("out/results.jsonl").read_text()
    done = npnet_("verify", "--resume", "out", *arguments)
    assert done.exit_code == 2, done.output
    assert part in done.output
    assert Path("out/results.jsonl").read_text() == before


def test_the_same_settings_and_other_formats_are_taken(place: Path, whole: Path) -> None:
    shutil.copytree(whole, "out")
    again = ("mylayers.py", "Linear", "--examples", "20", "--format", "html,junit", "-j", "2")
    done = npnet_("verify", "--resume", "out", *again)
    assert done.exit_code == 1, done.output
    assert Path("out/junit.xml").is_file()
    assert told("out") == told(str(whole))


def test_2_for_what_cannot_be_taken_up(place: Path, whole: Path) -> None:
    Path("empty").mkdir()
    Path("early").mkdir()
    Path("early/results.jsonl").write_text('{"schema": "npnet')
    shutil.copytree(whole, "out")
    assert npnet_("report", "out", "--report-dir", "merged").exit_code == 1
    for place_, part in (
        ("nowhere", "nowhere holds no run"),
        ("empty", "empty holds no run"),
        ("early", "it was killed before that"),
        ("merged", "or npnet report wrote it. Start it anew."),
    ):
        done = npnet_("verify", "--resume", place_)
        assert done.exit_code == 2, done.output
        assert part in done.output
    text = Path("out/results.jsonl").read_text()
    version = metadata.version("numpy")
    Path("out/results.jsonl").write_text(text.replace(f'"numpy": "{version}"', '"numpy": "1.0"'))
    done = npnet_("verify", "--resume", "out")
    assert done.exit_code == 2
    assert f"out was begun with numpy 1.0, but this is {version}" in done.output
    Path("out/results.jsonl").write_text(text)
    Path("mylayers.py").write_text(LAYERS.replace("2.0", "1.0"))
    done = npnet_("verify", "--resume", "out")
    assert done.exit_code == 2
    assert "mylayers.py has changed since out was begun" in done.output
