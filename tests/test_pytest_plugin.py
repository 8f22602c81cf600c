"""The pytest plugin: items, what fails them, several workers, reports, and what it costs nobody."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from npnet.contract import ConfigError
from npnet.report import jsonl
from npnet.verify import parametrize
from npnet.verify import run as verified
from npnet.verify.finding import Finding, LayerResult, Outcome, Report, Verdict
from npnet.verify.parametrize import REST, Check, quantities
from npnet.verify.targets import native
from tests.commands import AFFINE

pytest_plugins = ["pytester"]

INSTALLED = bool(entry_points(group="pytest11", name="npnet"))

LAYERS = (
    AFFINE
    + """
@candidate("Linear")
def right(case):
    return affine(case)


@candidate("Linear")
def wrong(case):
    return affine(case, 2.0)


@candidate("Linear")
def crashes(case):
    raise RuntimeError("out of order")


@candidate("Linear")
def writes(case):
    forward = affine(case)

    def vjp(dy):
        grads = forward.vjp(dy)
        dy *= 2
        return grads

    return Forward(forward.y, vjp)
"""
)

TEST = """
import npnet
import mylayers


@npnet.verify.parametrize({candidates}, examples=20, dtypes={dtypes})
def test_backward(check):
    check()
"""

LINEAR = ["y", "gradient-of-input-0", "gradient-of-weight", "gradient-of-bias", "everything-else"]


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """Imports what a run and its report do: pytester forgets what is first imported below it."""
    report = verified("Linear", examples=20)
    report.save(tmp_path_factory.mktemp("report"))
    assert quantities(native("LSTM"))


@pytest.fixture
def write(pytester):
    """Writes mylayers.py and a test of these candidates."""
    pytester.makepyfile(mylayers=LAYERS)

    def write(candidates, dtypes=("float64",)):
        pytester.makepyfile(test_it=TEST.format(candidates=candidates, dtypes=tuple(dtypes)))

    return write


@pytest.fixture
def run(pytester):
    """Runs pytest with the plugin: here, which is much faster, or in processes of its own."""

    def run(*arguments):
        plugin = () if INSTALLED else ("-p", "npnet.pytest_plugin")
        if "-n" in arguments:
            return pytester.runpytest_subprocess(*plugin, *arguments)
        return pytester.runpytest_inprocess(*plugin, *arguments)

    return run


def collected(result):
    lines = [line for line in result.outlines if "::test_backward[" in line]
    return [line.split("[", 1)[1].rstrip("]") for line in lines]


# ---- items ---------------------------------------------------------------------------------------


def test_an_item_per_candidate_dtype_and_quantity(write, run):
    write("[mylayers.right, 'ReLU']", ["float64", "float32"])
    result = run("--collect-only", "-q")

    dtypes = ["float64", "float32"]
    assert collected(result) == [
        *(f"right-{dtype}-{quantity}" for dtype in dtypes for quantity in LINEAR),
        *(
            f"ReLU-{dtype}-{quantity}"
            for dtype in dtypes
            for quantity in ("y", "gradient-of-input-0", "everything-else")
        ),
    ]


def test_a_file_is_taken_as_by_run_and_k_selects(write, run):
    write("'mylayers.py'")
    result = run(
        "--collect-only", "-q", "-k", "wrong-float64-gradient-of-bias or crashes and float64-y"
    )
    assert collected(result) == ["wrong-float64-gradient-of-bias", "crashes-float64-y"]


def test_quantities_of_some_options_only_and_those_of_optimizers():
    found = quantities(native("BatchNorm1d"))
    assert "next running_mean" in found
    assert {"y", "y 0", "y 1", "gradient of q_proj_weight"} <= {
        *quantities(native("MultiheadAttention"))
    }
    assert quantities(native("optim.Adam")) == ("params",)


def test_items_are_named_alike_in_every_process():
    code = """
