"""What people write in place of an expression: one slip at a time, as syntax trees.

No rule knows a layer. A slip is a small change to any formula: a factor or a term left out, a sign,
a power, a constant, another function, another variable, another axis, a comparison.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

Tree = ast.expr


Kind = tuple[Any, ...]


def kind_of(value: Any) -> Kind:
    """What a variable holds: two of one kind may be taken for each other."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype.kind, value.shape
    if isinstance(value, tuple) and all(isinstance(n, int) for n in value):
        return "integers", len(value)
    return (type(value).__name__,)


@dataclass(frozen=True)
class Scope:
    """The names that an expression might have used instead.

    variables: of the function, with what they hold
    functions: of the module, by the number of parameters
    options: attributes of self, with what they hold
    items: what is looked up by name; keys: the names of these
    config: the names of the options
    """

    variables: Mapping[str, Kind]
    functions: Mapping[int, Sequence[str]]
    options: Mapping[str, Kind]
    keys: Sequence[str]
    config: frozenset[str]
    items: Set[str]

    def kind(self, tree: Tree, kind: str) -> str:
        """What it is to leave an operand out: an option ignored, or else a term or a factor."""
        last = tree.attr if isinstance(tree, ast.Attribute) else getattr(tree, "id", "")
        if last in self.config:
            return "option"
        names = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
        arrays = any(self.variables.get(n, ("",))[0] == "array" for n in names)
        return "axis factor" if arrays and kind == "factor" else kind


@dataclass(frozen=True)
class Other:
    """An expression in place of another: its kind, what was done, and how far-fetched that is.

    about: what stands for {} in the sentence
    """

    tree: Tree
    kind: str
    what: str
    cost: float = 0.0
    about: Tree | None = None

    @property
    def text(self) -> str:
        """What was done, as a sentence."""
        return self.what if self.about is None else self.what.format(name(self.about))


def others(node: Tree, scope: Scope) -> Iterator[Other]:
    """Every slip at the root of an expression."""
    rule = _RULES.get(type(node))
    if rule is not None:
        yield from rule(node, scope)
    if isinstance(node, ast.Call | ast.Subscript) and _is_arithmetic(node):
        yield from _dressed(node, scope, 0.45)
    elif isinstance(node, ast.Name) and _is_number(scope.variables.get(node.id, ())):
        yield from _dressed(node, scope, 0.2)


def _is_arithmetic(node: ast.Call | ast.Subscript) -> bool:
    """Whether an expression may stand for floating-point numbers."""
    if isinstance(node, ast.Subscript):
        return not (isinstance(node.value, ast.Attribute) and node.value.attr == "shape")
    return not (isinstance(node.func, ast.Name) and node.func.id in _BUILTIN)


_BUILTIN = frozenset(("range", "len", "zip", "tuple", "list", "enumerate", "reversed", "isinstance",
                      "Grads", "Forward", "sorted", "dict", "slice", "int", "replace"))  # fmt: skip


def _is_number(kind: Kind) -> bool:
    return kind[:2] == ("array", "f") or kind == ("float",)


def name(tree: Tree) -> str:
    """An expression as it stands in a sentence."""
    text = ast.unparse(tree)
    return f"`{text}`" if len(text) <= _LONG else "a part"


_LONG = 48


# ---- arithmetic ---------------------------------------------------------------------------------


