"""The README's own code runs, and says what it is shown to say."""

from pathlib import Path

from npnet.verify import run

README = Path(__file__).parents[1] / "README.md"


def code():
    """The indented block that begins with the name of its file."""
    lines = README.read_text().splitlines()
    start = lines.index("    # mylayers.py")
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


def test_every_layer_is_named():
    from npnet.twins import SPECS

    text = README.read_text()
    assert [n for n in SPECS if n.split(".")[-1] not in text] == []
