"""npnet init: what it writes works, and it overwrites nothing."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from npnet import cli
from npnet.cli.starting import CANDIDATES, GITHUB, GITLAB
from tests.commands import npnet_

WORKFLOWS = [((), GITHUB), (("--gitlab",), GITLAB)]


@pytest.fixture(autouse=True)
def place(folder: Path) -> Path:
    """An empty folder."""
    return folder


def commands(text: str) -> list[list[str]]:
    """The npnet commands that a workflow runs."""
    return [shlex.split(m) for m in re.findall(r"^ +(npnet .*)$", text, re.MULTILINE)]


@pytest.mark.parametrize(("arguments", "workflow"), WORKFLOWS)
def test_it_says_what_it_writes_and_what_comes_next(arguments, workflow):
    done = npnet_("init", *arguments)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"written: {CANDIDATES}",
        f"written: {workflow}",
        f"next: npnet verify {CANDIDATES}",
    ]
    assert sorted(p for p in Path().rglob("*") if p.is_file()) == sorted(
        [Path(CANDIDATES), workflow]
    )


def test_the_candidates_are_right_and_every_part_of_them_is_asked():
    npnet_("init")
    done = npnet_("verify", CANDIDATES, "--examples", "20")
    assert done.exit_code == 0, done.output
    assert "1 layer verified" in done.output
    text = Path(CANDIDATES).read_text()
    Path(CANDIDATES).write_text(text.replace("dout.sum(0)", "dout.mean(0)"))
    assert npnet_("verify", CANDIDATES, "--examples", "20").exit_code == 1


@pytest.mark.parametrize(("arguments", "workflow"), WORKFLOWS)
def test_the_workflow_runs_what_there_is_and_keeps_what_it_writes(arguments, workflow):
    npnet_("init", *arguments)
    text = workflow.read_text()
    assert "FILE" not in text
    ((program, command, *rest),) = commands(text)
    assert (program, rest[0]) == ("npnet", CANDIDATES)
    # with few examples, it is what the workflow runs, to the letter
    done = npnet_(command, *rest, "--examples", "20")
    assert done.exit_code == 0, done.output
    kept = Path(rest[rest.index("--report-dir") + 1])
    assert {p.name for p in kept.iterdir()} == {
        "index.html",
        "junit.xml",
        "results.jsonl",
        "summary.md",
    }
    assert re.search(rf"(path: |- ){kept}$", text, re.MULTILINE)
    assert "if: always()" in text or "when: always" in text
    assert "https://download.pytorch.org/whl/cpu" in text
    assert '"npnet[torch]"' in text
    assert "allow_failure" not in text
    assert "continue-on-error" not in text


@pytest.mark.parametrize(("arguments", "workflow"), WORKFLOWS)
def test_the_workflow_is_yaml(arguments, workflow):
    """The part of YAML that it is written in: nested keys, lists, plain and block scalars."""
    npnet_("init", *arguments)
    depths, block = [0], None
    for number, line in enumerate(workflow.read_text().splitlines(), start=1):
        body = line.lstrip(" ")
        indent = len(line) - len(body)
        if block is not None and indent > block:
            continue
        block = None
        if not body or body.startswith("#"):
            continue
        assert "\t" not in line, number
        assert indent % 2 == 0, number
        assert indent <= depths[-1] + 4, number
        depths.append(indent)
        entry = body.removeprefix("- ")
        key = re.fullmatch(r"([\w-]+):(?: (.+))?", entry)
        assert key or body.startswith("- "), f"line {number} is neither a key nor an item: {line}"
        value = key[2] if key else entry
        if value == "|":
            block = indent
        elif value and not value.startswith('"'):
            assert ": " not in value, number
            assert " #" not in value, number
            assert value[0] not in "[]{}&*!|>'%@`", number


def test_a_file_of_ones_own_is_kept_and_verified():
    Path("my layers.py").write_text("# mine\n")
    done = npnet_("init", "my layers.py")
    assert done.output.splitlines() == [
        f"written: {GITHUB}",
        "next: npnet verify 'my layers.py'",
    ]
    assert Path("my layers.py").read_text() == "# mine\n"
    assert commands(GITHUB.read_text())[0][2] == "my layers.py"
    assert npnet_("init", "src/new.py", "--gitlab").exit_code == 0
    assert npnet_("verify", "src/new.py", "--examples", "20").exit_code == 0


@pytest.mark.parametrize("taken", [Path(CANDIDATES), GITHUB])
def test_nothing_is_overwritten(taken):
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_text("mine")
    done = npnet_("init")
    assert done.exit_code == 2
    assert f"must not be there yet, but {taken} is." in done.output
    assert done.output.rstrip().endswith("To overwrite: --force.")
    assert ("npnet init npnet_candidates.py" in done.output) == (taken == Path(CANDIDATES))
    assert [p for p in Path().rglob("*") if p.is_file()] == [taken]
    assert taken.read_text() == "mine"

    assert npnet_("init", "--force").exit_code == 0
    assert taken.read_text() != "mine"


def test_the_second_service_does_not_cost_the_candidates():
    npnet_("init")
    Path(CANDIDATES).write_text("mine")
    assert npnet_("init", "--gitlab").exit_code == 2
    assert npnet_("init", CANDIDATES, "--gitlab").exit_code == 0
    assert Path(CANDIDATES).read_text() == "mine"
    assert GITLAB.exists()


def test_what_makes_no_sense_is_refused():
    for file in ("mylayers", str(Path("mylayers.py").absolute())):
        done = npnet_("init", file)
        assert done.exit_code == 2
        assert f"such as npnet_candidates.py, but is {file}." in done.output
    Path(".github").write_text("")
    done = npnet_("init")
    assert done.exit_code == 2
    assert f"{GITHUB} cannot be written: " in done.output


def test_below_the_root_of_a_repository_it_says_so(place, monkeypatch):
    subprocess.run(["git", "init", "-q"], check=True)
    Path("below").mkdir()
    monkeypatch.chdir(place / "below")
    assert f"note: workflows are read at the root of the repository, which is {place}" in (
        npnet_("init").output
    )


def test_it_is_a_command():
    assert isinstance(cli.cli.commands["init"], click.Command)
    assert "init" in npnet_("--help").output