def _arithmetic(node: ast.BinOp, scope: Scope) -> Iterator[Other]:
    a, b, op = node.left, node.right, node.op
    if isinstance(op, ast.Mult):
        for left, gone in ((a, b), (b, a)):
            kind = scope.kind(gone, "factor")
            yield Other(left, kind, "the factor {} is missing", about=gone)
        for left, over in ((a, b), (b, a)):
            kind = scope.kind(over, "factor")
            yield Other(_of(left, ast.Div(), over), kind, "it divides by {}", 0.1, about=over)
        yield Other(_of(a, ast.Add(), b), "constant", "it adds where it should multiply", 0.2)
        yield from _squares(node)
        nothing = _of(ast.Constant(0.0), ast.Mult(), node)
        yield Other(nothing, "zero", "{} is missing", 0.1, about=node)
    elif isinstance(op, ast.Div):
        kind = scope.kind(b, "factor")
        yield Other(a, kind, "it does not divide by {}", about=b)
        yield from _guarded(node)
        yield Other(_of(a, ast.FloorDiv(), b), "constant", "it keeps the whole part only", 0.1)
        yield Other(_of(a, ast.Mult(), b), kind, "it multiplies by {}", 0.05, about=b)
        yield Other(_of(b, ast.Div(), a), "constant", "the quotient is upside down", 0.1)
    elif isinstance(op, ast.Add | ast.Sub):
        plus = isinstance(op, ast.Add)
        flipped = ast.Sub() if plus else ast.Add()
        plain = 0.03 * isinstance(a, ast.Constant)  # what is left is no formula
        yield Other(a, scope.kind(b, "term"), "the term {} is missing", plain, about=b)
        rest = b if plus else ast.UnaryOp(ast.USub(), b)
        yield Other(rest, "term", "the term {} is missing", about=a)
        sign = "subtracted, not added" if plus else "added, not subtracted"
        yield Other(_of(a, flipped, b), "term", f"{{}} is {sign}", about=b)
        if not plus:
            yield Other(b, "term", "{} and the minus are missing", 0.1, about=a)
            yield Other(_of(b, ast.Sub(), a), "factor", "the difference is the other way round")
        yield Other(_of(a, ast.Mult(), b), "constant", "it multiplies where it should add", 0.2)
    elif isinstance(op, ast.Pow):
        yield Other(a, "constant", "the power is missing")
        root = _call("np.sqrt", a)
        yield Other(root, "constant", "it takes a root in place of the power", 0.1)
        yield Other(_of(a, ast.Mult(), b), "constant", "it multiplies, where it is a power", 0.1)
    elif isinstance(op, ast.MatMult):
        yield Other(_of(b, ast.MatMult(), a), "order", "the matrices are exchanged")
        yield Other(a, "term", "it does not multiply by {}", 0.1, about=b)
        yield Other(b, "term", "it does not multiply by {}", 0.1, about=a)
        yield Other(_of(a, ast.MatMult(), _transposed(b)), "order", "{} is transposed", about=b)
        yield Other(_of(_transposed(a), ast.MatMult(), b), "order", "{} is transposed", about=a)
    elif isinstance(op, ast.Mod | ast.FloorDiv):
        yield Other(a, "constant", f"{_SYMBOL[type(op)]} is missing", 0.1)
        yield Other(_of(a, ast.Div(), b), "constant", "it does not round down", 0.05)
    elif isinstance(op, ast.BitAnd | ast.BitOr):
        other = ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd()
        yield Other(a, "where", "the condition {} is missing", 0.05, about=b)
        yield Other(b, "where", "the condition {} is missing", 0.05, about=a)
        yield Other(_of(a, other, b), "where", "and and or are exchanged", 0.1)


def _guarded(node: ast.BinOp) -> Iterator[Other]:
    """A divisor with a small number on top."""
    for eps in _SMALL:
        tree = _of(node.left, node.op, _of(node.right, ast.Add(), ast.Constant(eps)))
        yield Other(tree, "constant", f"it adds {eps:g} to the divisor", 0.3)


_SMALL = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


def _squares(node: ast.BinOp) -> Iterator[Other]:
    """A factor that occurs twice in a product, once, not at all, or as its absolute value."""
    factors = _factors(node)
    texts = [ast.unparse(f) for f in factors]
    for text in dict.fromkeys(t for t in texts if texts.count(t) == 2):
        x = factors[texts.index(text)]
        rest = [f for f, t in zip(factors, texts, strict=True) if t != text]
        for instead, what in (
            ([_call("np.abs", x)], f"it takes |{text}| for {text}²"),
            ([], f"the factor {text}² is missing"),
        ):
            if left := [*rest, *instead]:
                product = left[0]
                for f in left[1:]:
                    product = _of(product, ast.Mult(), f)
                yield Other(product, "constant", what, 0.05)


def _factors(node: Tree) -> list[Tree]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


_SYMBOL = {ast.Mod: "the remainder", ast.FloorDiv: "the whole quotient"}


def _signed(node: ast.UnaryOp, scope: Scope) -> Iterator[Other]:
    if isinstance(node.op, ast.USub):
        yield Other(node.operand, "factor", "the minus is missing")
    else:
        yield Other(node.operand, "where", "the condition is turned round")


