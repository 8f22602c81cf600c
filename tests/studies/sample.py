"""The published run: a dozen layers with a mistake each and three right ones, in reports/sample/.

    python -m tests.studies.sample

Beside the run, card.png: one card of the page, as the README shows it (where chromium is there).
"""

import argparse
import shutil
from pathlib import Path

from npnet.report.files import Writer
from npnet.verify import run
from npnet.verify.targets import specs

PLACE = Path("reports/sample")
TARGETS = ("tests/studies/sample_candidates.py", "Linear", "GroupNorm", "MSELoss")
CARD = "conv2d-input-0"
MOST = 300_000  # bytes of the picture


def publish(place: Path, examples: int) -> None:
    """Verify, and leave nothing of an earlier run."""
    shutil.rmtree(place, ignore_errors=True)
    specs()  # torch, so that it is among the facts of the environment
    with Writer(place, formats=("html", "markdown", "junit")) as writer:
        report = run(list(TARGETS), examples=examples, on_event=writer)
    for finding in writer.findings:
        print(f"{finding.id}: {finding.explanations[0].text if finding.explanations else '-'}")
    print(f"{len(report.findings)} findings in {report.seconds:.0f} s: {writer.index}")


def photograph(index: Path, target: Path) -> None:
    """One card down to its pictures, in a window as wide as a README."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        page.goto(index.resolve().as_uri())
        card = page.locator("article", has=page.locator(f"[id^={CARD}]"))
        if card.locator("> details").get_attribute("open") is None:
            card.locator("> details > summary").click()
        page.evaluate("scrollTo(0, 0)")
        box, end = card.bounding_box(), card.locator(".pictures").bounding_box()
        height = end["y"] + end["height"] - box["y"] + 12
        page.screenshot(path=target, clip={**box, "height": height}, full_page=True)
        browser.close()
    assert target.stat().st_size < MOST, f"{target} has {target.stat().st_size:,} bytes"
    print(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=60)
    parser.add_argument("--place", type=Path, default=PLACE)
    arguments = parser.parse_args()
    publish(arguments.place, arguments.examples)
    if shutil.which("chromium"):
        photograph(arguments.place / "index.html", arguments.place / "card.png")


if __name__ == "__main__":
    main()
