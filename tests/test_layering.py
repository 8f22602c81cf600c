"""Who may import whom: the arrows of the architecture, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import npnet

ROOT = Path(npnet.__file__).parent
HEAVY = {"torch", "hypothesis", "scipy", "click", "rich", "jinja2", "matplotlib", "safetensors"}
UNASKED = {"rich", "matplotlib", "safetensors", "sklearn"}  # what training loads where it needs it


@pytest.mark.parametrize(
    ("package", "banned"),
    [
        ("npnet", HEAVY | {"npnet.nn", "npnet.verify", "npnet.twins"}),
        ("npnet.contract", HEAVY | {"npnet.nn", "npnet.verify"}),
        ("npnet.nn", {"torch", "hypothesis", "npnet.optim", "npnet.verify", "npnet.twins"}),
        ("npnet.autograd", HEAVY | {"npnet.optim", "npnet.verify", "npnet.twins"}),
        ("npnet.optim", {"torch", "hypothesis", "npnet.nn", "npnet.verify", "npnet.twins"}),
        ("npnet.verify", {"torch", "npnet.nn", "npnet.optim", "npnet.twins", "matplotlib", "rich"}),
        ("npnet.verify.whole", {"torch", "npnet.nn", "npnet.optim", "npnet.twins", "matplotlib"}),
        ("npnet.train", {"torch", "hypothesis", "npnet.verify", "npnet.twins", "click", *UNASKED}),
        ("npnet.convert", HEAVY | {"npnet.nn", "npnet.verify", "npnet.twins", "npnet.train"}),
        ("npnet.twins", {"npnet.nn", "npnet.optim", "npnet.report", "matplotlib"}),
        ("npnet.report", {"torch", "npnet.nn", "npnet.twins", "matplotlib", "jinja2"}),
        ("npnet.guide", {"torch", "npnet.nn", "npnet.twins", "matplotlib", "sphinx", "rich"}),
        ("npnet.cli", {"torch", "npnet.nn", "npnet.twins", "npnet.train", "matplotlib", "jinja2"}),
    ],
)
def test_package_does_not_load(package, banned):
    code = f"import {package}, sys; print(*sorted({banned!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.split() == []


def imports(path):
    """Every module that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("nn", ("npnet.contract", "npnet.nn")),
        ("autograd", ("npnet.contract", "npnet.nn", "npnet.autograd")),
        ("optim", ("npnet.contract", "npnet.optim")),
        ("train", ("npnet.contract", "npnet.nn", "npnet.optim", "npnet.autograd", "npnet.train")),
        (
            "verify",
            (
                "npnet.contract",
                "npnet.autograd",  # a network's wiring is recorded by it
                "npnet.verify",
                "npnet.report",
                "npnet.twins.function",
            ),
        ),
        (
            "convert",
            (
                "npnet.contract",
                "npnet.nn",
                "npnet.autograd",
                "npnet.convert",
                "npnet.train.files",  # files that are written at once or not at all
            ),
        ),
        ("twins", ("npnet.contract", "npnet.verify", "npnet.twins")),
        ("report", ("npnet.contract", "npnet.verify", "npnet.report")),
        (
            "guide",
            ("npnet.contract", "npnet.verify", "npnet.report", "npnet.convert", "npnet.guide"),
        ),
    ],
)
def test_no_file_names_a_package_that_its_own_may_not_know(folder, allowed):
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in imports(path):
            if module.split(".")[0] == "npnet" and module != "npnet":
                assert module.startswith(allowed), f"{path.name} imports {module}"


def test_only_twins_name_torch():
    for path in sorted(ROOT.rglob("*.py")):
        if "twins" not in path.parts:
            named = {m.split(".")[0] for m in imports(path)}
            assert "torch" not in named, path


def test_no_tolerance_stands_anywhere():
    """Bounds are derived. A number per layer to pass by would be the beginning of the end."""
    words = ("rtol", "atol", "allclose", "isclose", "assert_close", "approx(")
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        assert not [w for w in words if w in text], path


def test_subpackages_load_on_first_use():
    code = "import npnet; print(npnet.nn.Linear(2, 3), 'verify' in dir(npnet))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "Linear(in_features=2, out_features=3, bias=True) True"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = npnet.nothing
