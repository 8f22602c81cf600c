"""Slips in sums, products, powers and constants."""

import ast
from collections.abc import Iterator

from npnet.verify.diagnose.formula.trees import Other, Scope, Tree, call, of, transposed


def arithmetic(node: ast.BinOp, scope: Scope) -> Iterator[Other]:
    """Slips in a sum, a product, a quotient, a power."""
    a, b, op = node.left, node.right, node.op
    if isinstance(op, ast.Mult):
        for left, gone in ((a, b), (b, a)):
            kind = scope.kind(gone, "factor")
            yield Other(left, kind, "the factor {} is missing", about=gone)
        for left, over in ((a, b), (b, a)):
            kind = scope.kind(over, "factor")
            yield Other(of(left, ast.Div(), over), kind, "it divides by {}", 0.1, about=over)
        yield Other(of(a, ast.Add(), b), "constant", "it adds where it should multiply", 0.2)
        yield from _squares(node)
        nothing = of(ast.Constant(0.0), ast.Mult(), node)
        yield Other(nothing, "zero", "{} is missing", 0.1, about=node)
    elif isinstance(op, ast.Div):
        kind = scope.kind(b, "factor")
        yield Other(a, kind, "it does not divide by {}", about=b)
        yield from _guarded(node)
        yield Other(of(a, ast.FloorDiv(), b), "constant", "it keeps the whole part only", 0.1)
        yield Other(of(a, ast.Mult(), b), kind, "it multiplies by {}", 0.05, about=b)
        yield Other(of(b, ast.Div(), a), "constant", "the quotient is upside down", 0.1)
    elif isinstance(op, ast.Add | ast.Sub):
        plus = isinstance(op, ast.Add)
        flipped = ast.Sub() if plus else ast.Add()
        plain = 0.03 * isinstance(a, ast.Constant)  # what is left is no formula
        yield Other(a, scope.kind(b, "term"), "the term {} is missing", plain, about=b)
        rest = b if plus else ast.UnaryOp(ast.USub(), b)
        yield Other(rest, "term", "the term {} is missing", about=a)
        sign = "subtracted, not added" if plus else "added, not subtracted"
        yield Other(of(a, flipped, b), "term", f"{{}} is {sign}", about=b)
        if not plus:
            yield Other(b, "term", "{} and the minus are missing", 0.1, about=a)
            yield Other(of(b, ast.Sub(), a), "factor", "the difference is the other way round")
        yield Other(of(a, ast.Mult(), b), "constant", "it multiplies where it should add", 0.2)
    elif isinstance(op, ast.Pow):
        yield Other(a, "constant", "the power is missing")
        root = call("np.sqrt", a)
        yield Other(root, "constant", "it takes a root in place of the power", 0.1)
        yield Other(of(a, ast.Mult(), b), "constant", "it multiplies, where it is a power", 0.1)
    elif isinstance(op, ast.MatMult):
        yield Other(of(b, ast.MatMult(), a), "order", "the matrices are exchanged")
        yield Other(a, "term", "it does not multiply by {}", 0.1, about=b)
        yield Other(b, "term", "it does not multiply by {}", 0.1, about=a)
        yield Other(of(a, ast.MatMult(), transposed(b)), "order", "{} is transposed", about=b)
        yield Other(of(transposed(a), ast.MatMult(), b), "order", "{} is transposed", about=a)
    elif isinstance(op, ast.Mod | ast.FloorDiv):
        yield Other(a, "constant", f"{_SYMBOL[type(op)]} is missing", 0.1)
        yield Other(of(a, ast.Div(), b), "constant", "it does not round down", 0.05)
    elif isinstance(op, ast.BitAnd | ast.BitOr):
        other = ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd()
        yield Other(a, "where", "the condition {} is missing", 0.05, about=b)
        yield Other(b, "where", "the condition {} is missing", 0.05, about=a)
        yield Other(of(a, other, b), "where", "and and or are exchanged", 0.1)


def _guarded(node: ast.BinOp) -> Iterator[Other]:
    """A divisor with a small number on top."""
    for eps in SMALL:
        tree = of(node.left, node.op, of(node.right, ast.Add(), ast.Constant(eps)))
        yield Other(tree, "constant", f"it adds {eps:g} to the divisor", 0.3)


SMALL = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


def _squares(node: ast.BinOp) -> Iterator[Other]:
    """A factor that occurs twice in a product, once, not at all, or as its absolute value."""
    factors = _factors(node)
    texts = [ast.unparse(f) for f in factors]
    for text in dict.fromkeys(t for t in texts if texts.count(t) == 2):
        x = factors[texts.index(text)]
        rest = [f for f, t in zip(factors, texts, strict=True) if t != text]
        for instead, what in (
            ([call("np.abs", x)], f"it takes |{text}| for {text}²"),
            ([], f"the factor {text}² is missing"),
        ):
            if left := [*rest, *instead]:
                product = left[0]
                for f in left[1:]:
                    product = of(product, ast.Mult(), f)
                yield Other(product, "constant", what, 0.05)


def _factors(node: Tree) -> list[Tree]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


_SYMBOL = {ast.Mod: "the remainder", ast.FloorDiv: "the whole quotient"}


def signed(node: ast.UnaryOp, scope: Scope) -> Iterator[Other]:
    """A sign or a negation left out."""
    if isinstance(node.op, ast.USub):
        yield Other(node.operand, "factor", "the minus is missing")
    else:
        yield Other(node.operand, "where", "the condition is turned round")


def number(node: ast.Constant, scope: Scope) -> Iterator[Other]:
    """Another constant."""
    c = node.value
    if isinstance(c, bool):
        yield Other(ast.Constant(not c), "option", f"{not c} stands for {c}")
    elif isinstance(c, int):
        for n in dict.fromkeys((0, 1, -1, 2, c + 1, c - 1, -c, 2 * c, 3)):
            if n != c:
                yield Other(ast.Constant(n), "constant", f"{n} stands for {c}", 0.05)
        for x in (0.5, c / 2) if c else ():
            if x != int(x):
                yield Other(ast.Constant(x), "constant", f"{x:g} stands for {c}", 0.1)
    elif isinstance(c, float):
        known = (0.0, 1.0, -c, 2 * c, c / 2, 1 - c, c * c, 2.0, 0.5)
        for x in dict.fromkeys((*known, *((1 / c, c**0.5) if c > 0 else ()))):
            if x != c:
                yield Other(ast.Constant(x), "constant", f"{x:g} stands for {c:g}", 0.05)
