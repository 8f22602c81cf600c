"""Markdown, JUnit, GitHub annotations; a report at a glance; runs read back and merged."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from npnet.report import (
    files,
    github,
    jsonl,
    junit,
    markdown,
    merge,
    overview,
    picture,
    text,
    words,
)
from npnet.verify.finding import (
    Comparison,
    Explanation,
    Finding,
    LayerResult,
    Outcome,
    Report,
    Source,
    Verdict,
    Worst,
)
from npnet.verify.store import FileFormatError
from tests.test_report import EVIL, FACTS, dense, evil, evil_report, finding, report, result

WHY = Explanation("factor", "twice what it should be", 0.0)


def outcome(verdict: Verdict = Verdict.PASS, **ratios: float) -> Outcome:
    named = {name.replace("_", " "): r for name, r in ratios.items()}
    return Outcome(verdict, 20, 0.5, named, dict.fromkeys(named, 5), dict.fromkeys(named, True), 99)


def causes_of_two() -> list[Finding]:
    leads = finding(
        explanations=(WHY,), source=Source("my.py", 3, "f"), cause="affine-weight-9f3c2a"
    )
    led = finding(id="led", quantity="gradient of bias", cause=leads.id)
    return [leads, led, finding(id="alone", layer="other")]


# ---- at a glance ---------------------------------------------------------------------------------


def test_findings_are_grouped_by_their_cause() -> None:
    leads, led, alone = causes_of_two()
    found = overview.causes([led, alone, leads])
    assert [(c.leader.id, [f.id for f in c.others]) for c in found] == [
        ("alone", []),
        (leads.id, ["led"]),
    ]
    orphan = replace(led, cause="elsewhere")
    assert [c.leader.id for c in overview.causes([orphan])] == ["led"]
    chain = [replace(leads, cause="led"), replace(led, cause=leads.id)]
    assert sorted(c.leader.id for c in overview.causes(chain)) == sorted(f.id for f in chain)


def test_a_cell_tells_what_failed_in_which_dtype() -> None:
    wrong = outcome(Verdict.WRONG, y=0.5, gradient_of_weight=0.25, gradient_of_bias=0.125)
    layer = LayerResult("affine", "Linear", {"float64": wrong, "float32": wrong})
    agrees = finding(
        id="other",
        quantity="gradient of bias",
        dtype="float32",
        verdict=Verdict.UNSTABLE,
        agrees=("y",),
    )
    cells = overview.cells(report(finding(), agrees, layers=(layer,)))
    told = {(c.quantity, c.dtype): (c.verdict, c.ratio) for c in cells}
    assert told == {
        ("y", "float64"): (Verdict.PASS, 0.5),
        ("gradient of weight", "float64"): (Verdict.WRONG, 8 * 2 / 1e-15),
        ("gradient of bias", "float64"): (Verdict.PASS, 0.125),
        ("y", "float32"): (Verdict.PASS, 0.5),
        ("gradient of weight", "float32"): (Verdict.WRONG, None),  # told in float64 only
        ("gradient of bias", "float32"): (Verdict.UNSTABLE, 4 * 2 / 1e-15),
    }


def test_what_broke_down_without_a_result_has_a_cell() -> None:
    crash = finding(layer="lost", verdict=Verdict.CRASH, quantity="import", dtype="", worst=None)
    (cell,) = [c for c in overview.cells(report(crash)) if c.layer == "lost"]
    assert (cell.verdict, cell.section, cell.ratio) == (Verdict.CRASH, "other", None)


@pytest.mark.parametrize(
    ("quantity", "section"),
    [
        ("y 0", "values"),
        ("params after step 2: p0", "values"),
        ("gradient of input 1.0", "gradients of inputs"),
        ("gradient of weight", "gradients of parameters"),
        ("next running_var", "state"),
        ("state exp_avg after step 2", "state"),
        ("dy", "other"),
    ],
)
def test_sections_of_the_matrix(quantity: str, section: str) -> None:
    cell = overview.Cell("a", "Linear", quantity, "float64", "cpu", Verdict.PASS)
    assert cell.section == section


def test_who_follows_is_told_briefly_on_the_screen() -> None:
    leads, led, _ = causes_of_two()
    block = str(text.failure(led, [leads, led]))
    assert f"why        it has the cause of {leads.id}" in block
    assert "smallest" not in block
    seen = replace(leads, explanations=(replace(WHY, certain=False),))
    assert "  observed   twice what it should be" in str(text.failure(seen))


def test_numbers_and_dates_as_people_write_them() -> None:
    assert words.power(0.314) == "0.31"
    assert words.power(2e15) == "2×10¹⁵"
    assert words.power(np.inf) == "inf"
    assert words.superscript(-12) == "⁻¹²"
    assert words.duration(6.24) == "6.2 s"
    assert words.duration(200) == "3 min 20 s"
    assert words.duration(3900) == "1 h 5 min"
    assert words.date("2026-11-20T14:05+00:00") == "20 November 2026, 14:05 UTC"
    assert words.date("\x1bsome day") == "some day"


# ---- pictures ------------------------------------------------------------------------------------


def test_the_map_is_of_the_axes_that_matter() -> None:
    want = np.zeros((4, 3, 5, 6))
    got = want.copy()
    got[:, 1, 4] = 1.0  # one channel, one row
    comparison = Comparison(got, want, np.full(want.shape, 1e-9), ("n", "c", "h", "w"))
    levels = picture.log_ratio(comparison)
    assert picture.worst_axes(levels) == (1, 2)
    image, _ = picture.projected(levels)
    assert np.argwhere(image > 0).tolist() == [[1, 4]]
    svg = picture.heat_map(comparison, "a")
    assert all(f">{name}</text>" in svg for name in "ch")
    (caption, *_) = [c for c, _ in picture.pictures(comparison, "a")]
    assert "the worst over n and w" in caption


def test_a_single_wrong_element_of_many_is_on_the_map() -> None:
    want = np.zeros((1000, 1000))
    got = want.copy()
    got[777, 333] = 1.0
    comparison = Comparison(got, want, np.full(want.shape, 1e-9))
    coarse, rows, columns = picture._coarse(picture.log_ratio(comparison))
    assert max(coarse.shape) <= 150
    ((i, j),) = np.argwhere(coarse > 0)
    assert rows[i] <= 777 < rows[i + 1]
    assert columns[j] <= 333 < columns[j + 1]


def test_pictures_of_anything_are_drawn_and_are_the_same_again() -> None:
    rng = np.random.default_rng(0)
    want = rng.standard_normal((3, 4)) * 10.0 ** rng.integers(-30, 30, (3, 4))
    got = want.copy()
    got.flat[:4] = (np.nan, np.inf, 0.0, -1e300)
    want.flat[5] = np.inf
    for twin in (None, want, want * (1 + 1e-7)):
        comparison = Comparison(got, want, np.full((3, 4), 1e-12), ("$x^2$", "<b>"), twin)
        first = list(picture.pictures(comparison, "p"))
        assert first == list(picture.pictures(comparison, "p"))
        assert len(first) == (3 if twin is None else 4)
        assert all("<style" not in svg for _, svg in first)
        for _, svg in first:
            ET.fromstring(svg)  # a name is text in it, and no formula
        assert ">$x^2$</text>" in first[0][1]


def test_equal_sides_have_pictures_too() -> None:
    same = np.ones((2, 2))
    assert list(picture.pictures(Comparison(same, same, same, (), same), "p"))
    assert list(picture.pictures(Comparison(same * np.nan, same, same), "p"))


# ---- Markdown ------------------------------------------------------------------------------------


def test_the_summary_says_what_was_not_verified_before_anything_green() -> None:
    leads, led, alone = causes_of_two()
    shown = markdown.render(report(leads, led, alone, layers=(result(), result("affine"))))
    parts = ("## npnet: ", "**Not verified:** ", "**why:** twice", "- affine", "| Linear |")
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)
    assert shown.count("\n### DIVERGED") == 2
    assert "| Linear | 20 | ok | ok | 0.50 | 11 of 12 |" in shown
    assert "torch.nn.Linear(in_features=2" in shown


def test_markdown_shows_what_a_candidate_is_called() -> None:
    name = "`a` *b* [c](http://d) @nobody #1 ~~e~~ | f & <i> $x$ www.g.org"
    shown = markdown.prose(name)
    assert shown == (
        r"\`a\` \*b\* \[c\](http\://d) @<!-- -->nobody \#1 \~\~e\~\~ \| f &amp; &lt;i&gt; \$x\$ "
        r"www\.g.org"
    )
    assert markdown.fenced("```\n````", "text") == "`````text\n```\n````\n`````\n"
    whole = markdown.render(evil_report())
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", whole)
    assert "<script" not in outside
    assert not set(whole) & set("\x1b\x00\u202e")


def test_the_summary_stays_below_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_MOST", 20_000)
    shown = markdown.render(report(*(finding(id=f"f{i}") for i in range(400))))
    assert len(shown.encode()) < 25_000
    assert "more: see index.html" in shown
    assert "### Verified" in shown


# ---- JUnit ---------------------------------------------------------------------------------------


def test_a_case_per_candidate_dtype_and_quantity() -> None:
    leads, led, alone = causes_of_two()
    wrong = outcome(Verdict.WRONG, y=0.5, gradient_of_weight=0.25)
    layer = LayerResult("affine", "Linear", {"float64": wrong, "float32": outcome(y=0.5)})
    thin = finding(id="t", layer="thin", verdict=Verdict.INSUFFICIENT, worst=None)
    whole = ET.fromstring(junit.render(report(leads, led, alone, thin, layers=(layer, result()))))
    cases = {(c.get("classname"), c.get("name")): c for c in whole.iter("testcase")}
    assert ("affine", "y · float32 · cpu") in cases
    assert cases["affine", "y · float64 · cpu"].find("failure") is None
    failure = cases["affine", "gradient of weight · float64 · cpu"].find("failure")
    assert failure is not None
    assert failure.get("message") == "twice what it should be"
    assert "npnet" not in (failure.text or "x").split("\n")[0]
    assert cases["affine", "gradient of weight · float64 · cpu"].get("file") == "my.py"
    assert cases["thin", "gradient of weight · float64 · cpu"].find("error") is not None
    assert cases["not verified", "a (b)"].find("skipped") is not None
    assert whole.get("tests") == str(len(cases))
    assert (whole.get("failures"), whole.get("errors"), whole.get("skipped")) == ("3", "1", "2")


def test_names_of_cases_are_the_same_in_every_run() -> None:
    def named(whole: Report) -> list[Any]:
        return [c.get("name") for c in ET.fromstring(junit.render(whole)).iter("testcase")]

    wrong = result("affine", Verdict.WRONG)
    assert named(report(layers=(result("affine"),))) == named(report(finding(), layers=(wrong,)))


def test_junit_is_xml_whatever_the_candidate_is_called() -> None:
    whole = ET.fromstring(junit.render(evil_report()))
    assert any("<script>" in (c.get("classname") or "") for c in whole.iter("testcase"))


# ---- annotations ---------------------------------------------------------------------------------


def test_annotations_stand_at_the_backward_of_the_candidate() -> None:
    first, second = github.annotations(report(*causes_of_two()))
    assert first == (
        "::error file=my.py,line=3,title=DIVERGED affine · gradient of weight · float64 · cpu::"
        "twice what it should be%0A1 of 1 elements; worst at [0, 0]: got 3, torch has 1, err/bound "
        "2e15%0Aand 1 more of the same cause%0Anpnet repro affine-weight-9f3c2a"
    )
    assert second.startswith("::error title=DIVERGED other")


def test_at_most_ten_annotations_of_one_line_each() -> None:
    nasty = replace(evil(), layer="a,b::c%0A\r\n::warning::x", source=Source("a,b:c%\n", 1, "f"))
    shown = list(github.annotations(report(*(replace(nasty, id=f"n{i}") for i in range(30)))))
    assert len(shown) == 10
    for line in shown:
        assert "\n" not in line
        assert "\r" not in line
        properties = line.removeprefix("::error ").split("::")[0]
        assert properties.startswith("file=a%2Cb%3Ac%25,line=1,title=DIVERGED a%2Cb%3A%3Ac%250A")
        assert properties.count(",") == 2


# ---- runs read back and merged -------------------------------------------------------------------


def run_of(directory: Path, *findings: Finding, layers: tuple[LayerResult, ...] = ()) -> Path:
    files.write(report(*findings, layers=layers), directory)
    return directory


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    before = report(finding(probe=dense((2, 3)), explanations=(WHY,)), layers=(result("affine"),))
    written = files.write(before, tmp_path / "run", ["html", "junit", "markdown"])
    back = merge.read(tmp_path / "run")
    assert back.complete
    assert back.asked == ("affine",)
    merged, cut_off = merge.merge([back])
    assert not cut_off
    again = files.write(merged, tmp_path / "again", ["html", "junit", "markdown"])
    for name in ("index.html", "junit.xml", "summary.md"):
        assert (tmp_path / "run" / name).read_text() == (tmp_path / "again" / name).read_text()
    assert again.exit_code == written.exit_code == 1


def test_a_run_without_its_failures_is_read_from_its_lines(tmp_path: Path) -> None:
    f = finding(
        probe=dense((2, 3)),
        explanations=(WHY, replace(WHY, certain=False, residual=np.inf)),
        worst=Worst((0, 1), np.nan, np.inf, 0.0),
        source=Source("my.py", 3, "f"),
        dialect="keras",
        cause="affine-y-000000",
    )
    path = run_of(tmp_path / "run", f) / "results.jsonl"
    alone = tmp_path / "alone.jsonl"
    alone.write_text(path.read_text())
    (back,) = merge.read(alone).report.findings
    bare: dict[str, Any] = {"case": None, "smallest": None, "probe": None}
    assert repr(back) == repr(replace(f, **bare))


def test_shards_are_merged(tmp_path: Path) -> None:
    first = LayerResult("affine", "Linear", {"float64": outcome(y=0.5)}, 3, 4, ("a", "b"))
    second = LayerResult(
        "affine", "Linear", {"float64": outcome(Verdict.WRONG, y=0.75)}, 4, 4, ("b",)
    )
    a = run_of(tmp_path / "a", layers=(first, result("Linear")))
    b = run_of(tmp_path / "b", finding(), layers=(second,))
    c = run_of(tmp_path / "c", finding(), layers=())
    merged, cut_off = merge.merge([merge.read(p) for p in (a, b, c)])
    assert not cut_off
    assert [r.layer for r in merged.layers] == ["affine", "Linear"]
    both = merged.layers[0].outcomes["float64"]
    assert (both.verdict, both.examples, both.ratios) == (Verdict.WRONG, 40, {"y": 0.75})
    assert (both.judged, both.seconds, both.informative) == (198, 1.0, {"y": 10})
    assert (merged.layers[0].covered, merged.layers[0].uncovered) == (4, ("b",))
    assert [f.id for f in merged.findings] == ["affine-weight-9f3c2a"]
    assert merged.exit_code == 1
    assert merged.not_verified == ["a (b)"]
    assert merged.environment == FACTS
    assert merged.seconds == pytest.approx(18.6)


def test_facts_that_differ_are_all_told(tmp_path: Path) -> None:
    other = report(layers=(result("x"),))
    other.environment, other.seed = {**FACTS, "numpy": "2.5"}, 3
    files.write(other, tmp_path / "b")
    a = run_of(tmp_path / "a")
    merged, _ = merge.merge([merge.read(a), merge.read(tmp_path / "b")])
    assert merged.environment["numpy"] == "2.4.6 / 2.5"
    assert merged.environment["seeds"] == "1740, 3"


def test_a_run_that_was_cut_off_is_told(tmp_path: Path) -> None:
    with files.Writer(tmp_path / "a") as writer:
        writer({"event": "run", "candidates": ["Linear", "ReLU"], "settings": None})
        writer({"event": "layer", "result": result("Linear")})
    run = merge.read(tmp_path / "a")
    assert not run.complete
    merged, cut_off = merge.merge([run])
    assert cut_off
    assert merged.not_verified == ["ReLU", f"the rest of {tmp_path / 'a'} (cut off)"]
    b = run_of(tmp_path / "b", layers=(result("ReLU"),))
    merged, _ = merge.merge([run, merge.read(b)])
    assert "ReLU" not in merged.not_verified


def _rewrite(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    change(events)
    path.write_text("".join(json.dumps(e) + "\n" for e in events))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[0].pop("candidates"), "damaged in line 1: 'candidates' is missing"),
        (lambda e: e[1].update(folder=3), "damaged in line 2: '3' is no text"),
        (lambda e: e[1]["finding"].update(id=None), "damaged in line 2"),
        (lambda e: e[2]["result"].update(outcomes=[]), "damaged in line 3"),
        (lambda e: e[2]["result"]["outcomes"]["float64"].update(verdict="ODD"), "'ODD' is not"),
        (lambda e: e[3].update(seconds="long"), "damaged in line 4"),
        (lambda e: e[3].pop("not_verified"), "damaged in line 4: 'not_verified' is missing"),
        (lambda e: e[0].update(schema="npnet-results/9"), "line 1 has 'npnet-results/9'"),
    ],
)
def test_a_damaged_run_says_what_is_wrong(tmp_path: Path, change: Any, message: str) -> None:
    path = run_of(tmp_path, finding()) / "results.jsonl"
    _rewrite(path, change)
    with pytest.raises(FileFormatError, match=message):
        merge.read(tmp_path)


def test_a_folder_outside_the_run_is_not_read(tmp_path: Path) -> None:
    path = run_of(tmp_path / "run", finding()) / "results.jsonl"
    elsewhere = tmp_path / "else"
    files.write(report(finding(message="elsewhere")), elsewhere)
    folder = "../../else/failures/affine-weight-9f3c2a"
    _rewrite(path, lambda e: e[1].update(folder=folder))
    (back,) = merge.read(tmp_path / "run").report.findings
    assert back.message != "elsewhere"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="holds no run"):
        merge.read(tmp_path)


# ---- on disk -------------------------------------------------------------------------------------


def test_formats_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    files.write(report(), tmp_path, ["junit", "markdown", "text"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "junit.xml",
        "results.jsonl",
        "summary.md",
    ]


def test_a_cause_keeps_its_leader_when_folders_are_named(tmp_path: Path) -> None:
    leads = finding(id=f"a {EVIL}", cause=f"a {EVIL}")
    led = finding(id="led", quantity="y", cause=leads.id)
    kept = files.write(report(finding(id="a"), leads, led), tmp_path)
    (_, cause) = overview.causes(kept.findings)
    assert [f.id for f in cause.others] == ["led"]
    assert cause.leader.id == files.safe_name(leads.id)


def test_a_live_run_has_a_date(tmp_path: Path) -> None:
    with files.Writer(tmp_path) as writer:
        writer({"event": "run", "candidates": [], "settings": None})
        whole = writer.complete(Report())
    date = jsonl.read(tmp_path / "results.jsonl")[0]["environment"]["date"]
    assert whole.environment["date"] == date
    assert re.fullmatch(r"\d+ [A-Z][a-z]+ 20\d\d, \d\d:\d\d UTC", words.date(date))
