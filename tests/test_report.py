"""Findings on disk, as text, as a page, as scripts: nothing lost, nothing smuggled in."""

import json
import math
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npnet.contract import ConfigError
from npnet.report import cards, files, html, jsonl, picture, repro, text, words
from npnet.verify import store
from npnet.verify.case import Example, LayerConfig, Slot
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

EVIL = "<script>alert(1)</script>[red]x[/red]\x1b[31m\x00\u202e'\"{{7*7}}"
FACTS = {"npnet": "0.1.0", "numpy": "2.4.6", "blas": "openblas", "torch": "2.13.0", "cuda": None}


def example(**changes: Any) -> Example:
    arrays = {
        "input 0": np.array([[[1.0, 2.0]]]),
        "state weight": np.array([[[-0.0, np.inf]]]),
        "dy": np.array([[[np.nan]]]),
    }
    config = {"in_features": 2, "out_features": 1, "bias": False}
    whole: dict[str, Any] = {
        "spec": "Linear",
        "config": config,
        "arrays": arrays,
        "sets": 1,
        "themes": ("normal",),
        "inputs": (Slot("input 0"),),
        "outputs": ("dy",),
    }
    return Example(**(whole | changes))


def finding(**changes: Any) -> Finding:
    got, want = np.array([[3.0]]), np.array([[1.0]])
    whole: dict[str, Any] = {
        "id": "affine-weight-9f3c2a",
        "layer": "affine",
        "twin": "Linear",
        "quantity": "gradient of weight",
        "verdict": Verdict.WRONG,
        "dtype": "float64",
        "device": "cpu",
        "message": "1 of 1 elements; worst at [0, 0]: got 3, torch has 1",
        "case": example(),
        "smallest": Comparison(got, want, np.array([[1e-15]])),
        "worst": Worst((0, 0), 3.0, 1.0, 1e-15),
        "wrong": 1,
        "size": 1,
        "failed": 7,
        "asked": 20,
        "first": 2,
        "agrees": ("y",),
        "target": "mylayers.py::affine",
    }
    return Finding(**(whole | changes))


def result(name: str = "Linear", verdict: Verdict = Verdict.PASS) -> LayerResult:
    ratios = {"y": 0.25, "gradient of weight": 0.5}
    outcome = Outcome(verdict, 20, 0.1, ratios, {"y": 5}, {"y": True}, judged=1234)
    return LayerResult(
        name, "Linear", {"float64": outcome, "float32": outcome}, 11, 12, ("bias=x",)
    )


def report(*findings: Finding, layers: tuple[LayerResult, ...] = ()) -> Report:
    return Report(list(findings), list(layers or [result()]), FACTS, 1740, 6.2, ["a (b)"])