def _number(node: ast.Constant, scope: Scope) -> Iterator[Other]:
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


# ---- conditions ---------------------------------------------------------------------------------

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


def _compared(node: ast.Compare, scope: Scope) -> Iterator[Other]:
    if len(node.ops) > 1:
        return
    for op in _COMPARISONS.get(type(node.ops[0]), ()):
        tree = ast.Compare(node.left, [op()], node.comparators)
        yield Other(tree, "where", "the comparison is another")
    yield from _settled(node)


def _settled(node: Tree) -> Iterator[Other]:
    """A condition that always holds, or never."""
    yield Other(ast.Constant(True), "when", "the condition is not asked: it holds always", 0.1)
    yield Other(ast.Constant(False), "when", "the condition is not asked: it never holds", 0.1)


def _logic(node: ast.BoolOp, scope: Scope) -> Iterator[Other]:
    for i, value in enumerate(node.values):
        rest = [v for j, v in enumerate(node.values) if j != i]
        tree = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        yield Other(tree, "when", "the condition {} is missing", about=value)
    yield from _settled(node)


def _either(node: ast.IfExp, scope: Scope) -> Iterator[Other]:
    yield Other(node.body, "when", "it is {} always", about=node.body)
    yield Other(node.orelse, "when", "it is {} always", about=node.orelse)
    yield Other(ast.IfExp(node.test, node.orelse, node.body), "when", "the cases are exchanged")


# ---- calls --------------------------------------------------------------------------------------

_ALIKE = (
    ("sum", "mean", "max", "min", "prod"),
    ("maximum", "minimum", "add", "multiply"),
    ("argmax", "argmin"),
    ("floor", "ceil", "rint", "trunc"),
    ("zeros_like", "ones_like"),
    ("zeros", "ones"),
    ("var", "std"),
    ("any", "all"),
    ("logical_and", "logical_or"),
    ("greater", "greater_equal", "less", "less_equal"),
    ("cumsum", "cumprod"),
    ("tril", "triu"),
)
_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "any", "all", "var", "std", "argmax", "argmin")
_SMOOTH = (
    "np.tanh", "sigmoid", "np.exp", "np.expm1", "np.log", "np.log1p", "np.sqrt", "np.square",
    "np.abs", "np.sign", "np.sin", "np.cos", "np.sinh", "np.cosh", "np.tan",
)  # fmt: skip
_ARRANGING = ("transpose", "swapaxes", "moveaxis", "flip", "roll", "rot90", "T", "mT")


def _called(node: ast.Call, scope: Scope) -> Iterator[Other]:
    func, last = ast.unparse(node.func), _last(node.func)
    args = [a for a in node.args if not isinstance(a, ast.Starred)]
    kind = "order" if last in _ARRANGING else "constant"
    if last == "where" and len(args) == 3:
        test, a, b = args
        yield Other(a, "where", "it is {} everywhere", about=a)
        yield Other(b, "where", "it is {} everywhere", about=b)
        yield Other(_with(node, [test, b, a]), "where", "the cases are exchanged")
        zero = ast.Constant(0.0)
        yield Other(_with(node, [test, zero, b]), "where", "it is 0 in place of {}", about=a)
        yield Other(_with(node, [test, a, zero]), "where", "it is 0 in place of {}", about=b)
        return
    for i, a in enumerate(args[:3]):
        plain = len(args) == 1 and func.startswith("np.")
        cost = 0.0 if plain else 0.1 + 0.05 * i
        yield Other(a, kind, f"{func} is not applied", cost)
    for i, a in enumerate(node.args[1:], start=1):
        fewer = _with(node, [*node.args[:i], *node.args[i + 1 :]])
        yield Other(fewer, scope.kind(a, _kind(last)), "{} is left out", 0.05, about=a)
    if last in ("log", "sqrt"):
        for eps in _SMALL:
            under = _with(node, [_of(node.args[0], ast.Add(), ast.Constant(eps))])
            yield Other(under, "constant", f"it adds {eps:g} under the {last}", 0.2)
    if isinstance(node.func, ast.Attribute) and _last(node.func.value) not in ("np", "math"):
        yield Other(node.func.value, kind, f".{last} is not applied", 0.05)
    if len(args) == 2:
        yield Other(_with(node, args[::-1]), "swapped", f"the arguments of {func} are exchanged")
    for alike in _ALIKE:
        for other in alike if last in alike else ():
            if other != last:
                changed = ast.Call(_renamed(node.func, other), node.args, node.keywords)
                yield Other(changed, _kind(last), f"it takes the {other}, not the {last}")
    for i, k in enumerate(node.keywords):
        rest = [w for j, w in enumerate(node.keywords) if j != i]
        what = "it is taken over everything" if k.arg == "axis" else f"{k.arg} is left out"
        yield Other(ast.Call(node.func, node.args, rest), _kind(last), what, 0.05)
    if last in _REDUCTIONS:
        yield from _over_other_axes(node)
    if len(args) == len(node.args) == 1 and not node.keywords:
        for f in _SMOOTH:
            if f.rpartition(".")[2] != last:
                yield Other(_call(f, args[0]), "constant", f"it is {f}, not {func}", 0.2)
    for f in scope.functions.get(len(node.args), ()) if isinstance(node.func, ast.Name) else ():
        if f != func:
            changed = ast.Call(ast.Name(f, ast.Load()), node.args, node.keywords)
            yield Other(changed, "constant", f"it is {f}, not {func}", 0.1)


