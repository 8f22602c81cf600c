"""The guide as a site: built without a warning, whole, and fit for a browser of any width.

All of it is one group: the site is built once.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from npnet.contract import ConfigError
from npnet.guide import pages, site, source

pytestmark = pytest.mark.xdist_group("guide")

WIDTHS = (1280, 390)
PORTED = ("LSTM", "BatchNorm2d", "Conv2d", "optim.RMSprop", "CrossEntropyLoss")
PALE = re.compile(r"\[PST\]|invalid theme mode")  # the theme notes its mode down

OVERFLOWING = """() => {
    const wide = document.documentElement.clientWidth;
    const inside = e => e.closest(".pst-scrollable-table-container, pre, svg, .bd-header");
    return [...document.querySelectorAll("main *")].filter(e => {
        const box = e.getBoundingClientRect();
        return box.width > 0 && box.right > wide + 0.5 && !inside(e.parentElement);
    }).map(e => e.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="module")
def built(guide: Any) -> Path:
    """The whole site; Sphinx had nothing to say, and every page does what it says."""
    return guide.folder


def html(built: Path) -> list[Path]:
    return sorted(p for p in built.rglob("*.html") if "_static" not in p.parts)


# ---- whole ---------------------------------------------------------------------------------------


def test_there_is_a_page_of_every_layer_and_of_every_how_to(built):
    found = {p.stem for p in html(built)}

    assert {*source.names(), *pages.names(), "index", "search"} <= found


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {v for k in ("id", "name") if (v := found.get(k))}
        self.links += [v for k in ("href", "src") if (v := found.get(k))]


def test_every_link_resolves_and_nothing_is_fetched(built):
    parsed = {p: _Links(p.read_text(encoding="utf-8")) for p in html(built)}
    broken = []
    for page, found in parsed.items():
        for link in found.links:
            address, anchor = urldefrag(link)
            if re.match(r"(https?:|mailto:|data:)", link):
                continue  # to read on elsewhere; that nothing is fetched, the browser says
            path = (page.parent / unquote(address.partition("?")[0])).resolve() if address else page
            known = parsed.get(path)
            if not path.is_file() or (anchor and known and anchor not in known.anchors):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_what_is_not_so_cannot_be_built(tmp_path, monkeypatch):
    prose = tmp_path / "prose"
    prose.mkdir()
    (prose / "wrong.md").write_text("# Wrong\n\n```{python}\nassert 1 == 2\n```\n")
    monkeypatch.setattr(pages, "FOLDER", prose)
    monkeypatch.setattr(pages, "names", lambda folder=prose: ["wrong"])
    monkeypatch.setattr(
        pages, "source", lambda name, folder=prose: (prose / "wrong.md").read_text()
    )

    with pytest.raises(ConfigError, match="the page 'wrong' does not do what it says"):
        site.build(tmp_path / "site", ["Linear"])
    assert not (tmp_path / "site").exists()


def test_a_warning_of_sphinx_is_an_error(tmp_path, monkeypatch):
    def carry(name: str, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        text = f"# {name}\n\n[a page that there is not](nowhere.md)\n"
        (place / f"{name}.md").write_text(text)

    with pytest.raises(ConfigError, match=r"(?s)Sphinx must have nothing to say.*nowhere"):
        site.build(tmp_path / "site", ["Linear"], carry=carry)


# ---- in a browser --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_says_nothing(built, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    fetched: list[str] = []
    page.on("console", lambda m: said.append(m.text) if not PALE.search(m.text) else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("requestfailed", lambda r: said.append(f"failed: {r.url}"))
    page.on("request", lambda r: fetched.append(r.url) if not r.url.startswith("file:") else None)
    wrong = {}
    for path in html(built):
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        whole = page.evaluate("document.documentElement.scrollWidth") <= width
        over = page.evaluate(OVERFLOWING)
        if over or said or fetched or not whole:
            wrong[path.name] = (over[:2], said[:], fetched[:])
            said.clear()
            fetched.clear()
    page.close()

    assert wrong == {}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("query", "expected"), [("eps", "BatchNorm2d"), ("gate", "LSTM")])
def test_search_finds_what_is_looked_for(built, browser, width, query, expected):
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if not PALE.search(m.text) else None)
    page.goto(f"{(built / 'search.html').as_uri()}?q={query}")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("document.querySelectorAll('#search-results li a').length > 3")
    page.wait_for_timeout(2000)
    found = page.eval_on_selector_all("#search-results li > a", "all => all.map(a => a.innerText)")
    page.close()

    assert any(text.startswith(expected) for text in found), found
    assert said == []


def test_the_search_button_leads_there(built, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((built / "index.html").as_uri())
    page.keyboard.press("Control+K")
    page.keyboard.type("eps")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")

    assert "search.html?q=eps" in page.url
    page.close()


@pytest.mark.parametrize("name", PORTED)
def test_a_page_says_all_that_a_porter_needs(built, browser, name):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((built / "layers" / f"{name}.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = page.inner_text("main")
    page.close()

    needed = {
        "LSTM": ["i, f, g, o", "bias_hh_l0", "da_f", "dW_hh", "(T, N, input_size)", "dropout",
                 "recurrent_kernel", "output, (h_n, c_n) = module(x, hx)", "as in Dropout"],
        "BatchNorm2d": ["÷ n", "unbiased", "(1 - momentum) running", "inside of the root",
                        "moving_variance", "num_batches_tracked", "def adjoint", "module.eval()"],
        "Conv2d": ["correlation", "groups", "h w i o", "padding='same'", "def vjp", "dilation"],
        "optim.RMSprop": ["outside of the root", "bias correction", "momentum", "centered",
                          "weight_decay", "tensorflow", "square_avg"],
        "CrossEntropyLoss": ["ignore_index", "label_smoothing", "sum of the weights", "nan",
                             "probabilities", "dprediction"],
    }  # fmt: skip
    missing = [part for part in needed[name] if part not in text]
    assert missing == []
