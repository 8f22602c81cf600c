"""What a gate in CI needs: profiles, shards that add up, runs that are taken up again."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import npnet
from npnet import cli
from npnet.cli import base
from npnet.contract import ConfigError
from npnet.report import jsonl, merge
from npnet.verify import run
from npnet.verify.finding import Outcome
from npnet.verify.settings import profiled

LAYERS = """
from npnet.contract import Forward, Grads
from npnet.verify import candidate

SCALE = 1234567


def affine(case, factor=1.0):
    (x,) = case.inputs
    weight = case.state["weight"]
    y = x @ weight.T + case.state.get("bias", 0)

    def vjp(dy):
        flat, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        params = {"weight": flat.T @ rows}
        if "bias" in case.state:
            params["bias"] = flat.dtype.type(factor) * flat.sum(0)
        return Grads((dy @ weight,), params)

    return Forward(y, vjp)


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


@candidate("Tanh")
def fifth(case):
    (x,) = case.inputs
    return Forward(x, lambda dy: Grads((dy,)))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in base.THREADS:
        monkeypatch.setenv(name, "1")
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    Path("mylayers.py").write_text(LAYERS)
    return tmp_path


def npnet_(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, arguments)


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


def process(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    root = str(Path(npnet.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "npnet.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root, **variables},
        timeout=120,
        check=False,
    )


def without_times(path: Path) -> list[Any]:
    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: cut(v) for k, v in value.items() if k not in ("seconds", "date")}
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
    asked = (*asked, "--examples", "14", "--format", "text")
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
