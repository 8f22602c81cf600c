"""What stands in npnet's own source: docstrings, the code of both passes, what it depends on."""

import ast
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import npnet
from npnet.verify.targets import own_class, own_names

_ROOT = Path(npnet.__file__).parent.parent
_GUARDS = re.compile(r"_?(require|check|guard|needs)_?\w*|__post_init__|init\w*|_init\w*")
"""What refuses bad input, or makes a first state: not part of either pass."""

_BEGINNINGS = ("__call__", "step", "follow", "momentum")
_OWN = re.compile(r"npnet\.(nn|optim)\.")


@dataclass(frozen=True)
class Snippet:
    """A function or a class as it stands in a file: `file` as npnet/nn/linear.py."""

    name: str
    file: str
    text: str


def names() -> list[str]:
    """The modules, optimizers and schedules that have a page."""
    return [name for name in own_names() if not name.startswith("autograd.")]


_FAMILIES = {
    "Convolution": "conv conv_transpose fold",
    "Pooling": "maxpool maxunpool avgpool lppool adaptive_pool fractional_pool",
    "Padding": "padding",
    "Activations": "activation hard rectifier gated softmax adaptive_softmax",
    "Normalisation": "batchnorm groupnorm instancenorm layernorm lrn rmsnorm",
    "Recurrent": "rnn lstm gru",
    "Attention and Transformer": "attention transformer transformer_block",
    "Linear, sparse, shape": "linear embedding embedding_bag flatten sequential identity",
    "Dropout": "dropout",
    "Distances and losses": "distance regression crossentropy linear_crossentropy ctc likelihood "
    "bce margin triplet",
    "Vision": "pixelshuffle upsample",
}


def family(name: str) -> str:
    """Under which heading a page stands."""
    package = name.rpartition(".")[0]
    if package:
        return {"optim": "Optimizers", "lr_scheduler": "Schedules"}[package]
    file = own_class(name).__module__.rpartition(".")[2]
    return next(title for title, files in _FAMILIES.items() if file in files.split())