def _kind(function: str) -> str:
    return "reduction" if function in _REDUCTIONS else "constant"


def _over_other_axes(node: ast.Call) -> Iterator[Other]:
    """A reduction over another axis, or of which only one entry counts."""
    keywords = [k for k in node.keywords if k.arg != "axis"]
    positional = isinstance(node.func, ast.Attribute) and _last(node.func.value) != "np"
    args = node.args[: 0 if positional else 1]
    given = [ast.unparse(k.value) for k in node.keywords if k.arg == "axis"]
    for axis in (0, 1, -1, -2):
        if given == [str(axis)]:
            continue
        k = ast.keyword("axis", ast.Constant(axis))
        tree = ast.Call(node.func, args, [*keywords, k])
        yield Other(tree, "reduction", f"it is taken over axis {axis}", 0.15)
    of = node.func.value if positional and isinstance(node.func, ast.Attribute) else node.args[0]
    for i, which in ((0, "first"), (-1, "last")):
        one = ast.Subscript(of, ast.Constant(i), ast.Load())
        yield Other(one, "reduction", f"only the {which} counts", 0.1)


# ---- names, subscripts, tuples ------------------------------------------------------------------


def _variable(node: ast.Name, scope: Scope) -> Iterator[Other]:
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
            tree = _of(node, op, ast.Constant(1))
            yield Other(tree, "constant", f"it takes {text} {node.id}", 0.2)
        yield Other(ast.Constant(1), "constant", f"it takes 1 for {node.id}", 0.2)
    elif kind == ("bool",):
        yield from _settled(node)


def _function(node: ast.Name, scope: Scope) -> Iterator[Other]:
    """A function that is handed over, in place of another."""
    arity = next((n for n, names in scope.functions.items() if node.id in names), None)
    if arity is None:
        return
    for f in (*scope.functions[arity], *(_SMOOTH if arity == 1 else ())):
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
        (_of(ones, ast.Mult(), count), "option", f"{text} is ignored: it takes 1 for all"),
        (turned, "order", f"{text} is read in reversed order"),
        (_of(first, ast.Mult(), count), "option", f"the first of {text} is taken for all"),
    ):
        yield Other(tree, kind, what, 0.1)


def _option(node: ast.Attribute, scope: Scope) -> Iterator[Other]:
    if isinstance(node.value, ast.Name) and node.value.id == "self":
        text, kind = f"self.{node.attr}", scope.options.get(node.attr)
        for o, other in scope.options.items():
            if o != node.attr and other == kind:
                tree = ast.Attribute(node.value, o, ast.Load())
                yield Other(tree, "option", f"it takes self.{o} for {text}", 0.2)
        if kind == ("bool",):
            yield from _settled(node)
        elif kind is not None and kind[0] == "integers":
            yield from _other_integers(node)
        if kind not in (("int",), ("float",)):
            return
        for n in (0, 1):
            yield Other(ast.Constant(n), "option", f"{n} stands for {text}")
        yield Other(_of(ast.Constant(1), ast.Sub(), node), "option", f"1 - {text} for {text}", 0.1)
        yield Other(_of(node, ast.Mult(), node), "option", f"{text}² stands for {text}", 0.15)
        yield Other(_call("np.sqrt", node), "option", f"√{text} stands for {text}", 0.15)
        yield Other(_of(ast.Constant(2), ast.Mult(), node), "option", f"2·{text} for {text}", 0.2)
    elif node.attr in _ARRANGING:
        yield Other(node.value, "order", f".{node.attr} is missing")
    elif node.attr == "shape":
        return


