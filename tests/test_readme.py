"""The README's own code runs, and says what it is shown to say."""

import sys
from pathlib import Path

import pytest

from npnet.report.merge import read
from npnet.verify import run
from tests.commands import npnet_

README = Path(__file__).parents[1] / "README.md"


def code(file="mylayers.py"):
    """The indented block that begins with the name of its file."""
    lines = README.read_text().splitlines()
    start = lines.index(f"    # {file}")
    block = []
    for line in lines[start:]:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block)


def test_the_ten_lines_are_verified(tmp_path):
    file = tmp_path / "mylayers.py"
    file.write_text(code())

    assert run(str(file), examples=30).ok


def test_the_mistake_shown_is_found(tmp_path):
    file = tmp_path / "mylayers.py"
    file.write_text(code().replace("dout.sum(0)", "dout.mean(0)"))
    report = run(f"{file}::affine", examples=30)

    assert [f.quantity for f in report.findings] == ["gradient of bias"]
    assert report.findings[0].source.function == "Affine.backward"


@pytest.mark.parametrize(("mean", "wrong"), [(False, set()), (True, {"0", "2"})])
def test_the_network_is_traced(folder, monkeypatch, mean, wrong):
    monkeypatch.delitem(sys.modules, "mylayers", raising=False)
    layers = code().replace("dout.sum(0)", "dout.mean(0)") if mean else code()
    (folder / "mylayers.py").write_text(layers)
    (folder / "nets.py").write_text(code("nets.py"))
    result = npnet_("trace", "nets.py", "--dtype", "float64", "--report-dir", "out")

    found = read(folder / "out").report.findings
    assert {f.layer for f in found} == wrong, result.output
    assert {(f.quantity, f.step) for f in found} <= {("gradient of bias", 1)}


def test_every_layer_is_named():
    from npnet.twins import SPECS

    text = README.read_text()
    assert [n for n in SPECS if n.split(".")[-1] not in text] == []
