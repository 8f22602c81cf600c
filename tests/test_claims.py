"""What the specs claim of torch is so, of torch itself and of npnet's own layers."""

import numpy as np
import pytest

from npnet.contract import ShapeError
from npnet.twins import SPECS
from npnet.twins.itself import torch_itself
from npnet.verify.claim import Ask, refuses, same
from npnet.verify.targets import native
from tests.mutants._unseen import UNSEEN
from tests.studies.mutants import all_mutants

MUTANTS = [*all_mutants(), *UNSEEN]
CLAIMS = [(name, claim) for name, spec in SPECS.items() for claim in spec.claims]
ids = [f"{name}: {claim.text}" for name, claim in CLAIMS]


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=ids)
def test_claim_holds_of_torch(name, claim):
    assert claim.check(Ask(torch_itself(name), SPECS[name]))


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=ids)
def test_claim_holds_of_npnet(name, claim):
    assert claim.check(Ask(native(name), SPECS[name]))


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.claims])
def test_every_claim_is_broken_by_a_mistake(name):
    wrong = [Ask(native(name, m.build()), SPECS[name]) for m in MUTANTS if m.layer == name]

    unbroken = [c.text for c in SPECS[name].claims if all(holds(c, ask) for ask in wrong)]
    assert unbroken == []


@pytest.mark.parametrize("mutant", UNSEEN, ids=lambda m: f"{m.layer}: {m.mistake}")
def test_a_mistake_that_no_question_shows_breaks_a_claim(mutant):
    ask = Ask(native(mutant.layer, mutant.build()), SPECS[mutant.layer])

    assert not all(holds(claim, ask) for claim in SPECS[mutant.layer].claims)


def holds(claim, ask):
    """Whether what answers keeps to the claim, and answers at all."""
    try:
        with np.errstate(all="ignore"):
            return claim.check(ask)
    except Exception:
        return False


def test_every_module_optimizer_and_schedule_has_claims():
    assert [name for name, spec in SPECS.items() if not spec.claims] == []


@pytest.mark.parametrize(
    ("raised", "refused"),
    [
        (ValueError, True),
        (RuntimeError, True),
        (IndexError, True),
        (AssertionError, True),
        (ShapeError, True),
        (None, False),
    ],
)
def test_what_raises_an_error_about_its_arguments_refuses(raised, refused):
    def ask():
        if raised is not None:
            raise raised("no")

    assert refuses(ask) is refused


@pytest.mark.parametrize("raised", [TypeError, AttributeError, KeyError, ZeroDivisionError])
def test_a_mistake_in_a_claim_is_no_refusal(raised):
    def ask():
        raise raised("a claim that was written wrongly")

    with pytest.raises(raised):
        refuses(ask)


def test_a_claim_is_a_sentence():
    assert [claim.text for _, claim in CLAIMS if not claim.text.endswith(".")] == []


@pytest.mark.parametrize(
    ("got", "want", "alike"),
    [
        ([1.0], [1.0], True),
        ([1.0], 1.0, False),
        ([1.0], [1.0 + 1e-8], False),
        ([float("nan")], [float("nan")], True),
        ([float("inf")], [float("inf")], True),
        ([float("inf")], [-float("inf")], False),
        ([float("nan")], [0.0], False),
    ],
)
def test_same_compares_shapes_before_numbers(got, want, alike):
    assert same(got, want) is alike