def _item(node: ast.Subscript, scope: Scope) -> Iterator[Other]:
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


def _slice(node: ast.Slice, scope: Scope) -> Iterator[Other]:
    """A slice inside of an index of several."""
    minus = ast.UnaryOp(ast.USub(), ast.Constant(1))
    if node.step is None and node.lower is None and node.upper is None:
        yield Other(ast.Slice(step=minus), "order", "the axis is in reversed order", 0.15)
    elif node.step is not None:
        yield Other(ast.Slice(node.lower, node.upper), "order", "the step is missing", 0.1)


def _several(node: ast.Tuple, scope: Scope) -> Iterator[Other]:
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


def _dressed(node: Tree, scope: Scope, cost: float) -> Iterator[Other]:
    """Something done to a value that should be left as it is."""
    one = ast.Constant(1)
    for tree, what in (
        (ast.UnaryOp(ast.USub(), node), "minus that"),
        (_of(ast.Constant(2), ast.Mult(), node), "twice that"),
        (_of(node, ast.Div(), ast.Constant(2)), "half of that"),
        (_of(node, ast.Mult(), node), "its square"),
        (_call("np.sqrt", node), "its root"),
        (_call("np.abs", node), "its absolute value"),
        (_of(one, ast.Sub(), node), "1 minus that"),
        (_of(one, ast.Div(), node), "1 over that"),
        (_of(node, ast.Add(), one), "that plus 1"),
    ):
        yield Other(tree, "constant", f"it takes {what} for {{}}", cost, about=node)
    kind = scope.variables.get(node.id) if isinstance(node, ast.Name) else None
    arrays = {v: k for v, k in scope.variables.items() if k[:2] == ("array", "f")}
    alike = [v for v, k in arrays.items() if kind is None or k == kind]
    for option in (*_options(scope), *(ast.Name(v, ast.Load()) for v in alike)):
        text = ast.unparse(option)
        times, over = _of(node, ast.Mult(), option), _of(node, ast.Div(), option)
        of_array = isinstance(option, ast.Name) and option.id in arrays
        sort = "axis factor" if of_array else "factor"
        yield Other(times, sort, f"it multiplies {{}} by {text}", cost + 0.05, about=node)
        yield Other(over, sort, f"it divides {{}} by {text}", cost + 0.05, about=node)


def _options(scope: Scope) -> Iterator[Tree]:
    """Numbers that a formula has at hand: options, and variables that hold one."""
    for option, kind in scope.options.items():
        if kind not in (("int",), ("float",)):
            continue
        yield ast.Attribute(ast.Name("self", ast.Load()), option, ast.Load())
    for variable, kind in scope.variables.items():
        if kind == ("float",) and variable not in scope.options:
            yield ast.Name(variable, ast.Load())


_RULES: dict[type[ast.expr], Any] = {
    ast.BinOp: _arithmetic,
    ast.UnaryOp: _signed,
    ast.Constant: _number,
    ast.Compare: _compared,
    ast.BoolOp: _logic,
    ast.IfExp: _either,
    ast.Call: _called,
    ast.Name: _variable,
    ast.Attribute: _option,
    ast.Subscript: _item,
    ast.Slice: _slice,
    ast.Tuple: _several,
}


def _of(a: Tree, op: ast.operator, b: Tree) -> Tree:
    return ast.BinOp(a, op, b)


def _call(function: str, a: Tree) -> Tree:
    return ast.Call(ast.parse(function, mode="eval").body, [a], [])


def _with(node: ast.Call, args: list[Tree]) -> Tree:
    return ast.Call(node.func, args, node.keywords)


def _transposed(a: Tree) -> Tree:
    return ast.Attribute(a, "T", ast.Load())


def _last(node: Tree) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _renamed(node: Tree, other: str) -> Tree:
    if isinstance(node, ast.Attribute):
        return ast.Attribute(node.value, other, ast.Load())
    return ast.Name(other, ast.Load())
