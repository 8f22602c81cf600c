"""What people write in place of an expression: one slip at a time, as syntax trees.

No rule knows a layer. A slip is a small change to any formula: a factor or a term left out, a sign,
a power, a constant, another function, another variable, another axis, a comparison.
"""

import ast
from collections.abc import Iterator
from typing import Any

from npnet.verify.diagnose.formula.arithmetic import arithmetic, number, signed
from npnet.verify.diagnose.formula.calls import called
from npnet.verify.diagnose.formula.conditions import compared, either, logic
from npnet.verify.diagnose.formula.trees import Kind, Other, Scope, Tree
from npnet.verify.diagnose.formula.variables import dressed, item, option, several, sliced, variable


def others(node: Tree, scope: Scope) -> Iterator[Other]:
    """Every slip at the root of an expression."""
    rule = _RULES.get(type(node))
    if rule is not None:
        yield from rule(node, scope)
    if isinstance(node, ast.Call | ast.Subscript) and _is_arithmetic(node):
        yield from dressed(node, scope, 0.45)
    elif isinstance(node, ast.Name) and _is_number(scope.variables.get(node.id, ())):
        yield from dressed(node, scope, 0.2)


def _is_arithmetic(node: ast.Call | ast.Subscript) -> bool:
    """Whether an expression may stand for floating-point numbers."""
    if isinstance(node, ast.Subscript):
        return not (isinstance(node.value, ast.Attribute) and node.value.attr == "shape")
    return not (isinstance(node.func, ast.Name) and node.func.id in _BUILTIN)


_BUILTIN = frozenset(("range", "len", "zip", "tuple", "list", "enumerate", "reversed", "isinstance",
                      "Grads", "Forward", "sorted", "dict", "slice", "int", "replace"))  # fmt: skip


def _is_number(kind: Kind) -> bool:
    return kind[:2] == ("array", "f") or kind == ("float",)


_RULES: dict[type[ast.expr], Any] = {
    ast.BinOp: arithmetic,
    ast.UnaryOp: signed,
    ast.Constant: number,
    ast.Compare: compared,
    ast.BoolOp: logic,
    ast.IfExp: either,
    ast.Call: called,
    ast.Name: variable,
    ast.Attribute: option,
    ast.Subscript: item,
    ast.Slice: sliced,
    ast.Tuple: several,
}
