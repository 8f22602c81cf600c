"""Divergences that are accepted for a reason, and that fail when they no longer diverge."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result

from npnet.contract import ConfigError
from npnet.report import jsonl, merge
from npnet.verify import baseline, candidate, run
from tests.commands import KINK, npnet_

REASON = "torch gives the tie to the other side; see <#12>"


@pytest.fixture
def place(folder: Path) -> Path:
    """A folder with mylayers.py."""
    Path("mylayers.py").write_text(KINK)
    return folder


def verify(*arguments: str) -> Result:
    common = ("--examples", "12", "--dtype", "float64", "--in-process")
    return npnet_("verify", *arguments, *common)


def accept(name: str = "kink") -> Path:
    """Verify, and accept what is found of a candidate."""
    assert verify(f"mylayers.py::{name}", "--report-dir", f"reports/{name}").exit_code == 1
    done = npnet_("baseline", "add", name, "--reason", REASON)
    assert done.exit_code == 0, done.output
    (folder,) = Path("npnet-baseline").glob(f"{name}-*")
    assert done.output == f"accepted: {folder} (commit it)\n"
    return folder


def mended() -> None:
    Path("mylayers.py").write_text(KINK.replace("x >= 0", "x > 0"))


def test_what_is_accepted_is_told_and_does_not_fail(place: Path) -> None:
    folder = accept()
    names = {p.name for p in folder.iterdir()}
    assert names == {"case.json", "arrays.npz", "accepted.json"}
    done = verify("mylayers.py::kink", "--report-dir", "a", "--format", "text,html,junit,markdown")
    assert done.exit_code == 0, done.output
    assert "ACCEPTED  kink · gradient of input 0 · float64 · cpu" in done.output
    assert f"  accepted   {REASON}" in done.output
    assert "kink diverged as accepted in " in done.output
    events = jsonl.read(Path("a/results.jsonl"))
    assert [e["event"] for e in events] == ["run", "finding", "layer", "accepted", "end"]
    assert events[1]["finding"]["accepted"] == REASON
    assert events[3]["retried"]["state"] == "STILL DIVERGES"
    assert "see &lt;#12&gt;" in Path("a/index.html").read_text()
    assert "diverges still (since 2" in Path("a/index.html").read_text()
    assert "### ACCEPTED kink" in Path("a/summary.md").read_text()
    junit = ET.parse("a/junit.xml").getroot()
    assert (junit.get("failures"), junit.get("errors")) == ("0", "0")
    (case,) = junit.findall("testsuite[@name='kink']/testcase[skipped]")
    assert case.get("name") == "gradient of input 0 · float64 · cpu"
    assert [c.get("name") for c in junit.iterfind("testsuite[@name='baseline']/testcase")] == [
        folder.name
    ]


def test_what_is_not_accepted_fails_all_the_same(place: Path) -> None:
    accept()
    done = verify("mylayers.py", "--report-dir", "a", "--format", "text,github")
    assert done.exit_code == 1
    assert "ACCEPTED  kink" in done.output
    assert "DIVERGED  other · y" in done.output
    assert "other diverged, kink diverged as accepted" in done.output
    annotations = [line for line in done.output.splitlines() if line.startswith("::")]
    assert all("other" in line for line in annotations)
    fast = verify("mylayers.py", "--fail-fast", "--report-dir", "b")
    assert "DIVERGED  other" in fast.output  # what is accepted does not stop it


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        (lambda d: d.update(quantity="y"), False),
        (lambda d: d.update(dtype="float32"), False),
        (lambda d: d.update(verdict="CONTRACT"), False),
        (lambda d: d.update(target="elsewhere.py::kink"), False),
        (lambda d: d.update(layer="kank"), False),
        (lambda d: d.update(target="./mylayers.py::kink"), True),
    ],
)
def test_only_the_same_candidate_quantity_dtype_and_verdict_is_accepted(
    place: Path, change: Callable[[dict[str, object]], None], covered: bool
) -> None:
    folder = accept()
    document = json.loads((folder / "case.json").read_text())
    change(document)
    (folder / "case.json").write_text(json.dumps(document))
    done = verify("mylayers.py::kink", "--report-dir", "a")
    assert ("DIVERGED  kink" in done.output) is not covered
    assert (done.exit_code == 1) is not covered


def test_1_where_an_accepted_divergence_is_mended(place: Path) -> None:
    folder = accept()
    mended()
    said = (
        f"ccepted divergence {folder.name} no longer diverges: "
        f"remove it with npnet baseline remove {folder.name}"
    )
    formats = ("--format", "text,html,junit,markdown,github")
    done = verify("mylayers.py::kink", "--report-dir", "a", *formats)
    assert done.exit_code == 1, done.output
    assert f"\nA{said}\n" in done.output
    assert f"::error title=npnet baseline::A{said}" in done.output
    assert "1 layer verified, 1 accepted divergence to look at in " in done.output
    assert said in Path("a/index.html").read_text()
    assert "no longer diverges" in Path("a/summary.md").read_text()
    junit = ET.parse("a/junit.xml").getroot()
    (failure,) = junit.iter("failure")
    assert said in str(failure.get("message"))
    assert said in verify("mylayers.py::kink", "--report-dir", "b", "-q").output
    merged = npnet_("report", "a", "--report-dir", "m")
    assert merged.exit_code == 1
    assert said in merged.output

    done = npnet_("baseline", "remove", folder.name)
    assert done.output == f"removed: {folder.name}\n"
    assert not folder.exists()
    assert verify("mylayers.py::kink", "--report-dir", "c").exit_code == 0


def test_only_what_is_asked_is_tried_again(place: Path) -> None:
    accept()
    mended()
    assert verify("ReLU", "mylayers.py::other", "--report-dir", "a").exit_code == 1
    assert merge.read(Path("a")).report.retried == []
    done = npnet_("verify", "mylayers.py::kink", "--dtype", "float32", "--examples", "12")
    assert done.exit_code == 0, done.output
    assert verify("mylayers.py::kink", "--only", "forward").exit_code == 0


def test_the_pinned_case_is_asked_in_a_process_of_its_own(place: Path) -> None:
    accept()
    asked = ("verify", "mylayers.py::kink", "--examples", "12", "--dtype", "float64")
    assert npnet_(*asked, "--report-dir", "a").exit_code == 0
    Path("mylayers.py").write_text(
        "import os\n" + KINK.replace("    (x,) = case.inputs", "    os._exit(3)", 1)
    )
    done = npnet_(*asked, "--report-dir", "b")
    assert done.exit_code != 0
    assert "CRASHED  kink" in done.output


def test_settings_name_the_folder(place: Path) -> None:
    folder = accept()
    Path("known").mkdir()
    shutil.move(folder, Path("known") / folder.name)
    Path("npnet-baseline").rmdir()
    assert verify("mylayers.py::kink", "--report-dir", "a").exit_code == 1
    assert verify("mylayers.py::kink", "--baseline", "known", "--report-dir", "b").exit_code == 0
    Path("pyproject.toml").write_text('[tool.npnet]\nbaseline = "known"\n')
    assert verify("mylayers.py::kink", "--report-dir", "c").exit_code == 0
    listed = npnet_("baseline", "list")
    assert listed.exit_code == 0, listed.output
    assert listed.output.startswith(f"{folder.name}  kink · gradient of input 0 · float64 · cpu WR")
    assert f": {REASON}\n" in listed.output
    assert npnet_("baseline", "list", "--baseline", "no").exit_code == 2


def test_python_takes_a_baseline_for_objects_too(place: Path) -> None:
    accept()

    @candidate("ReLU")
    def kink(case):  # type: ignore[no-untyped-def]
        from npnet.contract import Forward, Grads

        (x,) = case.inputs
        return Forward(x * (x > 0), lambda dy: Grads((dy * (x >= 0),)))

    asked = {"examples": 12, "dtypes": ("float64",)}
    report = run(kink, baseline="npnet-baseline", **asked)
    assert report.ok
    assert [f.accepted for f in report.findings] == [REASON]
    assert [r.state for r in report.retried] == ["STILL DIVERGES"]
    assert not run(kink, **asked).ok


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("add", "kink"), "Missing option '--reason'"),
        (("add", "kink", "--reason", " "), "accepted for a reason, but --reason is empty"),
        (("add", "kank", "--reason", "x"), "there is no stored failure 'kank'"),
        (("add", "kink", "--reason", "x"), "is accepted already, in npnet-baseline/kink-"),
        (("remove", "nothing"), "'nothing' is not accepted in npnet-baseline. There are: kink-"),
        (("remove", "", "--baseline", "no"), "a baseline must be a folder"),
    ],
)
def test_2_and_one_clear_message(place: Path, arguments: tuple[str, ...], part: str) -> None:
    accept()
    done = npnet_("baseline", *arguments)
    assert done.exit_code == 2, done.output
    assert part in done.output


def test_what_no_case_shows_cannot_be_accepted(place: Path) -> None:
    folder = accept()
    stored = Path("reports/kink/failures") / folder.name
    document = json.loads((stored / "case.json").read_text())
    for change, part in (
        ({"verdict": "CRASH"}, "only a divergence that one stored case shows"),
        ({"protocol": "history"}, "is WRONG (history). It has to be mended"),
    ):
        (stored / "case.json").write_text(json.dumps(document | change))
        with pytest.raises(ConfigError) as refused:
            baseline.add(stored, Path("new"), "x")
        assert part in str(refused.value)
    (stored / "case.json").write_text(json.dumps(document))
    mended()
    with pytest.raises(ConfigError, match="its case agrees with torch now"):
        baseline.add(stored, Path("new"), "x")


def test_2_for_a_baseline_that_is_damaged(place: Path) -> None:
    folder = accept()
    for text, part in (
        ("{", "accepted.json is damaged"),
        ('{"schema": "x", "reason": "", "date": ""}', "must have the schema 'npnet-accepted/1'"),
    ):
        (folder / "accepted.json").write_text(text)
        done = verify("mylayers.py::kink")
        assert done.exit_code == 2
        assert part in done.output
    (folder / "accepted.json").unlink()
    assert "cannot be read" in verify("mylayers.py::kink").output
    assert verify("mylayers.py::kink", "--baseline", "nowhere").exit_code == 2
