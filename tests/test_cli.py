"""The command line: every exit code, every message, what is printed and what is left on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import Result

import npnet
from npnet.cli import asking, base
from npnet.report import jsonl
from tests.commands import AFFINE, npnet_

LAYERS = (
    AFFINE
    + """
import time


@candidate("Linear")
def right(case):
    return affine(case)


@candidate("Linear")
def wrong(case):
    return affine(case, FACTOR)


@candidate("Linear")
def crashes(case):
    raise RuntimeError("[red]no[/red] \\x1b[31m<script>")


@candidate("Linear")
def slow(case):
    time.sleep(0.02)
    return affine(case)
"""
)


@pytest.fixture
def place(folder: Path) -> Path:
    """A folder with mylayers.py."""
    write_layers(2.0)
    return folder


def write_layers(factor: float) -> None:
    Path("mylayers.py").write_text(LAYERS.replace("FACTOR", str(factor)))


def verify(*arguments: str) -> Result:
    return npnet_("verify", "--examples", "20", *arguments)


def only_report() -> Path:
    (found,) = Path("reports").iterdir()
    return found


# ---- exit codes of verify ------------------------------------------------------------------------


def test_0_where_everything_is_verified(place: Path) -> None:
    done = verify("Linear", "mylayers.py::right")
    assert done.exit_code == 0, done.output
    lines = done.output.split("\n")
    assert lines[0].startswith(f"npnet {npnet.__version__} · numpy ")
    assert lines[0].endswith("seed 0 · cuda: none") or "cuda: " in lines[0]
    assert "examples   float64   float32   worst err/bound   options covered" in done.output
    assert "Not verified: cuda (" in done.output
    assert "2 layers verified in " in lines[-2]
    report = only_report()
    assert lines[-2].endswith(f" · {report}/index.html")
    assert sorted(p.name for p in report.iterdir()) == ["index.html", "results.jsonl"]
    events = jsonl.read(report / "results.jsonl")
    assert [e["event"] for e in events] == ["run", "layer", "layer", "end"]
    assert events[-1]["exit_code"] == 0


def test_1_where_something_diverges(place: Path) -> None:
    done = verify("mylayers.py::wrong", "mylayers.py::crashes", "mylayers.py::right")
    assert done.exit_code == 1, done.output
    assert "DIVERGED  wrong · gradient of bias · float64 · cpu" in done.output
    assert "CRASHED  crashes" in done.output
    assert "wrong diverged, crashes broke down, 1 layer verified" in done.output
    assert "\x1b" not in done.output
    report = only_report()
    for folder in (report / "failures").iterdir():
        assert f"npnet repro {folder.name}" in done.output
        assert f"{report}/index.html#{folder.name}" in done.output
    assert "<script>" not in (report / "index.html").read_text()


def test_3_where_a_candidate_breaks_down(place: Path) -> None:
    done = verify("mylayers.py::crashes", "--dtype", "float64")
    assert done.exit_code == 3
    assert "RuntimeError: [red]no[/red] [31m<script>" in done.output
    assert "mylayers.py" in done.output


def test_3_where_a_candidate_cannot_be_loaded(place: Path) -> None:
    Path("broken.py").write_text("import nothing_of_that_name\n")
    done = verify("broken.py")
    assert done.exit_code == 3
    assert "broken.py could not be loaded: ModuleNotFoundError" in done.output


def test_4_where_nothing_can_be_judged(place: Path) -> None:
    done = verify("Linear", "--only", "state")
    assert done.exit_code == 4
    assert "INSUFFICIENT" in done.output


@pytest.mark.parametrize("arguments", [("--device", "cuda"), ("--require", "cuda")])
def test_4_where_a_device_is_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str]
) -> None:
    torch = import_module("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = verify("Linear", *arguments)
    assert done.exit_code == 4
    assert f"{' '.join(arguments)} needs a CUDA device, but torch finds none" in done.output
    assert not Path("reports").exists()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    done = verify("Linear", "--require", "cuda")
    assert done.exit_code == 4
    assert "--require cuda needs --device cuda or auto, but the device is cpu" in done.output


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("Linar",), ("there is no layer 'Linar'", "Did you mean 'Linear'?")),
        (("mylayer.py",), ("there is no file mylayer.py", "Did you mean mylayers.py?")),
        (("mylayers.py::wrang",), ("no candidate 'wrang'", "Did you mean 'wrong'?")),
        (("nowhere.at_all:x",), ("there is no module 'nowhere.at_all'",)),
        (("empty.py",), ("empty.py holds no candidates", "@npnet.verify.candidate")),
        (("Linear", "--dtype", "double"), ("dtype must be float64", "but is 'double'")),
        (("Linear", "--dtype", ","), ("--dtype must name at least one, but is ','",)),
        (("Linear", "--only", "grads"), ("only takes forward, grad", "but got 'grads'")),
        (("Linear", "--examples", "0"), ("--examples must be at least 1, but is 0",)),
        (("Linear", "--examples", "x"), ("'x' is not a valid integer",)),
        (("Linear", "--device", "tpu"), ("--device must be one of cpu, cuda, auto", "'tpu'")),
        (("Linear", "--require", "tpu"), ("--require must be one of cuda, but is 'tpu'",)),
        (("Linear", "--time-budget", "10x"), ("such as 90s, 10m or 1.5h, but is '10x'",)),
        (("Linear", "--time-budget", "0s"), ("--time-budget must be a time", "'0s'")),
        (
            ("Linear", "--format", "pdf"),
            ("--format takes text, html, junit, markdown, github, but got 'pdf'",),
        ),
        (("Linear", "--format", "htm"), ("got 'htm'", "Did you mean 'html'?")),
        (("Linear", "--report-dir", "file/out"), ("file/out", "--report-dir")),
        (("--frmat", "text"), ("No such option", "--format")),
    ],
)
def test_2_and_one_clear_message(
    place: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("empty.py").write_text("")
    Path("file").write_text("")
    done = npnet_(
        "verify", *(("--examples", "3") if "--examples" not in arguments else ()), *arguments
    )
    assert done.exit_code == 2, done.output
    for part in parts:
        assert part in done.output
    assert "Traceback" not in done.output
    assert not Path("reports").exists()


def test_2_for_a_command_that_does_not_exist(place: Path) -> None:
    done = npnet_("verfy")
    assert done.exit_code == 2
    assert "verfy" in done.output


def test_a_message_has_no_control_characters(place: Path) -> None:
    done = verify("\x1b[31mLinear")
    assert done.exit_code == 2
    assert "\x1b" not in done.output


# ---- options -------------------------------------------------------------------------------------


def test_a_report_goes_where_it_is_told_in_the_formats_asked_for(place: Path) -> None:
    done = verify("mylayers.py::wrong", "--report-dir", "out", "--format", "text")
    assert done.exit_code == 1
    assert "npnet repro out/failures/wrong-bias-" in done.output
    assert "index.html" not in done.output
    assert sorted(p.name for p in Path("out").iterdir()) == ["failures", "results.jsonl"]
    silent = verify("mylayers.py::wrong", "--report-dir", "out2", "--format", "html")
    assert silent.output == ""
    assert Path("out2/index.html").is_file()


def test_quiet_prints_failures_only(place: Path) -> None:
    assert verify("Linear", "-q").output == ""
    done = verify("mylayers.py::wrong", "mylayers.py::right", "-q")
    assert done.output.startswith("DIVERGED  wrong")
    assert "right" not in done.output


def test_verbose_prints_every_margin(place: Path) -> None:
    done = verify("Linear", "-v")
    assert re.search(r"Linear · gradient of weight +float64 \d\.\d+ +float32 \d", done.output)


def test_fail_fast_stops_after_the_first(place: Path) -> None:
    done = verify("mylayers.py::wrong", "mylayers.py::right", "--fail-fast")
    assert done.exit_code == 1
    events = jsonl.read(only_report() / "results.jsonl")
    assert [e["result"]["layer"] for e in events if e["event"] == "layer"] == ["wrong"]
    assert "right" in " ".join(events[-1]["not_verified"])


def test_options_reach_the_run(place: Path) -> None:
    done = verify(
        "Linear",
        "--dtype",
        "float32",
        "--only",
        "grad,forward",
        "--seed",
        "7",
        "--time-budget",
        "5m",
    )
    assert done.exit_code == 0, done.output
    settings = jsonl.read(only_report() / "results.jsonl")[0]["settings"]
    assert settings["dtypes"] == ["float32"]
    assert settings["only"] == ["grad", "forward"]
    assert settings["seed"] == 7
    assert settings["time_budget"] == 300.0
    assert settings["examples"] == 20


def test_the_same_run_twice_finds_the_same(place: Path) -> None:
    first, second = (verify("mylayers.py::wrong", "--report-dir", d) for d in ("a", "b"))
    assert first.exit_code == second.exit_code == 1
    assert [p.name for p in Path("a/failures").iterdir()] == [
        p.name for p in Path("b/failures").iterdir()
    ]


def test_other_formats_are_written_and_printed(place: Path) -> None:
    done = verify(
        "mylayers.py::wrong", "--report-dir", "out", "--format", "junit,markdown,github,text"
    )
    assert done.exit_code == 1
    (line,) = [row for row in done.output.split("\n") if row.startswith("::")]
    assert line.startswith("::error file=mylayers.py,line=")
    assert "wrong · gradient of bias" in Path("out/junit.xml").read_text()
    assert "wrong diverged" in Path("out/summary.md").read_text()
    assert not Path("out/index.html").exists()


def test_ci_gets_what_it_reads(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert verify("Linear", "--report-dir", "ci", "--format", "text").exit_code == 0
    assert {p.name for p in Path("ci").iterdir()} == {"junit.xml", "summary.md", "results.jsonl"}

    Path("steps.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "steps.md")
    done = verify("mylayers.py::wrong", "--report-dir", "gh", "-q")
    assert done.output.count("\n::error file=mylayers.py") == 1
    assert Path("steps.md").read_text() == "before\n" + Path("gh/summary.md").read_text()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/steps.md")
    done = verify("Linear")
    assert done.exit_code == 2
    assert "GITHUB_STEP_SUMMARY must name a file, but no/steps.md" in done.output


# ---- report --------------------------------------------------------------------------------------


def test_runs_are_merged_and_rendered_again(place: Path) -> None:
    assert verify("Linear", "--report-dir", "a").exit_code == 0
    assert verify("mylayers.py::wrong", "--report-dir", "b").exit_code == 1
    done = npnet_(
        "report", "a", "b/results.jsonl", "--report-dir", "c", "--format", "text,html,junit"
    )
    assert done.exit_code == 1, done.output
    assert "DIVERGED  wrong · gradient of bias" in done.output
    assert "wrong diverged, 1 layer verified in " in done.output
    assert done.output.endswith(" · c/index.html\n")
    names = {p.name for p in Path("c").iterdir()}
    assert names == {"failures", "index.html", "junit.xml", "results.jsonl"}
    (folder,) = Path("c/failures").iterdir()
    assert npnet_("replay", str(folder)).exit_code == 1
    again = npnet_("report", "c", "--report-dir", "d", "--format", "html")
    assert again.output == ""
    assert Path("d/index.html").read_text() == Path("c/index.html").read_text()
    passing = npnet_("report", "a")
    assert passing.exit_code == 0
    assert "1 layer verified" in passing.output


def test_a_run_that_was_cut_off_is_not_verified(place: Path) -> None:
    verify("Linear", "--report-dir", "a")
    path = Path("a/results.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    done = npnet_("report", "a")
    assert done.exit_code == base.INTERRUPTED
    assert "the rest of a (cut off)" in done.output


def test_2_for_runs_that_cannot_be_read(place: Path) -> None:
    verify("mylayers.py::wrong", "--dtype", "float64", "--report-dir", "a")
    Path("empty").mkdir()
    Path("b.jsonl").write_text("{}\n")
    (folder,) = Path("a/failures").iterdir()
    (folder / "arrays.npz").write_bytes(b"")
    for arguments, part in (
        ((), "Missing argument"),
        (("nothing",), "nothing holds no run"),
        (("empty",), "empty holds no run"),
        (("b.jsonl",), "must have the schema 'npnet-results/1'"),
        (("a",), "arrays.npz cannot be read"),
    ):
        done = npnet_("report", *arguments)
        assert done.exit_code == 2, done.output
        assert part in done.output
    assert not Path("reports").exists()


# ---- pyproject.toml ------------------------------------------------------------------------------


def test_settings_of_pyproject_are_used_and_the_command_line_wins(place: Path) -> None:
    Path("pyproject.toml").write_text(
        '[tool.npnet]\nexamples = 12\ndtype = ["float32"]\nseed = 3\nreport_dir = "kept"\n'
        'format = "text"\nfail-fast = true\ntime-budget = 60\n'
    )
    Path("below").mkdir()
    done = npnet_("verify", "mylayers.py::wrong", "--seed", "4")
    assert done.exit_code == 1, done.output
    settings = jsonl.read(Path("kept/results.jsonl"))[0]["settings"]
    assert (settings["examples"], settings["dtypes"], settings["seed"]) == (12, ["float32"], 4)
    assert settings["fail_fast"] is True
    assert settings["time_budget"] == 60.0
    assert npnet_("replay").exit_code == 1  # found in the configured place


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ("exampels = 3", ("unknown key 'exampels'", "Did you mean 'examples'?")),
        ("zzz = 3", ("unknown key 'zzz'", "Known are examples, dtype")),
        ('examples = "3"', ("examples in [tool.npnet] of pyproject.toml must be int, but is '3'",)),
        ("examples = true", ("must be int, but is True",)),
        ("examples = 0", ("examples in [tool.npnet] of pyproject.toml must be at least 1",)),
        ("dtype = [3]", ("must be str or a list of strings, but is [3]",)),
        ('format = "pdf"', ("format in [tool.npnet] of pyproject.toml takes text, html, junit",)),
        ("fail-fast = 1", ("fail-fast in [tool.npnet] of pyproject.toml must be bool, but is 1",)),
        ("examples = ", ("pyproject.toml cannot be read", "Invalid value")),
    ],
)
def test_2_for_settings_that_make_no_sense(place: Path, toml: str, parts: tuple[str, ...]) -> None:
    Path("pyproject.toml").write_text(f"[tool.npnet]\n{toml}\n")
    done = npnet_("verify", "Linear")
    assert done.exit_code == 2, done.output
    for part in parts:
        assert part in done.output


def test_2_for_settings_that_are_no_table(place: Path) -> None:
    Path("pyproject.toml").write_text("[tool]\nnpnet = 3\n")
    done = npnet_("verify", "Linear")
    assert done.exit_code == 2
    assert "[tool.npnet] of pyproject.toml must be a table, but is 3" in done.output


# ---- replay and repro ----------------------------------------------------------------------------


def test_a_failure_is_replayed_until_it_is_fixed(place: Path) -> None:
    assert verify("mylayers.py::wrong", "--dtype", "float64").exit_code == 1
    (folder,) = (only_report() / "failures").iterdir()
    done = npnet_("replay")
    assert done.exit_code == 1
    assert done.output.startswith(f"STILL DIVERGES  {folder.name}  ")

    write_layers(1.0)
    for name in (folder.name, folder.name[:8], str(folder)):
        done = npnet_("replay", name)
        assert done.exit_code == 0, done.output
        assert done.output.startswith("FIXED")

    Path("mylayers.py").unlink()
    done = npnet_("replay")
    assert done.exit_code == 3
    assert "ERROR" in done.output
    assert "there is no file mylayers.py" in done.output

    (folder / "arrays.npz").write_bytes(b"")
    done = npnet_("replay")
    assert done.exit_code == 3
    assert "arrays.npz cannot be read" in done.output


def test_4_where_there_is_nothing_to_replay(place: Path) -> None:
    done = npnet_("replay")
    assert done.exit_code == 4
    assert "there is nothing to replay: no failure is stored in reports" in done.output


def test_2_for_an_id_that_does_not_exist(place: Path) -> None:
    verify("mylayers.py::wrong", "--dtype", "float64")
    for command in ("replay", "repro"):
        done = npnet_(command, "wrang-bias")
        assert done.exit_code == 2
        assert "there is no stored failure 'wrang-bias'. Did you mean wrong-bias-" in done.output


def test_a_script_is_printed_or_written(place: Path) -> None:
    verify("mylayers.py::wrong", "--dtype", "float64")
    printed = npnet_("repro", "wrong")
    assert printed.exit_code == 0
    assert "torch.nn.Linear(" in printed.output
    assert "sys.exit(1 if wrong else 0)" in printed.output
    assert npnet_("repro", "wrong", "--write", "x.py").output == "written to x.py\n"
    assert Path("x.py").read_text() == printed.output
    test = npnet_("repro", "wrong", "--pytest")
    assert "def test_wrong_bias_" in test.output
    again = npnet_("repro", "wrong", "--write", "x.py")
    assert again.exit_code == 2
    assert "x.py exists already. Choose another name" in again.output
    nowhere = npnet_("repro", "wrong", "--write", "no/x.py")
    assert nowhere.exit_code == 2
    assert "no/x.py cannot be written" in nowhere.output


def test_2_for_the_script_of_a_damaged_failure(place: Path) -> None:
    verify("mylayers.py::wrong", "--dtype", "float64")
    (folder,) = (only_report() / "failures").iterdir()
    (folder / "case.json").write_text('{"schema": "x"}')
    done = npnet_("repro", "wrong")
    assert done.exit_code == 2
    assert "must have the schema 'npnet-failure/1'" in done.output


# ---- list and doctor -----------------------------------------------------------------------------


def test_list_of_some(folder):
    shown = npnet_("list", "lstm*", "optim.Adam").output

    assert {line.split()[0] for line in shown.splitlines() if line[:1].strip()} == {
        "LSTM",
        "LSTMCell",
        "optim.Adam",
    }
    refused = npnet_("list", "LSM")
    assert refused.exit_code == 2
    assert "Did you mean 'LSTM'?" in refused.output


def test_list_shows_twins_and_what_is_drawn_of_them(place: Path) -> None:
    done = npnet_("list", "--json")
    twins = {t["name"]: t for t in json.loads(done.output)["twins"]}
    assert twins["Linear"]["torch"] == "torch.nn.Linear"
    assert twins["Linear"]["npnet"] == "npnet.nn.Linear"
    assert twins["Linear"]["options"] == {"bias": ["True", "False"]}
    assert twins["optim.Adam"]["torch"] == "torch.optim.Adam"
    shown = npnet_("list")
    assert shown.exit_code == 0
    assert any(
        line.split() == ["Linear", "npnet", "bias:", "True,", "False"]
        for line in shown.output.split("\n")
    )


def test_list_missing_shows_what_has_no_twin_and_why(place: Path) -> None:
    from npnet.twins import SPECS

    told = json.loads(npnet_("list", "--missing", "--json").output)
    missing, left_out = told["missing"], told["left_out"]
    lines = npnet_("list", "--missing").output.splitlines()
    assert [line.split()[0] for line in lines] == [*missing, *left_out]
    have = {f"torch.nn.{n}" for n in SPECS}
    assert not have & {*missing, *left_out}
    for name in ("torch.nn.Module", "torch.nn.LazyLinear", "torch.nn.SyncBatchNorm"):
        assert left_out[name]
    assert "torch.optim.Optimizer" in left_out
    assert "torch.optim.lr_scheduler.LRScheduler" in left_out


def test_list_shows_what_the_last_run_covered(place: Path) -> None:
    assert "not asked" not in npnet_("list").output
    assert npnet_("verify", "Linear", "--examples", "12").exit_code == 0
    twins = {t["name"]: t for t in json.loads(npnet_("list", "--json").output)["twins"]}
    assert twins["Linear"]["last_run"]["covered"] == twins["Linear"]["last_run"]["coverable"] == 2
    assert twins["ReLU"]["last_run"] is None
    shown = npnet_("list").output.splitlines()
    assert any(line.split()[:5] == ["Linear", "npnet", "2", "of", "2"] for line in shown)
    assert "run in reports" in shown[-1]
    refused = npnet_("list", "--report-dir", "nowhere")
    assert refused.exit_code == 2
    assert "holds no results.jsonl" in refused.output


def test_doctor_shows_what_changes_gradients(place: Path) -> None:
    done = npnet_("doctor")
    assert done.exit_code == 0
    for fact in ("numpy", "torch", "blas", "threads", "TF32 matmul", "cuDNN", "devices"):
        assert fact in done.output


# ---- as a process --------------------------------------------------------------------------------


def process(*arguments: str, code: str = "") -> "subprocess.Popen[str]":
    command = ["-c", code] if code else ["-m", "npnet.cli", *arguments]
    root = str(Path(npnet.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_help_and_version_load_nothing_heavy() -> None:
    code = """
