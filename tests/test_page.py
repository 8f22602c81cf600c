"""The page in a real browser: it opens, it fits, it asks for nothing, it runs nothing."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npnet.report import html
from npnet.verify.finding import (
    Comparison,
    Explanation,
    Finding,
    Report,
    Source,
    Step,
    Trace,
    Verdict,
    Worst,
)
from tests.test_report import EVIL, evil_report, finding, report, result

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
LONG = "LayerOfOneVeryLongNameThatDoesNotBreakAnywhere" * 4

OVERFLOWING = """() => [...document.querySelectorAll(".npnet *")].filter(e => {
    const box = e.getBoundingClientRect();
    const inside = e.parentElement.closest(".wide, pre, svg");  // these scroll, or scale
    return box.width > 0 && !inside && box.right > document.documentElement.clientWidth + 0.5;
}).map(e => e.outerHTML.slice(0, 120))"""


STYLES = """selector => {
    const style = getComputedStyle(document.querySelector(selector));
    const names = ["color", "background-color", "font-family", "font-size", "font-weight",
        "line-height", "margin", "padding", "display", "border-top", "stroke-linejoin"];
    return names.map(name => style.getPropertyValue(name));
}"""


# ---- reports to look at --------------------------------------------------------------------------


def compared(shape: tuple[int, ...], axes: tuple[str, ...], seed: int = 0) -> Comparison:
    """Mostly right to a fraction of the bound, quite wrong along the end of the last axis."""
    rng = np.random.default_rng(seed)
    want = rng.standard_normal(shape)
    allowed = np.full(shape, 1e-15)
    got = want + rng.standard_normal(shape) * 1e-16
    got[..., -1] = 0.5 * want[..., -1]
    return Comparison(got, want, allowed, axes, want + rng.standard_normal(shape) * 1e-16)


def failing(n: int, shape: tuple[int, ...] = (2, 3, 12, 13)) -> list[Finding]:
    """Findings that have everything there is to show."""
    axes = ("n", "c", "h", "w")[-len(shape) :]
    return [
        finding(
            id=f"conv{i}-input-{i:06x}",
            layer=f"conv{i}",
            quantity="gradient of input 0",
            probe=compared(shape, axes, i),
            explanations=(
                Explanation("border", "the last column gets half of what it should", 0.1),
                Explanation("where", "only w = 12 is off", 3.0, certain=False),
            ),
            source=Source(__file__, 30, "compared"),
        )
        for i in range(n)
    ]


def everything() -> Report:
    """One of every kind: causes with followers, crashes, long names, names that attack."""
    first, second, third = failing(3)
    led = [
        replace(second, id=f"led-{i}", quantity=f"gradient of w{i}", cause=second.id)
        for i in range(3)
    ]
    crash = finding(
        id="crash",
        layer=LONG,
        verdict=Verdict.CRASH,
        worst=None,
        smallest=None,
        message="x" * 500,
        traceback="\n".join(f"  File {LONG}, line {i}" for i in range(60)),
    )
    lost = replace(third, id="lost", verdict=Verdict.NONFINITE, probe=_with_nan(third.probe))
    wide = finding(
        id="wide", layer="wide", worst=Worst((0,), 1e300, -1e-300, 0.0), probe=compared((400,), ())
    )
    thin = finding(id="thin", layer="thin", verdict=Verdict.INSUFFICIENT, worst=None, smallest=None)
    found = [first, second, *led, lost, crash, wide, thin, *evil_report().findings]
    layers = tuple(result(name, Verdict.WRONG) for name in ("conv0", "conv1", "conv2", EVIL))
    whole = report(*found, layers=(*layers, result("Linear"), result("R" * 90)))
    whole.environment = evil_report().environment
    whole.not_verified = [f"{LONG} {i}" for i in range(30)] + [EVIL]
    whole.traces = [traced("float64", 40), traced("float32", 3)]
    return whole


def traced(dtype: str, steps: int) -> Trace:
    """A training run with a step of every state, and names that are long or attack."""
    states = ("ok", "wrong", "inherits", "fresh", "unknown")
    rows = {
        name: tuple(Step(states[(i + k) % 5], 10.0 ** ((i + k) % 20), EVIL) for k in range(steps))
        for i, name in enumerate((LONG, EVIL, "", "fc1", "loss", "optimizer"))
    }
    return Trace(dtype, steps, rows, dict.fromkeys(rows, LONG), 2)


def _with_nan(comparison: Comparison | None) -> Comparison:
    assert comparison is not None
    got = comparison.got.copy()
    got[..., 0] = np.nan
    return replace(comparison, got=got)


# ---- the browser ---------------------------------------------------------------------------------


class Tab:
    """A page with everything that it says and asks for."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, **how: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **how)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def _dialog(self, dialog: Any) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def quiet(self, path: Path) -> bool:
        """Whether it said nothing, and asked for nothing but itself."""
        own = path.as_uri()
        asked = [u for u in self.asked if u.split("#")[0] != own and not u.startswith("data:")]
        assert self.said == []
        assert asked == []
        return True


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html.page(everything()), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_card_opens_and_nothing_overflows(
    browser: Any, index: Path, width: int, scheme: str
) -> None:
    tab = Tab(browser, index, width, color_scheme=scheme)
    cards = tab.page.locator("article > details")
    assert cards.count() == 7
    assert tab.page.evaluate(OVERFLOWING) == []
    for i in range(cards.count()):
        card = cards.nth(i)
        if card.get_attribute("open") is None:
            card.locator("> summary").click()
        assert card.locator(".anchor").first.is_visible()
        for inner in card.locator("details > summary").all():
            inner.click()
            assert inner.locator("xpath=following-sibling::pre").is_visible()
    for more in tab.page.locator("section > details > summary").all():
        more.click()
    assert tab.page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert tab.page.evaluate(OVERFLOWING) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    assert tab.quiet(index)
    tab.context.close()