from npnet.verify.parametrize import quantities
from npnet.verify.targets import native
print([quantities(native(n)) for n in ("LSTM", "CrossEntropyLoss")])
"""
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in "ab"
    )
    assert first == second
    assert first == f"{[quantities(native(n)) for n in ('LSTM', 'CrossEntropyLoss')]}\n"


# ---- what fails ----------------------------------------------------------------------------------


def test_the_item_of_the_broken_quantity_fails_with_its_finding(write, run):
    write("[mylayers.right, mylayers.wrong]")
    result = run("-rA")

    result.assert_outcomes(passed=9, failed=1)
    text = result.stdout.str()
    assert "DIVERGED  wrong · gradient of bias · float64 · cpu" in text
    assert "why        it is 2 times torch's" in text
    assert "look at    mylayers.py:" in text
    assert "npnet/verify" not in text  # no stack trace of npnet
    result.stdout.fnmatch_lines(
        [
            "*= npnet =*",
            "DIVERGED  wrong · gradient of bias · float64 · cpu",
            "    npnet repro .pytest_cache/d/npnet/failures/wrong-bias-*",
        ]
    )


def test_the_command_of_the_section_reproduces_the_failure(write, run, pytester):
    write("[mylayers.wrong]")
    lines = run("-k", "gradient-of-bias").outlines
    (command,) = [line.split() for line in lines if line.startswith("    npnet repro")]
    done = pytester.run(sys.executable, "-m", "npnet.cli", *command[1:], "--write", "again.py")
    assert done.ret == 0
    assert pytester.runpython("again.py").ret == 1


def test_a_crash_fails_all_items_of_the_candidate(write, run):
    write("[mylayers.crashes, mylayers.right]")
    result = run()
    result.assert_outcomes(passed=5, failed=5)
    result.stdout.fnmatch_lines(["CRASHED  crashes · forward*", "*RuntimeError: out of order*"])


def test_what_no_quantity_is_for_fails_everything_else(write, run):
    write("[mylayers.writes]")
    result = run("-k", "everything-else")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["DIVERGED  writes · dy *"])


def test_a_file_that_cannot_be_loaded_is_an_item_that_fails(write, run, pytester):
    pytester.makepyfile(broken="import nothing_of_that_name")
    write("['broken.py', mylayers.right]")
    result = run()
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*broken.py could not be loaded: ModuleNotFoundError*"])


def test_too_little_evidence_fails(pytester, run):
    pytester.makepyfile(
        "import npnet\n"
        "@npnet.verify.parametrize('Linear', examples=1, dtypes=['float64'])\n"
        "def test_backward(check): check()\n"
    )
    result = run()
    assert result.parseoutcomes()["failed"] >= 4
    result.stdout.fnmatch_lines(["*only 1 examples were asked; ask for more*"])


def test_a_test_that_does_not_ask_fails(pytester, run):
    pytester.makepyfile(
        "import npnet\n"
        "@npnet.verify.parametrize('ReLU', examples=20, dtypes=['float64'])\n"
        "def test_backward(check): pass\n"
    )
    result = run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*must call its argument, but test_backward returned without*"])


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("('Lineer')\ndef test_it(check): check()", "*no layer 'Lineer'. Did you mean 'Linear'?*"),
        ("('Linear')\ndef test_it(): pass", "*an argument 'check', which test_it does not take.*"),
        ("([])\ndef test_it(check): check()", "*needs at least one candidate, but got []*"),
        (
            "(['mylayers.py::right', twin])\ndef test_it(check): check()",
            "*names of their own, but 2 are named 'right'*",
        ),
    ],
)
def test_what_cannot_be_collected_says_why(pytester, run, test, message):
    pytester.makepyfile(
        mylayers=LAYERS,
        test_it="import npnet\nfrom mylayers import right as twin\n"
        f"@npnet.verify.parametrize{test}",
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
    assert "def pytest_generate_tests" not in result.stdout.str()


def test_settings_that_make_no_sense_are_refused():
    for settings, message in (
        ({"examples": 0}, "examples must be at least 1"),
        ({"dtypes": "float64"}, "must be a sequence of names, but is 'float64'"),
        ({"dtypes": []}, "must name at least one"),
        ({"dtypes": ["float63"]}, "must be float64, float32 or float16"),
    ):
        with pytest.raises(ConfigError, match=message):
            parametrize("Linear", **settings)


class Told:
    """Stands for a verification, with a report made up."""

    name, asked = "layer float64", type("Asked", (), {"examples": 20})

    def __init__(self, *findings, informative=None):
        seen = {"y": 5, "gradient of weight": 5} if informative is None else informative
        outcome = Outcome(Verdict.PASS, 20, 0.0, {}, seen, dict.fromkeys(seen, True))
        self._report = Report(list(findings), [LayerResult("layer", "Linear", {"": outcome})])

    def report(self):
        return self._report


def finding(quantity, verdict, agrees=()):
    return Finding(
        "id", "layer", "Linear", quantity, verdict, "float64", "cpu", "told so", agrees=agrees
    )


def outcome_of(told, quantity):
    listed = ("y", "gradient of weight", "gradient of bias")
    try:
        Check(told, quantity, listed)()
    except pytest.fail.Exception as error:
        return f"failed: {error.msg}"
    except pytest.skip.Exception as error:
        return f"skipped: {error.msg}"
    return "passed"


def test_what_becomes_of_an_item():
    assert outcome_of(Told(), "y") == "passed"
    assert outcome_of(Told(), REST) == "passed"
    never = outcome_of(Told(), "gradient of bias")
    assert never == "skipped: not verified: 20 examples draw too little of gradient of bias; " + (
        "ask for more"
    )
    # beside a divergence nothing passes that was not found right, told or not
    wrong = Told(finding("y", Verdict.WRONG, agrees=("gradient of weight",)))
    assert outcome_of(wrong, "y").startswith("failed: DIVERGED")
    assert outcome_of(wrong, "gradient of weight") == "passed"
    assert "was not found right" in outcome_of(wrong, "gradient of bias")
    assert outcome_of(wrong, REST) == "passed"
    # too little evidence fails what it is about, and what there is no evidence of
    thin = Told(finding("y", Verdict.INSUFFICIENT), informative={"y": 3, "gradient of weight": 5})
    assert outcome_of(thin, "y").startswith("failed: INSUFFICIENT")
    assert outcome_of(thin, "gradient of weight") == "passed"
    assert outcome_of(thin, "gradient of bias").startswith("failed: INSUFFICIENT")
    for verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY):
        for quantity in ("y", "gradient of weight", "gradient of bias", REST):
            assert outcome_of(Told(finding("forward", verdict)), quantity).startswith("failed: ")
    assert outcome_of(Told(finding("input 0", Verdict.CONTRACT)), REST).startswith("failed: ")
    later = Told(finding("params after step 3: w", Verdict.WRONG))
    assert Check(later, "params", ("params",))._findings(later.report())


# ---- pytest's own ways ---------------------------------------------------------------------------


def test_two_workers_and_one_report_of_both(write, run, pytester):
    write("[mylayers.right, mylayers.wrong]", ["float64", "float32"])
    result = run("-n", "2", "--npnet-report-dir", "kept")

    result.assert_outcomes(passed=18, failed=2)
    result.stdout.fnmatch_lines(["*npnet repro kept/failures/wrong-bias-*", "report: kept/index*"])
    kept = pytester.path / "kept"
    events = jsonl.read(kept / "results.jsonl")
    layers = {e["result"]["layer"]: e["result"] for e in events if e["event"] == "layer"}
    assert set(layers) == {"right", "wrong"}
    for told in layers.values():
        assert set(told["outcomes"]) == {"float64", "float32"}
        # what both workers asked counts once
        assert {o["examples"] for o in told["outcomes"].values()} <= set(range(21))
    assert events[-1]["exit_code"] == 1
    folders = [p.name for p in (kept / "failures").iterdir()]
    assert len(folders) == 2
    page = (kept / "index.html").read_text()
    for folder in folders:
        assert f"npnet repro kept/failures/{folder}" in result.stdout.str()
        assert folder in page


def test_items_of_one_candidate_and_dtype_are_one_group_of_xdist(write, run, pytester):
    # what --dist loadgroup goes by; whether it does is xdist's own affair
    pytester.makeconftest(
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        print('group', *(m.args[0] for m in item.iter_markers('xdist_group')), item.name)"
    )
    write("[mylayers.right]", ["float64", "float32"])
    result = run("--collect-only", "-q", "--strict-markers")
    groups = [line.split()[1:] for line in result.outlines if line.startswith("group ")]
    assert [group for group, _ in groups] == ["npnet-right-float64"] * 5 + [
        "npnet-right-float32"
    ] * 5


def test_groups_of_xdist_change_nothing_else(write, run):
    write("[mylayers.right, mylayers.wrong]")
    run("-n", "2", "--dist", "loadgroup").assert_outcomes(passed=9, failed=1)


def test_without_xdist(write, run):
    write("[mylayers.right]")
    run("-p", "no:xdist", "--strict-markers", "-m", "npnet").assert_outcomes(passed=5)


def test_a_report_of_what_passed(write, run, pytester):
    write("[mylayers.right]")
    result = run("--npnet-report-dir", "reports/it", "-k", "y")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*= npnet =*", "report: reports/it/index.html"])
    assert jsonl.read(pytester.path / "reports/it/results.jsonl")[-1]["exit_code"] == 0
    assert (pytester.path / "reports/it/index.html").is_file()


def test_a_report_that_cannot_be_written_is_an_error(write, run, pytester):
    pytester.path.joinpath("taken").write_text("")
    write("['ReLU']")
    result = run("--npnet-report-dir", "taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["the report could not be written: *taken*"])


def test_without_a_cache_the_section_says_how_to_keep_failures(write, run):
    write("[mylayers.wrong]")
    result = run("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "DIVERGED  wrong · gradient of bias · float64 · cpu",
            "    npnet verify mylayers.py::wrong --dtype float64",
            "To keep the failures*--npnet-report-dir DIR",
        ]
    )


def test_what_failed_last_is_run_alone_until_it_is_mended(write, run, pytester):
    write("[mylayers.right, mylayers.wrong]")
    run("-x").assert_outcomes(passed=8, failed=1)
    run("--lf").assert_outcomes(failed=1)
    pytester.makepyfile(mylayers=LAYERS.replace("2.0", "1.0"))
    run("--lf").assert_outcomes(passed=1)


def test_junit(write, run, pytester):
    write("[mylayers.wrong]")
    run("--junitxml", "junit.xml")
    cases = {c.get("name"): c for c in ET.parse(pytester.path / "junit.xml").iter("testcase")}
    assert list(cases) == [f"test_backward[wrong-float64-{quantity}]" for quantity in LINEAR]
    failure = cases["test_backward[wrong-float64-gradient-of-bias]"].find("failure")
    assert failure is not None
    assert "WRONG: the formula is not torch's" in (failure.text or "")
    assert [c for c in cases.values() if c.find("failure") is not None] == [
        cases["test_backward[wrong-float64-gradient-of-bias]"]
    ]


# ---- for everybody else --------------------------------------------------------------------------


def test_loading_it_imports_nothing_heavy(pytester):
    pytester.makepyfile("def test_it(): pass")
    heavy = {"numpy", "scipy", "torch", "click", "rich", "jinja2", "matplotlib"}
    # Hypothesis has a plugin of its own, which is left out here
    arguments = ["-p", "no:hypothesispytest", *([] if INSTALLED else ["-p", "npnet.pytest_plugin"])]
    code = f"""
import sys, pytest
assert pytest.main({arguments}) == 0
assert "npnet.pytest_plugin" in sys.modules
heavy = {heavy | {"hypothesis"}} & set(sys.modules)
heavy |= {{m for m in sys.modules if m.startswith("npnet.") and m != "npnet.pytest_plugin"}}
sys.exit(f"loaded {{heavy}}" if heavy else 0)
"""
    done = pytester.run(sys.executable, "-c", code)
    assert done.ret == 0, done.errlines
    assert "npnet" not in done.stdout.str().split("test_loading")[-1].partition("plugins:")[0]


def test_it_says_nothing_where_it_is_not_used(pytester, run):
    pytester.makepyfile("def test_it(): assert False")
    text = run().stdout.str()
    assert "= npnet =" not in text
    assert not Path(pytester.path / ".pytest_cache/d/npnet").exists()


def test_it_is_registered():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"npnet": "npnet.pytest_plugin"}