# ---- code ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """Both passes of a layer, or an optimizer's step.

    own: its methods; called: what they call of npnet's, that with the most arithmetic first
    layers: layers inside of it, which have pages of their own
    """

    own: Snippet
    called: tuple[Snippet, ...]
    layers: tuple[str, ...]


def code(name: str) -> Code:
    """What stands in the files, without what refuses bad input and what makes a first state."""
    cls = own_class(name)
    module = sys.modules[cls.__module__]
    tree = _Tree.of(module)
    node = tree.definitions[cls.__name__]
    assert isinstance(node, ast.ClassDef)
    methods = _passes(node)
    own = Snippet(cls.__name__, _file(module), "\n\n".join(tree.text(m) for m in methods))
    package = name.rpartition(".")[0]
    called: list[tuple[int, Snippet]] = []
    layers: list[str] = []
    queue: list[tuple[ModuleType, ast.AST]] = [(module, m) for m in methods]
    seen = {(module.__name__, cls.__name__)}
    while queue:
        for where, definition in _called(*queue.pop(0)):
            key = (where.__name__, definition.name)
            if key in seen or _is_guard(definition):
                continue
            seen.add(key)
            if _is_layer(where, definition.name):
                layers.append(".".join(filter(None, (package, definition.name))))
                continue
            snippet = Snippet(definition.name, _file(where), _Tree.of(where).text(definition))
            called.append((_arithmetic(definition), snippet))
            queue.append((where, definition))
    ranked = [snippet for _, snippet in sorted(called, key=lambda pair: -pair[0])]
    return Code(own, tuple(ranked), tuple(layers))


def _is_guard(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """What is called to refuse something, or to make a first state: no part of either pass."""
    if _GUARDS.fullmatch(node.name):
        return True
    parts = list(ast.walk(node))
    answers = any(isinstance(n, ast.Return | ast.Yield) and n.value is not None for n in parts)
    return (
        isinstance(node, ast.FunctionDef)
        and not answers
        and any(isinstance(n, ast.Raise) for n in parts)
    )


def _arithmetic(node: ast.AST) -> int:
    """How much a definition computes: sums, products, quotients, powers, calls of NumPy."""
    operators = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.MatMult)
    return sum(
        (isinstance(n, ast.BinOp | ast.AugAssign) and isinstance(n.op, operators))
        or (isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "np")
        for part in getattr(node, "body", [])
        for n in ast.walk(part)
    )


def _passes(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """The methods that forward, backward or a step run through, as they stand."""
    methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
    queue = [n for n in _BEGINNINGS if n in methods]
    found: set[str] = set()
    while queue:
        name = queue.pop()
        found.add(name)
        for part in ast.walk(methods[name]):
            if (
                isinstance(part, ast.Attribute)
                and isinstance(part.value, ast.Name)
                and part.value.id == "self"
                and part.attr in methods
                and part.attr not in found
            ):
                queue.append(part.attr)
    return [m for m in methods.values() if m.name in found and not _GUARDS.fullmatch(m.name)]


def _is_layer(module: ModuleType, name: str) -> bool:
    package = sys.modules[module.__name__.rpartition(".")[0]]
    return is_dataclass(getattr(module, name)) and hasattr(package, name)


def _called(module: ModuleType, node: ast.AST) -> Iterator[tuple[ModuleType, Any]]:
    """The functions and classes of npnet.nn and npnet.optim that the code of a definition names."""
    for part in _executed(node):
        value: Any = None
        if isinstance(part, ast.Name):
            value = vars(module).get(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            inside = vars(module).get(part.value.id)
            value = getattr(inside, part.attr, None) if isinstance(inside, ModuleType) else None
        where = sys.modules.get(getattr(value, "__module__", None) or "")
        if where is not None and _OWN.match(where.__name__):
            found = _Tree.of(where).definitions.get(getattr(value, "__name__", ""))
            if found is not None:
                yield where, found
                continue
        if isinstance(part, ast.Name) and part.id in _Tree.of(module).assigned:
            yield from _called(module, _Tree.of(module).assigned[part.id])  # a table of functions


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Every part of a definition but its annotations."""
    queue = [node]
    while queue:
        part = queue.pop(0)
        yield part
        for field, value in ast.iter_fields(part):
            if field not in ("annotation", "returns"):
                queue += [
                    x
                    for x in (value if isinstance(value, list) else [value])
                    if isinstance(x, ast.AST)
                ]


@dataclass(frozen=True)
class _Tree:
    """A module's source, with its definitions by name, and what its private names stand for."""

    lines: list[str]
    definitions: Mapping[str, ast.FunctionDef | ast.ClassDef]
    assigned: Mapping[str, ast.expr]

    @staticmethod
    @cache
    def of(module: ModuleType) -> "_Tree":
        """The tree of a module that was imported from a file."""
        source = inspect.getsource(module)
        body = ast.parse(source).body
        assigned = {
            target.id: node.value
            for node in body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id.startswith("_")
        }
        definitions = {n.name: n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        return _Tree(source.splitlines(), definitions, assigned)

    def text(self, node: ast.FunctionDef | ast.ClassDef) -> str:
        """A definition as it stands, from its decorators on."""
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        return textwrap.dedent("\n".join(self.lines[first - 1 : node.end_lineno]))


def _file(module: ModuleType) -> str:
    return Path(inspect.getfile(module)).relative_to(_ROOT).as_posix()


# ---- what a page may be older than ---------------------------------------------------------------


def digest(name: str) -> str:
    """Of the code that a layer's answers depend on, comments and docstrings aside: its module and
    the modules of its package that it uses.
    """
    cls = own_class(name)
    seen: dict[str, ModuleType] = {}
    queue = [sys.modules[cls.__module__]]
    while queue:
        module = queue.pop()
        seen[module.__name__] = module
        for value in vars(module).values():
            of = value.__name__ if isinstance(value, ModuleType) else None
            where = of or getattr(value, "__module__", None) or ""
            if _OWN.match(where) and where not in seen:
                queue.append(sys.modules[where])
    text = "".join(_bare(seen[key]) for key in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _bare(module: ModuleType) -> str:
    """A module's syntax tree without docstrings and places."""
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[0].value.value = ""
    return ast.dump(tree)
