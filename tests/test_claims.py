"""What the specs claim of torch is so, of torch itself and of npnet's own layers."""

import pytest

from npnet.contract import Forward, Grads
from npnet.twins import SPECS
from npnet.verify import adapt
from npnet.verify.case import Example
from npnet.verify.claim import Ask, same
from npnet.verify.precision import PRECISIONS
from npnet.verify.targets import native
from tests.studies.soak import torch_twin

CLAIMS = [(name, claim) for name, spec in SPECS.items() for claim in spec.claims]
ids = [f"{name}: {claim.text}" for name, claim in CLAIMS]


def torch_itself(name):
    return rates(name) if SPECS[name].schedule else adapt.torch_function(torch_twin(name))


def rates(name):
    """The answer of the spec, which is torch's own."""

    def ask(case):
        example = Example(name, case.config, {}, 1, ("normal",), kwargs=case.kwargs)
        found = SPECS[name].answer(example, PRECISIONS["float64"]).expected
        ys = tuple(e.value[0] for e in found.values())
        return Forward(ys if len(ys) > 1 else ys[0], lambda dy: Grads(()))

    return ask


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=ids)
def test_claim_holds_of_torch(name, claim):
    assert claim.check(Ask(torch_itself(name), SPECS[name]))


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=ids)
def test_claim_holds_of_npnet(name, claim):
    assert claim.check(Ask(native(name), SPECS[name]))


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
