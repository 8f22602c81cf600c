"""Slips in names, options, entries and tuples."""

import ast
from collections.abc import Iterator, Sequence
from itertools import permutations

from npnet.verify.diagnose.formula.calls import ARRANGING, SMOOTH
from npnet.verify.diagnose.formula.conditions import settled
from npnet.verify.diagnose.formula.trees import Other, Scope, Tree, call, of


def variable(node: ast.Name, scope: Scope) -> Iterator[Other]:
    """Another variable."""
    kind = scope.variables.get(node.id)
    if kind is None:
        yield from _function(node, scope)
    for v, other in scope.variables.items():
        if v != node.id and other == kind:
            variable = ast.Name(v, ast.Load())
            yield Other(variable, "constant", f"it takes {v} for {node.id}", 0.15)
    for item in sorted(scope.items) if kind is not None and kind[0] == "array" else ():
        tree = ast.parse(item, mode="eval").body
        yield Other(tree, "constant", f"it takes {item} for {node.id}", 0.2)
    if kind is not None and kind[0] == "integers":
        yield from _other_integers(node)
    elif kind == ("int",):
        for op, text in ((ast.Add(), "1 more than"), (ast.Sub(), "1 less than")):
            tree = of(node, op, ast.Constant(1))
            yield Other(tree, "constant", f"it takes {text} {node.id}", 0.2)
        yield Other(ast.Constant(1), "constant", f"it takes 1 for {node.id}", 0.2)
    elif kind == ("bool",):
        yield from settled(node)


def _function(node: ast.Name, scope: Scope) -> Iterator[Other]:
    """A function that is handed over, in place of another."""
    arity = next((n for n, names in scope.functions.items() if node.id in names), None)
    if arity is None:
        return
    for f in (*scope.functions[arity], *(SMOOTH if arity == 1 else ())):
        if f != node.id:
            tree = ast.parse(f, mode="eval").body
            yield Other(tree, "constant", f"it is {f}, not {node.id}", 0.1)


def _other_integers(node: Tree) -> Iterator[Other]:
    """One number for each of several axes."""
    text = ast.unparse(node)
    ones = ast.Tuple([ast.Constant(1)], ast.Load())
    count = ast.Call(ast.Name("len", ast.Load()), [node], [])
    minus = ast.UnaryOp(ast.USub(), ast.Constant(1))
    turned = ast.Subscript(node, ast.Slice(step=minus), ast.Load())
    first = ast.Subscript(node, ast.Slice(None, ast.Constant(1)), ast.Load())
    for tree, kind, what in (
        (of(ones, ast.Mult(), count), "option", f"{text} is ignored: it takes 1 for all"),
        (turned, "order", f"{text} is read in reversed order"),
        (of(first, ast.Mult(), count), "option", f"the first of {text} is taken for all"),
    ):
        yield Other(tree, kind, what, 0.1)


def option(node: ast.Attribute, scope: Scope) -> Iterator[Other]:
    """Another option, or none."""
    if isinstance(node.value, ast.Name) and node.value.id == "self":
        text, kind = f"self.{node.attr}", scope.options.get(node.attr)
        for o, other in scope.options.items():
            if o != node.attr and other == kind:
                tree = ast.Attribute(node.value, o, ast.Load())
                yield Other(tree, "option", f"it takes self.{o} for {text}", 0.2)
        if kind == ("bool",):
            yield from settled(node)
        elif kind is not None and kind[0] == "integers":
            yield from _other_integers(node)
        if kind not in (("int",), ("float",)):
            return
        for n in (0, 1):
            yield Other(ast.Constant(n), "option", f"{n} stands for {text}")
        yield Other(of(ast.Constant(1), ast.Sub(), node), "option", f"1 - {text} for {text}", 0.1)
        yield Other(of(node, ast.Mult(), node), "option", f"{text}² stands for {text}", 0.15)
        yield Other(call("np.sqrt", node), "option", f"√{text} stands for {text}", 0.15)
        yield Other(of(ast.Constant(2), ast.Mult(), node), "option", f"2·{text} for {text}", 0.2)
    elif node.attr in ARRANGING:
        yield Other(node.value, "order", f".{node.attr} is missing")