def test_what_a_candidate_is_called_is_shown_and_not_run(browser: Any, index: Path) -> None:
    tab = Tab(browser, index)
    assert tab.page.locator("script").count() == 0
    shown = tab.page.locator("h3", has_text="<script>alert(1)</script>")
    assert shown.is_visible()
    assert tab.quiet(index)
    tab.context.close()


def test_a_link_opens_its_card(browser: Any, index: Path) -> None:
    tab = Tab(browser, index)
    for name in ("lost", "led-2"):
        target = tab.page.locator(f"#{name}")
        assert not target.is_visible()
        tab.page.goto(f"{index.as_uri()}#{name}")
        assert target.is_visible()
    tab.page.locator(".matrix td.diverged a[href='#conv0-input-000000']").first.click()
    assert tab.page.locator("#conv0-input-000000").is_visible()
    assert tab.quiet(index)
    tab.context.close()


def test_it_can_be_read_without_styles_and_without_scripts(browser: Any, tmp_path: Path) -> None:
    import re

    path = tmp_path / "bare.html"
    whole = html.page(everything())
    path.write_text(re.sub(r"<style>.*?</style>", "", whole, flags=re.DOTALL), encoding="utf-8")
    tab = Tab(browser, path, java_script_enabled=False)
    text = tab.page.locator("body").inner_text()
    parts = ["diverged", "Not verified", "Environment", "Layers", "Findings", "Verified"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "✕ 2×10¹⁶" in text  # a failing cell says so without a colour
    assert "the last column gets half of what it should" in text
    assert "observed\n" in text
    assert "only w = 12 is off" in text
    assert tab.quiet(path)
    tab.context.close()


def test_colours_follow_the_reader(browser: Any, index: Path) -> None:
    seen = []
    for scheme in SCHEMES:
        tab = Tab(browser, index, color_scheme=scheme)
        body = "getComputedStyle(document.body).backgroundColor"
        label = "getComputedStyle(document.querySelector('figure svg text')).fill"
        seen.append((tab.page.evaluate(body), tab.page.evaluate(label)))
        tab.context.close()
    assert len({paper for paper, _ in seen}) == len({ink for _, ink in seen}) == 2


def test_a_fragment_leaves_the_notebook_alone(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    around = "<h1>own</h1><table><tr><td class='ok'>1</td></tr></table><svg><path d='M0 0'/></svg>"
    seen = []
    for content in ("", everything()._repr_html_()):
        path.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{around}{content}", encoding="utf-8")
        tab = Tab(browser, path)
        seen.append([tab.page.evaluate(STYLES, s) for s in ("body", "h1", "td", "svg path")])
        assert tab.quiet(path)
        tab.context.close()
    assert seen[0] == seen[1]


# ---- without a browser ---------------------------------------------------------------------------


def test_the_page_of_twenty_failures_is_fast_small_and_the_same_again() -> None:
    whole = report(*failing(20, (8, 16, 14, 14)))
    started = time.process_time()
    first = html.page(whole)
    assert time.process_time() - started < 10
    assert len(first.encode()) < 10_000_000
    assert html.page(whole) == first


def test_a_cause_is_one_card() -> None:
    first, second = failing(2)
    led = replace(second, id="led", quantity="gradient of weight", cause=first.id)
    source = html.page(report(first, led))
    assert source.count("<article") == 1
    assert 'id="led"' in source
    assert source.count("Of the same cause") == 1
    orphan = html.page(report(replace(led, cause="not there")))
    assert orphan.count("<article") == 1


def test_what_is_only_observed_is_not_told_as_the_reason() -> None:
    (f,) = failing(1)
    seen = replace(f, explanations=(Explanation("where", "at w = 12", 3.0, certain=False),))
    assert '<span class="dim">observed: </span>at w = 12' in html.page(report(seen))
    assert '<span class="dim">observed' not in html.page(report(f))