def equal(a: Any, b: Any) -> bool:
    """Equality of type and value, nan and the sign of zero included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, LayerConfig):
        return a.layer == b.layer and equal(dict(a.config), dict(b.config))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


# ---- failures on disk ----------------------------------------------------------------------------

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(str.isidentifier)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars | st.builds(Slot, st.text(max_size=8)) | st.just(...) | st.slices(5),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3)
        | st.dictionaries(names, inner, max_size=3)
        | st.builds(LayerConfig, names, st.dictionaries(names, inner, max_size=2))
    ),
    max_leaves=8,
)
configs = st.dictionaries(names, values, max_size=4)
arrays = hnp.arrays(
    st.sampled_from(["float64", "float32", "float16", "int64", "int32", "bool"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3).map(lambda s: (2, *s)),
)


@settings(max_examples=60, deadline=None, database=None)
@given(values)
def test_any_configuration_value_comes_back_exactly(value: Any) -> None:
    assert equal(store.decode(json.loads(json.dumps(store.encode(value), allow_nan=False))), value)


@settings(max_examples=20, deadline=None, database=None)
@given(
    configs,
    st.dictionaries(
        st.text(min_size=1, max_size=6).map(lambda s: f"state {s}"), arrays, max_size=3
    ),
    st.lists(values, max_size=3).map(tuple),
    configs,
    st.integers(0, 2**32 - 1),
    st.none() | st.lists(hnp.arrays("bool", (2, 2)), max_size=2).map(tuple),
    st.sampled_from(list(Verdict)),
    st.text(max_size=30),
)
def test_a_finding_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    config: Any,
    found: Any,
    inputs: Any,
    kwargs: Any,
    seed: int,
    masks: Any,
    verdict: Verdict,
    message: str,
) -> None:
    folder = tmp_path_factory.mktemp("store") / "x"
    case = example(
        config=config,
        arrays=found,
        sets=2,
        themes=("normal", "ties"),
        inputs=inputs,
        kwargs=kwargs,
        choices={"padding": (1, None)},
        seed=seed,
        draws=True,
        masks=masks,
        outputs=("dy", None),
    )
    f = finding(
        case=case,
        verdict=verdict,
        message=message,
        protocol="interleaved",
        source=Source("a.py", 3, "f"),
        explanations=(
            Explanation("factor", "twice", math.inf),
            Explanation("where", "at the border", 2.0, certain=False),
        ),
        cause="affine-y-000000",
        worst=Worst((), math.nan, -0.0, 0.0),
        probe=Comparison(np.zeros(3), np.ones(3), np.ones(3), ("n",), np.full(3, 0.5)),
    )
    store.save(f, folder)
    back = store.load(folder).finding
    for name in ("config", "arrays", "inputs", "kwargs", "choices", "masks"):
        assert equal(_plain(getattr(back.case, name)), _plain(getattr(case, name))), name
    for name in ("sets", "themes", "seed", "draws", "outputs", "spec"):
        assert equal(getattr(back.case, name), getattr(case, name)), name
    for which in ("smallest", "probe"):
        for side in ("got", "want", "allowed", "axes", "twin"):
            assert equal(getattr(getattr(back, which), side), getattr(getattr(f, which), side))
    assert back.worst is not None
    assert equal(vars(back.worst), vars(f.worst))
    bare = {"case": None, "smallest": None, "probe": None, "worst": None}
    assert replace(back, **bare) == replace(f, **bare)  # type: ignore[arg-type]


def _plain(x: Any) -> Any:
    return dict(x) if hasattr(x, "items") else x


def test_failures_of_files_without_axes_and_causes_are_read(tmp_path: Path) -> None:
    store.save(finding(explanations=(Explanation("factor", "twice", 0.0),)), tmp_path)
    path = tmp_path / "case.json"
    document = json.loads(path.read_text())
    del document["axes"], document["cause"]
    document["explanations"] = [row[:3] for row in document["explanations"]]
    path.write_text(json.dumps(document))
    back = store.load(tmp_path).finding
    assert back.cause == ""
    assert back.smallest is not None
    assert back.smallest.axes == ()
    assert back.smallest.twin is None
    assert back.explanations == (Explanation("factor", "twice", 0.0, certain=True),)


def test_versions_are_stored(tmp_path: Path) -> None:
    store.save(finding(), tmp_path)
    assert store.load(tmp_path).versions["numpy"] == np.__version__


def test_a_finding_without_a_case_is_stored(tmp_path: Path) -> None:
    f = finding(case=None, smallest=None, worst=None, verdict=Verdict.CRASH, twin="")
    store.save(f, tmp_path)
    assert store.load(tmp_path).finding == f


def test_what_has_no_stored_form_is_told_on_loading(tmp_path: Path) -> None:
    store.save(finding(case=example(config={"f": len})), tmp_path)
    with pytest.raises(store.FileFormatError, match="no stored form"):
        store.load(tmp_path)


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "case.json"
    document = json.loads(path.read_text())
    case = changes.pop("case", {})
    document |= changes
    document["case"] |= case
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "case.json").unlink(), "holds no case.json"),
        (lambda d: (d / "case.json").write_text("{"), "case.json is damaged"),
        (lambda d: (d / "case.json").write_bytes(b"\xff\xfe"), "case.json is damaged"),
        (lambda d: (d / "case.json").write_text("[]"), "schema 'npnet-failure/1', but has None"),
        (lambda d: _edit(d, schema="npnet-failure/9"), "but has 'npnet-failure/9'"),
        (lambda d: _edit(d, verdict="ODD"), "'ODD' is not a valid Verdict"),
        (lambda d: _edit(d, quantity=3), "quantity must be str, but is 3"),
        (lambda d: _edit(d, cause=3), "cause must be str, but is 3"),
        (lambda d: _edit(d, axes={"smallest": "n"}), "axes must be a list of names"),
        (lambda d: _edit(d, explanations=[["factor"]]), "not enough values"),
        (lambda d: _edit(d, twin="Linear; import os"), "is not a name"),
        (lambda d: _edit(d, case={"config": {"mapping": [["a b", 1]]}}), "'a b' is not a name"),
        (lambda d: _edit(d, case={"config": {"pickle": "x"}}), "is no stored value"),
        (lambda d: _edit(d, case={"sets": 3}), "must hold 3 value sets"),
        (lambda d: _edit(d, case={"arrays": {"dy": "nothing"}}), "'nothing' is missing"),
        (lambda d: (d / "arrays.npz").unlink(), "arrays.npz is missing"),
        (lambda d: (d / "arrays.npz").write_bytes(b"PK\x03\x04"), "arrays.npz cannot be read"),
        (
            lambda d: (d / "arrays.npz").write_bytes((d / "arrays.npz").read_bytes()[:300]),
            "arrays.npz cannot be read",
        ),
    ],
)
def test_a_damaged_failure_says_what_is_wrong(tmp_path: Path, damage: Any, message: str) -> None:
    store.save(finding(), tmp_path)
    damage(tmp_path)
    with pytest.raises(store.FileFormatError, match="(?s)" + message.replace("(", r"\(")):
        store.load(tmp_path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    store.save(finding(), tmp_path)
    with (tmp_path / "arrays.npz").open("wb") as file:
        np.savez(file, **{"input 0": np.array([Bomb()], dtype=object)})  # type: ignore[arg-type]
    with pytest.raises(store.FileFormatError, match="cannot be read"):
        store.load(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_stored_failures_are_found_by_a_unique_beginning(tmp_path: Path) -> None:
    for run, name in (("a", "affine-1"), ("b", "affine-1"), ("b", "affine-2"), ("b", "conv-3")):
        store.save(finding(id=name), tmp_path / run / "failures" / name)
    known = store.folders([tmp_path])
    assert set(known) == {"affine-1", "affine-2", "conv-3"}
    assert set(store.folders([tmp_path / "a"])) == {"affine-1"}
    assert store.find("con", known).name == "conv-3"
    assert store.find(str(tmp_path / "a/failures/affine-1"), known).parent.parent.name == "a"
    with pytest.raises(ConfigError, match="several: affine-1, affine-2"):
        store.find("aff", known)
    with pytest.raises(ConfigError, match=r"'affin-2'\. Did you mean affine-2"):
        store.find("affin-2", known)
    with pytest.raises(ConfigError, match="No failure is stored"):
        store.find("x", {})


# ---- text ----------------------------------------------------------------------------------------


def test_a_failure_says_everything_on_one_screen() -> None:
    f = finding(
        explanations=(Explanation("factor", "twice what it should be", 0.0),),
        source=Source("mylayers.py", 118, "affine"),
    )
    block = str(text.failure(f, [f], Path("reports/run/index.html")))
    head, *rest = block.split("\n")
    assert head.startswith("DIVERGED  affine · gradient of weight · float64 · cpu  ")
    assert head.endswith("affine-weight-9f3c2a")
    for line in (
        "  verdict    WRONG: the formula is not torch's",
        "  why        twice what it should be",
        "  how much   1 of 1 elements; worst at [0, 0]: got 3, torch has 1, err/bound 2e15",
        "  how often  7 of 20 examples, first in example 2",
        "  also       y ok",
        "  smallest   Linear(in_features=2, out_features=1, bias=False)",
        "             input 0 = [[1., 2.]]   weight = [[-0., inf]]   dy = [[nan]]",
        "             got [[3.]]   torch [[1.]]",
        "  look at    mylayers.py:118 in affine",
        "  reproduce  npnet repro affine-weight-9f3c2a",
        "  pictures   reports/run/index.html#affine-weight-9f3c2a",
    ):
        assert line in rest
    assert len(rest) < 24
    assert all(len(line) <= text.WIDTH for line in rest)


@pytest.mark.parametrize(
    ("verdict", "word", "says"),
    [
        (Verdict.UNSTABLE, "DIVERGED", "UNSTABLE: right in float64, but loses digits in float32"),
        (Verdict.NONFINITE, "DIVERGED", "NONFINITE"),
        (Verdict.CONTRACT, "DIVERGED", "CONTRACT"),
        (Verdict.CRASH, "CRASHED", "boom"),
        (Verdict.TIMEOUT, "HUNG", "boom"),
        (Verdict.OUT_OF_MEMORY, "OUT OF MEMORY", "boom"),
        (Verdict.INSUFFICIENT, "INSUFFICIENT", "too little was seen"),
        (Verdict.ORACLE_DISAGREES, "ORACLE DISAGREES", "the candidate is not blamed"),
    ],
)
def test_every_verdict_has_its_words(verdict: Verdict, word: str, says: str) -> None:
    f = finding(verdict=verdict, dtype="float32", worst=None, smallest=None, message="boom")
    block = str(text.failure(f))
    assert block.startswith(f"{word}  affine")
    assert says in block
    assert "boom" in block


def test_a_protocol_is_named_where_it_is_what_matters() -> None:
    stale = finding(verdict=Verdict.CONTRACT, protocol="interleaved")
    assert "only under interleaved: another forward pass" in str(text.failure(stale))
    assert "only under" not in str(text.failure(finding(protocol="again")))


def test_other_findings_of_a_layer_are_mentioned() -> None:
    other = finding(id="o", quantity="y", verdict=Verdict.CONTRACT, dtype="float32")
    block = str(text.failure(finding(agrees=("y", "gradient of bias")), [other, finding()]))
    assert "also       gradient of bias ok · y CONTRACT in float32" in block


def test_many_that_agree_are_counted() -> None:
    block = str(text.failure(finding(agrees=tuple(f"q{i}" for i in range(30)))))
    assert "q6 ok · 23 more ok" in " ".join(block.split())


def test_success_is_a_table_and_a_sentence() -> None:
    shown = text.render(report(), Path("reports/run/index.html"))
    assert shown.startswith(
        "npnet 0.1.0 · numpy 2.4.6 (openblas) · torch 2.13.0 · seed 1740 · cuda: none\n"
    )
    assert "  Linear         20   ok        ok                   0.50   11 of 12\n" in shown
    assert "Not verified: cuda (no device) · a (b)\n" in shown
    assert shown.endswith("1 layer verified in 6.2 s · reports/run/index.html\n")


def test_a_long_list_of_what_was_not_verified_is_cut() -> None:
    whole = report()
    whole.not_verified = [f"thing {i}" for i in range(30)]
    assert "and 25 more" in text.summary(whole)
    assert "thing 29" in text.summary(whole, verbose=True)
    assert "gradient of weight   float64 0.50" in text.summary(whole, verbose=True)


def test_big_arrays_are_abbreviated() -> None:
    f = finding(case=example(arrays={f"state w{i}": np.ones((1, 40, 40)) for i in range(20)}))
    block = str(text.failure(f))
    assert "w0 = float64 (40, 40): 1., 1., 1., 1., …" in block
    assert "… and 12 more arrays" in block


def evil() -> Finding:
    return finding(
        id="load-evil",
        layer=EVIL,
        quantity=f"gradient of {EVIL}",
        message=EVIL * 3,
        traceback=f"  File {EVIL}\n\t{EVIL}\n",
        agrees=(EVIL,),
        dialect=EVIL,
        explanations=(Explanation("x", EVIL, 0.0), Explanation("y", EVIL, 0.0)),
        source=Source(EVIL, 1, EVIL),
        target=f"{EVIL}.py::{EVIL}",
        case=example(config={"mode": EVIL}, kwargs={"flag": EVIL}),
    )


def evil_report() -> Report:
    whole = report(evil(), layers=(result(EVIL, Verdict.WRONG),))
    whole.environment = {**FACTS, "blas": EVIL}
    whole.not_verified = [EVIL]
    return whole


def test_control_characters_reach_no_terminal() -> None:
    shown = text.render(evil_report()) + text.summary(evil_report(), verbose=True)
    assert not set(shown) & set("\x1b\x00\u202e\x07\r")


def test_markup_is_text_in_a_terminal() -> None:
    import io

    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=400)
    console.print(text.failure(evil()).styled(), soft_wrap=True)
    assert "[red]x[/red]" in stream.getvalue()
    assert "\x1b[31mx" not in stream.getvalue()


# ---- results.jsonl -------------------------------------------------------------------------------


def test_a_saved_report_can_be_read_line_by_line(tmp_path: Path) -> None:
    index = report(finding(), evil()).save(tmp_path / "out")
    assert index == tmp_path / "out" / "index.html"
    events = jsonl.read(tmp_path / "out" / "results.jsonl")
    assert [e["event"] for e in events] == ["run", "finding", "finding", "layer", "end"]
    assert {e["schema"] for e in events} == {jsonl.SCHEMA}
    assert events[1]["finding"]["worst"]["got"] == 3.0
    dy = events[1]["finding"]["case"]["arrays"]["dy"]
    assert dy == {"shape": [1, 1, 1], "dtype": "float64", "first": ["nan"]}
    assert events[4]["exit_code"] == 1
    for event in events[1:3]:
        folder = tmp_path / "out" / event["folder"]
        assert sorted(p.name for p in folder.iterdir()) == ["arrays.npz", "case.json", "repro.py"]
        assert store.load(folder).finding.id == folder.name


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = report(finding()).save(tmp_path).parent / "results.jsonl"
    data = path.read_bytes()
    for cut in (1, 10, len(data.split(b"\n")[-2])):
        path.write_bytes(data[:-cut])
        assert [e["event"] for e in jsonl.read(path)][:3] == ["run", "finding", "layer"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n{}\n", "damaged in line 1"),
        ('{"schema": "other/1"}\n', "line 1 has 'other/1'"),
        ("[]\n", "line 1 has None"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "r.jsonl").write_text(content)
    with pytest.raises(store.FileFormatError, match=message):
        jsonl.read(tmp_path / "r.jsonl")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(store.FileFormatError, match="cannot be read"):
        jsonl.read(tmp_path / "r.jsonl")


@settings(max_examples=40, deadline=None, database=None)
@given(values)
def test_every_event_is_valid_json(value: Any) -> None:
    parsed = json.loads(jsonl.line({"event": "x", "value": value}))
    assert parsed["event"] == "x"


# ---- files ---------------------------------------------------------------------------------------


def test_a_finding_is_on_disk_before_the_run_goes_on(tmp_path: Path) -> None:
    writer = files.Writer(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    writer({"event": "run", "candidates": ["a"], "settings": None})
    writer({"event": "finding", "finding": finding()})
    assert len(jsonl.read(tmp_path / "run" / "results.jsonl")) == 2
    assert (tmp_path / "run" / "failures" / "affine-weight-9f3c2a" / "repro.py").is_file()
    assert not writer.index.exists()
    writer({"event": "end", "report": report()})  # interrupted: the report has no findings
    assert "affine" in writer.index.read_text()


def test_ids_are_safe_and_unique_names_of_folders(tmp_path: Path) -> None:
    with files.Writer(tmp_path) as writer:
        same = [writer.add(finding(id=name)) for name in ("x", "x", "X", "../../etc/" + EVIL, "..")]
    made = [f.id for f in same]
    assert made[:3] == ["x", "x-2", "X-2-3"] or len({m.lower() for m in made}) == len(made)
    assert all((tmp_path / "failures" / name / "case.json").is_file() for name in made)
    assert all(set(name) <= set(files.safe_name(name)) for name in made)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--report-dir"):
        report(finding()).save(tmp_path / "file" / "out")


# ---- the page ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that tags are balanced; gathers tags, attributes, text."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        assert not any(k.startswith("on") for k, _ in attrs)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def dense(shape: tuple[int, ...]) -> Comparison:
    rng = np.random.default_rng(0)
    want = rng.standard_normal(shape)
    got = want + np.where(rng.random(shape) < 0.3, 1.0, 1e-17)
    return Comparison(got, want, np.full(shape, 1e-15))


def test_the_page_is_one_file_without_scripts() -> None:
    source = html.page(report(finding(probe=dense((2, 3, 4, 5)), source=Source(__file__, 2, "f"))))
    page = Page(source)
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert all(link.startswith(("#", "data:image/png")) for link in page.links)
    assert "affine diverged, 1 layer verified" in page.text
    for part in ("gradient of weight", "a (b)", "cuda (no device)", "2.13.0", "11 of 12"):
        assert part in page.text
    assert "Findings on disk" in page.text  # the lines of this file around the place
    assert "torch.nn.Linear(in_features=2" in page.text  # the script
    assert source.isprintable() or "\n" in source


def test_what_a_candidate_is_called_is_text() -> None:
    for source in (html.page(evil_report()), html.fragment(evil_report())):
        page = Page(source)
        assert "script" not in page.tags
        assert "<script>alert(1)</script>" in page.text
        assert "{{7*7}}" in page.text
        assert not set(source) & set("\x1b\x00\u202e")


def test_a_passing_page_is_short_and_says_so() -> None:
    source = html.page(report())
    assert "1 layer verified" in Page(source).text
    assert "<article" not in source
    assert len(source) < 30_000


def test_a_notebook_shows_the_report() -> None:
    shown = report(finding())._repr_html_()
    assert "<html" not in shown
    assert "affine diverged" in Page(shown).text


def test_many_findings_stay_below_ten_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_BUDGET", 60_000)
    many = [finding(id=f"f{i}", probe=dense((20, 20))) for i in range(6)]
    source = html.page(report(*many))
    assert source.count("<svg") < 6
    assert "left out" in source
    assert source.count("<article") == 6


@pytest.mark.parametrize("shape", [(7,), (1, 9), (30, 40), (300, 200), (3, 2, 5, 4), (2, 0), ()])
def test_pictures_are_the_same_for_equal_input(shape: tuple[int, ...]) -> None:
    first, second = (picture.heat_map(dense(shape), "f0") for _ in range(2))
    assert first == second
    assert len(first) < 300_000
    assert bool(first) == (math.prod(shape) >= 2)
    assert "20" + "26" not in first  # no date


def test_a_dense_picture_is_an_image_in_the_svg() -> None:
    images = [picture.heat_map(dense((n, n)), "f0").count("data:image/png") for n in (6, 60)]
    assert images == [1, 2]  # the colour bar is one


def test_levels_of_a_picture() -> None:
    got = np.array([1.0, 1.0, np.nan, np.inf, 1.0, np.nan])
    want = np.array([1.0, 2.0, 1.0, np.inf, 1.0 + 1e-15, np.nan])
    levels = picture.log_ratio(Comparison(got, want, np.array([0.0, 0.0, 1.0, 1.0, 1e-15, 1.0])))
    assert levels[0] == -2.0  # equal, where nothing is allowed
    assert levels[1] == 6.0
    assert np.isnan(levels[2])
    assert levels[3] == -2.0
    assert abs(levels[4]) < 0.1
    assert levels[5] == -2.0


def test_ids_of_two_pictures_do_not_meet() -> None:
    import re

    source = html.page(report(finding(probe=dense((3, 3))), finding(id="b", probe=dense((3, 3)))))
    ids = re.findall(r'\bid="([^"]+)"', source)
    assert len(ids) == len(set(ids))


LOADS = """
import sys
from npnet.verify.finding import LayerResult, Outcome, Report, Verdict
from npnet.report import html
outcome = Outcome(Verdict.PASS, 1, 0.1, {}, {}, {})
html.page(Report([], [LayerResult("a", "Linear", {"float64": outcome})]))
heavy = {"matplotlib", "jinja2", "rich", "torch"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""


def test_a_passing_page_needs_neither_matplotlib_nor_jinja2() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- scripts -------------------------------------------------------------------------------------


def test_a_script_is_python_whatever_the_candidate_is_called() -> None:
    f = evil()
    for kind in (False, True):
        source = repro.script(f, pytest=kind)
        compile(source, "repro.py", "exec")
        assert not set(source) & set("\x1b\x00\u202e")
        code = [line for line in source.split("\n") if not line.startswith("#")]
        assert not any(line.lstrip().startswith("<script>") for line in code)


def test_what_no_single_case_shows_has_no_script() -> None:
    for changes in ({"case": None}, {"verdict": Verdict.INSUFFICIENT}):
        with pytest.raises(ConfigError, match="no single case shows it"):
            repro.script(finding(**changes))


@settings(max_examples=60, deadline=None, database=None)
@given(
    hnp.arrays(
        st.sampled_from(["float64", "float32", "float16", "int64", "int32", "bool"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
    )
)
def test_array_literals_give_every_bit_back(a: Any) -> None:
    back = eval(repro.array_literal(a), {"np": np, "inf": np.inf, "nan": np.nan})
    assert back.dtype == a.dtype
    assert back.shape == a.shape
    kept = ~np.isnan(a) if a.dtype.kind == "f" else np.full(a.shape, True)
    assert np.array_equal(np.isnan(back) if a.dtype.kind == "f" else ~kept, ~kept)
    assert back[kept].tobytes() == a[kept].tobytes()


def test_large_arrays_are_loaded_from_beside_the_script(tmp_path: Path) -> None:
    big = example(arrays={"input 0": np.ones((1, 30, 30)), "dy": np.ones((1, 3))})
    source = repro.script(finding(case=big))
    assert 'np.load(Path(__file__).with_name("arrays.npz"))' in source
    assert "np.array([[" not in source


CANDIDATES = """
from npnet.contract import Forward, Grads
from npnet.verify import candidate

@candidate("Linear")
def affine(case):
    (x,) = case.inputs
    weight = case.state["weight"]
    y = x @ weight.T + case.state.get("bias", 0)

    def vjp(dy):
        flat, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        params = {"weight": flat.T @ rows}
        if "bias" in case.state:
            params["bias"] = FACTOR * flat.sum(0)
        return Grads((dy @ weight,), params)

    return Forward(y, vjp)
""".replace("FACTOR", "2")  # the planted mistake


def test_the_script_of_a_file_shows_the_failure_and_that_it_is_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from npnet.verify import run

    monkeypatch.chdir(tmp_path)
    Path("mylayers.py").write_text(CANDIDATES)
    found = run("mylayers.py", examples=20, dtypes=["float64"])
    (f,) = found.findings
    folder = found.save("out").parent / "failures" / f.id
    done = _python(str(folder / "repro.py"))
    assert done.returncode == 1, done.stderr
    for word in ("got ", "torch ", "difference ", "allowed "):
        assert word in done.stdout
    assert store.replay(store.load(folder))[0] == store.DIVERGES

    tests: dict[str, Any] = {}
    exec(compile(repro.script(f, pytest=True), "test_it.py", "exec"), tests)
    (test,) = (value for name, value in tests.items() if name.startswith("test_"))
    with pytest.raises(AssertionError):
        test()

    Path("mylayers.py").write_text(CANDIDATES.replace("2 * flat", "flat"))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(folder / "repro.py"))
    assert end.value.code == 0
    assert store.replay(store.load(folder)) == (store.FIXED, "agrees with torch")


MUTANTS = """
from npnet import nn, optim
from npnet.contract import Forward, Grads


def twice(call):
    def wrong(self, state, *inputs, **kwargs):
        y, vjp, updates = call(self, state, *inputs, **kwargs)

        def doubled(dy):
            inputs, params = vjp(dy)
            return Grads((2 * inputs[0], *inputs[1:]), params)

        return Forward(y, doubled, updates)

    return wrong


class LayerNorm(nn.LayerNorm):
    __call__ = twice(nn.LayerNorm.__call__)


class MSELoss(nn.MSELoss):
    __call__ = twice(nn.MSELoss.__call__)


def longer(step):
    def wrong(self, params, grads, state):
        params, state = step(self, params, grads, state)
        return {name: 1.5 * p for name, p in params.items()}, state

    return wrong


class SGD(optim.SGD):
    step = longer(optim.SGD.step)


class SparseAdam(optim.SparseAdam):
    step = longer(optim.SparseAdam.step)


class LBFGS(optim.LBFGS):
    step = longer(optim.LBFGS.step)
"""

DRIVER = """
import runpy, sys
import mutants
from npnet import nn, optim
for path in sys.argv[2:]:
    name = path.rsplit("-", 1)[1].removesuffix(".py")
    place = optim if hasattr(optim, name) else nn
    codes = []
    for wrong in (False, True):
        kept = getattr(place, name)
        if wrong:
            setattr(place, name, getattr(mutants, name))
        try:
            runpy.run_path(path)
        except SystemExit as end:
            codes.append(end.code)
        setattr(place, name, kept)
    print("CODES", name, codes)
"""


def test_scripts_of_npnet_s_own_layers_losses_and_optimizers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    from npnet.verify import run
    from npnet.verify.targets import native

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mutants.py").write_text(MUTANTS)
    Path("driver.py").write_text(DRIVER)
    mutants = import_module("mutants")
    names = ("LayerNorm", "MSELoss", "optim.SGD", "optim.SparseAdam", "optim.LBFGS")
    paths = []
    for name in names:
        short = name.removeprefix("optim.")
        found = run(native(name, getattr(mutants, short)), examples=20, dtypes=["float64"])
        (f, *_) = found.findings
        source = repro.script(f, arrays=f"Path({str(tmp_path / short / 'arrays.npz')!r})")
        store.save(f, tmp_path / short)
        paths.append(f"script-{short}.py")
        Path(paths[-1]).write_text(source)
    done = _python("driver.py", "-", *paths)
    codes = [line for line in done.stdout.split("\n") if line.startswith("CODES")]
    short_names = [name.removeprefix("optim.") for name in names]
    assert codes == [f"CODES {n} [0, 1]" for n in short_names], done.stderr


SCRIPTED = {
    "autograd.mul": "takes a for b",
    "autograd.div": "has no gradient for the divisor",
    "autograd.pow": "raises |a|",
    "autograd.matmul": "forgets dy for the right",
    "autograd.mean": "divides by n - 1",
    "autograd.max": "takes what is nearly the largest",
    "autograd.expand": "averages the gradient over the copies",
    "autograd.reshape": "fills column by column",
    "autograd.transpose": "goes back by the same order",
    "autograd.index": "the last of several equal indices takes all",
    "autograd.index_select": "averages over equal indices",
    "autograd.softmax": "ignores axis",
    "autograd.cross_entropy": "ignores weight",
}


@pytest.mark.parametrize("name", SCRIPTED)
def test_scripts_of_the_operations_of_a_tensor(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from npnet import autograd
    from npnet.verify import run
    from npnet.verify.targets import native
    from tests.studies.mutants import all_mutants

    mutant = next(m for m in all_mutants() if (m.layer, m.mistake) == (name, SCRIPTED[name]))
    wrong = mutant.build()
    (f, *_) = run(native(name, wrong), examples=60, dtypes=["float64"]).findings
    store.save(f, tmp_path)
    source = repro.script(f, arrays=f"Path({str(tmp_path / 'arrays.npz')!r})")
    codes = []
    for tensor in (autograd.Tensor, wrong.__globals__["Tensor"]):
        monkeypatch.setattr(autograd, "Tensor", tensor)
        with pytest.raises(SystemExit) as end:
            exec(compile(source, "repro.py", "exec"), {"__name__": "__main__"})
        codes.append(end.value.code)
    assert codes == [0, 1]


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment
    )


def test_words() -> None:
    assert words.clean("a\tb\n c\x1b[0m") == "a b c[0m"
    assert words.ratio(0.314) == "0.31"
    assert words.ratio(1.2e9) == "1e9"
    assert words.ratio(math.inf) == "inf"
    assert words.apart(3.0, 1.0) == ("3", "1")
    assert words.apart(1.3862939611, 1.3862943611) == ("1.38629396", "1.38629436")
    assert words.apart(1.0, 1.0 + 2.0**-52) == ("1", "1.0000000000000002")
    assert words.apart(math.nan, math.nan) == ("nan", "nan")
    assert words.apart(0.5, 0.5) == ("0.5", "0.5")
    assert words.array(np.zeros((0, 3))) == "empty, shape (0, 3)"
    assert words.sentence(Report()) == "Nothing was verified"


def test_a_cause_about_a_condition_is_no_condition_of_the_examples():
    """A slip in a condition explains; "only when" says which examples fail."""
    slip = Explanation("when", "the condition is not asked", 0.0)
    asked = Explanation("when", "stride = 2", 0.0, certain=False)

    only_slip, both = finding(explanations=(slip,)), finding(explanations=(slip, asked))

    assert words.readings(only_slip) == [("why", "the condition is not asked")]
    assert words.only_when(only_slip) is None
    assert words.readings(both) == [("why", "the condition is not asked")]
    assert words.only_when(both) == "stride = 2"