import sys
from npnet.cli import cli
for arguments in (["--help"], ["--version"], ["verify", "--help"]):
    try:
        cli(arguments)
    except SystemExit as end:
        assert end.code == 0
heavy = {"numpy", "torch", "hypothesis", "rich", "jinja2", "matplotlib"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    done = process(code=code)
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert f"npnet, version {npnet.__version__}" in out


def test_a_passing_run_that_is_piped_loads_nothing_to_draw_with(place: Path) -> None:
    code = """
import sys
from npnet.cli import cli
try:
    cli(["verify", "Linear", "--examples", "10"])
except SystemExit as end:
    assert end.code == 0
heavy = {"rich.console", "matplotlib", "jinja2"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    done = process(code=code)
    _, err = done.communicate()
    assert done.returncode == 0, err


def interrupt(
    number: int, event: str, *arguments: str, after: float = 0.0
) -> "tuple[int, str, list[str]]":
    """Send a signal once an event is in results.jsonl; the exit code, the output, the events."""
    done = process("verify", *arguments, "--examples", "100", "--report-dir", "out")
    path = Path("out/results.jsonl")
    _wait(lambda: path.exists() and f'"event": "{event}"' in path.read_text(), done)
    time.sleep(after)
    done.send_signal(number)
    out, err = done.communicate(timeout=30)
    assert "Traceback" not in err
    assert "ignored" not in err
    return done.returncode, out, [e["event"] for e in jsonl.read(path)]


def _wait(ready: Callable[[], bool], done: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        if ready() or done.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("nothing happened within 30 s")


def test_ctrl_c_leaves_what_was_found(place: Path) -> None:
    code, out, events = interrupt(signal.SIGINT, "layer", "mylayers.py::wrong", "mylayers.py::slow")
    assert code == 1, out
    assert events == ["run", "finding", "layer", "end"]
    assert "wrong diverged" in out
    assert "interrupted" in out
    assert "wrong" in Path("out/index.html").read_text()


@pytest.mark.parametrize(("number", "after"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.8)])
def test_130_where_ctrl_c_comes_before_anything_was_found(
    place: Path, number: int, after: float
) -> None:
    # at 0.0 it meets a garbage collection, where a KeyboardInterrupt would be swallowed
    code, out, events = interrupt(number, "run", "mylayers.py::slow", after=after)
    assert events == ["run", "end"]
    assert code == base.INTERRUPTED, out
    assert Path("out/index.html").is_file()


def test_a_signal_that_comes_twice_stops_at_once() -> None:
    with asking.Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):  # before the run there is nothing to finish
            signal.raise_signal(signal.SIGINT)
        interruption.received, interruption.running = 0, True
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_killed_run_leaves_a_valid_file(place: Path) -> None:
    code, _, events = interrupt(signal.SIGKILL, "layer", "mylayers.py::wrong", "mylayers.py::slow")
    assert code == -signal.SIGKILL
    assert events == ["run", "finding", "layer"]
