"""Pages of prose: each does what it says, and one that does not is refused."""

import re
import tempfile

import pytest

from npnet.contract import ConfigError
from npnet.guide import pages, source

SAYS = {
    "first-backward-pass": [
        "why        only the diagonal of the Jacobian counts",
        "why        the sum of dy·y in it runs over everything",
        "only when  x is not (1, 3)",
        "1 layer verified",
        "FIXED",
    ],
    "numpy-to-pytorch": [
        "DIVERGED  0 · y",
        "3 layers verified",
        "why        it takes the logarithm of p + 1e-7, torch that of p",
        "also       gradient of input 0 ok",
        "6 layers verified",
        "2 layers verified",
    ],
    "pytorch-to-numpy": [
        "why        it answers in evaluation as in training",
        "torch is imported: False",
        "10 layers verified",
    ],
    "checkpoints": [
        "the network: y, 3 buffers and 7 gradients agree",
        "# held against nets.py:model",
        "nearest is '5.weight'",
        "8 of them as they were",
    ],
    "in-ci": [
        "written: .github/workflows/npnet.yml",
        "Did you mean candidates.py?",
        "test_backward[affine-float64-gradient-of-bias",
        "ACCEPTED  affine · gradient of bias",
        "no longer diverges",
    ],
}
"""What the prose of a page speaks of: it has to be seen in what the commands print."""


@pytest.mark.xdist_group("guide")
@pytest.mark.parametrize("name", pages.names())
def test_a_page_does_what_it_says(name, guide):
    written = guide.texts[name]

    assert pages.title(written)
    assert tempfile.gettempdir() not in written
    assert [words for words in SAYS.get(name, []) if words not in written] == []


def test_the_pages_of_which_words_are_expected_are_there():
    assert set(SAYS) <= set(pages.names())


@pytest.mark.parametrize("name", pages.names())
def test_a_page_links_to_layers_that_there_are(name):
    linked = re.findall(r"\]\(\.\./layers/([^)]*)\.md\)", pages.source(name))

    assert set(linked) <= {*source.names(), "index"}


# ---- directives ----------------------------------------------------------------------------------


def page(folder, *parts):
    """A page of these directives, carried out."""
    return pages.carried_out("it", "# It\n\n" + "\n\n".join(parts), folder)


FILE = "```{file} one.py\nx = 1\n\ny = 2\n```"


def test_a_file_is_written_and_shown(tmp_path):
    written = page(tmp_path, FILE)

    assert (tmp_path / "one.py").read_text() == "x = 1\n\ny = 2\n"
    assert "````{code-block} python\n:caption: one.py\n\nx = 1\n\ny = 2\n````" in written


def test_a_command_is_shown_with_what_it_prints_and_its_exit_code(tmp_path):
    fine, failing = "print('fine')", "print('bad'); raise SystemExit(3)"
    written = page(
        tmp_path,
        f'```{{run}} python -c "{fine}"\n```',
        f'```{{run}} python -c "{failing}"\nexit: 3\n```',
    )

    assert f'$ python -c "{fine}"\nfine\n````' in written
    assert f'$ python -c "{failing}"\nbad\n$ echo $?\n3\n````' in written


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("first: 2", "1\n2\n…\n````"),
        ("last: 2", "…\n3\n4\n````"),
        ("first: 4", "1\n2\n3\n4\n````"),
    ],
)
def test_so_many_lines_are_shown(option, shown, tmp_path):
    command = "python -c 'for i in range(1, 5): print(i)'"

    assert f"$ {command}\n{shown}" in page(tmp_path, f"```{{run}} {command}\n{option}\n```")
    assert page(tmp_path, f"```{{run}} {command}\nquiet:\n```") == "# It\n\n"


def test_a_change_edits_the_file_empty_lines_included(tmp_path):
    written = page(tmp_path, FILE, "```{change} one.py\n  x = 1\n\n- y = 2\n+ y = 3\n```")

    assert (tmp_path / "one.py").read_text() == "x = 1\n\ny = 3\n"
    assert "````{code-block} diff\n:caption: one.py\n\n  x = 1\n\n- y = 2\n+ y = 3\n````" in written


def test_python_goes_on_where_it_was_and_imports_files_as_they_are_now(tmp_path):
    written = page(
        tmp_path,
        "```{python}\nz = 5\n```",
        FILE,
        "```{python}\nimport one\nprint(one.y + z)\n```",
        "```{change} one.py\n- y = 2\n+ y = 3\n```",
        "```{python}\nimport one\nprint(one.y + z)\n```",
        "```{run} python -c 'import one; print(one.y * 100)'\n```",
    )

    assert re.findall(r"^\d+$", written, re.MULTILINE) == ["7", "8", "300"]


def test_pages_do_not_see_each_others_files(tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = f"```{{file}} same.py\nx = {number}\n```"
        written = page(folder, file, "```{python}\nimport same\nprint('it is', same.x)\n```")
        assert f"it is {number}" in written


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (["```{run} python -c 'raise SystemExit(3)'\n```"], "exit with 0, but exits with 3"),
        (["```{run} python -c 'print(6)'\nexit: 1\n```"], "exit with 1, but exits with 0:\n6"),
        (["```{run} python -c pass\nexits: 1\n```"], "must have options as `exit: 1`"),
        (["```{python}\nprint(1 / 0)\n```"], "ZeroDivisionError: division by zero\nprint(1 / 0)"),
        (["```{python}\nimport nowhere_at_all\n```"], "No module named 'nowhere_at_all'"),
        ([FILE, "```{change} one.py\n- y = 3\n+ y = 4\n```"], "one.py must hold these lines once"),
        (
            ["```{file} two.py\na = 1\na = 1\n```", "```{change} two.py\n- a = 1\n+ a = 2\n```"],
            "two.py must hold these lines once",
        ),
        (["```{change} none.py\n- y = 3\n```"], "none.py must be there to be changed"),
        (["```{python}\nx = 1\n"], "`{python}` must end with ```, but does not"),
    ],
)
def test_a_page_that_does_not_do_what_it_says_is_refused(parts, says, tmp_path):
    with pytest.raises(ConfigError) as refused:
        page(tmp_path, *parts)

    assert "the page 'it' does not do what it says" in str(refused.value)
    assert says.replace("`{python}`", "`" + "```{python}`") in str(refused.value)
