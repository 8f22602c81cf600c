"""Slips in calls: another function, other arguments, another axis."""

import ast
from collections.abc import Iterator

from npnet.verify.diagnose.formula.arithmetic import SMALL
from npnet.verify.diagnose.formula.trees import (
    Other,
    Scope,
    call,
    last_name,
    of,
    renamed,
    with_args,
)

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
SMOOTH = (
    "np.tanh", "sigmoid", "np.exp", "np.expm1", "np.log", "np.log1p", "np.sqrt", "np.square",
    "np.abs", "np.sign", "np.sin", "np.cos", "np.sinh", "np.cosh", "np.tan",
)  # fmt: skip
ARRANGING = ("transpose", "swapaxes", "moveaxis", "flip", "roll", "rot90", "T", "mT")


def called(node: ast.Call, scope: Scope) -> Iterator[Other]:
    """Another function, other arguments, or none."""
    func, last = ast.unparse(node.func), last_name(node.func)
    args = [a for a in node.args if not isinstance(a, ast.Starred)]
    kind = "order" if last in ARRANGING else "constant"
    if last == "where" and len(args) == 3:
        test, a, b = args
        yield Other(a, "where", "it is {} everywhere", about=a)
        yield Other(b, "where", "it is {} everywhere", about=b)
        yield Other(with_args(node, [test, b, a]), "where", "the cases are exchanged")
        zero = ast.Constant(0.0)
        yield Other(with_args(node, [test, zero, b]), "where", "it is 0 in place of {}", about=a)
        yield Other(with_args(node, [test, a, zero]), "where", "it is 0 in place of {}", about=b)
        return
    for i, a in enumerate(args[:3]):
        plain = len(args) == 1 and func.startswith("np.")
        cost = 0.0 if plain else 0.1 + 0.05 * i
        yield Other(a, kind, f"{func} is not applied", cost)
    for i, a in enumerate(node.args[1:], start=1):
        fewer = with_args(node, [*node.args[:i], *node.args[i + 1 :]])
        yield Other(fewer, scope.kind(a, _kind(last)), "{} is left out", 0.05, about=a)
    if last in ("log", "sqrt"):
        for eps in SMALL:
            under = with_args(node, [of(node.args[0], ast.Add(), ast.Constant(eps))])
            yield Other(under, "constant", f"it adds {eps:g} under the {last}", 0.2)
    if isinstance(node.func, ast.Attribute) and last_name(node.func.value) not in ("np", "math"):
        yield Other(node.func.value, kind, f".{last} is not applied", 0.05)
    if len(args) == 2:
        yield Other(
            with_args(node, args[::-1]), "swapped", f"the arguments of {func} are exchanged"
        )
    for alike in _ALIKE:
        for other in alike if last in alike else ():
            if other != last:
                changed = ast.Call(renamed(node.func, other), node.args, node.keywords)
                yield Other(changed, _kind(last), f"it takes the {other}, not the {last}")
    for i, k in enumerate(node.keywords):
        rest = [w for j, w in enumerate(node.keywords) if j != i]
        what = "it is taken over everything" if k.arg == "axis" else f"{k.arg} is left out"
        yield Other(ast.Call(node.func, node.args, rest), _kind(last), what, 0.05)
    if last in _REDUCTIONS:
        yield from _over_other_axes(node)
    if len(args) == len(node.args) == 1 and not node.keywords:
        for f in SMOOTH:
            if f.rpartition(".")[2] != last:
                yield Other(call(f, args[0]), "constant", f"it is {f}, not {func}", 0.2)
    for f in scope.functions.get(len(node.args), ()) if isinstance(node.func, ast.Name) else ():
        if f != func:
            changed = ast.Call(ast.Name(f, ast.Load()), node.args, node.keywords)
            yield Other(changed, "constant", f"it is {f}, not {func}", 0.1)


def _kind(function: str) -> str:
    return "reduction" if function in _REDUCTIONS else "constant"


def _over_other_axes(node: ast.Call) -> Iterator[Other]:
    """A reduction over another axis, or of which only one entry counts."""
    keywords = [k for k in node.keywords if k.arg != "axis"]
    positional = isinstance(node.func, ast.Attribute) and last_name(node.func.value) != "np"
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
