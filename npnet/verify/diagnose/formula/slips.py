"""Every small change to the source of a function, as people make it: expressions and statements."""

import ast
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

from npnet.verify.diagnose.formula.expressions import others
from npnet.verify.diagnose.formula.trees import Other, Scope, name

Function = ast.FunctionDef


@dataclass(frozen=True)
class Slip:
    """One change to a function's tree: `swap` makes it, and undoes it the second time.

    line: where the statement begins
    told: what is done, and the expression around it, as it is and as it would be
    """

    kind: str
    line: int
    cost: float
    swap: Callable[[], None]
    told: Callable[[], tuple[str, str, str]]


def slips(function: Function, lines: Set[int], scope: Scope) -> Iterator[Slip]:
    """The slips in those statements of a function that stand in these lines."""
    yield from _exchanged(function, scope)
    for block in _blocks(function):
        for i, statement in enumerate(block):
            if not _is_in(statement, lines) or _is_plumbing(statement):
                continue
            yield from _of_statement(block, i)
            for parent, key, node in _expressions(statement):
                for o in others(node, scope):
                    swap = _swap(parent, key, o.tree)
                    told = partial(_around, statement, node, o, swap)
                    yield Slip(o.kind, statement.lineno, o.cost, swap, told)


def _exchanged(function: Function, scope: Scope) -> Iterator[Slip]:
    """Two numbers in each other's place throughout a function."""
    numbers = [n for n, kind in scope.variables.items() if kind == ("float",)]
    names = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
    for a, b in combinations(numbers, 2):
        both = {a: b, b: a}
        found = [n for n in names if n.id in both and isinstance(n.ctx, ast.Load)]

        def swap(found: list[ast.Name] = found, both: dict[str, str] = both) -> None:
            for n in found:
                n.id = both[n.id]

        told = partial(_exchange, a, b)
        if {n.id for n in found} == set(both):
            yield Slip("constant", found[0].lineno, 0.1, swap, told)


def _exchange(a: str, b: str) -> tuple[str, str, str]:
    return f"{a} and {b} are exchanged", f"{a}, {b}", f"{b}, {a}"


MARK = "__npnet_off__"
"""The name of a function that changes a value by some amount; see source.marking."""


def marks(function: Function, lines: Set[int]) -> Iterator[Slip]:
    """Of every statement in these lines its value, changed by some amount."""
    for block in _blocks(function):
        for statement in block:
            value = getattr(statement, "value", None)
            if value is None or not _is_in(statement, lines) or _is_plumbing(statement):
                continue
            off = ast.Call(ast.Name(MARK, ast.Load()), [value], [])
            swap = _swap(statement, "value", off)
            yield Slip("", statement.lineno, 0.0, swap, lambda: ("", "", ""))


def _blocks(function: Function) -> Iterator[list[ast.stmt]]:
    for node in list(ast.walk(function)):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def _is_in(statement: ast.stmt, lines: Set[int]) -> bool:
    if isinstance(statement, ast.FunctionDef):
        return False  # its own statements are visited
    end = statement.end_lineno or statement.lineno
    if isinstance(statement, ast.If | ast.For | ast.While | ast.With):
        end = statement.body[0].lineno - 1  # the head of it
    return any(n in lines for n in range(statement.lineno, max(end, statement.lineno) + 1))


