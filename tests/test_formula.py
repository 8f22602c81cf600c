"""The smallest change to npnet's own formula that gives a wrong answer: found, told, and undone."""

import ast

import numpy as np
import pytest

import npnet.nn.activation as activation
from npnet.contract import Forward, Grads
from npnet.verify import candidate
from npnet.verify.diagnose.formula.expressions import others
from npnet.verify.diagnose.formula.slips import slips
from npnet.verify.diagnose.formula.trees import Scope
from npnet.verify.targets import native
from tests.studies.mutants import all_mutants
from tests.test_diagnose import explained, leading

pytestmark = pytest.mark.usefixtures("patience")
NOTHING = Scope({}, {}, {}, [], frozenset(), set())

PLANTED = [
    ("GELU", "forgets that Φ depends on x", "`density(x, cdf)` is missing", "activation.py"),
    ("Softplus", "multiplies the slope by beta", "it multiplies", "activation.py"),
    ("GLU", "takes tanh for the gate", "np.tanh, not sigmoid", "gated.py"),
    ("Hardtanh", "has slope 1 at the lower bound", "the comparison is another", "hard.py"),
    ("optim.Adam", "takes |g| for g²", "|g| for g²", "adam.py"),
    ("Conv2d", "ignores the dilation but in the size", "dilation is ignored", "conv.py"),
    ("LSTM", "does not carry the cell's gradient back", "`dc * f` is missing", "lstm.py"),
    ("SELU", "exchanges scale and alpha", "alpha and scale are exchanged", "rectifier.py"),
]


@pytest.mark.parametrize(
    ("layer", "mistake", "words", "file"), PLANTED, ids=[f"{p[0]}: {p[1]}" for p in PLANTED]
)
def test_the_formula_shows_where_it_is(layer, mistake, words, file):
    mutant = next(m for m in all_mutants() if m.layer == layer and mistake in m.mistake)

    first = leading(native(layer, mutant.build()), layer).explanations[0]

    assert first.certain, first
    assert words in first.text
    assert file in first.text


@candidate("SiLU")
def written_otherwise(case):
    """A stranger's code, which says the same in other words, with one factor forgotten."""
    (x,) = case.inputs
    s = 0.5 + 0.5 * np.tanh(x / 2)

    def vjp(dy):
        return Grads(((s + s * (1 - s)) * dy,))

    return Forward(x * s, vjp)


def test_a_strangers_formula_is_compared_by_its_numbers():
    first = leading(written_otherwise, "SiLU").explanations[0]

    assert first.certain
    assert "npnet/nn/activation.py" in first.text


def test_npnet_is_left_as_it_was():
    functions = [f for f in vars(activation).values() if hasattr(f, "__code__")]
    before = [f.__code__ for f in functions]

    explained(written_otherwise, "SiLU")

    assert [f.__code__ for f in functions] == before


def test_every_slip_is_undone_by_a_second_swap():
    source = (
        "def f(x, w, eps):\n    y = (x - x.mean(axis=0)) / np.sqrt(w + eps)\n    y += x[1:] @ w.T"
    )
    (function,) = ast.parse(source).body
    scope = Scope({"x": ("array", "f", (2,)), "w": ("array", "f", (2,)), "eps": ("float",)},
                  {}, {}, [], frozenset(), set())  # fmt: skip
    right = ast.unparse(function)
    seen = set()

    for slip in slips(function, frozenset(range(1, 4)), scope):
        slip.swap()
        seen.add(ast.unparse(function))
        slip.swap()
        assert ast.unparse(function) == right

    assert len(seen) > 100
    assert right not in seen


def test_the_usual_slips_are_among_them():
    def written(expression, scope=NOTHING):
        return {ast.unparse(o.tree) for o in others(ast.parse(expression, mode="eval").body, scope)}

    assert {"a", "b", "a / b"} <= written("a * b")
    assert {"a", "-b", "a + b", "b - a"} <= written("a - b")
    assert "a" in written("a ** 2")
    assert {"x.mean(axis=0)", "x.sum()", "x[0]", "x[-1]"} <= written("x.sum(axis=0)")
    assert {"a <= b", "a >= b"} <= written("a < b")
    assert {"b @ a", "a @ b.T"} <= written("a @ b")
    assert {"np.where(c, b, a)", "a"} <= written("np.where(c, a, b)")
