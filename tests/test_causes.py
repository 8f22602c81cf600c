"""Every planted mistake has a cause stated beforehand."""

import pytest

from tests.mutants.causes import KINDS, applies, causes, rules
from tests.studies.mutants import all_mutants

MUTANTS = all_mutants()

STATED = [
    ("Sigmoid", "forgets 1 - y", {"axis factor"}),
    ("Tanh", "halves x", {"constant"}),
    ("Tanh", "lets dy through", {"passed"}),
    ("ReLU", "lets dy through", {"where", "passed"}),
    ("Mish", "has no gradient", {"zero", "contract"}),
    ("GELU", "ignores the sign of dy", {"upstream"}),
    ("GELU", "takes the tanh form's slope for the exact one", {"option", "dialect", "when"}),
    ("ReLU", "has slope 1 at 0", {"where", "dialect"}),
    ("ReLU", "returns the same array every time", {"protocol"}),
    ("Hardsigmoid", "is Keras' older one", {"dialect"}),
    ("Softplus", "ignores beta", {"option"}),
    ("Softmax", "does not subtract the largest x", {"unstable"}),
    ("Softmax", "forgets the sum", {"term"}),
    ("LogSoftmax", "subtracts the largest x in place", {"protocol"}),
    ("GLU", "exchanges the halves", {"order"}),
    ("Linear", "averages dW over the batch", {"reduction", "factor"}),
    ("Linear", "goes back through the transpose where W is square", {"order", "when"}),
    ("Linear", "sums db in float64", {"contract"}),
    ("Conv2d", "flips the kernel", {"order"}),
    ("Conv2d", "ignores the bias", {"ignored", "term"}),
    ("Conv3d", "pads with zeros in every mode", {"option", "where", "when"}),
    ("ReplicationPad2d", "drops the gradient of the copies", {"reduction", "term", "where"}),
    ("MaxPool1d", "all of the equal maxima get the gradient", {"where", "dialect"}),
    ("AvgPool2d", "ignores divisor_override", {"option", "factor"}),
    ("MaxUnpool2d", "returns the gradient of one input", {"contract"}),
    ("Flatten", "adds the sizes up", {"contract", "crash"}),
    ("Embedding", "the last of several equal indices takes all", {"where", "reduction"}),
    ("Embedding", "scales the caller's weight", {"protocol"}),
    ("Dropout", "does not make up for what it drops", {"factor", "dialect"}),
    ("BatchNorm2d", "forgets that the variance depends on x", {"term", "statistics"}),
    ("BatchNorm1d", "keeps the biased variance", {"dialect"}),
    ("BatchNorm1d", "exchanges momentum and 1 - momentum", {"option", "dialect"}),
    ("LayerNorm", "forgets the scale of the gradient", {"axis factor"}),
    ("LayerNorm", "takes the gradient through the weight for granted", {"axis factor", "ignored"}),
    ("GRU", "exchanges reset and update gate", {"order", "dialect"}),
    ("LSTM", "ignores the gradient of c_n", {"term", "upstream"}),
    ("RNN", "does not carry the hidden state's gradient back", {"zero", "term"}),
    ("MultiheadAttention", "exchanges the gradients of key and value", {"order", "swapped"}),
    ("TransformerEncoderLayer", "forgets the skip path", {"term"}),
    ("Sequential", "keeps the passes of its last call only", {"protocol"}),
    ("Sequential", "returns dy as the gradient of x", {"passed"}),
    ("MSELoss", "takes half the square", {"factor", "dialect"}),
    ("MSELoss", "divides by the batch size only", {"factor", "reduction", "dialect"}),
    ("MSELoss", "gives the target the prediction's gradient", {"factor", "swapped"}),
    ("BCELoss", "has no floor under the logarithms", {"where", "unstable"}),
    ("CrossEntropyLoss", "forgets class weights backwards", {"ignored", "axis factor"}),
    ("CTCLoss", "takes dL/dy for 1", {"upstream"}),
    ("optim.Adam", "adds eps under the root", {"dialect"}),
    ("optim.Adam", "corrects in float64", {"contract", "crash"}),
    ("optim.AdamW", "adds the decay to the gradient", {"dialect", "term"}),
    ("optim.SGD", "puts the rate into the buffer", {"dialect", "factor"}),
    ("optim.SGD", "ignores maximize", {"option", "when"}),
    ("lr_scheduler.StepLR", "decays a step late", {"where", "order"}),
]


def test_every_mistake_has_a_cause_of_the_kinds_there_are():
    for mutant in MUTANTS:
        assert causes(mutant), f"{mutant.layer}: {mutant.mistake}"
        assert causes(mutant) <= set(KINDS), f"{mutant.layer}: {mutant.mistake}"


def test_every_rule_is_the_first_that_applies_to_some_mistake():
    unused = set(rules())
    for mutant in MUTANTS:
        unused.discard(next(rule for rule in rules() if applies(rule, mutant)))

    assert unused == set()


@pytest.mark.parametrize(
    ("layer", "mistake", "kinds"), STATED, ids=[f"{s[0]}-{s[1]}" for s in STATED]
)
def test_cause(layer, mistake, kinds):
    mutant = next(m for m in MUTANTS if (m.layer, m.mistake) == (layer, mistake))

    assert causes(mutant) == kinds
