"""The planted mistakes still apply, and a sample of them is found; `make mutants` asks them all."""

from collections import Counter
from fnmatch import fnmatchcase

import pytest

from npnet.twins import SPECS
from tests.studies.mutants import all_mutants, blamed_rightly, detect
from tests.studies.soak import alternatives

MUTANTS = all_mutants()
SAMPLE = [m for name in SPECS for m in [m for m in MUTANTS if m.layer == name][::12]]


INTRICATE = (
    "Conv*",
    "*Norm*",
    "CrossMapLRN2d",
    "*RNN*",
    "*LSTM*",
    "*GRU*",
    "*Attention",
    "CTCLoss",
)


def test_every_layer_and_optimizer_has_mistakes_of_its_own():
    counts = Counter(m.layer for m in MUTANTS)
    kinds = {name: name.rpartition(".")[0] or name for name in SPECS}
    least = {"lr_scheduler": 3}
    needed = {
        name: 12 if any(fnmatchcase(name, p) for p in INTRICATE) else least.get(kind, 6)
        for name, kind in kinds.items()
    }

    assert {name: counts[name] for name, n in needed.items() if counts[name] < n} == {}
    assert max(Counter((m.layer, m.mistake) for m in MUTANTS).values()) == 1


@pytest.mark.parametrize("name", SPECS)
def test_every_edit_applies_and_compiles(name):
    for mutant in MUTANTS:
        if mutant.layer == name:
            assert mutant.build().__name__ == name.split(".")[-1], mutant.mistake


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda m: f"{m.layer}: {m.mistake}")
def test_mistake_is_found_and_the_right_quantity_blamed(mutant):
    found = detect(mutant, seed=1, examples=200)

    assert found is not None
    assert blamed_rightly(mutant, found[1]), found


def test_most_layers_have_a_second_algorithm():
    assert set(alternatives()) <= set(SPECS)
    assert len(alternatives()) >= 20
