"""The gallery: what npnet says of each mistake names it; and two directives of pages."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from npnet import verify
from npnet.contract import ConfigError
from npnet.guide.pages import carried_out, source
from npnet.verify import Verdict

SAID = {
    "bias.py": ("why", "1 / the batch size times torch's"),
    "embedding.py": ("why", "of repeated indices only the last one counts"),
    "relu.py": ("why", "the upstream gradient is ignored"),
    "layernorm.py": ("why", "the projection on xhat is not taken out"),
    "batchnorm.py": ("why", "`n / (n - 1)`"),
    "hardswish.py": ("observed", "off only where |x| is 3"),
    "maxpool.py": ("why", "each of equal maxima gets the whole gradient"),
    "conv.py": ("when", "stride = 2"),
    "softmax.py": ("why", "it is over the axis 0"),
    "softmaxnan.py": ("why", "without the maximum of its own row"),
    "crossentropy.py": ("why", "the mean divides by the number of targets"),
    "kldiv.py": ("why", "'batchmean'"),
    "dropout.py": ("why", "by 1 / (1 - p)"),
    "gru.py": ("why", "1406.1078v3 has it: the reset gate is applied to h before the product"),
    "pixelshuffle.py": ("why", "the right numbers in other places"),
    "adam.py": ("why", "eps is added to √v as it is"),
    "variance.py": ("observed", "loses digits or overflows where the data have a large offset"),
    "inplace.py": ("why", "it writes into what it is given"),
    "shape.py": ("why", "the axes in front are left over"),
}
"""What the first finding of an entry says, and whether that is claimed or only observed."""

VERDICTS = {
    "relu.py": Verdict.CONTRACT,
    "softmaxnan.py": Verdict.NONFINITE,
    "inplace.py": Verdict.CONTRACT,
    "shape.py": Verdict.CONTRACT,
}
"""Of the entries that are not WRONG."""


@cache
def entries():
    """The files of the gallery by name, with the line of its entry that says how to mend it."""
    found = {}
    lines = source("gallery").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("## ")] + [len(lines)]
    for start, end in pairwise(starts):
        text = "\n".join(lines[start:end])
        file = re.search(r"```\{file\} (\S+)\n(.*?)\n```", text, re.S)
        if file is not None:
            found[file[1]] = (file[2] + "\n", text)
    return found


def test_every_entry_has_code_a_source_a_run_and_a_fix():
    assert set(entries()) == set(SAID)
    for name, (_, text) in entries().items():
        assert f"```{{run}} npnet verify {name} --examples 30 --dtype float64 -q\nexit: 1" in text
        assert re.search(r"\[[\w.-]+/[\w.-]+#(\d+)\]\(https://github.com/[^)]*/\1\)", text), name
        assert "\n**The fix:** " in text


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("name", SAID)
def test_the_finding_names_the_mistake(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(entries()[name][0], encoding="utf-8")

    found = verify.run(name, examples=30, dtypes=("float64",), in_process=True).findings[0]

    how, words = SAID[name]
    told = [
        "when" if e.kind == "when" and not e.certain else "why" if e.certain else "observed"
        for e in found.explanations
        if words in e.text
    ]
    assert told[:1] == [how], [e.text for e in found.explanations]
    assert found.verdict is VERDICTS.get(name, Verdict.WRONG)


# ---- directives ----------------------------------------------------------------------------------

DRAWN = """```{python}
from pathlib import Path
Path("it.svg").write_text("<svg/>")
```

```{picture} it.svg A line that rises.
```
"""


def test_a_picture_that_the_page_has_drawn_is_shown_with_its_words(tmp_path):
    assert "![A line that rises.](it.svg)" in carried_out("page", DRAWN, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            DRAWN.replace("picture} it.svg", "picture} at.svg"),
            "no code of the page has drawn at.svg",
        ),
        (DRAWN.replace(" A line that rises.", ""), "needs words for those who cannot see it"),
    ],
    ids=["not drawn", "no words"],
)
def test_a_picture_that_is_not_there_or_says_nothing_is_refused(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        carried_out("page", text, tmp_path)


@pytest.mark.parametrize(
    ("option", "shown"),
    [("cards: 1", "one\n…"), ("cards: 2", "one\n\ntwo\n…"), ("cards: 3", "one\n\ntwo\n\nthree")],
)
def test_so_many_cards_are_shown(option, shown, tmp_path):
    """A card ends with an empty line; what is left out is told by a sign."""
    page = f"""```{{run}} python -c "print('one', 'two', 'three', sep=chr(10) * 2)"
{option}
```"""

    assert f"\n{shown}\n````" in carried_out("page", page, tmp_path)