def _is_plumbing(statement: ast.stmt) -> bool:
    """Whether a statement only checks, raises, declares or explains."""
    if isinstance(statement, ast.Raise | ast.Pass | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    return isinstance(called, ast.Name) and called.id.lstrip("_").startswith(("require", "check"))


def _expressions(statement: ast.stmt) -> Iterator[tuple[ast.AST, Any, ast.expr]]:
    """Every expression of a statement that is read, with what holds it and where."""
    heads: list[ast.AST] = []
    for field, value in ast.iter_fields(statement):
        if field in ("body", "orelse", "finalbody", "annotation", "handlers"):
            continue
        if field in ("targets", "target"):
            found = value if isinstance(value, list) else [value]
            heads += [t for t in found if isinstance(t, ast.Subscript)]
            continue
        if isinstance(value, ast.expr):
            yield statement, field, value
            heads.append(value)
        elif isinstance(value, list):
            heads += [v for v in value if isinstance(v, ast.AST)]
    for head in heads:
        for parent in ast.walk(head):
            for field, value in ast.iter_fields(parent):
                if isinstance(parent, ast.Call) and field == "func":
                    if isinstance(value, ast.Attribute):
                        continue  # visited itself as a parent; a method is no value
                    continue
                if isinstance(value, ast.expr):
                    if not isinstance(getattr(value, "ctx", None), ast.Store | ast.Del):
                        yield parent, field, value
                elif isinstance(value, list):
                    for i, v in enumerate(value):
                        if isinstance(v, ast.expr):
                            yield parent, (field, i), v


def _swap(parent: ast.AST, key: Any, tree: Any) -> Callable[[], None]:
    """Exchange a part of a tree with another; the second time, back again."""
    kept = [tree]

    def swap() -> None:
        now = _get(parent, key)
        _set(parent, key, ast.fix_missing_locations(ast.copy_location(kept[0], now)))
        kept[0] = now

    return swap


def _get(parent: ast.AST, key: Any) -> Any:
    if isinstance(key, tuple):
        return getattr(parent, key[0])[key[1]]
    return getattr(parent, key)


def _set(parent: ast.AST, key: Any, value: Any) -> None:
    if isinstance(key, tuple):
        getattr(parent, key[0])[key[1]] = value
    else:
        setattr(parent, key, value)


# ---- how it reads -------------------------------------------------------------------------------

_WIDE = 56


def _around(
    statement: ast.stmt, node: ast.expr, other: Other, swap: Callable[[], None]
) -> tuple[str, str, str]:
    """The expression around a node before and after, as large as a line can show."""
    for outer in (statement, *_holders(statement, node), node):
        if isinstance(outer, ast.If | ast.While):
            outer = outer.test
        elif isinstance(outer, ast.For):
            outer = outer.iter
        if not isinstance(outer, ast.stmt | ast.expr) or isinstance(outer, ast.With):
            continue
        if outer is node:
            break
        old = ast.unparse(outer)
        if len(old) > _WIDE:
            continue
        swap()
        try:
            return other.text, old, ast.unparse(outer)
        finally:
            swap()
    return other.text, ast.unparse(node), ast.unparse(other.tree)


def _holders(statement: ast.stmt, node: ast.expr) -> list[ast.AST]:
    """What holds a node inside of its statement, from the outside in."""
    path: list[ast.AST] = []

    def find(at: ast.AST) -> bool:
        for child in ast.iter_child_nodes(at):
            if child is node:
                return True
            path.append(child)
            if find(child):
                return True
            path.pop()
        return False

    return path if find(statement) else []


# ---- statements ---------------------------------------------------------------------------------


def _of_statement(block: list[ast.stmt], i: int) -> Iterator[Slip]:
    s = block[i]
    for new, kind, what, cost in _instead(s):
        told = partial(_both, what, s, new)
        yield Slip(kind, s.lineno, cost, _in_block(block, i, new), told)
    if i + 1 < len(block) and _may_move(s) and _may_move(block[i + 1]):
        after = block[i + 1]

        def exchange() -> None:
            block[i], block[i + 1] = block[i + 1], block[i]

        def both() -> tuple[str, str, str]:
            what = "the order of the two is another"
            return what, f"{_short(s)}; {_short(after)}", f"{_short(after)}; {_short(s)}"

        yield Slip("constant", s.lineno, 0.2, exchange, both)


def _both(what: str, old: ast.stmt, new: ast.stmt) -> tuple[str, str, str]:
    return what, _short(old), _short(new)


def _may_move(s: ast.stmt) -> bool:
    return isinstance(s, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr)


def _in_block(block: list[ast.stmt], i: int, new: ast.stmt) -> Callable[[], None]:
    kept = [ast.fix_missing_locations(ast.copy_location(new, block[i]))]

    def swap() -> None:
        block[i], kept[0] = kept[0], block[i]

    return swap


def _instead(s: ast.stmt) -> Iterator[tuple[ast.stmt, str, str, float]]:
    """Other statements in the place of one."""
    if isinstance(s, ast.AugAssign):
        yield ast.Pass(), "term", "the line is missing", 0.05
        assigned = ast.Assign([s.target], s.value)
        yield assigned, "reduction", "it is assigned, where it should be accumulated", 0.0
        if isinstance(s.op, ast.Add | ast.Sub):
            op = ast.Sub() if isinstance(s.op, ast.Add) else ast.Add()
            yield ast.AugAssign(s.target, op, s.value), "term", "the sign is another", 0.0
        elif isinstance(s.op, ast.Mult | ast.Div):
            inverse = ast.Div() if isinstance(s.op, ast.Mult) else ast.Mult()
            what = "it divides" if isinstance(inverse, ast.Div) else "it multiplies"
            yield ast.AugAssign(s.target, inverse, s.value), "constant", what, 0.0
    elif isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Subscript):
        yield ast.Pass(), "where", "the line is missing", 0.05
        added = ast.AugAssign(s.targets[0], ast.Add(), s.value)
        yield added, "reduction", "it is added to what is there", 0.1
    elif isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name):
        if any(isinstance(n, ast.Name) and n.id == s.targets[0].id for n in ast.walk(s.value)):
            yield ast.Pass(), "term", "the line is missing", 0.05
    elif isinstance(s, ast.Expr) and isinstance(s.value, ast.Call):
        yield ast.Pass(), "term", "the line is missing", 0.05
        if ast.unparse(s.value.func) == "np.add.at" and len(s.value.args) == 3:
            array, at, value = s.value.args
            target = ast.Subscript(array, at, ast.Store())
            what = "of repeated indices only the last counts"
            yield ast.AugAssign(target, ast.Add(), value), "reduction", what, 0.0
    elif isinstance(s, ast.If):
        for branch, text in ((s.body, "always"), (s.orelse or [ast.Pass()], "never")):
            one = ast.If(ast.Constant(True), list(branch), [])
            yield one, "when", f"{name(s.test)} is not asked: it {text} holds", 0.1
    elif isinstance(s, ast.For):
        values = ast.Call(ast.Name("list", ast.Load()), [s.iter], [])
        minus = ast.UnaryOp(ast.USub(), ast.Constant(1))
        for part, what in (
            (ast.Slice(ast.Constant(1)), "the first round is left out"),
            (ast.Slice(None, minus), "the last round is left out"),
            (ast.Slice(step=minus), "the rounds are in reversed order"),
        ):
            it = ast.Subscript(values, part, ast.Load())
            yield ast.For(s.target, it, s.body, s.orelse), "where", what, 0.1


def _short(s: ast.stmt) -> str:
    if isinstance(s, ast.Pass):
        return "nothing"
    first = ast.unparse(s).splitlines()[0]
    return first if len(first) <= _WIDE else f"{first[:_WIDE]}…"
