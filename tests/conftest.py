"""One thread per worker: the tests run side by side, and many threads on tiny arrays only wait."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest  # noqa: E402  (after the number of threads is set)
import torch  # noqa: E402

from npnet.cli import base  # noqa: E402
from npnet.verify import trial  # noqa: E402
from npnet.verify.diagnose import explain  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; what the commands change in the process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in base.THREADS:
        monkeypatch.setenv(name, "1")
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what a diagnosis finds, not of how soon it does on a busy machine."""
    monkeypatch.setattr(explain, "_SECONDS", 8.0)
    monkeypatch.setattr(trial, "_DIAGNOSIS_SECONDS", 60.0)


class Guide(NamedTuple):
    """The porting guide, built: where its pages lie, and the text of those of prose."""

    folder: Path
    texts: dict[str, str]


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """All of the guide; it takes minutes, so that what looks at it is of one group of xdist."""
    from npnet.guide import site

    texts = {}

    def carry(name: str, place: Path) -> None:
        site.carried(name, place)
        texts[name] = (place / f"{name}.md").read_text(encoding="utf-8")

    index = site.build(tmp_path_factory.mktemp("guide") / "site", carry=carry)
    return Guide(index.parent, texts)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window; its absence is a failure where .ci/run has installed it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium, which .ci/run installs")
        pytest.skip("there is no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