def item(node: ast.Subscript, scope: Scope) -> Iterator[Other]:
    """Another entry or another slice."""
    at = node.slice
    if isinstance(at, ast.Constant) and isinstance(at.value, str):
        for key in scope.keys:
            if key != at.value:
                tree = ast.Subscript(node.value, ast.Constant(key), ast.Load())
                yield Other(tree, "swapped", f"it takes {key} for {at.value}", 0.1)
        return
    yield Other(node.value, "order", "the index is missing", 0.1)
    if isinstance(at, ast.Slice):
        one = ast.Constant(1)
        minus = ast.UnaryOp(ast.USub(), one)
        slices = [ast.Slice(step=minus)] if at.step is None else [ast.Slice(at.lower, at.upper)]
        slices += [ast.Slice(at.lower, None, at.step)] if at.upper is not None else []
        slices += [ast.Slice(None, at.upper, at.step)] if at.lower is not None else []
        slices += [ast.Slice(one, None), ast.Slice(None, minus)]
        for s in (s for s in slices if ast.dump(s) != ast.dump(at)):
            tree = ast.Subscript(node.value, s, ast.Load())
            yield Other(tree, "order", "the slice is another", 0.15)


def sliced(node: ast.Slice, scope: Scope) -> Iterator[Other]:
    """A slice inside of an index of several."""
    minus = ast.UnaryOp(ast.USub(), ast.Constant(1))
    if node.step is None and node.lower is None and node.upper is None:
        yield Other(ast.Slice(step=minus), "order", "the axis is in reversed order", 0.15)
    elif node.step is not None:
        yield Other(ast.Slice(node.lower, node.upper), "order", "the step is missing", 0.1)


def several(node: ast.Tuple, scope: Scope) -> Iterator[Other]:
    """Another order, or one less."""
    parts = node.elts
    if not 2 <= len(parts) <= 5 or any(isinstance(p, ast.Starred) for p in parts):
        if len(parts) > 1:
            for i, part in enumerate(parts):
                rest = [p for j, p in enumerate(parts) if j != i]
                tree = ast.Tuple(rest, ast.Load())
                yield Other(tree, "reduction", "{} is left out", 0.1, about=part)
        return
    for order in permutations(range(len(parts))):
        if (order != tuple(range(len(parts))) and len(parts) <= 3) or _are_neighbours(order):
            tree = ast.Tuple([parts[i] for i in order], ast.Load())
            yield Other(tree, "order", "the order is another", 0.05)
    for i, part in enumerate(parts):
        rest = [p for j, p in enumerate(parts) if j != i]
        tree = ast.Tuple(rest, ast.Load())
        yield Other(tree, "reduction", "{} is left out", 0.1, about=part)


def _are_neighbours(order: Sequence[int]) -> bool:
    return sum(i != k for i, k in enumerate(order)) == 2


def dressed(node: Tree, scope: Scope, cost: float) -> Iterator[Other]:
    """Something done to a value that should be left as it is."""
    one = ast.Constant(1)
    for tree, what in (
        (ast.UnaryOp(ast.USub(), node), "minus that"),
        (of(ast.Constant(2), ast.Mult(), node), "twice that"),
        (of(node, ast.Div(), ast.Constant(2)), "half of that"),
        (of(node, ast.Mult(), node), "its square"),
        (call("np.sqrt", node), "its root"),
        (call("np.abs", node), "its absolute value"),
        (of(one, ast.Sub(), node), "1 minus that"),
        (of(one, ast.Div(), node), "1 over that"),
        (of(node, ast.Add(), one), "that plus 1"),
    ):
        yield Other(tree, "constant", f"it takes {what} for {{}}", cost, about=node)
    kind = scope.variables.get(node.id) if isinstance(node, ast.Name) else None
    arrays = {v: k for v, k in scope.variables.items() if k[:2] == ("array", "f")}
    alike = [v for v, k in arrays.items() if kind is None or k == kind]
    for option in (*_options(scope), *(ast.Name(v, ast.Load()) for v in alike)):
        text = ast.unparse(option)
        times, over = of(node, ast.Mult(), option), of(node, ast.Div(), option)
        of_array = isinstance(option, ast.Name) and option.id in arrays
        of_kind = "axis factor" if of_array else "factor"
        yield Other(times, of_kind, f"it multiplies {{}} by {text}", cost + 0.05, about=node)
        yield Other(over, of_kind, f"it divides {{}} by {text}", cost + 0.05, about=node)


def _options(scope: Scope) -> Iterator[Tree]:
    """Numbers that a formula has at hand: options, and variables that hold one."""
    for option, kind in scope.options.items():
        if kind not in (("int",), ("float",)):
            continue
        yield ast.Attribute(ast.Name("self", ast.Load()), option, ast.Load())
    for variable, kind in scope.variables.items():
        if kind == ("float",) and variable not in scope.options:
            yield ast.Name(variable, ast.Load())
