"""What a gate in CI needs: profiles, shards that add up, runs that are taken up again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import npnet
from npnet import cli
from npnet.cli import base
from npnet.contract import ConfigError
from npnet.report import jsonl
from npnet.verify import run
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
    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "date")}
        return [timeless(x) for x in value] if isinstance(value, list) else value

    return [timeless(json.loads(line)) for line in path.read_text().splitlines()]


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
