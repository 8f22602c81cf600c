"""Slips in comparisons, and in what hangs on them."""

import ast
from collections.abc import Iterator

from npnet.verify.diagnose.formula.trees import Other, Scope, Tree

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq, ast.LtE, ast.GtE),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def compared(node: ast.Compare, scope: Scope) -> Iterator[Other]:
    """Another comparison."""
    if len(node.ops) > 1:
        return
    for op in _COMPARISONS.get(type(node.ops[0]), ()):
        tree = ast.Compare(node.left, [op()], node.comparators)
        yield Other(tree, "where", "the comparison is another")
    yield from settled(node)


def settled(node: Tree) -> Iterator[Other]:
    """A condition that always holds, or never."""
    yield Other(ast.Constant(True), "when", "the condition is not asked: it holds always", 0.1)
    yield Other(ast.Constant(False), "when", "the condition is not asked: it never holds", 0.1)


def logic(node: ast.BoolOp, scope: Scope) -> Iterator[Other]:
    """A condition left out."""
    for i, value in enumerate(node.values):
        rest = [v for j, v in enumerate(node.values) if j != i]
        tree = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        yield Other(tree, "when", "the condition {} is missing", about=value)
    yield from settled(node)


def either(node: ast.IfExp, scope: Scope) -> Iterator[Other]:
    """One case for both."""
    yield Other(node.body, "when", "it is {} always", about=node.body)
    yield Other(node.orelse, "when", "it is {} always", about=node.orelse)
    yield Other(ast.IfExp(node.test, node.orelse, node.body), "when", "the cases are exchanged")
